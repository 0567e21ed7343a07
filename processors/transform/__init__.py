"""The first stage: records of sources to updates."""
