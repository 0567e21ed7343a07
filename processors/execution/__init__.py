"""Running users' functions, so that none can harm a processor."""
