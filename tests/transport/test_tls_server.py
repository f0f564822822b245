"""The server's verdict on clients, what it presents to whom, and its settings."""

from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from fleetsim.core.failure import Kind, alert, verify
from fleetsim.core.settings import TlsRules
from fleetsim.exceptions import InputError
from fleetsim.transport.tls_context import ClientContexts
from fleetsim.transport.tls_pump import TlsPump
from fleetsim.transport.tls_server import ServerCertificate, ServerContext, ServerTls
from tests.transport.certificates import (
    FUTURE,
    PAST,
    Issued,
    authority,
    crl,
    key,
    leaf,
)
from tests.transport.pumps import (
    ECDHE,
    PLAIN_SERVER,
    ROOT,
    SERVER,
    TLS13,
    TLS13_RULES,
    Client,
    identity_of,
    presented,
    server_pump,
    talk,
)

VERSIONS = pytest.mark.parametrize(
    "client",
    [Client(), Client(suites=(TLS13,), rules=TLS13_RULES)],
    ids=["TLSv1.2", "TLSv1.3"],
)
CA = authority("Client Root", number=10)
SUB_CA = authority("Client Intermediate", parent=CA, number=11)
DEVICE = leaf("device", parent=CA)
DEEP_DEVICE = leaf("deep device", parent=SUB_CA)
MUTUAL = replace(
    PLAIN_SERVER, client_cas=(CA.certificate,), require_client_certificate=True
)


def checking(*lists: x509.CertificateRevocationList) -> ServerTls:
    """Server that checks these CRLs."""
    return replace(MUTUAL, crls=lists, check_crl=True)


WELCOME = {
    "certificate": (DEVICE, MUTUAL),
    "certificate with chain": (DEEP_DEVICE, MUTUAL),
    "not asked for": (DEVICE, PLAIN_SERVER),
    "optional and absent": (
        None,
        replace(MUTUAL, require_client_certificate=False),
    ),
    "optional and there": (
        DEVICE,
        replace(MUTUAL, require_client_certificate=False),
    ),
    "not on the list": (DEVICE, checking(crl(CA, [DEEP_DEVICE.certificate]))),
    "not on either list": (DEEP_DEVICE, checking(crl(CA), crl(SUB_CA))),
    "list there, not checked": (
        DEVICE,
        replace(MUTUAL, crls=(crl(CA, [DEVICE.certificate]),)),
    ),
    "expired list and a current one": (
        DEVICE,
        checking(crl(CA, next_update=PAST), crl(CA)),
    ),
}

REFUSED: dict[str, tuple[Issued, ServerTls, str, str]] = {
    "expired": (
        leaf("device", parent=CA, not_after=PAST),
        MUTUAL,
        "cert_has_expired",
        "certificate_expired",
    ),
    "not yet valid": (
        leaf("device", parent=CA, not_before=FUTURE),
        MUTUAL,
        "cert_not_yet_valid",
        "bad_certificate",
    ),
    "of another CA": (
        leaf("device", parent=ROOT),
        MUTUAL,
        "unable_to_get_issuer_cert_locally",
        "unknown_ca",
    ),
    "self-signed": (
        leaf("device"),
        MUTUAL,
        "depth_zero_self_signed_cert",
        "unknown_ca",
    ),
    "chain not sent": (
        Issued(DEEP_DEVICE.certificate, DEEP_DEVICE.key),
        MUTUAL,
        "unable_to_get_issuer_cert_locally",
        "unknown_ca",
    ),
    "intermediate alone trusted": (
        DEEP_DEVICE,
        replace(MUTUAL, client_cas=(SUB_CA.certificate,)),
        "unable_to_get_issuer_cert",
        "unknown_ca",
    ),
    "certificate for servers only": (
        leaf("device", parent=CA, usages=(ExtendedKeyUsageOID.SERVER_AUTH,)),
        MUTUAL,
        "invalid_purpose",
        "unsupported_certificate",
    ),
    "weak key": (
        leaf("device", parent=CA, kind="rsa-1024"),
        replace(MUTUAL, cipher_list="ALL:@SECLEVEL=2"),
        "ee_key_too_small",
        "bad_certificate",
    ),
    "revoked": (
        DEVICE,
        checking(crl(CA, [DEVICE.certificate])),
        "cert_revoked",
        "certificate_revoked",
    ),
    "revoked intermediate": (
        DEEP_DEVICE,
        checking(crl(CA, [SUB_CA.certificate]), crl(SUB_CA)),
        "cert_revoked",
        "certificate_revoked",
    ),
    "no list": (DEVICE, checking(), "unable_to_get_crl", "unknown_ca"),
    "no list of the intermediate": (
        DEEP_DEVICE,
        checking(crl(CA)),
        "unable_to_get_crl",
        "unknown_ca",
    ),
    "expired list": (
        DEVICE,
        checking(crl(CA, next_update=PAST)),
        "crl_has_expired",
        "certificate_expired",
    ),
    "list of the future": (
        DEVICE,
        checking(crl(CA, last_update=FUTURE)),
        "crl_not_yet_valid",
        "bad_certificate",
    ),
    "list with a false signature": (
        DEVICE,
        checking(crl(CA, signer=key("rsa-2048", 9))),
        "crl_signature_failure",
        "decrypt_error",
    ),
}


@VERSIONS
@pytest.mark.parametrize("case", WELCOME)
def test_welcome(client: Client, case: str) -> None:
    """Good client certificates, and none where none is needed, pass."""
    device, settings = WELCOME[case]
    identity = identity_of(device) if device is not None else None
    one, other = replace(client, identity=identity).pump(), server_pump(settings)
    talk(one, other)
    assert (one.failure, other.failure) == (None, None)
    assert other.is_open
    asked = bool(settings.client_cas) and device is not None
    expected = device.certificate if device is not None and asked else None
    assert other.peer_certificate() == expected


@VERSIONS
@pytest.mark.parametrize("case", REFUSED)
def test_refused(client: Client, case: str) -> None:
    """A bad client certificate is the server's verdict and the device's alert."""
    device, settings, verdict, told = REFUSED[case]
    one = replace(client, identity=identity_of(device)).pump()
    other = server_pump(settings)
    talk(one, other)
    assert not other.is_open
    assert other.failure is not None
    assert other.failure.kind == verify(verdict).kind
    assert one.failure is not None
    assert one.failure.kind == alert(told).kind
    # RFC 8446 4.4.2.4: the client of TLS 1.3 was through before the verdict.
    assert one.is_open == (client.rules.max_version == "TLSv1.3")


@pytest.mark.parametrize(
    ("client", "told"),
    [
        (Client(), "handshake_failure"),  # RFC 5246 7.4.6
        (
            Client(suites=(TLS13,), rules=TLS13_RULES),
            "certificate_required",  # RFC 8446 6.2
        ),
    ],
    ids=["TLSv1.2", "TLSv1.3"],
)
def test_no_client_certificate(client: Client, told: str) -> None:
    """A device without the certificate it needs learns so by the version's alert."""
    one, other = client.pump(), server_pump(MUTUAL)
    talk(one, other)
    assert one.failure is not None
    assert one.failure.kind == alert(told).kind
    assert other.failure is not None
    assert other.failure.kind == "tls.verify.no_peer_certificate"
    assert "did not return a certificate" in other.failure.detail


AT_ODDS = {
    "no common suite": (
        Client(suites=("AES128-SHA",)),
        replace(PLAIN_SERVER, cipher_list="ECDHE:@SECLEVEL=0"),
        "tls.alert.handshake_failure",
        Kind.TLS_NO_SHARED_CIPHER,
    ),
    "no common suite in TLS 1.3": (
        Client(suites=(TLS13,), rules=TLS13_RULES),
        replace(PLAIN_SERVER, tls13_suites="TLS_AES_256_GCM_SHA384"),
        "tls.alert.handshake_failure",
        Kind.TLS_NO_SHARED_CIPHER,
    ),
    "RSA suites, ECDSA certificate": (
        Client(),
        replace(
            PLAIN_SERVER, certificates=(presented(leaf(parent=ROOT, kind="p256")),)
        ),
        "tls.alert.handshake_failure",
        Kind.TLS_NO_SHARED_CIPHER,
    ),
    "no DHE parameters": (
        Client(suites=("DHE-RSA-AES128-SHA",)),
        replace(PLAIN_SERVER, dh_bits=0),
        "tls.alert.handshake_failure",
        Kind.TLS_NO_SHARED_CIPHER,
    ),
    "weak DHE parameters": (
        Client(suites=("DHE-RSA-AES128-SHA",), rules=TlsRules(security_level=2)),
        replace(PLAIN_SERVER, dh_bits=1024),
        Kind.TLS_PROTOCOL,
        "tls.alert.handshake_failure",
    ),
    "TLS 1.2 device, TLS 1.3 server": (
        Client(),
        replace(PLAIN_SERVER, min_version="TLSv1.3"),
        "tls.alert.protocol_version",
        Kind.TLS_PROTOCOL,
    ),
    "TLS 1.3 device, TLS 1.2 server": (
        Client(suites=(TLS13,), rules=TLS13_RULES),
        replace(PLAIN_SERVER, max_version="TLSv1.2"),
        "tls.alert.protocol_version",
        Kind.TLS_PROTOCOL,
    ),
    "no common curve": (
        Client(),
        replace(PLAIN_SERVER, curves="P-384"),
        "tls.alert.handshake_failure",
        Kind.TLS_NO_SHARED_CIPHER,
    ),
    "no common curve in TLS 1.3": (
        Client(suites=(TLS13,), rules=TLS13_RULES),
        replace(PLAIN_SERVER, curves="P-384"),
        "tls.alert.handshake_failure",
        Kind.TLS_PROTOCOL,
    ),
    "TLS 1.1 server": (
        Client(suites=("AES128-SHA",)),
        replace(PLAIN_SERVER, min_version="TLSv1", max_version="TLSv1.1"),
        Kind.TLS_PROTOCOL,
        # The device's alert carries its own version; this server reads no further.
        Kind.TLS_PROTOCOL,
    ),
}


@pytest.mark.parametrize("case", AT_ODDS)
def test_at_odds(case: str) -> None:
    """Sides that have nothing in common part with a reason on both."""
    client, settings, here, there = AT_ODDS[case]
    one, other = client.pump(), server_pump(settings)
    talk(one, other)
    assert one.failure is not None
    assert one.failure.kind == here
    assert other.failure is not None
    assert other.failure.kind == there


def test_empty_tls13_suites_mean_the_default() -> None:
    """TLS 1.3 is switched off by the version, not by an empty list of suites."""
    one = Client(suites=(TLS13,), rules=TLS13_RULES).pump()
    talk(one, server_pump(replace(PLAIN_SERVER, tls13_suites="")))
    assert one.is_open


@pytest.mark.parametrize("bits", [1024, 2048, 3072, 4096])
def test_dhe(bits: int) -> None:
    """DHE suites work with each published prime at level 0."""
    one = Client(suites=("DHE-RSA-AES256-SHA256",)).pump()
    talk(one, server_pump(replace(PLAIN_SERVER, dh_bits=bits)))
    assert one.is_open


@pytest.mark.parametrize("prefer", [False, True])
def test_whose_order_counts(prefer: bool) -> None:
    """The client's order of suites decides unless the server is told to."""
    settings = replace(
        PLAIN_SERVER,
        cipher_list="AES256-SHA:AES128-SHA:@SECLEVEL=0",
        prefer_server_ciphers=prefer,
    )
    one = Client(suites=("AES128-SHA", "AES256-SHA")).pump()
    talk(one, server_pump(settings))
    assert one.handshake_info().suite == ("AES256-SHA" if prefer else "AES128-SHA")


# ---------------------------------------------------------------- certificates

ECDSA = leaf("ecdsa", parent=authority("EC Intermediate", parent=ROOT, kind="p256"))
ECDSA_LEAF = leaf(
    "ecdsa leaf", parent=authority("Above EC", parent=ROOT, number=3), kind="p256"
)
NAMED = leaf("named", parent=ROOT, dns=("named.test",))
WILD = leaf("wild", parent=ROOT, dns=("*.wild.test",))


def leaf_for(settings: ServerTls, client: Client) -> x509.Certificate | None:
    """Leaf that a client is shown."""
    one = client.pump()
    talk(one, server_pump(settings))
    assert one.is_open
    return one.peer_certificate()


def test_key_type_follows_the_suite() -> None:
    """Of an RSA and an ECDSA certificate the suite chooses; each has its own chain."""
    settings = replace(
        PLAIN_SERVER, certificates=(presented(SERVER), presented(ECDSA_LEAF))
    )
    assert leaf_for(settings, Client()) == SERVER.certificate
    client = Client(suites=("ECDHE-ECDSA-AES128-GCM-SHA256",))
    assert leaf_for(settings, client) == ECDSA_LEAF.certificate
    one = client.pump()
    talk(one, server_pump(settings))
    sent = one.connection.get_peer_cert_chain(as_cryptography=True)
    assert sent == list(ECDSA_LEAF.chain)


@VERSIONS
@pytest.mark.parametrize(
    ("host", "shown"),
    [
        ("named.test", NAMED),
        ("NAMED.test", NAMED),
        ("a.wild.test", WILD),
        ("storage.test", SERVER),
        ("a.b.wild.test", SERVER),
        ("wild.test", SERVER),
        ("127.0.0.1", SERVER),
    ],
)
def test_sni_chooses(client: Client, host: str, shown: Issued) -> None:
    """SNI picks the certificate, with one-label wildcards; otherwise the default."""
    settings = replace(
        PLAIN_SERVER,
        certificates=(
            presented(NAMED, "named.test"),
            presented(SERVER),
            presented(WILD, "*.wild.test"),
        ),
    )
    unchecked = replace(client.rules, check_host=False)
    asked = replace(client, host=host, rules=unchecked)
    assert leaf_for(settings, asked) == shown.certificate


def test_without_a_default_the_first_is_it() -> None:
    """If every certificate has names, strangers see the first one's, of any key type."""
    named_ec = leaf("named ec", parent=ROOT, kind="p256", dns=("named.test",))
    settings = replace(
        PLAIN_SERVER,
        certificates=(
            presented(NAMED, "named.test"),
            presented(WILD, "*.wild.test"),
            presented(named_ec, "named.test"),
        ),
    )
    rules = TlsRules(check_host=False, check_ip=False)
    stranger = Client(host="127.0.0.1", rules=rules)
    assert leaf_for(settings, stranger) == NAMED.certificate
    other = replace(stranger, suites=("ECDHE-ECDSA-AES128-GCM-SHA256",))
    assert leaf_for(settings, other) == named_ec.certificate


def test_client_certificates_with_sni() -> None:
    """A certificate chosen by SNI comes with the same demands on the client."""
    settings = replace(
        checking(crl(CA, [DEVICE.certificate])),
        certificates=(presented(SERVER), presented(NAMED, "named.test")),
    )
    one = Client(host="named.test", identity=identity_of(DEVICE)).pump()
    other = server_pump(settings)
    talk(one, other)
    assert one.failure is not None
    assert one.failure.kind == "tls.alert.certificate_revoked"


def test_acceptable_authorities_are_named() -> None:
    """The certificate request lists the client CAs (RFC 5246 7.4.4)."""
    settings = replace(MUTUAL, client_cas=(CA.certificate, ROOT.certificate))
    one = Client(identity=identity_of(DEVICE)).pump()
    talk(one, server_pump(settings))
    names = one.connection.get_client_ca_list(as_cryptography=True)
    assert names == [CA.name, ROOT.name]


def test_resumption_with_client_certificate() -> None:
    """A resumed session keeps the client certificate of the first handshake."""
    server = ServerContext(replace(MUTUAL, session_tickets=True))
    contexts = ClientContexts()
    client = Client(identity=identity_of(DEVICE), rules=TlsRules(resumption=True))
    first = client.pump(contexts)
    talk(first, TlsPump(server.connection()))
    again, other = client.pump(contexts, first.session()), TlsPump(server.connection())
    talk(again, other)
    assert again.handshake_info().resumed
    assert other.peer_certificate() == DEVICE.certificate


def test_no_tickets() -> None:
    """Without session tickets nothing is resumed, however often it is asked."""
    server, contexts = ServerContext(PLAIN_SERVER), ClientContexts()
    client = Client(rules=TlsRules(resumption=True))
    first = client.pump(contexts)
    talk(first, TlsPump(server.connection()))
    again = client.pump(contexts, first.session())
    talk(again, TlsPump(server.connection()))
    assert again.is_open
    assert not again.handshake_info().resumed


# ---------------------------------------------------------------- bad settings


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (replace(PLAIN_SERVER, certificates=()), ["at least one certificate"]),
        (
            replace(
                PLAIN_SERVER,
                certificates=(ServerCertificate(chain=(), key=SERVER.key),),
            ),
            ["chain is empty"],
        ),
        (
            replace(
                PLAIN_SERVER,
                certificates=(
                    ServerCertificate(
                        chain=SERVER.chain,
                        key=key("p256"),
                        server_names=("127.0.0.1",),
                    ),
                ),
                dh_bits=512,
                min_version="SSLv3",
                require_client_certificate=True,
                check_crl=True,
                cipher_list="NOTHING",
                tls13_suites="TLS_NOTHING",
                curves="P-0",
            ),
            [
                "SSLv3",
                "does not belong to CN=server",
                "127.0.0.1",
                "512",
                "needs a CA",
                "no client CA",
                "NOTHING",
                "TLS_NOTHING",
                "P-0",
            ],
        ),
        (
            replace(PLAIN_SERVER, dh_bits=1024, cipher_list="ALL:@SECLEVEL=2"),
            ["1024 is too small"],
        ),
        (
            replace(
                PLAIN_SERVER,
                certificates=(presented(leaf(parent=ROOT, kind="rsa-1024")),),
                cipher_list="ALL:@SECLEVEL=2",
            ),
            ["key too small"],
        ),
    ],
    ids=["none", "empty chain", "everything", "weak DHE", "weak key"],
)
def test_bad_settings(settings: ServerTls, words: list[str]) -> None:
    """Everything wrong with a server's settings is told at once."""
    with pytest.raises(InputError) as caught:
        ServerContext(settings)
    assert len(caught.value.problems) == len(words)
    for word, problem in zip(words, caught.value.problems, strict=True):
        assert word in str(problem)
    one = Client().pump()
    talk(one, server_pump())
    assert one.is_open


def test_old_connections_survive_a_swap() -> None:
    """Connections of a replaced context go on; its contexts live as long as they."""
    server = ServerContext(PLAIN_SERVER)
    one, other = Client().pump(), TlsPump(server.connection())
    talk(one, other)
    server = ServerContext(replace(PLAIN_SERVER, certificates=(presented(NAMED),)))
    newer = Client(host="named.test").pump()
    talk(newer, TlsPump(server.connection()))
    assert newer.peer_certificate() == NAMED.certificate
    one.send([b"still here"])
    assert other.receive(one.take()) == b"still here"


def test_default_settings_serve_todays_clients() -> None:
    """A server with nothing but a certificate speaks TLS 1.2 and 1.3."""
    settings = ServerTls(certificates=(presented(SERVER),))
    assert leaf_for(settings, Client(suites=(ECDHE,))) == SERVER.certificate
    modern = Client(suites=(TLS13,), rules=TLS13_RULES)
    assert leaf_for(settings, modern) == SERVER.certificate
