"""The Tecton HTTP API (1.0): its requests, values, responses and errors (docs/compatibility/tecton-features.md)."""
