"""Blocks: attempts belong to the time their plan puts them in."""

from pathlib import Path

import numpy as np
import pytest

from fleetsim.report.compare.blocks import MOST_BLOCKS, Cut, cut, read_blocks
from tests.recording.records import MS, S, record
from tests.report.runs import make_run


@pytest.mark.parametrize(
    ("warm_up_s", "end_s", "block_s", "count"),
    [
        pytest.param(5, 30, 1, 25, id="short"),
        pytest.param(0, 3600, 60, 60, id="an hour"),
        pytest.param(0, 61, 2, 30, id="the last, incomplete block is left out"),
        pytest.param(30, 20, 1, 0, id="ended in the warm-up"),
    ],
)
def test_a_run_is_cut_after_its_warm_up(
    warm_up_s: int, end_s: int, block_s: int, count: int
) -> None:
    """Blocks of whole seconds, few enough to be long against an attempt."""
    found = cut(warm_up_s * S, end_s * S)
    assert found == Cut(start_ns=warm_up_s * S, block_ns=block_s * S, count=count)
    assert found.count <= MOST_BLOCKS


def test_attempts_count_where_they_were_planned(tmp_path: Path) -> None:
    """A late upload stays in its block; warm-up and cut-off attempts are left out."""
    rows = [
        record(0),
        record(1, ended_ns=3 * S),
        record(2, kind="s3.SlowDown", phase="wait"),
        record(2, attempt=2),
        record(2, kind="run.stopped", phase="run"),
        record(9),
    ]
    folder = make_run(tmp_path, rows)
    found = read_blocks(folder, Cut(start_ns=S, block_ns=S, count=2))
    assert found.sum_of("upload.attempts").tolist() == [1, 2]
    assert found.sum_of("upload.failed").tolist() == [0, 1]
    assert found.sum_of("upload.operations").tolist() == [1, 1]
    assert found.sum_of("upload.ok").tolist() == [1, 1]
    assert found.sum_of("upload.body_bytes").tolist() == [16_384, 16_384]
    assert found.times["upload.response_time"].sum(axis=1).tolist() == [1, 1]
    assert found.sum_of("handshake.attempts").tolist() == [1, 2]
    assert found.sum_of("nothing").tolist() == [0, 0]


def test_a_phase_that_did_not_happen_is_no_time(tmp_path: Path) -> None:
    """A kept connection makes no handshake."""
    folder = make_run(tmp_path, [record(0, tls_ns=-1), record(0, tls_ns=5 * MS)])
    found = read_blocks(folder, Cut(start_ns=0, block_ns=S, count=1))
    assert np.sum(found.times["tls"]) == 1


def test_a_cut_without_blocks_reads_nothing(tmp_path: Path) -> None:
    """A run that ended in its warm-up."""
    folder = make_run(tmp_path, [record()])
    assert read_blocks(folder, Cut(start_ns=0, block_ns=S, count=0)).times == {}
