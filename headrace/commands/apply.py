"""``headrace apply``: make a feature repository what runs."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click
import msgspec

from headrace.applying import Applied, Removals, apply_repository
from headrace.inspection.words import counted
from headrace.removals import RemovalsCommand, removals_option
from headrace.terminal.examples import examples
from headrace.terminal.settings_options import settings_options
from infra.logs import configure_logs
from infra.process.exit_codes import ExitCode
from infra.settings import APPLY, Settings
from schemas.definitions.changes import Change
from schemas.topics import source_topic

MARKS: Final = {"added": "+", "changed": "~", "removed": "-"}


@click.command(
    "apply",
    cls=RemovalsCommand,
    epilog=examples(
        "headrace apply features",
        "headrace apply features --dry-run --workspace staging",
        "headrace apply features --allow-removals",
    ),
)
@click.argument("repo", type=click.Path(exists=True, file_okay=False, path_type=Path))
@settings_options(APPLY)
@removals_option
@click.option("--dry-run", is_flag=True, help="Show what would change; change nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print the changes as JSON.")
def command(settings: Settings, repo: Path, removals: Removals | None, *, dry_run: bool, as_json: bool) -> None:
    """Check the feature repository REPO, show what applying it changes, and publish it.

    Running processes take the new definitions up within a second. If any change is refused, nothing is applied, all
    reasons are shown, and the exit code is 1. What the repository leaves out is removed only if you say so: at the
    question on a terminal, or with --allow-removals.

    A plan's number is its place in Kafka's topic of definitions, where each new view takes a place too: a later plan
    has a higher number, but not the next.
    """
    level = settings.log_level if "log_level" in settings.given else "critical"  # what goes wrong is told once
    configure_logs("apply", level, settings.log_format)
    asks = not as_json and sys.stdin.isatty() and sys.stdout.isatty()
    question = _Question() if asks else None
    applied = apply_repository(repo, settings, dry_run=dry_run, removals=removals, confirm=question)
    if as_json:
        click.echo(msgspec.json.encode(_document(applied, settings.workspace)).decode())
    else:
        if question is None or not question.was_asked:
            _show(applied.changes)
        click.echo(f"workspace {settings.workspace}: {_outcome(applied)}")
    if applied.refused:
        sys.exit(ExitCode.FAILURE)


class _Question:
    """Shows the changes and asks whether to make those that remove something."""

    def __init__(self) -> None:
        self.was_asked = False

    def __call__(self, changes: Sequence[Change]) -> bool:
        self.was_asked = True
        _show(changes)
        count = sum(change.kind == "removed" for change in changes)
        return click.confirm(f"Remove {counted(count, 'object')}, as shown?")


def _show(changes: Sequence[Change]) -> None:
    for change in changes:
        click.echo(_lines(change))


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
    note = f"\n      note: {change.note}" if change.note else ""
    lost = f"\n      lost: {change.lost}" if change.lost else ""
    problem = "" if change.problem is None else f"\n      refused: {change.problem}"
    return f"  {MARKS[change.kind]} {change.object}{detail}{note}{lost}{problem}"


def _outcome(applied: Applied) -> str:
    count = counted(len(applied.changes), "change")
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
