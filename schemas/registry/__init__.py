"""Subjects and versions of schemas."""
