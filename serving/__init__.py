"""Reads: feature values from online state, over HTTP."""
