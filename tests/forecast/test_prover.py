"""Stranded is proved, never guessed: every way back is looked for first."""

import datetime as dt
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetsim.core.settings import (
    AdvanceOn,
    ClockRules,
    ClockSync,
    FallbackPolicy,
    GroupMemory,
    TlsRules,
)
from fleetsim.core.trust_bundle import TrustBundle
from fleetsim.forecast.handshakes import ClientSide, try_group
from fleetsim.forecast.prover import (
    HORIZON_S,
    KEY_WORDS,
    DeviceView,
    Front,
    Prover,
    certificates_of,
    view_of,
)
from fleetsim.transport.tls_context import ClientContexts
from fleetsim.transport.tls_server import ServerContext, ServerTls
from tests.core.certificates import make_certificate
from tests.core.conversation import EPOCH_S, S, make_device, make_settings
from tests.forecast.fleet import (
    DEVICE_CA,
    GROUPS,
    ISSUER,
    NEW_ISSUER,
    NEW_ROOT,
    NEW_SERVER,
    NOW,
    ROOT,
    SERVER,
    fronts,
    server,
    side,
    view,
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

DAY_S = 86_400
OLD_ROOT_EXPIRED = authority("Old Root", number=1, not_after=PAST)
CROSS = authority("New Root", parent=ROOT, number=3)


def device(name: str = "00000001", number: int = 30, **changes: Any) -> Issued:
    """A device certificate."""
    values: dict[str, Any] = {"parent": DEVICE_CA, "dns": (), "addresses": ()}
    return leaf(name, number=number, **(values | changes))


def mutual(*revoked: Issued, **changes: Any) -> ServerTls:
    """A server that wants client certificates and checks the list."""
    values: dict[str, Any] = {
        "client_cas": (DEVICE_CA.certificate, ROOT.certificate),
        "require_client_certificate": True,
        "check_crl": True,
        "crls": (crl(DEVICE_CA, [one.certificate for one in revoked]), crl(ROOT)),
    }
    return server(**(values | changes))


MINE = device()


def soon(days: int) -> dt.datetime:
    """A date this many days ahead."""
    return dt.datetime.fromtimestamp(NOW + days * DAY_S, dt.UTC)


@pytest.mark.parametrize(
    ("looked_at", "tls", "words"),
    [
        (view(), server(), None),
        (view(NEW_ROOT), server(), "unable_to_get_issuer_cert_locally"),
        (view(), server(NEW_SERVER), "by CN=New Root"),
        (view(host="other.test"), server(), None),
        (view(), server(leaf(parent=ISSUER, not_after=PAST)), None),
        (view(), server(leaf(parent=ISSUER, not_before=soon(10))), None),
        (view(), server(chain=SERVER.chain[:1]), None),
        (view(OLD_ROOT_EXPIRED), server(), "cert_has_expired"),
        (view(authority("Old Root", number=1, not_before=soon(10))), server(), None),
        (
            view(authority("Old Root", number=1, not_before=soon(40))),
            server(),
            "cert_not_yet_valid",
        ),
        (view(SERVER), server(), None),
        (
            view(leaf(parent=ISSUER, not_after=PAST)),
            server(leaf(parent=ISSUER, not_after=PAST)),
            "unable_to_get_issuer_cert_locally",
        ),
        (view(), server(leaf(parent=ISSUER, kind="p256")), "no shared cipher"),
        (view(), server(cipher_list="AES256-SHA"), "no shared cipher"),
        (view(), server(min_version="TLSv1.3"), "protocol_version"),
        (view(bundle=TrustBundle.of(())), server(), "its bundle is empty"),
        (view(identity=identity_of(MINE)), mutual(), None),
        (view(identity=identity_of(MINE)), mutual(MINE), "and revoked"),
        (view(identity=identity_of(device("2", 31))), mutual(MINE), None),
        (
            view(identity=identity_of(MINE)),
            mutual(crls=(crl(DEVICE_CA, next_update=PAST), crl(ROOT))),
            None,
        ),
        (view(identity=identity_of(MINE)), mutual(crls=()), None),
        (
            view(identity=identity_of(device(not_after=PAST))),
            mutual(),
            "the server: certificate has expired",
        ),
        (view(identity=identity_of(device(not_before=soon(5)))), mutual(), None),
        (
            view(identity=identity_of(device(parent=NEW_ROOT))),
            mutual(),
            "its own certificate is of CN=New Root",
        ),
        (view(), mutual(), "it presents no certificate"),
    ],
    ids=[
        "reached",
        "another root trusted",
        "another root served",
        "wrong name: can be renewed",
        "expired leaf: can be renewed",
        "leaf not valid yet: time mends it",
        "intermediate not sent and unknown: no proof",
        "trusted root expired",
        "trusted root begins soon: time mends it",
        "trusted root begins after the horizon",
        "pinned leaf",
        "pinned leaf expired",
        "EC key for RSA devices",
        "no suite in common",
        "no version in common",
        "empty bundle",
        "client certificate accepted",
        "client certificate revoked",
        "another one revoked",
        "list expired: can be renewed",
        "list missing: can be renewed",
        "client certificate expired",
        "client certificate not valid yet: time mends it",
        "client certificate of a foreign CA",
        "no client certificate",
    ],
)
def test_stranded_only_without_a_way_back(
    looked_at: DeviceView, tls: ServerTls, words: str | None
) -> None:
    """Each row is a way back that exists, or the check that closes the last one."""
    reason = Prover().stranded_reason(looked_at, fronts(tls), NOW)
    if words is None:
        assert reason is None
    else:
        assert reason is not None
        assert words in reason


@pytest.mark.parametrize(
    ("changes", "is_stranded"),
    [
        ({}, True),
        ({"rollback": (server(),)}, False),
        ({"rollback": (server(NEW_SERVER),)}, True),
        ({"known": (CROSS.certificate,)}, False),
        ({"known": (NEW_ROOT.certificate, ROOT.certificate)}, True),
    ],
    ids=["as it stands", "back to old", "back to new", "cross-signed", "known roots"],
)
def test_what_the_operator_may_do_is_said_by_the_caller(
    changes: dict[str, Any], is_stranded: bool
) -> None:
    """A roll-back counts if asked for; a cross-signed authority could be sent."""
    reason = Prover().stranded_reason(
        view(), fronts(server(NEW_SERVER)), NOW, **changes
    )
    assert (reason is not None) is is_stranded


def test_a_known_intermediate_makes_the_proof() -> None:
    """A leaf sent alone: what its issuer stands under decides, if that is known."""
    alone = fronts(server(NEW_SERVER, NEW_SERVER.chain[:1]))
    known = (NEW_ISSUER.certificate, NEW_ROOT.certificate)
    prover = Prover()
    assert prover.stranded_reason(view(), alone, NOW) is None
    assert prover.stranded_reason(view(), alone, NOW, known=known) is not None
    assert prover.stranded_reason(view(NEW_ROOT), alone, NOW, known=known) is None


def test_one_front_that_is_reached_is_enough() -> None:
    """All that stands at the endpoint counts, plain HTTP and nothing at all too."""
    prover = Prover()
    lost, found = server(NEW_SERVER), server()
    assert prover.stranded_reason(view(), fronts(lost, lost), NOW)
    assert prover.stranded_reason(view(), fronts(lost, found), NOW) is None
    plain = (*fronts(lost), Front(name="plain", tls=None))
    assert prover.stranded_reason(view(), plain, NOW) is None
    assert prover.stranded_reason(view(), (), NOW) is None


def test_a_plain_endpoint_needs_no_trust() -> None:
    """A device on HTTP is never stranded by certificates."""
    looked_at = replace(view(NEW_ROOT), is_tls=False)
    assert Prover().stranded_reason(looked_at, fronts(server()), NOW) is None


@pytest.mark.parametrize(
    ("skew_s", "sets_clock", "is_stranded"),
    [
        (900, False, False),
        (-900, False, False),
        (901, False, True),
        (-901, False, True),
        (-20 * 365 * DAY_S, False, True),
        (-20 * 365 * DAY_S, True, False),
    ],
)
@pytest.mark.parametrize("is_tls", [True, False])
def test_a_clock_that_nothing_sets_shuts_a_device_out(
    skew_s: int, sets_clock: bool, is_stranded: bool, is_tls: bool
) -> None:
    """More than 15 minutes off, every signed request is refused, whatever TLS says."""
    looked_at = replace(view(unix_s=NOW + skew_s), sets_clock=sets_clock, is_tls=is_tls)
    reason = Prover().stranded_reason(looked_at, fronts(server()), NOW)
    assert (reason is not None) is is_stranded
    if reason is not None:
        assert "nothing sets it" in reason


@pytest.mark.parametrize(
    ("accepted", "reason"),
    [(None, None), ({"NEW", "OLD"}, None), ({"NEW"}, KEY_WORDS), (set(), KEY_WORDS)],
)
def test_an_s3_key_that_is_gone_strands(
    accepted: set[str] | None, reason: str | None
) -> None:
    """Over-the-air checks are signed too; the key itself is never in the words."""
    looked_at = replace(view(), access_key="OLD")
    found = Prover().stranded_reason(
        looked_at, fronts(server()), NOW, accepted_keys=accepted
    )
    assert found == reason


def test_the_proof_names_anchors_chain_dates_and_the_check() -> None:
    """Whoever reads it can check it with openssl."""
    reason = Prover().stranded_reason(view(), fronts(server(NEW_SERVER)), NOW)
    assert reason is not None
    for words in (
        "front 1",
        "tls.verify.unable_to_get_issuer_cert_locally",
        "CN=server (2000-01-01 to 2100-01-01)",
        "under CN=New Issuer (2000-01-01 to 2100-01-01) by CN=New Root",
        "it trusts CN=Old Root (2000-01-01 to 2100-01-01)",
    ):
        assert words in reason


def test_devices_alike_cost_one_proof() -> None:
    """A thousand devices of one bundle, or of one batch of certificates, are one."""
    prover = Prover()
    lost = fronts(server(NEW_SERVER))
    prover.stranded_reason(view(), lost, NOW)
    once = prover.handshakes
    for second in range(100):
        looked_at = view(unix_s=NOW + second)
        prover.stranded_reason(looked_at, lost, NOW + second)
    assert prover.handshakes == once
    locked = fronts(mutual())
    prover.stranded_reason(view(identity=identity_of(MINE)), locked, NOW)
    once = prover.handshakes
    for number in range(31, 35):
        other = identity_of(device(f"{number:08X}", number))
        prover.stranded_reason(view(identity=other), locked, NOW)
    assert prover.handshakes == once


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
SHARED = Prover()


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
    assert SHARED.reach_chain(looked_at, chain, tls) == _plain(looked_at, tls)


def _plain(looked_at: ClientSide, tls: ServerTls) -> Any:
    return SHARED.reach(looked_at, tls, looked_at.unix_s)


def test_a_chain_whose_kind_of_key_is_unknown_is_reached_by_nobody() -> None:
    """No suite of a device goes with it, and no stand-in can be made."""
    made = make_certificate("ed", key="ed25519")
    assert isinstance(made.public_key(), ed25519.Ed25519PublicKey)
    reach = Prover().reach_chain(side(), (made,), server())
    assert {each.failure.kind for each in reach.groups if each.failure} == {
        "tls.no_shared_cipher"
    }


def test_the_horizon_is_a_month() -> None:
    """The last second that counts, and the first that does not."""
    for late_s, is_stranded in ((0, False), (1, True)):
        begins = dt.datetime.fromtimestamp(NOW + HORIZON_S + late_s, dt.UTC)
        looked_at = view(authority("Old Root", number=1, not_before=begins))
        reason = Prover().stranded_reason(looked_at, fronts(server()), NOW)
        assert (reason is not None) is is_stranded


def test_what_a_server_sends_beside_its_leaf() -> None:
    """Authorities that a caller may pass as known."""
    assert certificates_of((server(), server(NEW_SERVER), server())) == (
        ISSUER.certificate,
        NEW_ISSUER.certificate,
    )


@pytest.mark.parametrize(
    ("fallback", "position", "groups"),
    [
        (FallbackPolicy(), 2, (1, 2, 3)),
        (FallbackPolicy(memory=GroupMemory.FOREVER), 1, (2, 3)),
        (FallbackPolicy(memory=GroupMemory.CONNECTION), 2, (1, 2, 3)),
        (FallbackPolicy(advance_on=AdvanceOn.NEVER), 0, (1,)),
    ],
    ids=["power cycle", "forever", "connection", "never"],
)
def test_a_device_is_seen_with_the_groups_it_can_still_offer(
    fallback: FallbackPolicy, position: int, groups: tuple[int, ...]
) -> None:
    """A power cycle brings the first group back, unless the device never forgets."""
    bundle = TrustBundle.of((ROOT.certificate,))
    made = make_device(make_settings(fallback=fallback), bundle=bundle, skew_s=7)
    made.position = position
    seen = view_of(made, identity_of(MINE), 5 * S)
    assert [group.name for group in seen.side.groups] == [f"group {n}" for n in groups]
    assert (seen.side.bundle, seen.side.host) == (bundle, "lab.test")
    assert seen.side.unix_s == EPOCH_S + 5 + 7
    assert seen.side.identity == identity_of(MINE)
    assert (seen.is_tls, seen.sets_clock) == (True, False)
    assert seen.access_key == "AKIDEXAMPLE"


def test_a_device_on_http_that_sets_its_clock_is_seen_so() -> None:
    """The scheme of its endpoint, the clock rule of its profile."""
    clock = ClockRules(sync=ClockSync.WHEN_CONNECTED)
    made = make_device(make_settings(scheme="http", clock=clock))
    seen = view_of(made, None, 0)
    assert (seen.is_tls, seen.sets_clock) == (False, True)


def test_rules_of_the_device_are_obeyed() -> None:
    """A profile that checks less reaches more."""
    lax = TlsRules(check_host=False)
    wrong = leaf(dns=("other.test",), parent=ISSUER)
    assert SHARED.reach(side(rules=lax), server(wrong), NOW).ok
    assert not SHARED.reach(side(), server(wrong), NOW).ok
