"""Applying a feature repository.

In this order:

1. Read the repository, and the topic of definitions to its end.
2. Compile; compare with what is applied; refuse what may not change.
3. Register the Avro schemas.
4. Make the topics.
5. Publish new views; the offset of each message is the view's id.
6. Publish the plan: running processes take it up.

Invariant: until step 6 nothing that runs has changed; a crash before it leaves schemas, topics and view messages that
the next apply finds or that nobody refers to.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from infra.definitions import MAX_PLAN_BYTES, DefinitionsFollower, publish_plan, publish_view
from infra.kafka_clients import ensure_topics, producer
from infra.registry import SchemaRegistry
from infra.settings import Settings
from infra.topic_specs import control_topics, workspace_topics
from schemas.changes import Change, carry_ids, changes
from schemas.compile import compile_services, compile_sources, compile_views
from schemas.errors import DefinitionError, IncompatibleChangeError, UnavailableError
from schemas.plan import Plan, encode
from schemas.repository import digest, load_repository
from schemas.topics import source_topic, value_subject

READ_SECONDS: Final = 20.0
SUFFIXES: Final = (".py", ".avsc")
SKIPPED_FOLDERS: Final = frozenset({"__pycache__", ".venv", ".git", ".headrace"})


@dataclass(frozen=True, slots=True)
class Applied:
    """What an apply found and did; ``plan`` is the number it published, None if nothing was."""

    changes: list[Change]
    plan: int | None


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
        DefinitionError: the repository does not compile.
        IncompatibleChangeError: it would change what must not change; names each object and reason.
        UnavailableError: Kafka is away.
    """
    files = read_repository(folder)
    repository = load_repository(files, str(folder))
    ensure_topics(settings.bootstrap, control_topics(settings.replication))
    follower = DefinitionsFollower(settings.bootstrap)
    follower.start()
    try:
        try:
            follower.wait_caught_up(READ_SECONDS)
        except TimeoutError as error:
            raise UnavailableError(f"{error}; check that Kafka runs, and try again") from error
        current = follower.plan(settings.workspace)
    finally:
        follower.stop()
    sources = compile_sources(repository, settings.source_partitions)
    if current is not None:
        for name, source in current.sources.items():
            if name in sources:
                sources[name] = msgspec.structs.replace(sources[name], partitions=source.partitions)
    plan = Plan(
        workspace=settings.workspace,
        partitions=settings.partitions if current is None else current.partitions,
        sources=sources,
        views=carry_ids(current, compile_views(repository, sources)),
        services=compile_services(repository),
        files=files,
        digest=digest(files),
    )
    found = changes(current, plan)
    problems = [f"{change.object} ({change.detail}): {change.problem}" for change in found if change.problem]
    if problems:
        raise IncompatibleChangeError("\n".join(problems))
    if len(encode(plan)) > MAX_PLAN_BYTES:
        raise DefinitionError(
            f"{folder}: the plan exceeds {MAX_PLAN_BYTES} bytes; move data files out of the repository"
        )
    if dry_run or not found:
        return Applied(found, None)
    return Applied(found, _publish(plan, settings))


def _publish(plan: Plan, settings: Settings) -> int:
    registry = SchemaRegistry(settings.bootstrap)
    registry.start()
    try:
        sources = {}
        for name, source in plan.sources.items():
            subject = value_subject(source_topic(plan.workspace, name))
            schema_id, _ = registry.register(subject, source.schema)
            sources[name] = msgspec.structs.replace(source, schema_id=schema_id)
    finally:
        registry.stop()
    ensure_topics(settings.bootstrap, workspace_topics(plan, settings.replication))
    client = producer(settings.bootstrap)
    nonce = os.urandom(8).hex()
    views = {}
    for key, view in plan.views.items():
        known = (
            view
            if view.id >= 0
            else msgspec.structs.replace(view, id=publish_view(client, plan.workspace, view, nonce))
        )
        views[key] = known
    return publish_plan(client, msgspec.structs.replace(plan, sources=sources, views=views))
