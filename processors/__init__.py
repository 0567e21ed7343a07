"""Writes: turns source records into rows, and rows into online state and the offline log."""
