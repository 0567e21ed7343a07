"""The door: what users import to define features, and the command line."""
