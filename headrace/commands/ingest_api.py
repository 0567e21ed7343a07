"""``headrace ingest-api``: one process of the ingest API and the schema registry."""

import click

from headrace.role_process import run_role
from infra.settings import Settings, settings_options


@click.command("ingest-api")
@settings_options(
    "data",
    "host",
    "ingest_port",
    "bootstrap",
    "workspace",
    "installation",
    "partitions",
    "replication",
    "ack_deadline_seconds",
    "log_level",
)
def command(settings: Settings) -> None:
    """Accept records over HTTP, publish them, answer what became of them."""
    run_role("ingest-api", "ingest_api.server:run_ingest_api", settings)
