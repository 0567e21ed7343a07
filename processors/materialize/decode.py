"""Messages of an updates topic as updates.

Invariant: what is no update stops nobody; only an update of a later format does, for rows would be lost with it.
"""

from collections.abc import Sequence
from typing import NamedTuple

from confluent_kafka import Message

from schemas.errors import CodecError, NewerFormatError, StorageError
from schemas.messages.updates import UpdateMessage, decode_update


class Decoded(NamedTuple):
    """What messages are.

    Attributes:
        updates: in order.
        plan: the newest number of a plan that made one of them; 0 if there are none.
        others: offsets of messages that are no updates, and why.
    """

    updates: list[UpdateMessage]
    plan: int
    others: list[tuple[int, str]]


def decode(messages: Sequence[Message]) -> Decoded:
    """Returns what messages are.

    Args:
        messages: of one partition, in order.

    Raises:
        StorageError: one is of a later format; the process must not go past it.
    """
    updates: list[UpdateMessage] = []
    others: list[tuple[int, str]] = []
    for message in messages:
        offset = message.offset() or 0
        try:
            updates.append(UpdateMessage(offset, decode_update(message.value() or b"")))
        except NewerFormatError as error:
            where = f"{message.topic()} partition {message.partition()} offset {offset}"
            raise StorageError(f"{where}: {error}") from error
        except CodecError as error:
            others.append((offset, str(error)))
    return Decoded(updates, max((each.update.plan for each in updates), default=0), others)
