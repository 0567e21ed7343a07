"""``headrace ingest``: send events from a file through the ingest API."""

import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final

import click

from headrace.api_client import ApiClient, encode_json, key_file_option, read_key
from headrace.terminal.examples import examples
from headrace.terminal.settings_options import settings_options
from infra.http.paths import INGEST
from infra.process.exit_codes import ExitCode
from infra.settings import Group, Settings
from schemas.errors import RequestError
from schemas.limits import MAX_RECORDS_PER_SOURCE

INGESTED: Final = "ingested"
MAX_PROBLEMS: Final = 20
"""Failed records that are shown one by one."""


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
@settings_options(Group.DATA | Group.HTTP | Group.INGEST_PORT)
@key_file_option
@click.option("--dry-run", is_flag=True, help="Check the records; write nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcomes as JSON.")
def command(
    settings: Settings, source: str, file: BinaryIO, key_file: Path | None, *, dry_run: bool, as_json: bool
) -> None:
    """Send the events in FILE to the stream source SOURCE.

    FILE has one JSON object per line, or one JSON array of objects; - is standard input. Exits with 1 if any event
    failed.
    """
    key = read_key(settings, key_file)
    outcomes: Counter[str] = Counter()
    problems: list[str] = []
    with ApiClient(settings.host, settings.ingest_port, f'Snowflake Token="{key}"') as client:
        try:
            for first, batch in _batches(file):
                answer = client.post(INGEST, {"records": {source: batch}, "dry_run": dry_run})
                found = dict(_problems(answer["sources"][source], first, len(batch)))
                outcomes.update(code for code, _ in found.values())
                outcomes[INGESTED] += len(batch) - len(found)
                problems += [f"record {number}: {code}: {text}" for number, (code, text) in sorted(found.items())]
        finally:
            _show(outcomes, problems, as_json=as_json)
    if problems:
        sys.exit(ExitCode.FAILURE)


def _batches(file: BinaryIO) -> Iterator[tuple[int, list[Any]]]:
    """Yields as many records at a time as a request takes, with the number of the first; records count from 1."""
    batch: list[Any] = []
    sent = 0
    for record in _records(file):
        batch.append(record)
        if len(batch) == MAX_RECORDS_PER_SOURCE:
            yield sent + 1, batch
            sent += len(batch)
            batch = []
    if batch:
        yield sent + 1, batch


def _records(file: BinaryIO) -> Iterator[Any]:
    """Yields the records of a file, line by line unless it is an array.

    Raises:
        RequestError: a line, or the array, is not JSON; names file and line.
    """
    name = getattr(file, "name", "<stdin>")
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        if line.lstrip().startswith(b"["):
            where = f"{name}, line {number}: begins with [ but is no JSON array"
            for index, record in enumerate(_parse(_decode(line + file.read(), name, number), where), 1):
                yield _sendable(record, f"{name}, line {number}: record {index} of the array")
            return
        where = f"{name}, line {number}: expected one JSON object in each line"
        yield _sendable(_parse(_decode(line, name, number), where), where)


def _decode(text: bytes, name: str, number: int) -> str:
    """Decodes what begins in a line of a file."""
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError as error:
        line = number + text.count(b"\n", 0, error.start)
        raise _refused(f"{name}, line {line}: expected UTF-8", error) from error


def _parse(text: str, problem: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _refused(problem, error) from error


def _sendable(record: Any, problem: str) -> Any:
    """Returns a record if it can be written as JSON; Python reads more: NaN, halves of surrogate pairs."""
    try:
        encode_json(record)
    except (ValueError, RecursionError) as error:
        raise _refused(problem, error) from error
    return record


def _refused(problem: str, error: Exception) -> RequestError:
    return RequestError(f"{problem}: {error}; what was counted before went in: correct this and send the rest")


def _problems(result: Any, first: int, count: int) -> Iterator[tuple[int, tuple[str, str]]]:
    """Yields the number of each record that failed, with code and message; a view that failed is every record's."""
    for view in result["feature_views"]["results"]:
        if view["status"] != "success":
            error = view["error"]
            for number in range(first, first + count):
                yield number, (error["code"], f"feature view {view['name']} {view['version']}: {error['message']}")
    for each in result["records"].get("errors", ()):
        yield first + each["index"], (each["error"]["code"], each["error"]["message"])


def _show(outcomes: Counter[str], problems: Sequence[str], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"outcomes": dict(outcomes), "problems": problems}))
        return
    for name, count in outcomes.most_common():
        click.echo(f"{count:>8,}  {name}")
    for problem in problems[:MAX_PROBLEMS]:
        click.echo(problem, err=True)
    if len(problems) > MAX_PROBLEMS:
        click.echo(f"… and {len(problems) - MAX_PROBLEMS:,} more", err=True)
