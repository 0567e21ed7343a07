"""Kafka brokers that the settings name: what ``up`` and ``doctor`` say of them, in the same words.

Invariant: brokers that are given are never taken for the local Kafka unnoticed: which they are and what gave them is
told before they are asked, and soon if they do not answer.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from infra.kafka.clients import admin
from infra.settings import Settings

REMEDY: Final = "start it, correct bootstrap, or leave bootstrap out for a local Kafka"

PATIENCE_SECONDS: Final = 4.0
"""After this it is told that nobody answers: brokers that run answer sooner, from far away too."""

ASK_SECONDS: Final = 2.0
"""What one question may take; a stop may have to wait as long."""

PAUSE_SECONDS: Final = 0.2


def are_given(settings: Settings) -> bool:
    """Tells whether there are brokers to use, so that no local Kafka is to be started."""
    return "bootstrap" in settings.given


def named(settings: Settings) -> str:
    """Returns where Kafka is, and which setting of which source said so."""
    return f"{settings.bootstrap} ({settings.given['bootstrap']})"


def introduced(settings: Settings) -> str:
    """Returns which brokers are used, and what has no effect as they are given."""
    idle = settings.given.get("kafka_port")
    without = f"; {idle} has no effect" if idle else ""
    return f"uses Kafka at {named(settings)} and starts none of its own{without}"


async def watch(settings: Settings, note: Callable[[str], None], patience_seconds: float = PATIENCE_SECONDS) -> None:
    """Waits until the brokers answer; notes, once, that they do not, and then that they do.

    Args:
        settings: with brokers that are given.
        note: takes a sentence for the operator.
        patience_seconds: how long their silence is no news.
    """
    client = admin(settings.bootstrap)
    begun = time.monotonic()
    silent = False
    while not await asyncio.to_thread(_answers, client):
        if not silent and time.monotonic() - begun >= patience_seconds:
            silent = True
            note(f"no Kafka answers at {named(settings)}: {REMEDY}; waiting for it")
        await asyncio.sleep(PAUSE_SECONDS)
    if silent:
        note(f"Kafka answers at {settings.bootstrap}")


def _answers(client: AdminClient) -> bool:
    try:
        client.list_topics(timeout=ASK_SECONDS)
    except KafkaException:
        return False
    return True
