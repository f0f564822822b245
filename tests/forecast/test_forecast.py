"""Bundles x chains x dates, and from when to when a switch is safe."""

import datetime as dt
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetsim.core.trust_bundle import EMPTY_BUNDLE, load_bundle
from fleetsim.forecast.coverage import NamedChain
from fleetsim.forecast.forecast import (
    BundleInput,
    Question,
    forecast_data,
    make_forecast,
    overlaps,
    switch_words,
)
from fleetsim.pki.bundle import encode_bundle
from fleetsim.profiles import catalog
from tests.forecast.fleet import NEW_ROOT, NOW, ROOT, server
from tests.transport.certificates import Issued, authority, leaf

DAY_S = 86_400
WINDOW = (NOW, NOW + 365 * DAY_S)
PROFILE = catalog.load("canedge2").profile


def on_day(day: int) -> dt.datetime:
    """A date this many days after now."""
    return dt.datetime.fromtimestamp(NOW + day * DAY_S, dt.UTC)


OLD = leaf(parent=ROOT, not_after=on_day(100))
NEW = leaf(parent=NEW_ROOT, not_before=on_day(30))


def bundle(name: str, *anchors: Issued) -> BundleInput:
    """A bundle file as a device loads it."""
    data = encode_bundle([one.certificate for one in anchors])
    return BundleInput(
        name=name, outcome=load_bundle(data, PROFILE.bundle, EMPTY_BUNDLE)
    )


def question(
    *bundles: BundleInput, chains: tuple[Issued, ...] = (OLD, NEW)
) -> Question:
    """From the old chain to the new one."""
    return Question(
        title="devices",
        profile=PROFILE,
        table=PROFILE.cipher_tables[0],
        host="storage.test",
        bundles=bundles,
        chains=tuple(
            NamedChain(name=f"chain {number}", certificates=issued.chain)
            for number, issued in enumerate(chains, 1)
        ),
        base=server(),
        window=WINDOW,
    )


def test_a_rotation_is_safe_while_both_chains_are_accepted() -> None:
    """Only devices with both roots survive the switch, and only for a while."""
    forecast = make_forecast(
        question(
            bundle("old", ROOT),
            bundle("both", ROOT, NEW_ROOT),
            bundle("new", NEW_ROOT),
        )
    )
    old, both, new = forecast.switches
    assert old.safe == ()
    first, last = NOW + 30 * DAY_S, NOW + 100 * DAY_S
    ((begins, ends),) = both.safe
    assert begins == first
    assert ends - last in {0, 1}
    assert new.old_until_unix_s is None
    words = [switch_words(each, WINDOW) for each in forecast.switches]
    assert words[0].startswith("never safe: devices lose contact; another bundle must")
    assert "chain 1 is accepted (until 2027-03-02" in words[0]
    assert words[1].startswith("safe from 2026-12-22T00:00:00Z until 2027-03-02")
    assert words[2] == "devices do not connect to chain 1 in the first place"
    assert len(forecast.coverages) == 6
    assert forecast.handshakes > 0


def test_a_switch_within_the_same_authority_is_safe_at_once() -> None:
    """A renewal: from now to the end of the old certificate."""
    renewed = leaf(parent=ROOT, number=50)
    forecast = make_forecast(question(bundle("old", ROOT), chains=(OLD, renewed)))
    (switch,) = forecast.switches
    assert switch_words(switch, WINDOW).startswith("safe from now until 2027-03-02")
    endless = make_forecast(question(bundle("old", ROOT), chains=(renewed, renewed)))
    assert (
        switch_words(endless.switches[0], WINDOW)
        == "safe from now to the end of the period looked at"
    )


def test_one_chain_has_nothing_to_switch_to() -> None:
    """There is a forecast, and no switch."""
    forecast = make_forecast(question(bundle("old", ROOT), chains=(OLD,)))
    assert forecast.switches == ()
    assert forecast.coverages[0].ok_periods()[0][0] == NOW


def test_findings_are_those_of_the_profile() -> None:
    """The bundle by the profile's rules, the chain by its groups and the host."""
    asked = replace(
        question(
            bundle("big", authority("Big", kind="rsa-3072", number=60)),
            chains=(leaf(parent=ROOT, kind="p256"),),
        ),
        host="other.test",
    )
    forecast = make_forecast(asked)
    assert {each.rule for each in forecast.bundle_findings[0]} == {"rsa_bits", "empty"}
    assert {"host_name", "ec_key", "key_type"} <= {
        each.rule for each in forecast.chain_findings[0]
    }


def test_the_data_is_plain_json() -> None:
    """Dates in ISO 8601, every span with every group; nothing secret."""
    data = forecast_data(make_forecast(question(bundle("both", ROOT, NEW_ROOT))))
    text = json.dumps(data)
    assert "PRIVATE" not in text
    assert data["from"] == "2026-11-22T00:00:00Z"
    assert sorted(data["bundles"][0]["certificates"]) == [
        "CN=New Root (2000-01-01 to 2100-01-01)",
        "CN=Old Root (2000-01-01 to 2100-01-01)",
    ]
    spans = data["coverage"][1]["spans"]
    assert [span["ok"] for span in spans] == [False, True]
    assert spans[1]["from"] == "2026-12-22T00:00:00Z"
    assert set(spans[0]["groups"]) == {"group 1", "group 2", "group 3"}
    assert spans[0]["groups"]["group 1"]["kind"] == "tls.verify.cert_not_yet_valid"
    assert data["switches"][0]["safe"][0][0] == "2026-12-22T00:00:00Z"


def _apart(pairs: list[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Periods one after the other: (gap, length) to (first, end)."""
    found, at = [], 0
    for gap, length in pairs:
        first = at + gap
        at = first + length
        found.append((first, at))
    return tuple(found)


periods = st.lists(st.tuples(st.integers(0, 50), st.integers(1, 10)), max_size=5).map(
    _apart
)


@given(first=periods, second=periods)
def test_overlaps_are_the_moments_in_both(
    first: tuple[tuple[int, int], ...], second: tuple[tuple[int, int], ...]
) -> None:
    """Moment by moment, as sets."""

    def moments(spans: tuple[tuple[int, int], ...]) -> set[int]:
        return {at for begin, end in spans for at in range(begin, end)}

    both = overlaps(first, second)
    assert moments(both) == moments(first) & moments(second)
    assert both == overlaps(second, first)
    assert all(begin < end for begin, end in both)


@pytest.mark.parametrize("profile", ["canedge2", "canedge3", "generic-tls13"])
def test_every_profile_can_be_forecast(profile: str) -> None:
    """Groups of TLS 1.3 suites too."""
    loaded = catalog.load(profile).profile
    asked = replace(
        question(bundle("old", ROOT), chains=(leaf(parent=ROOT),)),
        profile=loaded,
        table=loaded.cipher_tables[0],
    )
    (coverage,) = make_forecast(asked).coverages
    assert coverage.spans[0].ok
