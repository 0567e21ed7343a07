from pathlib import Path

from infra import paths

DATA = Path("data")


def test_all_that_belongs_to_a_partition_has_a_place_of_its_own() -> None:
    places = [
        each(DATA, "prod", partition)
        for each in (paths.state_path, paths.version_path, paths.secondaries_path)
        for partition in (0, 1)
    ]

    assert len(set(places)) == len(places)
    assert paths.state_path(DATA, "prod", 3) == DATA / "state/prod/partition=3"


def test_logs_lie_below_the_data_folder_by_workspace() -> None:
    assert paths.offline_log_folder("prod", 2) == "log/prod/partition=2"
    assert paths.source_log_folder("prod", "flights", 0) == "log/prod/source=flights/partition=0"
