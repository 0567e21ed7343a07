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

from schemas.definitions.plan import IDENTITY_PLAN_FORMAT, PLAN_FORMAT, Plan, RetiredView, ViewPlan, check_known
from schemas.errors import CodecError, DefinitionError

VIEW_FORMAT: Final = 1
ENDED_FORMAT: Final = 1


class _View(msgspec.Struct, frozen=True):
    format: int
    view: ViewPlan


class _Ended(msgspec.Struct, frozen=True):
    format: int
    since: int


class _Format(msgspec.Struct, frozen=True):
    """What messages of every format begin with, plans too."""

    format: int


_UNDECODABLE: Final = (msgspec.DecodeError, UnicodeDecodeError)
_JSON: Final = msgspec.json.Encoder(order="deterministic")
_ENDED: Final = msgspec.json.Decoder(_Ended)
_PLAN: Final = msgspec.json.Decoder(Plan)
_VIEW: Final = msgspec.json.Decoder(_View)
_FORMAT: Final = msgspec.json.Decoder(_Format)


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
    if isinstance(document, ViewPlan):
        return _JSON.encode(_View(VIEW_FORMAT, document))
    if document.has_identity:
        document = msgspec.structs.replace(document, format=IDENTITY_PLAN_FORMAT)
    return _JSON.encode(document)


def encode_ended(retired: RetiredView) -> bytes:
    """Returns the message that a retired view has ended; it means this retirement of it and no later one."""
    return _JSON.encode(_Ended(ENDED_FORMAT, retired.since))


def decode_ended(data: bytes) -> int:
    """Returns since which plan the view was retired that a message says has ended.

    Raises:
        CodecError: the message does not say it.
    """
    _check_format("message of an end", data, ENDED_FORMAT)
    try:
        return _ENDED.decode(data).since
    except _UNDECODABLE as error:
        raise CodecError(f"the message of an end does not decode: {error}") from error


def decode_plan(number: int, data: bytes) -> Plan:
    """Returns the plan in a message.

    Args:
        number: the message's offset.
        data: its value.

    Raises:
        CodecError: it is not a plan, or of a format that this version does not know.
    """
    _check_format(f"plan {number}", data, PLAN_FORMAT, IDENTITY_PLAN_FORMAT)
    try:
        plan = _PLAN.decode(data)
    except _UNDECODABLE as error:
        raise CodecError(f"plan {number} does not decode: {error}") from error
    try:
        for view in plan.folded_views().values():
            check_known(view)
    except DefinitionError as error:
        raise CodecError(f"plan {number} is of a later version: {error.message}") from error
    return msgspec.structs.replace(plan, number=number)


def decode_view(offset: int, data: bytes) -> ViewPlan:
    """Returns the view in a message; its id is the message's offset.

    Raises:
        CodecError: it is not a view.
    """
    _check_format(f"view message {offset}", data, VIEW_FORMAT)
    try:
        return msgspec.structs.replace(_VIEW.decode(data).view, id=offset)
    except _UNDECODABLE as error:
        raise CodecError(f"view message {offset} does not decode: {error}") from error


def _check_format(what: str, data: bytes, *known: int) -> None:
    """Refuses a message of another format by name of it, before anything else of it is looked at.

    Raises:
        CodecError: it is of another format, or of none.
    """
    try:
        found = _FORMAT.decode(data).format
    except _UNDECODABLE as error:
        raise CodecError(f"{what} does not decode: {error}") from error
    if found not in known:
        remedy = "upgrade Headrace" if found > max(known) else "run `headrace apply` again with this version"
        raise CodecError(f"{what} has format {found}, expected {' or '.join(map(str, known))}; {remedy}")
