"""What a feature repository is made of: sources, entities, views, aggregates, services.

Invariant: these are values. They check what can be checked from one object alone and remember where they were
written; everything that takes two objects to judge is checked by ``schemas.definitions.compile``.

Names and limits: rule DF-1.
"""

import json
import re
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, TypeGuard

from schemas.avro.schema import fields_of_avro_record
from schemas.errors import CodecError, DefinitionError
from schemas.limits import (
    MAX_COLUMN_NAME,
    MAX_ENTITY_NAME,
    MAX_SERVICE_NAME,
    MAX_SOURCE_NAME,
    MAX_VIEW_NAME_AND_VERSION,
)
from schemas.types import NAMED, Array, Field, Int64, Map, Scalar, String, Struct

__all__ = [
    "Aggregate",
    "AggregateFeature",
    "Entity",
    "FeatureService",
    "Origin",
    "StreamFeatureView",
    "StreamSource",
    "stream_feature_view",
]

NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9]*(_[A-Za-z0-9]+)*")
MEMBER_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")  # of a struct: as Avro has it
VERSION: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,127}")
DEFAULT_VERSION: Final = "V1"  # of a view that names none
JOIN_KEY_TYPES: Final = (String, Int64)

_ATTRIBUTE_VIEW: Final = (
    "an attribute view has no features: it serves the newest row's columns, which are written "
    'schema=[Field("{column}", {type}), ...], or are all fields of its source without it; '
    "`headrace init DIR --example profiles` writes one"
)

Row = Mapping[str, Any]
RowFunction = Callable[[dict[str, Any]], Row | Sequence[Row] | None]


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a definition was written, for error messages."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


def _caller() -> Origin:
    frame = sys._getframe(1)  # noqa: SLF001 - the only way to know the line of the definition
    own = frame.f_code.co_filename
    while frame.f_back is not None and frame.f_code.co_filename in (own, "<string>"):
        frame = frame.f_back
    return Origin(frame.f_code.co_filename, frame.f_lineno)


def _refuse(origin: Origin, what: str, problem: str) -> DefinitionError:
    return DefinitionError(f"{origin}: {what}: {problem}")


def attribute_view(column: object = None) -> str:
    """Returns how an attribute view is written, with the column that someone meant by what is no aggregate."""
    match column:
        case Field(name, dtype):
            spelled = next((known for known, scalar in NAMED.items() if scalar == dtype), "Type")
            return _ATTRIBUTE_VIEW.format(column=name, type=spelled)
        case str():
            return _ATTRIBUTE_VIEW.format(column=column, type="Type")
        case _:
            return _ATTRIBUTE_VIEW.format(column="country", type="String")


def _check_features(origin: Origin, what: str, features: object) -> None:
    expected = "features must be a list of Aggregate(...)"
    if isinstance(features, AggregateFeature):
        raise _refuse(origin, what, f"{expected}, got one that is in no list; write features=[Aggregate(...)]")
    if not _is_list(features):
        raise _refuse(origin, what, f"{expected}, got {features!r}; {attribute_view(features)}")
    for item in features:
        if not isinstance(item, AggregateFeature):
            raise _refuse(origin, what, f"{expected}, got {item!r} in it; {attribute_view(item)}")


def _is_list(value: object) -> TypeGuard[Collection[object]]:
    """Returns whether a value can be gone through twice, and is not one text."""
    return isinstance(value, Collection) and not isinstance(value, str)


def _check_name(origin: Origin, kind: str, name: object, longest: int) -> None:
    if not isinstance(name, str) or not NAME.fullmatch(name):
        expected = "letters, digits and single underscores, starting with a letter"
        raise _refuse(origin, f"{kind} {name!r}", f"the name must be {expected}; rename it")
    if len(name) > longest:
        raise _refuse(origin, f"{kind} {name!r}", f"the name has {len(name)} characters, at most {longest}; shorten it")


def _check_fields(origin: Origin, what: str, fields: Sequence[Field]) -> tuple[Field, ...]:
    if not _is_list(fields):
        raise _refuse(origin, what, f"expected a list, [Field(name, type), ...], got {fields!r}")
    seen: set[str] = set()
    for item in fields:
        if not isinstance(item, Field):
            raise _refuse(origin, what, f"expected Field(name, type), got {item!r}")
        _check_name(origin, f"{what}: field", item.name, MAX_COLUMN_NAME)
        if item.name in seen:
            raise _refuse(origin, what, f"field {item.name!r} is given twice; remove one")
        seen.add(item.name)
        _check_type(origin, f"{what}: field {item.name!r}", item.dtype)
    return tuple(fields)


def _check_type(origin: Origin, what: str, dtype: object) -> None:
    match dtype:
        case Scalar():
            pass
        case Array(inner) | Map(inner):
            _check_type(origin, what, inner)
        case Struct(members):
            given: tuple[object, ...] = members
            names = [member.name for member in given if isinstance(member, Field)]
            for member in given:
                if not isinstance(member, Field):
                    raise _refuse(origin, what, f"a Struct is a tuple of Field(name, type), got {member!r} in it")
                if not MEMBER_NAME.fullmatch(str(member.name)):
                    expected = "letters, digits and underscores, not starting with a digit"
                    raise _refuse(origin, what, f"the name of member {member.name!r} must be {expected}; rename it")
                if names.count(member.name) > 1:
                    raise _refuse(origin, what, f"member {member.name!r} is given twice; remove one")
                _check_type(origin, f"{what}: member {member.name!r}", member.dtype)
        case _:
            expected = f"{', '.join(NAMED)}, Array(...), Map(...) or Struct(...)"
            raise _refuse(origin, what, f"expected a type, {expected}, got {dtype!r}")


def _check_identity(origin: Origin, what: str, identity: object) -> None:
    if not isinstance(identity, list | tuple) or not all(isinstance(name, str) for name in identity):
        raise _refuse(origin, what, f"identity must be a list of names of fields, got {identity!r}")
    for name in identity:
        if identity.count(name) > 1:
            raise _refuse(origin, what, f"identity column {name!r} is given twice; remove one")


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamSource:
    """A named stream of events, with one Avro schema, in one Kafka topic: ``{workspace}.source.{name}``.

    An event is known by the join keys and the event time of what a view makes of it: sent again, it replaces itself.
    Where several events of one key may have the same time, ``identity`` names what tells them apart; without it, the
    one that Kafka took last replaces the others. Of events of one instant the newest is the one with the greatest
    identity, column by column: a number that counts up says which came last.

    Once applied it grows by fields with ``required=False`` alone; for any other change make a new source. ``identity``
    may change, for views that are applied from then on: an applied version of a view keeps what it has.

    Args:
        name: at most 32 characters: letters, digits and single underscores, starting with a letter.
        schema: fields, or the path of an ``.avsc`` file, an Avro record schema, relative to the repository.
        timestamp_field: the field that holds the event time; must be a required Timestamp.
        identity: further fields that tell events of one instant apart, such as ``["order_id"]``: required String,
            Int64, Bool or Timestamp, of at most 128 bytes in each event. Functions of views return them with the rows.
        log_offline: whether the source's records are kept in a log of their own under the data folder, for backfills,
            which are not built yet. What views make of the records is kept either way.

    Raises:
        DefinitionError: a name, the schema, the timestamp field or an identity field is not usable.

    Example:
        transactions = StreamSource(
            name="transactions",
            schema=[
                Field("user_id", String),
                Field("order_id", String),
                Field("amount", Float64),
                Field("merchant", String, required=False),
                Field("timestamp", Timestamp),
            ],
            timestamp_field="timestamp",
            identity=["order_id"],
        )
    """

    name: str
    schema: Sequence[Field] | str
    timestamp_field: str
    identity: Sequence[str] = ()
    log_offline: bool = False
    origin: Origin = field(default_factory=_caller, init=False, compare=False)

    def __post_init__(self) -> None:
        _check_name(self.origin, "StreamSource", self.name, MAX_SOURCE_NAME)
        what = f"StreamSource {self.name!r}"
        if not isinstance(self.schema, str) and not _check_fields(self.origin, what, self.schema):
            raise _refuse(self.origin, what, "the schema has no fields; give schema=[Field(...), ...]")
        _check_identity(self.origin, what, self.identity)

    def resolved(self, read_file: Callable[[str], str]) -> "tuple[Field, ...]":
        """Returns the fields, reading the ``.avsc`` file where the schema was given by name.

        Args:
            read_file: returns the text of a file of the repository, or raises ``KeyError``.
        """
        if not isinstance(self.schema, str):
            return tuple(self.schema)
        what = f"StreamSource {self.name!r}"
        try:
            text = read_file(self.schema)
        except KeyError:
            raise _refuse(
                self.origin,
                what,
                f"schema file {self.schema!r} is not in the repository; add it or correct the name",
            ) from None
        try:
            fields = fields_of_avro_record(json.loads(text))
        except (CodecError, ValueError, RecursionError) as error:
            raise _refuse(self.origin, what, f"schema file {self.schema!r}: {error}") from error
        return _check_fields(self.origin, what, fields)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entity:
    """What features are about: a user, a card, a store. A read gives its join keys.

    Args:
        name: at most 32 characters.
        join_keys: the fields that identify one of them, String or Int64; views find them by name in their rows.

    Raises:
        DefinitionError: no join keys, or one of another type.

    Example:
        user = Entity(name="user", join_keys=[Field("user_id", String)])
    """

    name: str
    join_keys: Sequence[Field]
    origin: Origin = field(default_factory=_caller, init=False, compare=False)

    def __post_init__(self) -> None:
        _check_name(self.origin, "Entity", self.name, MAX_ENTITY_NAME)
        what = f"Entity {self.name!r}"
        if not _check_fields(self.origin, what, self.join_keys):
            raise _refuse(self.origin, what, "needs at least one join key; give join_keys=[Field(...)]")
        for key in self.join_keys:
            if key.dtype not in JOIN_KEY_TYPES:
                raise _refuse(self.origin, what, f"join key {key.name!r} is {key.dtype.name}; expected string or int64")


@dataclass(frozen=True, slots=True)
class AggregateFeature:
    """What ``Aggregate`` returns: an aggregation of one column over one time window.

    Attributes:
        function: its name.
        column: of the view's rows.
        window: how far back it reaches.
        offset: how far its end lies before now.
        name: the feature's, where one was given.
        parameters: of the function, by name, sorted.
    """

    function: str
    column: str
    window: timedelta
    offset: timedelta
    name: str | None
    parameters: tuple[tuple[str, Any], ...]


def Aggregate(  # noqa: N802 - written among the other definitions, which are classes
    function: str,
    column: str,
    window: timedelta,
    *,
    offset: timedelta = timedelta(0),
    name: str | None = None,
    **parameters: Any,
) -> AggregateFeature:
    """Makes an aggregation of one column over one time window.

    Args:
        function: ``count``, ``sum``, ``mean``, ``min``, ``max`` or ``last``.
        column: a column that the view's function returns: a field of its source, or one of its ``schema``.
        window: how far back the window reaches, at most 365 days; in a tiled view a multiple of its interval.
        offset: how far the window's end lies before now, not negative: ``window=timedelta(days=7),
            offset=timedelta(days=7)`` is the week before this one. In a tiled view a multiple of its interval.
        name: the feature's name; default ``{column}_{function}_{window}_{interval}``, such as ``amount_mean_1h_10m``
            or ``amount_sum_1d_continuous``.
        parameters: of the function; None is as if it were not given. ``last`` takes ``n``: how many values, oldest
            first; without it, the newest alone.

    Example:
        mean = Aggregate("mean", "amount", timedelta(hours=1))
        newest = Aggregate("last", "merchant", timedelta(days=1), n=3, name="merchants")
    """
    given = tuple(sorted((key, value) for key, value in parameters.items() if value is not None))
    return AggregateFeature(function, column, window, offset, name, given)


@dataclass(frozen=True, slots=True)
class StreamFeatureView:
    """What ``stream_feature_view`` makes of a function: the function, and the features made from what it returns.

    It can still be called with a record, a dict, and returns what the function returns: so tests need no system.
    Its attributes are what ``stream_feature_view`` was given.
    """

    name: str
    version: str
    source: StreamSource
    entities: tuple[Entity, ...]
    timestamp_field: str
    features: tuple[AggregateFeature, ...]
    aggregation_interval: timedelta | None
    schema: tuple[Field, ...] | None
    ttl: timedelta | None
    grace: timedelta
    online: bool
    offline: bool
    function: RowFunction = field(compare=False)
    origin: Origin = field(compare=False)

    def __call__(self, record: dict[str, Any]) -> Row | Sequence[Row] | None:
        """Runs the view's own function on one record, as the transform does."""
        return self.function(record)


def stream_feature_view(
    *,
    source: StreamSource,
    entities: Sequence[Entity],
    timestamp_field: str,
    version: str = DEFAULT_VERSION,
    features: Sequence[AggregateFeature] = (),
    aggregation_interval: timedelta | None = None,
    schema: Sequence[Field] | None = None,
    ttl: timedelta | None = None,
    grace: timedelta = timedelta(days=7),
    online: bool = True,
    offline: bool = True,
    mode: str = "python",
    name: str | None = None,
) -> Callable[[RowFunction], StreamFeatureView]:
    """Makes a stream feature view of a function that turns one record into no, one or several rows.

    There are three kinds of view. A *tiled* one has ``features`` and an ``aggregation_interval``: its windows end at
    the last complete tile, and it is cheap to keep. A *continuous* one has ``features`` alone: its windows end now. An
    *attribute view* has no ``features``: it serves the newest row of each key, column by column.

    The function gets the record as a dict with all fields of the source (one that is absent is None, a Timestamp is an
    aware datetime in UTC) and returns a dict, a list of at most 1,000 dicts, or None to drop the event. Of a dict the
    view takes its columns and leaves out the rest. A column must be there unless its field has ``required=False``; a
    wrong type, like an exception, makes a dead letter of the record for this view alone. The function must depend on
    the record alone: no clock, no network, no state; it may be called again for the same record.

    Args:
        source: the stream that it reads.
        entities: whose join keys identify a row, with the event time and the source's ``identity``; each is a column of
            the rows.
        timestamp_field: the column of the row that holds its event time.
        version: a changed view needs a new version, such as ``V2``, which begins empty; ``name@version`` are what
            commands and metrics name. Two versions may be applied side by side.
        features: aggregates; none makes an attribute view.
        aggregation_interval: the width of a tile; omitted: continuous windows.
        schema: columns of the rows. Needed for those that the function computes, which the source does not have; a
            field given here wins over the source's of the same name. Where it is given, aggregates use its columns
            alone, and an attribute view serves them and no others. Without it, aggregates use any field of the source,
            and an attribute view serves all fields that the source had when this version was first applied; fields
            that the source gets later are for a next version. Join keys and event time need not be listed.
        ttl: attribute views only: a row is served while now is before its event time plus ttl; without it, for ever.
        grace: how late an event may be and still count in online state, beyond what the longest window needs. Of an
            attribute view: how long rows that are no longer the newest are kept for events and reads that come late.
            The offline log has late rows too.
        online: whether rows are kept for serving; a feature service takes no view without.
        offline: whether training sets, which are not built yet, may use the rows; the offline log has them either way.
        mode: ``python``: the function is called once per record.
        name: default: the function's name. With the version at most 45 characters.

    Raises:
        DefinitionError: what one view alone shows to be wrong; what takes the source to tell is told by ``apply``.

    Example:
        @stream_feature_view(
            source=transactions,
            entities=[user],
            timestamp_field="timestamp",
            features=[Aggregate("sum", "amount", timedelta(hours=1), name="spent")],
        )
        def user_activity(record):
            return record if record["amount"] > 0 else None


        @stream_feature_view(
            source=transactions,
            entities=[user],
            timestamp_field="timestamp",
            schema=[Field("merchant", String, required=False)],
            ttl=timedelta(days=30),
        )
        def last_purchase(record):
            return record
    """
    origin = _caller()

    def decorate(function: RowFunction) -> StreamFeatureView:
        view_name = function.__name__ if name is None else name
        _check_name(origin, "stream_feature_view", view_name, MAX_VIEW_NAME_AND_VERSION)
        what = f"stream_feature_view {view_name!r}"
        if mode != "python":
            raise _refuse(origin, what, f"mode={mode!r} is unknown; expected 'python'")
        if not VERSION.fullmatch(version):
            raise _refuse(origin, what, f"version {version!r} must match {VERSION.pattern}")
        if len(view_name) + len(version) > MAX_VIEW_NAME_AND_VERSION:
            raise _refuse(origin, what, f"name and version together exceed {MAX_VIEW_NAME_AND_VERSION} characters")
        if not isinstance(source, StreamSource):
            raise _refuse(origin, what, f"source must be a StreamSource, got {type(source).__name__}")
        if not entities or not all(isinstance(entity, Entity) for entity in entities):
            raise _refuse(origin, what, "entities must be a list of at least one Entity")
        _check_features(origin, what, features)
        if ttl is not None and features:
            raise _refuse(origin, what, f"ttl is for attribute views; remove it or the features; {attribute_view()}")
        return StreamFeatureView(
            name=view_name,
            version=version,
            source=source,
            entities=tuple(entities),
            timestamp_field=timestamp_field,
            features=tuple(features),
            aggregation_interval=aggregation_interval,
            schema=None if schema is None else _check_fields(origin, what, schema),
            ttl=ttl,
            grace=grace,
            online=online,
            offline=offline,
            function=function,
            origin=origin,
        )

    return decorate


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureService:
    """A named list of views that a model reads in one call.

    A read gives all join keys of its views; a feature is called ``{view}.{feature}``. Views may have different join
    keys, but a join key has one type.

    Args:
        name: at most 255 characters.
        features: the views, each with ``online=True`` and defined at the top of a module. A view's name may be there
            once: two versions of a view need two services.
        online_serving_enabled: whether it can be read; if not, reads of it are refused with ``NOT_FOUND``.

    Raises:
        DefinitionError: no views, or one twice.

    Example:
        fraud = FeatureService(name="fraud_detection", features=[user_activity, last_purchase])
    """

    name: str
    features: Sequence[StreamFeatureView]
    online_serving_enabled: bool = True
    origin: Origin = field(default_factory=_caller, init=False, compare=False)

    def __post_init__(self) -> None:
        _check_name(self.origin, "FeatureService", self.name, MAX_SERVICE_NAME)
        what = f"FeatureService {self.name!r}"
        if not self.features or not all(isinstance(view, StreamFeatureView) for view in self.features):
            raise _refuse(self.origin, what, "features must be a list of at least one feature view")
        names = [view.name for view in self.features]
        for view in names:
            if names.count(view) > 1:
                raise _refuse(self.origin, what, f"view {view!r} is listed twice; remove one")
