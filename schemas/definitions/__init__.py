"""What a user writes, until it is a numbered plan."""
