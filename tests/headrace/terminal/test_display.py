import asyncio

import pytest

from headrace.terminal.display import Outlook, Plain
from infra.process.supervisor import Stage


def test_without_a_terminal_the_addresses_come_once_and_ready_last(capsys: pytest.CaptureFixture[str]) -> None:
    async def scenario() -> None:
        async with Plain() as display:
            assert display.output("serving") is None
            display.tell("serving", Stage.STARTING, "")
            display.ready(Outlook([("kafka", "127.0.0.1:9092")], [("send", "POST http://h/x")]))

    asyncio.run(scenario())
    assert capsys.readouterr().out.splitlines() == [
        "kafka      127.0.0.1:9092",
        "send       POST http://h/x",
        "ready: Ctrl-C stops all",
    ]
