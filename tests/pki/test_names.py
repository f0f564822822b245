from ipaddress import ip_address

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from fleetsim.exceptions import InputError
from fleetsim.pki.names import ca_subject, common_name_of, server_names, subject


def test_names_and_addresses_become_alternative_names() -> None:
    """DNS names and both families of addresses are kept, in that order."""
    name, alternative = server_names(
        ("localhost", "*.example.com"), ("::1", "10.0.0.1")
    )
    assert common_name_of(name) == "localhost"
    assert alternative.get_values_for_type(x509.DNSName) == [
        "localhost",
        "*.example.com",
    ]
    assert alternative.get_values_for_type(x509.IPAddress) == [
        ip_address("::1"),
        ip_address("10.0.0.1"),
    ]


def test_an_address_is_the_common_name_when_there_is_no_name() -> None:
    """A server without DNS name is called by its address."""
    name, _ = server_names((), ("127.0.0.1",))
    assert common_name_of(name) == "127.0.0.1"


def test_the_subject_can_be_empty() -> None:
    """Public CA profiles exist that leave the subject out."""
    name, alternative = server_names(("localhost",), (), with_common_name=False)
    assert list(name) == []
    assert len(alternative) == 1


@pytest.mark.parametrize(
    ("name", "words"),
    [
        pytest.param("", "is not a DNS name", id="empty"),
        pytest.param("a..b", "is not a DNS name", id="empty-label"),
        pytest.param("-a.example", "is not a DNS name", id="leading-hyphen"),
        pytest.param("a-.example", "is not a DNS name", id="trailing-hyphen"),
        pytest.param("a b", "is not a DNS name", id="space"),
        pytest.param("localhost\n", "is not a DNS name", id="newline"),
        pytest.param("x*.example.com", "is not a DNS name", id="partial-wildcard"),
        pytest.param("https://example.com", "is not a DNS name", id="url"),
        pytest.param("a" * 64, "is not a DNS name", id="long-label"),
        pytest.param("bücher.example", "xn--", id="international"),
        pytest.param("127.0.0.1", "is an IP address", id="address"),
    ],
)
def test_what_is_no_dns_name_is_refused(name: str, words: str) -> None:
    """A name that no client could look up is refused, with the reason."""
    with pytest.raises(InputError, match=words):
        server_names((name,), (), "common")


@pytest.mark.parametrize("text", ["", "1.2", "256.1.1.1", "localhost", "10.0.0.0/8"])
def test_what_is_no_address_is_refused(text: str) -> None:
    """Only single IPv4 and IPv6 addresses are addresses."""
    with pytest.raises(InputError, match="is not an IPv4 or IPv6 address"):
        server_names(("localhost",), (text,))


def test_a_server_needs_a_name() -> None:
    """A certificate for nothing is refused."""
    with pytest.raises(InputError, match="at least one"):
        server_names((), ())


def test_all_problems_come_at_once() -> None:
    """Every wrong name and address is reported together."""
    with pytest.raises(InputError) as caught:
        server_names(("a..b", "c d"), ("1.2",), "x" * 65)
    assert len(caught.value.problems) == 4


def test_long_names_need_a_certificate_without_common_name() -> None:
    """A DNS name above 64 characters fits the alternative names only."""
    long = ".".join(["a" * 30] * 3)
    with pytest.raises(InputError, match="92 bytes, 64 at most"):
        server_names((long,), ())
    _, alternative = server_names((long,), (), with_common_name=False)
    assert alternative.get_values_for_type(x509.DNSName) == [long]


def test_common_name_limits() -> None:
    """64 bytes fit, 65 and control characters do not; a CA needs a name."""
    assert common_name_of(subject("é" * 32)) == "é" * 32
    for bad in ("x" * 65, "é" * 33, "a\x00b", "a\nb", "a\ud800"):
        with pytest.raises(InputError, match="common name"):
            subject(bad)
    with pytest.raises(InputError, match="must not be empty"):
        ca_subject("")


@given(st.text(max_size=80))
def test_any_text_is_a_name_or_bad_input(text: str) -> None:
    """No text makes anything but a name or an InputError."""
    try:
        name, _ = server_names((text,), ())
    except InputError:
        return
    assert common_name_of(name) == text
