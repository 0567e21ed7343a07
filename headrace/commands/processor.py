"""``headrace processor``: one process that turns records into feature values."""

import click

from headrace.role_process import run_role
from infra.settings import Settings, settings_options


@click.command("processor")
@settings_options(
    "data",
    "host",
    "processor_port",
    "bootstrap",
    "workspace",
    "workspaces",
    "installation",
    "partitions",
    "replication",
    "watchdog_seconds",
    "code_retry_seconds",
    "clock_hold_hours",
    "log_level",
)
def command(settings: Settings) -> None:
    """Transform records, keep online state and the offline log."""
    run_role("processor", "processors.app:run_processor", settings)
