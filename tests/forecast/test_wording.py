"""Certificates and proofs in words that people and other devices share."""

import datetime as dt

import pytest
from cryptography import x509

from fleetsim.core.failure import verify
from fleetsim.forecast.handshakes import GroupReach, Reach
from fleetsim.forecast.wording import (
    chain_words,
    dated,
    failure_words,
    moment_words,
    name_of,
    period,
    skew_words,
    title_of,
)
from tests.core.certificates import make_certificate, make_name
from tests.forecast.fleet import ISSUER, ROOT, SERVER
from tests.transport.certificates import EARLY, leaf

EXPIRED = verify("cert_has_expired", "certificate has expired")
UNKNOWN = verify("unable_to_get_issuer_cert_locally", "")


@pytest.mark.parametrize(
    ("failures", "words"),
    [
        ((None, None), ""),
        ((EXPIRED, EXPIRED), "tls.verify.cert_has_expired (certificate has expired)"),
        (
            (EXPIRED, UNKNOWN),
            (
                "tls.verify.cert_has_expired (certificate has expired) (group 1), "
                "tls.verify.unable_to_get_issuer_cert_locally (group 2)"
            ),
        ),
    ],
    ids=["none", "one", "two"],
)
def test_groups_that_fail_alike_are_told_once(
    failures: tuple[object, ...], words: str
) -> None:
    """One failure for all groups needs no list of groups."""
    reach = Reach(
        tuple(
            GroupReach(group=f"group {number}", failure=failure)  # type: ignore[arg-type]  # a table
            for number, failure in enumerate(failures, 1)
        )
    )
    assert failure_words(reach) == words


def test_a_chain_is_told_from_the_leaf_up() -> None:
    """Each certificate with its period; the issuer of the last unless it is a root."""
    assert chain_words(SERVER.chain) == (
        f"{dated(SERVER.certificate)} under {dated(ISSUER.certificate)} by CN=Old Root"
    )
    assert chain_words((ROOT.certificate,)) == "CN=Old Root (2000-01-01 to 2100-01-01)"


def test_short_lives_are_told_to_the_second() -> None:
    """A certificate of a minute needs more than days."""
    short = leaf(not_before=EARLY, not_after=EARLY + dt.timedelta(seconds=60))
    assert period(short.certificate) == "2000-01-01T00:00:00Z to 2000-01-01T00:01:00Z"
    assert moment_words(EARLY, is_exact=False) == "2000-01-01"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (make_name("a\x1b[31mb"), "CN=a?[31mb"),
        (make_name("x" * 64), f"CN={'x' * 64}"),
        (x509.Name([]), "no name"),
        (
            x509.Name([x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "Org")]),
            "O=Org",
        ),
    ],
    ids=["escapes", "long", "empty", "no common name"],
)
def test_names_are_safe_to_print(name: x509.Name, text: str) -> None:
    """The common name if there is one, nothing that a terminal would obey."""
    assert name_of(name) == text


def test_a_certificate_without_a_subject_has_a_title() -> None:
    """Its first alternative name, else that it has none."""
    assert title_of(make_certificate("", issuer="CA")) == "a certificate without a name"
    assert title_of(SERVER.certificate) == "CN=server"


@pytest.mark.parametrize(
    ("skew_s", "words"),
    [
        (-7200, "2 hours behind"),
        (1200, "20 minutes ahead"),
        (3 * 86_400, "3 days ahead"),
        (-27 * 365.25 * 86_400, "27 years behind"),
    ],
)
def test_clocks_are_off_by_round_amounts(skew_s: float, words: str) -> None:
    """Devices whose clocks are off alike have the same words."""
    assert words in skew_words(skew_s)
