"""``headrace list``: what is applied."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import click
import msgspec

from headrace.current_plan import current_plans
from headrace.inspection import listing
from headrace.inspection.listing import Document
from headrace.terminal.examples import examples
from headrace.terminal.settings_options import settings_options
from headrace.terminal.tables import console, table
from infra.logs import configure_logs
from infra.settings import KAFKA_CLIENT, Group, Settings
from schemas.definitions.plan import Plan

WORKSPACES: Final = "workspaces"

LISTS: Final[Mapping[str, Callable[[Plan], Sequence[Document]]]] = {
    "sources": listing.sources,
    "views": listing.views,
    "services": listing.services,
}
"""What there is in a workspace, and who lists it."""


@click.command(
    "list",
    epilog=examples(
        "headrace list sources", "headrace list views", "headrace list services --json", "headrace list workspaces"
    ),
)
@click.argument("kind", type=click.Choice([*LISTS, WORKSPACES]), metavar="|".join([*LISTS, WORKSPACES]))
@settings_options(KAFKA_CLIENT | Group.WORKSPACE)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(settings: Settings, kind: str, *, as_json: bool) -> None:
    """List what is applied: the sources, views or services of a workspace, or all workspaces.

    `headrace describe NAME` shows one of them with all its details.
    """
    configure_logs("list", "critical")  # what goes wrong is told once
    plans = current_plans(settings.bootstrap)
    if kind == WORKSPACES:
        found = listing.workspaces(plans)
        document: Document = {kind: found}
    else:
        plan = plans.get(settings.workspace)
        found = [] if plan is None else list(LISTS[kind](plan))
        document = {"workspace": settings.workspace, "plan": None if plan is None else plan.number, kind: found}
    if as_json:
        click.echo(msgspec.json.encode(document).decode())
    elif found:
        # A table's heads are the names of the document.
        heads = [name.removeprefix("is_").replace("_", " ") for name in found[0]]
        console().print(table(heads, [list(each.values()) for each in found]))
    else:
        click.echo(_nothing(settings.workspace, kind, plans), err=True)


def _nothing(workspace: str, kind: str, plans: Mapping[str, Plan]) -> str:
    if workspace in plans:
        return f"workspace {workspace}: its plan {plans[workspace].number} has no {kind}"
    known = f"; applied are: {', '.join(sorted(plans))}" if plans else ""
    return f"workspace {workspace}: nothing applied yet; `headrace apply REPO` does{known}"
