import socket
import threading
import time
from collections.abc import Iterator

import pytest

from infra.kafka.listeners import require_listener
from infra.process.ports import free_port
from schemas.errors import UnavailableError


@pytest.fixture
def silent() -> Iterator[int]:
    """The port of a server that takes connections and never says a word: a Kafka that is still loading."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


def test_who_listens_without_a_word_is_one_to_wait_for(silent: int) -> None:
    require_listener(f"127.0.0.1:{silent}", 5)


def test_one_address_that_listens_is_enough(silent: int) -> None:
    require_listener(f"127.0.0.1:{free_port()},no-such-host.invalid:9092,127.0.0.1:{silent}", 5)


def test_an_address_may_be_of_ipv6() -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as server:
        require_listener(f"[::1]:{server.getsockname()[1]}", 5)


def test_one_that_is_being_started_is_waited_for() -> None:
    port = free_port()
    begun = threading.Event()

    def wait() -> None:
        begun.set()
        require_listener(f"127.0.0.1:{port}", 30)

    waiting = threading.Thread(target=wait)
    waiting.start()
    begun.wait()
    time.sleep(0.05)  # not for truth's sake: so that the first connection is mostly refused
    with socket.create_server(("127.0.0.1", port)):
        waiting.join(30)
    assert not waiting.is_alive()


def test_where_nothing_listens_each_address_is_named_with_why_and_what_to_do() -> None:
    one, other = (f"127.0.0.1:{free_port()}" for _ in range(2))
    with pytest.raises(UnavailableError) as caught:
        require_listener(f"{one},{other}", 0.3)
    assert caught.value.message == (
        f"no Kafka listens at {one} (Connection refused), {other} (Connection refused); start it (`headrace up` starts "
        "a local one), or correct bootstrap or kafka_port"
    )
