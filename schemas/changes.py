"""What applying a repository would change, and what must not change.

Invariant: an applied version of a view never changes in place, and a source only grows optional fields, so stored rows
and running producers keep their meaning.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from schemas.plan import Plan, SourcePlan, ViewPlan

Kind = Literal["added", "changed", "removed"]


@dataclass(frozen=True, slots=True)
class Change:
    """One object that an apply would add, change or remove; ``problem`` says why it may not."""

    kind: Kind
    object: str
    detail: str = ""
    problem: str | None = None


def carry_ids(current: Plan | None, views: Mapping[str, ViewPlan]) -> dict[str, ViewPlan]:
    """Returns the views with the ids that unchanged ones already have."""
    if current is None:
        return dict(views)
    carried = {}
    for key, view in views.items():
        applied = current.views.get(key)
        carried[key] = view if applied is None else msgspec.structs.replace(view, id=applied.id)
    return carried


def changes(current: Plan | None, new: Plan) -> list[Change]:
    """Returns what differs between the applied plan and a new one, sources first."""
    if current is None:
        current = Plan(new.workspace, new.partitions, {}, {}, {}, {}, "")
    found: list[Change] = []
    for name in sorted(current.sources.keys() | new.sources.keys()):
        found += _source(name, current.sources.get(name), new.sources.get(name))
    for key in sorted(current.views.keys() | new.views.keys()):
        found += _view(key, current.views.get(key), new.views.get(key))
    for name in sorted(current.services.keys() | new.services.keys()):
        label, old, wanted = f"feature service {name}", current.services.get(name), new.services.get(name)
        if old is None or wanted is None:
            found.append(Change("added" if old is None else "removed", label))
        elif old != wanted:
            found.append(Change("changed", label, ", ".join(wanted.views)))
    if not found and current.digest != new.digest:
        found.append(Change("changed", "repository files", "no definition differs"))
    return found


def _source(name: str, old: SourcePlan | None, new: SourcePlan | None) -> list[Change]:
    label = f"stream source {name}"
    if old is None or new is None:
        return [Change("added" if old is None else "removed", label)]
    known, kept = _avro_fields(old), _avro_fields(new)
    grown = [column for column in new.columns if column.name not in known]
    broken = [name for name in known if kept.get(name) != known[name]]
    required = [column.name for column in grown if column.required]
    if broken or required:
        detail = ", ".join(broken + required)
        problem = "fields may only be added, and only with required=False; make a new source for any other change"
        return [Change("changed", label, detail, problem)]
    details = [column.name for column in grown]
    if old.partitions != new.partitions:
        details.append(f"{new.partitions} partitions, as its topic has now (were {old.partitions})")
    if details or old.log_offline != new.log_offline or old.timestamp_field != new.timestamp_field:
        return [Change("changed", label, ", ".join(details))]
    return []


def _avro_fields(source: SourcePlan) -> dict[str, Any]:
    """Returns the fields of a source's schema by name: they say more than columns, such as required members."""
    return {field["name"]: field for field in msgspec.json.decode(source.schema)["fields"]}


_IGNORED = ("id",)


def _view(key: str, old: ViewPlan | None, new: ViewPlan | None) -> list[Change]:
    label = f"feature view {key}"
    if old is None or new is None:
        return [Change("added" if old is None else "removed", label)]
    before, after = msgspec.structs.asdict(old), msgspec.structs.asdict(new)
    differing = [name for name in before if name not in _IGNORED and before[name] != after[name]]
    if not differing:
        return []
    problem = "an applied version never changes in place; give the view a new version"
    return [Change("changed", label, ", ".join(differing), problem)]
