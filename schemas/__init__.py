"""Meaning, pure: definitions, types, Avro, plans, transform, aggregation, windows, keys, codecs and errors."""
