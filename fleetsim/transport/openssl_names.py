"""OpenSSL names that pyOpenSSL does not document: all of them, and nowhere else.

pyOpenSSL's public API costs an exception per "no data yet" and cannot set the time, the
host name or the address a chain is verified for. The C functions for that are all in
the ``cryptography`` wheel (its ``_openssl`` binding), so this file takes them from
there. :func:`missing_names` says which are gone when a new release drops one; a test
fails on it before any handshake does.

The functions are plain C calls: they act on the calling thread's error queue and never
raise. Constants that the binding leaves out are OpenSSL's published ABI values.
"""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from OpenSSL import SSL, crypto
from OpenSSL._util import (
    ffi as _ffi,
)
from OpenSSL._util import (
    lib as _lib,
)
from OpenSSL._util import (
    no_zero_allocator as _no_zero_allocator,
)

# ssl.h, x509_vfy.h: stable over every OpenSSL since 1.1.0, absent from the binding.
SSL_MODE_NO_AUTO_CHAIN: Final = 0x8
X509_V_FLAG_TRUSTED_FIRST: Final = 0x8000
ERR_LIB_SSL: Final = 20
SSL_AD_REASON_OFFSET: Final = 1000

FUNCTIONS: Final = (
    "BIO_free",
    "BIO_get_mem_data",
    "BIO_new",
    "BIO_new_mem_buf",
    "BIO_read",
    "BIO_s_mem",
    "BIO_write",
    "DH_free",
    "ERR_GET_REASON",
    "ERR_clear_error",
    "ERR_get_error",
    "ERR_lib_error_string",
    "ERR_reason_error_string",
    "PEM_read_bio_DHparams",
    "SSL_CTX_get0_param",
    "SSL_CTX_set1_curves_list",
    "SSL_CTX_set_tmp_dh",
    "SSL_do_handshake",
    "SSL_get0_param",
    "SSL_get_error",
    "SSL_get_verify_result",
    "SSL_pending",
    "SSL_read",
    "SSL_session_reused",
    "SSL_set_bio",
    "SSL_shutdown",
    "SSL_use_PrivateKey",
    "SSL_use_certificate",
    "SSL_write",
    "X509_VERIFY_PARAM_set1_host",
    "X509_VERIFY_PARAM_set1_ip",
    "X509_VERIFY_PARAM_set_flags",
    "X509_VERIFY_PARAM_set_hostflags",
    "X509_VERIFY_PARAM_set_time",
    "X509_verify_cert_error_string",
)
CONSTANTS: Final = (
    "SSL_ERROR_SSL",
    "SSL_ERROR_SYSCALL",
    "SSL_ERROR_WANT_READ",
    "SSL_ERROR_WANT_WRITE",
    "SSL_ERROR_ZERO_RETURN",
    "SSL_MODE_ENABLE_PARTIAL_WRITE",
    "SSL_MODE_RELEASE_BUFFERS",
    "X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS",
    "X509_V_FLAG_CRL_CHECK",
    "X509_V_FLAG_CRL_CHECK_ALL",
    "X509_V_FLAG_PARTIAL_CHAIN",
)


def missing_names() -> tuple[str, ...]:
    """Names this package needs and the installed binding does not have; () = fine."""
    return tuple(name for name in FUNCTIONS + CONSTANTS if not hasattr(_lib, name))


# Bound once: an attribute of the binding costs a dictionary look-up and a wrapper.
NULL: Final[Any] = _ffi.NULL
new_buffer: Final[Callable[[str, int], Any]] = _no_zero_allocator
from_buffer: Final[Callable[[Any], Any]] = _ffi.from_buffer
view_of: Final[Callable[[Any, int], Any]] = _ffi.buffer
bio_read: Final[Callable[[Any, Any, int], int]] = _lib.BIO_read
bio_write: Final[Callable[[Any, Any, int], int]] = _lib.BIO_write
bio_get_mem_data: Final[Callable[[Any, Any], int]] = _lib.BIO_get_mem_data
ssl_do_handshake: Final[Callable[[Any], int]] = _lib.SSL_do_handshake
ssl_read: Final[Callable[[Any, Any, int], int]] = _lib.SSL_read
ssl_write: Final[Callable[[Any, Any, int], int]] = _lib.SSL_write
ssl_shutdown: Final[Callable[[Any], int]] = _lib.SSL_shutdown
ssl_get_error: Final[Callable[[Any, int], int]] = _lib.SSL_get_error
err_clear_error: Final[Callable[[], None]] = _lib.ERR_clear_error

SSL_ERROR_WANT_READ: Final[int] = _lib.SSL_ERROR_WANT_READ
SSL_ERROR_WANT_WRITE: Final[int] = _lib.SSL_ERROR_WANT_WRITE
SSL_ERROR_ZERO_RETURN: Final[int] = _lib.SSL_ERROR_ZERO_RETURN
SSL_MODE_ENABLE_PARTIAL_WRITE: Final[int] = _lib.SSL_MODE_ENABLE_PARTIAL_WRITE
SSL_MODE_RELEASE_BUFFERS: Final[int] = _lib.SSL_MODE_RELEASE_BUFFERS
X509_V_FLAG_PARTIAL_CHAIN: Final[int] = _lib.X509_V_FLAG_PARTIAL_CHAIN
X509_V_FLAG_CRL_CHECK: Final[int] = _lib.X509_V_FLAG_CRL_CHECK
X509_V_FLAG_CRL_CHECK_ALL: Final[int] = _lib.X509_V_FLAG_CRL_CHECK_ALL


class OpensslError(NamedTuple):
    """One entry of OpenSSL's error queue.

    Attributes:
        library: ``ERR_LIB_…`` number; 20 is libssl.
        reason: Reason number within the library; in libssl 1000 + n is alert n of the
            peer.
        text: What OpenSSL says about it, for people.
    """

    library: int
    reason: int
    text: str


def drain_errors() -> tuple[OpensslError, ...]:
    """Take every entry out of the calling thread's error queue, oldest first."""
    found = []
    while code := _lib.ERR_get_error():
        reason = _text(_lib.ERR_reason_error_string(code))
        library = _text(_lib.ERR_lib_error_string(code))
        found.append(
            OpensslError(
                (code >> 23) & 0xFF,
                _lib.ERR_GET_REASON(code),
                reason or f"{library or 'OpenSSL'} error {code:#x}",
            )
        )
    return tuple(found)


def reason_text(reason: int) -> str:
    """OpenSSL's words for a reason number of libssl, empty when it has none."""
    return _text(_lib.ERR_reason_error_string(ERR_LIB_SSL << 23 | reason))


def verify_text(code: int) -> str:
    """OpenSSL's words for an ``X509_V_ERR_`` code."""
    return _text(_lib.X509_verify_cert_error_string(code))


def handles(connection: SSL.Connection) -> tuple[Any, Any, Any]:
    """C objects of a memory-BIO connection: SSL, BIO towards it, BIO from it."""
    # The whole point of this file: pyOpenSSL keeps them private.
    return connection._ssl, connection._into_ssl, connection._from_ssl  # noqa: SLF001


def verify_result(connection: SSL.Connection) -> int:
    """``X509_V_…`` code of the verification of the peer's chain; 0 = ok or none yet."""
    code: int = _lib.SSL_get_verify_result(connection._ssl)  # noqa: SLF001 - see handles
    return code


def is_resumed(connection: SSL.Connection) -> bool:
    """Whether the handshake resumed an earlier session."""
    return bool(_lib.SSL_session_reused(connection._ssl))  # noqa: SLF001 - see handles


def set_verify_time(connection: SSL.Connection, unix_s: int) -> None:
    """Verify the peer's chain as if the clock stood at ``unix_s``."""
    param = _lib.SSL_get0_param(connection._ssl)  # noqa: SLF001 - see handles
    _lib.X509_VERIFY_PARAM_set_time(param, unix_s)


def set_verify_host(connection: SSL.Connection, name: bytes) -> bool:
    """Require the peer's certificate to name this host (RFC 9525); False = refused."""
    param = _lib.SSL_get0_param(connection._ssl)  # noqa: SLF001 - see handles
    _lib.X509_VERIFY_PARAM_set_hostflags(
        param, _lib.X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS
    )
    return bool(_lib.X509_VERIFY_PARAM_set1_host(param, name, len(name)))


def set_verify_address(connection: SSL.Connection, packed: bytes) -> bool:
    """Require an iPAddress SAN of 4 or 16 octets; False = refused."""
    param = _lib.SSL_get0_param(connection._ssl)  # noqa: SLF001 - see handles
    return bool(_lib.X509_VERIFY_PARAM_set1_ip(param, packed, len(packed)))


def set_verify_flags(context: SSL.Context, flags: int) -> None:
    """Add ``X509_V_FLAG_…`` bits to every connection made of the context later."""
    param = _lib.SSL_CTX_get0_param(context._context)  # noqa: SLF001 - see handles
    _lib.X509_VERIFY_PARAM_set_flags(param, flags)


def set_curves(context: SSL.Context, curves: str) -> bool:
    """Set the groups for key exchange, ``P-256:X25519``; False = unknown name."""
    done = _lib.SSL_CTX_set1_curves_list(context._context, curves.encode())  # noqa: SLF001 - see handles
    err_clear_error()
    return bool(done)


def set_dh_parameters(context: SSL.Context, pem: bytes) -> bool:
    """Set the parameters for finite-field DHE on a server; False = refused."""
    bio = _ffi.gc(_lib.BIO_new_mem_buf(pem, len(pem)), _lib.BIO_free)
    parameters = _lib.PEM_read_bio_DHparams(bio, NULL, NULL, NULL)
    if parameters == NULL:
        err_clear_error()
        return False
    parameters = _ffi.gc(parameters, _lib.DH_free)
    done = _lib.SSL_CTX_set_tmp_dh(context._context, parameters)  # noqa: SLF001 - see handles
    err_clear_error()
    return bool(done)


def replace_input_bio(connection: SSL.Connection) -> Any:
    """Give the connection a fresh, empty BIO for input and return it.

    A memory BIO never gives memory back. Only call it while the old one is empty.
    """
    bio = _lib.BIO_new(_lib.BIO_s_mem())
    _lib.SSL_set_bio(connection._ssl, bio, connection._from_ssl)  # noqa: SLF001 - see handles
    connection._into_ssl = bio  # noqa: SLF001 - see handles
    return bio


def replace_output_bio(connection: SSL.Connection) -> Any:
    """Give the connection a fresh, empty BIO for output and return it.

    A memory BIO never gives memory back. Only call it while the old one is empty.
    """
    bio = _lib.BIO_new(_lib.BIO_s_mem())
    _lib.SSL_set_bio(connection._ssl, connection._into_ssl, bio)  # noqa: SLF001 - see handles
    connection._from_ssl = bio  # noqa: SLF001 - see handles
    return bio


def use_certificate(
    connection: SSL.Connection, certificate: crypto.X509, key: crypto.PKey
) -> bool:
    """Present this certificate; False = refused, the reason is in the error queue.

    pyOpenSSL's own methods convert both anew for every connection.
    """
    ssl = connection._ssl  # noqa: SLF001 - see handles
    return bool(
        _lib.SSL_use_certificate(ssl, certificate._x509)  # noqa: SLF001 - see handles
        and _lib.SSL_use_PrivateKey(ssl, key._pkey)  # noqa: SLF001 - see handles
    )


def _text(characters: Any) -> str:
    return _ffi.string(characters).decode() if characters else ""
