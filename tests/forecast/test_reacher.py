"""What a group connects to: the same fresh or kept, with the server's key or without."""

from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetsim.core.settings import TlsRules
from fleetsim.core.trust_bundle import TrustBundle
from fleetsim.forecast.handshakes import try_group
from fleetsim.forecast.reacher import Reacher
from fleetsim.transport.tls_context import ClientContexts
from fleetsim.transport.tls_server import ServerContext, ServerTls
from tests.core.certificates import make_certificate
from tests.forecast.fleet import (
    DEVICE_CA,
    GROUPS,
    ISSUER,
    NEW_ROOT,
    NEW_SERVER,
    NOW,
    ROOT,
    device,
    mutual,
    server,
    side,
)
from tests.transport.certificates import (
    EARLY,
    FUTURE,
    LATE,
    PAST,
    Issued,
    authority,
    crl,
    leaf,
)
from tests.transport.pumps import identity_of

OLD_ROOT_EXPIRED = authority("Old Root", number=1, not_after=PAST)
MINE = device()
IDENTITIES = (
    None,
    identity_of(MINE),
    identity_of(device("00000002", 31)),
    identity_of(device("00000003", 32, not_after=PAST)),
    identity_of(device("00000004", 33, parent=NEW_ROOT)),
)
SERVERS = (
    server(),
    server(NEW_SERVER),
    server(leaf(parent=ISSUER, not_after=PAST)),
    server(leaf(parent=ISSUER, kind="p256")),
    mutual(),
    mutual(MINE),
    mutual(crls=(crl(DEVICE_CA, next_update=PAST), crl(ROOT))),
)
SHARED = Reacher()


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(
    anchors=st.lists(
        st.sampled_from([ROOT, NEW_ROOT, OLD_ROOT_EXPIRED]), max_size=2, unique=True
    ),
    tls=st.sampled_from(SERVERS),
    identity=st.sampled_from(IDENTITIES),
    unix_s=st.sampled_from(
        [
            int(moment.timestamp()) + off
            for moment in (EARLY, PAST, FUTURE, LATE)
            for off in (-1, 0, 1)
        ]
    )
    | st.integers(0, 0xFFFFFFFF),
    server_unix_s=st.integers(0, 0xFFFFFFFF),
)
def test_a_kept_result_is_the_fresh_one(
    anchors: list[Issued],
    tls: ServerTls,
    identity: Any,
    unix_s: int,
    server_unix_s: int,
) -> None:
    """Whatever was asked before, the answer is that of a handshake made now."""
    looked_at = side(unix_s=unix_s, identity=identity)
    looked_at = replace(
        looked_at, bundle=TrustBundle.of(one.certificate for one in anchors)
    )
    if not anchors:
        assert not SHARED.reach(looked_at, tls, server_unix_s).ok
        return
    context = ServerContext(tls)
    fresh = tuple(
        try_group(ClientContexts(), looked_at, group, context.connection(server_unix_s))
        for group in GROUPS
    )
    assert SHARED.reach(looked_at, tls, server_unix_s).groups == fresh


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(
    tls=st.sampled_from(SERVERS[:4]),
    anchor=st.sampled_from([ROOT, NEW_ROOT, OLD_ROOT_EXPIRED]),
    unix_s=st.integers(0, 0xFFFFFFFF),
)
def test_without_the_key_the_reach_is_the_same(
    tls: ServerTls, anchor: Issued, unix_s: int
) -> None:
    """A forecast from a chain file is the one that the server's owner would get."""
    looked_at = side(anchor, unix_s=unix_s)
    chain = tls.certificates[0].chain
    of_the_owner = SHARED.reach(looked_at, tls, unix_s)
    assert SHARED.reach_chain(looked_at, chain, tls) == of_the_owner


def test_a_chain_whose_kind_of_key_is_unknown_is_reached_by_nobody() -> None:
    """No suite of a device goes with it, and no stand-in can be made."""
    made = make_certificate("ed", key="ed25519")
    assert isinstance(made.public_key(), ed25519.Ed25519PublicKey)
    reach = Reacher().reach_chain(side(), (made,), server())
    assert {each.failure.kind for each in reach.groups if each.failure} == {
        "tls.no_shared_cipher"
    }


def test_rules_of_the_device_are_obeyed() -> None:
    """A profile that checks less reaches more."""
    lax = TlsRules(check_host=False)
    wrong = leaf(dns=("other.test",), parent=ISSUER)
    assert SHARED.reach(side(rules=lax), server(wrong), NOW).ok
    assert not SHARED.reach(side(), server(wrong), NOW).ok
