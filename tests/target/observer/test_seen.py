import subprocess
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetsim.target.observer.seen import (
    Seen,
    UnreadableLineError,
    fields_of,
    number,
    openssl_reason,
    seconds,
)
from tests.integration.tls_wire import program


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("192.0.2.1:443", "192.0.2.1"),
        ("192.0.2.1", "192.0.2.1"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
        ("unix:", "unix:"),
        ("", ""),
    ],
)
def test_address_without_its_port(peer: str, address: str) -> None:
    """Addresses of both families, with and without a port."""
    assert Seen(unix_s=0.0, peer=peer).address == address


@pytest.mark.parametrize(
    ("subject", "device"),
    [
        ("CN=0A1B2C3D", "0A1B2C3D"),
        ("O=fleet,CN=0A1B2C3D,OU=x", "0A1B2C3D"),
        ("CN = 0A1B2C3D, O = fleet", "0A1B2C3D"),
        ("CN=operator", ""),
        ("OU=0A1B2C3D", ""),
        ("", ""),
    ],
)
def test_device_of_a_subject(subject: str, device: str) -> None:
    """The common name, when it is a device id."""
    assert Seen(unix_s=0.0, subject=subject).device == device


@pytest.mark.parametrize(
    ("line", "fields"),
    [
        ('{"a":"b","c":"-"}', {"a": "b", "c": ""}),
        ('Nov 23 00:28:36 host haproxy[7]: {"a":"b"}', {"a": "b"}),
        ('{"a":1,"b":null,"c":["d"],"e":"f"}', {"e": "f"}),
        ("127.0.0.1 - - GET /", None),
        ("", None),
    ],
)
def test_fields(line: str, fields: dict[str, str] | None) -> None:
    """Texts of a JSON object, whatever syslog puts before it."""
    assert fields_of(line) == fields


@pytest.mark.parametrize("line", ['{"a":"b', "{", "x {1}", "{" * 100_000])
def test_cut_lines(line: str) -> None:
    """A line that begins as ours and does not end is not silently left out."""
    with pytest.raises(UnreadableLineError):
        fields_of(line)


def test_long_values_are_cut_but_not_the_target() -> None:
    """A key may have 1,024 bytes; nothing else needs as much."""
    found = fields_of(f'{{"subject":"{"s" * 999}","uri":"/{"k" * 999}"}}')
    assert found is not None
    assert (len(found["subject"]), len(found["uri"])) == (200, 1000)


@pytest.mark.parametrize(
    ("said", "value"),
    [
        ("7", 7),
        ("", 0),
        ("-7", 0),
        ("0x7", 0),
        ("\N{ARABIC-INDIC DIGIT SEVEN}", 0),
        ("9" * 30, 0),
    ],
)
def test_number(said: str, value: int) -> None:
    """Plain decimal digits, else nothing."""
    assert number(said) == value


@pytest.mark.parametrize(
    ("said", "value"), [("7", 7.0), ("1795393663.005", 1795393663.005)]
)
def test_seconds(said: str, value: float) -> None:
    """Seconds with or without a fraction."""
    assert seconds(said) == value


@pytest.mark.parametrize("said", ["", "x", "1e9", "-1", "1.x", "nan", "1" * 13, "²"])
def test_no_seconds(said: str) -> None:
    """Anything else is no time."""
    with pytest.raises(UnreadableLineError):
        seconds(said)


@given(st.text())
def test_any_text_is_a_time_or_refused(said: str) -> None:
    """Foreign text raises nothing else."""
    with suppress(UnreadableLineError):
        assert 0 <= seconds(said) < 10**12


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("(SSL: error:0A0000C1:SSL routines::no shared cipher)", 193),
        ("error:0A000412:SSL routines::sslv3 alert bad certificate", 1042),
        # Another library (20 is libssl): not a reason of TLS.
        ("error:0480006C:PEM routines::no start line", 0),
        ("Connection reset by peer", 0),
        ("", 0),
    ],
)
def test_reason_of_a_packed_error(said: str, reason: int) -> None:
    """The reason is what is left of the library number."""
    assert openssl_reason(said) == reason


@pytest.mark.parametrize(
    ("reason", "words"),
    [(193, "no shared cipher"), (1042, "sslv3 alert bad certificate")],
)
def test_openssl_packs_likewise(reason: int, words: str) -> None:
    """``openssl errstr`` unpacks the same numbers to the same words."""
    packed = f"{20 << 23 | reason:08X}"
    said = subprocess.run(
        [program("openssl"), "errstr", packed],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert openssl_reason(said) == reason
    assert words in said
