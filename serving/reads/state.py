"""Online state as serving reads it: one RocksDB secondary per updates partition.

Invariant: a partition is caught up when it is opened for a request and never between the reads of one request. All of
it happens on one event loop's thread, without an await, so reads and catch-up are never interleaved.
"""

from pathlib import Path

from infra.database.layout import DatabaseResources
from infra.database.secondary import SecondaryDatabase
from infra.logs import get_logger
from infra.paths import secondaries_path, state_path, version_path
from schemas.errors import StorageError, UnavailableError
from schemas.state.keys import digest_key, watermark_key
from schemas.state.values import decode_number
from serving.reads.read_plan import ViewFacts

_log = get_logger(__name__)


class PartitionState:
    """One updates partition of one workspace.

    Args:
        data: the data folder.
        workspace: its name.
        number: of the partition.
        resources: shared by all partitions.
    """

    def __init__(self, data: Path, workspace: str, number: int, resources: DatabaseResources) -> None:
        self.reader = SecondaryDatabase(
            state_path(data, workspace, number),
            secondaries_path(data, workspace, number),
            version_path(data, workspace, number),
            resources=resources,
        )
        self._name = f"partition {number} of workspace {workspace}"
        self._seen = (0, 0)
        self._facts: dict[int, ViewFacts] = {}
        self._failing = False

    def catch_up(self) -> None:
        """Catches up with all that is published.

        Raises:
            UnavailableError: there is no state yet, or it cannot be read now. Paths go to the log, not to callers.
        """
        reader = self.reader
        try:
            reader.refresh()
        except (StorageError, UnavailableError) as error:
            if not self._failing:
                _log.error("state cannot be read", partition=self._name, reason=error.message)
            self._failing = True
            raise UnavailableError(f"the online state of {self._name} cannot be read now; try again") from error
        self._failing = False
        if not reader.available:
            raise UnavailableError(
                f"{self._name} has no online state yet: it comes when a processor first takes the partition; try again"
            )
        seen = (reader.epoch, reader.version)
        if seen != self._seen:
            self._seen = seen
            self._facts.clear()

    def facts(self, view: int) -> ViewFacts:
        """Returns what the state says of a view, as of the latest catch-up."""
        known = self._facts.get(view)
        if known is None:
            digest, watermark = self.reader.get_many([digest_key(view), watermark_key(view)])
            known = self._facts[view] = ViewFacts(digest, None if watermark is None else decode_number(watermark))
        return known


class OnlineState:
    """The partitions of all workspaces, opened when they are first asked for.

    Args:
        data: the data folder, which processors of this host share.
        resources: memory for all of them together.
    """

    def __init__(self, data: Path, resources: DatabaseResources) -> None:
        self._data = data
        self._resources = resources
        self._partitions: dict[tuple[str, int], PartitionState] = {}

    def open(self, workspace: str, number: int) -> PartitionState:
        """Returns an updates partition, caught up.

        Raises:
            UnavailableError: there is no state yet, or it cannot be read now.
        """
        partition = self._partitions.get((workspace, number))
        if partition is None:
            partition = PartitionState(self._data, workspace, number, self._resources)
            self._partitions[workspace, number] = partition
        partition.catch_up()
        return partition

    def close(self) -> None:
        """Closes all partitions."""
        for partition in self._partitions.values():
            partition.reader.close()
        self._partitions.clear()
