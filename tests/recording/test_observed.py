from pathlib import Path

import pytest

from fleetsim.core.observed import (
    Handshakes,
    Layer,
    Observed,
    Refusal,
    Requests,
    Source,
)
from fleetsim.exceptions import InputError
from fleetsim.recording.names import OBSERVED
from fleetsim.recording.observed import read_observed, write_observed

EVERYTHING = Observed(
    sources=(
        Source(
            name="access.log",
            kind="nginx_log",
            layer=Layer.FRONT,
            handshakes=Handshakes(completed=3, resumed=1, refused={"tls.reset": 2}),
            requests=Requests(answered=4, stored=3, failed=1, by_status={"200": 3}),
            others=5,
            unreadable=6,
            is_complete=False,
            notes=("a", "b"),
        ),
        Source(name="s", kind="rgw", layer=Layer.STORE),
    ),
    refusals=(Refusal(device="0A1B2C3D", kind="tls.reset", count=2),),
)


@pytest.mark.parametrize("observed", [EVERYTHING, Observed()], ids=["all", "none"])
def test_round_trip(tmp_path: Path, observed: Observed) -> None:
    """What is written is read back as it was."""
    write_observed(tmp_path, observed)
    assert read_observed(tmp_path) == observed


def test_nobody_was_asked(tmp_path: Path) -> None:
    """No file, nothing known."""
    assert read_observed(tmp_path) is None


@pytest.mark.parametrize(
    ("content", "where"),
    [
        ('{"sources": [{"name": "x"}]}', "sources.0"),
        ('{"sources": [], "refusals": [{"device": 7}]}', "refusals.0"),
        ("[]", "JSON object"),
    ],
)
def test_damaged(tmp_path: Path, content: str, where: str) -> None:
    """It says what is wrong and where."""
    (tmp_path / OBSERVED).write_text(content)
    with pytest.raises(InputError, match=where):
        read_observed(tmp_path)
