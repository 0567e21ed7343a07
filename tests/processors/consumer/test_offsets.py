import pytest

from processors.consumer.offsets import check_offsets
from schemas.errors import StorageError

WHERE = ("prod.updates", 3)


@pytest.mark.parametrize("reset", [True, False])
def test_an_offset_that_kafka_holds_is_kept(reset: bool) -> None:
    for start in (5, 7, 9):
        assert check_offsets(WHERE, start, 5, 9, reset_to_earliest=reset) == start


@pytest.mark.parametrize("reset", [True, False])
def test_a_new_partition_begins_at_the_earliest_record(reset: bool) -> None:
    assert check_offsets(WHERE, None, 0, 9, reset_to_earliest=reset) is None


def test_expired_source_records_are_passed_over() -> None:
    assert check_offsets(WHERE, 2, 5, 9, reset_to_earliest=True) is None
    assert check_offsets(WHERE, None, 5, 9, reset_to_earliest=True) is None


@pytest.mark.parametrize(("start", "earliest"), [(None, 5), (None, 1), (2, 5), (4, 5), (0, 1)])
def test_updates_that_expired_unprocessed_ask_for_a_restore(start: int | None, earliest: int) -> None:
    with pytest.raises(StorageError, match=r"prod\.updates partition 3.*restore"):
        check_offsets(WHERE, start, earliest, 9, reset_to_earliest=False)


@pytest.mark.parametrize("reset", [True, False])
def test_an_offset_behind_the_end_names_both_and_what_to_do(reset: bool) -> None:
    with pytest.raises(StorageError, match=r"stands at offset 12, but the topic ends at 9.*right Kafka"):
        check_offsets(WHERE, 12, 5, 9, reset_to_earliest=reset)
