"""One Apache Kafka broker on this machine's JVM, without Docker: for ``headrace up``, tests and benchmarks.

Invariant: a broker that was started is stopped: by `stop`, by leaving the ``with`` block, or by the death of the
process that started it. Its data folder outlives it: a broker started again there, even after ``kill -9``, has all
that was acknowledged.

It listens on the loopback address only: it asks nobody for a password, and who may write definitions is trusted as
code. The data folder holds::

    topics/             the topics; formatted once, in one rename, or copied from the cache of formatted folders
    server.properties   written at each start
    log4j2.properties   written at each start
    broker.log          the broker's own log (the runs before: broker.log.1 …)
    console.log         what the JVM itself said, this run
"""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from confluent_kafka import KafkaException

from infra.kafka.clients import admin
from infra.local_kafka.configuration import LOG4J2, LOG_FILE, TOPICS_FOLDER, server_properties
from infra.local_kafka.formatted import formatted_folder, give_new_ids, keep, new_id
from infra.local_kafka.jars import cache_folder, kafka_jars
from infra.local_kafka.java import find_java
from infra.process.parent_death import tied_to_parent
from infra.process.ports import LOOPBACK, free_port, is_free
from infra.settings import local_bootstrap
from schemas.errors import SettingsError, StorageError, UnavailableError

START_SECONDS: Final = 60.0
"""A start takes 3 s on an idle machine, and several times that on a busy one or after a crash."""

FORMAT_SECONDS: Final = 60.0
STOP_SECONDS: Final = 6.0
"""A clean stop takes about a second; after this long the broker is killed, which loses nothing."""

KILL_SECONDS: Final = 5.0
POLL_SECONDS: Final = 0.05
METADATA_SECONDS: Final = 1.0
HEAP_MB: Final = 512
THROUGHPUT_HEAP_MB: Final = 1536
QUICK_START: Final = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
"""A short start and little memory count for more than peak speed here."""

PROPERTIES_FILE: Final = "server.properties"
LOG4J2_FILE: Final = "log4j2.properties"
CONSOLE_FILE: Final = "console.log"
QUOTE_BYTES: Final = 1500
"""How much of a log an error message quotes."""

PORT_TAKEN: Final = "Address already in use"


class LocalKafka:
    """A broker that can be started, stopped, killed and started again on the same data folder and port.

    Args:
        data: folder of the broker's files; made if missing.
        port: the port for clients; 0 picks a free one at the first start and keeps it.
        heap_mb: the most heap the JVM may take, in MiB.
        throughput: for benchmarks: all compiler tiers, parallel collection and at least 1.5 GiB of heap, instead of a
            quick start and 215 to 270 MB resident.
        properties: entries that are added to ``server.properties`` or replace those of `server_properties`.
    """

    def __init__(
        self,
        data: Path,
        port: int = 0,
        *,
        heap_mb: int = HEAP_MB,
        throughput: bool = False,
        properties: Mapping[str, str] | None = None,
    ) -> None:
        self._data = data.absolute()
        self._port = port
        self._heap_mb = max(heap_mb, THROUGHPUT_HEAP_MB) if throughput else heap_mb
        self._throughput = throughput
        self._properties = dict(properties or {})
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def port(self) -> int:
        """The port for clients; 0 until the first start if none was given."""
        return self._port

    @property
    def bootstrap(self) -> str:
        """The address for clients, ``HOST:PORT``; known once started."""
        return local_bootstrap(self._port)

    @property
    def pid(self) -> int | None:
        """The process id of the JVM, or None when it does not run."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    @property
    def log_file(self) -> Path:
        """The broker's log."""
        return self._data / LOG_FILE

    def start(self) -> None:
        """Starts the broker and returns once it answers clients.

        Raises:
            SettingsError: the port is taken, or the broker runs already.
            StorageError: the data folder cannot be written, or a jar is not the pinned one.
            UnavailableError: the jars cannot be downloaded, or the broker dies or does not answer in time.
        """
        if self._process is not None and self.wait(KILL_SECONDS) is None:
            raise SettingsError(
                f"this Kafka runs already as process {self._process.pid}; stop it before starting it again"
            )
        self._port = self._port or free_port()
        if not is_free(self._port):
            raise SettingsError(self._port_taken())
        java = str(find_java(os.environ))
        jars = kafka_jars(cache_folder(os.environ))
        class_path = os.pathsep.join(map(str, jars))
        try:
            properties = self._write_files()
            self._format([java, "-cp", class_path], formatted_folder(jars[0].parent, properties))
            self._launch([java, *self._jvm_options(), "-cp", class_path])
        except OSError as error:
            raise StorageError(
                f"cannot write Kafka's data folder {self._data}: {error}; free the disk or choose another --data"
            ) from error
        try:
            self._wait_ready()
        except BaseException:
            self.kill()
            raise

    def wait(self, timeout_seconds: float) -> int | None:
        """Waits until the broker's process ends by itself.

        Returns:
            its exit code (negative: the signal that killed it); None if it still runs after ``timeout_seconds`` or was
            never started.
        """
        if self._process is None:
            return None
        try:
            return self._process.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            return None

    def stop(self) -> None:
        """Stops the broker cleanly, and kills it if that takes too long; does nothing if it does not run."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            if self.wait(STOP_SECONDS) is None:
                self.kill()

    def kill(self) -> None:
        """Kills the broker at once, as a crash would."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait(KILL_SECONDS)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _port_taken(self) -> str:
        return f"port {self._port} of {LOOPBACK} is taken; stop what listens there, or choose another with --kafka-port"

    def _write_files(self) -> str:
        """Writes the files of configuration and returns the text of ``server.properties``."""
        self._data.mkdir(parents=True, exist_ok=True)
        controller_address = f"{LOOPBACK}:{free_port()}"
        properties = server_properties(self.bootstrap, controller_address, self._properties)
        (self._data / PROPERTIES_FILE).write_text(properties, "ascii")
        (self._data / LOG4J2_FILE).write_text(LOG4J2, "ascii")
        return properties

    def _format(self, java: Sequence[str], kept: Path) -> None:
        """Formats the folder of the topics once; in a scratch folder, so that a half-formatted one never counts."""
        if (self._data / TOPICS_FOLDER).exists():
            return
        scratch = Path(tempfile.mkdtemp(dir=self._data, prefix="format-"))
        topics = scratch / TOPICS_FOLDER
        try:
            if kept.exists():
                shutil.copytree(kept, topics)
                give_new_ids(topics)
            else:
                self._run_format_tool(java, scratch)
                keep(topics, kept)
            topics.rename(self._data / TOPICS_FOLDER)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def _run_format_tool(self, java: Sequence[str], folder: Path) -> None:
        shutil.copy(self._data / PROPERTIES_FILE, folder)
        # With "=", since one id in 64 starts with a dash and would be taken for an option.
        options = [f"--cluster-id={new_id()}", f"--config={PROPERTIES_FILE}"]
        tool = [*java, *QUICK_START, "kafka.tools.StorageTool", "format", *options]
        try:
            answer = subprocess.run(tool, cwd=folder, capture_output=True, timeout=FORMAT_SECONDS, check=False)
        except subprocess.TimeoutExpired as error:
            raise UnavailableError(
                f"formatting {self._data / TOPICS_FOLDER} took over {FORMAT_SECONDS:.0f} s; is the machine busy?"
            ) from error
        if answer.returncode:
            text = (answer.stderr or answer.stdout)[:QUOTE_BYTES].decode(errors="replace")
            raise StorageError(
                f"Kafka cannot format {self._data / TOPICS_FOLDER} (exit code {answer.returncode}): {text}"
            )

    def _jvm_options(self) -> list[str]:
        heap = [f"-Xmx{self._heap_mb}m"]
        return heap + (["-XX:+UseParallelGC"] if self._throughput else QUICK_START)

    def _launch(self, java: Sequence[str]) -> None:
        command = [*java, f"-Dlog4j2.configurationFile={LOG4J2_FILE}", "kafka.Kafka", PROPERTIES_FILE]
        with (self._data / CONSOLE_FILE).open("wb") as console:
            self._process = subprocess.Popen(
                tied_to_parent(command),
                cwd=self._data,
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for the parent, which then stops the broker
            )

    def _wait_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not self._accepts():
            if (code := self.wait(POLL_SECONDS)) is not None:
                quoted = self._quote_logs()
                if PORT_TAKEN in quoted and not is_free(self._port):
                    raise SettingsError(self._port_taken())
                raise UnavailableError(f"Kafka ended with exit code {code} while starting; {quoted}")
            if time.monotonic() > deadline:
                raise UnavailableError(
                    f"Kafka did not answer on {self.bootstrap} within {START_SECONDS:.0f} s; {self._quote_logs()}"
                )

    def _accepts(self) -> bool:
        try:
            socket.create_connection((LOOPBACK, self._port), timeout=METADATA_SECONDS).close()
            return bool(admin(self.bootstrap).list_topics(timeout=METADATA_SECONDS).brokers)
        except (OSError, KafkaException):
            return False

    def _quote_logs(self) -> str:
        quotes = []
        for name in (CONSOLE_FILE, LOG_FILE):
            path = self._data / name
            text = path.read_bytes()[-QUOTE_BYTES:].decode(errors="replace").strip() if path.exists() else ""
            quotes.append(f"{path} ends with:\n{text}" if text else f"{path} is empty")
        return "\n".join(quotes)
