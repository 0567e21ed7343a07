"""Processes of the operating system: starting, ending, watching them."""
