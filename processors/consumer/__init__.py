"""From Kafka to the stages: partitions, batches, offsets."""
