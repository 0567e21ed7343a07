"""What the topic of definitions says so far, as a fold over its messages.

Invariant: the outcome follows from the messages alone, so all processes that have read the same prefix of the topic
know the same plans and views.
"""

from schemas.definitions.plan import Plan, ViewPlan, without_retired
from schemas.definitions.plan_codec import decode_ended, decode_plan, decode_view
from schemas.errors import CodecError


class Definitions:
    """The newest plan of each workspace, and every view there ever was.

    A fold: ``take`` is called for each message in order, from any one thread; the attributes may be read from any.
    A plan whose retired views have ended is another object with the same number.
    """

    def __init__(self) -> None:
        self.plans: dict[str, Plan] = {}
        self.views: dict[int, ViewPlan] = {}
        self.workspace_of: dict[int, str] = {}
        self._ended: dict[int, int] = {}  # since which plan a view was retired that has ended, by id

    def take(self, offset: int, key: bytes, value: bytes | None) -> None:
        """Takes one message of the topic.

        Raises:
            CodecError: the message is not one of Headrace's.
        """
        kind, _, rest = key.decode(errors="replace").partition("/")
        if value is None:
            self.plans.pop(rest, None)
        elif kind == "plan":
            self.plans[rest] = self._without_ended(decode_plan(offset, value))
        elif kind == "view":
            self.views[offset] = decode_view(offset, value)
            self.workspace_of[offset] = rest.partition("/")[0]
        elif kind == "ended":
            self._end(offset, rest, value)
        else:
            raise CodecError(
                f"message {offset} of the definitions has key {key!r}, expected plan/..., view/... or ended/..."
            )

    def _end(self, offset: int, rest: str, value: bytes) -> None:
        workspace, _, view = rest.rpartition("/")
        try:
            self._ended[int(view)] = decode_ended(value)
        except (ValueError, CodecError) as error:
            raise CodecError(f"message {offset} of the definitions does not tell which view ended: {error}") from error
        if workspace in self.plans:
            self.plans[workspace] = self._without_ended(self.plans[workspace])

    def _without_ended(self, plan: Plan) -> Plan:
        """Returns a plan without the retired views that have ended: an apply may not have known of the newest."""
        ended = [each.view.id for each in plan.retired.values() if self._ended.get(each.view.id) == each.since]
        return without_retired(plan, ended) if ended else plan
