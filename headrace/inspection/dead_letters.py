"""Dead letters as people read them: which record it was, and why it became none of a view's rows.

Invariant: what is in the topic is shown, whoever wrote it: what its headers leave out is empty.

Layout of the headers: ``processors.producer.messages.dead_letter``.
"""

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from headrace.inspection.newest import StoredRecord, newest
from headrace.inspection.words import append_time_text
from processors.producer.messages import (
    DEAD_LETTER_APPEND_TIME,
    DEAD_LETTER_CODE,
    DEAD_LETTER_MESSAGE,
    DEAD_LETTER_OFFSET,
    DEAD_LETTER_PARTITION,
    DEAD_LETTER_VIEW,
)
from schemas.topics import dead_letter_topic

NOT_KNOWN: Final = -1
SIDE_BY_SIDE: Final = 8


class ViewProblem(NamedTuple):
    """Why a view has no rows of a record; ``view`` is its key, empty where no view could see the record."""

    view: str
    code: str
    text: str


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One record that was set aside.

    Attributes:
        time: when the dead letter was written, ms since the epoch.
        partition: of the source's topic; -1 where it is not told.
        offset: there; -1 where it is not told.
        append_time: when Kafka took the source record, ms since the epoch; 0 where it is not known.
        problems: one for each view that failed.
        value: the record's bytes.
    """

    time: int
    partition: int
    offset: int
    append_time: int
    problems: tuple[ViewProblem, ...]
    value: bytes


@dataclass(frozen=True, slots=True)
class DeadLetters:
    """How many dead letters of a source Kafka holds, and the newest of them, oldest first."""

    source: str
    held: int
    newest: tuple[DeadLetter, ...]


def dead_letters(bootstrap: str, workspace: str, source: str, count: int) -> DeadLetters:
    """Reads the newest dead letters of a source.

    Raises:
        UnavailableError: Kafka does not answer.
    """
    found = newest(bootstrap, dead_letter_topic(workspace, source), count)
    return DeadLetters(source, found.held, tuple(map(dead_letter_of, found.records)))


def dead_letters_of(bootstrap: str, workspace: str, sources: Iterable[str], count: int) -> list[DeadLetters]:
    """Reads the newest dead letters of several sources side by side, in the order of their names.

    Raises:
        UnavailableError: Kafka does not answer.
    """
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        return list(pool.map(lambda source: dead_letters(bootstrap, workspace, source, count), sorted(sources)))


def document(letter: DeadLetter) -> dict[str, Any]:
    """Returns what is told of a dead letter as JSON; its bytes are not."""
    return {
        "time": append_time_text(letter.time),
        "partition": letter.partition,
        "offset": letter.offset,
        "problems": [problem._asdict() for problem in letter.problems],
    }


def rows(letter: Mapping[str, Any]) -> list[list[str]]:
    """Returns the lines that a table shows of a dead letter's document, one for each problem."""
    head = [letter["time"], f"{letter['partition']}/{letter['offset']}"]
    return [
        [*(head if not index else ["", ""]), problem["code"], problem["view"] or "(all)", problem["text"]]
        for index, problem in enumerate(letter["problems"])
    ]


HEADS: Final = ("time", "partition/offset", "code", "view", "text")
"""Of a table of ``rows``."""


def dead_letter_of(record: StoredRecord) -> DeadLetter:
    """Returns the dead letter that a record of a dead-letter topic is."""
    texts = {name: value.decode(errors="replace") for name, value in record.headers.items()}
    views = texts.get(DEAD_LETTER_VIEW, "").split(",")
    codes = texts.get(DEAD_LETTER_CODE, "").split(",")
    messages = texts.get(DEAD_LETTER_MESSAGE, "").split("\n")
    problems = tuple(
        ViewProblem(view, codes[index] if index < len(codes) else "", messages[index] if index < len(messages) else "")
        for index, view in enumerate(views)
    )
    return DeadLetter(
        record.time,
        _number(texts.get(DEAD_LETTER_PARTITION)),
        _number(texts.get(DEAD_LETTER_OFFSET)),
        max(0, _number(texts.get(DEAD_LETTER_APPEND_TIME))),
        problems,
        record.value,
    )


def _number(text: str | None) -> int:
    return int(text) if text is not None and text.isascii() and text.isdecimal() else NOT_KNOWN
