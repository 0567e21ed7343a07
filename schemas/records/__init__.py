"""JSON to record, function result to row."""
