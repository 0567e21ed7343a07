"""``headrace tail``: the newest records of a source, with what became of each."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, Final

import click
import msgspec

from headrace.current_plan import READ_SECONDS
from headrace.inspection.decoding import RecordDecoder, SchemaTexts
from headrace.inspection.record_fates import Fate, Shown
from headrace.inspection.source_tail import SourceTail
from headrace.inspection.words import append_time_text, json_text
from headrace.terminal.examples import examples
from headrace.terminal.settings_options import settings_options
from infra.installation import known_installation
from infra.kafka.definitions import DefinitionsLog
from infra.kafka.listeners import require_listener
from infra.log_text import printable
from infra.logs import configure_logs
from infra.settings import KAFKA_CLIENT, Group, Settings
from schemas.definitions.plan import SourcePlan

REGISTRY_SECONDS: Final = 5.0
MOST: Final = 1_000
"""Records that are shown at first."""

NO_VIEWS: Final = "no view reads the source"


@click.command(
    "tail",
    epilog=examples(
        "headrace tail transactions", "headrace tail transactions -n 3 --no-follow", "headrace tail transactions --json"
    ),
)
@click.argument("source")
@settings_options(Group.DATA | KAFKA_CLIENT | Group.WORKSPACE | Group.INSTALLATION)
@click.option(
    "-n",
    "count",
    type=click.IntRange(0, MOST),
    default=10,
    show_default=True,
    metavar="COUNT",
    help="How many of the newest records to begin with.",
)
@click.option("--follow/--no-follow", default=True, help="Go on with what comes, until Ctrl-C; or end.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, a line for each record.")
def command(settings: Settings, source: str, *, count: int, follow: bool, as_json: bool) -> None:
    """Show the newest records of the stream source SOURCE, and what became of each for every view.

    Each record has when Kafka took it, partition and offset, and itself as JSON. Below it stands, for each view: its
    rows; `late`, older than the view's horizon; `dropped`, as the function returned nothing; code and text of its dead
    letter; `before the view`, which was applied later; or `pending`, until processors have passed it. Then it is shown
    once more.
    """
    configure_logs("tail", "critical")  # what goes wrong is told once
    installation = known_installation(settings)
    if installation is None:
        click.echo(f"no processor has used {settings.data}; --data names another folder: all is pending", err=True)
    require_listener(settings.bootstrap)
    definitions = DefinitionsLog(settings.bootstrap)
    definitions.start()
    try:
        definitions.read_to_end(READ_SECONDS)
        reading = SourceTail(settings.bootstrap, definitions, settings.workspace, source, installation, follows=follow)
        with reading as tail:
            show = _Printer(tail.source, SchemaTexts(settings.bootstrap, REGISTRY_SECONDS), as_json=as_json)
            tail.begin(count)
            if not follow:
                for shown in tail.once():
                    show(shown)
                return
            while True:
                for shown in tail.shown():
                    show(shown)
    except KeyboardInterrupt:
        return  # that is how it ends
    finally:
        definitions.stop()


class _Printer:
    def __init__(self, source: SourcePlan, text_of: Callable[[int], str | None], *, as_json: bool) -> None:
        self._decode = RecordDecoder(source, text_of)
        self._as_json = as_json

    def __call__(self, shown: Shown) -> None:
        record = shown.record
        decoded = self._decode(record.value).document()
        place = {"time": append_time_text(record.time), "partition": record.partition, "offset": record.offset}
        if self._as_json:
            views = {key: asdict(fate) for key, fate in shown.fates.items()}
            click.echo(msgspec.json.encode({**place, **decoded, "is_again": shown.is_again, "views": views}).decode())
            return
        text = _text(decoded) if not shown.is_again else "…"
        click.echo(f"{place['time']}  {record.partition}/{record.offset}  {printable(text)}")
        for line in fate_lines(shown.fates):
            click.echo(f"    {printable(line)}")


def fate_lines(fates: Mapping[str, Fate]) -> list[str]:
    """Returns what to show of a record's fates: views that share one share a line."""
    views: dict[str, list[str]] = {}
    for view, fate in fates.items():
        views.setdefault(str(fate), []).append(view)
    return [f"{', '.join(keys)}: {text}" for text, keys in views.items()] or [NO_VIEWS]


def _text(decoded: Mapping[str, Any]) -> str:
    record = decoded["record"]
    return f"no record: {decoded['problem']}" if record is None else json_text(record)
