"""What an error of Kafka's means for whoever reads or writes: four questions, the codes behind them, and its words.

Invariant: no code answers two of the questions with yes; one that answers none passes by itself, or is the operator's.
"""

import sys
from typing import Final

from confluent_kafka import KafkaError, KafkaException

_LOST: Final = frozenset({KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE})
_GONE: Final = frozenset(
    {KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION, KafkaError.UNKNOWN_TOPIC_OR_PART}
)  # of the client, which may remember for a while, and of the broker


def is_end(error: KafkaError) -> bool:
    """Tells whether nothing is wrong: a consumer stands at the end of a partition, or before an open transaction."""
    return error.code() == KafkaError._PARTITION_EOF


def is_lost(error: KafkaError) -> bool:
    """Tells whether Kafka does not hold the offset that was to be read next: it expired, was cut, or never was."""
    return error.code() in _LOST


def is_gone(error: KafkaError) -> bool:
    """Tells whether Kafka has no such topic or partition: not yet, or no longer."""
    return error.code() in _GONE


def is_fatal(error: KafkaError) -> bool:
    """Tells whether the client can never go on; another one can."""
    return error.fatal() or error.code() == KafkaError._FATAL


def words(error: BaseException) -> str:
    """Returns what an error says, in words."""
    if isinstance(error, KafkaException):
        reason: KafkaError = error.args[0]
        return reason.str()
    return str(error)


def raised_now() -> BaseException:
    """Returns what is being handled, in a bare ``except``: the client can raise a KafkaError, which is no exception."""
    error = sys.exc_info()[1]
    return error if isinstance(error, BaseException) else KafkaException(error)
