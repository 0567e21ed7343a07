"""Every served value, computed a second time: by DuckDB, in SQL, from the rows of the offline log.

Invariant: nothing of Headrace's reading, windows or aggregation is used here; what a feature means is taken from the
repository as its author wrote it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import duckdb

from examples.flights.offline import VERSION, ViewRows
from examples.flights.reads import Reading, Served
from examples.flights.repository.flights import departures
from headrace import AggregateFeature, StreamFeatureView

MICROSECOND: Final = timedelta(microseconds=1)
UNITS: Final = (("d", timedelta(days=1)), ("h", timedelta(hours=1)), ("m", timedelta(minutes=1)))

AGGREGATES: Final = {
    "count": "nullif(count({column}) FILTER ({window}), 0)",
    "sum": "CAST(sum({column}) FILTER ({window}) AS {type})",
    "mean": "CAST(sum({column}) FILTER ({window}) AS DOUBLE) / count({column}) FILTER ({window})",
    "min": "min({column}) FILTER ({window})",
    "max": "max({column}) FILTER ({window})",
    "last": "list({column} ORDER BY {time}) FILTER ({window} AND {column} IS NOT NULL)[-{n}:]",
}
"""An aggregate over nothing is null, also a count. Sums are exact: delays and distances are whole numbers."""

SQL_TYPES: Final[Mapping[type, str]] = {bool: "BOOLEAN", int: "BIGINT", float: "DOUBLE", str: "VARCHAR"}


@dataclass(frozen=True, slots=True)
class Expected:
    """What one view should have served for one key at one leading edge; the time is None where there is no row."""

    effective_time: int | None
    values: Mapping[str, Any]


def differences(readings: Sequence[Reading], views: Mapping[str, ViewRows]) -> list[str]:
    """Returns what was served otherwise than DuckDB computes it; empty if all is equal.

    Args:
        readings: answers of the service ``departures``.
        views: rows of the offline log, by view.
    """
    found: list[str] = []
    for view in departures.features:
        key = view.entities[0].join_keys[0].name
        wanted = {(reading.keys[key], _edge(view, reading.leading_edge)) for reading in readings}
        expected = _expected(view, key, views[view.name], wanted)
        for reading in readings:
            value = reading.keys[key]
            found += _compare(view, value, reading, expected[value, _edge(view, reading.leading_edge)])
    for reading in readings:
        if not reading.asked_at <= reading.leading_edge <= reading.answered_at:
            found.append(
                f"{reading.keys}: asked at {reading.asked_at} and answered at {reading.answered_at}, "
                f"but read as of {reading.leading_edge} µs"
            )
    return found


def _compare(view: StreamFeatureView, key: str, reading: Reading, expected: Expected) -> Iterator[str]:
    served = {each.name: each for each in reading.features if each.name.startswith(f"{view.name}.")}
    if served.keys() != expected.values.keys():
        yield f"{view.name}: served {sorted(served)}, expected {sorted(expected.values)}"
        return
    for name, value in expected.values.items():
        status = "MISSING_DATA" if value is None else "PRESENT"
        wanted = Served(name, value, status, expected.effective_time)
        if served[name] != wanted or type(served[name].value) is not type(value):
            yield f"{name} of {key} at {reading.leading_edge} µs: served {served[name]}, DuckDB says {wanted}"


def _expected(
    view: StreamFeatureView, key: str, rows: ViewRows, wanted: Iterable[tuple[str, int]]
) -> dict[tuple[str, int], Expected]:
    """Returns what DuckDB computes of one view, by key and leading edge (µs)."""
    with duckdb.connect() as database:
        columns = dict(zip(rows.columns, _columns(rows), strict=True))
        types = {name: _sql_type(values) for name, values in columns.items()}
        keys, edges = zip(*wanted, strict=True)
        _create_table(database, "log", columns, types)
        _create_table(database, "reads", {"key": keys, "edge": edges}, {"key": types[key], "edge": "BIGINT"})
        database.execute(_winners(view, key))
        names, query = _aggregates(view, types) if view.features else _newest(view, key, types)
        return {
            (row[0], row[1]): Expected(row[2], dict(zip(names, row[3:], strict=True)))
            for row in database.execute(query).fetchall()
        }


def _columns(rows: ViewRows) -> Iterable[Sequence[Any]]:
    return zip(*rows.rows, strict=True) if rows.rows else [()] * len(rows.columns)


def _sql_type(values: Sequence[Any]) -> str:
    """Returns the type of a column's values; those of a column without any value are never looked at."""
    kinds = {type(value) for value in values if value is not None} or {float}
    (kind,) = kinds
    return SQL_TYPES[kind]


def _create_table(
    database: duckdb.DuckDBPyConnection, table: str, columns: Mapping[str, Sequence[Any]], types: Mapping[str, str]
) -> None:
    """Each column goes over as one list, which is as quick as Arrow (0.4 s a year of flights) and one package less."""
    selected = ", ".join(f"unnest(${name}::{types[name]}[]) AS {name}" for name in columns)
    database.execute(f"CREATE TABLE {table} AS SELECT {selected}", dict(columns))


def _winners(view: StreamFeatureView, key: str) -> str:
    """Of the rows with one key and event time, the one with the greatest version counts; too old ones cannot."""
    version = ", ".join(f"{column} DESC" for column in VERSION)
    longest = max((aggregate.window // MICROSECOND for aggregate in view.features), default=None)
    since = f" WHERE {view.timestamp_field} >= (SELECT min(edge) FROM reads) - {longest}" if longest else ""  # noqa: S608 - as below
    return f"""
        CREATE TABLE winners AS
        SELECT *, {key} AS key, {view.timestamp_field} AS time FROM log{since}
        QUALIFY row_number() OVER (PARTITION BY {key}, {view.timestamp_field} ORDER BY {version}) = 1
    """  # noqa: S608 - all names are of the repository


def _aggregates(view: StreamFeatureView, types: Mapping[str, str]) -> tuple[list[str], str]:
    longest = max(aggregate.window // MICROSECOND for aggregate in view.features)
    values = ", ".join(_aggregate(view, aggregate, types) for aggregate in view.features)
    names = [f"{view.name}.{_feature_name(view, aggregate)}" for aggregate in view.features]
    query = f"""
        SELECT reads.key, edge, edge, {values}
        FROM reads LEFT JOIN winners ON winners.key = reads.key AND time BETWEEN edge - {longest} AND edge
        GROUP BY reads.key, edge
    """  # noqa: S608 - all names are of the repository
    return names, query


def _aggregate(view: StreamFeatureView, aggregate: AggregateFeature, types: Mapping[str, str]) -> str:
    """Tiled windows are ``[edge - w, edge)`` with the edge at a tile's end, continuous ones ``(edge - w, edge]``."""
    width = aggregate.window // MICROSECOND
    bounds = ("time >= edge - {} AND time < edge", "time > edge - {} AND time <= edge")
    window = bounds[view.aggregation_interval is None].format(width)
    n = dict(aggregate.parameters).get("n")
    text = AGGREGATES[aggregate.function].format(
        column=aggregate.column,
        window=f"WHERE {window}",
        time="time",
        type=types[aggregate.column],
        n=n or 1,
    )
    return f"({text})[1]" if aggregate.function == "last" and n is None else text


def _newest(view: StreamFeatureView, key: str, types: Mapping[str, str]) -> tuple[list[str], str]:
    """An attribute view serves its newest row at or before the leading edge."""
    columns = [name for name in types if name not in (key, view.timestamp_field, *VERSION)]
    values = ", ".join(f"winners.{column}" for column in columns)
    query = f"""
        SELECT reads.key, edge, winners.time, {values}
        FROM reads ASOF LEFT JOIN winners ON winners.key = reads.key AND winners.time <= edge
    """  # noqa: S608 - all names are of the repository
    return [f"{view.name}.{column}" for column in columns], query


def _edge(view: StreamFeatureView, leading_edge: int) -> int:
    """Returns where a view's windows end: tiled ones with the last complete tile."""
    return leading_edge - (
        leading_edge % (view.aggregation_interval // MICROSECOND) if view.aggregation_interval else 0
    )


def _feature_name(view: StreamFeatureView, aggregate: AggregateFeature) -> str:
    """Returns ``{column}_{function}_{window}_{interval}``."""
    function = "_".join([aggregate.function, *(str(value) for _, value in aggregate.parameters)])
    interval = "continuous" if view.aggregation_interval is None else _duration(view.aggregation_interval)
    return f"{aggregate.column}_{function}_{_duration(aggregate.window)}_{interval}"


def _duration(length: timedelta) -> str:
    unit, width = next((unit, width) for unit, width in UNITS if length % width == timedelta(0))
    return f"{length // width}{unit}"
