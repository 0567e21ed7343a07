"""The applied definitions, followed by every process and published by ``headrace apply``.

Invariant: all processes that have read the topic to the same offset hold the same plans.
"""

import threading
from collections.abc import Callable, Mapping
from typing import Final

from confluent_kafka import Producer

from infra.kafka_clients import produce_checked
from infra.logs import get_logger
from infra.topic_follower import TopicFollower
from schemas.errors import CodecError, UnavailableError
from schemas.plan import Definitions, Plan, ViewPlan, encode, plan_key, view_key
from schemas.topics import DEFINITIONS_TOPIC

MAX_PLAN_BYTES: Final = 4 * 1024 * 1024

_log = get_logger(__name__)


class DefinitionsFollower:
    """Holds the newest plan of each workspace, and every view there ever was; safe to read from any thread.

    Args:
        bootstrap: ``HOST:PORT``, several joined by commas.
    """

    def __init__(self, bootstrap: str) -> None:
        self._definitions = Definitions()
        self._follower = TopicFollower(bootstrap, DEFINITIONS_TOPIC, self._on_record)
        self._changed = threading.Condition()
        self._subscribers: list[Callable[[], None]] = []
        self._problem: str | None = None

    @property
    def failure(self) -> str | None:
        """What keeps the definitions from being current, or None."""
        return self._follower.failure or self._problem

    @property
    def views(self) -> Mapping[int, ViewPlan]:
        """Every view that was ever applied, by id."""
        return self._definitions.views

    def start(self) -> None:
        """Begin to follow; returns at once."""
        self._follower.start()

    def stop(self) -> None:
        """End; nothing is called back afterwards."""
        self._follower.stop()

    def wait_caught_up(self, timeout: float) -> None:
        """Wait until all that is in the topic now has been read.

        Raises:
            TimeoutError: not within ``timeout`` seconds.
        """
        self._follower.wait_caught_up(timeout)

    def workspaces(self) -> tuple[str, ...]:
        """Return the names of all workspaces that have a plan, sorted."""
        return tuple(sorted(self._definitions.plans))

    def workspace_of(self, view: int) -> str:
        """Return the workspace that a view was applied to."""
        return self._definitions.workspace_of[view]

    def plan(self, workspace: str) -> Plan | None:
        """Return a workspace's plan; None before its first apply."""
        return self._definitions.plans.get(workspace)

    def subscribe(self, callback: Callable[[], None]) -> None:
        """Have a function called, in the follower's thread, after each message of the topic."""
        self._subscribers.append(callback)

    def wait_for(self, workspace: str, number: int, timeout: float) -> Plan:
        """Return the plan of a workspace once it is at least as new as ``number``.

        Args:
            workspace: its name.
            number: a plan number met in a message.
            timeout: seconds.

        Raises:
            UnavailableError: the plan did not come in time.
        """

        def arrived() -> bool:
            plan = self.plan(workspace)
            return plan is not None and plan.number >= number

        with self._changed:
            if not self._changed.wait_for(arrived, timeout):
                why = f" ({self.failure})" if self.failure else ""
                message = f"plan {number} of workspace {workspace!r} did not arrive within {timeout:g} s{why}"
                raise UnavailableError(message)
        plan = self.plan(workspace)
        if plan is None:
            raise UnavailableError(f"workspace {workspace!r} was removed; apply a repository to it")
        return plan

    def _on_record(self, offset: int, key: bytes, value: bytes | None) -> None:
        with self._changed:
            try:
                self._definitions.apply(offset, key, value)
                self._problem = None
            except (CodecError, UnicodeDecodeError) as error:
                # The plan before it stays in force; readiness and the log say why.
                self._problem = f"definitions message {offset} cannot be used: {error}"
                _log.error("definitions message refused", offset=offset, problem=str(error))
            self._changed.notify_all()
        for callback in self._subscribers:
            callback()


def publish_view(producer: Producer, workspace: str, view: ViewPlan, nonce: str) -> int:
    """Write a new view's own message and return its offset, which is the view's id from now on.

    Raises:
        UnavailableError: Kafka did not take it.
    """
    key = view_key(workspace, view.name, view.version, nonce)
    return produce_checked(producer, DEFINITIONS_TOPIC, key, encode(view), partition=0)


def publish_plan(producer: Producer, plan: Plan) -> int:
    """Write a plan and return its number.

    Raises:
        UnavailableError: Kafka did not take it.
    """
    return produce_checked(producer, DEFINITIONS_TOPIC, plan_key(plan.workspace), encode(plan), partition=0)
