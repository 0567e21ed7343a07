"""Append-only log files."""
