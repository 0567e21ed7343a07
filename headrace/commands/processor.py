"""``headrace processor``: one process that turns records into feature values."""

import click

from headrace.role_process import run_role
from headrace.settings_options import settings_options
from infra.settings import PROCESSOR, Settings


@click.command("processor")
@settings_options(PROCESSOR)
def command(settings: Settings) -> None:
    """Transform records, keep online state and the offline log."""
    run_role("processor", "processors.app:run_processor", settings)
