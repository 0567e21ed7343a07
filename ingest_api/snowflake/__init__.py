"""The Snowflake Feature Store Ingest REST API: its requests, its responses, its errors, its route."""
