"""What a caller should be told of records that were stored, but perhaps not as was meant, in words.

A notice says how many and why; it is never an error: the records are in Kafka and in the offline log.

Invariant: a message depends on the source and the view alone, so that the counts of several calls can be added up.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from ingest_api.ingestion.sources import Source
from schemas.definitions.plan import ViewPlan
from schemas.instants import duration_text
from schemas.messages.updates import FUTURE, LATE, OFFLINE_ONLY, REPLACED, SUPERSEDED

WITHOUT_ZONE: Final = "without_zone"
"""Kind of the notice of event times that were taken as UTC, as they name no zone."""


@dataclass(frozen=True, slots=True)
class Notice:
    """Something to be told of a source's records.

    Attributes:
        view: that it is about; None if it is about the source.
        kind: one of ``ROW_OUTCOMES``, ``FUTURE`` or ``WITHOUT_ZONE``.
        count: of the view's rows, or of the source's records.
        message: what it means and what to do, to be read after the count and the kind.
    """

    view: ViewPlan | None
    kind: str
    count: int
    message: str


def notices(source: Source, became: Mapping[str, Mapping[str, int]], without_zone: int) -> Iterator[Notice]:
    """Yields what to tell of one source's records.

    Args:
        source: that they are of.
        became: by view key, how many rows had which outcome.
        without_zone: how many records have an event time without a zone.
    """
    if without_zone:
        field = source.timestamp_field
        message = f"taken as UTC, since '{field}' names no zone; write it with Z or an offset, as in +02:00"
        yield Notice(None, WITHOUT_ZONE, without_zone, message)
    for view in source.views:
        counts = became.get(view.key, {})
        for kind, text in _TEXTS.items():
            if counts.get(kind):
                yield Notice(view, kind, counts[kind], text(view))


def _identity(view: ViewPlan) -> str:
    names = (*view.join_keys, view.timestamp_field, *view.identity)
    return f"{', '.join(names[:-1])} and {names[-1]}"


def _replaced(view: ViewPlan) -> str:
    return (
        f"an event of the same {_identity(view)} was there, which together say which event it is; if these are "
        f"different events, name what tells them apart in identity=[...] of source {view.source!r}, and give the view "
        "a new version"
    )


def _superseded(view: ViewPlan) -> str:
    return f"an event of the same {_identity(view)} that Kafka took later was there already; nothing changed"


def _late(view: ViewPlan) -> str:
    return (
        f"in no feature, since {view.timestamp_field} was more than {duration_text(view.horizon or 0)} ago when Kafka "
        "took the record, the view's longest window and grace; the offline log has it"
    )


def _future(view: ViewPlan) -> str:
    return (
        f"in no feature before {view.timestamp_field}, which was still to come when Kafka took the record; if it is "
        "wrong, correct the producer's clock or the time's zone"
    )


def _offline(_view: ViewPlan) -> str:
    return "in the offline log alone, since the view has online=False"


_TEXTS: Final[Mapping[str, Callable[[ViewPlan], str]]] = {
    REPLACED: _replaced,
    SUPERSEDED: _superseded,
    LATE: _late,
    FUTURE: _future,
    OFFLINE_ONLY: _offline,
}
