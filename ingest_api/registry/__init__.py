"""The schema registry's API."""
