import msgspec
import pytest

from ingest_api.ingestion.sources import Source
from schemas.errors import RecordError
from schemas.limits import MAX_SOURCE_RECORD_BYTES
from tests.support.repositories import plan_of, view

MEMBERS = ", ".join(f'Field("m{number}", Int64, required=False)' for number in range(50))
TEXT = f"""
wide = StreamSource(name="wide", timestamp_field="at", schema=[
    Field("at", Timestamp), Field("items", Array(Struct(({MEMBERS}))))])
"""


def test_a_record_that_is_short_in_json_and_too_large_in_avro_is_refused() -> None:
    plan = plan_of(TEXT + view())
    registered = msgspec.structs.replace(plan.sources["wide"], schema_id=1)
    source = Source("prod", registered, ())
    record = {"at": "2026-01-02T03:04:05Z", "items": [{}] * 20_000}
    assert len(source.encode(record)) < MAX_SOURCE_RECORD_BYTES
    with pytest.raises(RecordError) as failure:
        source.encode(record | {"items": [{}] * 21_000})
    assert failure.value.code == "RECORD_TOO_LARGE"
    assert failure.value.message == "Record has 1071017 bytes in Avro, at most 1048576 are accepted"


@pytest.mark.parametrize(
    ("text", "lacks"),
    [
        ("2026-01-02T03:04:05Z", False),
        ("2026-01-02T03:04:05.123456z", False),
        ("2026-01-02 03:04:05+02:00", False),
        ("2026-01-02T03:04-0930", False),
        ("2026-01-02T03:04:05", True),
        ("2026-01-02 03:04:05.5", True),
    ],
)
def test_an_event_time_without_a_zone_is_noticed(text: str, lacks: bool) -> None:
    plan = plan_of(view())
    source = Source("prod", msgspec.structs.replace(plan.sources["events"], schema_id=1), ())
    record = {"user": "u", "at": text}
    source.encode(record)
    assert source.lacks_zone(record) is lacks
