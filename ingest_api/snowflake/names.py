"""Names in the Snowflake dialect: an exact match wins; else case does not count, and ambiguity is an error.

Snowflake's SDK writes names in upper case (rule SI-6). Members of structs are matched
exactly: they are no identifiers there.

Invariant: a name is never taken for another one where two could be meant.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Final, TypeVar

from schemas.errors import UNKNOWN_FIELD, UNKNOWN_SOURCE, RecordError

SHOWN_CHARACTERS: Final = 200
"""Of an unknown name: longer than any source's may be."""

LAYOUTS_KEPT: Final = 256
"""Sources whose names are kept ready."""

T = TypeVar("T")


def by_folded_name(names: Iterable[str]) -> dict[str, list[str]]:
    """Returns which names are equal but for case, by their lower-case form."""
    folded: dict[str, list[str]] = {}
    for name in names:
        folded.setdefault(name.lower(), []).append(name)
    return folded


def find_source(name: str, known: Mapping[str, T]) -> T:
    """Returns the stream source that a name means.

    Raises:
        RecordError: there is none, or there are several that differ in case only.
    """
    exact = known.get(name)
    if exact is not None:
        return exact
    meant = by_folded_name(known).get(name.lower(), [])
    if not meant:
        raise RecordError(UNKNOWN_SOURCE, f"Unknown stream source: '{name[:SHOWN_CHARACTERS]}'")
    if len(meant) > 1:
        raise RecordError(UNKNOWN_SOURCE, f"Ambiguous stream source: '{name}' may mean {' or '.join(sorted(meant))}")
    return known[meant[0]]


@lru_cache(LAYOUTS_KEPT)
def field_names(fields: tuple[str, ...]) -> Callable[[object], object]:
    """Returns the function that gives a record's fields the names they have in its source.

    Fields that the source does not have, and what is no object, are left for the validator to refuse. The function
    raises ``RecordError`` if two fields could be meant, or one is given twice.
    """
    known = frozenset(fields)
    folded = by_folded_name(fields)

    def rename(record: object) -> object:
        if type(record) is not dict or known.issuperset(record):
            return record
        renamed: dict[str, object] = {}
        for name, value in record.items():
            meant = [name] if name in known else folded.get(name.lower(), [name])
            if len(meant) > 1:
                raise RecordError(UNKNOWN_FIELD, f"Ambiguous field '{name}': it may mean {' or '.join(sorted(meant))}")
            if meant[0] in renamed or (meant[0] != name and meant[0] in record):
                raise RecordError(UNKNOWN_FIELD, f"Field '{meant[0]}' is given more than once, also as '{name}'")
            renamed[meant[0]] = value
        return renamed

    return rename
