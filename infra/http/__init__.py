"""Serving HTTP, whatever the API."""
