from schemas.topics import (
    acks_topic,
    dead_letter_topic,
    materialize_group,
    source_topic,
    transform_group,
    updates_topic,
    value_subject,
    workspace_of,
)


def test_topics_are_named_by_workspace_then_use_then_source() -> None:
    assert source_topic("prod", "flights") == "prod.source.flights"
    assert dead_letter_topic("prod", "flights") == "prod.dead-letter.flights"
    assert updates_topic("prod") == "prod.updates"
    assert acks_topic("prod") == "prod.acks"


def test_a_topic_tells_its_workspace() -> None:
    topics = [source_topic("a", "b"), dead_letter_topic("a", "b"), updates_topic("a"), acks_topic("a")]
    assert [workspace_of(topic) for topic in topics] == ["a"] * 4


def test_the_subject_of_a_topic_is_the_one_stock_serializers_use() -> None:
    assert value_subject(source_topic("prod", "flights")) == "prod.source.flights-value"


def test_the_groups_of_an_installation_are_its_own_and_differ_by_stage() -> None:
    assert transform_group("h1") == "headrace.h1.transform"
    assert materialize_group("h1") == "headrace.h1.materialize"
