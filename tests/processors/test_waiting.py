import asyncio

import pytest

from processors import waiting
from processors.waiting import until_available
from schemas.errors import StorageError, UnavailableError


class Owner:
    def __init__(self) -> None:
        self.is_owned = True


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "RETRY_SECONDS", 0.0)


def test_an_outage_is_waited_out(capsys: pytest.CaptureFixture[str]) -> None:
    answers = [UnavailableError("Kafka is away"), UnavailableError("Kafka is away"), None]

    def read() -> None:
        answer = answers.pop(0)
        if answer is not None:
            raise answer

    asyncio.run(until_available(Owner(), read, "plan 7 for a[1]"))
    assert answers == []
    assert capsys.readouterr().out.count("plan 7 for a[1]") == 2


def test_a_partition_that_is_let_go_waits_no_longer() -> None:
    owner = Owner()

    def read() -> None:
        owner.is_owned = False
        raise UnavailableError("Kafka is away")

    asyncio.run(until_available(owner, read, "plan 7 for a[1]"))


def test_what_is_no_outage_is_raised() -> None:
    def read() -> None:
        raise StorageError("damaged")

    with pytest.raises(StorageError):
        asyncio.run(until_available(Owner(), read, "plan 7 for a[1]"))
