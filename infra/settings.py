"""The one table of settings, and where their values come from.

A setting is a field of `Settings`: its name, type, default, group and help stand there and nowhere else. Commands take
groups, never single names; `docs/reference/settings.md` is made of this table.

Sources, strongest first: the flag ``--kebab-name``, the environment variable
``HEADRACE_UPPER_NAME``, ``headrace.toml`` in the working directory (or ``--config FILE``), the default. Where no source
gives ``bootstrap``, it follows from ``kafka_port``: one file is enough for the local Kafka and all that speak to it.

Invariant: a `Settings` made by `load_settings` is valid as a whole, and a name that nothing reads is an error.
"""

import difflib
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import Field, dataclass, field, fields
from enum import Flag, auto
from pathlib import Path
from typing import Annotated, Any, Final, Literal, cast

import msgspec

from schemas.errors import SettingsError

CONFIG_FILE: Final = "headrace.toml"
ENVIRONMENT_PREFIX: Final = "HEADRACE_"

ENVIRONMENT_ONLY: Final[Mapping[str, str]] = {
    "HEADRACE_CACHE": "Folder of downloaded jars, shared by all installations of a host. [~/.cache/headrace]"
}
"""Variables that are no settings, as they are read before there are any."""

TEST_PREFIX: Final = "HEADRACE_TEST_"
"""Of variables that the tests read, and nothing else."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What values a setting takes: a type with its bounds for msgspec, and the same in words for messages."""

    type: Any
    expected: str


FOLDER: Final = Kind(Annotated[str, msgspec.Meta(min_length=1)], "a path")
LAST_PORT: Final = 65535
PORT: Final = Kind(Annotated[int, msgspec.Meta(ge=0, le=LAST_PORT)], "a port from 0 to 65535, where 0 picks a free one")
COUNT: Final = Kind(Annotated[int, msgspec.Meta(ge=1, le=10_000)], "a whole number from 1 to 10000")
SECONDS: Final = Kind(Annotated[float, msgspec.Meta(gt=0, le=86_400)], "a number of seconds above 0, at most 86400")
HOURS: Final = Kind(Annotated[float, msgspec.Meta(ge=0, le=8_760)], "a number of hours from 0 to 8760")
DAYS: Final = Kind(Annotated[float, msgspec.Meta(gt=0, le=3_650)], "a number of days above 0, at most 3650")
HOST: Final = Kind(Annotated[str, msgspec.Meta(pattern=r"^[^\s/]+$")], "a host name or address")
BROKERS: Final = Kind(
    Annotated[str, msgspec.Meta(pattern=r"^[^\s,/]+:[0-9]{1,5}(,[^\s,/]+:[0-9]{1,5})*$")],
    "HOST:PORT, or several joined by commas",
)
NAME: Final = Kind(
    Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{1,100}$")], "1 to 100 letters, digits, hyphens or underscores"
)
INSTALLATION: Final = r"^[A-Za-z0-9_-]{0,32}$"
INSTALLATION_ID: Final = Kind(
    Annotated[str, msgspec.Meta(pattern=INSTALLATION)], "at most 32 letters, digits, hyphens or underscores"
)
NAMES: Final = Kind(
    Annotated[str, msgspec.Meta(pattern=r"^([A-Za-z0-9_-]{1,100}(,[A-Za-z0-9_-]{1,100})*)?$")],
    "names joined by commas, or nothing for all",
)
ADDRESS: Final = Kind(str, "postgresql://USER:PASSWORD@HOST:PORT/DATABASE, or nothing")
RATE: Final = Kind(
    Annotated[float, msgspec.Meta(ge=0, le=1_000_000)], "a number of records a second up to 1000000, 0 for no limit"
)
LEVEL: Final = Kind(Literal["debug", "info", "warning", "error"], "debug, info, warning or error")
LOG_FORMAT: Final = Kind(Literal["auto", "text", "json"], "auto, text or json")


class Group(Flag):
    """Settings that whoever takes one of them takes together; every setting is in one group."""

    DATA = auto()
    ACCESS = auto()
    KAFKA = auto()
    LOCAL_KAFKA = auto()
    TOPICS = auto()
    WORKSPACE = auto()
    INSTALLATION = auto()
    APPLYING = auto()
    HTTP = auto()
    INGEST_PORT = auto()
    INGESTING = auto()
    INGEST_CALLS = auto()
    SERVING_PORT = auto()
    PROCESSOR_PORT = auto()
    PROCESSING = auto()
    PROCESSES = auto()
    LOGS = auto()


KAFKA_CLIENT: Final = Group.KAFKA | Group.LOCAL_KAFKA
"""Where Kafka is: given, or the local one."""

_SERVER: Final = Group.DATA | KAFKA_CLIENT | Group.WORKSPACE | Group.HTTP | Group.LOGS

_INGEST: Final = Group.INGESTING | Group.INGEST_CALLS

# What the roles take.
BROKER: Final = Group.DATA | Group.LOCAL_KAFKA | Group.LOGS
PROCESSOR: Final = _SERVER | Group.TOPICS | Group.INSTALLATION | Group.PROCESSOR_PORT | Group.PROCESSING
INGEST_API: Final = _SERVER | Group.ACCESS | Group.TOPICS | Group.INSTALLATION | Group.INGEST_PORT | _INGEST
SERVING: Final = _SERVER | Group.ACCESS | Group.INSTALLATION | Group.SERVING_PORT

# What the commands take that work on definitions, or on all roles.
APPLY: Final = KAFKA_CLIENT | Group.WORKSPACE | Group.TOPICS | Group.APPLYING | Group.LOGS
UP: Final = Group.PROCESSES | APPLY | BROKER | INGEST_API | SERVING | PROCESSOR
LOOK: Final = (
    Group.DATA
    | Group.ACCESS
    | KAFKA_CLIENT
    | Group.WORKSPACE
    | Group.INSTALLATION
    | Group.HTTP
    | Group.INGEST_PORT
    | Group.SERVING_PORT
)
"""What ``status`` needs to find everything."""
EXAMINE: Final = LOOK | Group.PROCESSOR_PORT | Group.PROCESSES
"""What ``doctor`` needs to tell what would meet a start."""


def local_bootstrap(kafka_port: int) -> str:
    """Returns where clients find the local Kafka: on the loopback address alone."""
    return f"127.0.0.1:{kafka_port}"


LOCAL_KAFKA_PORT: Final = 9092
"""Kafka's own default."""

NOT_SHOWN: Final = "(not shown)"
"""Stands where the value of a secret would."""


def _setting(default: object, group: Group, kind: Kind, text: str, *, is_secret: bool = False) -> Any:
    """Returns the field of a setting; the value of a secret is never shown: not in help, errors, pages or a repr."""
    return field(
        default=default,
        repr=not is_secret,
        metadata={"group": group, "kind": kind, "help": text, "is_secret": is_secret},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every setting of every role; each process reads those that concern it."""

    data: Path = _setting(
        Path(".headrace"), Group.DATA, FOLDER, "Folder of all state: keys, databases, logs, local Kafka."
    )
    host: str = _setting(
        "127.0.0.1", Group.HTTP, HOST, "Address that HTTP servers listen on; the local Kafka keeps to 127.0.0.1."
    )
    bootstrap: str = _setting(
        local_bootstrap(LOCAL_KAFKA_PORT),
        Group.KAFKA,
        BROKERS,
        "Kafka brokers to connect to; if not given, those of the local Kafka, 127.0.0.1 with kafka_port.",
    )
    workspace: str = _setting("prod", Group.WORKSPACE, NAME, "Workspace to work in.")
    workspaces: str = _setting(
        "", Group.PROCESSING, NAMES, "Workspaces that a processor works for, joined by commas; all if it is empty."
    )
    installation: str = _setting(
        "",
        Group.INSTALLATION,
        INSTALLATION_ID,
        "Id of this installation, part of its consumer groups' names; if it is empty, the one that DATA keeps.",
    )
    access_url: str = _setting(
        "",
        Group.ACCESS,
        ADDRESS,
        "PostgreSQL database of accounts and keys, postgresql://USER:PASSWORD@HOST:PORT/DATABASE; if it is empty, a "
        "file in DATA.",
        is_secret=True,
    )
    kafka_port: int = _setting(
        LOCAL_KAFKA_PORT,
        Group.LOCAL_KAFKA,
        PORT,
        "Port of the local Kafka, where every command looks for Kafka unless bootstrap is given; beside an `up` with 0 "
        "give them as bootstrap the address that it shows.",
    )
    ingest_port: int = _setting(8181, Group.INGEST_PORT, PORT, "Port of the ingest API and the schema registry.")
    serving_port: int = _setting(8080, Group.SERVING_PORT, PORT, "Port of the serving API.")
    processor_port: int = _setting(
        8182,
        Group.PROCESSOR_PORT,
        PORT,
        "Port of a processor's health and metrics; the processors of one `up` take this and those that follow it.",
    )
    processors: int = _setting(1, Group.PROCESSES, COUNT, "Processor processes that `up` starts.")
    partitions: int = _setting(
        4, Group.TOPICS, COUNT, "Partitions of a workspace's updates topic; fixed once the topic exists."
    )
    source_partitions: int = _setting(4, Group.APPLYING, COUNT, "Partitions of a new source topic.")
    replication: int = _setting(1, Group.TOPICS, COUNT, "Copies of each topic, at most the number of brokers.")
    retired_grace_days: float = _setting(
        7.0,
        Group.APPLYING,
        DAYS,
        "Days of running time for which `apply` has removed views computed on, so that they can come back without "
        "a gap.",
    )
    ack_deadline_seconds: float = _setting(
        10.0, Group.INGESTING, SECONDS, "How long an ingest call waits for its records' results."
    )
    ingest_sources: int = _setting(
        2, Group.INGESTING, COUNT, "Sources that a call of the Snowflake ingest API may have."
    )
    ingest_records_per_source: int = _setting(
        10,
        Group.INGEST_CALLS,
        COUNT,
        "Records of one source that an ingest call may have; `ingest` sends as many.",
    )
    ingest_account_rate: float = _setting(
        0.0, Group.INGESTING, RATE, "Records a second that one account may send to one ingest API, dry runs included."
    )
    ingest_source_rate: float = _setting(
        0.0, Group.INGESTING, RATE, "Records a second that one ingest API takes for one source."
    )
    watchdog_seconds: float = _setting(
        60.0,
        Group.PROCESSING,
        SECONDS,
        "How long a partition may stand still while its lag grows before its processor stops.",
    )
    code_retry_seconds: float = _setting(
        300.0, Group.PROCESSING, SECONDS, "After which view code that does not load on a host is tried again."
    )
    clock_hold_hours: float = _setting(
        24.0,
        Group.PROCESSING,
        HOURS,
        "For how long a host runs before retention follows its clock after a step ahead of more than an hour; 0 "
        "follows at once, for replays.",
    )
    log_level: str = _setting("info", Group.LOGS, LEVEL, "Least level that is logged.")
    log_format: str = _setting(
        "auto",
        Group.LOGS,
        LOG_FORMAT,
        "How logs are written: text, json, or auto, which is text on a terminal, else json.",
    )

    given: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)
    """Which source, in words, gave what: the settings that are not here have their defaults, or follow from others."""


TABLE: Final[Mapping[str, "Field[Any]"]] = {each.name: each for each in fields(Settings) if "kind" in each.metadata}


def names_of(groups: Group) -> list[str]:
    """Returns the names of the settings of some groups, in the order of the table."""
    return [name for name, setting in TABLE.items() if setting.metadata["group"] in groups]


def is_secret(name: str) -> bool:
    """Tells whether the value of a setting is for nobody's eyes."""
    return bool(TABLE[name].metadata["is_secret"])


def shown_default(name: str) -> str:
    """Returns the default of a setting as people are shown it; that there is none is no secret."""
    default = TABLE[name].default
    return NOT_SHOWN if is_secret(name) and default else str(default)


def ports_of_processors(settings: Settings) -> list[int]:
    """Returns the port of each processor of an ``up``: the given one and those that follow it; 0 for all if it is 0.

    Raises:
        SettingsError: there are not so many ports.
    """
    first, count = settings.processor_port, settings.processors
    if first == 0:
        return [0] * count
    if first + count - 1 > LAST_PORT:
        raise SettingsError(
            f"processor_port {first} and the ports that follow it are to be those of {count} processors, but the last "
            f"port is {LAST_PORT}; give a lower processor_port, or 0 for free ones"
        )
    return list(range(first, first + count))


def flag_name(name: str) -> str:
    """Returns the flag of a setting: ``ingest_port`` is ``--ingest-port``."""
    return "--" + name.replace("_", "-")


def environment_name(name: str) -> str:
    """Returns the environment variable of a setting: ``ingest_port`` is ``HEADRACE_INGEST_PORT``."""
    return ENVIRONMENT_PREFIX + name.upper()


def load_settings(flags: Mapping[str, object], environ: Mapping[str, str], config_file: Path | None) -> Settings:
    """Merges all sources into one valid `Settings`.

    Args:
        flags: values by setting name; None means that the flag was not given.
        environ: the process environment.
        config_file: the file of ``--config``, which must exist; None reads ``headrace.toml`` if there is one.

    Raises:
        SettingsError: a value of the wrong kind, an unknown name, or a file that cannot be read.
    """
    values: dict[str, Any] = {}
    given: dict[str, str] = {}

    def give(name: str, value: object, source: str, *, strict: bool) -> None:
        values[name] = _convert(name, value, source, strict=strict)
        given[name] = source

    file, table = _read_config(config_file)
    for name, value in table.items():
        _known(name, f"{file}: unknown setting {name!r}", str)
        give(name, value, f"{name} in {file}", strict=True)
    for variable, text in environ.items():
        if variable.startswith(ENVIRONMENT_PREFIX) and not _is_read_elsewhere(variable):
            name = variable.removeprefix(ENVIRONMENT_PREFIX).lower()
            _known(name, f"unknown environment variable {variable}", environment_name)
            give(name, text, f"environment variable {variable}", strict=False)
    for name, value in flags.items():
        _known(name, f"unknown flag {flag_name(name)}", flag_name)
        if value is not None:
            give(name, value, f"flag {flag_name(name)}", strict=False)
    if values.get("kafka_port") and "bootstrap" not in values:
        values["bootstrap"] = local_bootstrap(values["kafka_port"])
    return Settings(**values, given=given)


def as_environment(settings: Settings) -> dict[str, str]:
    """Returns the variables that give a child process exactly these settings, unless its flags say otherwise.

    Secrets are among them: what else a child could be given them by, its flags, every user of the host can read.
    """
    return {environment_name(name): str(getattr(settings, name)) for name in TABLE}


def _is_read_elsewhere(variable: str) -> bool:
    return variable in ENVIRONMENT_ONLY or variable.startswith(TEST_PREFIX)


def _read_config(config_file: Path | None) -> tuple[Path, dict[str, object]]:
    path = config_file or Path(CONFIG_FILE)
    try:
        return path, tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        if config_file is None:
            return path, {}
        raise SettingsError(f"settings file {path} does not exist; create it or leave out --config") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"settings file {path} cannot be read as TOML: {error}") from error


def _known(name: str, complaint: str, spelling: Callable[[str], str]) -> None:
    """Refuses a name that is no setting's, and suggests one as its source would spell it."""
    if name in TABLE:
        return
    close = difflib.get_close_matches(name, TABLE, n=1)
    advice = f"did you mean {spelling(close[0])}?" if close else f"known are: {', '.join(map(spelling, TABLE))}"
    raise SettingsError(f"{complaint}; {advice}")


def _convert(name: str, value: object, source: str, *, strict: bool) -> object:
    kind: Kind = TABLE[name].metadata["kind"]
    try:
        converted: object = msgspec.convert(str(value) if isinstance(value, Path) else value, kind.type, strict=strict)
    except msgspec.ValidationError as error:
        came = NOT_SHOWN if is_secret(name) else repr(value)
        # The cause would quote a secret, too.
        cause = None if is_secret(name) else error
        raise SettingsError(f"setting {name} ({source}): expected {kind.expected}, got {came}") from cause
    return Path(cast("str", converted)) if kind is FOLDER else converted
