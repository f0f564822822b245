"""Maintenance may happen, decisions stand: which authorities a renewal comes under."""

from dataclasses import replace

import pytest

from fleetsim.core.trust_bundle import TrustBundle
from fleetsim.forecast.handshakes import certificate_verdict
from fleetsim.forecast.reacher import Reacher
from fleetsim.forecast.renewal import (
    StandIns,
    anchors_above,
    authorities_above,
    has_lasting_anchor,
    is_complete,
    with_renewed_lists,
)
from fleetsim.transport.tls_context import ClientContexts
from tests.forecast.fleet import (
    DEVICE_CA,
    ISSUER,
    NEW_ISSUER,
    NEW_ROOT,
    NEW_SERVER,
    NOW,
    ROOT,
    SERVER,
    server,
    side,
)
from tests.transport.certificates import FUTURE, PAST, Issued, authority, crl, leaf

CROSS = authority("New Root", parent=ROOT, number=3)
RENEWED_ROOT = authority("Old Root", number=1, not_before=PAST)
SAME_NAME = authority("Old Root", number=9)


def trusting(*anchors: Issued) -> TrustBundle:
    """A bundle of these."""
    return TrustBundle.of(one.certificate for one in anchors)


def test_authorities_are_found_by_signature() -> None:
    """Issuer and root, sent or known; neither the leaf nor a namesake."""
    known = (ROOT.certificate, SAME_NAME.certificate, NEW_ROOT.certificate)
    above = authorities_above(SERVER.chain, known)
    assert above == (ISSUER.certificate, ROOT.certificate)


@pytest.mark.parametrize(
    ("chain", "bundle", "known", "is_trusted"),
    [
        (SERVER, trusting(ROOT), (), True),
        (SERVER, trusting(ISSUER), (), True),
        (SERVER, trusting(SERVER), (), False),
        (SERVER, trusting(NEW_ROOT), (), False),
        (SERVER, trusting(SAME_NAME), (), False),
        (SERVER, trusting(RENEWED_ROOT), (), True),
        (NEW_SERVER, trusting(ROOT), (), False),
        (NEW_SERVER, trusting(ROOT), (CROSS,), True),
        (
            NEW_SERVER,
            trusting(authority("Old Root", number=1, not_after=PAST)),
            (),
            False,
        ),
        (SERVER, trusting(authority("Old Root", number=1, not_after=PAST)), (), False),
        (
            SERVER,
            trusting(authority("Old Root", number=1, not_before=FUTURE)),
            (),
            False,
        ),
    ],
    ids=[
        "root",
        "issuer",
        "leaf only",
        "other root",
        "same name, other key",
        "same key, other dates",
        "new CA",
        "new CA, cross-signed",
        "new CA, expired root",
        "expired root",
        "root of the future",
    ],
)
def test_who_would_trust_a_renewed_certificate(
    chain: Issued, bundle: TrustBundle, known: tuple[Issued, ...], is_trusted: bool
) -> None:
    """Whoever has a valid certificate of an authority above the leaf."""
    certificates = [one.certificate for one in known]
    assert has_lasting_anchor(chain.chain, bundle, certificates, [NOW]) is is_trusted


def test_an_expired_anchor_still_stands_above() -> None:
    """It is found, and does not last."""
    expired = authority("Old Root", number=1, not_after=PAST)
    bundle = trusting(expired)
    assert anchors_above(SERVER.chain, bundle, ()) == (expired.certificate,)
    assert not has_lasting_anchor(SERVER.chain, bundle, (), [NOW])
    past = int(PAST.timestamp()) - 1
    assert has_lasting_anchor(SERVER.chain, bundle, (), [NOW, past])


@pytest.mark.parametrize(
    ("chain", "known", "expected"),
    [
        (SERVER.chain, (), True),
        (SERVER.chain[:1], (), False),
        (SERVER.chain[:1], (ISSUER.certificate,), True),
        (leaf().chain, (), True),
    ],
    ids=["whole", "leaf only", "leaf only, issuer known", "self-signed"],
)
def test_a_leaf_whose_issuer_nobody_knows_proves_nothing(
    chain: tuple[object, ...], known: tuple[object, ...], expected: bool
) -> None:
    """Where a renewal would stand cannot be said then."""
    assert is_complete(chain, known) is expected  # type: ignore[arg-type]  # a table of certificates


@pytest.mark.parametrize(
    "issued",
    [
        leaf(parent=ISSUER, not_after=PAST),
        leaf(parent=ISSUER, dns=("other.test",)),
        leaf(parent=ISSUER, kind="p256", not_before=FUTURE),
        leaf(parent=NEW_ISSUER),
        leaf(not_after=PAST),
    ],
    ids=["expired", "another name", "EC of the future", "another CA", "self-signed"],
)
@pytest.mark.parametrize("host", ["storage.test", "10.1.2.3", "::1", "bücher.example"])
def test_a_stand_in_is_trusted_at_any_time_for_any_host(
    issued: Issued, host: str
) -> None:
    """Nothing is left of the certificate's own faults."""
    stand_in = StandIns().server(server(issued), host)
    for unix_s in (1, NOW, 0xFFFFFFFF):
        device = replace(side(host=host, unix_s=unix_s), bundle=stand_in.bundle)
        chain = stand_in.server.certificates[0].chain
        assert certificate_verdict(ClientContexts(), device, chain) is None


@pytest.mark.parametrize(
    ("issued", "connects"),
    [
        (SERVER, (True, True)),
        (leaf(parent=ISSUER, key_encipherment=False), (False, True)),
        (leaf(parent=ISSUER, kind="p256"), (False, False)),
    ],
    ids=["RSA", "RSA for signatures", "EC"],
)
def test_a_stand_in_has_the_kind_of_key_it_stands_for(
    issued: Issued, connects: tuple[bool, ...]
) -> None:
    """Renewal is in kind: key type and key usage are the issuer's policy."""
    reacher = Reacher()
    stand_in = StandIns().server(server(issued), "storage.test")
    of_a_file = StandIns().certificate(issued.certificate, "storage.test")
    for bundle, tls in (
        (stand_in.bundle, stand_in.server),
        (of_a_file.bundle, replace(server(), certificates=(of_a_file.certificate,))),
    ):
        device = replace(side(), bundle=bundle)
        # The last suite of group 2 needs a signature only.
        reach = reacher.reach(device, replace(tls, max_version="TLSv1.2"), NOW)
        assert tuple(each.failure is None for each in reach.groups)[:1] == connects[:1]


def test_a_list_is_renewed_with_its_entries() -> None:
    """Whom a list names stays refused; for others an expired list is mended."""
    mine = leaf("00000001", parent=DEVICE_CA, number=30).certificate
    other = leaf("00000002", parent=DEVICE_CA, number=31).certificate
    tls = server(
        client_cas=(DEVICE_CA.certificate,),
        check_crl=True,
        crls=(crl(DEVICE_CA, [mine], next_update=PAST),),
    )
    assert with_renewed_lists(tls, mine) == tls
    assert not with_renewed_lists(tls, other).check_crl
    assert with_renewed_lists(tls, None) == tls
