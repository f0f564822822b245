"""The latency log is read by HdrHistogram's own programs, and says what we say."""

import random
import shutil
import subprocess
from pathlib import Path

import pytest
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader

from fleetsim.core.histogram import HIGHEST_NS
from fleetsim.recording.latency import PHASES
from fleetsim.recording.run_folder import RunOutcome
from fleetsim.report.summary import build_summary
from tests.recording.records import MS, S, record
from tests.report.runs import make_run

_JAR = Path("/usr/share/java/hdrhistogram.jar")
_PERCENTILES = {50.0: "p50_ms", 90.0: "p90_ms", 99.0: "p99_ms", 99.9: "p999_ms"}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 4,000 uploads with the long tail that latencies have."""
    draw = random.Random(5)
    records = []
    for number in range(4_000):
        tls_ns = int(draw.lognormvariate(15, 0.6))
        taken = tls_ns + int(draw.lognormvariate(17, 1.0))
        planned = number * 2 * MS
        records.append(
            record(
                number,
                planned_ns=planned,
                started_ns=planned + draw.randrange(5 * MS),
                ended_ns=planned + 5 * MS + taken,
                tls_ns=tls_ns,
                kind="http.reset" if number % 50 == 0 else "",
                phase="wait" if number % 50 == 0 else "",
            )
        )
    return make_run(
        tmp_path_factory.mktemp("results"), records, warm_up_ns=1 * S, duration_ns=8 * S
    )


def whole_run(path: Path) -> dict[str, HdrHistogram]:
    """Add up the intervals of a log by tag, with the HdrHistogram library."""
    reader = HistogramLogReader(str(path), HdrHistogram(1, HIGHEST_NS, 2))
    found: dict[str, HdrHistogram] = {}
    try:
        while interval := reader.get_next_interval_histogram():
            total = found.setdefault(interval.get_tag(), HdrHistogram(1, HIGHEST_NS, 2))
            total.add(interval)
    finally:
        reader.input_file.close()
    return found


def test_the_librarys_percentiles_are_the_summarys(run: Path) -> None:
    """Tag by tag: same count, percentiles within the width of a bucket."""
    summary = build_summary(run)
    found = whole_run(run / "latency.hlog")
    counted = [phase for phase in PHASES if summary["latency"][phase]["count"]]
    assert sorted(found) == sorted(counted)
    for phase in counted:
        ours, theirs = summary["latency"][phase], found[phase]
        assert theirs.get_total_count() == ours["count"] == 3_430
        for percent, name in _PERCENTILES.items():
            value_ms = theirs.get_value_at_percentile(percent) / MS
            assert ours[name] == pytest.approx(value_ms, rel=0.008)


def test_a_killed_runs_log_is_readable(tmp_path: Path) -> None:
    """Whatever was flushed can be read; a line cut short is passed over."""
    folder = make_run(tmp_path, [record()], outcome=RunOutcome.RUNNING)
    with (folder / "latency.hlog").open("a") as log:
        log.write("Tag=tls,1.0")
    assert whole_run(folder / "latency.hlog")["response"].get_total_count() == 1


def test_the_java_log_processor_agrees(run: Path, tmp_path: Path) -> None:
    """HistogramLogProcessor of the reference implementation reads every tag."""
    java = shutil.which("java")
    if java is None or not _JAR.exists():
        # also in CI: the library above is the oracle that always runs
        pytest.skip("java and libhdrhistogram-java are not installed")
    summary = build_summary(run)
    for phase in ("tls", "total", "response"):
        subprocess.run(
            [
                java,
                "-cp",
                str(_JAR),
                "org.HdrHistogram.HistogramLogProcessor",
                *("-i", str(run / "latency.hlog")),
                *("-o", str(tmp_path / phase)),
                *("-tag", phase),
                "-csv",
            ],
            check=True,
            capture_output=True,
            text=True,
        )
        _, legend, *_, last = (tmp_path / phase).read_text().splitlines()
        names = [name.strip('"') for name in legend.split(",")]
        theirs = dict(zip(names, map(float, last.split(",")), strict=True))
        ours = summary["latency"][phase]
        assert theirs["Total_Count"] == ours["count"]
        for percent, name in _PERCENTILES.items():
            value_ms = theirs[f"Total_{percent:g}%"]
            assert ours[name] == pytest.approx(value_ms, rel=0.008, abs=0.001)
