from collections import Counter
from unittest.mock import create_autospec

from access.authentication import Authenticator
from ingest_api.dialects import DIALECTS
from ingest_api.ingestion.pipeline import Ingestion
from ingest_api.registry.routes import is_registry_path
from ingest_api.service import IngestService

SERVICE = IngestService(create_autospec(Authenticator), create_autospec(Ingestion), "prod")


def paths() -> list[str]:
    return [route.path for dialect in DIALECTS for route in dialect(SERVICE)]


def test_no_two_dialects_share_a_path() -> None:
    assert [path for path, count in Counter(paths()).items() if count > 1] == []


def test_no_dialect_takes_a_path_of_the_schema_registry_or_of_operators() -> None:
    assert not any(is_registry_path(path) for path in paths())
    assert not {"/healthz", "/readyz", "/metrics"} & set(paths())


def test_the_snowflake_dialect_stands_where_its_reference_says() -> None:
    assert "/api/v1/ingest" in paths()
