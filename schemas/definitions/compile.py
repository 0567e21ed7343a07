"""From a loaded repository to the plan's sources, views and services.

Invariant: what compiles can run. Each error names file, line, object and remedy.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Final

import msgspec

from schemas.aggregation.aggregate import PartialKind
from schemas.aggregation.table import accepts, bind
from schemas.avro.schema import source_schema
from schemas.definitions import tile_budget
from schemas.definitions.code import code_digest
from schemas.definitions.objects import NAME, AggregateFeature, FeatureService, StreamFeatureView, StreamSource
from schemas.definitions.plan import FeaturePlan, PartialPlan, ServicePlan, SourcePlan, ViewPlan, join_keys_of
from schemas.definitions.repository import Repository, module_texts
from schemas.errors import DefinitionError
from schemas.instants import DAY, duration_text, length
from schemas.limits import MAX_DURATION_DAYS, MAX_JOIN_KEY_BYTES, MAX_WINDOW_DAYS
from schemas.state.keys import JoinKey, LongKeyError, encode_join_keys
from schemas.types import Bool, Field, Int64, String, Timestamp
from schemas.windows import choose_resolutions, continuous_interval

IDENTITY_TYPES: Final = (String, Int64, Bool, Timestamp)  # each value has one encoding, by which it sorts
MAX_WINDOW: Final = MAX_WINDOW_DAYS * DAY
MAX_DURATION: Final = MAX_DURATION_DAYS * DAY


def compile_sources(repository: Repository, partitions: int) -> dict[str, SourcePlan]:
    """Returns the plans of a repository's sources, by name; their schemas are not registered yet (id -1).

    Args:
        repository: what to compile.
        partitions: of each source topic.

    Raises:
        DefinitionError: a schema or a timestamp field is not usable.
    """
    return {name: _source(source, repository, partitions) for name, source in sorted(repository.sources.items())}


def _source(source: StreamSource, repository: Repository, partitions: int) -> SourcePlan:
    fields = source.resolved(repository.files.__getitem__)
    by_name = {field.name: field for field in fields}
    stamp = by_name.get(source.timestamp_field)
    if stamp is None or stamp.dtype != Timestamp or not stamp.required:
        got = "no such field" if stamp is None else f"{'' if stamp.required else 'an optional '}{stamp.dtype.name}"
        problem = f"timestamp_field {source.timestamp_field!r} must be a required Timestamp of the schema, got {got}"
        raise DefinitionError(f"{source.origin}: StreamSource {source.name!r}: {problem}")
    for name in source.identity:
        _check_identity(source, name, by_name.get(name))
    return SourcePlan(
        name=source.name,
        columns=fields,
        timestamp_field=source.timestamp_field,
        log_offline=source.log_offline,
        schema=source_schema(source.name, fields),
        schema_id=-1,
        partitions=partitions,
        identity=tuple(source.identity),
    )


def _check_identity(source: StreamSource, name: str, field: Field | None) -> None:
    if field is not None and field.required and field.dtype in IDENTITY_TYPES:
        return
    got = "no such field" if field is None else f"{'' if field.required else 'an optional '}{field.dtype.name}"
    expected = f"a required {', '.join(dtype.name for dtype in IDENTITY_TYPES[:-1])} or {IDENTITY_TYPES[-1].name}"
    problem = f"identity column {name!r} must be {expected} of the schema, got {got}"
    raise DefinitionError(f"{source.origin}: StreamSource {source.name!r}: {problem}")


def compile_views(
    repository: Repository, sources: dict[str, SourcePlan], *, applied: Mapping[str, ViewPlan] | None = None
) -> dict[str, ViewPlan]:
    """Returns the plans of a repository's views, by ``name@version``; their ids are not given yet (-1).

    Args:
        repository: what to compile.
        sources: the plans of its sources.
        applied: views that were applied before, by key. An attribute view without ``schema`` serves what its source had
            when that version was first applied, and each view keeps the identity columns that its source had then: a
            source that changes changes no view.

    Raises:
        DefinitionError: a column, an aggregate or a window is not usable.
    """
    modules, known = module_texts(repository.files), applied or {}
    plans = (
        _ViewCompiler(view, sources, modules, known.get(f"{view.name}@{view.version}")).plan()
        for view in repository.views.values()
    )
    return {plan.key: plan for plan in sorted(plans, key=lambda plan: plan.key)}


def compile_services(repository: Repository, views: Mapping[str, ViewPlan]) -> dict[str, ServicePlan]:
    """Returns the plans of a repository's feature services, by name.

    Args:
        repository: what to compile.
        views: the plans of its views, by key.

    Raises:
        DefinitionError: a service lists a view that is not online, or views that no one set of join keys can read.
    """
    return {name: _service(service, repository, views) for name, service in sorted(repository.services.items())}


def _service(service: FeatureService, repository: Repository, views: Mapping[str, ViewPlan]) -> ServicePlan:
    what = f"{service.origin}: FeatureService {service.name!r}"
    for view in service.features:
        # The very object: another one of that name would be served without having been checked.
        if repository.views.get((view.name, view.version)) is not view:
            raise DefinitionError(f"{what}: view {view.name!r} is not defined at the top of a module; move it there")
        if not view.online:
            raise DefinitionError(f"{what}: view {view.name!r} has online=False; set online=True or remove it")
    keys = tuple(sorted(f"{view.name}@{view.version}" for view in service.features))
    try:
        join_keys_of(views[key] for key in keys)
    except DefinitionError as error:
        raise DefinitionError(f"{what}: {error.message}") from None
    return ServicePlan(service.name, keys, service.online_serving_enabled)


class _ViewCompiler:
    def __init__(
        self,
        view: StreamFeatureView,
        sources: dict[str, SourcePlan],
        modules: dict[str, str],
        applied: ViewPlan | None,
    ) -> None:
        self._view = view
        self._applied = applied
        self._modules = modules
        source = sources.get(view.source.name)
        if source is None:
            raise self._refuse(f"source {view.source.name!r} is not defined at the top of a module; move it there")
        self._source = source
        self._known = {column.name: column for column in source.columns}
        self._known |= {field.name: field for field in view.schema or ()}

    def _refuse(self, problem: str) -> DefinitionError:
        return DefinitionError(f"{self._view.origin}: stream_feature_view {self._view.name!r}: {problem}")

    def plan(self) -> ViewPlan:
        view = self._view
        keys = self._join_keys()
        served = self._columns(keys)
        identity = self._identity(keys)
        columns = tuple(dict.fromkeys((*served, *(self._known[name] for name in identity))))
        interval = 0
        if view.aggregation_interval is not None:
            interval = self._micros("aggregation_interval", view.aggregation_interval, least=1)
        unserved = (*keys, view.timestamp_field)
        partials: tuple[PartialPlan, ...] = ()
        if view.features:
            features, partials = _sharing([self._aggregate(item, interval) for item in view.features])
        else:
            features = tuple(FeaturePlan(c.name, c.dtype, c.name) for c in served if c.name not in unserved)
        if not features:
            raise self._refuse("has nothing to serve: no features, and no columns but join keys and timestamp")
        features = tuple(sorted(features, key=lambda feature: feature.name))
        names = [feature.name for feature in features]
        for name in names:
            if names.count(name) > 1:
                raise self._refuse(f"two features are called {name!r}; give one of them name=...")
        resolutions = self._resolutions(features, interval)
        grace = self._micros("grace", view.grace)
        try:
            code = code_digest(view.function, self._modules)
        except DefinitionError as error:
            raise self._refuse(error.message) from None
        plan = ViewPlan(
            id=-1,
            name=view.name,
            version=view.version,
            source=view.source.name,
            join_keys=keys,
            timestamp_field=view.timestamp_field,
            columns=columns,
            features=features,
            partials=partials,
            resolutions=resolutions,
            interval=interval,
            # As far back as any window reaches, a coarsest tile that begins before it, and what may still come late.
            horizon=max(f.window + f.offset for f in features) + resolutions[-1] + grace if resolutions else None,
            grace=grace,
            ttl=None if view.ttl is None else self._micros("ttl", view.ttl, least=1),
            online=view.online,
            offline=view.offline,
            code=code,
            identity=identity,
        )
        too_large = tile_budget.problem(plan)
        if too_large is not None:
            raise self._refuse(too_large)
        return plan

    def _join_keys(self) -> tuple[str, ...]:
        keys: list[str] = []
        for entity in self._view.entities:
            for key in entity.join_keys:
                known = self._known.get(key.name)
                if known is None:
                    kind = key.dtype.name.capitalize()
                    raise self._refuse(self._unknown("join key", key.name, f"entity {entity.name!r}", kind))
                if known.dtype != key.dtype:
                    problem = f"is {known.dtype.name} in the rows but {key.dtype.name} in entity {entity.name!r}"
                    raise self._refuse(f"join key {key.name!r} {problem}; make them equal")
                if key.name not in keys:
                    keys.append(key.name)
        shortest: list[JoinKey] = [0 if self._known[name].dtype == Int64 else "" for name in keys]
        try:
            encode_join_keys(shortest)
        except LongKeyError as error:
            problem = f"take at least {error.size:,} bytes in each row, at most {MAX_JOIN_KEY_BYTES:,} are stored"
            raise self._refuse(f"its {len(keys)} join keys {problem}; use fewer") from None
        return tuple(keys)

    def _identity(self, keys: tuple[str, ...]) -> tuple[str, ...]:
        """Returns the identity columns of the view's source that are not in its identity anyway."""
        applied = self._source.identity if self._applied is None else self._applied.identity
        of_source = {column.name: column for column in self._source.columns}
        names = [n for n in applied if n in of_source and n not in (*keys, self._view.timestamp_field)]
        for name in names:
            known, field = self._known[name], of_source[name]
            if known != field:
                got = f"{'' if known.required else 'an optional '}{known.dtype.name}"
                problem = f"is {got} in schema=[...], and a required {field.dtype.name} in its source"
                raise self._refuse(f"identity column {name!r} {problem}; make them equal")
        return tuple(names)

    def _unknown(self, what: str, name: str, of: str, kind: str) -> str:
        remedy = f"return it from the function and declare it with schema=[Field({name!r}, {kind}), ...]"
        where = f"is neither a field of source {self._view.source.name!r} nor in schema=[...]"
        return f"{what} {name!r} of {of} {where}; {remedy}"

    def _columns(self, keys: tuple[str, ...]) -> tuple[Field, ...]:
        view = self._view
        stamp = self._known.get(view.timestamp_field)
        if stamp is None or stamp.dtype != Timestamp:
            got = "no such column" if stamp is None else stamp.dtype.name
            raise self._refuse(f"timestamp_field {view.timestamp_field!r} must be a Timestamp column, got {got}")
        if view.schema is not None:
            wanted = [field.name for field in view.schema]
        elif view.features:
            wanted = [aggregate.column for aggregate in view.features]
        elif self._applied is None or self._applied.is_aggregate:
            wanted = list(self._known)
        else:
            wanted = [column.name for column in self._applied.columns if column.name in self._known]
        # Join keys, then event time: rows, state and log find them by their place.
        names = dict.fromkeys([*keys, view.timestamp_field, *wanted])
        for aggregate in view.features:
            if aggregate.column not in self._known:
                raise self._refuse(self._unknown("column", aggregate.column, repr(aggregate.function), "Type"))
            if aggregate.column not in names:
                raise self._refuse(
                    f"column {aggregate.column!r} of {aggregate.function!r} is not in schema=[...]; add it"
                )
        return tuple(self._known[name] for name in names)

    def _aggregate(self, aggregate: AggregateFeature, interval: int) -> tuple[FeaturePlan, tuple[PartialKind, ...]]:
        """Returns a feature, and the partials that it needs."""
        what = f"Aggregate({aggregate.function!r}, {aggregate.column!r})"
        parameters = dict(aggregate.parameters)
        try:
            function = bind(aggregate.function, parameters)
        except DefinitionError as error:
            raise self._refuse(f"{what}: {error.message}") from None
        field = self._known[aggregate.column]
        if not accepts(function, field.dtype):
            expected = "a scalar" if function.accepts is None else " or ".join(t.name for t in function.accepts)
            raise self._refuse(f"{what}: the column is {field.dtype.name}; expected {expected}")
        window = self._micros(f"{what}: window", aggregate.window, least=1, most=MAX_WINDOW)
        offset = self._micros(f"{what}: offset", aggregate.offset)
        for text, extent in (("window", window), ("offset", offset)):
            if interval and extent % interval:
                raise self._refuse(f"{what}: {text} must be a multiple of the aggregation_interval")
        name = aggregate.name or _default_name(aggregate.column, function.text(), window, offset, interval)
        if not NAME.fullmatch(name):
            raise self._refuse(f"{what}: name {name!r} must be letters, digits and single underscores")
        dtype = function.output(field.dtype)
        feature = FeaturePlan(name, dtype, aggregate.column, aggregate.function, parameters, window, offset)
        return feature, function.partials(field.dtype)

    def _resolutions(self, features: Iterable[FeaturePlan], interval: int) -> tuple[int, ...]:
        windows = [feature.window for feature in features if feature.window]
        if not windows:
            if interval:
                raise self._refuse("aggregation_interval needs features; add some or remove it")
            return ()
        try:
            return choose_resolutions(interval or continuous_interval(windows), windows)
        except ValueError as error:
            raise self._refuse(f"{error}; lengthen the aggregation_interval or shorten the window") from error

    def _micros(self, what: str, duration: timedelta, least: int = 0, most: int = MAX_DURATION) -> int:
        if not isinstance(duration, timedelta):
            raise self._refuse(f"{what} must be a timedelta, got {duration!r}")
        micros = length(duration)
        if not least <= micros <= most:
            sign = "positive" if least else "not negative"
            raise self._refuse(f"{what} must be {sign} and at most {most // DAY} days, got {duration}")
        return micros


def _default_name(column: str, function: str, window: int, offset: int, interval: int) -> str:
    grain = duration_text(interval) if interval else "continuous"
    suffix = f"_offset_{duration_text(offset)}" if offset else ""
    return f"{column}_{function}_{duration_text(window)}_{grain}{suffix}"


def _sharing(
    wanted: Sequence[tuple[FeaturePlan, tuple[PartialKind, ...]]],
) -> tuple[tuple[FeaturePlan, ...], tuple[PartialPlan, ...]]:
    """Returns features, each with the places of its partials, and the partials that they share.

    What several functions need of one column, tiles hold once; in an order that does not depend on how the definition
    was written, since tiles are stored in it.
    """
    planned = [(feature, [PartialPlan.of(feature.column, kind) for kind in kinds]) for feature, kinds in wanted]
    by_text = {_text(partial): partial for _, partials in planned for partial in partials}
    places = {text: place for place, text in enumerate(sorted(by_text))}
    features = tuple(
        msgspec.structs.replace(feature, partials=tuple(places[_text(partial)] for partial in partials))
        for feature, partials in planned
    )
    return features, tuple(by_text[text] for text in places)


def _text(partial: PartialPlan) -> tuple[str, str, bytes]:
    return (partial.column, partial.kind, msgspec.json.encode(partial.parameters, order="sorted"))
