"""The library's rehearsals of authorities and server certificates, each to its end.

Shortened, with the program as an operator starts it. What the scenarios themselves state
(who is stranded, who never fails) is checked by their thresholds; here is checked that
exactly the damage they name made them fail, and by which failure kinds.
"""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.integration.runs import FLEETSIM

pytestmark = pytest.mark.slow

UNTRUSTED = "tls.verify.unable_to_get_issuer_cert_locally"
EXPIRED = "tls.verify.cert_has_expired"
NO_CIPHER = "tls.alert.handshake_failure"
WRONG_USAGE = "tls.verify.invalid_purpose"
IN_TOUCH = {"connected", "degraded"}
"""On a slow machine a file may come late, which counts as degraded."""
SHORTER = "4"
"""Factor that lets every scenario end within 12 s."""
CUT_OFF = "run.stopped"
"""An attempt that was under way when the run was over."""


@dataclass(frozen=True)
class Outcome:
    """What must become of a scenario.

    Attributes:
        damage: Thresholds that must not hold; empty = it passes.
        kinds: Why attempts fail, by cohort; in a cohort not named here none does.
    """

    damage: tuple[str, ...] = ("stranded == 0",)
    kinds: dict[str, set[str]] | None = None


LIBRARY = {
    "endpoint_changes_ca": Outcome(
        kinds={"private_list": {UNTRUSTED}, "early_region": {UNTRUSTED}}
    ),
    "both_roots_through_the_change": Outcome(
        kinds={"replaced": {UNTRUSTED}, "old_only": {UNTRUSTED}}
    ),
    "spare_root": Outcome(
        kinds={"without_spare": {UNTRUSTED}, "oversized_spare": {UNTRUSTED}}
    ),
    "root_expires": Outcome(kinds={"old_root_only": {EXPIRED}}),
    "cross_sign_removed": Outcome(
        kinds={"default_chain": {UNTRUSTED}, "long_chain": {EXPIRED}}
    ),
    "expired_cross_sign_sent": Outcome(
        # Without the dead certificate in the chain nothing leads to the old root; the
        # pinned one has the name and key of the authority that stands there.
        kinds={
            "old_root_only": {EXPIRED, UNTRUSTED},
            "pins_cross_sign": {EXPIRED},
        }
    ),
    "pinned_intermediate": Outcome(
        kinds={"pins_one": {UNTRUSTED}, "pins_both_ce2": {UNTRUSTED}}
    ),
    "same_name_reissue": Outcome(
        damage=("handshake.failed == 0",),
        kinds={"added_ce2": {UNTRUSTED}, "added_ce3": {UNTRUSTED}},
    ),
    "leaf_profile_changes": Outcome(kinds={"static_rsa": {WRONG_USAGE}}),
    "key_type_switch": Outcome(
        kinds={"ecdhe_last": {NO_CIPHER}, "no_elliptic_curves": {NO_CIPHER}}
    ),
    "ca_rotation_done_right": Outcome(damage=()),
}


def _run(folder: Path, name: str, *options: str) -> tuple[int, dict[str, Any]]:
    """Run a library scenario; returns its exit code and summary."""
    command = (*FLEETSIM, "run", name, "--json", "--quiet", *options)
    done = subprocess.run(
        [*command, "--results", str(folder)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout, done.stderr
    summary: dict[str, Any] = json.loads(done.stdout)
    return done.returncode, summary


@pytest.mark.parametrize("name", LIBRARY)
def test_a_scenario_shows_what_it_names(tmp_path: Path, name: str) -> None:
    """Exit code 0, exactly the damage, carried out whole, the truth in the bucket."""
    expected = LIBRARY[name]
    code, summary = _run(tmp_path, name, "--time-scale", SHORTER)
    failed = [each["expression"] for each in summary["thresholds"] if not each["ok"]]
    assert tuple(failed) == expected.damage
    assert (code, summary["as_expected"]) == (0, True)
    assert summary["verdict"] == ("failed" if expected.damage else "passed")

    timeline = summary["rehearsal"]["timeline"]
    assert timeline["planned"] == timeline["done"] > 0

    uploads = summary["uploads"]
    assert uploads["acknowledged"] == uploads["stored"] > 100
    assert summary["unclassified"] == 0

    found = {
        cohort: set(figures["failures"]) - {CUT_OFF}
        for cohort, figures in summary["cohorts"].items()
    }
    kinds = expected.kinds or {}
    assert found == {cohort: kinds.get(cohort, set()) for cohort in summary["cohorts"]}


def test_whoever_is_prepared_makes_the_damage_fail_to_appear(tmp_path: Path) -> None:
    """The same move with the new root on every device: nothing to see, exit code 99."""
    code, summary = _run(
        tmp_path,
        "endpoint_changes_ca",
        "--time-scale",
        SHORTER,
        "--set",
        "timeline.prepared.push_bundle.to={}",
    )
    assert summary["devices"]["by_state"].keys() <= IN_TOUCH
    assert summary["failures"].keys() <= {CUT_OFF}
    assert (code, summary["as_expected"]) == (99, False)


def test_a_seed_does_not_change_who_is_lost(tmp_path: Path) -> None:
    """Other devices, other times; the same loss."""
    code, summary = _run(
        tmp_path, "key_type_switch", "--time-scale", SHORTER, "--seed", "4711"
    )
    assert (code, summary["seed"]) == (0, 4711)
    assert summary["devices"]["by_state"]["stranded"] == 50
