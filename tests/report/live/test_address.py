"""Address: what people may write, and who can reach it."""

import socket

import pytest

from fleetsim.exceptions import InputError
from fleetsim.report.live.address import Address, listen, parse_address


@pytest.mark.parametrize(
    ("text", "host", "port", "is_loopback"),
    [
        pytest.param("8089", "127.0.0.1", 8089, True, id="port"),
        pytest.param("0", "127.0.0.1", 0, True, id="any"),
        pytest.param("localhost:1", "localhost", 1, True, id="name"),
        pytest.param("[::1]:80", "::1", 80, True, id="v6"),
        pytest.param("192.0.2.1:80", "192.0.2.1", 80, False, id="address"),
        pytest.param("lab.test:65535", "lab.test", 65535, False, id="elsewhere"),
    ],
)
def test_reading(text: str, host: str, port: int, is_loopback: bool) -> None:
    """The host may be left out: then only this machine can reach it."""
    address = parse_address(text, "--ui")
    assert (address.host, address.port) == (host, port)
    assert address.is_loopback is is_loopback
    assert parse_address(str(address), "--ui") == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "65536",
        "-1",
        "1:2:3",
        "::1:80",
        ":80",
        "a b:80",
        "x:",
        "٣",
        "http://a:1",
        "[::1",
        "[]:1",
    ],
)
def test_refusing(text: str) -> None:
    """What is no address is refused with the name of the option."""
    with pytest.raises(InputError) as refused:
        parse_address(text, "--ui")
    assert all(problem.where == "--ui" for problem in refused.value.problems)


def test_a_busy_port_is_known_at_once() -> None:
    """Before anything of the run is made."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match="cannot listen on"):
            listen(Address("127.0.0.1", port), "--ui")


def test_wildcards() -> None:
    """Two addresses stand for all."""
    assert parse_address("[::]:1", "--ui").is_wildcard
    assert not parse_address("1", "--ui").is_wildcard
