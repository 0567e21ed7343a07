"""Numbered readings of counters: whatever was written shows at once."""
