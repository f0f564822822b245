from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from fleetsim.exceptions import InputError
from fleetsim.pki.certificates import Validity
from fleetsim.pki.crl import Reason, Revocation, build_crl
from tests.pki.conftest import NOW, Hierarchy

WEEK = Validity.lasting(NOW, 7 * 86400)


def test_empty_list(hierarchy: Hierarchy) -> None:
    """A list without entries is signed, numbered and dated."""
    crl = build_crl(hierarchy.devices, [], number=5, validity=WEEK)
    key = hierarchy.devices.key.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert crl.is_signature_valid(key)
    assert len(crl) == 0
    assert crl.issuer == hierarchy.devices.certificate.subject
    assert crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number == 5
    assert crl.last_update_utc == NOW
    assert crl.next_update_utc == NOW + timedelta(days=7)


@pytest.mark.parametrize("reason", Reason)
def test_reasons(hierarchy: Hierarchy, reason: Reason) -> None:
    """Each reason stands in the list, except ``unspecified``, which is left out."""
    moment = NOW - timedelta(hours=1)
    crl = build_crl(
        hierarchy.devices, [Revocation(77, moment, reason)], number=1, validity=WEEK
    )
    entry = crl.get_revoked_certificate_by_serial_number(77)
    assert entry is not None
    assert entry.revocation_date_utc == moment
    written = [each.value for each in entry.extensions]
    if reason is Reason.UNSPECIFIED:
        assert written == []
    else:
        (value,) = written
        assert isinstance(value, x509.CRLReason)
        assert value.reason.value.lower() == reason.value.lower()


def test_a_lifted_hold_is_absent_from_the_next_list(hierarchy: Hierarchy) -> None:
    """Leaving a certificate out of the next full list takes the revocation back."""
    held = Revocation(77, NOW, Reason.CERTIFICATE_HOLD)
    first = build_crl(hierarchy.devices, [held], number=1, validity=WEEK)
    second = build_crl(hierarchy.devices, [], number=2, validity=WEEK)
    assert first.get_revoked_certificate_by_serial_number(77) is not None
    assert second.get_revoked_certificate_by_serial_number(77) is None


def test_expired_list(hierarchy: Hierarchy) -> None:
    """A list whose next update has passed can be made."""
    past = Validity.lasting(NOW, 86400, starts_in_s=-2 * 86400)
    crl = build_crl(hierarchy.devices, [], number=1, validity=past)
    assert crl.next_update_utc is not None
    assert crl.next_update_utc < NOW


def test_impossible_lists_are_refused_with_all_problems(hierarchy: Hierarchy) -> None:
    """Negative number, no time at all, repeated and zero serials are reported together."""
    twice = [Revocation(255, NOW), Revocation(255, NOW), Revocation(0, NOW)]
    with pytest.raises(InputError) as caught:
        build_crl(
            hierarchy.devices, twice, number=-1, validity=Validity.lasting(NOW, 0)
        )
    assert len(caught.value.problems) == 4
    assert "serial ff: is revoked twice" in str(caught.value)
