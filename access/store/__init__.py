"""Where accounts, keys and roles are kept."""
