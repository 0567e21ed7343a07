"""Descriptions as people read them: facts line by line, tables, and the text of the definition.

Invariant: what is shown is what the documents say (``headrace.inspection.description``), in words.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from headrace.inspection import dead_letters
from headrace.inspection.description import Document
from headrace.inspection.words import counted, duration_words, json_text
from schemas.instants import SECOND

NAME_WIDTH: Final = 14

UNKNOWN_ROWS: Final = "unknown here: their state is not in this data folder; --data names another"


class Grid(NamedTuple):
    """A table."""

    heads: Sequence[str]
    rows: Sequence[Sequence[object]]


Lines = Iterator[str | Grid]


def source_lines(source: Document) -> Lines:
    """Yields what to show of a source."""
    yield f"stream source {source['name']}{_retired(source)}"
    yield from _facts(
        {
            "topic": f"{source['topic']}, {counted(source['partitions'], 'partition')}",
            "schema id": source["schema_id"],
            "timestamp": source["timestamp_field"],
            "identity": ", ".join(source["identity"]),
            "offline log": "kept" if source["log_offline"] else "not kept (log_offline=False)",
            "views": ", ".join(source["views"]) or "none",
            "records": f"{source['records']:,} in Kafka now",
            "dead letters": f"{source['dead_letters']:,} in {source['dead_letter_topic']}",
        }
    )
    yield _columns(source)
    yield from _definition(source)
    if source["newest"]:
        yield "\nnewest events"
        yield Grid(["time", "partition/offset", "record"], [_event(each) for each in source["newest"]])
    if source["newest_dead_letters"]:
        yield "\nnewest dead letters"
        every = source["newest_dead_letters"]
        yield Grid(dead_letters.HEADS, [line for letter in every for line in dead_letters.rows(letter)])
    yield ""


def view_lines(view: Document) -> Lines:
    """Yields what to show of a view."""
    yield f"feature view {view['name']}@{view['version']}{_retired(view)}"
    yield from _facts(
        {
            "kind": _kind(view),
            "source": f"{view['source']} (topic {view['topic']})",
            "join keys": ", ".join(f"{each['name']} {each['type']}" for each in view["join_keys"]),
            "timestamp": view["timestamp_field"],
            "identity": ", ".join(view["identity"]),
            "horizon": _horizon(view),
            "grace": _length(view["grace_seconds"]),
            "ttl": _length(view["ttl_seconds"]),
            "kept": " and ".join([name for name in ("online", "offline") if view[name]]) or "nowhere",
            "services": ", ".join(view["services"]) or "none",
            **_rows(view["online_rows"]),
        }
    )
    yield _columns(view)
    heads = ["feature", "type", "function", "column", "window", "offset"]
    yield ""
    yield Grid(heads, [_feature(each) for each in view["features"]])
    yield from _definition(view)
    yield ""


def service_lines(service: Document) -> Lines:
    """Yields what to show of a service."""
    yield f"feature service {service['name']}"
    keys = service["join_keys"]
    given = " ".join(f"{each['name']}=..." for each in keys)
    yield from _facts(
        {
            "join keys": ", ".join(f"{each['name']} {each['type']}" for each in keys),
            "online": "served" if service["online_serving_enabled"] else "not served (online_serving_enabled=False)",
            "read it with": f"headrace get {service['name']} {given}",
        }
    )
    yield ""
    features = [[each["name"], each["type"], each["view"]] for each in service["features"]]
    yield Grid(["feature", "type", "view"], features)
    yield from _definition(service)
    yield ""


def _facts(facts: Mapping[str, object]) -> Iterator[str]:
    for name, text in facts.items():
        if text not in (None, ""):
            yield f"  {name:<{NAME_WIDTH}}{text}"


def _retired(document: Document) -> str:
    return ", retired: removed, still computed, served no longer" if document["is_retired"] else ""


def _kind(view: Document) -> str:
    match view["kind"]:
        case "tiled":
            return f"tiled: windows end at the last complete {_length(view['aggregation_interval_seconds'])}"
        case "continuous":
            return "continuous: windows end at the read"
        case _:
            return "attribute: the newest row of each key"


def _horizon(view: Document) -> str:
    if view["horizon_seconds"] is None:
        return "none: a row is never late"
    return f"{_length(view['horizon_seconds'])}: a row that is older when Kafka takes its record is late"


def _rows(rows: Document | None) -> dict[str, str]:
    """Returns what to tell of online state; None of a view that keeps nothing there."""
    if rows is None:
        return {"rows online": "none are kept (online=False)"}
    known = [each for each in rows["partitions"] if not each["problem"]]
    unknown = [each for each in rows["partitions"] if each["problem"]]
    if not known:
        return {"rows online": UNKNOWN_ROWS}
    least = "" if rows["is_all"] else "at least "
    where = ", ".join(f"{each['partition']}: {each['rows']:,}{'' if each['is_all'] else '+'}" for each in known)
    beside = "".join(f"; partition {each['partition']} unknown: {each['problem']}" for each in unknown)
    return {
        "rows online": f"{least}{rows['rows']:,} of {least}{counted(rows['keys'], 'key')} (partition {where}){beside}",
        "watermark": rows["watermark"] or "none: no event yet",
    }


def _columns(document: Document) -> Grid:
    return Grid(
        ["column", "type", "required"], [[each["name"], each["type"], each["required"]] for each in document["columns"]]
    )


def _feature(feature: Document) -> list[object]:
    function, parameters = feature["function"], feature["parameters"]
    given = f"({', '.join(f'{name}={value}' for name, value in parameters.items())})" if parameters else ""
    return [
        feature["name"],
        feature["type"],
        "newest value" if function is None else f"{function}{given}",
        feature["column"],
        _length(feature["window_seconds"]),
        _length(feature["offset_seconds"]) if feature["offset_seconds"] else "",
    ]


def _event(event: Document) -> list[object]:
    record = event["record"]
    place = f"{event['partition']}/{event['offset']}"
    return [event["time"], place, f"no record: {event['problem']}" if record is None else json_text(record)]


def _definition(document: Document) -> Iterator[str]:
    found: Mapping[str, Any] | None = document["definition"]
    if found is None:
        yield "\ndefined by code of the repository whose text does not name it"
        return
    yield f"\n{found['path']}, line {found['line']}"
    yield found["text"]


def _length(seconds: float | None) -> str:
    return "" if seconds is None else duration_words(round(seconds * SECOND))
