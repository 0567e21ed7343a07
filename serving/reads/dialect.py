"""What a dialect of reads is: how it understands a request and writes an answer. The way between is the pipeline's.

A dialect compiles a part of its own of each feature service (`DialectService`), whenever definitions change: how it
decodes join keys, how it writes values. A request is understood in two steps, as its workspace must be known before
anything of the rest is told to a caller who may not read there.

Invariant: a dialect knows no state, no clock and no socket; it is plain functions of bytes and values.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec
from starlette.types import Scope

from schemas.state.keys import JoinKey
from serving.reads.metering import Meter
from serving.reads.read_plan import LeadingEdge, ReadPlan, ViewAnswer


class ReadCall(msgspec.Struct, frozen=True, gc=False):
    """What a request asks for, once it was understood.

    Attributes:
        service: name of the feature service; None where it is named by id.
        service_id: its id (`schemas.definitions.ids`); None where it is named by name.
        edge: where windows of aggregates end.
        is_metered: whether the answer tells what was read, and how long it took.
        is_explained: whether the answer tells why values are missing.
        asked: the rest, for the dialect alone.
    """

    service: str | None
    service_id: str | None
    edge: LeadingEdge
    is_metered: bool
    is_explained: bool
    asked: Any


class Outline(Protocol):
    """A request whose form was checked as far as its workspace."""

    @property
    def workspace(self) -> str | None:
        """Returns the workspace that it names; None if it names none."""

    def call(self) -> ReadCall:
        """Returns what it asks for.

        Raises:
            RequestError: a part is missing or of the wrong type; the message names it and what was expected.
        """


class DialectService(Protocol):
    """What a dialect compiles of one feature service."""

    def keys(self, asked: Any) -> Sequence[Sequence[JoinKey]]:
        """Returns the join keys that are to be read, each in the order of ``ReadPlan.join_keys``.

        Raises:
            RequestError: a join key is missing, unknown or of the wrong type.
        """

    def encode(self, asked: Any, reads: Sequence[Sequence[ViewAnswer]], meter: Meter | None, seconds: float) -> bytes:
        """Returns the body of the answer.

        Args:
            asked: of the call.
            reads: what was read for each of ``keys``: one answer for each view of the plan.
            meter: of the reads, if the call is metered.
            seconds: since the request came.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadDialect:
    """A dialect of reads.

    Attributes:
        name: unique among the dialects of a server.
        max_body_bytes: longest body that is read.
        advice: what a caller can do whose body is longer.
        too_many: how a refusal reads while as many reads are in work as there may be.
        outline: understands the first part of a request, from its scope and its body; raises ``RequestError``.
        compile: makes the dialect's part of a service; raises ``HeadraceError`` if it cannot.
        about: returns how a refusal that concerns a service begins, from workspace and service.
    """

    name: str
    max_body_bytes: int
    advice: str
    too_many: str
    outline: Callable[[Scope, bytes], Outline]
    compile: Callable[[ReadPlan], DialectService]
    about: Callable[[str, str], str]
