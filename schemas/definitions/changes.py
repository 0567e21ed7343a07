"""What applying a repository would change, what must not change, and what removing something costs.

Invariant: an applied version of a view never changes in place, and a source only grows optional fields, so stored rows
and running producers keep their meaning; this holds for retired views, which may come back, as for those in force.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import msgspec

from schemas.definitions.plan import Plan, RetiredView, ServicePlan, SourcePlan, ViewPlan, needed_texts
from schemas.instants import duration_text

Kind = Literal["added", "changed", "removed"]

DAY_SECONDS: Final = 86_400.0
_LISTED_FEATURES: Final = 10


@dataclass(frozen=True, slots=True)
class Change:
    """One object that an apply would add, change or remove.

    ``problem`` says why it may not; ``lost`` says of what is removed what goes with it; ``note`` what to expect of what
    is added or changed.
    """

    kind: Kind
    object: str
    detail: str = ""
    problem: str | None = None
    lost: str = ""
    note: str = ""


def carry_ids(current: Plan | None, views: Mapping[str, ViewPlan]) -> dict[str, ViewPlan]:
    """Returns the views with the ids that unchanged ones already have, and retired ones of the same definition had."""
    if current is None:
        return dict(views)
    carried = {}
    for key, view in views.items():
        applied, retired = current.views.get(key), current.retired.get(key)
        if applied is None and retired is not None and not _differing(retired.view, view):
            applied = retired.view
        carried[key] = view if applied is None else msgspec.structs.replace(view, id=applied.id)
    return carried


def retire(current: Plan | None, new: Plan, grace_seconds: float) -> Plan:
    """Returns a plan with what it removes, and what was retired before and has not come back, as retired views.

    Args:
        current: the plan in force.
        new: its views have the ids of ``carry_ids``.
        grace_seconds: of running time, for which what this plan removes is kept.
    """
    if current is None:
        return new
    sources = current.read_sources()
    retired = {
        key: msgspec.structs.replace(each, source=sources[each.view.source])
        for key, each in current.retired.items()
        if key not in new.views or new.views[key].id != each.view.id
    }
    for key, view in current.views.items():
        if key not in new.views:
            retired[key] = RetiredView(view, sources[view.source], current.digest, current.number, grace_seconds)
    texts = needed_texts({**current.repositories, current.digest: current.files}, retired)
    return msgspec.structs.replace(new, retired=retired, repositories=texts)


def changes(current: Plan | None, new: Plan) -> list[Change]:
    """Returns what differs between the applied plan and a new one, sources first."""
    if current is None:
        current = Plan(new.workspace, new.partitions, {}, {}, {}, {}, "")
    found: list[Change] = []
    kept = _kept_sources(current, new)
    for name in sorted(current.sources.keys() | new.sources.keys()):
        found += _source(name, current, new, kept.get(name))
    for key in sorted(current.views.keys() | current.retired.keys() | new.views.keys()):
        found += _view(key, current, new)
    for name in sorted(current.services.keys() | new.services.keys()):
        found += _service(name, current, new)
    if not found and current.digest != new.digest:
        found.append(Change("changed", "repository files", "no definition differs"))
    return found


def _kept_sources(current: Plan, new: Plan) -> dict[str, SourcePlan]:
    """Returns the sources that are gone from the plan but feed views that stay retired or come back."""
    ids = {each.view.id for each in new.retired.values()} | {view.id for view in new.views.values()}
    return {each.source.name: each.source for each in current.retired.values() if each.view.id in ids}


def _source(name: str, current: Plan, plan: Plan, kept: SourcePlan | None) -> list[Change]:
    label = f"stream source {name}"
    old, new = current.sources.get(name), plan.sources.get(name)
    if new is None:
        fed = sorted(key for key, each in plan.retired.items() if each.view.source == name)
        reading = f"; {_listed(fed)} read{'s' if len(fed) == 1 else ''} it until then" if fed else ""
        return [Change("removed", label, lost=f"no longer takes records over HTTP; its topic stays{reading}")]
    known = old or kept
    problem, detail = ("", "") if known is None else _broken(known, new)
    if old is None or known is None:
        return [Change("added", label, detail, problem or None)]
    if problem:
        return [Change("changed", label, detail, problem)]
    details = [column.name for column in new.columns if column.name not in _avro_fields(old)]
    notes = [_not_serving(details, name, current, plan)] if details else []
    if old.partitions != new.partitions:
        details.append(f"{new.partitions} partitions, as its topic has now (were {old.partitions})")
    if old.identity != new.identity:
        details.append(f"identity {_listed(new.identity) or 'none'} (was {_listed(old.identity) or 'none'})")
        applied = [key for key, view in sorted(plan.views.items()) if view.source == name and key in current.views]
        if applied:
            notes.append(
                f"applied versions keep the identity that they have: {_listed(applied)}; new versions take this one"
            )
    if details or old.log_offline != new.log_offline or old.timestamp_field != new.timestamp_field:
        return [Change("changed", label, ", ".join(details), note="; ".join(filter(None, notes)))]
    return []


def _not_serving(fields: Iterable[str], source: str, current: Plan, new: Plan) -> str:
    """Returns which attribute views that were applied before go on without fields that their source gets."""
    without = [
        key
        for key, view in sorted(new.views.items())
        if view.source == source
        and key in current.views
        and not view.is_aggregate
        and not {column.name for column in view.columns}.issuperset(fields)
    ]
    if not without:
        return ""
    return (
        f"applied versions keep the columns that they have: {_listed(without)}; new versions take what their schema "
        "names, or all fields"
    )


def _broken(old: SourcePlan, new: SourcePlan) -> tuple[str, str]:
    """Returns why a source may not become another and which fields are in the way; empty if it may."""
    known, kept = _avro_fields(old), _avro_fields(new)
    broken = [name for name in known if kept.get(name) != known[name]]
    required = [column.name for column in new.columns if column.name not in known and column.required]
    if not broken and not required:
        return "", ""
    problem = "fields may only be added, and only with required=False; make a new source for any other change"
    return problem, ", ".join(broken + required)


def _avro_fields(source: SourcePlan) -> dict[str, Any]:
    """Returns the fields of a source's schema by name: they say more than columns, such as required members."""
    return {field["name"]: field for field in msgspec.json.decode(source.schema)["fields"]}


def _view(key: str, current: Plan, new: Plan) -> list[Change]:
    label = f"feature view {key}"
    old, wanted, retired = current.views.get(key), new.views.get(key), current.retired.get(key)
    if old is None:
        found = _view_not_in_force(label, retired, wanted, new.retired.get(key))
        if wanted is not None and wanted.source in current.read_sources():
            note = _beginning(wanted, current, new)
            return [replace(each, note=note) if each.kind == "added" and not each.detail else each for each in found]
        return found
    if wanted is None:
        kept = new.retired.get(key)
        features = f"features {_listed(feature.name for feature in old.features)}"
        return [Change("removed", label, lost=f"{features}; {_fate(kept)}")]
    differing = _differing(old, wanted)
    if not differing:
        return []
    problem = "an applied version never changes in place; give the view a new version"
    return [Change("changed", label, ", ".join(_detailed(differing, old, wanted)), problem)]


def _view_not_in_force(
    label: str, retired: RetiredView | None, wanted: ViewPlan | None, kept: RetiredView | None
) -> list[Change]:
    if retired is None:
        return [Change("added", label)]
    if wanted is None:
        return [] if kept is not None else [Change("removed", f"{label} (retired)", lost=_fate(None))]
    if wanted.id == retired.view.id:
        return [Change("added", label, "goes on with the state that was kept since its removal")]
    if kept is None:
        return [Change("removed", f"{label} (retired)", lost=_fate(None)), Change("added", label)]
    problem = (
        "it was removed and may still come back, and an applied version never changes; give the view a new version, or "
        "end the removed one with --allow-removals=now"
    )
    return [Change("added", label, ", ".join(_differing(retired.view, wanted)), problem)]


def _beginning(view: ViewPlan, current: Plan, new: Plan) -> str:
    """Returns what to expect of a view without state whose source has had events before."""
    longest = max((feature.window + feature.offset for feature in view.features), default=0)
    if longest:
        filled = (
            f"its windows are full after {duration_text(longest)}, or once the events of that time were sent again, "
            "which replace themselves"
        )
    else:
        filled = "a key has values from its next event on, or once its newest was sent again, which replaces itself"
    others = sorted(each.version for each in current.views.values() if each.name == view.name)
    both = ""
    if others:
        gone = [version for version in others if f"{view.name}@{version}" not in new.views]
        keep = f"keep {_listed(gone)} in the repository" if gone else f"{_listed(others)} stays"
        both = f"; {keep} beside {view.version}, in a service of its own, to serve both until then"
    return f"starts empty: {filled}{both}"


def _fate(kept: RetiredView | None) -> str:
    if kept is None:
        return "it is computed no longer and its online state is deleted, at once"
    return (
        f"it is still computed for {kept.grace / DAY_SECONDS:g} days of running time, in which the same definition "
        "takes it up again without a gap; then its online state is deleted"
    )


def _service(name: str, current: Plan, new: Plan) -> list[Change]:
    label = f"feature service {name}"
    old, wanted = current.services.get(name), new.services.get(name)
    if wanted is None:
        answered = _listed(_features(old, current)) if old is not None else ""
        return [Change("removed", label, lost=f"requests for it are refused; it answers with {answered}")]
    if old is None:
        return [Change("added", label)]
    if old == wanted:
        return []
    empty = sorted(key for key in wanted.views if key not in old.views and _starts_empty(key, current, new))
    note = f"answers with what starts empty from now on: {_listed(empty)}" if empty else ""
    return [Change("changed", label, ", ".join(wanted.views), note=note)]


def _starts_empty(key: str, current: Plan, new: Plan) -> bool:
    return new.views[key].id not in {view.id for view in current.folded_views().values()}


def _features(service: ServicePlan, plan: Plan) -> Iterable[str]:
    views = (plan.views[key] for key in service.views)
    return (f"{view.name}.{feature.name}" for view in views for feature in view.features)


def _listed(names: Iterable[str]) -> str:
    every = list(names)
    more = f" and {len(every) - _LISTED_FEATURES} more" if len(every) > _LISTED_FEATURES else ""
    return ", ".join(every[:_LISTED_FEATURES]) + more


_IGNORED: Final = ("id",)
_NAMED: Final = ("columns", "features")


def _differing(old: ViewPlan, new: ViewPlan) -> list[str]:
    before, after = msgspec.structs.asdict(old), msgspec.structs.asdict(new)
    return [name for name in before if name not in _IGNORED and before[name] != after[name]]


def _detailed(differing: Iterable[str], old: ViewPlan, new: ViewPlan) -> Iterable[str]:
    """Yields what differs, of columns and features with the names: ``columns (+channel -merchant)``."""
    for name in differing:
        if name in _NAMED:
            before, after = ({each.name: each for each in getattr(view, name)} for view in (old, new))
            marks = [f"+{each}" for each in after if each not in before]
            marks += [f"-{each}" for each in before if each not in after]
            marks += [f"~{each}" for each in after if each in before and before[each] != after[each]]
            yield f"{name} ({_listed(marks)})" if marks else name
        else:
            yield name
