"""``headrace serving``: one process of the serving API."""

import click

from headrace.role_process import run_role
from headrace.terminal.examples import examples
from headrace.terminal.settings_options import settings_options
from infra.settings import SERVING, Settings


@click.command(
    "serving",
    epilog=examples(
        "headrace serving --bootstrap kafka-1:9092,kafka-2:9092 --data /var/lib/headrace",
        "headrace serving --host 0.0.0.0 --serving-port 8080 --log-format json",
    ),
)
@settings_options(SERVING)
def command(settings: Settings) -> None:
    """Read feature values over HTTP."""
    run_role("serving", "serving.server:run_serving", settings)
