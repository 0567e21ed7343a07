import asyncio

import pytest

from headrace.terminal.display import Outlook, Plain
from infra.process.supervisor import Stage


def test_without_a_terminal_notes_come_first_then_the_addresses_once_and_ready_last(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def scenario() -> None:
        async with Plain() as display:
            assert display.output("serving") is None
            display.tell("serving", Stage.STARTING, "")
            display.note("uses Kafka at h:1")
            display.ready(Outlook([("kafka", "127.0.0.1:9092")], [("send", "POST http://h/x")]))

    asyncio.run(scenario())
    assert capsys.readouterr().out.splitlines() == [
        "note       uses Kafka at h:1",
        "kafka      127.0.0.1:9092",
        "send       POST http://h/x",
        "ready: Ctrl-C stops all",
    ]
