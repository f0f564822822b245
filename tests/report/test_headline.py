"""The headline says in one sentence what became of the fleet, and why."""

from pathlib import Path
from typing import Any

import pytest

from fleetsim.core.outcomes import AuditOutcome, DeviceOutcome
from fleetsim.recording.run_folder import RunOutcome
from fleetsim.report.headline import headline, is_good, verdict_word
from fleetsim.report.summary import build_summary
from tests.recording.records import DEVICE, record
from tests.report.runs import SATURATED, change, make_run

DEVICES = (DeviceOutcome(device=DEVICE, cohort="ordinary", state="connected"),)
CHECKED = AuditOutcome(checked=True, acknowledged=1, stored=1, listed=1)
MISSING = AuditOutcome(checked=True, acknowledged=1, missing=("k",), missing_count=1)
PROOF = "cannot reach main: tls.verify.cert_has_expired; the server sends a chain"
HISTORIES = (
    (DEVICE, "ordinary", change(0, "", "connected")),
    (DEVICE, "ordinary", change(5, "connected", "stranded", PROOF)),
)


@pytest.mark.parametrize(
    ("options", "word", "good", "parts"),
    [
        pytest.param(
            {"thresholds": ("failures == 0",), "audit": CHECKED},
            "Passed",
            True,
            ("The fleet of 1 device kept its one threshold", "every one found in"),
            id="passed",
        ),
        pytest.param(
            {"thresholds": ("failures > 0", "failures > 1")},
            "Failed",
            False,
            ("2 of 2 thresholds do not hold (failures > 0)", "was not compared"),
            id="thresholds",
        ),
        pytest.param(
            {"audit": MISSING},
            "Failed",
            False,
            ("1 object in the bucket differ",),
            id="bucket",
        ),
        pytest.param(
            {"thresholds": ("stranded == 0",), "histories": HISTORIES},
            "Failed",
            False,
            (
                (
                    "1 of 1 device is stranded (cannot reach main: "
                    "tls.verify.cert_has_expired)"
                ),
            ),
            id="stranded",
        ),
        pytest.param(
            {
                "thresholds": ("failures > 0",),
                "scenario": {"expect": "fail", "cohorts": []},
            },
            "Failed as expected",
            True,
            ("1 of 1 threshold does not hold",),
            id="as expected",
        ),
        pytest.param(
            {
                "thresholds": ("failures == 0",),
                "scenario": {"expect": "fail", "cohorts": []},
            },
            "Passed, but was expected to fail",
            False,
            ("kept its one threshold",),
            id="damage did not happen",
        ),
        pytest.param(
            {"thresholds": ("tls.max < 1s",), "generator": SATURATED},
            "Invalid",
            None,
            ("saturated", "describe itself and not the target"),
            id="invalid",
        ),
        pytest.param(
            {"outcome": RunOutcome.RUNNING},
            "Interrupted",
            None,
            ("before its time", "1 upload acknowledged"),
            id="killed",
        ),
    ],
)
def test_the_headline_names_what_the_verdict_rests_on(
    tmp_path: Path,
    options: dict[str, Any],
    word: str,
    good: bool | None,
    parts: tuple[str, ...],
) -> None:
    """One sentence, ending in a full stop, for every verdict."""
    summary = build_summary(
        make_run(tmp_path, [record()], **({"devices": DEVICES} | options))
    )
    told = headline(summary)
    assert verdict_word(summary) == word
    assert is_good(summary) is good
    assert told.endswith(".")
    assert "\n" not in told
    for part in parts:
        assert part in told
