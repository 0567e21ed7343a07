"""Who may: service accounts, keys, roles and the check of a caller's credential."""
