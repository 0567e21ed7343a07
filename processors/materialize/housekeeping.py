"""What a partition does between batches: state is kept readable, what nobody can need is deleted, removed views end.

Invariant: a tick is a bounded piece of work, and deletes by the plan that it is given, so that must be the newest.
"""

from contextlib import suppress

from infra.database.primary import PrimaryDatabase
from infra.logs import get_logger
from infra.metrics import CLOCK_STEP_HELD_SECONDS
from processors.materialize.held_clock import HeldClock
from processors.materialize.retention import FEWEST_KEYS, clocks, next_limit, sweep
from processors.materialize.retirements import Retirements
from schemas.definitions.plan import Plan, RetiredView
from schemas.instants import SECOND
from schemas.state.keys import CLOCK

_log = get_logger(__name__)


class Housekeeping:
    """Of one partition.

    Args:
        database: its state, open.
        clock: of retention.
        workspace: its name.
        partition: which one.

    Raises:
        StorageError: the state cannot be read.
    """

    def __init__(self, database: PrimaryDatabase, clock: HeldClock, workspace: str, partition: int) -> None:
        self._database = database
        self._clock = clock
        self._retirements = Retirements(database)
        self._workspace = workspace
        self._partition = partition
        self._held = CLOCK_STEP_HELD_SECONDS.labels(workspace, str(partition))
        self._holding = False
        self._cursor: bytes | None = None
        self._limit = FEWEST_KEYS

    def tick(self, plan: Plan, now: float) -> list[RetiredView]:
        """Does the next piece; returns the removed views that have been kept for long enough.

        They end once this process reads that, too, so whoever asks tells every process.

        Args:
            plan: the newest.
            now: running time, in seconds.

        Raises:
            StorageError: the state cannot be read or written.
        """
        self._database.heartbeat()
        self._sweep(plan)
        ended = self._retirements.tick(plan.retired, now)
        for each in ended:
            _log.info("removed view ends", view=each.view.key, id=each.view.id, partition=self._partition)
        return ended

    def close(self) -> None:
        """Takes the partition out of the metrics."""
        with suppress(KeyError):
            CLOCK_STEP_HELD_SECONDS.remove(self._workspace, str(self._partition))

    def _sweep(self, plan: Plan) -> None:
        now = self._read_clock()
        writes: list[tuple[bytes, bytes | None]] = []
        if (saved := self._clock.to_save()) is not None:
            writes.append((CLOCK, saved))
        views = {view.id: view for view in plan.folded_views().values()}
        clock_of = clocks(views, self._database, now)
        deletes, self._cursor = sweep(views, clock_of, self._database, self._cursor, self._limit)
        # The more is too old, the more is swept at a time: as fast as it is written, and next to nothing in between.
        self._limit = next_limit(self._limit, len(deletes))
        writes += [(key, None) for key in deletes]
        if writes:
            self._database.write(writes)

    def _read_clock(self) -> int:
        reading = self._clock.read()
        if (reading.ahead > 0) != self._holding:
            self._holding = reading.ahead > 0
            where = {"workspace": self._workspace, "partition": self._partition}
            if self._holding:
                _log.warning(
                    "the host's clock stepped ahead, or no processor ran for long: until the host has run on for the "
                    "hours of clock_hold_hours, retention goes by the time before the step; if the clock is wrong, "
                    "set it right",
                    ahead_seconds=reading.ahead // SECOND,
                    **where,
                )
            else:
                _log.info("retention follows the host's clock again", **where)
        self._held.set(reading.ahead / SECOND)
        return reading.held
