"""Who may: principals, their keys and their roles."""
