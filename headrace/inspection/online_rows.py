"""How many rows of a view online state holds, as far as can be told in a moment.

Invariant: a count is exact or says that it is not; a partition whose state is not on this host is not counted at all.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from headrace.inspection.words import time_text
from infra.database.layout import DatabaseResources
from infra.database.secondary import SecondaryDatabase
from infra.paths import secondaries_path, state_path, version_path
from schemas.definitions.plan import Plan, ViewPlan, view_digest
from schemas.errors import StorageError, UnavailableError
from schemas.state.keys import WITHOUT_TIME, digest_key, view_ranges, watermark_key, without_identity
from schemas.state.reader import Reader
from schemas.state.values import decode_number

MAX_ROWS: Final = 300_000
"""That are looked at, over all partitions."""

MAX_SECONDS: Final = 2.0
"""That looking at them may take."""

_ROWS_PER_LOOK: Final = 1_000  # between two looks at the clock


@dataclass(frozen=True, slots=True)
class PartitionRows:
    """What one updates partition holds of a view.

    Attributes:
        partition: its number.
        rows: how many.
        keys: of how many combinations of join keys.
        is_all: whether these are all; else there are at least so many.
        watermark: greatest event time, µs since the epoch; None before the first event.
        problem: why nothing of it is known here; empty if it is.
    """

    partition: int
    rows: int = 0
    keys: int = 0
    is_all: bool = True
    watermark: int | None = None
    problem: str = ""


def online_rows(data: Path, plan: Plan, view: ViewPlan) -> list[PartitionRows]:
    """Returns what each updates partition of a workspace holds of a view, read from a data folder of this host."""
    resources = DatabaseResources.of_sizes()
    end = time.monotonic() + MAX_SECONDS
    left = MAX_ROWS
    found: list[PartitionRows] = []
    for number in range(plan.partitions):
        share = 1 / (plan.partitions - number)  # what one partition leaves over is for those behind it
        deadline = time.monotonic() + (end - time.monotonic()) * share
        with SecondaryDatabase(
            state_path(data, plan.workspace, number),
            secondaries_path(data, plan.workspace, number),
            version_path(data, plan.workspace, number),
            resources=resources,
        ) as database:
            found.append(_looked_at(database, number, view, round(left * share), deadline))
        left -= found[-1].rows
    return found


def document(every: Sequence[PartitionRows]) -> dict[str, Any]:
    """Returns what is told of a view's rows as JSON: in sum over the partitions that are known, and of each."""
    known = [each for each in every if not each.problem]
    watermark = max((each.watermark for each in known if each.watermark is not None), default=None)
    return {
        "rows": sum(each.rows for each in known),
        "keys": sum(each.keys for each in known),
        "is_all": all(each.is_all and not each.problem for each in every),
        "watermark": None if watermark is None else time_text(watermark),
        "partitions": [
            {name: getattr(each, name) for name in ("partition", "rows", "keys", "is_all", "problem")} for each in every
        ],
    }


def _looked_at(database: SecondaryDatabase, number: int, view: ViewPlan, limit: int, deadline: float) -> PartitionRows:
    try:
        database.refresh()
        if not database.available:
            return PartitionRows(number, problem="its state is not in this data folder")
        return counted(database, number, view, limit, lambda: time.monotonic() < deadline)
    except (StorageError, UnavailableError) as error:
        return PartitionRows(number, problem=error.message)


def counted(state: Reader, number: int, view: ViewPlan, limit: int, has_time: Callable[[], bool]) -> PartitionRows:
    """Counts the rows of a view in the state of a partition.

    Args:
        state: of the partition.
        number: the partition's.
        view: the view.
        limit: how many rows are looked at.
        has_time: whether to go on.
    """
    digest, watermark = state.get_many([digest_key(view.id), watermark_key(view.id)])
    if digest != view_digest(view):  # nothing yet, or of a view that had the id before
        return PartitionRows(number)
    rows = keys = 0
    key = b""
    is_all = True
    for name, _ in state.scan(*view_ranges(view.id)[0]):
        if rows >= limit or (rows % _ROWS_PER_LOOK == 0 and not has_time()):
            is_all = False
            break
        rows += 1
        of = (without_identity(name) if view.identity else name)[WITHOUT_TIME]
        if of != key:
            key = of
            keys += 1
    return PartitionRows(number, rows, keys, is_all, None if watermark is None else decode_number(watermark))
