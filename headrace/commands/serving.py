"""``headrace serving``: one process of the serving API."""

import click

from headrace.role_process import run_role
from headrace.settings_options import settings_options
from infra.settings import SERVING, Settings


@click.command("serving")
@settings_options(SERVING)
def command(settings: Settings) -> None:
    """Read feature values over HTTP."""
    run_role("serving", "serving.server:run_serving", settings)
