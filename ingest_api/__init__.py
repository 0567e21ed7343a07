"""Accepts events by HTTP, publishes them to Kafka and answers with what became of each record."""
