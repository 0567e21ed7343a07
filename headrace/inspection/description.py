"""All that definitions say of a source, a view or a service: the documents of ``headrace describe``.

Invariant: a description follows from the plan alone. Durations are in seconds; names of types are those of APIs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from headrace.inspection.definition_text import Definition, definition_of
from headrace.inspection.listing import kind_of, service_keys, services_of
from headrace.inspection.words import type_text
from schemas.definitions.plan import FeaturePlan, Plan, ServicePlan, SourcePlan, ViewPlan
from schemas.errors import NotFoundError
from schemas.instants import SECOND
from schemas.topics import dead_letter_topic, source_topic
from schemas.types import Field

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Named:
    """What has a name in a plan; views are several where it has several versions."""

    sources: Sequence[SourcePlan]
    views: Sequence[ViewPlan]
    services: Sequence[ServicePlan]


def named(plan: Plan, name: str) -> Named:
    """Returns what has a name; a view is also named with its version, as ``name@version``.

    Raises:
        NotFoundError: nothing has it; lists what there is.
    """
    sources, views = plan.read_sources(), plan.folded_views()
    found = Named(
        [source for key, source in sources.items() if key == name],
        [view for key, view in sorted(views.items()) if name in (key, view.name)],
        [service for key, service in plan.services.items() if key == name],
    )
    if not (found.sources or found.views or found.services):
        known = {"sources": sorted(sources), "views": sorted(views), "services": sorted(plan.services)}
        raise NotFoundError(f"workspace {plan.workspace} has nothing named {name!r}; {_advice(name, known)}")
    return found


def _advice(name: str, known: Mapping[str, Sequence[str]]) -> str:
    every = [each for names in known.values() for each in names]
    plain = {each.partition("@")[0] for each in every}
    if close := get_close_matches(name, sorted({*every, *plain}), n=1):
        return f"did you mean {close[0]}?"
    listed = [f"{kind} {', '.join(names)}" for kind, names in known.items() if names]
    return f"known are: {'; '.join(listed)}" if listed else "nothing is defined in it"


def source_document(plan: Plan, source: SourcePlan) -> Document:
    """Returns what a plan says of a source."""
    return {
        "name": source.name,
        "is_retired": source.name not in plan.sources,
        "topic": source_topic(plan.workspace, source.name),
        "dead_letter_topic": dead_letter_topic(plan.workspace, source.name),
        "partitions": source.partitions,
        "schema_id": source.schema_id,
        "timestamp_field": source.timestamp_field,
        "identity": list(source.identity),
        "log_offline": source.log_offline,
        "views": [view.key for _, view in sorted(plan.folded_views().items()) if view.source == source.name],
        "columns": _fields(source.columns),
        "definition": _definition(definition_of(plan.files, "StreamSource", source.name)),
    }


def view_document(plan: Plan, view: ViewPlan) -> Document:
    """Returns what a plan says of a view, also of a retired one."""
    retired = plan.retired.get(view.key)
    is_retired = view.key not in plan.views
    files = plan.files if retired is None or not is_retired else plan.repositories[retired.texts]
    return {
        "name": view.name,
        "version": view.version,
        "kind": kind_of(view),
        "is_retired": is_retired,
        "source": view.source,
        "topic": source_topic(plan.workspace, view.source),
        "join_keys": [field for field in _fields(view.columns) if field["name"] in view.join_keys],
        "timestamp_field": view.timestamp_field,
        "identity": list(view.identity),
        "services": [] if is_retired else services_of(plan, view.key),
        "online": view.online,
        "offline": view.offline,
        "aggregation_interval_seconds": _seconds(view.interval or None),
        "horizon_seconds": _seconds(view.horizon),
        "grace_seconds": _seconds(view.grace),
        "ttl_seconds": _seconds(view.ttl),
        "columns": _fields(view.columns),
        "features": [_feature(feature) for feature in view.features],
        "definition": _definition(definition_of(files, "stream_feature_view", view.name, view.version)),
    }


def service_document(plan: Plan, service: ServicePlan) -> Document:
    """Returns what a plan says of a service: with which keys it is read, and what it answers."""
    views = [plan.views[key] for key in service.views]
    columns = {column.name: column for view in views for column in view.columns}
    return {
        "name": service.name,
        "online_serving_enabled": service.online_serving_enabled,
        "views": list(service.views),
        "join_keys": _fields([columns[name] for name in service_keys(plan, service.views)]),
        "features": [
            {"name": f"{view.name}.{feature.name}", "type": type_text(feature.dtype), "view": view.key}
            for view in views
            for feature in view.features
        ],
        "definition": _definition(definition_of(plan.files, "FeatureService", service.name)),
    }


def _feature(feature: FeaturePlan) -> Document:
    has_window = feature.function is not None
    return {
        "name": feature.name,
        "type": type_text(feature.dtype),
        "function": feature.function,
        "parameters": dict(feature.parameters),
        "column": feature.column,
        "window_seconds": _seconds(feature.window if has_window else None),
        "offset_seconds": _seconds(feature.offset if has_window else None),
    }


def _fields(fields: Sequence[Field]) -> list[Document]:
    return [{"name": each.name, "type": type_text(each.dtype), "required": each.required} for each in fields]


def _definition(found: Definition | None) -> Document | None:
    return None if found is None else found._asdict()


def _seconds(micros: int | None) -> float | None:
    return None if micros is None else micros / SECOND
