"""``headrace status``: what runs, what is in force, how far behind processors are, and what became of records."""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import click
from rich.table import Table

from headrace.current_plan import current_plan
from headrace.inspection import outcomes
from headrace.inspection.dead_letters import HEADS, DeadLetters, dead_letters_of, document, rows
from headrace.inspection.words import counted
from headrace.lags import Lag, lags, members
from headrace.server_status import ServerStatus, server_status
from headrace.terminal.examples import examples
from headrace.terminal.settings_options import settings_options
from headrace.terminal.tables import console, table
from infra.http.server import reachable_host
from infra.installation import known_installation
from infra.logs import configure_logs
from infra.process.exit_codes import ExitCode
from infra.processor_urls import processor_urls
from infra.settings import LOOK, Settings
from schemas.definitions.ids import defined_id
from schemas.definitions.plan import Plan
from schemas.errors import UnavailableError
from schemas.topics import materialize_group, transform_group


@dataclass(frozen=True, slots=True)
class KafkaStatus:
    """What Kafka tells.

    Attributes:
        plan: the workspace's; None if nothing was applied, or Kafka is away.
        lags: of what processors read.
        dead_letters: of each source, with the newest.
        processors: how many of the installation run: members of the consumer group that has fewest; None without a
            plan, as processors then have nothing to read and join no group.
        problem: why it is not known; empty if it is.
    """

    plan: Plan | None = None
    lags: Sequence[Lag] = ()
    dead_letters: Sequence[DeadLetters] = ()
    processors: int | None = None
    problem: str = ""


@click.command("status", epilog=examples("headrace status", "headrace status --workspace staging --json"))
@settings_options(LOOK)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(settings: Settings, *, as_json: bool) -> None:
    """Show servers, processors, definitions, lag, dead letters and what became of each view's rows.

    Exits with 7 if something is away or not ready, or no processor runs.
    """
    configure_logs("status", "critical")  # what goes wrong is told as a result
    host = reachable_host(settings.host)
    servers = [
        server_status("ingest", f"http://{host}:{settings.ingest_port}"),
        server_status("serving", f"http://{host}:{settings.serving_port}"),
        *(server_status("processor", url) for url in processor_urls(settings.data)),
    ]
    installation = known_installation(settings)
    kafka = _ask_kafka(settings, installation)
    if as_json:
        click.echo(json.dumps(_document(settings, installation, servers, kafka)))
    else:
        _show(settings, installation, servers, kafka)
    if kafka.problem or kafka.processors == 0 or any(server.problem for server in servers):
        sys.exit(ExitCode.UNAVAILABLE)


def _ask_kafka(settings: Settings, installation: str | None) -> KafkaStatus:
    try:
        plan = current_plan(settings.bootstrap, settings.workspace)
        if plan is None:
            return KafkaStatus()
        letters = dead_letters_of(settings.bootstrap, plan.workspace, plan.read_sources(), 1)
        if installation is None:
            return KafkaStatus(plan, dead_letters=letters, processors=0)
        groups = [materialize_group(installation), *([transform_group(installation)] if plan.read_sources() else [])]
        running = min(members(settings.bootstrap, groups).values())
        return KafkaStatus(plan, lags(settings.bootstrap, plan, installation), letters, running)
    except UnavailableError as error:
        return KafkaStatus(problem=error.message)


def _document(
    settings: Settings, installation: str | None, servers: Sequence[ServerStatus], kafka: KafkaStatus
) -> dict[str, Any]:
    return {
        "installation": installation,
        "workspace": settings.workspace,
        "plan": None if kafka.plan is None else kafka.plan.number,
        "retired": [] if kafka.plan is None else sorted(kafka.plan.retired),
        "ids": {} if kafka.plan is None or installation is None else ids_of(kafka.plan, installation),
        "servers": [asdict(server) for server in servers],
        "processors": kafka.processors,
        "lags": [asdict(lag) for lag in kafka.lags],
        "dead_letters": [
            {"source": each.source, "held": each.held, "newest": [document(letter) for letter in each.newest]}
            for each in kafka.dead_letters
        ],
        "outcomes": outcomes.summed((server.outcomes for server in servers), settings.workspace),
        "kafka": {"bootstrap": settings.bootstrap, "problem": kafka.problem},
    }


def ids_of(plan: Plan, installation: str) -> dict[str, dict[str, str]]:
    """Returns the ids by which APIs know what a plan defines, by kind and name."""
    workspace = plan.workspace
    return {
        "feature_services": {
            name: defined_id(installation, workspace, "feature_service", name) for name in sorted(plan.services)
        },
        "feature_views": {
            key: defined_id(installation, workspace, "feature_view", view.name, view.version)
            for key, view in sorted(plan.views.items())
        },
        "stream_sources": {
            name: defined_id(installation, workspace, "stream_source", name) for name in sorted(plan.sources)
        },
    }


def _show(settings: Settings, installation: str | None, servers: Sequence[ServerStatus], kafka: KafkaStatus) -> None:
    screen = console()
    screen.print(_servers_table(settings, servers, kafka.problem))
    screen.print(f"\ninstallation: {installation or f'none yet in {settings.data}; --data names another folder'}")
    for server in servers:
        for workspace, failed in server.failed_views.items():
            for view, problem in failed.items():
                screen.print(f"\nfailed at {server.url}: view {view} of workspace {workspace}: {problem}")
        for source, count in server.without_zone.get(settings.workspace, {}).items():
            screen.print(
                f"\nsource {source}: {counted(count, 'record')} since {server.url} started had an event time without a "
                "zone, taken as UTC; write it with Z or an offset, as in +02:00"
            )
        if server.clock_ahead_seconds:
            screen.print(
                f"\nclock: the host of {server.url} is {server.clock_ahead_seconds / 3600:.1f} h ahead of what "
                "retention believes: its clock stepped, or no processor ran for so long; nothing becomes old by it "
                "before the host has run on for the hours of clock_hold_hours. If the clock is wrong, set it right"
            )
    plan = kafka.plan
    if plan is not None:
        advice = "" if kafka.processors else "; nothing is computed until `headrace up` or `headrace processor` runs"
        screen.print(f"\nprocessors: {kafka.processors} running{advice}")
        screen.print(
            f"\nworkspace {plan.workspace}: plan {plan.number}, {counted(len(plan.sources), 'source')}, "
            f"{counted(len(plan.views), 'view')}, {counted(len(plan.services), 'service')}"
        )
        if plan.retired:
            screen.print(f"removed views that are still computed: {', '.join(sorted(plan.retired))}")
        screen.print(_lags_table(kafka.lags))
        for shown in (*_outcome_lines(plan, servers), *_dead_letter_lines(kafka.dead_letters)):
            screen.print(shown)
    elif not kafka.problem:
        screen.print(f"\nworkspace {settings.workspace}: nothing applied yet; `headrace apply REPO` does")


def _servers_table(settings: Settings, servers: Sequence[ServerStatus], problem: str) -> Table:
    lines: list[list[object]] = [["kafka", settings.bootstrap, problem or "answers", None, None]]
    for each in servers:
        mean = None if each.mean_ms is None else f"{each.mean_ms:.1f}"
        lines.append([each.name, each.url, each.problem or "ready", each.requests, mean])
    return table(["server", "address", "state", "requests", "mean ms"], lines)


def _lags_table(behind: Sequence[Lag]) -> Table:
    return table(
        ["topic", "read by", "records", "lag"], [[each.topic, each.group, each.records, each.lag] for each in behind]
    )


def _outcome_lines(plan: Plan, servers: Sequence[ServerStatus]) -> Iterator[Table | str]:
    """Yields what to print of rows and records, if processors have counted any."""
    counts = outcomes.summed((server.outcomes for server in servers), plan.workspace)
    if counts:
        yield "\nrows and records by what became of them, since the processors that run here started"
        yield table(*outcomes.lines(counts))
        yield from outcomes.explanations(counts, plan.folded_views())


def _dead_letter_lines(every: Sequence[DeadLetters]) -> Iterator[Table | str]:
    """Yields what to print of dead letters, if there are any."""
    held = [each for each in every if each.held]
    if held:
        yield "\ndead letters that Kafka holds, and the newest of each source"
        lines = [
            [*([each.source, each.held] if not index else ["", None]), *line]
            for each in held
            for index, line in enumerate(line for letter in each.newest for line in rows(document(letter)))
        ]
        yield table(["source", "held", *HEADS], lines)
