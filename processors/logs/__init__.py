"""The files that both stages append to."""
