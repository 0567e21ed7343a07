"""``headrace doctor``: what stands in the way of a start, and what to do about it."""

import json
import os
import sys
from dataclasses import asdict

import click

from headrace.checks import Outcome, examine
from headrace.terminal.examples import examples
from headrace.terminal.settings_options import settings_options
from infra.logs import configure_logs
from infra.process.exit_codes import ExitCode
from infra.settings import EXAMINE, Settings


@click.command(
    "doctor",
    epilog=examples(
        "headrace doctor",
        "headrace doctor --kafka-port 19092",
        "headrace doctor --bootstrap kafka-1:9092,kafka-2:9092 --json",
    ),
)
@settings_options(EXAMINE)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(settings: Settings, *, as_json: bool) -> None:
    """Check this machine and what Headrace needs; exit with 1 if something must be put right."""
    configure_logs("doctor", "critical")  # what goes wrong is told as a result
    findings = []
    for finding in examine(settings, os.environ):
        findings.append(finding)
        if not as_json:
            remedy = f": {finding.remedy}" if finding.remedy else ""
            click.echo(f"{finding.outcome:<4}  {finding.check:<14}  {finding.found}{remedy}")
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings]))
    if any(finding.outcome is Outcome.FAIL for finding in findings):
        sys.exit(ExitCode.FAILURE)
