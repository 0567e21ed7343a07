"""Applying a feature repository.

In this order:

1. Read the repository, and the topic of definitions to its end.
2. Compile; compare with what is applied. If anything may not change, nothing is done.
3. Register the Avro schemas.
4. Make the topics, also where nothing changed: that is how a lost one comes back.
5. Publish new views; the offset of each message is the view's id.
6. Publish the plan, unless another apply was quicker: running processes take it up.

Invariant: until step 6 nothing that runs has changed; a crash before it leaves schemas, topics and view messages that
the next apply finds or that nobody refers to.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from infra.definitions import MAX_PLAN_BYTES, DefinitionsFollower, publish_plan, publish_view
from infra.kafka_clients import ensure_topics, partition_counts, producer, warm
from infra.registry import SchemaRegistry
from infra.settings import Settings
from infra.topic_specs import control_topics, workspace_topics
from schemas.changes import Change, carry_ids, changes
from schemas.compile import compile_services, compile_sources, compile_views
from schemas.errors import DefinitionError, IncompatibleChangeError, UnavailableError
from schemas.plan import Plan, SourcePlan, encode
from schemas.repository import Repository, digest, load_repository
from schemas.topics import DEFINITIONS_TOPIC, source_topic, value_subject

READ_SECONDS: Final = 20.0
SUFFIXES: Final = (".py", ".avsc")
SKIPPED_FOLDERS: Final = frozenset({"__pycache__", ".venv", ".git", ".headrace"})


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


def apply_repository(folder: Path, settings: Settings, *, dry_run: bool) -> Applied:
    """Applies a repository to the workspace of the settings.

    Args:
        folder: the repository.
        settings: bootstrap, workspace, partitions, source_partitions and replication count.
        dry_run: show the changes, change nothing.

    Raises:
        DefinitionError: the repository does not compile, or its plan is too large.
        IncompatibleChangeError: what is applied was written by a newer version of Headrace.
        UnavailableError: Kafka is away, or another apply was made meanwhile.
    """
    files = read_repository(folder)
    repository = load_repository(files, str(folder))
    ensure_topics(settings.bootstrap, control_topics(settings.replication))
    definitions = DefinitionsFollower(settings.bootstrap)
    definitions.start()
    try:
        current = _current(definitions, settings.workspace)
        plan = _compiled(repository, current, settings, partition_counts(settings.bootstrap))
        if len(encode(plan)) > MAX_PLAN_BYTES:
            raise DefinitionError(
                f"{folder}: the plan exceeds {MAX_PLAN_BYTES} bytes; move data files out of the repository"
            )
        found = Applied(changes(current, plan), None)
        if dry_run or found.refused:
            return found
        if current is not None and not found.changes:
            ensure_topics(settings.bootstrap, workspace_topics(current, settings.replication))
            return found
        return Applied(found.changes, _publish(plan, current, definitions, settings))
    finally:
        definitions.stop()


def _current(definitions: DefinitionsFollower, workspace: str) -> Plan | None:
    definitions.read_to_end(READ_SECONDS)
    if problem := definitions.unreadable(workspace):
        raise IncompatibleChangeError(f"{problem}; applying with this version would undo it")
    return definitions.plan(workspace)


def _compiled(repository: Repository, current: Plan | None, settings: Settings, topics: Mapping[str, int]) -> Plan:
    """Returns the plan of a repository, with what stays from the one before: partitions, ids of unchanged views.

    The topics of sources have as many partitions as they are found with: their operator may add some.
    """
    sources = compile_sources(repository, settings.source_partitions)
    for name, source in sources.items():
        applied = None if current is None else current.sources.get(name)
        planned = source.partitions if applied is None else applied.partitions
        found = topics.get(source_topic(settings.workspace, name), planned)
        sources[name] = msgspec.structs.replace(source, partitions=found)
    return Plan(
        workspace=settings.workspace,
        partitions=settings.partitions if current is None else current.partitions,
        sources=sources,
        views=carry_ids(current, compile_views(repository, sources)),
        services=compile_services(repository),
        files=repository.files,
        digest=digest(repository.files),
    )


def _publish(plan: Plan, current: Plan | None, definitions: DefinitionsFollower, settings: Settings) -> Plan:
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
    if newest is not None and (current is None or newest.number != current.number):
        raise UnavailableError(
            f"another apply changed workspace {plan.workspace!r} meanwhile (plan {newest.number}); nothing was "
            "applied: apply again to see what changes now"
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
