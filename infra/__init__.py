"""What runs the rest: settings, logs, metrics, Kafka clients, storage files, the HTTP server and the supervisor."""
