"""The device's verdict, on every kind of server certificate, at both TLS versions."""

import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st

from fleetsim.core.failure import Kind, alert, verify
from fleetsim.core.settings import CipherGroup, TlsRules
from fleetsim.core.trust_bundle import EMPTY_BUNDLE, TrustBundle
from fleetsim.exceptions import InputError
from fleetsim.transport.base import ClientIdentity
from fleetsim.transport.tls_context import ClientContexts, check_group
from fleetsim.transport.tls_pump import TlsPump
from fleetsim.transport.tls_server import ServerCertificate, ServerContext, ServerTls
from tests.integration.tls_wire import program
from tests.transport.certificates import (
    DEVICE_UNIX_S,
    FUTURE,
    LATE,
    PAST,
    Issued,
    authority,
    forged,
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
INTERMEDIATE = authority("Test Intermediate", parent=ROOT, number=2)
BELOW = leaf(parent=INTERMEDIATE)
SELF_SIGNED = leaf("self-signed")
OTHER_ROOT = authority("Other Root", number=5)
# The new root as the old, expired one had signed it (AddTrust 2020, DST X3 2021).
OLD_ROOT = authority("Old Root", number=8, not_after=PAST)
CROSS_SIGN = authority("Test Root", parent=OLD_ROOT, number=1, not_after=PAST)


def serving(*chain: Issued, key_of: Issued | None = None) -> ServerTls:
    """Server that sends these certificates, leaf first, and nothing else."""
    certificates = tuple(issued.certificate for issued in chain)
    own = (key_of or chain[0]).key
    return replace(
        PLAIN_SERVER, certificates=(ServerCertificate(chain=certificates, key=own),)
    )


def trusting(*anchors: Issued) -> Callable[[Client], Client]:
    """Change a client to trust just these."""
    certificates = tuple(issued.certificate for issued in anchors)
    return lambda client: replace(client, anchors=certificates)


def at(unix_s: float) -> Callable[[Client], Client]:
    """Change a client's clock."""
    return lambda client: replace(client, unix_s=int(unix_s))


def calling(host: str) -> Callable[[Client], Client]:
    """Change the host a client calls."""
    return lambda client: replace(client, host=host)


def level(number: int) -> Callable[[Client], Client]:
    """Change a client's security level."""
    return lambda client: replace(
        client, rules=replace(client.rules, security_level=number)
    )


def same(client: Client) -> Client:
    """Change nothing."""
    return client


def named(**names: tuple[str, ...]) -> ServerTls:
    """Server whose certificate carries these names."""
    return serving(leaf("server", parent=ROOT, **names))  # type: ignore[arg-type]  # dns, addresses only


ACCEPTED = {
    "root is the anchor": (same, PLAIN_SERVER),
    "chain of two": (same, serving(BELOW, INTERMEDIATE)),
    "chain of five": (
        same,
        serving(
            *(
                deep := [
                    leaf(
                        parent=(
                            third := authority(
                                "Third",
                                parent=(
                                    second := authority(
                                        "Second", parent=INTERMEDIATE, number=3
                                    )
                                ),
                                number=4,
                            )
                        )
                    )
                ]
            ),
            third,
            second,
            INTERMEDIATE,
        ),
    ),
    "unordered chain with strangers": (
        same,
        serving(BELOW, OTHER_ROOT, ROOT, INTERMEDIATE),
    ),
    "intermediate is the anchor": (
        trusting(INTERMEDIATE),
        serving(BELOW, INTERMEDIATE),
    ),
    "intermediate is the anchor and not sent": (
        trusting(INTERMEDIATE),
        serving(BELOW),
    ),
    "self-signed server certificate": (trusting(SELF_SIGNED), serving(SELF_SIGNED)),
    "one of several anchors": (trusting(OTHER_ROOT, SELF_SIGNED, ROOT), PLAIN_SERVER),
    "expired cross-sign sent along": (
        trusting(ROOT),
        serving(SERVER, CROSS_SIGN, OLD_ROOT),
    ),
    "expired cross-sign, old and new root trusted": (
        trusting(OLD_ROOT, ROOT),
        serving(SERVER, CROSS_SIGN),
    ),
    "new intermediate under an expired root": (
        trusting(INTERMEDIATE, OLD_ROOT),
        serving(BELOW, INTERMEDIATE, CROSS_SIGN),
    ),
    "last second": (
        at(LATE.timestamp() - 1),
        PLAIN_SERVER,
    ),
    "expired today, the device's clock is behind": (
        at(PAST.timestamp() - 86400),
        serving(leaf(parent=ROOT, not_after=PAST)),
    ),
    "valid from tomorrow, the device's clock is ahead": (
        at(FUTURE.timestamp() + 86400),
        serving(leaf(parent=ROOT, not_before=FUTURE)),
    ),
    "IPv4 address": (calling("127.0.0.1"), PLAIN_SERVER),
    "IPv6 address": (calling("::1"), PLAIN_SERVER),
    "IPv6 address with zone": (
        calling("fe80::1%eth0"),
        named(addresses=("fe80::1",)),
    ),
    "name in other case": (calling("Storage.TEST"), PLAIN_SERVER),
    "name with final dot": (calling("storage.test."), PLAIN_SERVER),
    "second DNS name": (calling("b.test"), named(dns=("a.test", "b.test"))),
    "wildcard for one label": (calling("a.b.test"), named(dns=("*.b.test",))),
    "international name": (
        calling("bücher.test"),
        named(dns=("xn--bcher-kva.test",)),
    ),
    "Common Name without DNS names": (
        calling("cn.test"),
        serving(leaf("cn.test", parent=ROOT, dns=(), addresses=())),
    ),
    "RSA-1024 at level 0": (same, serving(leaf(parent=ROOT, kind="rsa-1024"))),
    "no extended key usage": (same, serving(leaf(parent=ROOT, usages=()))),
}

REFUSED = {
    "expired": (
        same,
        serving(leaf(parent=ROOT, not_after=PAST)),
        "cert_has_expired",
        "certificate_expired",
    ),
    "not yet valid": (
        same,
        serving(leaf(parent=ROOT, not_before=FUTURE)),
        "cert_not_yet_valid",
        "bad_certificate",
    ),
    "device clock at 1970": (
        at(0),
        PLAIN_SERVER,
        "cert_not_yet_valid",
        "bad_certificate",
    ),
    "one second late": (
        at(LATE.timestamp() + 1),
        PLAIN_SERVER,
        "cert_has_expired",
        "certificate_expired",
    ),
    "expired anchor": (
        trusting(
            old := authority("Old anchor", number=9, not_after=PAST),
        ),
        serving(leaf(parent=old)),
        "cert_has_expired",
        "certificate_expired",
    ),
    "expired intermediate": (
        same,
        serving(
            leaf(
                parent=(
                    gone := authority("Gone", parent=ROOT, number=6, not_after=PAST)
                )
            ),
            gone,
        ),
        "cert_has_expired",
        "certificate_expired",
    ),
    "only the expired old root trusted": (
        trusting(OLD_ROOT),
        serving(SERVER, CROSS_SIGN),
        "cert_has_expired",
        "certificate_expired",
    ),
    "another root": (
        trusting(OTHER_ROOT),
        PLAIN_SERVER,
        "unable_to_get_issuer_cert_locally",
        "unknown_ca",
    ),
    "empty bundle": (
        trusting(),
        PLAIN_SERVER,
        "unable_to_get_issuer_cert_locally",
        "unknown_ca",
    ),
    "root of the same name, another key": (
        trusting(authority("Test Root", number=9)),
        PLAIN_SERVER,
        "unable_to_get_issuer_cert_locally",
        "unknown_ca",
    ),
    "missing intermediate": (
        same,
        serving(BELOW),
        "unable_to_get_issuer_cert_locally",
        "unknown_ca",
    ),
    "unknown root sent along": (
        trusting(),
        serving(SERVER, ROOT),
        "self_signed_cert_in_chain",
        "unknown_ca",
    ),
    "self-signed": (
        same,
        serving(SELF_SIGNED),
        "depth_zero_self_signed_cert",
        "unknown_ca",
    ),
    "another self-signed of the same name": (
        trusting(SELF_SIGNED),
        serving(leaf("self-signed", number=1)),
        "depth_zero_self_signed_cert",
        "unknown_ca",
    ),
    "forged signature": (
        same,
        serving(forged(SERVER)),
        "cert_signature_failure",
        "decrypt_error",
    ),
    "issuer is no CA": (
        same,
        serving(
            leaf(parent=(no_ca := authority("No CA", parent=ROOT, is_ca=False))), no_ca
        ),
        "invalid_ca",
        "unknown_ca",
    ),
    "issuer is a leaf": (
        same,
        serving(leaf("below", parent=SERVER), SERVER),
        "invalid_ca",
        "unknown_ca",
    ),
    "issuer may not sign": (
        same,
        serving(
            leaf(parent=(mute := authority("Mute", parent=ROOT, can_sign=False))), mute
        ),
        "invalid_ca",
        "unknown_ca",
    ),
    "path length": (
        trusting(short := authority("Short", number=6, path_length=0)),
        serving(leaf(parent=(one := authority("One", parent=short, number=7))), one),
        "path_length_exceeded",
        "unknown_ca",
    ),
    "certificate for clients only": (
        same,
        serving(leaf(parent=ROOT, usages=(ExtendedKeyUsageOID.CLIENT_AUTH,))),
        "invalid_purpose",
        "unsupported_certificate",
    ),
    "unknown critical extension": (
        same,
        serving(leaf(parent=ROOT, critical_unknown=True)),
        "unhandled_critical_extension",
        "certificate_unknown",
    ),
    "RSA-1024 at level 2": (
        level(2),
        serving(leaf(parent=ROOT, kind="rsa-1024")),
        "ee_key_too_small",
        "bad_certificate",
    ),
    "RSA-1024 CA at level 2": (
        level(2),
        serving(
            leaf(parent=(weak := authority("Weak", parent=ROOT, kind="rsa-1024"))), weak
        ),
        "ca_key_too_small",
        "bad_certificate",
    ),
    "another name": (
        calling("other.test"),
        PLAIN_SERVER,
        "hostname_mismatch",
        "bad_certificate",
    ),
    "subdomain": (
        calling("a.storage.test"),
        PLAIN_SERVER,
        "hostname_mismatch",
        "bad_certificate",
    ),
    "wildcard for two labels": (
        calling("a.b.test"),
        named(dns=("*.test",)),
        "hostname_mismatch",
        "bad_certificate",
    ),
    "part of a label as wildcard": (
        calling("ab.c.test"),
        named(dns=("a*.c.test",)),
        "hostname_mismatch",
        "bad_certificate",
    ),
    "Common Name beside DNS names": (
        calling("cn.test"),
        serving(leaf("cn.test", parent=ROOT)),
        "hostname_mismatch",
        "bad_certificate",
    ),
    "name of the right self-signed certificate": (
        lambda client: calling("other.test")(trusting(SELF_SIGNED)(client)),
        serving(SELF_SIGNED),
        "hostname_mismatch",
        "bad_certificate",
    ),
    "another address": (
        calling("127.0.0.2"),
        PLAIN_SERVER,
        "ip_address_mismatch",
        "bad_certificate",
    ),
    "address as DNS name": (
        calling("127.0.0.2"),
        named(dns=("127.0.0.2",)),
        "ip_address_mismatch",
        "bad_certificate",
    ),
}


@VERSIONS
@pytest.mark.parametrize("case", ACCEPTED)
def test_accepted(client: Client, case: str) -> None:
    """A chain with any trusted certificate in it, valid and rightly named, is good."""
    change, settings = ACCEPTED[case]
    one, other = change(client).pump(), server_pump(settings)
    talk(one, other)
    assert (one.failure, other.failure) == (None, None)
    assert one.is_open
    assert other.is_open


@VERSIONS
@pytest.mark.parametrize("case", REFUSED)
def test_refused(client: Client, case: str) -> None:
    """A bad chain is our verdict here and our alert at the server (RFC 5246 7.2.2)."""
    change, settings, verdict, told = REFUSED[case]
    one, other = change(client).pump(), server_pump(settings)
    talk(one, other)
    assert not one.is_open
    assert not other.is_open
    assert one.failure is not None
    assert one.failure.kind == verify(verdict).kind
    assert other.failure is not None
    assert other.failure.kind == alert(told).kind


OPENSSL_VERDICTS = [
    ("expired", leaf(parent=ROOT, not_after=PAST), (), 10),
    ("not yet valid", leaf(parent=ROOT, not_before=FUTURE), (), 9),
    ("missing intermediate", BELOW, (), 20),
    ("forged", forged(SERVER), (), 7),
    ("no CA", leaf(parent=no_ca), (no_ca,), 79),
    ("purpose", leaf(parent=ROOT, usages=(ExtendedKeyUsageOID.CLIENT_AUTH,)), (), 26),
    ("good", BELOW, (INTERMEDIATE,), 0),
]


@pytest.mark.parametrize(
    ("served", "between", "code"),
    [case[1:] for case in OPENSSL_VERDICTS],
    ids=[case[0] for case in OPENSSL_VERDICTS],
)
def test_openssl_verify_agrees(
    served: Issued, between: tuple[Issued, ...], code: int, tmp_path: Path
) -> None:
    """``openssl verify`` at the device's clock reaches the same verdict, by number."""
    files = {"root": (ROOT,), "between": between or (ROOT,), "leaf": (served,)}
    for name, issued in files.items():
        (tmp_path / name).write_bytes(
            b"".join(one.certificate.public_bytes(Encoding.PEM) for one in issued)
        )
    said = subprocess.run(
        [
            *(program("openssl"), "verify", "-purpose", "sslserver"),
            *("-attime", str(DEVICE_UNIX_S)),
            *("-CAfile", "root", "-untrusted", "between", "leaf"),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (said.returncode == 0) == (code == 0)
    assert code == 0 or f"error {code} at" in said.stderr
    one = Client().pump()
    talk(one, server_pump(serving(served, *between)))
    if code == 0:
        assert one.failure is None
    else:
        names = {10: "cert_has_expired", 9: "cert_not_yet_valid", 79: "invalid_ca"}
        names |= {20: "unable_to_get_issuer_cert_locally", 26: "invalid_purpose"}
        names |= {7: "cert_signature_failure"}
        assert one.failure is not None
        assert one.failure.kind == verify(names[code]).kind


@pytest.mark.parametrize(
    ("rules", "host"),
    [
        (TlsRules(check_host=False), "other.test"),
        (TlsRules(check_ip=False), "127.0.0.2"),
    ],
    ids=["check_host", "check_ip"],
)
def test_name_checks_can_be_off(rules: TlsRules, host: str) -> None:
    """A profile may leave the name unchecked; the chain still is."""
    client = Client(rules=rules, host=host)
    one = client.pump()
    talk(one, server_pump())
    assert one.is_open
    one = replace(client, anchors=()).pump()
    talk(one, server_pump())
    assert not one.is_open


@pytest.mark.parametrize(
    ("host", "send_sni", "seen"),
    [
        ("storage.test", True, b"storage.test"),
        ("storage.test.", True, b"storage.test"),
        ("storage.test", False, None),
        ("127.0.0.1", True, None),
        ("::1", True, None),
    ],
)
def test_sni(host: str, send_sni: bool, seen: bytes | None) -> None:
    """SNI carries host names without the final dot, never addresses (RFC 6066 3)."""
    one = Client(host=host, rules=TlsRules(send_sni=send_sni)).pump()
    other = server_pump()
    talk(one, other)
    assert one.is_open
    assert other.connection.get_servername() == seen


@pytest.mark.parametrize(
    "host",
    ["", ".", "a" * 256, "a\0b", "ü" * 80 + ".test", "a..\u00fc"],
    ids=["empty", "dot", "long", "nul", "long label", "empty label"],
)
def test_no_host_name(host: str) -> None:
    """What cannot be a name is refused before a connection is made."""
    with pytest.raises(InputError, match="host name"):
        Client(host=host).pump()


@given(host=st.text(max_size=300))
def test_any_host(host: str) -> None:
    """Any text is a host that can be asked for, or an input error."""
    try:
        pump = Client(host=host).pump(SHARED)
    except InputError:
        return
    assert not pump.handshake()
    assert pump.take()


SHARED = ClientContexts()


@pytest.mark.parametrize(
    ("suites", "rules", "words"),
    [
        (("RC4-SHA", "AES128-SHA", "HIGH"), TlsRules(), ("RC4-SHA", "HIGH")),
        (("ADH-AES128-SHA",), TlsRules(), ("ADH-AES128-SHA",)),
        ((), TlsRules(), ("at least one",)),
        ((TLS13,), TlsRules(), ("none of its suites belongs",)),
        ((ECDHE,), TlsRules(max_version="TLSv1.9"), ("TLSv1.9",)),
        (
            (ECDHE,),
            TlsRules(min_version="TLSv1.3", max_version="TLSv1.3"),
            ("none of its suites belongs",),
        ),
    ],
)
def test_groups_that_cannot_be_offered(
    suites: tuple[str, ...], rules: TlsRules, words: tuple[str, ...]
) -> None:
    """Every fault of a group is reported at once, before any connection is made."""
    problems = check_group(CipherGroup("group 1", suites), rules)
    assert len(problems) == len(words)
    assert all("group 1" in str(problem) for problem in problems)
    for word, problem in zip(words, problems, strict=True):
        assert word in str(problem)
    with pytest.raises(InputError) as caught:
        Client(suites=suites, rules=rules).pump()
    assert caught.value.problems == problems


def test_unknown_curves() -> None:
    """Groups for key exchange are checked with the rest."""
    with pytest.raises(InputError, match="P-0"):
        Client(rules=TlsRules(curves=("P-256", "P-0"))).pump()


@pytest.mark.parametrize(
    ("suites", "server", "version"),
    [
        ((TLS13, ECDHE), PLAIN_SERVER, "TLSv1.3"),
        ((TLS13, ECDHE), replace(PLAIN_SERVER, max_version="TLSv1.2"), "TLSv1.2"),
        ((ECDHE,), PLAIN_SERVER, "TLSv1.2"),
        ((TLS13,), PLAIN_SERVER, "TLSv1.3"),
    ],
)
def test_mixed_groups(suites: tuple[str, ...], server: ServerTls, version: str) -> None:
    """A group may mix TLS 1.2 and 1.3; the version range follows its suites."""
    one = Client(suites=suites, rules=TLS13_RULES).pump()
    talk(one, server_pump(server))
    assert one.handshake_info().version == version


# ---------------------------------------------------------------- sharing


def test_contexts_are_shared() -> None:
    """Devices of one bundle, group and rules share a context, whatever their clock."""
    contexts = ClientContexts()
    first = Client().pump(contexts).connection.get_context()
    for change in (at(0), calling("127.0.0.1"), same):
        assert change(Client()).pump(contexts).connection.get_context() is first
    for other in (
        Client(anchors=()),
        Client(suites=("AES128-SHA",)),
        Client(rules=TlsRules(security_level=1)),
    ):
        assert other.pump(contexts).connection.get_context() is not first


def test_contexts_are_bounded() -> None:
    """The least recently used context goes; its connections live on."""
    contexts = ClientContexts(contexts=2)
    first = Client().pump(contexts)
    kept = Client(anchors=()).pump(contexts).connection.get_context()
    Client(suites=("AES128-SHA",)).pump(contexts)
    again = Client(anchors=()).pump(contexts)
    assert again.connection.get_context() is kept
    fresh = Client().pump(contexts)
    assert fresh.connection.get_context() is not first.connection.get_context()
    talk(first, server_pump())
    assert first.is_open


def test_empty_bundle_is_a_context_too() -> None:
    """A device that trusts nobody still speaks TLS, and says so in its alert."""
    connection = ClientContexts().connection(
        group=CipherGroup("g", (ECDHE,)),
        bundle=EMPTY_BUNDLE,
        rules=TlsRules(),
        host="storage.test",
        verify_unix_s=DEVICE_UNIX_S,
        identity=None,
        session=None,
    )
    one, other = TlsPump(connection), server_pump()
    talk(one, other)
    assert other.failure is not None
    assert other.failure.kind == "tls.alert.unknown_ca"


# ---------------------------------------------------------------- client certificate

CLIENT_ROOT = authority("Client Root", number=10)
CLIENT_INTERMEDIATE = authority("Client Intermediate", parent=CLIENT_ROOT, number=11)
MUTUAL = replace(
    PLAIN_SERVER,
    client_cas=(CLIENT_ROOT.certificate,),
    require_client_certificate=True,
)


@VERSIONS
@pytest.mark.parametrize("kind", ["rsa-1024", "rsa-2048", "rsa-3072", "p256"])
def test_client_certificates(client: Client, kind: str) -> None:
    """Each device presents its own certificate and chain from a shared context."""
    contexts = ClientContexts()
    above = CLIENT_INTERMEDIATE
    for number in range(2):
        device = leaf(f"device {number}", parent=above, kind=kind, number=number)
        one = replace(client, identity=identity_of(device)).pump(contexts)
        other = server_pump(MUTUAL)
        talk(one, other)
        assert other.failure is None
        assert other.peer_certificate() == device.certificate
        # On the server's side OpenSSL leaves the leaf out of this list.
        sent = other.connection.get_peer_cert_chain(as_cryptography=True)
        assert sent == [above.certificate]


def test_certificates_of_many_devices_are_kept_within_bounds() -> None:
    """The cache of client certificates is bounded, and a miss only costs time."""
    contexts = ClientContexts(identities=2)
    devices = [leaf(f"device {n}", parent=CLIENT_ROOT, number=n) for n in range(4)]
    identities = [identity_of(device) for device in devices]
    for _ in range(2):
        for device, identity in zip(devices, identities, strict=True):
            one, other = Client(identity=identity).pump(contexts), server_pump(MUTUAL)
            talk(one, other)
            assert other.peer_certificate() == device.certificate


def test_bundle_is_not_sent_as_chain() -> None:
    """OpenSSL does not complete the client's chain from what the device trusts."""
    device = leaf("device", parent=CLIENT_INTERMEDIATE)
    bare = replace(identity_of(device), chain=())
    anchors = (ROOT.certificate, CLIENT_INTERMEDIATE.certificate)
    one = Client(identity=bare, anchors=anchors).pump()
    other = server_pump(MUTUAL)
    talk(one, other)
    assert other.failure is not None
    assert other.failure.kind == "tls.verify.unable_to_get_issuer_cert_locally"


@pytest.mark.parametrize(
    ("identity", "rules", "words"),
    [
        (
            identity_of(leaf("weak", parent=CLIENT_ROOT, kind="rsa-1024")),
            TlsRules(security_level=2),
            "key too small",
        ),
        (
            replace(
                identity_of(leaf("wrong key", parent=CLIENT_ROOT)),
                key=key("rsa-2048", 9),
            ),
            TlsRules(),
            "private key does not belong",
        ),
        (
            replace(
                identity_of(leaf("wrong type", parent=CLIENT_ROOT)), key=key("p256")
            ),
            TlsRules(),
            "private key does not belong",
        ),
    ],
    ids=["weak", "wrong key", "wrong key type"],
)
def test_unusable_client_certificates(
    identity: ClientIdentity, rules: TlsRules, words: str
) -> None:
    """A certificate OpenSSL refuses is named in the error; nothing stays behind."""
    client = replace(Client(rules=rules), identity=identity)
    with pytest.raises(InputError, match=words) as caught:
        client.pump()
    assert "client certificate CN=w" in str(caught.value)
    good = Client().pump()
    talk(good, server_pump())
    assert good.is_open


# ---------------------------------------------------------------- resumption


@pytest.mark.parametrize(
    ("suite", "rules"),
    [
        (ECDHE, TlsRules(resumption=True)),
        (TLS13, replace(TLS13_RULES, resumption=True)),
    ],
    ids=["TLSv1.2", "TLSv1.3"],
)
def test_resumption(suite: str, rules: TlsRules) -> None:
    """A session offered again is resumed; without it the handshake is a full one."""
    settings = replace(PLAIN_SERVER, session_tickets=True)
    server, contexts = ServerContext(settings), ClientContexts()
    client = Client(suites=(suite,), rules=rules)
    first, other = client.pump(contexts), TlsPump(server.connection())
    talk(first, other)
    assert not first.handshake_info().resumed
    session = first.session()
    again, other = client.pump(contexts, session), TlsPump(server.connection())
    talk(again, other)
    info = again.handshake_info()
    assert info.resumed
    assert other.handshake_info().resumed
    assert again.bytes_in < first.bytes_in - 500
    fresh, other = client.pump(contexts), TlsPump(server.connection())
    talk(fresh, other)
    assert not fresh.handshake_info().resumed


def test_session_of_another_group_is_not_offered() -> None:
    """A device that moved on to another group or bundle starts with a full handshake."""
    settings = replace(PLAIN_SERVER, session_tickets=True)
    server, contexts = ServerContext(settings), ClientContexts()
    rules = TlsRules(resumption=True)
    first = Client(rules=rules).pump(contexts)
    talk(first, TlsPump(server.connection()))
    moved = Client(rules=rules, suites=("AES128-SHA",)).pump(contexts, first.session())
    talk(moved, TlsPump(server.connection()))
    assert not moved.handshake_info().resumed


def test_swapped_server_forgets_sessions() -> None:
    """A new server context cannot read old tickets: the full handshake takes place."""
    settings = replace(PLAIN_SERVER, session_tickets=True)
    contexts = ClientContexts()
    client = Client(rules=TlsRules(resumption=True))
    first = client.pump(contexts)
    talk(first, server_pump(settings))
    again = client.pump(contexts, first.session())
    talk(again, server_pump(settings))
    assert again.is_open
    assert not again.handshake_info().resumed


def test_no_ticket_unless_wanted() -> None:
    """A device that never resumes does not ask for tickets, which would be bytes."""
    settings = replace(PLAIN_SERVER, session_tickets=True)
    sizes = []
    for resumption in (False, True):
        one = Client(rules=TlsRules(resumption=resumption)).pump()
        talk(one, server_pump(settings))
        sizes.append(one.bytes_in)
    assert sizes[0] + 100 < sizes[1]


def test_bundles_of_the_same_certificates_are_one() -> None:
    """Sharing goes by content: bundles parsed apart share a context."""
    contexts = ClientContexts()
    pumps = [Client().pump(contexts) for _ in range(2)]
    assert pumps[0].connection.get_context() is pumps[1].connection.get_context()
    assert TrustBundle.of([ROOT.certificate]) == TrustBundle.of([ROOT.certificate])


def test_presented_chain_is_exact() -> None:
    """A server's chain reaches the device as configured: no more, no less."""
    one = Client().pump()
    settings = replace(PLAIN_SERVER, certificates=(presented(BELOW),))
    talk(one, server_pump(settings))
    sent = one.connection.get_peer_cert_chain(as_cryptography=True)
    assert sent == [BELOW.certificate, INTERMEDIATE.certificate]


def test_failures_are_never_unclassified() -> None:
    """Over all refused cases no failure on either side is unclassified."""
    for change, settings, *_ in REFUSED.values():
        one, other = change(Client()).pump(SHARED), server_pump(settings)
        talk(one, other)
        for pump in (one, other):
            assert pump.failure is not None
            assert pump.failure.kind != Kind.UNCLASSIFIED
            assert pump.failure.detail
