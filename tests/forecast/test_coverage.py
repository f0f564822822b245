"""From when to when a device accepts a server: without a gap, exact to the second."""

import datetime as dt
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleetsim.core.trust_bundle import TrustBundle
from fleetsim.forecast.coverage import Coverage, NamedBundle, NamedChain, cover
from fleetsim.forecast.handshakes import certificate_verdict
from fleetsim.forecast.reacher import Reacher
from fleetsim.transport.tls_context import ClientContexts
from tests.forecast.fleet import ISSUER, NOW, ROOT, SERVER, server, side
from tests.transport.certificates import Issued, authority, leaf

DAY_S = 86_400
WINDOW = (NOW, NOW + 365 * DAY_S)
REACHER = Reacher()


def on_day(day: float) -> dt.datetime:
    """A date this many days after now."""
    return dt.datetime.fromtimestamp(NOW + round(day * DAY_S), dt.UTC)


def covered(
    issued: Issued, *anchors: Issued, window: tuple[int, int] = WINDOW
) -> Coverage:
    """Coverage of a chain without its key by a bundle."""
    return cover(
        REACHER,
        side(),
        NamedBundle(
            "bundle", TrustBundle.of(a.certificate for a in anchors or (ROOT,))
        ),
        NamedChain(name="chain", certificates=issued.chain),
        base=server(),
        window=window,
    )


def test_nothing_changes_where_no_date_is() -> None:
    """One period, the whole window."""
    (span,) = covered(SERVER).spans
    assert (span.from_unix_s, span.to_unix_s, span.ok, span.why) == (*WINDOW, True, "")


def test_a_leaf_begins_and_ends() -> None:
    """Before, while and after; the reasons name the certificate and its date."""
    issued = leaf(parent=ISSUER, not_before=on_day(10), not_after=on_day(100))
    coverage = covered(issued)
    first, last = (NOW + 10 * DAY_S, NOW + 100 * DAY_S)
    assert [(span.ok, span.from_unix_s) for span in coverage.spans] == [
        (False, NOW),
        (True, first),
        (False, coverage.changes[1]),
    ]
    # The second notAfter is valid to OpenSSL 4 and to RFC 5280, not to OpenSSL 3.
    assert coverage.changes[1] - last in {0, 1}
    assert "CN=server begins 2026-12-02T00:00:00Z" in coverage.spans[0].why
    assert "CN=server expired 2027-03-02T00:00:00Z" in coverage.spans[2].why
    assert coverage.ok_periods() == ((first, coverage.changes[1]),)


def test_the_anchor_counts_not_what_is_above_it() -> None:
    """An expired intermediate ends it; one that is trusted itself does not look up."""
    middle = authority("Middle", parent=ROOT, number=20, not_after=on_day(50))
    issued = leaf(parent=middle)
    assert [span.ok for span in covered(issued).spans] == [True, False]
    old = authority("Short Root", number=21, not_after=on_day(50))
    under = authority("Middle", parent=old, number=20)
    assert [span.ok for span in covered(leaf(parent=under), old).spans] == [True, False]
    assert [span.ok for span in covered(leaf(parent=under), under).spans] == [True]


def test_either_of_two_anchors_will_do() -> None:
    """Where their periods touch, nothing changes for the device."""
    first = authority("Root", number=22, not_after=on_day(100))
    second = authority("Root", number=22, not_before=on_day(90))
    issued = leaf(parent=first)
    assert covered(issued, first, second).ok_periods() == (WINDOW,)


@pytest.mark.parametrize("with_key", [True, False])
def test_a_chain_may_be_of_a_server_with_its_own_ciphers(with_key: bool) -> None:
    """What the chain says of its server counts, with the key or without."""
    chain = NamedChain(
        name="chain",
        certificates=SERVER.chain,
        key=SERVER.key if with_key else None,
        base=server(cipher_list="ECDHE-RSA-AES128-GCM-SHA256", max_version="TLSv1.2"),
    )
    bundle = NamedBundle("bundle", side().bundle)
    (span,) = cover(REACHER, side(), bundle, chain, base=server(), window=WINDOW).spans
    assert [each.failure is None for each in span.reach.groups] == [False, True]
    assert span.ok
    assert "no shared cipher" in span.why


days = st.integers(-50, 400)


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(
    leaf_days=st.tuples(days, days),
    anchor_days=st.tuples(days, days),
    probe_s=st.integers(*WINDOW),
)
def test_spans_divide_the_window_and_are_right_at_every_moment(
    leaf_days: tuple[int, int], anchor_days: tuple[int, int], probe_s: int
) -> None:
    """No gap, no overlap, neighbours differ; a handshake at any moment agrees."""
    root = authority(
        "Root",
        number=23,
        not_before=on_day(min(anchor_days)),
        not_after=on_day(max(anchor_days)),
    )
    issued = leaf(
        parent=root,
        not_before=on_day(min(leaf_days)),
        not_after=on_day(max(leaf_days)),
    )
    spans = covered(issued, root).spans
    assert (spans[0].from_unix_s, spans[-1].to_unix_s) == WINDOW
    for one, other in pairwise(spans):
        assert one.from_unix_s < one.to_unix_s == other.from_unix_s
        assert (one.reach, one.why) != (other.reach, other.why)
    at = min(probe_s, WINDOW[1] - 1)
    span = next(each for each in spans if each.from_unix_s <= at < each.to_unix_s)
    verdict = certificate_verdict(ClientContexts(), side(root, unix_s=at), issued.chain)
    assert span.ok is (verdict is None)
