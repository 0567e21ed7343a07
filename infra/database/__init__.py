"""Online state on disk: one process writes, others read."""
