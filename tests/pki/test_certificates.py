from datetime import UTC, datetime, timedelta, timezone

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from fleetsim.exceptions import InputError
from fleetsim.pki.certificates import (
    Usage,
    Validity,
    authority_key_identifier,
    certificates_pem,
    extended_key_usage,
    leaf_key_usage,
    parse_certificates_pem,
    random_serial,
    seeded_serials,
    sign_certificate,
    validity_of,
)
from fleetsim.pki.keys import KeyType, generate_key
from fleetsim.pki.names import subject
from tests.pki.conftest import NOW, Hierarchy

SERIAL_MAX = 2**159 - 1  # 20 octets, positive: RFC 5280 4.1.2.2


def test_validity_cuts_fractions_off() -> None:
    """Certificates know whole seconds: a lifetime counts from the second's start."""
    validity = Validity.lasting(NOW + timedelta(microseconds=900_000), 5)
    assert validity.not_before == NOW
    assert validity.not_after == NOW + timedelta(seconds=5)


def test_validity_is_kept_in_utc() -> None:
    """Times in another zone are the same moment in UTC."""
    east = NOW.astimezone(timezone(timedelta(hours=9)))
    assert Validity.lasting(east, 1).not_before.utcoffset() == timedelta(0)
    assert Validity.lasting(east, 1) == Validity.lasting(NOW, 1)


@pytest.mark.parametrize(
    ("starts_in_s", "lifetime_s", "is_valid_now"),
    [
        pytest.param(0, 0, False, id="never"),
        pytest.param(0, 1, True, id="one-second"),
        pytest.param(-10, 10, False, id="just-expired"),
        pytest.param(-10, 11, True, id="last-second"),
        pytest.param(1, 10, False, id="not-yet"),
    ],
)
def test_validity_may_be_past_or_future(
    starts_in_s: float, lifetime_s: float, is_valid_now: bool
) -> None:
    """The start belongs to the period, the end does not, as OpenSSL reads them."""
    validity = Validity.lasting(NOW, lifetime_s, starts_in_s=starts_in_s)
    assert validity.contains(NOW) is is_valid_now


@pytest.mark.parametrize(
    "lifetime_s",
    [
        pytest.param(-1, id="negative"),
        pytest.param(float("nan"), id="nan"),
        pytest.param(float("inf"), id="infinite"),
        pytest.param(1e12, id="after-9999"),
    ],
)
def test_absurd_lifetimes_are_refused(lifetime_s: float) -> None:
    """A lifetime that no certificate can express is bad input."""
    with pytest.raises(InputError, match="validity"):
        Validity.lasting(NOW, lifetime_s)


def test_naive_times_are_refused() -> None:
    """A time without zone is ambiguous and refused."""
    naive = NOW.replace(tzinfo=None)
    with pytest.raises(InputError, match="time zone"):
        Validity(naive, NOW)


@given(
    st.datetimes(datetime(1950, 1, 2), datetime(9990, 1, 1)),  # noqa: DTZ001 - hypothesis wants naive bounds
    st.integers(0, 10**8),
)
def test_validity_survives_the_certificate(moment: datetime, lifetime_s: int) -> None:
    """Whatever period is asked for stands in the certificate, over 2049 too."""
    validity = Validity.lasting(moment.replace(tzinfo=UTC), lifetime_s)
    certificate = sign_certificate(
        subject_name=subject("x"),
        public_key=_KEY.public_key(),
        issuer_name=subject("x"),
        issuer_key=_KEY,
        validity=validity,
        serial=1,
        extensions=(),
    )
    assert validity_of(certificate) == validity


_KEY = generate_key(KeyType.P256)


def test_seeded_serials_repeat() -> None:
    """Same seed, same serial numbers; another seed, others."""
    first, again, other = seeded_serials(7), seeded_serials(7), seeded_serials(8)
    numbers = [first() for _ in range(100)]
    assert numbers == [again() for _ in range(100)]
    assert not set(numbers) & {other() for _ in range(100)}


@given(st.integers())
def test_seeded_serials_are_long_and_positive(seed: int) -> None:
    """A serial has more than 64 bits, is positive and fits 20 octets."""
    draw = seeded_serials(seed)
    for _ in range(5):
        assert 2**64 < draw() <= SERIAL_MAX


def test_random_serials_do_not_repeat() -> None:
    """Serial numbers without a seed differ and fit 20 octets."""
    numbers = {random_serial() for _ in range(1000)}
    assert len(numbers) == 1000
    assert all(0 < each <= SERIAL_MAX for each in numbers)


@pytest.mark.parametrize(
    ("key_type", "with_key_encipherment", "expected"),
    [
        pytest.param(KeyType.RSA_1024, True, True, id="rsa"),
        pytest.param(KeyType.RSA_1024, False, False, id="rsa-switched-off"),
        pytest.param(KeyType.P256, True, False, id="ec-cannot"),
    ],
)
def test_key_encipherment_is_for_rsa(
    key_type: KeyType, with_key_encipherment: bool, expected: bool
) -> None:
    """Only RSA leaves decipher premaster secrets, unless switched off."""
    key = generate_key(key_type).public_key()
    usage, critical = leaf_key_usage(key, with_key_encipherment=with_key_encipherment)
    assert isinstance(usage, x509.KeyUsage)
    assert critical
    assert usage.digital_signature
    assert usage.key_encipherment is expected
    assert not usage.key_cert_sign


def test_no_usages_make_no_extension() -> None:
    """An empty extended key usage must be absent: RFC 5280 wants at least one."""
    assert extended_key_usage(()) == ()
    assert len(extended_key_usage((Usage.SERVER_AUTH, Usage.CLIENT_AUTH))) == 1


def test_authority_key_identifier_without_subject_key_identifier() -> None:
    """An issuer without an identifier of its own is pointed to by its key's hash."""
    bare = sign_certificate(
        subject_name=subject("old"),
        public_key=_KEY.public_key(),
        issuer_name=subject("old"),
        issuer_key=_KEY,
        validity=Validity.lasting(NOW, 1),
        serial=1,
        extensions=(),
    )
    expected = x509.SubjectKeyIdentifier.from_public_key(_KEY.public_key()).digest
    assert authority_key_identifier(bare).key_identifier == expected


def test_pem_keeps_the_order(hierarchy: Hierarchy) -> None:
    """Several certificates read back in the order written."""
    both = (hierarchy.servers.certificate, hierarchy.root.certificate)
    assert parse_certificates_pem(certificates_pem(both), "chain.pem") == both


@pytest.mark.parametrize(
    "pem",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"nothing", id="no-pem"),
        pytest.param(
            b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
            id="garbled",
        ),
    ],
)
def test_garbled_certificates_are_refused(pem: bytes) -> None:
    """Whatever is no certificate is refused with the file's name."""
    with pytest.raises(InputError, match=r"chain\.pem: not a readable PEM certificate"):
        parse_certificates_pem(pem, "chain.pem")
