"""Reads: answers models from online state, and training jobs from the offline log."""
