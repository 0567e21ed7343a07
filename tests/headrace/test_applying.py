import socket
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # it re-exports these without saying so
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    ResourceType,
)

from headrace import applying
from headrace.applying import Applied, Confirm, apply_repository, read_repository
from headrace.current_plan import current_plan
from infra.kafka.clients import TopicSpec, admin, ensure_topics, produce_checked, producer
from infra.kafka.definitions import publish_plan, publish_view
from infra.kafka.listeners import require_listener
from infra.kafka.schema_registry import SchemaRegistry
from infra.process.ports import LOOPBACK, free_port
from infra.settings import Settings
from schemas.definitions.changes import Change
from schemas.definitions.plan import Plan
from schemas.definitions.plan_codec import encode, encode_ended, ended_key
from schemas.errors import DefinitionError, IncompatibleChangeError, UnavailableError
from schemas.limits import MAX_PLAN_BYTES
from schemas.topics import DEFINITIONS_TOPIC, source_topic, updates_topic, value_subject

HEAD = """
from datetime import timedelta
from headrace import *

user = Entity(name="user", join_keys=[Field("user", String)])
"""
SOURCE = """
events = StreamSource(name="events", timestamp_field="at", schema=[
    Field("user", String), Field("amount", Int64), Field("at", Timestamp){more}])
"""
VIEW = """
@stream_feature_view(source=events, entities=[user], version="{version}", timestamp_field="at", features=[
    Aggregate("sum", "amount", timedelta(days={days}))])
def {name}(record):
    return record
"""


def text(*views: str, more: str = "") -> str:
    return HEAD + SOURCE.format(more=more) + "".join(views)


def view(name: str = "spending", version: str = "V1", days: int = 1) -> str:
    return VIEW.format(name=name, version=version, days=days)


def write(folder: Path, **files: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / f"{name}.py").write_text(content)
    return folder


@pytest.fixture
def settings(bootstrap: str, unique: str) -> Settings:
    return replace(Settings(), bootstrap=bootstrap, workspace=unique, partitions=2, source_partitions=2)


def apply(settings: Settings, folder: Path, content: str, **how: Any) -> Applied:
    return apply_repository(write(folder, features=content), settings, **{"dry_run": False, **how})


def published(applied: Applied) -> Plan:
    assert applied.plan is not None
    return applied.plan


def test_a_new_workspace_gets_topics_schemas_ids_and_a_plan(settings: Settings, tmp_path: Path) -> None:
    applied = apply(settings, tmp_path / "r", text(view()))
    plan = published(applied)
    assert [(change.kind, change.object) for change in applied.changes] == [
        ("added", "stream source events"),
        ("added", "feature view spending@V1"),
    ]
    assert current_plan(settings.bootstrap, settings.workspace) == plan
    assert 0 <= plan.views["spending@V1"].id < plan.number
    topic = source_topic(settings.workspace, "events")
    topics = admin(settings.bootstrap).list_topics(timeout=10).topics
    assert len(topics[topic].partitions) == 2
    registry = SchemaRegistry(settings.bootstrap)
    registry.start()
    try:
        registry.read_to_end()
        latest = registry.latest(value_subject(topic))
    finally:
        registry.stop()
    assert latest is not None
    assert (latest.schema.id, latest.schema.text) == (plan.sources["events"].schema_id, plan.sources["events"].schema)


def test_ids_and_partitions_stay_and_what_changed_is_told(settings: Settings, tmp_path: Path) -> None:
    first = published(apply(settings, tmp_path / "r", text(view(), view("old"))))
    wider = replace(settings, partitions=7, source_partitions=7)
    changed = text(view(), view("newer", version="V2"), more=', Field("x", String, required=False)')
    again = apply(wider, tmp_path / "r", changed, removals="grace")
    second = published(again)
    assert [(change.kind, change.object) for change in again.changes] == [
        ("changed", "stream source events"),
        ("added", "feature view newer@V2"),
        ("removed", "feature view old@V1"),
    ]
    assert second.views["spending@V1"].id == first.views["spending@V1"].id
    assert (second.partitions, second.sources["events"].partitions) == (2, 2)
    assert second.sources["events"].schema_id != first.sources["events"].schema_id


def test_what_operators_changed_about_topics_stays_and_a_grown_source_is_followed(
    settings: Settings, tmp_path: Path
) -> None:
    apply(settings, tmp_path / "r", text(view()))
    topic = source_topic(settings.workspace, "events")
    client = admin(settings.bootstrap)
    entry = ConfigEntry("retention.ms", "12345678", incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    client.incremental_alter_configs([resource])[resource].result(10)
    for name in (topic, updates_topic(settings.workspace)):
        client.create_partitions([NewPartitions(name, 5)])[name].result(10)
    again = apply(settings, tmp_path / "r", text(view()))
    assert [(change.object, change.detail) for change in again.changes] == [
        ("stream source events", "5 partitions, as its topic has now (were 2)")
    ]
    plan = published(again)
    assert (plan.partitions, plan.sources["events"].partitions) == (2, 5)
    assert client.describe_configs([resource])[resource].result(10)["retention.ms"].value == "12345678"
    assert apply(settings, tmp_path / "r", text(view())).changes == []


def test_a_topic_that_was_there_before_its_source_is_taken_as_it_is(settings: Settings, tmp_path: Path) -> None:
    ensure_topics(settings.bootstrap, [TopicSpec(source_topic(settings.workspace, "events"), 3)])
    assert published(apply(settings, tmp_path / "r", text(view()))).sources["events"].partitions == 3


def test_a_view_that_comes_back_within_its_grace_has_its_id_and_afterwards_a_new_one(
    settings: Settings, tmp_path: Path
) -> None:
    first = published(apply(settings, tmp_path / "r", text(view())))
    short = replace(settings, retired_grace_days=0.5)
    second = published(apply(short, tmp_path / "r", text(), removals="grace"))
    retired = second.retired["spending@V1"]
    assert (retired.view, retired.since, retired.grace) == (first.views["spending@V1"], first.number, 43_200)
    third = published(apply(settings, tmp_path / "r", text(view())))
    assert (third.views, third.retired) == (first.views, {})
    fourth = published(apply(settings, tmp_path / "r", text(), removals="now"))
    assert fourth.retired == {}
    fifth = published(apply(settings, tmp_path / "r", text(view())))
    assert fifth.views["spending@V1"].id > first.views["spending@V1"].id


def test_nothing_is_removed_unless_somebody_says_so(settings: Settings, tmp_path: Path) -> None:
    first = published(apply(settings, tmp_path / "r", text(view(), view("old"))))
    refused = apply(settings, tmp_path / "r", text(view(), view("third", days=3)))
    assert [(change.object, change.problem is None) for change in refused.changes] == [
        ("feature view old@V1", False),
        ("feature view third@V1", True),
    ]
    problem = refused.refused[0].problem or ""
    assert f"run `headrace apply {tmp_path / 'r'} --allow-removals`" in problem
    assert current_plan(settings.bootstrap, settings.workspace) == first

    asked: list[list[str]] = []

    def answers(*, yes: bool) -> Confirm:
        def confirm(found: Sequence[Change]) -> bool:
            asked.append([change.object for change in found if change.kind == "removed"])
            return yes

        return confirm

    shorter = text(view())
    assert apply(settings, tmp_path / "r", shorter, confirm=answers(yes=False)).refused
    shown = apply(settings, tmp_path / "r", shorter, confirm=answers(yes=False), dry_run=True)
    assert (shown.refused, shown.plan) == ([], None)
    assert current_plan(settings.bootstrap, settings.workspace) == first
    second = published(apply(settings, tmp_path / "r", shorter, confirm=answers(yes=True)))
    assert list(second.retired) == ["old@V1"]
    assert asked == [["feature view old@V1"]] * 2


def test_the_texts_of_removed_views_count_towards_the_size_of_a_plan(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = published(apply(settings, tmp_path / "r", text(view())))
    folder = write(tmp_path / "r", table=f"X = '{'x' * len(encode(first))}'")
    monkeypatch.setattr(applying, "MAX_PLAN_BYTES", len(encode(first)) * 2)
    with pytest.raises(DefinitionError, match="end these views at once with --allow-removals=now"):
        apply(settings, folder, text(), removals="grace")
    assert published(apply(settings, folder, text(), removals="now")).retired == {}


def test_an_apply_that_a_view_ended_under_is_refused(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply(settings, tmp_path / "r", text(view()))
    retired = published(apply(settings, tmp_path / "r", text(), removals="grace")).retired["spending@V1"]

    def slow(*arguments: Any) -> int:
        monkeypatch.setattr(applying, "publish_view", publish_view)
        key = ended_key(settings.workspace, retired.view.id)
        produce_checked(producer(settings.bootstrap), DEFINITIONS_TOPIC, key, encode_ended(retired), partition=0)
        return publish_view(*arguments)

    monkeypatch.setattr(applying, "publish_view", slow)
    both = text(view(), view("other"))
    with pytest.raises(UnavailableError, match="a removed view has ended; nothing was applied"):
        apply(settings, tmp_path / "r", both)
    assert published(apply(settings, tmp_path / "r", both)).views["spending@V1"].id > retired.view.id


def test_a_second_apply_of_the_same_changes_nothing_but_brings_lost_topics_back(
    settings: Settings, tmp_path: Path
) -> None:
    number = published(apply(settings, tmp_path / "r", text(view()))).number
    topic = source_topic(settings.workspace, "events")
    client = admin(settings.bootstrap)
    client.delete_topics([topic])[topic].result(10)
    again = apply(settings, tmp_path / "r", text(view()))
    assert (again.changes, again.plan) == ([], None)
    assert topic in client.list_topics(timeout=10).topics
    newest = current_plan(settings.bootstrap, settings.workspace)
    assert newest is not None
    assert newest.number == number


def test_a_dry_run_changes_nothing(settings: Settings, tmp_path: Path) -> None:
    applied = apply_repository(write(tmp_path / "r", features=text(view())), settings, dry_run=True)
    assert (len(applied.changes), applied.plan, applied.refused) == (2, None, [])
    assert current_plan(settings.bootstrap, settings.workspace) is None
    assert source_topic(settings.workspace, "events") not in admin(settings.bootstrap).list_topics(timeout=10).topics


@pytest.mark.parametrize("dry_run", [True, False])
def test_every_refused_change_is_listed_beside_the_others_and_nothing_is_done(
    settings: Settings, tmp_path: Path, dry_run: bool
) -> None:
    number = published(apply(settings, tmp_path / "r", text(view(), view("other")))).number
    worse = text(view(days=2), view("other", days=3), view("third"), more=', Field("x", String)')
    applied = apply_repository(write(tmp_path / "r", features=worse), settings, dry_run=dry_run)
    assert [change.object for change in applied.refused] == [
        "stream source events",
        "feature view other@V1",
        "feature view spending@V1",
    ]
    assert len(applied.changes) == 4
    assert applied.plan is None
    newest = current_plan(settings.bootstrap, settings.workspace)
    assert newest is not None
    assert newest.number == number


def test_an_apply_that_another_one_overtook_is_refused(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply(settings, tmp_path / "r", text(view()))
    other = write(tmp_path / "other", features=text(view(), view("theirs")))
    mine = write(tmp_path / "mine", features=text(view(), view("mine")))
    overtaken: list[Plan] = []

    def slow(*arguments: Any) -> int:
        monkeypatch.setattr(applying, "publish_view", publish_view)
        overtaken.append(published(apply_repository(other, settings, dry_run=False)))
        return publish_view(*arguments)

    monkeypatch.setattr(applying, "publish_view", slow)
    with pytest.raises(UnavailableError, match=r"changed meanwhile .* another apply .* apply again"):
        apply_repository(mine, settings, dry_run=False)
    assert current_plan(settings.bootstrap, settings.workspace) == overtaken[0]


def test_a_plan_of_a_newer_version_is_not_undone(settings: Settings, tmp_path: Path) -> None:
    plan = published(apply(settings, tmp_path / "r", text(view())))
    client = producer(settings.bootstrap)
    publish_plan(client, msgspec.structs.replace(plan, format=99))
    with pytest.raises(IncompatibleChangeError, match="upgrade Headrace; applying with this version would undo it"):
        apply(settings, tmp_path / "r", text(view(), view("other")))
    publish_plan(client, plan)


def test_an_error_in_a_definition_names_file_and_line(settings: Settings, tmp_path: Path) -> None:
    folder = write(tmp_path / "r", features=text(view()), helper="\n\nx = 1 / 0\n")
    with pytest.raises(DefinitionError, match=r"r/helper\.py:3: ZeroDivisionError"):
        apply_repository(folder, settings, dry_run=True)


def test_a_plan_that_is_too_large_is_refused(settings: Settings, tmp_path: Path) -> None:
    folder = write(tmp_path / "r", features=text(view()), table=f"X = '{'x' * MAX_PLAN_BYTES}'")
    with pytest.raises(DefinitionError, match=f"the plan exceeds {MAX_PLAN_BYTES} bytes"):
        apply_repository(folder, settings, dry_run=True)


def test_without_kafka_nothing_is_applied(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(applying, "require_listener", partial(require_listener, patience_seconds=0.2))
    away = replace(settings, bootstrap=f"{LOOPBACK}:{free_port()}")
    with pytest.raises(UnavailableError, match=f"no Kafka listens at {away.bootstrap}"):
        apply(away, tmp_path / "r", text(view()))


def test_a_kafka_that_does_not_answer_is_waited_for_and_then_told(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(applying, "ensure_topics", lambda *_: None)
    monkeypatch.setattr(applying, "READ_SECONDS", 0.5)
    with socket.create_server((LOOPBACK, 0)) as server:
        silent = replace(settings, bootstrap=f"{LOOPBACK}:{server.getsockname()[1]}")
        with pytest.raises(UnavailableError, match="check that Kafka runs"):
            apply(silent, tmp_path / "r", text(view()))


def test_a_repository_is_its_python_and_avro_files(tmp_path: Path) -> None:
    write(tmp_path, a="A = 1")
    write(tmp_path / ".venv", b="B = 1")
    write(tmp_path / "sub", c="C = 1")
    (tmp_path / "sub" / "s.avsc").write_text("{}")
    (tmp_path / "notes.txt").write_text("not read")
    assert read_repository(tmp_path) == {"a.py": "A = 1", "sub/c.py": "C = 1", "sub/s.avsc": "{}"}


def test_a_folder_without_definitions_says_how_to_begin(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match="headrace init"):
        read_repository(tmp_path)


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_bytes(b"\xff\xfe")
    with pytest.raises(DefinitionError, match=r"a\.py: cannot be read as UTF-8"):
        read_repository(tmp_path)
