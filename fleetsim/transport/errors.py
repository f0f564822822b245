"""Errors: the one place where exceptions of the network become failures.

Everything the operating system, the resolver, OpenSSL or a deadline can say about a
connection is turned into a member of the taxonomy here (see
:mod:`fleetsim.core.failure`), always from numbers (errno, ``EAI_``, reason codes of
libssl, alert numbers). Texts only become the detail, except where asyncio and pyOpenSSL
leave nothing but a text; it is turned back into its number first.

What the same system error is called depends on the phase it hit: a reset is
``tcp.reset`` while connecting, ``tls.reset`` during the handshake and ``http.reset``
once a request is under way.
"""

import errno
import re
import socket
import ssl
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final, assert_never

from OpenSSL import SSL

from fleetsim.core.failure import Failure, Kind, Phase, alert, verify
from fleetsim.exceptions import InputError
from fleetsim.transport import tls_names
from fleetsim.transport.openssl_names import (
    ERR_LIB_SSL,
    SSL_AD_REASON_OFFSET,
    OpensslError,
    drain_errors,
    reason_text,
    verify_result,
    verify_text,
)

_DETAIL_LENGTH = 200

_BROKEN: Final = frozenset(
    {
        errno.ECONNRESET,
        errno.ECONNABORTED,
        errno.EPIPE,
        errno.ENETRESET,
        errno.ENOTCONN,
        errno.ESHUTDOWN,
        errno.EBADF,
        errno.EIO,
        errno.EPROTO,
    }
)
_UNREACHABLE: Final = frozenset(
    {
        errno.ENETUNREACH,
        errno.EHOSTUNREACH,
        errno.ENETDOWN,
        errno.EHOSTDOWN,
        errno.ENONET,
        errno.EACCES,  # broadcast address, or a local firewall
        errno.EPERM,  # local firewall
        errno.EAFNOSUPPORT,
        errno.EPFNOSUPPORT,
        errno.EPROTONOSUPPORT,
        errno.EINVAL,  # an address no packet can be sent to, such as 0.0.0.1
        errno.ENOPROTOOPT,
    }
)
_LOCAL_PORTS: Final = frozenset({errno.EADDRNOTAVAIL, errno.EADDRINUSE})
_LOCAL_FILES: Final = frozenset(
    {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
)
_NOT_FOUND: Final = frozenset(
    number
    for name in ("EAI_NONAME", "EAI_NODATA", "EAI_ADDRFAMILY")
    if (number := getattr(socket, name, None)) is not None
)
_ALERT_REASON = re.compile(r"\A(?:SSLV3|TLSV1|TLSV13)_(?:ALERT_)?")
_ALERT_NAMES: Final = frozenset(tls_names.ALERTS.values())
_OPENSSL_SPELLING: Final[Mapping[str, str]] = MappingProxyType(
    {"user_cancelled": "user_canceled", "no_certificate_reserved": "no_certificate"}
)
_ERRNO_IN_TEXT = re.compile(r"\[Errno (\d+)\]")


def from_os_error(exc: OSError, phase: Phase) -> Failure:
    """Translate an error of the operating system.

    Args:
        exc: Any ``OSError``; one that asyncio made of several addresses counts as the
            error of the last address.
        phase: Phase that was under way.
    """
    if phase is Phase.DNS or isinstance(exc, socket.gaierror):
        return from_dns_error(exc)
    detail = _detail(exc)
    number = _errno(exc)
    if number == errno.ECONNREFUSED or isinstance(exc, ConnectionRefusedError):
        return Failure(Kind.TCP_REFUSED, phase, detail)
    if number == errno.ETIMEDOUT or isinstance(exc, TimeoutError):
        return from_timeout(phase, detail)
    if number in _LOCAL_PORTS:
        return Failure(Kind.TCP_LOCAL_PORTS, phase, detail)
    if number in _LOCAL_FILES:
        return Failure(Kind.TCP_LOCAL_FILES, phase, detail)
    if phase is Phase.TCP and number in _UNREACHABLE:
        return Failure(Kind.TCP_UNREACHABLE, phase, detail)
    if isinstance(exc, ConnectionError) or number in _BROKEN | _UNREACHABLE:
        return _reset(phase, detail)
    return Failure(Kind.UNCLASSIFIED, phase, detail)


def from_dns_error(exc: OSError) -> Failure:
    """Translate an error of name resolution (RFC 3493 6.1 ``EAI_`` codes)."""
    detail = _detail(exc)
    if isinstance(exc, TimeoutError):
        return Failure(Kind.DNS_TIMEOUT, Phase.DNS, detail)
    if isinstance(exc, socket.gaierror):
        found = exc.errno in _NOT_FOUND
        return Failure(
            Kind.DNS_NOT_FOUND if found else Kind.DNS_FAILED, Phase.DNS, detail
        )
    if _errno(exc) in _LOCAL_FILES:
        return Failure(Kind.TCP_LOCAL_FILES, Phase.DNS, detail)
    return Failure(Kind.DNS_FAILED, Phase.DNS, detail)


def from_timeout(phase: Phase, detail: str = "") -> Failure:
    """Failure for a deadline that passed in ``phase``."""
    text = detail or f"deadline of phase {phase.value} passed"
    match phase:
        case Phase.DNS:
            return Failure(Kind.DNS_TIMEOUT, phase, text)
        case Phase.TCP:
            return Failure(Kind.TCP_TIMEOUT, phase, text)
        case Phase.TLS:
            return Failure(Kind.TLS_TIMEOUT, phase, text)
        case Phase.SEND | Phase.WAIT:
            return Failure(Kind.HTTP_TIMEOUT, phase, text)
        case Phase.RUN:
            return Failure(Kind.RUN_STOPPED, phase, text)
        case Phase.DEVICE:
            return Failure(Kind.UNCLASSIFIED, phase, text)
        case _:
            assert_never(phase)


def from_connection_lost(exc: BaseException | None, phase: Phase) -> Failure:
    """Failure for a transport that went away in the middle of ``phase``.

    Args:
        exc: What asyncio passed to ``connection_lost``; ``None`` = the peer closed.
        phase: Phase that was under way.
    """
    if exc is None:
        return _reset(phase, "connection closed by the peer")
    if isinstance(exc, OSError):
        return from_os_error(exc, phase)
    return Failure(Kind.UNCLASSIFIED, phase, _detail(exc))


def from_ssl_error(exc: SSL.Error, connection: SSL.Connection) -> Failure:
    """Translate an exception of pyOpenSSL's own methods.

    :class:`~fleetsim.transport.tls_pump.TlsPump` never raises one; this is for code
    that drives a ``SSL.Connection`` directly.

    Args:
        exc: What was raised; ``WantReadError`` and its kin are no errors.
        connection: Connection it was raised on, asked for its verdict on the peer.
    """
    if isinstance(exc, SSL.ZeroReturnError):
        return alert("close_notify", "close_notify before the end")
    if isinstance(exc, SSL.SysCallError):
        return _reset(Phase.TLS, _detail(exc))
    entries = exc.args[0] if exc.args and isinstance(exc.args[0], list) else []
    reasons = {reason_text(number): number for number in _REASONS}
    errors = tuple(
        OpensslError(ERR_LIB_SSL, reasons.get(text, 0), text) for *_, text in entries
    )
    return from_openssl_errors(errors, verify_result(connection))


def from_stdlib_ssl_error(exc: ssl.SSLError, phase: Phase) -> Failure:
    """Translate an error of the standard library's ``ssl``.

    Args:
        exc: What was raised. Its ``reason`` is the name of an ``SSL_R_`` constant
            (``TLSV1_ALERT_UNKNOWN_CA``), which is all the library tells.
        phase: Phase that was under way.
    """
    if isinstance(exc, ssl.SSLCertVerificationError):
        return verify(
            tls_names.verify_name_of(exc.verify_code or 1), exc.verify_message or ""
        )
    reason = exc.reason or ""
    detail = _detail(exc)
    name = _ALERT_REASON.sub("", reason).lower()
    name = _OPENSSL_SPELLING.get(name, name)
    if name != reason.lower() and name in _ALERT_NAMES:
        return alert(name, detail)
    if isinstance(exc, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return _reset(phase, detail)
    match reason:
        case "UNEXPECTED_EOF_WHILE_READING":
            return _reset(phase, detail)
        case "NO_CIPHERS_AVAILABLE" | "NO_SHARED_CIPHER" | "NO_CIPHER_MATCH":
            return Failure(Kind.TLS_NO_SHARED_CIPHER, Phase.TLS, detail)
        case "EE_KEY_TOO_SMALL" | "CA_MD_TOO_WEAK" | "KEY_VALUES_MISMATCH":
            return Failure(Kind.TLS_OWN_CERTIFICATE, Phase.TLS, detail)
        case _:
            return Failure(Kind.TLS_PROTOCOL, Phase.TLS, detail)


def from_openssl_errors(errors: Sequence[OpensslError], verify_code: int) -> Failure:
    """Decide what a dead handshake or record layer died of.

    Args:
        errors: Content of OpenSSL's error queue, oldest first.
        verify_code: ``X509_V_…`` verdict on the peer's chain.

    Returns:
        The peer's alert if there was one, else our verdict on its certificate if that
        was the end, else a shortage of cipher suites, our own certificate, or
        ``tls.protocol`` for everything that was not proper TLS.
    """
    reasons = [error for error in errors if error.library == ERR_LIB_SSL]
    for error in reasons:
        number = error.reason - SSL_AD_REASON_OFFSET
        if 0 <= number <= 255:
            return alert(tls_names.alert_name_of(number), error.text)
    text = "; ".join(error.text for error in errors)[:_DETAIL_LENGTH]
    for error in reasons:
        if error.reason == tls_names.CERTIFICATE_VERIFY_FAILED:
            return verify(
                tls_names.verify_name_of(verify_code or 1), verify_text(verify_code)
            )
        if error.reason == tls_names.PEER_DID_NOT_RETURN_A_CERTIFICATE:
            # A server's verdict that no X509_V_ERR_ name exists for.
            return verify("no_peer_certificate", text)
        if error.reason in tls_names.NO_SHARED_CIPHER:
            return Failure(Kind.TLS_NO_SHARED_CIPHER, Phase.TLS, text)
        if error.reason in tls_names.OWN_CERTIFICATE:
            return Failure(Kind.TLS_OWN_CERTIFICATE, Phase.TLS, text)
        if error.reason == tls_names.UNEXPECTED_EOF_WHILE_READING:
            return Failure(Kind.TLS_RESET, Phase.TLS, text)
    return Failure(Kind.TLS_PROTOCOL, Phase.TLS, text or "OpenSSL gave no reason")


def from_error_queue(verify_code: int) -> Failure:
    """Empty the thread's OpenSSL error queue and decide what it means."""
    return from_openssl_errors(drain_errors(), verify_code)


def from_own_certificate(exc: InputError) -> Failure:
    """Failure of a device whose own certificate or key cannot be used for TLS."""
    return Failure(Kind.TLS_OWN_CERTIFICATE, Phase.TLS, str(exc)[:_DETAIL_LENGTH])


def alert_name(failure: Failure) -> str:
    """IANA name of the alert the peer sent, empty when the failure is another one."""
    prefix = "tls.alert."
    return failure.kind.removeprefix(prefix) if failure.kind.startswith(prefix) else ""


_REASONS = frozenset(
    {
        tls_names.CERTIFICATE_VERIFY_FAILED,
        tls_names.PEER_DID_NOT_RETURN_A_CERTIFICATE,
        tls_names.UNEXPECTED_EOF_WHILE_READING,
        *tls_names.NO_SHARED_CIPHER,
        *tls_names.OWN_CERTIFICATE,
        *(SSL_AD_REASON_OFFSET + number for number in tls_names.ALERTS if number),
    }
)


def _reset(phase: Phase, detail: str) -> Failure:
    match phase:
        case Phase.DNS:
            return Failure(Kind.DNS_FAILED, phase, detail)
        case Phase.TCP:
            return Failure(Kind.TCP_RESET, phase, detail)
        case Phase.TLS:
            return Failure(Kind.TLS_RESET, phase, detail)
        case Phase.SEND | Phase.WAIT | Phase.DEVICE | Phase.RUN:
            return Failure(Kind.HTTP_RESET, phase, detail)
        case _:
            assert_never(phase)


def _errno(exc: OSError) -> int | None:
    if exc.errno is not None:
        return exc.errno
    # asyncio folds the errors of several addresses into one OSError without errno.
    found = _ERRNO_IN_TEXT.findall(str(exc))
    return int(found[-1]) if found else None


def _detail(exc: BaseException) -> str:
    return (str(exc) or type(exc).__name__)[:_DETAIL_LENGTH]
