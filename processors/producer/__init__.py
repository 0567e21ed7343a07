"""From the stages to Kafka."""
