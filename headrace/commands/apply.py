"""``headrace apply``: make a feature repository what runs."""

from pathlib import Path
from typing import Final

import click
import msgspec

from headrace.applying import apply_repository
from infra.logs import configure_logs
from infra.settings import Settings, settings_options
from schemas.changes import Change

MARKS: Final = {"added": "+", "changed": "~", "removed": "-"}


@click.command("apply")
@click.argument("repo", type=click.Path(exists=True, file_okay=False, path_type=Path))
@settings_options("bootstrap", "workspace", "partitions", "source_partitions", "replication", "log_level")
@click.option("--dry-run", is_flag=True, help="Show what would change; change nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the changes as JSON.")
def command(settings: Settings, repo: Path, *, dry_run: bool, as_json: bool) -> None:
    """Check the feature repository REPO, show what applying it changes, and publish it.

    Running processes take the new definitions up within a second.
    """
    configure_logs("apply", "error" if settings.log_level == "info" else settings.log_level)
    applied = apply_repository(repo, settings, dry_run=dry_run)
    if as_json:
        document = {"workspace": settings.workspace, "plan": applied.plan, "changes": applied.changes}
        click.echo(msgspec.json.encode(document).decode())
        return
    for change in applied.changes:
        click.echo(_line(change))
    if not applied.changes:
        click.echo(f"workspace {settings.workspace}: nothing to change")
    elif applied.plan is None:
        click.echo(f"workspace {settings.workspace}: {len(applied.changes)} changes, not applied (--dry-run)")
    else:
        click.echo(f"workspace {settings.workspace}: {len(applied.changes)} changes applied as plan {applied.plan}")


def _line(change: Change) -> str:
    detail = f": {change.detail}" if change.detail else ""
    return f"  {MARKS[change.kind]} {change.object}{detail}"
