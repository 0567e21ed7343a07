"""The one table of settings, and where their values come from.

A setting is a field of `Settings`: its name, type, default, group and help stand there and nowhere else. Commands take
groups, never single names. Sources, strongest first: the flag ``--kebab-name``, the environment variable
``HEADRACE_UPPER_NAME``, ``headrace.toml`` in the working directory (or ``--config FILE``), the default.

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

ENVIRONMENT_ONLY: Final = frozenset({"HEADRACE_CACHE", "HEADRACE_TEST_BOOTSTRAP", "HEADRACE_TEST_DOCKER"})
"""Variables that are no settings: where downloaded jars are kept, and the broker that the tests use."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What values a setting takes: a type with its bounds for msgspec, and the same in words for messages."""

    type: Any
    expected: str


FOLDER: Final = Kind(Annotated[str, msgspec.Meta(min_length=1)], "a path")
PORT: Final = Kind(Annotated[int, msgspec.Meta(ge=0, le=65535)], "a port from 0 to 65535, where 0 picks a free one")
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
LEVEL: Final = Kind(Literal["debug", "info", "warning", "error"], "debug, info, warning or error")
LOG_FORMAT: Final = Kind(Literal["auto", "text", "json"], "auto, text or json")


class Group(Flag):
    """Settings that whoever takes one of them takes together; every setting is in one group."""

    DATA = auto()
    KAFKA = auto()
    LOCAL_KAFKA = auto()
    TOPICS = auto()
    WORKSPACE = auto()
    INSTALLATION = auto()
    APPLYING = auto()
    HTTP = auto()
    INGEST_PORT = auto()
    INGESTING = auto()
    SERVING_PORT = auto()
    PROCESSOR_PORT = auto()
    PROCESSING = auto()
    PROCESSES = auto()
    LOGS = auto()


_SERVER: Final = Group.DATA | Group.KAFKA | Group.WORKSPACE | Group.HTTP | Group.LOGS

# What the roles take.
BROKER: Final = Group.DATA | Group.LOCAL_KAFKA | Group.LOGS
PROCESSOR: Final = _SERVER | Group.TOPICS | Group.INSTALLATION | Group.PROCESSOR_PORT | Group.PROCESSING
INGEST_API: Final = _SERVER | Group.TOPICS | Group.INSTALLATION | Group.INGEST_PORT | Group.INGESTING
SERVING: Final = _SERVER | Group.SERVING_PORT

# What the commands take that work on definitions, or on all roles.
APPLY: Final = Group.KAFKA | Group.WORKSPACE | Group.TOPICS | Group.APPLYING | Group.LOGS
UP: Final = Group.PROCESSES | APPLY | BROKER | INGEST_API | SERVING | (PROCESSOR & ~Group.PROCESSOR_PORT)
"""Each processor has a port of its own, which ``up`` chooses."""
LOOK: Final = (
    Group.DATA
    | Group.KAFKA
    | Group.WORKSPACE
    | Group.INSTALLATION
    | Group.HTTP
    | Group.INGEST_PORT
    | Group.SERVING_PORT
)
"""What ``status`` and ``doctor`` need to find everything."""


def _about(group: Group, kind: Kind, text: str) -> dict[str, object]:
    return {"group": group, "kind": kind, "help": text}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every setting of every role; each process reads those that concern it."""

    data: Path = field(
        default=Path(".headrace"),
        metadata=_about(Group.DATA, FOLDER, "Folder of all state: keys, databases, logs, local Kafka."),
    )
    host: str = field(
        default="127.0.0.1",
        metadata=_about(Group.HTTP, HOST, "Address that HTTP servers listen on; the local Kafka keeps to 127.0.0.1."),
    )
    bootstrap: str = field(
        default="127.0.0.1:9092", metadata=_about(Group.KAFKA, BROKERS, "Kafka brokers to connect to.")
    )
    workspace: str = field(default="prod", metadata=_about(Group.WORKSPACE, NAME, "Workspace to work in."))
    workspaces: str = field(
        default="",
        metadata=_about(
            Group.PROCESSING, NAMES, "Workspaces that a processor works for, joined by commas; all if it is empty."
        ),
    )
    installation: str = field(
        default="",
        metadata=_about(
            Group.INSTALLATION,
            INSTALLATION_ID,
            "Id of this installation, part of its consumer groups' names; if it is empty, the one that DATA keeps.",
        ),
    )
    kafka_port: int = field(default=9092, metadata=_about(Group.LOCAL_KAFKA, PORT, "Port of the local Kafka."))
    ingest_port: int = field(
        default=8181, metadata=_about(Group.INGEST_PORT, PORT, "Port of the ingest API and the schema registry.")
    )
    serving_port: int = field(default=8080, metadata=_about(Group.SERVING_PORT, PORT, "Port of the serving API."))
    processor_port: int = field(
        default=0, metadata=_about(Group.PROCESSOR_PORT, PORT, "Port of a processor's health and metrics.")
    )
    processors: int = field(default=1, metadata=_about(Group.PROCESSES, COUNT, "Processor processes that `up` starts."))
    partitions: int = field(
        default=4,
        metadata=_about(Group.TOPICS, COUNT, "Partitions of a workspace's updates topic; fixed once the topic exists."),
    )
    source_partitions: int = field(
        default=4, metadata=_about(Group.APPLYING, COUNT, "Partitions of a new source topic.")
    )
    replication: int = field(
        default=1, metadata=_about(Group.TOPICS, COUNT, "Copies of each topic, at most the number of brokers.")
    )
    retired_grace_days: float = field(
        default=7.0,
        metadata=_about(
            Group.APPLYING,
            DAYS,
            "Days of running time for which `apply` has removed views computed on, so that they can come back without "
            "a gap.",
        ),
    )
    ack_deadline_seconds: float = field(
        default=10.0,
        metadata=_about(Group.INGESTING, SECONDS, "How long an ingest call waits for its records' results."),
    )
    watchdog_seconds: float = field(
        default=60.0,
        metadata=_about(
            Group.PROCESSING,
            SECONDS,
            "How long a partition may stand still while its lag grows before its processor stops.",
        ),
    )
    code_retry_seconds: float = field(
        default=300.0,
        metadata=_about(
            Group.PROCESSING, SECONDS, "After which view code that does not load on a host is tried again."
        ),
    )
    clock_hold_hours: float = field(
        default=24.0,
        metadata=_about(
            Group.PROCESSING,
            HOURS,
            "For how long a host runs before retention follows its clock after a step ahead of more than an hour; 0 "
            "follows at once, for replays.",
        ),
    )
    log_level: str = field(default="info", metadata=_about(Group.LOGS, LEVEL, "Least level that is logged."))

    log_format: str = field(
        default="auto",
        metadata=_about(
            Group.LOGS, LOG_FORMAT, "How logs are written: text, json, or auto, which is text on a terminal, else json."
        ),
    )

    given: frozenset[str] = field(default=frozenset(), compare=False, repr=False)
    """Names of the settings that some source gave; the others have their defaults."""


TABLE: Final[Mapping[str, "Field[Any]"]] = {each.name: each for each in fields(Settings) if "kind" in each.metadata}


def names_of(groups: Group) -> list[str]:
    """Returns the names of the settings of some groups, in the order of the table."""
    return [name for name, setting in TABLE.items() if setting.metadata["group"] in groups]


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
    file, table = _read_config(config_file)
    for name, value in table.items():
        _known(name, f"{file}: unknown setting {name!r}", str)
        values[name] = _convert(name, value, f"{name} in {file}", strict=True)
    for variable, text in environ.items():
        if variable.startswith(ENVIRONMENT_PREFIX) and variable not in ENVIRONMENT_ONLY:
            name = variable.removeprefix(ENVIRONMENT_PREFIX).lower()
            _known(name, f"unknown environment variable {variable}", environment_name)
            values[name] = _convert(name, text, f"environment variable {variable}", strict=False)
    for name, value in flags.items():
        _known(name, f"unknown flag {flag_name(name)}", flag_name)
        if value is not None:
            values[name] = _convert(name, value, f"flag {flag_name(name)}", strict=False)
    return Settings(**values, given=frozenset(values))


def as_environment(settings: Settings) -> dict[str, str]:
    """Returns the variables that give a child process exactly these settings, unless its flags say otherwise."""
    return {environment_name(name): str(getattr(settings, name)) for name in TABLE}


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
        raise SettingsError(f"setting {name} ({source}): expected {kind.expected}, got {value!r}") from error
    return Path(cast("str", converted)) if kind is FOLDER else converted
