from pathlib import Path

import pytest

from infra.database.layout import DatabaseResources
from infra.paths import secondaries_path, state_path
from schemas.errors import UnavailableError
from schemas.state.keys import encode_join_keys, partition_of, watermark_key
from serving.reads.state import OnlineState
from tests.serving.world import NOON, PARTITIONS, SECOND, Writer, plan_of, service_text, view_text

PLAN = plan_of(view_text("a", "") + service_text("s", "a_V1"))
VIEW = PLAN.views["a@V1"].id
PARTITION = partition_of(encode_join_keys(["ann"]), PARTITIONS)
ROW = {"user_id": "ann", "at": NOON}


def test_state_that_no_processor_made_yet_is_unavailable_and_named(tmp_path: Path) -> None:
    state = OnlineState(tmp_path, DatabaseResources.of_sizes())

    with pytest.raises(UnavailableError, match="partition 1 of workspace prod has no online state yet"):
        state.open("prod", 1)
    with Writer(tmp_path, PLAN):
        state.open("prod", 1)
    state.close()


def test_what_was_written_before_is_read_and_the_watermark_follows(tmp_path: Path) -> None:
    state = OnlineState(tmp_path, DatabaseResources.of_sizes())
    with Writer(tmp_path, PLAN) as writer:
        assert state.open("prod", PARTITION).facts(VIEW).watermark is None
        for second in range(3):
            writer.write("a@V1", ROW | {"at": NOON + second * SECOND})
            partition = state.open("prod", PARTITION)
            assert partition.facts(VIEW).watermark == NOON + second * SECOND
            assert partition.reader.get(watermark_key(VIEW)) is not None
    state.close()


def test_a_damaged_database_is_unavailable_and_its_path_is_for_the_log_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Writer(tmp_path, PLAN) as writer:
        writer.write("a@V1", ROW)
    (state_path(tmp_path, "prod", PARTITION) / "CURRENT").write_text("nonsense\n")
    state = OnlineState(tmp_path, DatabaseResources.of_sizes())

    for _ in range(2):
        with pytest.raises(UnavailableError, match="cannot be read now") as failure:
            state.open("prod", PARTITION)
        assert str(tmp_path) not in failure.value.message
    assert capsys.readouterr().out.count("state cannot be read") == 1
    state.close()


def test_closing_leaves_no_folders_behind(tmp_path: Path) -> None:
    state = OnlineState(tmp_path, DatabaseResources.of_sizes())
    with Writer(tmp_path, PLAN):
        state.open("prod", PARTITION)
    state.close()

    assert not list(secondaries_path(tmp_path, "prod", PARTITION).glob("*/"))
