import socket

from infra.process.ports import LOOPBACK, PORTS, free_port, is_free


def test_a_free_port_can_be_listened_on() -> None:
    port = free_port()
    assert port in PORTS
    with socket.create_server((LOOPBACK, port)):
        assert not is_free(port)


def test_a_port_whose_connections_only_linger_is_free() -> None:
    server = socket.create_server((LOOPBACK, 0))
    port = server.getsockname()[1]
    with socket.create_connection((LOOPBACK, port)):
        accepted, _address = server.accept()
        accepted.close()
        server.close()
        assert is_free(port)
