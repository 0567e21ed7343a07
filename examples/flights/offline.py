"""What the offline log holds, read on as it grows.

Invariant: rows are kept as the log has them, repeats and losers included; who wins is for the check to find out.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from infra.segments.disk import LocalDisk
from processors.logs.offline_log import read_updates
from schemas.definitions.plan import Plan

VERSION: Final = ("_append_time", "_source_partition", "_offset", "_index")
"""Of the rows with one key and event time, the one that is greatest in these columns counts."""

EVERY_FLIGHT: Final = "carrier_delays"
"""A view with one row for every flight."""


@dataclass(slots=True)
class ViewRows:
    """Rows of one view. Times are µs since 1970-01-01 UTC, but for ``_append_time``, which is ms."""

    columns: tuple[str, ...]
    rows: list[Sequence[Any]] = field(default_factory=list)


class OfflineRows:
    """All rows in a data folder, by view.

    Args:
        data: the folder that ``headrace up`` was given.
        plan: the workspace's definitions.
    """

    def __init__(self, data: Path, plan: Plan) -> None:
        self._disk = LocalDisk(data)
        self._workspace = plan.workspace
        self._names = {view.id: view.name for view in plan.views.values()}
        self._next_offsets = dict.fromkeys(range(plan.partitions), 0)
        self._flights: set[int] = set()
        self.views = {
            view.name: ViewRows((*(column.name for column in view.columns), *VERSION)) for view in plan.views.values()
        }

    def read_on(self) -> int:
        """Reads what was appended since the last call; returns how many different flights there are so far."""
        for partition, start in self._next_offsets.items():
            for message in read_updates(self._disk, self._workspace, partition, start):
                update = message.update
                self._next_offsets[partition] = message.offset + 1
                name = self._names[update.view]
                self.views[name].rows += [
                    (*row.values, row.append_time, update.source_partition, row.offset, row.index)
                    for row in update.rows
                ]
                if name == EVERY_FLIGHT:
                    self._flights.update(row.event_time for row in update.rows)
        return len(self._flights)
