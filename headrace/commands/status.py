"""``headrace status``: what runs, which definitions are in force, how far processors are behind."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from headrace.current_plan import current_plan
from headrace.lags import Lag, lags
from headrace.server_status import ServerStatus, server_status
from infra.exit_codes import ExitCode
from infra.http_server import reachable_host
from infra.logs import configure_logs
from infra.settings import Settings, settings_options
from schemas.errors import UnavailableError
from schemas.plan import Plan

PIPE_WIDTH = 160
"""Columns of the tables where the output is no terminal."""


@click.command("status")
@settings_options("host", "bootstrap", "ingest_port", "serving_port", "workspace")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(settings: Settings, *, as_json: bool) -> None:
    """Show servers, definitions and lag; exit with 7 if something is away or not ready."""
    configure_logs("status", "error")
    host = reachable_host(settings.host)
    servers = [
        server_status("ingest", f"http://{host}:{settings.ingest_port}"),
        server_status("serving", f"http://{host}:{settings.serving_port}"),
    ]
    plan, behind, problem = _definitions(settings)
    if as_json:
        click.echo(json.dumps(_document(settings, servers, plan, behind, problem)))
    else:
        _show(settings, servers, plan, behind, problem)
    if problem or any(server.problem for server in servers):
        sys.exit(ExitCode.UNAVAILABLE)


def _definitions(settings: Settings) -> tuple[Plan | None, list[Lag], str]:
    """Returns the plan, the lag of what it reads, and why that is not known."""
    try:
        plan = current_plan(settings.bootstrap, settings.workspace)
        return plan, [] if plan is None else lags(settings.bootstrap, plan), ""
    except UnavailableError as error:
        return None, [], error.message


def _document(
    settings: Settings, servers: Sequence[ServerStatus], plan: Plan | None, behind: Sequence[Lag], problem: str
) -> dict[str, Any]:
    return {
        "workspace": settings.workspace,
        "plan": None if plan is None else plan.number,
        "servers": [asdict(server) for server in servers],
        "lags": [asdict(lag) for lag in behind],
        "kafka": {"bootstrap": settings.bootstrap, "problem": problem},
    }


def _show(
    settings: Settings, servers: Sequence[ServerStatus], plan: Plan | None, behind: Sequence[Lag], problem: str
) -> None:
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=PIPE_WIDTH)
    console.print(_servers_table(settings, servers, problem))
    if plan is not None:
        console.print(
            f"\nworkspace {plan.workspace}: plan {plan.number}, {len(plan.sources)} sources, {len(plan.views)} views, "
            f"{len(plan.services)} services"
        )
        console.print(_lags_table(behind))
    elif not problem:
        console.print(f"\nworkspace {settings.workspace}: nothing applied yet; `headrace apply REPO` does")


def _servers_table(settings: Settings, servers: Sequence[ServerStatus], problem: str) -> Table:
    table = Table("server", "address", "state", "requests", "mean ms", box=None)
    table.add_row("kafka", settings.bootstrap, problem or "answers", "", "")
    for each in servers:
        mean = "" if each.mean_ms is None else f"{each.mean_ms:.1f}"
        table.add_row(each.name, each.url, each.problem or "ready", f"{each.requests:,}", mean)
    return table


def _lags_table(behind: Sequence[Lag]) -> Table:
    table = Table("topic", "read by", "records", "lag", box=None)
    for each in behind:
        table.add_row(each.topic, each.group, f"{each.records:,}", f"{each.lag:,}")
    return table
