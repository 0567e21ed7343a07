import asyncio
import time

import pytest

from headrace import given_brokers
from headrace.given_brokers import PATIENCE_SECONDS, REMEDY, are_given, introduced, named, watch
from infra.process.ports import free_port
from infra.settings import Settings, load_settings

PLACE = "127.0.0.1:1 (flag --bootstrap)"


def given(bootstrap: str = "127.0.0.1:1") -> Settings:
    return load_settings({"bootstrap": bootstrap}, {}, None)


def test_brokers_are_given_only_if_a_source_names_them() -> None:
    assert are_given(given())
    assert not are_given(load_settings({"kafka_port": "1"}, {}, None))


def test_they_are_named_with_what_gave_them() -> None:
    assert named(given()) == PLACE
    assert introduced(given()) == f"uses Kafka at {PLACE} and starts none of its own"


@pytest.mark.parametrize(
    ("flags", "environ", "idle"),
    [
        ({"kafka_port": 2}, {}, "flag --kafka-port"),
        ({}, {"HEADRACE_KAFKA_PORT": "2"}, "environment variable HEADRACE_KAFKA_PORT"),
    ],
)
def test_a_port_that_has_no_effect_is_told(flags: dict[str, object], environ: dict[str, str], idle: str) -> None:
    settings = load_settings({"bootstrap": "127.0.0.1:1", **flags}, environ, None)
    assert introduced(settings).endswith(f"starts none of its own; {idle} has no effect")


def test_brokers_that_answer_are_no_news(bootstrap: str) -> None:
    notes: list[str] = []
    asyncio.run(watch(given(bootstrap), notes.append))
    assert notes == []


def test_silence_is_told_once_and_so_is_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([False, False, False, True])
    monkeypatch.setattr(given_brokers, "_answers", lambda _client: next(answers))
    monkeypatch.setattr(given_brokers, "PAUSE_SECONDS", 0.0)
    notes: list[str] = []
    asyncio.run(watch(given(), notes.append, patience_seconds=0.0))
    assert notes == [
        f"no Kafka answers at {PLACE}: {REMEDY}; waiting for it",
        "Kafka answers at 127.0.0.1:1",
    ]


def test_a_broker_that_is_late_but_within_patience_is_no_news(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([False, True])
    monkeypatch.setattr(given_brokers, "_answers", lambda _client: next(answers))
    notes: list[str] = []
    asyncio.run(watch(given(), notes.append))
    assert notes == []


@pytest.mark.slow
def test_nobody_there_is_told_in_five_seconds() -> None:
    told: list[float] = []

    async def scenario() -> None:
        begun = time.monotonic()
        watching = asyncio.create_task(
            watch(given(f"127.0.0.1:{free_port()}"), lambda _text: told.append(time.monotonic() - begun))
        )
        await asyncio.wait({watching}, timeout=PATIENCE_SECONDS + 4)
        watching.cancel()

    asyncio.run(scenario())
    assert len(told) == 1
