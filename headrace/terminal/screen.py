"""What ``headrace up`` shows on a terminal: log lines that scroll by, and below them one line for each part.

One process writes to the terminal, or lines would overwrite each other: parts log JSON into a pipe each, which this
module reads, and their lines come out as text (docs/decisions/0021-who-writes-to-the-terminal.md).

Invariant: whatever a part has written to its pipe is shown, also what it wrote just before it died and what is no JSON;
the cursor is visible all the while, so that no end, not even a kill, leaves the terminal without one.
"""

import asyncio
import contextlib
import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final, Self

import httpx
import msgspec
from rich.console import Console, Group
from rich.live import Live
from rich.rule import Rule
from rich.table import Table
from rich.text import Text
from typing_extensions import override

from headrace.server_status import reasons
from headrace.terminal.display import Outlook, Part
from infra.log_text import render_line
from infra.logs import configure_logs
from infra.process.probes import is_ready
from infra.process.supervisor import Stage
from infra.settings import Settings, environment_name

WAITING: Final = "waiting"
"""What a part does until those before it are ready."""

UNREADY: Final = "not ready"
"""What a part is that runs and was ready before."""

SILENT: Final = "does not answer"

STYLES: Final[Mapping[str, str]] = {
    WAITING: "dim",
    Stage.READY: "green",
    UNREADY: "bold magenta",
    Stage.RESTARTING: "bold red",
    Stage.STOPPED: "dim",
}
"""Colours that can be read on light and dark backgrounds."""

LOOK_SECONDS: Final = 1.0
"""Pause between two looks at whether parts are ready."""

ANSWER_SECONDS: Final = 1.0
"""How long a part may take to say so."""

READ_BYTES: Final = 65_536

OWN_NAME: Final = "up"


@dataclass(slots=True)
class _Row:
    """What is known of a part."""

    part: Part
    state: str = WAITING
    why: str = ""
    was_ready: bool = False


@dataclass(slots=True)
class _Pipe:
    """What a part writes to; ``rest`` is the beginning of a line whose end has not come."""

    read_end: int
    write_end: int
    rest: bytes = b""


@dataclass(slots=True)
class Screen:
    """A terminal; see ``headrace.terminal.display.Display``.

    Args:
        console: the terminal.
        parts: in the order of their lines.
        settings: of the logs of this process.
    """

    console: Console
    parts: Sequence[Part]
    settings: Settings
    environ: Mapping[str, str] = field(default_factory=lambda: {environment_name("log_format"): "json"})
    _rows: dict[str, _Row] = field(init=False)
    _pipes: dict[str, _Pipe] = field(default_factory=dict)
    _outlook: Outlook | None = None
    _live: Live = field(init=False)
    _looking: asyncio.Task[None] | None = None

    def __post_init__(self) -> None:
        self._rows = {part.name: _Row(part) for part in self.parts}
        self._live = Live(console=self.console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False)

    async def __aenter__(self) -> Self:
        """Takes the terminal, and the logs of this process."""
        configure_logs(OWN_NAME, self.settings.log_level, "json", _LogStream(self))
        self._live.start()
        self.console.show_cursor(show=True)  # rich hides it
        self._refresh()
        self._looking = asyncio.create_task(self._look())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Shows what the pipes still hold, and gives the terminal back with the last lines of the parts on it."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait({self._looking})
        for name, pipe in self._pipes.items():
            asyncio.get_running_loop().remove_reader(pipe.read_end)
            os.close(pipe.write_end)
            self._read_to_end(name)
            os.close(pipe.read_end)
        self._pipes.clear()
        self._outlook = None
        self._refresh()
        self._live.stop()

    def output(self, name: str) -> int:
        """Returns the end of a new pipe that a part writes to; it outlives the part, for those that come after it."""
        read_end, write_end = os.pipe()
        os.set_blocking(read_end, False)
        self._pipes[name] = _Pipe(read_end, write_end)
        asyncio.get_running_loop().add_reader(read_end, self._read, name)
        return write_end

    def tell(self, name: str, stage: Stage, why: str) -> None:
        """Shows what the supervisor says of a part."""
        if stage in (Stage.RESTARTING, Stage.STOPPED) and name in self._pipes:
            self._read_to_end(name)  # its last words may lack a line end, and the next process would go on in that line
        row = self._rows[name]
        row.state, row.why = stage, why
        row.was_ready = stage is Stage.READY or (row.was_ready and stage is not Stage.STARTING)
        self._refresh()

    def ready(self, outlook: Outlook) -> None:
        """Shows below the parts what to do next."""
        self._outlook = outlook
        self._refresh()

    def show(self, name: str, line: bytes) -> None:
        """Shows a line that a part has written, above the parts."""
        try:
            event = msgspec.json.decode(line, type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError):
            event = {"ts": datetime.now(UTC).isoformat(), "event": line.decode("utf-8", "replace")}
        text = render_line(event | {"role": name}, colours=True)
        self.console.print(Text.from_ansi(text), soft_wrap=True)

    def _read(self, name: str) -> None:
        pipe = self._pipes[name]
        with contextlib.suppress(BlockingIOError):
            while data := os.read(pipe.read_end, READ_BYTES):
                *lines, pipe.rest = (pipe.rest + data).split(b"\n")
                for line in lines:
                    self.show(name, line)

    def _read_to_end(self, name: str) -> None:
        self._read(name)
        pipe = self._pipes[name]
        if pipe.rest:
            self.show(name, pipe.rest)
            pipe.rest = b""

    async def _look(self) -> None:
        async with httpx.AsyncClient(trust_env=False, timeout=ANSWER_SECONDS) as client:
            while True:
                await asyncio.gather(*(self._look_at(client, row) for row in self._rows.values()))
                await asyncio.sleep(LOOK_SECONDS)

    async def _look_at(self, client: httpx.AsyncClient, row: _Row) -> None:
        if row.state not in (Stage.STARTING, Stage.READY, UNREADY):
            return
        why = await _why_unready(client, row.part.ready_url)
        if row.state not in (Stage.STARTING, Stage.READY, UNREADY):
            return  # it ended meanwhile, and the supervisor has said so
        before = row.state, row.why
        if why is None:
            row.state, row.why, row.was_ready = Stage.READY, "", True
        else:
            row.state, row.why = (UNREADY, why or SILENT) if row.was_ready else (Stage.STARTING, why)
        if (row.state, row.why) != before:
            self._refresh()

    def _refresh(self) -> None:
        self._live.update(self._picture(), refresh=True)

    def _picture(self) -> Group:
        table = Table.grid(padding=(0, 2, 0, 0), expand=True)
        table.add_column(style="bold", no_wrap=True)
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        for row in self._rows.values():
            state = Text(f"{row.state}: {row.why}" if row.why else row.state, STYLES.get(row.state, ""))
            table.add_row(Text(row.part.name), Text(row.part.address), state)
        if self._outlook is None:
            return Group(Rule(style="dim"), table)
        steps = Table.grid(padding=(0, 2, 0, 0))
        steps.add_column(style="bold", no_wrap=True)
        steps.add_column(overflow="fold")
        for name, text in [*self._outlook.next_steps, ("Ctrl-C", "stops all")]:
            steps.add_row(Text(name), Text(text))
        return Group(Rule(style="dim"), table, Text(""), steps)


class _LogStream(io.StringIO):
    """A file for the logs of this process; each write is whole lines."""

    def __init__(self, screen: Screen) -> None:
        super().__init__()
        self._screen = screen

    @override
    def write(self, text: str, /) -> int:
        for line in text.splitlines():
            self._screen.show(OWN_NAME, line.encode())
        return len(text)


async def _why_unready(client: httpx.AsyncClient, url: str) -> str | None:
    """Returns why a part is not ready; empty if it does not say, None if it is ready."""
    with contextlib.suppress(TimeoutError, httpx.HTTPError):
        async with asyncio.timeout(ANSWER_SECONDS):
            if url.startswith("kafka:"):
                return None if await is_ready(client, url) else ""
            answer = await client.get(url)
            return None if answer.is_success else reasons(answer) or f"/readyz answered {answer.status_code}"
    return ""
