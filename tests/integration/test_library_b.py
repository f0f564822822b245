"""The library's rehearsals of identities, clocks, bundles, ciphers and herds, to their end.

Shortened, with the program as an operator starts it. What the scenarios themselves state
(who is stranded, who never fails) is checked by their thresholds; here is checked that
exactly the damage they name made them fail, and by which failure kinds.
"""

import json
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.integration.runs import FLEETSIM

pytestmark = [pytest.mark.slow, pytest.mark.timeout(150)]

UNTRUSTED = "tls.verify.unable_to_get_issuer_cert_locally"
EXPIRED = "tls.verify.cert_has_expired"
NOT_YET_VALID = "tls.verify.cert_not_yet_valid"
MISNAMED = "tls.verify.hostname_mismatch"
REVOKED = "tls.alert.certificate_revoked"
UNSUITABLE = "tls.alert.unsupported_certificate"
NO_CIPHER = "tls.alert.handshake_failure"
NO_TRUST = "device.no_trusted_certificates"
SKEWED = "s3.RequestTimeTooSkewed"
REFUSED = "tcp.refused"
BROKEN_OFF = {"run.stopped", "device.power_cycle"}
"""Attempts that were under way when the run was over or the power went."""
RESET = {"tcp.reset", "tls.reset", "http.reset"}
"""Attempts that were under way when the server stopped."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What must become of a scenario.

    Attributes:
        damage: Thresholds that must not hold; empty = it passes.
        kinds: Why attempts fail, by cohort; in a cohort not named here none does.
        states: Contact states at the end.
        not_done: Timeline entries that are not carried out, by name.
        shorten_by: Factor that makes it last 12 s at most.
    """

    damage: tuple[str, ...] = ("stranded == 0",)
    kinds: dict[str, set[str]] = field(default_factory=dict)
    states: dict[str, int]
    not_done: frozenset[str] = frozenset()
    shorten_by: int = 4


LIBRARY = {
    "client_auth_usage_vanishes": Outcome(
        kinds={"all_renewed": {UNSUITABLE}, "canary_first": {UNSUITABLE}},
        states={"stranded": 22, "connected": 28},
    ),
    "missed_renewal": Outcome(
        damage=("handshake.failed == 0",),
        kinds={"lives_47": {EXPIRED}},
        states={"connected": 20, "degraded": 20},
    ),
    "fixed_renewal_interval": Outcome(
        damage=("handshake.failed == 0",),
        kinds={"fixed": {EXPIRED}},
        states={"connected": 20, "degraded": 20},
        shorten_by=5,
    ),
    "mass_reissue_in_a_day": Outcome(
        kinds={"forgotten": {REVOKED}},
        states={"connected": 48, "stranded": 12},
    ),
    "forgotten_intermediate": Outcome(
        kinds={
            "trusts_root": {EXPIRED},
            # The chain of the new intermediate no longer leads to the old one.
            "trusts_intermediate": {EXPIRED, UNTRUSTED},
            "clock_set_back": {EXPIRED},
        },
        states={"degraded": 30, "stranded": 10},
    ),
    "wrong_order_of_device_certificates": Outcome(
        damage=("stranded_peak == 0",),
        kinds={"wrong_order": {REVOKED}},
        states={"connected": 20, "degraded": 20},
    ),
    "wrong_clock_after_storage": Outcome(
        kinds={"flat_alone": {NOT_YET_VALID}, "drifted_20_min": {SKEWED}},
        states={"connected": 30, "stranded": 20},
    ),
    "certificate_fault_burns_groups": Outcome(
        damage=("degraded == 0",),
        kinds={"by_the_letter": {MISNAMED}, "ciphers_only": {MISNAMED}},
        states={"connected": 30, "degraded": 10},
    ),
    "asleep_through_the_overlap": Outcome(
        kinds={"asleep_main": {UNTRUSTED}},
        states={"connected": 45, "stranded": 15},
    ),
    "empty_or_broken_bundle": Outcome(
        kinds={
            "in_waves": {NO_TRUST},
            "all_at_once": {NO_TRUST},
            "garbage_clears": {NO_TRUST},
        },
        states={"connected": 38, "stranded": 42},
        not_done=frozenset({"careful"}),
    ),
    "eleventh_certificate": Outcome(
        kinds={
            "kept_old": {UNTRUSTED},
            "cleared": {NO_TRUST},
            "took_ten": {UNTRUSTED},
        },
        states={"connected": 15, "stranded": 45},
    ),
    "security_upgrade": Outcome(damage=(), states={"connected": 40}, shorten_by=5),
    "cipher_retirement": Outcome(
        kinds={
            "ecdhe_last": {NO_CIPHER},
            "no_ecdhe": {NO_CIPHER},
            "sha2_first": {NO_CIPHER},
        },
        states={"degraded": 20, "stranded": 40},
    ),
    "thundering_herd": Outcome(
        damage=(),
        kinds={"herd": {REFUSED}, "offset": {REFUSED}, "offset_jitter": {REFUSED}},
        states={"degraded": 120},
        shorten_by=5,
    ),
}


def _run(folder: Path, name: str, *options: str) -> tuple[int, dict[str, Any]]:
    """Run a library scenario; returns its exit code and summary."""
    done = subprocess.run(
        [*FLEETSIM, "run", name, *options, "--json", "-q", "--results", str(folder)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout, done.stderr
    summary: dict[str, Any] = json.loads(done.stdout)
    return done.returncode, summary


def _states(summary: dict[str, Any]) -> dict[str, int]:
    """Contact states at the end, those without a device left out."""
    end = summary["rehearsal"]["states"]["end"]
    return {state: count for state, count in end.items() if count}


@pytest.mark.parametrize("name", LIBRARY)
def test_a_scenario_shows_what_it_names(tmp_path: Path, name: str) -> None:
    """Exit code 0, exactly the damage, carried out whole, the truth in the bucket."""
    expected = LIBRARY[name]
    code, summary = _run(tmp_path, name, "--time-scale", str(expected.shorten_by))
    timeline = summary["rehearsal"]["timeline"]["entries"]
    assert timeline
    not_done = {
        entry["name"]: entry["reason"]
        for entry in timeline
        if entry["outcome"] != "done"
    }
    assert not_done.keys() == expected.not_done, not_done

    failed = [each["expression"] for each in summary["thresholds"] if not each["ok"]]
    assert tuple(failed) == expected.damage
    assert (code, summary["as_expected"]) == (0, True)
    assert summary["verdict"] == ("failed" if expected.damage else "passed")
    assert _states(summary) == expected.states

    uploads = summary["uploads"]
    assert uploads["acknowledged"] == uploads["stored"] > 100
    assert summary["unclassified"] == 0

    optional = BROKEN_OFF | (RESET if name == "thundering_herd" else set())
    found = {
        cohort: set(figures["failures"]) - optional
        for cohort, figures in summary["cohorts"].items()
    }
    assert found == {c: expected.kinds.get(c, set()) for c in summary["cohorts"]}


@pytest.mark.parametrize(
    ("name", "change", "states"),
    [
        pytest.param(
            "asleep_through_the_overlap",
            "timeline.back_on_the_road.at=14s",
            {"connected": 60},
            id="woken before the switch",
        ),
        pytest.param(
            "client_auth_usage_vanishes",
            "timeline.public_ca.rotate_device_certificates.with_client_auth=true",
            {"connected": 48, "stranded": 2},
            id="only the canary",
        ),
        pytest.param(
            "wrong_clock_after_storage",
            "timeline.twenty_minutes.skew_clock.by=14m",
            {"connected": 40, "stranded": 10},
            id="less than 15 minutes",
        ),
    ],
)
def test_less_damage_is_not_the_damage(
    tmp_path: Path, name: str, change: str, states: dict[str, int]
) -> None:
    """Where what went wrong goes right, the scenario says that it shows no more: 99."""
    code, summary = _run(tmp_path, name, "--time-scale", "4", "--set", change)
    assert _states(summary) == states
    assert (code, summary["as_expected"]) == (99, False)


def test_a_seed_does_not_change_who_is_lost(tmp_path: Path) -> None:
    """Other devices, other times; the same loss."""
    code, summary = _run(
        tmp_path, "cipher_retirement", "--time-scale", "4", "--seed", "4711"
    )
    assert (code, summary["seed"]) == (0, 4711)
    assert _states(summary) == LIBRARY["cipher_retirement"].states
