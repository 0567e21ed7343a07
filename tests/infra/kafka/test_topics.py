from infra.kafka.clients import admin, ensure_topics
from infra.kafka.topics import ACKS_PARTITIONS, control_topics, workspace_topics
from schemas.definitions.plan import Plan, SourcePlan
from schemas.limits import MAX_ROWS_BYTES, MAX_SOURCE_RECORD_BYTES
from schemas.records.transform import MAX_UPDATE_BYTES

PLAN = Plan("dev", 3, {"clicks": SourcePlan("clicks", (), "at", True, "{}", 1, 5)}, {}, {}, {}, "")


def test_what_decides_a_winner_carries_kafkas_time() -> None:
    stamped = {
        spec.name for spec in workspace_topics(PLAN, 1) if spec.config.get("message.timestamp.type") == "LogAppendTime"
    }
    assert stamped == {"dev.updates", "dev.source.clicks"}


def test_a_workspace_has_its_topics_with_the_plans_partitions() -> None:
    assert {spec.name: (spec.partitions, spec.replication) for spec in workspace_topics(PLAN, 2)} == {
        "dev.updates": (3, 2),
        "dev.acks": (ACKS_PARTITIONS, 2),
        "dev.source.clicks": (5, 2),
        "dev.dead-letter.clicks": (1, 2),
    }


def test_definitions_and_schemas_are_kept_for_ever() -> None:
    for spec in control_topics(3):
        assert (spec.partitions, spec.replication, spec.config["cleanup.policy"]) == (1, 3, "compact")


def test_an_id_that_was_given_out_is_on_disk() -> None:
    assert [spec.config["flush.messages"] for spec in control_topics(1)] == ["1", "1"]


def test_how_long_records_are_kept_is_given_once_and_then_the_operators() -> None:
    for spec in workspace_topics(PLAN, 1):
        assert "retention.ms" in spec.initial
        assert "retention.ms" not in spec.config


def test_rows_and_answers_need_their_partitions_and_sources_take_what_is_there() -> None:
    assert {spec.name: spec.fewest for spec in workspace_topics(PLAN, 1)} == {
        "dev.updates": 3,
        "dev.acks": ACKS_PARTITIONS,
        "dev.source.clicks": 1,
        "dev.dead-letter.clicks": 1,
    }


def test_what_is_made_of_the_largest_record_fits() -> None:
    limits = {spec.name: int(spec.config.get("max.message.bytes", 0)) for spec in workspace_topics(PLAN, 1)}
    assert limits["dev.source.clicks"] > MAX_SOURCE_RECORD_BYTES
    assert limits["dev.dead-letter.clicks"] > limits["dev.source.clicks"]
    assert limits["dev.updates"] > MAX_ROWS_BYTES + MAX_UPDATE_BYTES


def test_kafka_takes_them(bootstrap: str, unique: str) -> None:
    specs = workspace_topics(Plan(unique, 1, PLAN.sources, {}, {}, {}, ""), 1)
    ensure_topics(bootstrap, [*control_topics(1), *specs])
    assert {spec.name for spec in specs} <= admin(bootstrap).list_topics(timeout=10).topics.keys()
