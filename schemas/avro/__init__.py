"""Records and schemas in Avro."""
