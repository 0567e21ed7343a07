"""``headrace processor``: one process that turns records into feature values."""

import click

from headrace.role_process import run_role
from headrace.terminal.examples import examples
from headrace.terminal.settings_options import settings_options
from infra.settings import PROCESSOR, Settings


@click.command(
    "processor",
    epilog=examples(
        "headrace processor --bootstrap kafka-1:9092,kafka-2:9092 --data /var/lib/headrace",
        "headrace processor --workspaces prod,staging --processor-port 9100",
    ),
)
@settings_options(PROCESSOR)
def command(settings: Settings) -> None:
    """Transform records, keep online state and the offline log."""
    run_role("processor", "processors.app:run_processor", settings)
