"""How much of the machine others used while a benchmark ran: figures of a shared machine need that beside them.

Invariant: what the benchmark's own processes used is left out, once they have ended.
"""

import os
import time

import psutil


class Neighbours:
    """Counts from the moment it is made."""

    def __init__(self) -> None:
        self._time, self._others = time.monotonic(), _others_seconds()

    def cpus(self) -> float:
        """Returns how many processors others have kept busy on average."""
        return max((_others_seconds() - self._others) / (time.monotonic() - self._time), 0.0)

    def sentence(self) -> str:
        """Returns the same in words."""
        return f"Meanwhile other processes kept {self.cpus():.1f} of {psutil.cpu_count()} processors busy."


def _others_seconds() -> float:
    """Returns the CPU time that all but this process and its ended children have used, in seconds."""
    total = psutil.cpu_times()
    own = os.times()
    steal = getattr(total, "steal", 0.0)  # Linux only: what the host gave to other machines
    return float(total.user + total.system + steal - own.user - own.system - own.children_user - own.children_system)
