"""What is applied, as lists: the documents of ``headrace list``.

Invariant: a list is a function of the plans alone, sorted by name.
"""

from collections.abc import Mapping
from typing import Any, Literal

from schemas.definitions.plan import Plan, ViewPlan, join_keys_of
from schemas.errors import DefinitionError
from schemas.topics import source_topic

Document = dict[str, Any]
Kind = Literal["tiled", "continuous", "attribute"]


def sources(plan: Plan) -> list[Document]:
    """Returns a document of each stream source."""
    return [
        {
            "name": name,
            "topic": source_topic(plan.workspace, name),
            "partitions": source.partitions,
            "schema_id": source.schema_id,
            "timestamp_field": source.timestamp_field,
            "views": [view.key for view in plan.views_of(name)],
        }
        for name, source in sorted(plan.sources.items())
    ]


def views(plan: Plan) -> list[Document]:
    """Returns a document of each feature view: those that are served, then the retired ones."""
    served = [_view(plan, view, is_retired=False) for _, view in sorted(plan.views.items())]
    return served + [_view(plan, each.view, is_retired=True) for _, each in sorted(plan.retired.items())]


def services(plan: Plan) -> list[Document]:
    """Returns a document of each feature service."""
    return [
        {
            "name": name,
            "views": list(service.views),
            "join_keys": service_keys(plan, service.views),
            "features": sum(len(plan.views[key].features) for key in service.views),
            "online_serving_enabled": service.online_serving_enabled,
        }
        for name, service in sorted(plan.services.items())
    ]


def workspaces(plans: Mapping[str, Plan]) -> list[Document]:
    """Returns a document of each workspace: the number of its plan, and how much it defines."""
    return [
        {
            "name": name,
            "plan": plan.number,
            "sources": len(plan.sources),
            "views": len(plan.views),
            "retired_views": len(plan.retired),
            "services": len(plan.services),
        }
        for name, plan in sorted(plans.items())
    ]


def kind_of(view: ViewPlan) -> Kind:
    """Returns how a view computes: over tiles, over windows that end now, or by its newest row."""
    if not view.is_aggregate:
        return "attribute"
    return "tiled" if view.interval else "continuous"


def services_of(plan: Plan, key: str) -> list[str]:
    """Returns the services that serve a view, sorted."""
    return sorted(name for name, service in plan.services.items() if key in service.views)


def service_keys(plan: Plan, keys: tuple[str, ...]) -> list[str]:
    """Returns the names of the join keys with which the views of a service are read, sorted."""
    try:
        return [field.name for field in join_keys_of(plan.views[key] for key in keys)]
    except DefinitionError:  # of two types: such a service is refused by `apply` today, and was not always
        return sorted({name for key in keys for name in plan.views[key].join_keys})


def _view(plan: Plan, view: ViewPlan, *, is_retired: bool) -> Document:
    return {
        "name": view.name,
        "version": view.version,
        "kind": kind_of(view),
        "source": view.source,
        "join_keys": list(view.join_keys),
        "features": len(view.features),
        "services": [] if is_retired else services_of(plan, view.key),
        "is_retired": is_retired,
    }
