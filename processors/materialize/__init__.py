"""The second stage: updates to online state and the offline log."""
