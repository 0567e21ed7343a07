from dataclasses import FrozenInstanceError, fields

import pytest

from ingest_api.ingestion.dialect import DOCUMENTED_LIMITS, CheckedSource, IngestCall, admit_all
from ingest_api.snowflake.api import snowflake_dialect


def test_a_dialect_is_a_value() -> None:
    dialect = snowflake_dialect(DOCUMENTED_LIMITS)
    for field in fields(dialect):
        with pytest.raises(FrozenInstanceError):
            setattr(dialect, field.name, None)


def test_a_call_names_no_workspace_unless_its_dialect_says_so() -> None:
    assert IngestCall(records={}, dry_run=True, options=None).workspace is None


def test_who_admits_all_admits_calls_of_which_every_record_is_wrong() -> None:
    call = IngestCall(records={}, dry_run=False, options=None)
    admit_all(call, {"a": CheckedSource(None, 1, {}, {0: ("UNKNOWN_SOURCE", "no")})})
