import pytest
from confluent_kafka import KafkaError

from infra.kafka.errors import is_end, is_fatal, is_gone, is_lost

QUESTIONS = (is_end, is_lost, is_gone, is_fatal)


@pytest.mark.parametrize(
    ("code", "yes"),  # the codes as rdkafka.h and the protocol have them
    [
        (-191, [is_end]),  # _PARTITION_EOF
        (-140, [is_lost]),  # _AUTO_OFFSET_RESET
        (1, [is_lost]),  # OFFSET_OUT_OF_RANGE
        (-188, [is_gone]),  # _UNKNOWN_TOPIC
        (-190, [is_gone]),  # _UNKNOWN_PARTITION
        (3, [is_gone]),  # UNKNOWN_TOPIC_OR_PART
        (-150, [is_fatal]),  # _FATAL
        (-187, []),  # _ALL_BROKERS_DOWN
        (-195, []),  # _TRANSPORT
        (7, []),  # REQUEST_TIMED_OUT
        (29, []),  # TOPIC_AUTHORIZATION_FAILED
    ],
)
def test_each_code_answers_one_question_at_most(code: int, yes: list[object]) -> None:
    error = KafkaError(code)
    assert [question for question in QUESTIONS if question(error)] == yes


def test_an_error_that_says_so_itself_is_fatal_whatever_its_code() -> None:
    assert is_fatal(KafkaError(7, "out of order", True))
