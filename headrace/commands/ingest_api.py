"""``headrace ingest-api``: one process of the ingest API and the schema registry."""

import click

from headrace.role_process import run_role
from headrace.settings_options import settings_options
from infra.settings import INGEST_API, Settings


@click.command("ingest-api")
@settings_options(INGEST_API)
def command(settings: Settings) -> None:
    """Accept records over HTTP, publish them, answer what became of them."""
    run_role("ingest-api", "ingest_api.server:run_ingest_api", settings)
