"""``headrace broker``: a local Kafka in the foreground, for development and small deployments."""

import signal
import sys
from types import FrameType
from typing import Final, NoReturn

import click
import setproctitle

from headrace.terminal.examples import examples
from headrace.terminal.settings_options import settings_options
from infra.local_kafka.broker import LocalKafka
from infra.local_kafka.extra import require_extra
from infra.logs import configure_logs, get_logger
from infra.paths import kafka_path
from infra.process.exit_codes import ExitCode
from infra.settings import BROKER, Settings
from schemas.errors import UnavailableError

LOOK_SECONDS: Final = 1.0

log = get_logger(__name__)


@click.command("broker", epilog=examples("headrace broker", "headrace broker --data /var/lib/headrace --kafka-port 0"))
@settings_options(BROKER)
@click.option("--log-ready", is_flag=True, hidden=True, help="Log the address instead of printing it.")
def command(settings: Settings, *, log_ready: bool) -> None:
    """Run a local Apache Kafka until asked to stop.

    Prints one line, `ready` and the address, once clients can connect. It listens on 127.0.0.1 only. Port 0 picks a
    free one.
    """
    setproctitle.setproctitle("headrace broker")
    configure_logs("broker", settings.log_level, settings.log_format)
    require_extra()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    with LocalKafka(kafka_path(settings.data), settings.kafka_port) as kafka:
        if log_ready:
            log.info("ready", bootstrap=kafka.bootstrap)
        else:
            click.echo(f"ready {kafka.bootstrap}")
        while (code := kafka.wait(LOOK_SECONDS)) is None:
            pass
    message = f"Kafka ended by itself with exit code {code}; {kafka.log_file} says why"
    raise UnavailableError(message)


def _stop(_number: int, _frame: FrameType | None) -> NoReturn:
    """Leaves the ``with`` block, which stops the broker; later signals must not interrupt that."""
    for number in (signal.SIGINT, signal.SIGTERM):
        # Not SIG_IGN: Python reports a signal that came just before it as an error.
        signal.signal(number, lambda _number, _frame: None)
    sys.exit(ExitCode.OK)
