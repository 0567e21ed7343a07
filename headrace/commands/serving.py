"""``headrace serving``: one process of the serving API."""

import click

from headrace.role_process import run_role
from infra.settings import Settings, settings_options


@click.command("serving")
@settings_options("data", "host", "serving_port", "bootstrap", "workspace", "log_level")
def command(settings: Settings) -> None:
    """Read feature values over HTTP."""
    run_role("serving", "serving.server:run_serving", settings)
