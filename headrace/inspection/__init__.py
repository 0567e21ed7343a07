"""What is in a running Headrace: definitions, newest records, dead letters, and what became of each record."""
