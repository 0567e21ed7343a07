"""``headrace ingest-api``: one process of the ingest API and the schema registry."""

import click

from headrace.role_process import run_role
from headrace.terminal.examples import examples
from headrace.terminal.settings_options import settings_options
from infra.settings import INGEST_API, Settings


@click.command(
    "ingest-api", epilog=examples("headrace ingest-api --bootstrap kafka-1:9092,kafka-2:9092 --data /var/lib/headrace")
)
@settings_options(INGEST_API)
def command(settings: Settings) -> None:
    """Accept records over HTTP, publish them, answer what became of them."""
    run_role("ingest-api", "ingest_api.server:run_ingest_api", settings)
