"""TLS of a server: certificates by key type and SNI, client certificates, CRLs.

A context never changes once connections were made of it. To swap a certificate, a
cipher list or a CRL, make a new :class:`ServerContext` and take new connections from
it; those of the old one live on.

Decisions:

* Chains are sent as configured. OpenSSL would complete them from its trust store, which
  would hide a missing intermediate.
* Client chains must end in a self-signed certificate of ``client_cas``, and with
  ``check_crl`` need a current list of every CA in them: what nginx (``ssl_crl``) and
  HAProxy (``crl-file``) do.
* A client whose SNI fits no certificate gets the default one, as from nginx.
"""

import ipaddress
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL

from fleetsim.exceptions import InputError, Problem
from fleetsim.transport import openssl_names as openssl
from fleetsim.transport.dh_parameters import DH_PARAMETERS
from fleetsim.transport.tls_suites import (
    VERSIONS,
    set_curves,
    set_modes,
    store_of,
    trust,
    version_problems,
)

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerCertificate:
    """A certificate a server presents.

    Attributes:
        chain: Leaf first, then what is sent along with it.
        key: Private key of the leaf.
        server_names: SNI names it is for, ``*.`` for one label; () = the default.
    """

    chain: tuple[x509.Certificate, ...]
    key: PrivateKey
    server_names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerTls:
    """How a server speaks TLS.

    Attributes:
        certificates: At least one. Several of different key types for one name are
            chosen from by cipher suite.
        min_version: ``TLSv1`` to ``TLSv1.3``; below 1.2 needs ``@SECLEVEL=0``.
        max_version: Likewise, not below ``min_version``.
        cipher_list: TLS 1.2 suites in OpenSSL's syntax, ``@SECLEVEL=n`` included.
        tls13_suites: TLS 1.3 suites joined by ``:``; empty = OpenSSL's own.
        prefer_server_ciphers: Choose by the server's order, not the client's.
        dh_bits: Finite-field DHE prime: 1024, 2048, 3072, 4096; 0 = no such suites.
        curves: Groups for key exchange joined by ``:``; empty = OpenSSL's default.
        client_cas: Roots of client certificates; empty = none is asked for.
        require_client_certificate: Refuse clients that present none.
        crls: Lists of revoked client certificates.
        check_crl: Check them: a list for every CA of the client's chain is needed.
        session_tickets: Let clients resume by ticket (RFC 5077, RFC 8446 4.6.1).
    """

    certificates: tuple[ServerCertificate, ...]
    min_version: str = "TLSv1.2"
    max_version: str = "TLSv1.3"
    cipher_list: str = "DEFAULT"
    tls13_suites: str = (
        "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
    )
    prefer_server_ciphers: bool = False
    dh_bits: int = 2048
    curves: str = ""
    client_cas: tuple[x509.Certificate, ...] = ()
    require_client_certificate: bool = False
    crls: tuple[x509.CertificateRevocationList, ...] = ()
    check_crl: bool = False
    session_tickets: bool = False


class ServerContext:
    """Makes the server side of connections.

    Args:
        settings: What to present, offer and ask for.

    Raises:
        InputError: The settings cannot be used; every problem found.
    """

    def __init__(self, settings: ServerTls) -> None:
        problems = list(_problems(settings))
        if problems:
            raise InputError(problems)
        named = sorted(
            {name for one in settings.certificates for name in one.server_names}
        )
        default = [one for one in settings.certificates if not one.server_names]
        self._default = _server_context(
            settings, default or _companions(settings, settings.certificates[0])
        )
        self._by_name: Mapping[str, SSL.Context] = MappingProxyType(
            {
                name.lower(): _server_context(
                    settings,
                    [one for one in settings.certificates if name in one.server_names],
                )
                for name in named
            }
        )
        if self._by_name:
            self._default.set_tlsext_servername_callback(self._choose)

    def connection(self, verify_unix_s: int | None = None) -> SSL.Connection:
        """Make the server side of one connection, on memory BIOs.

        Args:
            verify_unix_s: Time at which the client's certificate and the revocation
                lists must be valid, seconds since 1970; ``None`` = the machine's.
                OpenSSL verifies nothing anew when a session is resumed.
        """
        connection = SSL.Connection(self._default, None)
        connection.set_accept_state()
        if verify_unix_s is not None:
            openssl.set_verify_time(connection, verify_unix_s)
        return connection

    def _choose(self, connection: SSL.Connection) -> None:
        name = (connection.get_servername() or b"").decode("ascii", "replace").lower()
        context = self._by_name.get(name)
        if context is None:
            context = self._by_name.get(f"*.{name.partition('.')[2]}")
        if context is not None:
            connection.set_context(context)


def _companions(
    settings: ServerTls, first: ServerCertificate
) -> list[ServerCertificate]:
    """Certificates for the same names as the first: its other key types."""
    return [
        one for one in settings.certificates if one.server_names == first.server_names
    ]


def _problems(settings: ServerTls) -> Iterable[Problem]:
    """What is wrong with values that OpenSSL itself would not explain."""
    yield from version_problems("TLS", settings.min_version, settings.max_version)
    if not settings.certificates:
        yield Problem("certificates", "a TLS server needs at least one certificate")
    for position, one in enumerate(settings.certificates, 1):
        where = f"certificate {position}"
        if not one.chain:
            yield Problem(where, "the chain is empty")
        elif one.chain[0].public_key() != one.key.public_key():
            subject = one.chain[0].subject.rfc4514_string()
            yield Problem(where, f"the private key does not belong to {subject}")
        yield from (
            Problem(where, f"{name!r} is an address; SNI carries host names only")
            for name in one.server_names
            if _is_address(name)
        )
    if settings.dh_bits and settings.dh_bits not in DH_PARAMETERS:
        known = ", ".join(map(str, DH_PARAMETERS))
        yield Problem("dh_bits", f"{settings.dh_bits} is none of 0, {known}")
    if settings.require_client_certificate and not settings.client_cas:
        yield Problem("client_cas", "requiring a client certificate needs a CA for it")
    if settings.check_crl and not settings.client_cas:
        yield Problem("check_crl", "there is no client CA whose CRL could be checked")
    scratch = SSL.Context(SSL.TLS_SERVER_METHOD)
    try:
        scratch.set_cipher_list(settings.cipher_list.encode())
    except SSL.Error:
        openssl.err_clear_error()
        yield Problem(
            "cipher_list", f"OpenSSL finds no cipher suite in {settings.cipher_list!r}"
        )
    try:
        scratch.set_tls13_ciphersuites(settings.tls13_suites.encode())
    except SSL.Error:
        openssl.err_clear_error()
        yield Problem(
            "tls13_suites",
            f"OpenSSL finds no TLS 1.3 suite in {settings.tls13_suites!r}",
        )
    yield from set_curves(scratch, settings.curves)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _server_context(
    settings: ServerTls, certificates: Iterable[ServerCertificate]
) -> SSL.Context:
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(VERSIONS[settings.min_version])
    context.set_max_proto_version(VERSIONS[settings.max_version])
    # First of all: the security level in the list decides what the rest may be.
    context.set_cipher_list(settings.cipher_list.encode())
    if settings.tls13_suites:
        context.set_tls13_ciphersuites(settings.tls13_suites.encode())
    set_modes(context)
    set_curves(context, settings.curves)
    options = SSL.OP_NO_RENEGOTIATION | SSL.OP_NO_COMPRESSION
    if settings.prefer_server_ciphers:
        options |= SSL.OP_CIPHER_SERVER_PREFERENCE
    if not settings.session_tickets:
        options |= SSL.OP_NO_TICKET
    context.set_options(options)
    # Without it OpenSSL refuses to resume a session with a client certificate.
    context.set_session_id(b"fleetsim")
    problems: list[Problem] = []
    if settings.dh_bits and not openssl.set_dh_parameters(
        context, DH_PARAMETERS[settings.dh_bits]
    ):
        problems.append(
            Problem(
                "dh_bits",
                f"{settings.dh_bits} is too small for the security level in "
                f"{settings.cipher_list!r}",
            )
        )
    problems += _load_certificates(context, certificates)
    if problems:
        raise InputError(problems)
    _ask_for_clients(context, settings)
    return context


def _load_certificates(
    context: SSL.Context, certificates: Iterable[ServerCertificate]
) -> Iterable[Problem]:
    for one in certificates:
        # Only a chain file gives each key type a chain of its own; certificates are
        # public, the key never touches the disk.
        with tempfile.NamedTemporaryFile(suffix=".pem") as file:
            file.writelines(item.public_bytes(Encoding.PEM) for item in one.chain)
            file.flush()
            try:
                context.use_certificate_chain_file(file.name)
                context.use_privatekey(one.key)
            except SSL.Error as exc:
                openssl.err_clear_error()
                reasons = "; ".join(text for *_, text in exc.args[0])
                subject = one.chain[0].subject.rfc4514_string()
                yield Problem(f"certificate {subject}", reasons)


def _ask_for_clients(context: SSL.Context, settings: ServerTls) -> None:
    if not settings.client_cas:
        return
    mode = SSL.VERIFY_PEER
    if settings.require_client_certificate:
        mode |= SSL.VERIFY_FAIL_IF_NO_PEER_CERT
    context.set_verify(mode)
    trust(context, settings.client_cas)
    for authority in settings.client_cas:
        context.add_client_ca(authority)
    if settings.check_crl:
        openssl.set_verify_flags(
            context, openssl.X509_V_FLAG_CRL_CHECK | openssl.X509_V_FLAG_CRL_CHECK_ALL
        )
    for revoked in settings.crls:
        store_of(context).add_crl(revoked)
