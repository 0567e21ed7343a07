"""Arrays of nothing in Avro schemas: items of zero bytes, of which a record of ten bytes can claim 2⁶².

Invariant: under a schema without them, a record has at most one item of an array or a map per byte, so the size of a
message bounds what it decodes to.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

_WRITTEN: Final = frozenset({"boolean", "int", "long", "float", "double", "bytes", "string"})


def empty_items(parsed: Any, named: Mapping[str, Any]) -> str | None:
    """Returns the type of items that take no bytes, as JSON has it, or None where every array has real items.

    Args:
        parsed: a schema as fastavro parsed it.
        named: its named types, by full name.
    """
    known: dict[str, bool] = {}
    for name, kind in named.items():  # in the order of their definitions, so that none is deep in others
        known[name] = _takes_no_bytes(kind, known)
    for kind in _parts(parsed):
        if isinstance(kind, dict) and kind.get("type") == "array" and _takes_no_bytes(kind["items"], known):
            items = kind["items"]
            return str(items.get("name", items["type"]) if isinstance(items, dict) else items)
    return None


def _parts(kind: Any) -> Iterator[Any]:
    """Yields a type and all types inside it; a type that is used by name is inside the place that defines it."""
    yield kind
    if isinstance(kind, list):
        inner = kind
    elif isinstance(kind, dict):
        fields = [field["type"] for field in kind.get("fields", ())]
        inner = fields + [kind[name] for name in ("type", "items", "values") if isinstance(kind.get(name), dict | list)]
    else:
        return
    for part in inner:
        yield from _parts(part)


def _takes_no_bytes(kind: Any, known: Mapping[str, bool]) -> bool:
    """Returns whether values of a type are written as nothing.

    Args:
        kind: the type.
        known: the same of named types; one that is missing is a record around this type, and what holds itself has no
            end, so that only what else it holds counts.
    """
    if isinstance(kind, str):
        return kind == "null" or (kind not in _WRITTEN and known.get(kind, True))
    if not isinstance(kind, dict):
        return False  # a union writes which of its types it holds
    match kind["type"]:
        case "record" | "error":
            return all(_takes_no_bytes(field["type"], known) for field in kind["fields"])
        case "fixed":
            return not kind["size"]
        case inner:
            return inner == "null" or (isinstance(inner, dict) and _takes_no_bytes(inner, known))
