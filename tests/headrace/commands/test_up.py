import json

from examples.running import System


def test_all_that_up_and_its_children_write_to_stderr_is_json_and_the_broker_tells_its_address(system: System) -> None:
    lines = [json.loads(line) for line in (system.data / "up.log").read_text("utf-8").splitlines()]
    ready = [line["bootstrap"] for line in lines if (line["role"], line["event"]) == ("broker", "ready")]
    assert ready == [system.kafka]
