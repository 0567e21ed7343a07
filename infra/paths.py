"""Where things lie in the data folder: one function for each, used by whoever writes and whoever reads.

Invariant: a path is a function of what it holds (workspace, source, partition), never of the process that uses it, so
that another process finds it again.

Names of workspaces and sources have no ``/`` (``infra.settings.NAME``, ``schemas.definitions.objects.NAME``).
"""

from pathlib import Path
from typing import Final

ADMIN_KEY: Final = "admin.key"
"""Name of the file of the key that `headrace up` made, for help and messages."""


def admin_key_path(data: Path) -> Path:
    """Returns the file of the key with which whoever may read the data folder administers it."""
    return data / ADMIN_KEY


def access_path(data: Path) -> Path:
    """Returns the database of accounts and keys, unless settings name another."""
    return data / "access.db"


def installation_path(data: Path) -> Path:
    """Returns the file that keeps the installation's id (``infra.installation``)."""
    return data / "installation"


def up_lock_path(data: Path) -> Path:
    """Returns the file that the one ``headrace up`` of a data folder holds."""
    return data / "up.lock"


def kafka_path(data: Path) -> Path:
    """Returns the folder of the local Kafka (``infra.local_kafka``)."""
    return data / "kafka"


def state_path(data: Path, workspace: str, partition: int) -> Path:
    """Returns the folder of the database of one updates partition."""
    return data / "state" / workspace / f"partition={partition}"


def version_path(data: Path, workspace: str, partition: int) -> Path:
    """Returns the file in which the writer of that database publishes its version; it outlives the database."""
    return data / "state" / workspace / f"partition={partition}.version"


def secondaries_path(data: Path, workspace: str, partition: int) -> Path:
    """Returns the folder under which each secondary of that database makes a folder of its own for its info logs."""
    return data / "serving" / workspace / f"partition={partition}"


def offline_log_folder(workspace: str, partition: int) -> str:
    """Returns the folder of the offline log of one updates partition, relative to the data folder (``Disk``)."""
    return f"log/{workspace}/partition={partition}"


def source_log_folder(workspace: str, source: str, partition: int) -> str:
    """Returns the folder of the log of one source partition, relative to the data folder (``Disk``)."""
    return f"log/{workspace}/source={source}/partition={partition}"


def processor_urls_path(data: Path) -> Path:
    """Returns the folder in which processors say where they tell of themselves (``infra.processor_urls``)."""
    return data / "processors"


def in_flight_path(data: Path, topic: str, partition: int) -> Path:
    """Returns the file that names what of a source partition is in work (``processors.execution.in_flight``)."""
    return data / "inflight" / topic / f"partition={partition}"
