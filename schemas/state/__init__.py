"""The layout of online state, for who writes it and who reads it."""
