"""``headrace ingest``: send events from a file through the ingest API."""

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Final

import click

from headrace.api_client import ApiClient, key_file_option, read_key
from headrace.event_files import FileEvent, read_events
from headrace.ingest_summary import IngestSummary
from headrace.inspection import outcomes
from headrace.inspection.words import counted
from headrace.terminal.examples import examples
from headrace.terminal.settings_options import settings_options
from headrace.terminal.tables import console, table
from infra.http.paths import INGEST
from infra.log_text import printable
from infra.process.exit_codes import ExitCode
from infra.settings import Group, Settings
from schemas.errors import RequestError, UnavailableError

MAX_PROBLEMS: Final = 20
"""Failures that are shown one by one."""


@click.command(
    "ingest",
    epilog=examples(
        "headrace ingest transactions features/transactions.jsonl",
        "headrace ingest transactions features/transactions.jsonl --dry-run",
        "headrace ingest transactions - --key-file writer.key",
    ),
)
@click.argument("source")
@click.argument("file", type=click.File("rb"))
@settings_options(Group.DATA | Group.HTTP | Group.INGEST_PORT | Group.INGEST_CALLS)
@key_file_option
@click.option("--dry-run", is_flag=True, help="Check the records and run the views' functions on them; write nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcomes as JSON.")
def command(
    settings: Settings, source: str, file: BinaryIO, key_file: Path | None, *, dry_run: bool, as_json: bool
) -> None:
    """Send the events in FILE to the stream source SOURCE.

    FILE has one JSON object per line, or one JSON array of objects; - is standard input. Shows for each view how many
    rows were new, replaced an event of the same join keys, time and identity columns, said the same as one (equal), or
    came too late to count; and how many events its function dropped or failed on. Exits with 1 if any event failed.
    """
    key = read_key(settings, key_file)
    summary = IngestSummary(source, dry_run)
    with ApiClient(settings.host, settings.ingest_port, f'Snowflake Token="{key}"') as client:
        try:
            for batch in _batches(read_events(file), settings.ingest_records_per_source):
                records = [event.record for event in batch]
                request = {"records": {source: records}, "dry_run": dry_run, "include_diagnostics": True}
                summary.take(_answer(client, request, batch, summary), [event.place for event in batch])
        except _BrokenFileError as broken:
            raise RequestError(f"{broken}; {_how_far(summary)}") from broken
        finally:
            _show(summary, as_json=as_json)
    if summary.problems:
        sys.exit(ExitCode.FAILURE)


def _answer(client: ApiClient, request: object, batch: Sequence[FileEvent], summary: IngestSummary) -> Any:
    """Sends a batch.

    Raises:
        UnavailableError: it was not answered; says how far the file came.
    """
    try:
        return client.post(INGEST, request)
    except UnavailableError as error:
        if not summary.sent:
            raise
        raise UnavailableError(
            f"{error.message}; then send the file again, as what is sent again replaces itself: what comes before "
            f"{batch[0].place} was answered ({counted(summary.sent, 'record')}), of what follows nothing is known"
        ) from error


class _BrokenFileError(Exception):
    """Something in the file is no event; all before it was yielded."""


def _batches(events: Iterable[FileEvent], size: int) -> Iterator[list[FileEvent]]:
    """Yields as many records at a time as a request takes.

    Args:
        events: of the file.
        size: how many that is.

    Raises:
        _BrokenFileError: the file is broken, after what comes before that was yielded.
    """
    iterator = iter(events)
    while True:
        batch: list[FileEvent] = []
        try:
            for event in islice(iterator, size):
                batch.append(event)  # noqa: PERF402 - what came before an error is wanted
        except RequestError as error:
            if batch:
                yield batch
            raise _BrokenFileError(error.message) from error
        if not batch:
            return
        yield batch


def _how_far(summary: IngestSummary) -> str:
    done = "checked" if summary.dry_run else "sent"
    if not summary.sent:
        return f"nothing was {done}: correct the file and send it again"
    before = counted(summary.sent, "record")
    return (
        f"what comes before it was {done} ({before}), it and what follows were not: correct the file and send it "
        "again; what is sent again replaces itself"
    )


def _show(summary: IngestSummary, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(summary.document()))
        return
    for name, count in summary.outcomes.most_common():
        if count:
            click.echo(f"{count:>8,}  {name}")
    if summary.views:
        console().print(table(*outcomes.lines(dict(sorted(summary.views.items())))))
    for told, count in summary.told.items():
        click.echo(f"{told.about}: {counted(count, told.noun)} {told.kind.replace('_', ' ')}: {told.message}")
    for problem in summary.problems[:MAX_PROBLEMS]:
        click.echo(printable(problem), err=True)
    if len(summary.problems) > MAX_PROBLEMS:
        click.echo(f"… and {len(summary.problems) - MAX_PROBLEMS:,} more", err=True)
