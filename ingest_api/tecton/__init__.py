"""The stream ingest call of the Tecton HTTP API: its requests, its responses, its errors, its routes."""
