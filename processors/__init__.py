"""Writes: Faust agents that turn source records into online state and offline logs."""
