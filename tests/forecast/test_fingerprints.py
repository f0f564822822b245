"""Handshakes that may come out differently never share a fingerprint."""

from dataclasses import replace
from typing import Any

import pytest

from fleetsim.forecast.fingerprints import (
    class_of,
    dates_of,
    fingerprint_of,
    interval_of,
    is_revoked,
    is_signed_by,
    is_valid_at,
    kind_of_key,
    server_dates,
)
from fleetsim.transport.tls_server import ServerTls
from tests.forecast.fleet import DEVICE_CA, NEW_ROOT, ROOT, SERVER, server
from tests.transport.certificates import (
    EARLY,
    FUTURE,
    LATE,
    PAST,
    Issued,
    crl,
    forged,
    leaf,
)
from tests.transport.pumps import identity_of

PLAIN = server()
MUTUAL = server(
    client_cas=(DEVICE_CA.certificate, ROOT.certificate),
    require_client_certificate=True,
    check_crl=True,
    crls=(crl(DEVICE_CA), crl(ROOT)),
)


def device(name: str, number: int = 30, **changes: Any) -> Issued:
    """A device certificate."""
    values: dict[str, Any] = {"parent": DEVICE_CA, "dns": (), "addresses": ()}
    return leaf(name, number=number, **(values | changes))


@pytest.mark.parametrize(
    "changed",
    [
        server(leaf(parent=ROOT)),
        server(chain=SERVER.chain[:1]),
        replace(PLAIN, cipher_list="AES128-SHA"),
        replace(PLAIN, max_version="TLSv1.2"),
        replace(PLAIN, curves="P-256"),
        replace(PLAIN, prefer_server_ciphers=True),
        replace(PLAIN, dh_bits=0),
        MUTUAL,
        replace(MUTUAL, check_crl=False),
        replace(MUTUAL, crls=(crl(DEVICE_CA),)),
    ],
)
def test_every_visible_change_of_a_server_shows(changed: ServerTls) -> None:
    """A swap of anything a client can notice is a new fingerprint."""
    assert fingerprint_of(changed) != fingerprint_of(PLAIN)
    if changed is not MUTUAL:
        assert fingerprint_of(changed) != fingerprint_of(MUTUAL)


def test_a_server_read_again_is_the_same() -> None:
    """Two values of the same content have one fingerprint."""
    assert fingerprint_of(server()) == fingerprint_of(PLAIN)


@pytest.mark.parametrize(
    ("other", "is_alike"),
    [
        (device("00000002", 31), True),
        (device("00000002", 31, not_after=FUTURE), False),
        (device("00000002", 31, usages=()), False),
        (device("00000002", 31, kind="p256"), False),
        (device("00000002", 31, kind="rsa-1024"), False),
        (device("00000002", 31, key_encipherment=False), False),
        (device("00000002", 31, parent=ROOT), False),
        (device("00000002", 31, critical_unknown=True), False),
        (forged(device("00000002", 31)), False),
    ],
    ids=[
        "another holder",
        "dates",
        "usage",
        "key type",
        "key size",
        "key usage",
        "issuer",
        "extension",
        "signature",
    ],
)
def test_devices_alike_are_alike_to_a_server(other: Issued, is_alike: bool) -> None:
    """Subject, serial number and key value make no difference, all else does."""
    mine = class_of(identity_of(device("00000001")), MUTUAL)
    assert (class_of(identity_of(other), MUTUAL) == mine) is is_alike


def test_a_list_that_names_one_tells_it_from_the_others() -> None:
    """A revoked device is in a class of its own, by the list of its own issuer only."""
    first, second = device("00000001"), device("00000002", 31)
    revoking = replace(MUTUAL, crls=(crl(DEVICE_CA, [first.certificate]),))
    assert class_of(identity_of(first), revoking) != class_of(
        identity_of(second), revoking
    )
    other = crl(NEW_ROOT, [first.certificate])
    assert not is_revoked(first.certificate, (other,))


def test_dates_are_those_at_which_something_may_change() -> None:
    """Every beginning, every last second and the second after it."""
    one = leaf(parent=ROOT, not_before=PAST, not_after=FUTURE).certificate
    past, future = int(PAST.timestamp()), int(FUTURE.timestamp())
    assert dates_of((one,)) == (past, future, future + 1)
    assert [interval_of(dates_of((one,)), at) for at in (past - 1, past)] == [0, 1]
    assert [is_valid_at(one, at) for at in (past - 1, past, future, future + 1)] == [
        False,
        True,
        True,
        False,
    ]


def test_a_servers_verdict_depends_on_its_lists_too() -> None:
    """Dates of lists, of client authorities and of the client."""
    listed = replace(
        MUTUAL, crls=(crl(DEVICE_CA, last_update=PAST, next_update=FUTURE),)
    )
    dates = server_dates(listed, identity_of(device("00000001")))
    wanted = {int(moment.timestamp()) for moment in (EARLY, PAST, FUTURE, LATE)}
    assert wanted <= set(dates)


@pytest.mark.parametrize(
    ("kind", "text"),
    [("rsa-2048", "RSA 2048"), ("rsa-1024", "RSA 1024"), ("p256", "EC secp256r1")],
)
def test_kinds_of_keys_have_names(kind: str, text: str) -> None:
    """Type and size, as people write them."""
    assert kind_of_key(leaf(kind=kind).certificate) == text


def test_a_signature_is_by_name_and_key() -> None:
    """Neither a name nor a key alone makes an issuer."""
    assert is_signed_by(SERVER.certificate, SERVER.above[0])
    assert not is_signed_by(SERVER.certificate, ROOT.certificate)
    assert not is_signed_by(forged(SERVER).certificate, SERVER.above[0])
