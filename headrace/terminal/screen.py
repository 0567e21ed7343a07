"""What ``headrace up`` shows on a terminal: log lines that scroll by, and below them one line for each part.

One process writes to the terminal, or lines would overwrite each other: parts log JSON into a pipe each, which this
module reads, and their lines come out as text (docs/decisions/0021-who-writes-to-the-terminal.md).

Invariant: no part waits for the terminal: pipes are emptied as they fill, and what a terminal cannot show as fast is
left out and counted. Whatever else a part has written is shown, also what it wrote just before it died and what is no
JSON; the cursor is visible all the while, so that no end, not even a kill, leaves the terminal without one.
"""

import asyncio
import contextlib
import io
import os
from collections import deque
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
"""What one turn of the event loop takes from a pipe, which holds as much: others have their turn in between."""

DRAW_LINES: Final = 200
"""What one turn draws: about 20 ms, for which the event loop hears of nothing."""

DRAW_SECONDS: Final = 0.05
"""Pause between two drawings, for everything else that the event loop does."""

MOST_LINES: Final = 5_000
"""What waits to be drawn at most; a part that writes more, faster than a terminal shows it, is not slowed down."""

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
    _lines: deque[tuple[str, bytes]] = field(default_factory=lambda: deque(maxlen=MOST_LINES))
    _left_out: int = 0
    _is_due: bool = False
    _loop: asyncio.AbstractEventLoop = field(init=False)

    def __post_init__(self) -> None:
        self._rows = {part.name: _Row(part) for part in self.parts}
        self._live = Live(console=self.console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False)

    async def __aenter__(self) -> Self:
        """Takes the terminal, and the logs of this process."""
        self._loop = asyncio.get_running_loop()
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
            self._loop.remove_reader(pipe.read_end)
            os.close(pipe.write_end)
            self._read_to_end(name)
            os.close(pipe.read_end)
        self._pipes.clear()
        self._outlook = None
        while self._lines:
            self._draw()
        self._refresh()
        self._live.stop()

    def output(self, name: str) -> int:
        """Returns the end of a new pipe that a part writes to; it outlives the part, for those that come after it."""
        read_end, write_end = os.pipe()
        os.set_blocking(read_end, False)
        self._pipes[name] = _Pipe(read_end, write_end)
        self._loop.add_reader(read_end, self._read, name)
        return write_end

    def tell(self, name: str, stage: Stage, why: str) -> None:
        """Shows what the supervisor says of a part."""
        if stage in (Stage.RESTARTING, Stage.STOPPED) and name in self._pipes:
            self._read_to_end(name)  # its last words may lack a line end, and the next process would go on in that line
        row = self._rows[name]
        row.state, row.why = stage, why
        row.was_ready = stage is Stage.READY or (row.was_ready and stage is not Stage.STARTING)
        self._refresh()

    def note(self, text: str) -> None:
        """Shows it above the parts, as a line of this process's log; the settings' level has no say in it."""
        self.show(OWN_NAME, msgspec.json.encode({"ts": _now(), "level": "warning", "event": text}))

    def ready(self, outlook: Outlook) -> None:
        """Shows below the parts what to do next."""
        self._outlook = outlook
        self._refresh()

    def show(self, name: str, line: bytes) -> None:
        """Has a line that a part has written shown, soon, above the parts; from any thread."""
        if len(self._lines) == MOST_LINES:
            self._left_out += 1  # the oldest gives way: the newest say how things stand
        self._lines.append((name, line))
        if not self._is_due:
            self._is_due = True
            with contextlib.suppress(RuntimeError):  # the loop is closed: whoever logs now is heard no more
                self._loop.call_soon_threadsafe(self._draw_soon)

    def _draw_soon(self) -> None:
        self._loop.call_later(DRAW_SECONDS, self._draw)

    def _draw(self) -> None:
        lines = [self._lines.popleft() for _ in range(min(DRAW_LINES, len(self._lines)))]
        texts = [_text(name, line) for name, line in lines]
        if self._left_out:
            told = {"ts": _now(), "level": "warning", "role": OWN_NAME, "event": f"{self._left_out} lines left out"}
            texts.insert(0, render_line(told, colours=True))
            self._left_out = 0
        if texts:  # in one go: the parts below are drawn anew each time
            self.console.print(Text.from_ansi("\n".join(texts)), soft_wrap=True)
        self._is_due = bool(self._lines)
        if self._is_due:
            self._draw_soon()

    def _read(self, name: str) -> bool:
        """Takes what a pipe holds, up to a bound; returns whether that was anything."""
        pipe = self._pipes[name]
        try:
            data = os.read(pipe.read_end, READ_BYTES)
        except BlockingIOError:
            return False
        *lines, pipe.rest = (pipe.rest + data).split(b"\n")
        for line in lines:
            self.show(name, line)
        return bool(data)

    def _read_to_end(self, name: str) -> None:
        # Twice what a pipe holds: what outlives its part may write on, and this must come to an end.
        for _ in range(2):
            if not self._read(name):
                break
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


def _text(name: str, line: bytes) -> str:
    """Returns a line that a part has written as a person reads it."""
    try:
        event = msgspec.json.decode(line, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError):
        event = {"ts": _now(), "event": line.decode("utf-8", "replace")}
    return render_line(event | {"role": name}, colours=True)


def _now() -> str:
    return datetime.now(UTC).isoformat()


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
