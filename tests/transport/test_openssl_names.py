import pytest
from OpenSSL import SSL

from fleetsim.transport import openssl_names as openssl
from fleetsim.transport.tls_suites import set_suites
from tests.transport.pumps import Client


def test_nothing_is_missing() -> None:
    """Every undocumented OpenSSL name this package relies on is in the binding."""
    assert openssl.missing_names() == ()


def test_missing_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that a new release drops is reported by name."""
    gone = "SSL_get0_quantum_state"
    monkeypatch.setattr(openssl, "FUNCTIONS", (*openssl.FUNCTIONS, gone))
    assert openssl.missing_names() == (gone,)


def test_errors_are_drained_oldest_first() -> None:
    """The queue is emptied, and each entry keeps library, reason and text."""
    context = SSL.Context(SSL.TLS_METHOD)
    openssl.err_clear_error()
    assert not openssl.set_dh_parameters(context, b"no PEM")
    assert openssl.drain_errors() == ()
    pump = Client().pump()
    pump.handshake()
    openssl.bio_write(openssl.handles(pump.connection)[1], b"HTTP/1.1 400 \r\n", 15)
    assert openssl.ssl_do_handshake(openssl.handles(pump.connection)[0]) < 1
    errors = openssl.drain_errors()
    assert errors
    assert errors[0].library == openssl.ERR_LIB_SSL
    assert errors[0].text == openssl.reason_text(errors[0].reason)
    assert openssl.drain_errors() == ()


def test_curves() -> None:
    """Known groups are taken, an unknown one refuses the whole list."""
    context = SSL.Context(SSL.TLS_METHOD)
    assert openssl.set_curves(context, "P-256:X25519")
    assert not openssl.set_curves(context, "P-256:P-0")
    assert openssl.drain_errors() == ()


def test_replaced_bios_carry_on() -> None:
    """Fresh BIOs take the place of the old ones in both directions."""
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_max_proto_version(SSL.TLS1_2_VERSION)
    set_suites(context, ("AES128-SHA",), (), 0)
    connection = SSL.Connection(context, None)
    connection.set_connect_state()
    into = openssl.replace_input_bio(connection)
    out = openssl.replace_output_bio(connection)
    assert openssl.handles(connection)[1:] == (into, out)
    with pytest.raises(SSL.WantReadError):
        connection.do_handshake()
    assert connection.bio_read(5)[:2] == b"\x16\x03"
