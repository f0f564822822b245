"""Every failure kind has words, and only kinds that can occur have them."""

import pytest

from fleetsim.core.failure import KINDS, is_kind
from fleetsim.core.failure_words import failure_words, known_kinds
from fleetsim.transport.tls_names import ALERTS, VERIFY_CODES


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_closed_kind_has_its_own_words(kind: str) -> None:
    """Nothing in the taxonomy is left unexplained, no two kinds have the same words."""
    words = failure_words(kind)
    assert words is not None
    assert sum(failure_words(other) == words for other in KINDS) == 1


@pytest.mark.parametrize("kind", known_kinds())
def test_only_real_kinds_are_explained(kind: str) -> None:
    """Alerts are IANA's, verdicts OpenSSL's; a name that nobody sends helps nobody."""
    if kind.endswith("*"):
        return
    assert is_kind(kind)
    if kind.startswith("tls.alert."):
        assert kind.removeprefix("tls.alert.") in ALERTS.values()
    if kind.startswith("tls.verify."):
        assert kind.removeprefix("tls.verify.") in VERIFY_CODES.values()


@pytest.mark.parametrize("kind", known_kinds())
def test_words_are_sentences(kind: str) -> None:
    """What happened, and where to look."""
    words = failure_words(kind)
    assert words is not None
    assert words.meaning.endswith(".")
    assert words.look_at.endswith((".", "?"))


@pytest.mark.parametrize(
    ("kind", "part"),
    [
        pytest.param("tls.alert.no_renegotiation", "TLS alert", id="alert"),
        pytest.param("tls.verify.path_loop", "check of OpenSSL", id="verdict"),
        pytest.param("s3.SomethingNew", "S3 error code", id="S3"),
    ],
)
def test_the_rest_has_the_words_of_its_family(kind: str, part: str) -> None:
    """Open families have members that nobody knows beforehand."""
    words = failure_words(kind)
    assert words is not None
    assert part in words.meaning


def test_no_kind_no_words() -> None:
    """What is no failure kind is not explained as one."""
    assert failure_words("disk.full") is None
