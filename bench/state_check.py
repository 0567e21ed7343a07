"""Counts what a processor left behind, with readers that change nothing.

Invariant: a run counts only if the offline log holds every event sent, and state and tiles each identity once.
"""

from dataclasses import dataclass
from pathlib import Path

from bench.harness import BenchmarkError
from infra.database.layout import DatabaseResources
from infra.database.secondary import SecondaryDatabase
from infra.paths import state_path, version_path
from infra.segments.disk import LocalDisk
from processors.logs.offline_log import read_updates
from schemas.definitions.plan import Plan, ViewPlan
from schemas.state.keys import row_prefix, tile_prefix, tile_suffix
from schemas.state.values import FIRST_PARTIAL, decode

RESOLUTION_AND_START = 16  # bytes at the end of a tile's key


@dataclass(frozen=True, slots=True)
class Held:
    """How many events each store holds."""

    rows: int
    counted_in_tiles: int
    logged: int


def held(data: Path, plan: Plan, view: ViewPlan, scratch: Path) -> Held:
    """Returns what all partitions of a view hold.

    Args:
        data: the data folder.
        plan: the applied plan.
        view: an aggregate view with a ``count``.
        scratch: for the readers' own files.
    """
    resources = DatabaseResources.of_sizes()
    disk = LocalDisk(data)
    workspace = plan.workspace
    rows = counted = logged = 0
    for partition in range(plan.partitions):
        reader = SecondaryDatabase(
            state_path(data, workspace, partition),
            scratch / f"partition={partition}",
            version_path(data, workspace, partition),
            resources=resources,
        )
        reader.refresh()
        rows += sum(1 for _ in reader.scan(row_prefix(view.id, b""), row_prefix(view.id + 1, b"")))
        counted += _counted(reader, view)
        reader.close()
        messages = read_updates(disk, workspace, partition)
        logged += sum(len(message.update.rows) for message in messages if message.update.view == view.id)
    return Held(rows, counted, logged)


def _counted(reader: SecondaryDatabase, view: ViewPlan) -> int:
    finest = tile_suffix(view.resolutions[0], 0)[:8]
    count = FIRST_PARTIAL + next(i for i, partial in enumerate(view.partials) if partial.kind == "count")
    tiles = reader.scan(tile_prefix(view.id, b""), tile_prefix(view.id + 1, b""))
    return sum(decode(value)[count] for key, value in tiles if key[-RESOLUTION_AND_START:-8] == finest)


def check_held(sent: int, identities: int, found: Held) -> None:
    """Compares with what was sent: the log has all of it, rows and tiles each identity once.

    Raises:
        BenchmarkError: a store holds more or less.
    """
    expected = Held(rows=identities, counted_in_tiles=identities, logged=sent)
    if found != expected:
        raise BenchmarkError(f"expected {expected}, found {found}")
