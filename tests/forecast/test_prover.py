"""Stranded is proved, never guessed: every way back is looked for first."""

import datetime as dt
from dataclasses import replace
from typing import Any

import pytest

from fleetsim.core.trust_bundle import TrustBundle
from fleetsim.forecast.prover import (
    HORIZON_S,
    KEY_WORDS,
    DeviceView,
    Front,
    Prover,
    certificates_of,
)
from fleetsim.transport.tls_server import ServerTls
from tests.forecast.fleet import (
    DEVICE_CA,
    ISSUER,
    NEW_ISSUER,
    NEW_ROOT,
    NEW_SERVER,
    NOW,
    ROOT,
    SERVER,
    device,
    fronts,
    mutual,
    server,
    view,
)
from tests.transport.certificates import (
    PAST,
    authority,
    crl,
    leaf,
)
from tests.transport.pumps import identity_of

DAY_S = 86_400
OLD_ROOT_EXPIRED = authority("Old Root", number=1, not_after=PAST)
CROSS = authority("New Root", parent=ROOT, number=3)
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
