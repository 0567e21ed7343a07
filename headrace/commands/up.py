"""``headrace up``: the whole system on one machine, supervised.

1. Without brokers given, check that what a local Kafka needs is installed.
2. Lock the data folder; a second ``up`` on it is refused.
3. Choose the ports that were given as 0, and check that the others are free.
4. Make sure of the operator's key.
5. Start, in this order: local Kafka (unless brokers are given), processors, the ingest API, serving.
6. Apply the feature repository, if one is given.
7. Tell the addresses, the file of the key, and what to do next; run until asked to stop.

On a terminal all of that is a screen (`headrace.terminal.screen`); elsewhere stdout has one line for each address and
then one that starts with ``ready`` (`headrace.terminal.display`). Which brokers it uses, where some are given, and that
they do not answer is told at once, as a note.

Invariant: whatever ends it, nothing it started is left running.
"""

import asyncio
import contextlib
import dataclasses
import functools
import os
import signal
import sys
from asyncio.subprocess import DEVNULL
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click
import setproctitle
from rich.console import Console

from access.admin_key import AdminKey, ensure_admin_key
from access.store.accounts import AccessStore
from headrace.applying import Removals
from headrace.given_brokers import are_given, introduced, watch
from headrace.removals import FLAG, RemovalsCommand, removals_option
from headrace.terminal.display import Display, Outlook, Part, Plain
from headrace.terminal.examples import examples
from headrace.terminal.screen import Screen
from headrace.terminal.settings_options import settings_options
from infra.http.paths import GET_FEATURES, HEALTHZ, INGEST, READYZ
from infra.http.server import bind, reachable_host
from infra.local_kafka.extra import require_extra
from infra.logs import configure_logs
from infra.paths import up_lock_path
from infra.process.exit_codes import ExitCode
from infra.process.file_lock import FileLock
from infra.process.parent_death import PYTHON, tied_to_parent
from infra.process.ports import LOOPBACK, free_port
from infra.process.supervisor import STDERR, Child, Supervisor
from infra.settings import UP, Settings, as_environment, environment_name, local_bootstrap, ports_of_processors
from schemas.errors import SettingsError, StorageError, UnavailableError

HEADRACE: Final = (*PYTHON, "-m", "headrace")

KEY_NOTES: Final = {
    "kept": "",
    "created": " (new)",
    "replaced": " (new: the old file was lost or its key not valid; `headrace key list` shows earlier keys)",
}


@dataclass(frozen=True, slots=True)
class System:
    """What runs, with every port chosen.

    Attributes:
        settings: of all children; only the ports of processors differ.
        processor_ports: one for each processor.
        own_kafka: whether a local Kafka belongs to it.
    """

    settings: Settings
    processor_ports: tuple[int, ...]
    own_kafka: bool

    def addresses(self) -> Iterator[tuple[str, str]]:
        """Returns what listens where, in the order in which it starts."""
        host = reachable_host(self.settings.host)
        yield "kafka", self.settings.bootstrap
        for port in self.processor_ports:
            yield "processor", f"http://{host}:{port}"
        yield "ingest", f"http://{host}:{self.settings.ingest_port}"
        yield "registry", f"http://{host}:{self.settings.ingest_port}"
        yield "serving", f"http://{host}:{self.settings.serving_port}"

    def roles(self) -> Iterator[tuple[str, Part, Mapping[str, str]]]:
        """Returns role, part and own variables of each process, in the order in which they start."""
        host = reachable_host(self.settings.host)
        if self.own_kafka:
            yield "broker", Part("broker", self.settings.bootstrap, f"kafka://{self.settings.bootstrap}"), {}
        for number, port in enumerate(self.processor_ports, 1):
            name = "processor" if len(self.processor_ports) == 1 else f"processor {number}"
            own = {environment_name("processor_port"): str(port)}
            yield "processor", _http_part(name, f"http://{host}:{port}"), own
        yield "ingest-api", _http_part("ingest API", f"http://{host}:{self.settings.ingest_port}"), {}
        yield "serving", _http_part("serving", f"http://{host}:{self.settings.serving_port}"), {}

    def children(self, display: Display) -> Iterator[Child]:
        """Returns the processes to supervise, in the order in which they start."""
        environ = {**as_environment(self.settings), **display.environ}
        for role, part, own in self.roles():
            output = display.output(part.name)
            arguments = (role, "--log-ready") if role == "broker" else (role,)
            yield Child(
                role,
                (*HEADRACE, *arguments),
                part.ready_url,
                part.ready_url.replace(READYZ, HEALTHZ),
                {**environ, **own},
                STDERR if output is None else output,
                functools.partial(display.tell, part.name),
                part.name if role == "processor" else "",  # there may be several
            )


def _http_part(name: str, url: str) -> Part:
    return Part(name, url, f"{url}{READYZ}")


@click.command(
    "up",
    cls=RemovalsCommand,
    epilog=examples(
        "headrace up",
        "headrace up --repo features",
        "headrace up --bootstrap kafka-1:9092 --processors 2 --log-format json",
    ),
)
@settings_options(UP)
@click.option(
    "--repo",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="Feature repository to apply once all is up.",
)
@removals_option
def command(settings: Settings, repo: Path | None, removals: Removals | None) -> None:
    """Run all on this machine: Kafka (unless brokers are given), processors, ingest API, serving.

    On a terminal it shows how each part is, and its logs above; elsewhere it prints each address and then one line that
    starts with `ready`. Ctrl-C stops cleanly.
    """
    setproctitle.setproctitle("headrace up")
    configure_logs("up", settings.log_level, settings.log_format)
    if not are_given(settings):
        require_extra()
    apply = None if repo is None else apply_arguments(repo, removals)
    lock = FileLock(up_lock_path(settings.data))
    made = [folder for folder in (settings.data, *settings.data.parents) if not folder.exists()]
    try:
        _take(lock, settings.data)
        with _taken_back(made):
            system = choose_ports(settings)
            key = _admin_key(settings)
        outcome = asyncio.run(_run(system, key, apply))
    finally:
        lock.release()
    if outcome.problem:
        click.echo(f"Error: {outcome.problem}", err=True)
    sys.exit(outcome.code)


@contextlib.contextmanager
def _taken_back(made: Sequence[Path]) -> Iterator[None]:
    """Removes, if the block fails, folders that were made for the lock, as long as they hold nothing else.

    Args:
        made: the data folder and those above it that were not there before; the lock is held.
    """
    try:
        yield
    except Exception:
        with contextlib.suppress(OSError):  # something is in it, which is not for us to take away
            for folder in made:
                up_lock_path(folder).unlink(missing_ok=True)
                folder.rmdir()
        raise


def _take(lock: FileLock, data: Path) -> None:
    """Makes this the one ``headrace up`` of the data folder, or ends the process if there is one.

    Raises:
        StorageError: the folder cannot be made or written.
    """
    lock_file = up_lock_path(data)
    try:
        if not lock.acquire(timeout=0):
            holder = lock_file.read_text("ascii")
            message = f"`headrace up` (process {holder}) uses {data}; stop it or choose another folder with --data"
            click.echo(f"Error: {message}", err=True)
            sys.exit(ExitCode.ALREADY_RUNNING)
        lock_file.write_text(str(os.getpid()), "ascii")
    except OSError as error:
        message = f"the folder {data} cannot be used: {error}; check its permissions or choose another --data"
        raise StorageError(message) from error


def _admin_key(settings: Settings) -> AdminKey:
    store = AccessStore.open(settings.data, settings.access_url)
    try:
        return ensure_admin_key(store, settings.data)
    finally:
        store.close()


def choose_ports(settings: Settings) -> System:
    """Pick a free port for each that is 0, all of them different.

    Raises:
        SettingsError: a port that was given is taken, or given to two servers, or is too high for all processors.
    """
    own_kafka = not are_given(settings)
    processor_ports = ports_of_processors(settings)
    given = [settings.kafka_port] * own_kafka + [settings.ingest_port, settings.serving_port, *processor_ports]
    for port in given:
        if port != 0 and given.count(port) > 1:
            message = f"port {port} is given to more than one server; give each its own, or 0 for a free one"
            raise SettingsError(message)
    taken = {0, *given}

    def port_for(wanted: int, host: str = settings.host) -> int:
        chosen = wanted
        while wanted == 0 and chosen in taken:
            chosen = free_port()
        bind(host, chosen).close()
        taken.add(chosen)
        return chosen

    if own_kafka:
        kafka_port = port_for(settings.kafka_port, LOOPBACK)
        settings = dataclasses.replace(settings, kafka_port=kafka_port, bootstrap=local_bootstrap(kafka_port))
    settings = dataclasses.replace(
        settings, ingest_port=port_for(settings.ingest_port), serving_port=port_for(settings.serving_port)
    )
    return System(settings, tuple(port_for(port) for port in processor_ports), own_kafka)


@dataclass(frozen=True, slots=True)
class _Outcome:
    """How it ended; ``problem`` is empty if it was asked to."""

    code: ExitCode = ExitCode.OK
    problem: str = ""


def _display(system: System) -> Display:
    console = Console(highlight=False)
    seen = sys.stderr.isatty() and console.is_terminal and not console.is_dumb_terminal
    if not seen or system.settings.log_format == "json":
        return Plain()
    return Screen(console, [part for _, part, _ in system.roles()], system.settings)


async def _run(system: System, key: AdminKey, apply: Sequence[str] | None) -> _Outcome:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with _display(system) as display:
        supervisor = Supervisor(list(system.children(display)))
        rising = asyncio.create_task(_start(supervisor, display, system, key, apply))
        stopping = asyncio.create_task(stop.wait())
        watching = asyncio.create_task(_watch_brokers(display, system))
        outcome = _Outcome()
        try:
            await asyncio.wait({rising, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if rising.done():
                outcome = rising.result()
            if outcome.code is ExitCode.OK:
                await stopping
        except UnavailableError as error:
            return _Outcome(ExitCode.CHILD_CANNOT_START, error.message)
        else:
            return outcome
        finally:
            rising.cancel()
            stopping.cancel()
            watching.cancel()
            await asyncio.wait({rising, stopping, watching})
            await supervisor.stop()


async def _watch_brokers(display: Display, system: System) -> None:
    if not system.own_kafka:
        display.note(introduced(system.settings))
        await watch(system.settings, display.note)


async def _start(
    supervisor: Supervisor, display: Display, system: System, key: AdminKey, apply: Sequence[str] | None
) -> _Outcome:
    await supervisor.start()
    if apply is not None:
        status = await _apply(apply, system.settings, display)
        if status != 0:
            what = f"`headrace {' '.join(apply)}`"
            return _Outcome(
                ExitCode.APPLY_FAILED,
                f"{what} ended with exit status {status}, and all is stopped; its lines above say what to correct",
            )
    # A new key is a new data folder, so that nothing can have been applied.
    display.ready(_outlook(system, key, is_empty=apply is None and key.made == "created"))
    return _Outcome()


def _outlook(system: System, key: AdminKey, *, is_empty: bool) -> Outlook:
    addresses = dict(system.addresses())
    steps = [
        ("admin key", f"{key.path}{KEY_NOTES[key.made]}"),
        ("send", f"POST {addresses['ingest']}{INGEST}"),
        ("read", f"POST {addresses['serving']}{GET_FEATURES}"),
    ]
    if is_empty:
        steps.append(("begin", "headrace init features && headrace apply features"))
    return Outlook(list(system.addresses()), steps)


def apply_arguments(repo: Path, removals: Removals | None) -> tuple[str, ...]:
    """Return the command line, without the program, that applies a repository."""
    return ("apply", str(repo), *([] if removals is None else [f"{FLAG}={removals}"]))


async def _apply(arguments: Sequence[str], settings: Settings, display: Display) -> int:
    output = display.output("apply")
    process = await asyncio.create_subprocess_exec(
        *tied_to_parent([*HEADRACE, *arguments]),
        stdin=DEVNULL,
        stdout=output,
        stderr=output,
        env={**os.environ, **as_environment(settings), **display.environ},
    )
    try:
        return await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
