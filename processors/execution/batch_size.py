"""How many records to transform in one go.

Invariant: once a function's speed is known, the event loop is held for about ``STEP_SECONDS`` at a time, however slow
the function is: so that progress shows, partitions can be let go and health is answered.
"""

from typing import Final

STEP_SECONDS: Final = 0.25
FIRST_RECORDS: Final = 16
MAX_RECORDS: Final = 1_000


class BatchSizer:
    """The speed of one partition's functions.

    Attributes:
        records: to take next.
    """

    def __init__(self) -> None:
        self.records = FIRST_RECORDS

    def took(self, records: int, seconds: float) -> None:
        """Learns how long a number of records took."""
        fitting = int(records * STEP_SECONDS / max(seconds, 1e-6))
        self.records = max(1, min(MAX_RECORDS, fitting))
