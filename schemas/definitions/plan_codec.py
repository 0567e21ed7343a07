"""Plans and views as messages of the topic of definitions: keys and values.

Invariant: what one version of Headrace wrote is read by all later ones, or refused by name of its format.

A plan is one JSON message in the compacted topic of definitions, keyed by workspace; its number is its offset. Each
view has a message of its own, never compacted away, whose offset is the view's id: rows in flight and in old log
segments keep their meaning after the view is gone.

A view that was removed is retired first: processors go on folding it, nothing serves it, until its grace of running
time has passed. The processor that sees this says so in a message of its own (``ended_key``), and the view is gone for
everyone who has read it (decision 12).
"""

from typing import Final

import msgspec

from schemas.definitions.plan import PLAN_FORMAT, Plan, RetiredView, ViewPlan
from schemas.errors import CodecError


class _Ended(msgspec.Struct, frozen=True):
    since: int


_JSON: Final = msgspec.json.Encoder(order="deterministic")
_ENDED: Final = msgspec.json.Decoder(_Ended)
_PLAN: Final = msgspec.json.Decoder(Plan)
_VIEW: Final = msgspec.json.Decoder(ViewPlan)


def plan_key(workspace: str) -> bytes:
    """Returns the key of a workspace's plan in the topic of definitions."""
    return f"plan/{workspace}".encode()


def view_key(workspace: str, name: str, version: str, nonce: str) -> bytes:
    """Returns the key of a view's own message; the nonce keeps it from ever being compacted away."""
    return f"view/{workspace}/{name}/{version}/{nonce}".encode()


def ended_key(workspace: str, view: int) -> bytes:
    """Returns the key of the message that a retired view, named by its id, has ended."""
    return f"ended/{workspace}/{view}".encode()


def encode(document: Plan | ViewPlan) -> bytes:
    """Returns the message of a plan or of a view."""
    return _JSON.encode(document)


def encode_ended(retired: RetiredView) -> bytes:
    """Returns the message that a retired view has ended; it means this retirement of it and no later one."""
    return _JSON.encode(_Ended(retired.since))


def decode_ended(data: bytes) -> int:
    """Returns since which plan the view was retired that a message says has ended.

    Raises:
        msgspec.DecodeError: the message does not say it.
    """
    return _ENDED.decode(data).since


def decode_plan(number: int, data: bytes) -> Plan:
    """Returns the plan in a message.

    Args:
        number: the message's offset.
        data: its value.

    Raises:
        CodecError: it is not a plan, or of a format that this version does not know.
    """
    try:
        plan = _PLAN.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CodecError(f"plan {number} does not decode: {error}") from error
    if plan.format != PLAN_FORMAT:
        remedy = "upgrade Headrace" if plan.format > PLAN_FORMAT else "run `headrace apply` again with this version"
        raise CodecError(f"plan {number} has format {plan.format}, expected {PLAN_FORMAT}; {remedy}")
    return msgspec.structs.replace(plan, number=number)


def decode_view(offset: int, data: bytes) -> ViewPlan:
    """Returns the view in a message; its id is the message's offset.

    Raises:
        CodecError: it is not a view.
    """
    try:
        return msgspec.structs.replace(_VIEW.decode(data), id=offset)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CodecError(f"view message {offset} does not decode: {error}") from error
