"""TLS contexts of a fleet: what devices offer, whom they trust, what they present.

A context of OpenSSL is large and slow to make, a connection is small; so devices share
contexts per (trust bundle, cipher group, TLS rules, client chain) and everything that
differs from device to device is set on the connection: the clock at which the chain is
verified, the host name or address it must name, the client certificate, the session.

The device's verdict is OpenSSL's own, with three rules of the reference devices (CSS
Electronics, CANedge documentation, "S3 security"): any certificate of the bundle that
stands in the server's chain is an anchor, be it root, intermediate or the self-signed
server certificate itself; expired certificates are not trusted, at the device's clock;
the anchor nearest to the leaf wins, so that an expired cross-sign sent along does no
harm (RFC 5280 6.1 leaves the choice of path to the verifier).

Decisions where nothing is documented:

* A name in the certificate is required inside the handshake, so that the server gets
  the alert. The Common Name counts only in a certificate without DNS names.
* Chains are sent as configured. OpenSSL would complete them from its trust store, which
  would hide a missing intermediate.
* A group made of suites of one TLS version narrows the version range to it.

The server side is :mod:`fleetsim.transport.tls_server`; its names can be had from here
as well.
"""

import ipaddress
from collections import OrderedDict
from functools import lru_cache

from cryptography import x509
from OpenSSL import SSL, crypto

from fleetsim.core.settings import CipherGroup, TlsRules
from fleetsim.core.trust_bundle import TrustBundle
from fleetsim.exceptions import InputError, Problem
from fleetsim.transport import openssl_names as openssl
from fleetsim.transport.base import ClientIdentity
from fleetsim.transport.key_usage import key_usage_failure
from fleetsim.transport.tls_server import (
    PrivateKey,
    ServerCertificate,
    ServerContext,
    ServerTls,
)
from fleetsim.transport.tls_suites import (
    VERSIONS,
    known_suites,
    set_curves,
    set_modes,
    set_suites,
    split_suites,
    trust,
    version_problems,
)

__all__ = [
    "ClientContexts",
    "ServerCertificate",
    "ServerContext",
    "ServerTls",
    "check_group",
]


def check_group(group: CipherGroup, rules: TlsRules) -> tuple[Problem, ...]:
    """Tell what keeps a cipher group from being offered as it stands; () = nothing."""
    where = f"cipher group {group.name!r}"
    problems = []
    tls12, tls13 = split_suites(group.suites)
    known = known_suites(tls12, tls13, rules.security_level)
    problems += [
        Problem(where, f"OpenSSL offers no authenticated cipher suite named {suite!r}")
        for suite in group.suites
        if suite not in known
    ]
    if not group.suites:
        problems.append(Problem(where, "needs at least one cipher suite"))
    problems += version_problems(where, rules.min_version, rules.max_version)
    if not problems:
        low, high = _version_range(tls12, tls13, rules)
        if low > high:
            problems.append(
                Problem(
                    where,
                    f"none of its suites belongs to {rules.min_version} to "
                    f"{rules.max_version}",
                )
            )
    return tuple(problems)


class ClientContexts:
    """The TLS contexts of a fleet, made on demand and shared.

    Args:
        contexts: Most contexts kept; the least recently used goes first.
        identities: Most client certificates kept in OpenSSL's own form (about 6 KiB
            each; making one costs about 30 µs).
    """

    def __init__(self, *, contexts: int = 256, identities: int = 16_384) -> None:
        self._contexts: OrderedDict[object, SSL.Context] = OrderedDict()
        self._most_contexts = contexts
        self._identities: OrderedDict[
            int, tuple[ClientIdentity, crypto.X509, crypto.PKey]
        ] = OrderedDict()
        self._most_identities = identities
        # Pooled keys are shared by many devices: one object each, and OpenSSL keeps
        # its precomputed blinding.
        self._keys: OrderedDict[int, tuple[PrivateKey, crypto.PKey]] = OrderedDict()

    def connection(
        self,
        *,
        group: CipherGroup,
        bundle: TrustBundle,
        rules: TlsRules,
        host: str,
        verify_unix_s: int,
        identity: ClientIdentity | None,
        session: SSL.Session | None,
    ) -> SSL.Connection:
        """Make the client side of one connection, on memory BIOs.

        Its application data is what the pump asks for a last verdict.

        Args:
            group: Cipher suites to offer.
            bundle: Trust anchors; an empty bundle trusts nobody.
            rules: Versions, level, curves, SNI and name checks.
            host: Host name or address literal of the endpoint (IPv6 bare, RFC 6066 3
                keeps literals out of SNI).
            verify_unix_s: Clock of the device, whole seconds.
            identity: Client certificate, presented when the server asks for one.
            session: Session to offer; ignored when it was made with another group,
                bundle or rules.

        Raises:
            InputError: The group cannot be offered, the host is no name, or the client
                certificate is refused (key too weak for the level, wrong key).
        """
        chain = identity.chain if identity is not None else ()
        context = self._context(bundle, group, rules, chain)
        connection = SSL.Connection(context, None)
        connection.set_connect_state()
        _expect_peer(connection, rules, host)
        openssl.set_verify_time(connection, verify_unix_s)
        if rules.check_key_usage:
            connection.set_app_data(key_usage_failure)
        if identity is not None:
            self._present(connection, identity)
        if session is not None:
            try:
                connection.set_session(session)
            except ValueError:
                # Of another context: a device that moved on to the next group or to a
                # new bundle starts afresh.
                return connection
        return connection

    def _context(
        self,
        bundle: TrustBundle,
        group: CipherGroup,
        rules: TlsRules,
        chain: tuple[x509.Certificate, ...],
    ) -> SSL.Context:
        key = (bundle.fingerprint, group, rules, chain)
        context = self._contexts.get(key)
        if context is None:
            context = _client_context(bundle, group, rules, chain)
            self._contexts[key] = context
            if len(self._contexts) > self._most_contexts:
                self._contexts.popitem(last=False)
        else:
            self._contexts.move_to_end(key)
        return context

    def _present(self, connection: SSL.Connection, identity: ClientIdentity) -> None:
        # By object: hashing the certificate would read it whole. The entry keeps the
        # identity alive, so that the number cannot be given to another one.
        known = self._identities.get(id(identity))
        if known is None:
            if identity.certificate.public_key() != identity.key.public_key():
                # OpenSSL takes a key of another type without a word, and then presents
                # no certificate at all.
                raise _refused(identity, "the private key does not belong to it")
            certificate = crypto.X509.from_cryptography(identity.certificate)
            known = (identity, certificate, self._key(identity.key))
            self._identities[id(identity)] = known
            if len(self._identities) > self._most_identities:
                self._identities.popitem(last=False)
        else:
            self._identities.move_to_end(id(identity))
        if not openssl.use_certificate(connection, known[1], known[2]):
            reason = "; ".join(error.text for error in openssl.drain_errors())
            raise _refused(identity, reason)

    def _key(self, key: PrivateKey) -> crypto.PKey:
        known = self._keys.get(id(key))
        if known is None:
            known = (key, crypto.PKey.from_cryptography_key(key))
            self._keys[id(key)] = known
            if len(self._keys) > self._most_identities:
                self._keys.popitem(last=False)
        else:
            self._keys.move_to_end(id(key))
        return known[1]


def _refused(identity: ClientIdentity, reason: str) -> InputError:
    subject = identity.certificate.subject.rfc4514_string()
    return InputError(Problem(f"client certificate {subject}", reason))


def _client_context(
    bundle: TrustBundle,
    group: CipherGroup,
    rules: TlsRules,
    chain: tuple[x509.Certificate, ...],
) -> SSL.Context:
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    problems = check_group(group, rules) + set_curves(context, ":".join(rules.curves))
    if problems:
        raise InputError(problems)
    tls12, tls13 = split_suites(group.suites)
    low, high = _version_range(tls12, tls13, rules)
    context.set_min_proto_version(low)
    context.set_max_proto_version(high)
    set_suites(context, tls12, tls13, rules.security_level)
    set_modes(context)
    if not rules.resumption:
        # Otherwise the server makes a ticket per connection that nobody will offer.
        context.set_options(SSL.OP_NO_TICKET)
    context.set_verify(SSL.VERIFY_PEER)
    openssl.set_verify_flags(
        context, openssl.X509_V_FLAG_PARTIAL_CHAIN | openssl.X509_V_FLAG_TRUSTED_FIRST
    )
    trust(context, bundle.certificates)
    for certificate in chain:
        context.add_extra_chain_cert(certificate)
    return context


def _expect_peer(connection: SSL.Connection, rules: TlsRules, host: str) -> None:
    """Set SNI and the name that the peer's certificate must carry."""
    name, address = _peer_of(host)
    if address:
        if rules.check_ip:
            openssl.set_verify_address(connection, address)
        return
    if rules.send_sni:
        connection.set_tlsext_host_name(name)
    if rules.check_host and not openssl.set_verify_host(connection, name):
        raise InputError(Problem("host", f"{host!r} is no host name"))


@lru_cache(maxsize=1024)
def _peer_of(host: str) -> tuple[bytes, bytes]:
    """Host name as DNS and certificates write it, or the octets of an address.

    Raises:
        InputError: It is neither.
    """
    try:
        return b"", ipaddress.ip_address(host.partition("%")[0]).packed
    except ValueError:
        pass
    try:
        name = host.removesuffix(".").encode("ascii" if host.isascii() else "idna")
    except UnicodeError as exc:
        raise InputError(Problem("host", f"{host!r} is no host name: {exc}")) from exc
    if not 0 < len(name) < 256 or b"\0" in name:
        raise InputError(Problem("host", f"{host!r} is no host name of 1 to 255 bytes"))
    return name, b""


def _version_range(
    tls12: tuple[str, ...], tls13: tuple[str, ...], rules: TlsRules
) -> tuple[int, int]:
    """Versions allowed by the rules that some suite of the group belongs to."""
    low, high = VERSIONS[rules.min_version], VERSIONS[rules.max_version]
    if not tls12:
        low = max(low, SSL.TLS1_3_VERSION)
    if not tls13:
        high = min(high, SSL.TLS1_2_VERSION)
    return low, high
