"""What a handshake in memory says, with the server's key and without it."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetsim.core.failure import Kind
from fleetsim.core.settings import CipherGroup, TlsRules
from fleetsim.core.trust_bundle import TrustBundle
from fleetsim.exceptions import InputError
from fleetsim.forecast.handshakes import (
    ClientSide,
    GroupReach,
    Reach,
    certificate_verdict,
    try_group,
)
from fleetsim.transport.tls_context import ClientContexts
from fleetsim.transport.tls_server import ServerContext, ServerTls
from tests.forecast.fleet import (
    DEVICE_CA,
    ISSUER,
    NEW_ROOT,
    NOW,
    ROOT,
    SERVER,
    server,
    side,
)
from tests.transport.certificates import (
    FUTURE,
    PAST,
    Issued,
    authority,
    forged,
    leaf,
)
from tests.transport.pumps import identity_of

CONTEXTS = ClientContexts()
ANY = CipherGroup(
    "any",
    (
        "ECDHE-RSA-AES128-GCM-SHA256",
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "DHE-RSA-AES128-GCM-SHA256",
        "AES128-SHA",
    ),
)


def whole(device: ClientSide, tls: ServerTls, group: CipherGroup = ANY) -> GroupReach:
    """A whole handshake."""
    return try_group(CONTEXTS, device, group, ServerContext(tls).connection(NOW))


CHAINS: dict[str, Issued] = {
    "good": SERVER,
    "expired": leaf(parent=ISSUER, not_after=PAST),
    "not yet valid": leaf(parent=ISSUER, not_before=FUTURE),
    "forged": forged(SERVER),
    "another name": leaf(parent=ISSUER, dns=("other.test",)),
    "self-signed": leaf(),
    "EC key": leaf(parent=ISSUER, kind="p256"),
    "small key": leaf(parent=ISSUER, kind="rsa-1024"),
    "no server": leaf(parent=ISSUER, usages=(), critical_unknown=True),
    "under no CA": leaf(parent=leaf("not a CA", parent=ROOT, number=6)),
    "path too long": leaf(
        parent=authority(
            "deep", parent=authority("shallow", parent=ROOT, path_length=0, number=7)
        )
    ),
    "expired issuer": leaf(
        parent=authority("past", parent=ROOT, not_after=PAST, number=8)
    ),
}


@pytest.mark.parametrize("name", CHAINS)
@pytest.mark.parametrize("anchor", ["root", "issuer", "leaf", "other", "none"])
@pytest.mark.parametrize("level", [0, 2])
def test_the_verdict_needs_no_key(name: str, anchor: str, level: int) -> None:
    """The first flight alone gives the failure that the whole handshake gives."""
    issued = CHAINS[name]
    anchors = {
        "root": (ROOT.certificate,),
        "issuer": issued.above[:1],
        "leaf": (issued.certificate,),
        "other": (NEW_ROOT.certificate,),
        "none": (),
    }[anchor]
    device = side(rules=TlsRules(security_level=level))
    device = replace(device, bundle=TrustBundle.of(anchors))
    verdict = certificate_verdict(CONTEXTS, device, issued.chain)
    if not anchors:
        assert verdict is not None
        assert verdict.kind == Kind.DEVICE_NO_TRUST
        return
    assert whole(device, server(issued)).failure == verdict


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(sorted(CHAINS)),
    unix_s=st.integers(0, 0xFFFFFFFF),
    host=st.sampled_from(
        ["storage.test", "127.0.0.1", "::1", "other.test", "localhost"]
    ),
    anchored_at=st.integers(0, 2),
    is_whole=st.booleans(),
)
def test_the_verdict_needs_no_key_at_any_date_for_any_host(
    name: str, unix_s: int, host: str, anchored_at: int, is_whole: bool
) -> None:
    """Dates, hosts, anchors and missing intermediates: both ways agree."""
    issued = CHAINS[name]
    path = (issued.certificate, *issued.above)
    anchor = path[min(anchored_at, len(path) - 1)]
    chain = issued.chain if is_whole else issued.chain[:1]
    device = replace(side(host=host, unix_s=unix_s), bundle=TrustBundle.of((anchor,)))
    verdict = certificate_verdict(CONTEXTS, device, chain)
    assert whole(device, server(issued, chain)).failure == verdict


def test_a_long_chain_needs_several_records() -> None:
    """What does not fit into one TLS record is cut as TLS cuts it."""
    padding = tuple(authority(f"padding {n}").certificate for n in range(40))
    assert certificate_verdict(CONTEXTS, side(), (*SERVER.chain, *padding)) is None


@pytest.mark.parametrize(
    ("suites", "tls", "kind", "refusal"),
    [
        (("AES128-SHA",), server(), "", ""),
        (
            ("AES128-SHA",),
            server(cipher_list="AES256-SHA"),
            "tls.alert.handshake_failure",
            "tls.no_shared_cipher",
        ),
        (
            ("AES128-SHA",),
            server(min_version="TLSv1.3"),
            "tls.alert.protocol_version",
            "tls.protocol",
        ),
        (
            ("AES128-SHA",),
            server(leaf(parent=ISSUER, key_encipherment=False)),
            "tls.verify.invalid_purpose",
            "",
        ),
        (
            ("AES128-SHA",),
            server(
                client_cas=(DEVICE_CA.certificate, ROOT.certificate),
                require_client_certificate=True,
            ),
            "tls.alert.handshake_failure",
            "tls.verify.no_peer_certificate",
        ),
    ],
    ids=["good", "ciphers", "version", "key usage", "no client certificate"],
)
def test_a_group_fails_as_on_the_network(
    suites: tuple[str, ...], tls: ServerTls, kind: str, refusal: str
) -> None:
    """The device sees the alert; the server's own words are kept beside it."""
    reach = whole(side(), tls, CipherGroup("group 1", suites))
    assert (reach.failure.kind if reach.failure else "") == kind
    assert (reach.refusal.kind if reach.refusal else "") == refusal
    assert (reach.suite == "AES128-SHA") is (not kind)


def test_a_device_certificate_that_cannot_be_used_is_a_failure() -> None:
    """A key of another certificate is data, not an exception."""
    own = leaf("device", parent=DEVICE_CA, number=40)
    wrong = replace(identity_of(own), key=leaf(number=41).key)
    reach = whole(side(identity=wrong), server())
    assert reach.failure is not None
    assert reach.failure.kind == Kind.TLS_OWN_CERTIFICATE


def test_an_endpoint_that_is_no_name_is_bad_input() -> None:
    """A mistake of whoever asks is no failure of a device."""
    with pytest.raises(InputError, match="host"):
        whole(side(host="a" * 300), server())


def test_one_group_is_enough() -> None:
    """A device reaches a server when any of its groups does."""
    good = GroupReach(group="b", failure=None)
    bad = whole(side(NEW_ROOT), server())
    assert Reach((bad, good)).ok
    assert Reach((bad, good)).first_failure == bad.failure
    assert not Reach((bad,)).ok
    assert Reach((good,)).first_failure is None
