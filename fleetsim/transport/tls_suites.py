"""What client and server contexts have in common: suites, versions, curves, modes."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from cryptography import x509
from OpenSSL import SSL, crypto

from fleetsim.exceptions import Problem
from fleetsim.transport import openssl_names as openssl

VERSIONS: Final[Mapping[str, int]] = MappingProxyType(
    {
        "TLSv1": SSL.TLS1_VERSION,
        "TLSv1.1": SSL.TLS1_1_VERSION,
        "TLSv1.2": SSL.TLS1_2_VERSION,
        "TLSv1.3": SSL.TLS1_3_VERSION,
    }
)
"""Protocol versions by OpenSSL's name, oldest first."""

# Nobody to authenticate, or nothing encrypted: never offered, whatever the level.
_NEVER = "!aNULL:!eNULL"


def split_suites(suites: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Split a list into suites of TLS 1.2 and of TLS 1.3, in order.

    OpenSSL keeps two lists and always offers those of TLS 1.3 first.
    """
    ordered = tuple(suites)
    return (
        tuple(suite for suite in ordered if not suite.startswith("TLS_")),
        tuple(suite for suite in ordered if suite.startswith("TLS_")),
    )


def known_suites(
    tls12: tuple[str, ...], tls13: tuple[str, ...], level: int
) -> frozenset[str]:
    """Which of these exact names OpenSSL would really offer.

    Words of the cipher-string language (``HIGH``, ``ALL:!RSA``) are no suites: they may
    select some, but are not among the names that come back.
    """
    context = SSL.Context(SSL.TLS_METHOD)
    try:
        set_suites(context, tls12, tls13, level)
    except SSL.Error:
        # Not one of the TLS 1.2 names is known; ask for those of TLS 1.3 alone.
        return known_suites((), tls13, level) if tls12 else frozenset()
    return frozenset(SSL.Connection(context, None).get_cipher_list())


def set_suites(
    context: SSL.Context, tls12: tuple[str, ...], tls13: tuple[str, ...], level: int
) -> None:
    """Offer these suites, in order, at this OpenSSL security level.

    Raises:
        OpenSSL.SSL.Error: None of them is known.
    """
    # The level lives in this list, so it must be set for TLS 1.3 alone as well.
    words = ":".join((*(tls12 or ("DEFAULT",)), _NEVER, f"@SECLEVEL={level}"))
    context.set_cipher_list(words.encode())
    context.set_tls13_ciphersuites(":".join(tls13).encode())


def version_problems(where: str, lowest: str, highest: str) -> tuple[Problem, ...]:
    """Tell what is wrong with a version range; () = nothing."""
    names = tuple(VERSIONS)
    problems = tuple(
        Problem(where, f"unknown TLS version {name!r}; known are {', '.join(names)}")
        for name in (lowest, highest)
        if name not in VERSIONS
    )
    if not problems and names.index(lowest) > names.index(highest):
        return (Problem(where, f"TLS version {lowest} is above {highest}"),)
    return problems


def set_curves(context: SSL.Context, curves: str) -> tuple[Problem, ...]:
    """Set the groups for key exchange; empty = OpenSSL's default."""
    if not curves or openssl.set_curves(context, curves):
        return ()
    return (Problem("curves", f"OpenSSL does not know all of {curves!r}"),)


def set_modes(context: SSL.Context) -> None:
    """Small memory, whole writes, chains exactly as configured."""
    # pyOpenSSL switches partial writes on; a memory BIO always takes all of it.
    context.clear_mode(openssl.SSL_MODE_ENABLE_PARTIAL_WRITE)
    context.set_mode(openssl.SSL_MODE_RELEASE_BUFFERS | openssl.SSL_MODE_NO_AUTO_CHAIN)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)


def trust(context: SSL.Context, certificates: Iterable[x509.Certificate]) -> None:
    """Add trust anchors."""
    store = store_of(context)
    for certificate in certificates:
        store.add_cert(crypto.X509.from_cryptography(certificate))


def store_of(context: SSL.Context) -> crypto.X509Store:
    """Store of trust anchors and CRLs of a context."""
    store = context.get_cert_store()
    if store is None:
        message = "an OpenSSL context without a certificate store"
        raise RuntimeError(message)
    return store
