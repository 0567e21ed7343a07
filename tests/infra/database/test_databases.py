import pytest

from infra.database import databases
from infra.database.layout import DatabaseResources
from infra.database.primary import PrimaryDatabase
from infra.database.secondary import SecondaryDatabase
from schemas.errors import LockedError
from tests.infra.database.conftest import Place


def test_the_door_leads_to_what_callers_need_and_to_nothing_else() -> None:
    assert {name: getattr(databases, name) for name in databases.__all__} == {
        "DatabaseResources": DatabaseResources,
        "PrimaryDatabase": PrimaryDatabase,
        "SecondaryDatabase": SecondaryDatabase,
    }


def test_one_writes_and_any_number_read(place: Place) -> None:
    with place.primary() as primary, place.secondary() as one, place.secondary() as other:
        with pytest.raises(LockedError):
            place.primary(lock_seconds=0)
        primary.write([(b"key", b"value")])
        for secondary in (one, other):
            secondary.refresh()
            assert secondary.get(b"key") == b"value"
