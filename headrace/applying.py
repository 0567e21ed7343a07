"""Applying a feature repository.

In this order:

1. Read the repository, and the topic of definitions to its end.
2. Compile; compare with what is applied. If anything may not change, or something would be removed and nobody has
   said that it may, nothing is done.
3. Register the Avro schemas.
4. Make the topics, also where nothing changed: that is how a lost one comes back.
5. Publish new views; the offset of each message is the view's id.
6. Publish the plan, unless another apply was quicker: running processes take it up. Views that it removes are retired
   (``schemas.definitions.plan``), unless they are to end at once.

Invariant: until step 6 nothing that runs has changed; a crash before it leaves schemas, topics and view messages that
the next apply finds or that nobody refers to.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

import msgspec

from infra.kafka.clients import ensure_topics, partition_counts, producer, warm
from infra.kafka.definitions import DefinitionsLog, publish_plan, publish_view
from infra.kafka.listeners import require_listener
from infra.kafka.schema_registry import SchemaRegistry
from infra.kafka.topics import control_topics, workspace_topics
from infra.settings import Settings
from schemas.definitions.changes import DAY_SECONDS, Change, carry_ids, changes, retire
from schemas.definitions.compile import compile_services, compile_sources, compile_views
from schemas.definitions.plan import Plan, SourcePlan
from schemas.definitions.plan_codec import encode
from schemas.definitions.repository import Repository, digest, load_repository
from schemas.errors import DefinitionError, IncompatibleChangeError, UnavailableError
from schemas.limits import MAX_PLAN_BYTES
from schemas.topics import DEFINITIONS_TOPIC, source_topic, value_subject

READ_SECONDS: Final = 20.0
SUFFIXES: Final = (".py", ".avsc")
SKIPPED_FOLDERS: Final = frozenset({"__pycache__", ".venv", ".git", ".headrace"})

Removals = Literal["grace", "now"]
"""How views may be removed: kept for the grace of the settings, or ended at once, earlier removed ones too."""

Confirm = Callable[[Sequence[Change]], bool]
"""Shows someone all changes, some of them removals, and returns whether they are to be made."""


@dataclass(frozen=True, slots=True)
class Applied:
    """What an apply found and did.

    Attributes:
        changes: all differences, refused ones included.
        plan: what was published, with its number and ids; None if nothing was.
    """

    changes: list[Change]
    plan: Plan | None

    @property
    def refused(self) -> list[Change]:
        """The changes that must not be made; one is enough for none to be made."""
        return [change for change in self.changes if change.problem is not None]


def read_repository(folder: Path) -> dict[str, str]:
    """Returns the texts of a repository by relative path.

    Raises:
        DefinitionError: the folder has no definitions, is too large, or has a file that is not UTF-8.
    """
    files: dict[str, str] = {}
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in SKIPPED_FOLDERS)
        for name in sorted(names):
            path = Path(parent) / name
            if path.suffix in SUFFIXES:
                try:
                    files[path.relative_to(folder).as_posix()] = path.read_text(encoding="utf-8")
                except (OSError, UnicodeDecodeError) as error:
                    raise DefinitionError(f"{path}: cannot be read as UTF-8 text: {error}") from error
    if not any(name.endswith(".py") for name in files):
        raise DefinitionError(
            f"{folder}: no .py files; `headrace init {folder}` writes a small repository to start from"
        )
    return files


def apply_repository(
    folder: Path,
    settings: Settings,
    *,
    dry_run: bool,
    removals: Removals | None = None,
    confirm: Confirm | None = None,
) -> Applied:
    """Applies a repository to the workspace of the settings.

    Args:
        folder: the repository.
        settings: bootstrap, workspace, partitions, source_partitions, replication and retired_grace_days count.
        dry_run: show the changes, change nothing.
        removals: how something may be removed; None refuses it, unless ``confirm`` allows it, with the grace.
        confirm: asked where something would be removed and ``removals`` is None; None if there is nobody to ask.

    Raises:
        DefinitionError: the repository does not compile, or its plan is too large.
        IncompatibleChangeError: what is applied was written by a newer version of Headrace.
        UnavailableError: Kafka is away, or another apply was made meanwhile.
    """
    files = read_repository(folder)
    repository = load_repository(files, str(folder))
    require_listener(settings.bootstrap)
    ensure_topics(settings.bootstrap, control_topics(settings.replication))
    definitions = DefinitionsLog(settings.bootstrap)
    definitions.start()
    try:
        current = _current(definitions, settings.workspace)
        plan = _compiled(repository, current, settings, partition_counts(settings.bootstrap))
        if removals != "now":
            plan = retire(current, plan, settings.retired_grace_days * DAY_SECONDS)
        _check_size(folder, plan)
        found = Applied(changes(current, plan), None)
        if removals is None:
            found = _permitted(found, folder, confirm, dry_run=dry_run)
        if dry_run or found.refused:
            return found
        if current is not None and not found.changes:
            ensure_topics(settings.bootstrap, workspace_topics(current, settings.replication))
            return found
        return Applied(found.changes, _publish(plan, current, definitions, settings))
    finally:
        definitions.stop()


def _check_size(folder: Path, plan: Plan) -> None:
    if len(encode(plan)) <= MAX_PLAN_BYTES:
        return
    remedy = "move data files out of the repository"
    if plan.repositories and len(encode(msgspec.structs.replace(plan, retired={}, repositories={}))) <= MAX_PLAN_BYTES:
        remedy = (
            "it holds the texts that removed views run from while they are kept; end these views at once with "
            "--allow-removals=now"
        )
    raise DefinitionError(f"{folder}: the plan exceeds {MAX_PLAN_BYTES} bytes; {remedy}")


def _permitted(found: Applied, folder: Path, confirm: Confirm | None, *, dry_run: bool) -> Applied:
    """Returns the changes as they are if they may be made, else with a problem at each removal."""
    if all(change.kind != "removed" for change in found.changes):
        return found
    if confirm is not None and (dry_run or found.refused or confirm(found.changes)):
        return found  # nobody is asked about what is not done: a dry run shows what the question would be about
    problem = (
        f"to remove it, run `headrace apply {folder} --allow-removals`; with --allow-removals=now nothing is kept "
        "(`headrace up` takes both, too)"
    )
    return Applied([replace(c, problem=problem) if c.kind == "removed" else c for c in found.changes], None)


def _current(definitions: DefinitionsLog, workspace: str) -> Plan | None:
    definitions.read_to_end(READ_SECONDS)
    if problem := definitions.unreadable(workspace):
        raise IncompatibleChangeError(f"{problem}; applying with this version would undo it")
    return definitions.plan(workspace)


def _compiled(repository: Repository, current: Plan | None, settings: Settings, topics: Mapping[str, int]) -> Plan:
    """Returns the plan of a repository, with what stays from the one before: partitions, ids of unchanged views.

    The topics of sources have as many partitions as they are found with: their operator may add some.
    """
    sources = compile_sources(repository, settings.source_partitions)
    known = {} if current is None else current.read_sources()
    for name, source in sources.items():
        applied = known.get(name)
        planned = source.partitions if applied is None else applied.partitions
        found = topics.get(source_topic(settings.workspace, name), planned)
        sources[name] = msgspec.structs.replace(source, partitions=found)
    views = compile_views(repository, sources, applied=None if current is None else current.folded_views())
    return Plan(
        workspace=settings.workspace,
        partitions=settings.partitions if current is None else current.partitions,
        sources=sources,
        views=carry_ids(current, views),
        services=compile_services(repository, views),
        files=repository.files,
        digest=digest(repository.files),
    )


def _publish(plan: Plan, current: Plan | None, definitions: DefinitionsLog, settings: Settings) -> Plan:
    sources = _registered(plan, settings)
    ensure_topics(settings.bootstrap, workspace_topics(plan, settings.replication))
    client = producer(settings.bootstrap)
    warm(client, DEFINITIONS_TOPIC)
    nonce = os.urandom(8).hex()
    views = {
        key: view
        if view.id >= 0
        else msgspec.structs.replace(view, id=publish_view(client, plan.workspace, view, nonce))
        for key, view in plan.views.items()
    }
    newest = _current(definitions, plan.workspace)
    if newest is not None and newest is not current:
        raise UnavailableError(
            f"workspace {plan.workspace!r} changed meanwhile (plan {newest.number}), by another apply or because a "
            "removed view has ended; nothing was applied: apply again to see what changes now"
        )
    complete = msgspec.structs.replace(plan, sources=sources, views=views)
    return msgspec.structs.replace(complete, number=publish_plan(client, complete))


def _registered(plan: Plan, settings: Settings) -> dict[str, SourcePlan]:
    """Returns the plan's sources with the ids of their schemas."""
    registry = SchemaRegistry(settings.bootstrap, replication=settings.replication)
    registry.start()
    try:
        sources = {}
        for name, source in plan.sources.items():
            subject = value_subject(source_topic(plan.workspace, name))
            schema_id, _ = registry.register(subject, source.schema)
            sources[name] = msgspec.structs.replace(source, schema_id=schema_id)
        return sources
    finally:
        registry.stop()
