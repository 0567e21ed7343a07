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


def test_what_an_installation_has_once_lies_in_the_data_folder_itself() -> None:
    once = (
        paths.admin_key_path,
        paths.access_path,
        paths.installation_path,
        paths.up_lock_path,
        paths.kafka_path,
        paths.processor_urls_path,
    )
    places = [each(DATA) for each in once]
    assert len(set(places)) == len(places)
    assert {place.parent for place in places} == {DATA}
    assert paths.admin_key_path(DATA).name == paths.ADMIN_KEY


def test_logs_lie_below_the_data_folder_by_workspace() -> None:
    assert paths.offline_log_folder("prod", 2) == "log/prod/partition=2"
    assert paths.source_log_folder("prod", "flights", 0) == "log/prod/source=flights/partition=0"
