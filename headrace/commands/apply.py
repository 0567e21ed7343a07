"""``headrace apply``: make a feature repository what runs."""

import sys
from pathlib import Path
from typing import Final

import click
import msgspec

from headrace.applying import Applied, apply_repository
from infra.exit_codes import ExitCode
from infra.logs import configure_logs
from infra.settings import Settings, settings_options
from schemas.changes import Change
from schemas.topics import source_topic

MARKS: Final = {"added": "+", "changed": "~", "removed": "-"}


@click.command("apply")
@click.argument("repo", type=click.Path(exists=True, file_okay=False, path_type=Path))
@settings_options("bootstrap", "workspace", "partitions", "source_partitions", "replication", "log_level")
@click.option("--dry-run", is_flag=True, help="Show what would change; change nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the changes as JSON.")
def command(settings: Settings, repo: Path, *, dry_run: bool, as_json: bool) -> None:
    """Check the feature repository REPO, show what applying it changes, and publish it.

    Running processes take the new definitions up within a second. If any change is refused, nothing is applied, all
    reasons are shown, and the exit code is 1.
    """
    configure_logs("apply", "error" if settings.log_level == "info" else settings.log_level)
    applied = apply_repository(repo, settings, dry_run=dry_run)
    if as_json:
        click.echo(msgspec.json.encode(_document(applied, settings.workspace)).decode())
    else:
        for change in applied.changes:
            click.echo(_lines(change))
        click.echo(f"workspace {settings.workspace}: {_outcome(applied)}")
    if applied.refused:
        sys.exit(ExitCode.FAILURE)


def _document(applied: Applied, workspace: str) -> dict[str, object]:
    plan = applied.plan
    return {
        "workspace": workspace,
        "plan": None if plan is None else plan.number,
        "refused": len(applied.refused),
        "changes": applied.changes,
        "sources": {
            name: {"topic": source_topic(workspace, name), "schema_id": source.schema_id}
            for name, source in (plan.sources if plan is not None else {}).items()
        },
    }


def _lines(change: Change) -> str:
    detail = f": {change.detail}" if change.detail else ""
    problem = "" if change.problem is None else f"\n      refused: {change.problem}"
    return f"  {MARKS[change.kind]} {change.object}{detail}{problem}"


def _outcome(applied: Applied) -> str:
    count = f"{len(applied.changes)} change{'' if len(applied.changes) == 1 else 's'}"
    if applied.refused:
        return f"{len(applied.refused)} of {count} refused, nothing applied"
    if not applied.changes:
        return "nothing to change"
    if applied.plan is None:
        return f"{count}, not applied (--dry-run)"
    topics = [
        f"\n  write to {name}: topic {source_topic(applied.plan.workspace, name)}, schema id {source.schema_id}"
        for name, source in sorted(applied.plan.sources.items())
    ]
    return f"{count} applied as plan {applied.plan.number}{''.join(topics)}"
