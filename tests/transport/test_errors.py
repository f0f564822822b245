import asyncio
import errno
import os
import socket
import ssl
import subprocess
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from OpenSSL import SSL

from fleetsim.core.failure import Failure, Kind, Phase, alert, is_kind
from fleetsim.exceptions import InputError, Problem
from fleetsim.transport import errors, tls_names
from fleetsim.transport.openssl_names import OpensslError
from tests.transport.pumps import Client

NETWORK = (Phase.DNS, Phase.TCP, Phase.TLS, Phase.SEND, Phase.WAIT)


@pytest.mark.parametrize(
    ("number", "phase", "kind"),
    [
        (errno.ECONNREFUSED, Phase.TCP, Kind.TCP_REFUSED),
        (errno.ECONNRESET, Phase.TCP, Kind.TCP_RESET),
        (errno.ECONNRESET, Phase.TLS, Kind.TLS_RESET),
        (errno.ECONNRESET, Phase.SEND, Kind.HTTP_RESET),
        (errno.ECONNRESET, Phase.WAIT, Kind.HTTP_RESET),
        (errno.EPIPE, Phase.SEND, Kind.HTTP_RESET),
        (errno.ECONNABORTED, Phase.TCP, Kind.TCP_RESET),
        (errno.ETIMEDOUT, Phase.TCP, Kind.TCP_TIMEOUT),
        (errno.ETIMEDOUT, Phase.TLS, Kind.TLS_TIMEOUT),
        (errno.ETIMEDOUT, Phase.WAIT, Kind.HTTP_TIMEOUT),
        (errno.ENETUNREACH, Phase.TCP, Kind.TCP_UNREACHABLE),
        (errno.EHOSTUNREACH, Phase.TCP, Kind.TCP_UNREACHABLE),
        (errno.ENETDOWN, Phase.TCP, Kind.TCP_UNREACHABLE),
        (errno.EACCES, Phase.TCP, Kind.TCP_UNREACHABLE),
        (errno.EPERM, Phase.TCP, Kind.TCP_UNREACHABLE),
        (errno.EAFNOSUPPORT, Phase.TCP, Kind.TCP_UNREACHABLE),
        (errno.EHOSTUNREACH, Phase.WAIT, Kind.HTTP_RESET),
        (errno.EADDRNOTAVAIL, Phase.TCP, Kind.TCP_LOCAL_PORTS),
        (errno.EADDRINUSE, Phase.TCP, Kind.TCP_LOCAL_PORTS),
        (errno.EMFILE, Phase.TCP, Kind.TCP_LOCAL_FILES),
        (errno.ENFILE, Phase.TCP, Kind.TCP_LOCAL_FILES),
        (errno.ENOBUFS, Phase.SEND, Kind.TCP_LOCAL_FILES),
        (errno.EMFILE, Phase.DNS, Kind.TCP_LOCAL_FILES),
    ],
    ids=lambda value: errno.errorcode[value] if isinstance(value, int) else str(value),
)
def test_os_errors(number: int, phase: Phase, kind: str) -> None:
    """An errno becomes the word of the phase it hit; the system's text is kept."""
    failure = errors.from_os_error(OSError(number, os.strerror(number)), phase)
    assert (failure.kind, failure.phase) == (kind, phase)
    assert os.strerror(number) in failure.detail


@pytest.mark.parametrize("phase", NETWORK)
@pytest.mark.parametrize(
    "exc", [ConnectionResetError("lost"), BrokenPipeError(), ConnectionAbortedError()]
)
def test_errors_without_errno_go_by_class(phase: Phase, exc: OSError) -> None:
    """Event loops raise reset and pipe errors without a number; they count the same."""
    with_number = errors.from_os_error(OSError(errno.ECONNRESET, "reset"), phase)
    assert errors.from_os_error(exc, phase).kind == with_number.kind


async def test_several_refused_addresses() -> None:
    """The error that asyncio folds of several addresses is still a refusal."""
    folded = OSError(
        "Multiple exceptions: [Errno 111] Connect call failed ('::1', 1, 0, 0), "
        "[Errno 111] Connect call failed ('127.0.0.1', 1)"
    )
    assert errors.from_os_error(folded, Phase.TCP).kind == Kind.TCP_REFUSED
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound, not listening: connecting is refused
        loop = asyncio.get_running_loop()
        with pytest.raises(OSError, match="Connect call failed") as caught:
            await loop.create_connection(asyncio.Protocol, *unused.getsockname())
    assert errors.from_os_error(caught.value, Phase.TCP).kind == Kind.TCP_REFUSED


@pytest.mark.parametrize(
    ("exc", "kind"),
    [
        (socket.gaierror(socket.EAI_NONAME, "unknown"), Kind.DNS_NOT_FOUND),
        (socket.gaierror(socket.EAI_NODATA, "no address"), Kind.DNS_NOT_FOUND),
        (socket.gaierror(socket.EAI_AGAIN, "try again"), Kind.DNS_FAILED),
        (socket.gaierror(socket.EAI_FAIL, "failed"), Kind.DNS_FAILED),
        (TimeoutError(), Kind.DNS_TIMEOUT),
        (OSError(errno.EMFILE, "too many"), Kind.TCP_LOCAL_FILES),
        (OSError(errno.EIO, "io"), Kind.DNS_FAILED),
    ],
    ids=["noname", "nodata", "again", "fail", "timeout", "emfile", "eio"],
)
def test_dns_errors(exc: OSError, kind: str) -> None:
    """A missing name is told from a resolver that failed or was too slow."""
    assert errors.from_dns_error(exc).kind == kind
    assert errors.from_os_error(exc, Phase.DNS) == errors.from_dns_error(exc)


def test_real_resolver_error() -> None:
    """The reserved top-level domain of RFC 6761 6.4 never resolves."""
    with pytest.raises(socket.gaierror) as caught:
        socket.getaddrinfo("host.invalid", 443)
    assert errors.from_dns_error(caught.value).kind in (
        Kind.DNS_NOT_FOUND,
        Kind.DNS_FAILED,  # a machine without any resolver says EAI_AGAIN
    )


@pytest.mark.parametrize(
    ("phase", "timeout", "lost"),
    [
        (Phase.DNS, Kind.DNS_TIMEOUT, Kind.DNS_FAILED),
        (Phase.TCP, Kind.TCP_TIMEOUT, Kind.TCP_RESET),
        (Phase.TLS, Kind.TLS_TIMEOUT, Kind.TLS_RESET),
        (Phase.SEND, Kind.HTTP_TIMEOUT, Kind.HTTP_RESET),
        (Phase.WAIT, Kind.HTTP_TIMEOUT, Kind.HTTP_RESET),
        (Phase.RUN, Kind.RUN_STOPPED, Kind.HTTP_RESET),
        (Phase.DEVICE, Kind.UNCLASSIFIED, Kind.HTTP_RESET),
    ],
)
def test_deadlines_and_lost_connections(phase: Phase, timeout: str, lost: str) -> None:
    """A passed deadline and a vanished connection are named by their phase."""
    assert errors.from_timeout(phase).kind == timeout
    assert errors.from_connection_lost(None, phase).kind == lost


def test_connection_lost_with_a_cause() -> None:
    """A cause decides; what is no network error at all is a bug, and shows."""
    reset = ConnectionResetError(errno.ECONNRESET, "reset")
    assert errors.from_connection_lost(reset, Phase.WAIT).kind == Kind.HTTP_RESET
    bug = errors.from_connection_lost(ValueError("bug"), Phase.WAIT)
    assert bug == Failure(Kind.UNCLASSIFIED, Phase.WAIT, "bug")


@given(
    number=st.sampled_from(sorted(errno.errorcode)),
    phase=st.sampled_from(NETWORK),
    text=st.text(max_size=400),
)
def test_any_errno_makes_a_member(number: int, phase: Phase, text: str) -> None:
    """Whatever the system says, the kind is in the taxonomy and the detail bounded."""
    failure = errors.from_os_error(OSError(number, text), phase)
    assert is_kind(failure.kind)
    assert failure.detail
    assert len(failure.detail) <= 200


@pytest.mark.parametrize(
    ("numbers", "verify_code", "kind"),
    [
        ((1048,), 0, "tls.alert.unknown_ca"),
        ((134, 1048), 10, "tls.alert.unknown_ca"),
        ((1255,), 0, "tls.alert.unassigned_255"),
        ((134,), 10, "tls.verify.cert_has_expired"),
        ((134,), 0, "tls.verify.unspecified"),
        ((134,), 4711, "tls.verify.code_4711"),
        ((199,), 0, "tls.verify.no_peer_certificate"),
        ((193,), 0, Kind.TLS_NO_SHARED_CIPHER),
        ((181,), 0, Kind.TLS_NO_SHARED_CIPHER),
        ((399,), 0, Kind.TLS_OWN_CERTIFICATE),
        ((118,), 0, Kind.TLS_OWN_CERTIFICATE),
        ((294,), 0, Kind.TLS_RESET),
        ((267,), 0, Kind.TLS_PROTOCOL),
        ((999,), 0, Kind.TLS_PROTOCOL),
        ((), 0, Kind.TLS_PROTOCOL),
        ((267,), 10, Kind.TLS_PROTOCOL),
    ],
)
def test_openssl_errors(numbers: tuple[int, ...], verify_code: int, kind: str) -> None:
    """Peer's alert first, then our verdict, ciphers, own certificate, protocol."""
    queue = [OpensslError(20, number, "text") for number in numbers]
    failure = errors.from_openssl_errors(queue, verify_code)
    assert (failure.kind, failure.phase) == (kind, Phase.TLS)
    assert failure.detail


def test_other_libraries_are_not_alerts() -> None:
    """Reason 1048 of libcrypto is no alert: only libssl counts alerts from 1000."""
    failure = errors.from_openssl_errors([OpensslError(4, 1048, "rsa")], 0)
    assert failure == Failure(Kind.TLS_PROTOCOL, Phase.TLS, "rsa")


def test_every_reason_of_libssl_is_classified() -> None:
    """No reason number of libssl, alone or after another, ends unclassified."""
    for first, second in product((134, 193, 267), range(1256)):
        queue = [OpensslError(20, first, "a"), OpensslError(20, second, "b")]
        kind = errors.from_openssl_errors(queue, 20).kind
        assert is_kind(kind)
        assert kind != Kind.UNCLASSIFIED


def test_alert_name() -> None:
    """Only a peer's alert has an alert name."""
    for number, name in tls_names.ALERTS.items():
        assert errors.alert_name(alert(tls_names.alert_name_of(number))) == name
    assert errors.alert_name(errors.from_timeout(Phase.TLS)) == ""


def test_own_certificate() -> None:
    """A client certificate that cannot be used is a failure of the device's own."""
    exc = InputError(Problem("client certificate CN=dev", "ee key too small"))
    failure = errors.from_own_certificate(exc)
    assert failure.kind == Kind.TLS_OWN_CERTIFICATE
    assert "ee key too small" in failure.detail


@pytest.mark.parametrize(
    ("received", "kind"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", Kind.TLS_PROTOCOL),
        (b"\x15\x03\x03\x00\x02\x02\x28", "tls.alert.handshake_failure"),
        (b"\x15\x03\x03\x00\x02\x02\x74", "tls.alert.certificate_required"),
        (b"\x15\x03\x03\x00\x02\x01\x00", "tls.alert.close_notify"),
    ],
    ids=["plaintext", "alert 40", "alert 116", "close_notify"],
)
def test_pyopenssl_exceptions(received: bytes, kind: str) -> None:
    """What pyOpenSSL raises is told apart as the pump would tell it."""
    connection = Client().pump().connection
    with pytest.raises(SSL.WantReadError):
        connection.do_handshake()
    connection.bio_write(received)
    with pytest.raises(SSL.Error) as caught:
        connection.do_handshake()
    assert errors.from_ssl_error(caught.value, connection).kind == kind


def test_pyopenssl_unexpected_eof() -> None:
    """A connection cut in the handshake is a reset."""
    connection = Client().pump().connection
    with pytest.raises(SSL.WantReadError):
        connection.do_handshake()
    connection.bio_shutdown()
    with pytest.raises(SSL.Error) as caught:
        connection.do_handshake()
    assert errors.from_ssl_error(caught.value, connection).kind == Kind.TLS_RESET


def stdlib_error(reason: str, made: type[ssl.SSLError] = ssl.SSLError) -> ssl.SSLError:
    """An error as CPython's ``ssl`` raises it."""
    error = made(1, f"[SSL: {reason}] {reason.lower()} (_ssl.c:1006)")
    error.reason = reason
    return error


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        ("SSLV3_ALERT_HANDSHAKE_FAILURE", "tls.alert.handshake_failure"),
        ("SSLV3_ALERT_CERTIFICATE_REVOKED", "tls.alert.certificate_revoked"),
        ("TLSV1_ALERT_UNKNOWN_CA", "tls.alert.unknown_ca"),
        ("TLSV1_ALERT_PROTOCOL_VERSION", "tls.alert.protocol_version"),
        ("TLSV1_ALERT_USER_CANCELLED", "tls.alert.user_canceled"),
        ("TLSV1_UNRECOGNIZED_NAME", "tls.alert.unrecognized_name"),
        ("TLSV13_ALERT_CERTIFICATE_REQUIRED", "tls.alert.certificate_required"),
        ("TLSV13_ALERT_MISSING_EXTENSION", "tls.alert.missing_extension"),
        ("UNEXPECTED_EOF_WHILE_READING", Kind.TLS_RESET),
        ("NO_CIPHERS_AVAILABLE", Kind.TLS_NO_SHARED_CIPHER),
        ("EE_KEY_TOO_SMALL", Kind.TLS_OWN_CERTIFICATE),
        ("WRONG_VERSION_NUMBER", Kind.TLS_PROTOCOL),
        ("TLSV1_BAD_CERTIFICATE_STATUS", Kind.TLS_PROTOCOL),
        ("", Kind.TLS_PROTOCOL),
    ],
)
def test_errors_of_the_standard_library(reason: str, kind: str) -> None:
    """The name of libssl's reason becomes the alert's IANA name, or its class."""
    failure = errors.from_stdlib_ssl_error(stdlib_error(reason), Phase.TLS)
    assert failure.kind == kind
    assert is_kind(failure.kind)


def test_every_alert_reason_of_libssl_has_its_iana_name() -> None:
    """The oracle is OpenSSL's own list of reasons, read from its error strings."""
    listing = subprocess.run(
        ["openssl", "errstr", *[f"0A{n + 1000:06X}" for n in tls_names.ALERTS if n]],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    reasons = [line.rpartition("::")[2].strip() for line in listing.splitlines()]
    known = [each for each in reasons if not each.startswith("reason(")]
    assert len(known) > 25
    for text in known:
        reason = text.upper().replace(" ", "_")
        failure = errors.from_stdlib_ssl_error(stdlib_error(reason), Phase.TLS)
        assert failure.kind.startswith("tls.alert."), reason


@pytest.mark.parametrize(
    ("made", "phase", "kind"),
    [
        (ssl.SSLEOFError, Phase.TLS, Kind.TLS_RESET),
        (ssl.SSLEOFError, Phase.WAIT, Kind.HTTP_RESET),
        (ssl.SSLZeroReturnError, Phase.SEND, Kind.HTTP_RESET),
    ],
    ids=["eof in the handshake", "eof", "close_notify"],
)
def test_a_stream_that_ended_was_reset(
    made: type[ssl.SSLError], phase: Phase, kind: str
) -> None:
    """In the word of the phase it hit."""
    failure = errors.from_stdlib_ssl_error(stdlib_error("EOF", made), phase)
    assert failure.kind == kind


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (10, "tls.verify.cert_has_expired"),
        (62, "tls.verify.hostname_mismatch"),
        (64, "tls.verify.ip_address_mismatch"),
        (0, "tls.verify.unspecified"),
    ],
)
def test_the_verdict_of_the_standard_library(code: int, kind: str) -> None:
    """Its number is OpenSSL's, and so is the name."""
    error = ssl.SSLCertVerificationError("certificate verify failed")
    error.verify_code, error.verify_message = code, "words"
    failure = errors.from_stdlib_ssl_error(error, Phase.TLS)
    assert (failure.kind, failure.phase, failure.detail) == (kind, Phase.TLS, "words")
