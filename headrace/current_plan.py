"""The definitions that are in force, for commands that look once."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from infra.kafka.definitions import DefinitionsLog
from infra.kafka.listeners import require_listener
from schemas.definitions.plan import Plan

READ_SECONDS: Final = 20.0


def current_plan(bootstrap: str, workspace: str) -> Plan | None:
    """Returns a workspace's plan; None if nothing was applied to it.

    Raises:
        UnavailableError: Kafka is away, or was never used by Headrace.
    """
    with _read(bootstrap) as definitions:
        return definitions.plan(workspace)


def current_plans(bootstrap: str) -> dict[str, Plan]:
    """Returns the plan of each workspace to which something was applied.

    Raises:
        UnavailableError: Kafka is away, or was never used by Headrace.
    """
    with _read(bootstrap) as definitions:
        plans = {workspace: definitions.plan(workspace) for workspace in definitions.workspaces()}
    return {workspace: plan for workspace, plan in plans.items() if plan is not None}


@contextmanager
def _read(bootstrap: str) -> Iterator[DefinitionsLog]:
    require_listener(bootstrap)
    follower = DefinitionsLog(bootstrap)
    follower.start()
    try:
        follower.read_to_end(READ_SECONDS)
        yield follower
    finally:
        follower.stop()
