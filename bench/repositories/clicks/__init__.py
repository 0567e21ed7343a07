"""Clicks of users: one tiled view with ten aggregates."""
