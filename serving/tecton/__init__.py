"""The Tecton HTTP API (1.0): its requests, values, responses and errors (`reference/tecton-http-api.md`)."""
