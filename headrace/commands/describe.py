"""``headrace describe``: one source, view or service with all that is known of it."""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

import click
import msgspec

from headrace.current_plan import current_plans
from headrace.inspection import dead_letters
from headrace.inspection.decoding import RecordDecoder, SchemaTexts
from headrace.inspection.description import Document, named, service_document, source_document, view_document
from headrace.inspection.description_lines import Grid, service_lines, source_lines, view_lines
from headrace.inspection.newest import newest
from headrace.inspection.online_rows import document, online_rows
from headrace.inspection.words import append_time_text
from headrace.terminal.examples import examples
from headrace.terminal.settings_options import settings_options
from headrace.terminal.tables import console, table
from infra.logs import configure_logs
from infra.settings import KAFKA_CLIENT, Group, Settings
from schemas.definitions.plan import Plan, SourcePlan, ViewPlan
from schemas.errors import NotFoundError
from schemas.topics import source_topic

NEWEST: Final = 3
"""How many of the newest events, and of the newest dead letters, are shown."""

REGISTRY_SECONDS: Final = 5.0

LINES: Final[Mapping[str, Callable[[Document], Iterator[str | Grid]]]] = {
    "sources": source_lines,
    "views": view_lines,
    "services": service_lines,
}
"""What may have a name, and who shows it."""


@click.command(
    "describe",
    epilog=examples(
        "headrace describe transactions",
        "headrace describe user_amounts",
        "headrace describe user_amounts@V1 --json",
        "headrace describe fraud_detection --workspace staging",
    ),
)
@click.argument("name")
@settings_options(Group.DATA | KAFKA_CLIENT | Group.WORKSPACE)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(settings: Settings, name: str, *, as_json: bool) -> None:
    """Show the source, view or service NAME: what defines it, and what is in it now.

    A view is also named with its version, as NAME@VERSION; without it, all versions are shown. What several kinds have
    as their name is shown of each.
    """
    configure_logs("describe", "critical")  # what goes wrong is told once
    plan = _plan(settings)
    found = named(plan, name)
    described: Document = {
        "workspace": plan.workspace,
        "plan": plan.number,
        "sources": [source_document(plan, each) | _records(settings, plan, each) for each in found.sources],
        "views": [view_document(plan, each) | _state(settings, plan, each) for each in found.views],
        "services": [service_document(plan, each) for each in found.services],
    }
    if as_json:
        click.echo(msgspec.json.encode(described).decode())
        return
    screen = console()
    for kind, lines in LINES.items():
        for each in described[kind]:
            for line in lines(each):
                screen.print(table(line.heads, line.rows) if isinstance(line, Grid) else line)


def _plan(settings: Settings) -> Plan:
    plans = current_plans(settings.bootstrap)
    plan = plans.get(settings.workspace)
    if plan is None:
        known = f"; applied are: {', '.join(sorted(plans))}" if plans else ""
        raise NotFoundError(f"workspace {settings.workspace}: nothing applied yet; `headrace apply REPO` does{known}")
    return plan


def _records(settings: Settings, plan: Plan, source: SourcePlan) -> Document:
    """Returns what Kafka holds of a source now."""
    held = newest(settings.bootstrap, source_topic(plan.workspace, source.name), NEWEST)
    decode = RecordDecoder(source, SchemaTexts(settings.bootstrap, REGISTRY_SECONDS))
    events = [
        {
            "time": append_time_text(record.time),
            "partition": record.partition,
            "offset": record.offset,
            **decode(record.value).document(),
        }
        for record in held.records
    ]
    letters = dead_letters.dead_letters(settings.bootstrap, plan.workspace, source.name, NEWEST)
    return {
        "records": held.held,
        "newest": events,
        "dead_letters": letters.held,
        "newest_dead_letters": [dead_letters.document(each) for each in letters.newest],
    }


def _state(settings: Settings, plan: Plan, view: ViewPlan) -> Document:
    """Returns what online state holds of a view now, as far as it is on this host."""
    return {"online_rows": document(online_rows(settings.data, plan, view)) if view.online else None}
