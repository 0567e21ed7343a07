"""Reading features, whatever the API."""
