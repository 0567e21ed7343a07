"""The applied definitions, followed by every process and published by ``headrace apply``.

Invariant: all processes that have read the topic to the same offset hold the same plans.
"""

from collections.abc import Callable, Mapping

from confluent_kafka import Producer

from infra.kafka.clients import produce_checked
from infra.kafka.topic_follower import TopicFollower
from infra.logs import get_logger
from schemas.definitions.fold import Definitions
from schemas.definitions.plan import Plan, ViewPlan
from schemas.definitions.plan_codec import encode, plan_key, view_key
from schemas.errors import CodecError, UnavailableError
from schemas.topics import DEFINITIONS_TOPIC

_log = get_logger(__name__)


class DefinitionsLog:
    """Holds the newest plan of each workspace, and every view there ever was; safe to read from any thread.

    Args:
        bootstrap: ``HOST:PORT``, several joined by commas.
    """

    def __init__(self, bootstrap: str) -> None:
        self._definitions = Definitions()
        self._views: dict[str, dict[int, ViewPlan]] = {}
        self._follower = TopicFollower(bootstrap, DEFINITIONS_TOPIC, self._on_record)
        self._subscribers: list[Callable[[], None]] = []
        self._problems: dict[bytes, str] = {}  # by key of the message that cannot be used

    @property
    def failure(self) -> str | None:
        """What keeps the definitions of every workspace from being current, or None; see also ``unreadable``."""
        return self._follower.failure

    def start(self) -> None:
        """Begins to follow; returns at once."""
        self._follower.start()

    def stop(self) -> None:
        """Ends; nothing is called back afterwards."""
        self._follower.stop()

    def read_to_end(self, timeout_seconds: float) -> None:
        """Waits until all that was in the topic when this was called has been read.

        Raises:
            UnavailableError: it was not, in time.
        """
        self._follower.read_to_end(timeout_seconds)

    def workspaces(self) -> tuple[str, ...]:
        """Returns the names of all workspaces that have a plan, sorted."""
        return tuple(sorted(self._definitions.plans))

    def plan(self, workspace: str) -> Plan | None:
        """Returns a workspace's plan; None before its first apply."""
        return self._definitions.plans.get(workspace)

    def unreadable(self, workspace: str) -> str | None:
        """Returns why a workspace's newest plan cannot be used, or None if it can."""
        return self._problems.get(plan_key(workspace))

    def views_of(self, workspace: str) -> Mapping[int, ViewPlan]:
        """Returns every view that was ever applied to a workspace, by id; what is applied later appears in it."""
        return self._views.setdefault(workspace, {})

    def subscribe(self, callback: Callable[[], None]) -> None:
        """Has a function called, in the follower's thread, after each message of the topic."""
        self._subscribers.append(callback)

    def read_to(self, workspace: str, number: int, timeout: float) -> None:
        """Reads until a workspace's plan is as new as ``number``, or there turns out to be no such plan.

        A plan's number is the offset of its message, and who names it has seen it there: the topic's end tells.

        Args:
            workspace: its name.
            number: a plan number met in a message; whoever writes messages can make one up.
            timeout: seconds.

        Raises:
            UnavailableError: the topic cannot be read now, or the plan may be one that this process cannot use.
        """
        if self._has(workspace, number):
            return
        self.read_to_end(timeout)
        if not self._has(workspace, number) and (problem := self.unreadable(workspace)):
            raise UnavailableError(f"plan {number} of workspace {workspace!r} is not known here: {problem}")

    def _has(self, workspace: str, number: int) -> bool:
        plan = self.plan(workspace)
        return plan is not None and plan.number >= number

    def _on_record(self, offset: int, key: bytes, value: bytes | None) -> None:
        try:
            self._definitions.take(offset, key, value)
            self._problems.pop(key, None)
        except CodecError as error:
            # The plan before it stays in force; readiness and the log say why.
            self._problems[key] = f"definitions message {offset} cannot be used: {error}"
            _log.error("definitions message refused", offset=offset, problem=str(error))
        if offset in self._definitions.views:
            workspace = self._definitions.workspace_of[offset]
            self._views.setdefault(workspace, {})[offset] = self._definitions.views[offset]
        for callback in self._subscribers:
            callback()


def publish_view(producer: Producer, workspace: str, view: ViewPlan, nonce: str) -> int:
    """Writes a new view's own message and returns its offset, which is the view's id from now on.

    Raises:
        UnavailableError: Kafka did not take it.
    """
    key = view_key(workspace, view.name, view.version, nonce)
    return produce_checked(producer, DEFINITIONS_TOPIC, key, encode(view), partition=0)


def publish_plan(producer: Producer, plan: Plan) -> int:
    """Writes a plan and returns its number.

    Raises:
        UnavailableError: Kafka did not take it.
    """
    return produce_checked(producer, DEFINITIONS_TOPIC, plan_key(plan.workspace), encode(plan), partition=0)
