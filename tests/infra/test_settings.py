import dataclasses
from pathlib import Path
from types import SimpleNamespace

import pytest

from infra import settings as settings_module
from infra.settings import (
    APPLY,
    EXAMINE,
    INGEST_API,
    LOOK,
    NOT_SHOWN,
    PROCESSOR,
    SERVING,
    TABLE,
    UP,
    Group,
    Settings,
    as_environment,
    environment_name,
    is_secret,
    load_settings,
    names_of,
    ports_of_processors,
    shown_default,
)
from schemas.errors import SettingsError


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_defaults_hold_where_nothing_is_given() -> None:
    settings = load_settings({}, {}, None)
    assert settings == Settings()
    assert settings.given == {}


def test_flag_beats_environment_beats_file_beats_default() -> None:
    Path("headrace.toml").write_text("ingest_port = 1\nserving_port = 2\nkafka_port = 3\n", encoding="utf-8")
    environ = {"HEADRACE_INGEST_PORT": "11", "HEADRACE_SERVING_PORT": "12"}
    settings = load_settings({"ingest_port": "21", "serving_port": None}, environ, None)
    assert (settings.ingest_port, settings.serving_port, settings.kafka_port) == (21, 12, 3)
    assert settings.processors == Settings().processors
    assert settings.given == {
        "ingest_port": "flag --ingest-port",
        "serving_port": "environment variable HEADRACE_SERVING_PORT",
        "kafka_port": "kafka_port in headrace.toml",
    }


@pytest.mark.parametrize(
    ("flags", "environ", "file"),
    [
        ({"kafka_port": "19092"}, {}, "kafka_port = 9093"),
        ({}, {"HEADRACE_KAFKA_PORT": "19092"}, ""),
        ({}, {}, "kafka_port = 19092"),
    ],
)
def test_without_brokers_every_command_looks_where_the_local_kafka_listens(
    flags: dict[str, object], environ: dict[str, str], file: str
) -> None:
    Path("headrace.toml").write_text(file, encoding="utf-8")
    settings = load_settings(flags, environ, None)
    assert (settings.bootstrap, settings.kafka_port) == ("127.0.0.1:19092", 19092)
    assert "bootstrap" not in settings.given


@pytest.mark.parametrize("file", ['bootstrap = "kafka:1"', 'bootstrap = "kafka:1"\nkafka_port = 19092'])
def test_brokers_that_are_given_are_where_they_are_wherever_the_port_comes_from(file: str) -> None:
    Path("headrace.toml").write_text(file, encoding="utf-8")
    settings = load_settings({"kafka_port": "3"}, {}, None)
    assert (settings.bootstrap, settings.kafka_port) == ("kafka:1", 3)
    assert settings.given["bootstrap"] == "bootstrap in headrace.toml"


def test_a_port_yet_to_be_picked_tells_nobody_where_kafka_is() -> None:
    assert load_settings({"kafka_port": "0"}, {}, None).bootstrap == Settings().bootstrap


@pytest.mark.parametrize("groups", [APPLY, LOOK, EXAMINE, PROCESSOR, INGEST_API, SERVING, UP])
def test_who_takes_brokers_takes_the_port_of_the_local_kafka(groups: Group) -> None:
    assert {"bootstrap", "kafka_port"} <= set(names_of(groups))


def test_a_named_file_replaces_the_one_in_the_working_directory(tmp_path: Path) -> None:
    Path("headrace.toml").write_text("ingest_port = 1\n", encoding="utf-8")
    named = tmp_path / "other.toml"
    named.write_text('data = "elsewhere"\nack_deadline_seconds = 5\n', encoding="utf-8")
    settings = load_settings({}, {}, named)
    assert (settings.ingest_port, settings.data, settings.ack_deadline_seconds) == (8181, Path("elsewhere"), 5.0)


@pytest.mark.parametrize(
    ("flags", "environ", "file", "said"),
    [
        ({"ingest_port": "http"}, {}, "", ["ingest_port", "flag --ingest-port", "0 to 65535", "'http'"]),
        ({}, {"HEADRACE_INGEST_PORT": "70000"}, "", ["environment variable HEADRACE_INGEST_PORT", "'70000'"]),
        ({}, {}, 'ingest_port = "8181"', ["ingest_port in headrace.toml", "a port", "'8181'"]),
        ({}, {}, "processors = true", ["processors in headrace.toml", "a whole number", "True"]),
        ({}, {"HEADRACE_ACK_DEADLINE_SECONDS": "nan"}, "", ["ack_deadline_seconds", "number of seconds", "'nan'"]),
        ({"bootstrap": "kafka"}, {}, "", ["--bootstrap", "HOST:PORT", "'kafka'"]),
        ({"workspace": "a.b"}, {}, "", ["--workspace", "letters", "'a.b'"]),
        ({"log_level": "loud"}, {}, "", ["--log-level", "debug, info, warning or error", "'loud'"]),
        ({"data": ""}, {}, "", ["--data", "a path", "''"]),
        ({}, {}, "ingest_prot = 1", ["headrace.toml", "'ingest_prot'", "did you mean ingest_port?"]),
        ({}, {"HEADRACE_BOTSTRAP": "a:1"}, "", ["HEADRACE_BOTSTRAP", "did you mean HEADRACE_BOOTSTRAP?"]),
        ({}, {"HEADRACE_XYZ_QQQ": "1"}, "", ["HEADRACE_XYZ_QQQ", "known are: HEADRACE_DATA, HEADRACE_HOST"]),
        ({"ingest_prt": 1}, {}, "", ["unknown flag --ingest-prt", "did you mean --ingest-port?"]),
        ({}, {}, "ingest_port =", ["headrace.toml", "TOML"]),
    ],
)
def test_an_error_names_setting_source_expectation_and_value(
    flags: dict[str, object], environ: dict[str, str], file: str, said: list[str]
) -> None:
    Path("headrace.toml").write_text(file, encoding="utf-8")
    with pytest.raises(SettingsError) as caught:
        load_settings(flags, environ, None)
    for part in said:
        assert part in caught.value.message


def test_a_named_file_must_exist() -> None:
    with pytest.raises(SettingsError, match=r"absent\.toml does not exist"):
        load_settings({}, {}, Path("absent.toml"))


def test_variables_of_caches_and_tests_and_of_others_are_let_through() -> None:
    environ = {"HEADRACE_CACHE": "x", "HEADRACE_TEST_BOOTSTRAP": "y", "HEADRACE_TEST_DOCKER": "1", "HOME": "z"}
    assert load_settings({}, environ, None) == Settings()


SECRET = {**TABLE["workspace"].metadata, "is_secret": True}


@pytest.fixture
def _workspace_is_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    field = SimpleNamespace(metadata=SECRET, default="hunter2")
    monkeypatch.setattr(settings_module, "TABLE", {**TABLE, "workspace": field})


@pytest.mark.usefixtures("_workspace_is_secret")
def test_the_value_of_a_secret_is_in_no_error() -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings({}, {"HEADRACE_WORKSPACE": "a hunter2"}, None)
    assert caught.value.message == (
        "setting workspace (environment variable HEADRACE_WORKSPACE): expected 1 to 100 letters, digits, hyphens or "
        "underscores, got (not shown)"
    )
    assert (caught.value.__cause__, caught.value.__suppress_context__) == (None, True)


@pytest.mark.usefixtures("_workspace_is_secret")
def test_the_default_of_a_secret_is_not_shown() -> None:
    assert (shown_default("workspace"), shown_default("ingest_port")) == (NOT_SHOWN, "8181")


def test_what_settings_show_of_themselves_has_every_setting_but_secrets() -> None:
    assert [name for name, setting in TABLE.items() if setting.repr == is_secret(name)] == []


def test_a_child_reads_back_exactly_what_its_parent_passes_on() -> None:
    settings = dataclasses.replace(Settings(), data=Path("/tmp/a b"), ingest_port=0, ack_deadline_seconds=2.5)  # noqa: S108 - a name only
    assert load_settings({}, as_environment(settings), None) == settings
    assert as_environment(settings).keys() == {environment_name(name) for name in TABLE}


@pytest.mark.parametrize(
    ("first", "count", "ports"), [(8182, 1, [8182]), (65_534, 2, [65_534, 65_535]), (0, 3, [0, 0, 0])]
)
def test_processors_of_one_up_take_ports_that_follow_each_other(first: int, count: int, ports: list[int]) -> None:
    assert ports_of_processors(Settings(processor_port=first, processors=count)) == ports


def test_more_processors_than_ports_are_refused() -> None:
    with pytest.raises(SettingsError, match=r"processor_port 65534 .* of 3 processors, but the last port is 65535"):
        ports_of_processors(Settings(processor_port=65_534, processors=3))


def test_every_setting_belongs_to_one_group() -> None:
    each = [name for group in Group for name in names_of(group)]
    assert sorted(each) == sorted(TABLE)


def test_the_settings_of_groups_come_in_the_order_of_the_table() -> None:
    assert names_of(Group.TOPICS | Group.DATA) == ["data", "partitions", "replication"]
    assert names_of(UP) == list(TABLE)
