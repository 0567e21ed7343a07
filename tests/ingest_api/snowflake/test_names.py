import pytest

from ingest_api.snowflake.names import field_names, find_source
from schemas.errors import RecordError


def test_exact_name_wins_over_one_that_differs_in_case() -> None:
    assert find_source("tx", {"TX": 1, "tx": 2}) == 2
    assert field_names(("a", "A"))({"A": 1, "a": 2}) == {"A": 1, "a": 2}


def test_case_does_not_count_where_one_thing_is_meant() -> None:
    assert find_source("TX_STREAM", {"Tx_Stream": 1, "other": 2}) == 1
    assert field_names(("user_id", "Amount"))({"USER_ID": "u", "AMOUNT": 1}) == {"user_id": "u", "Amount": 1}


def test_unknown_source_is_named() -> None:
    with pytest.raises(RecordError, match=r"^Unknown stream source: 'X'$"):
        find_source("X", {"y": 1})


def test_ambiguity_is_an_error_that_names_what_could_be_meant() -> None:
    with pytest.raises(RecordError, match=r"^Ambiguous stream source: 'tX' may mean TX or tx$"):
        find_source("tX", {"tx": 1, "TX": 2})
    with pytest.raises(RecordError, match=r"^Ambiguous field 'id': it may mean ID or Id$"):
        field_names(("ID", "Id"))({"id": 1})


@pytest.mark.parametrize("record", [{"amount": 1, "AMOUNT": 2}, {"AMOUNT": 2, "amount": 1}, {"AMOUNT": 1, "Amount": 2}])
def test_field_given_twice_is_an_error(record: dict[str, int]) -> None:
    with pytest.raises(RecordError, match=r"^Field 'amount' is given more than once, also as 'A"):
        field_names(("amount",))(record)


@pytest.mark.parametrize("record", [None, [], "x", 5, {"other": 1}, {}])
def test_what_has_no_known_names_is_left_for_the_validator(record: object) -> None:
    assert field_names(("amount",))(record) == record
