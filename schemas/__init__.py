"""Meaning, pure: definitions, Avro, types, plans, transform, aggregation algebra, window bounds, keys, codecs, errors."""
