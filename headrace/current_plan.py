"""The definitions that are in force, for commands that look once."""

from typing import Final

from infra.kafka.definitions import DefinitionsLog
from schemas.definitions.plan import Plan

READ_SECONDS: Final = 20.0


def current_plan(bootstrap: str, workspace: str) -> Plan | None:
    """Returns a workspace's plan; None if nothing was applied to it.

    Raises:
        UnavailableError: Kafka is away, or was never used by Headrace.
    """
    follower = DefinitionsLog(bootstrap)
    follower.start()
    try:
        follower.read_to_end(READ_SECONDS)
        return follower.plan(workspace)
    finally:
        follower.stop()
