"""Clients of Kafka, and what is read from its topics by every process."""
