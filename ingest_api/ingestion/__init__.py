"""Taking records in, whatever the API."""
