from dataclasses import FrozenInstanceError, fields
from unittest.mock import create_autospec

import pytest

from access.authentication import Authenticator
from ingest_api.ingestion.pipeline import Ingestion
from ingest_api.service import IngestService


def test_a_dialect_gets_what_all_share_and_cannot_change_it() -> None:
    authenticator, ingestion = create_autospec(Authenticator), create_autospec(Ingestion)
    service = IngestService(authenticator, ingestion, "prod")
    assert (service.authenticator, service.ingestion, service.default_workspace) == (authenticator, ingestion, "prod")
    for field in fields(service):
        with pytest.raises(FrozenInstanceError):
            setattr(service, field.name, None)
