"""What happened when: the charts of a run share one axis, with its actions on it."""

from pathlib import Path

from fleetsim.report.html import when
from fleetsim.report.html.charts import TimeAxis
from fleetsim.report.over_time import over_time
from fleetsim.report.summary import build_summary
from tests.recording.records import DEVICE, S, record
from tests.report.runs import change, make_run, step


def test_actions_that_began_are_marks_and_others_are_not(tmp_path: Path) -> None:
    """A skipped entry has no moment; numbers count those that have one."""
    folder = make_run(
        tmp_path,
        [record(n) for n in range(10)],
        timeline=[
            step("push_bundle", "end", 2, entry=0, outcome="skipped"),
            step("swap_server_certificate", "start", 5, entry=1),
            step("swap_server_certificate", "end", 5, entry=1),
        ],
    )
    summary = build_summary(folder)
    over = over_time(folder, 10 * S)
    axis = when.axis_of(summary, over)
    assert when.mark_numbers(summary) == {1: 1}
    assert axis.marks == ((5.0, "swap_server_certificate, at 5.0 s"),)
    assert all(chart.marks for chart in when.charts(summary, over, axis))


def test_states_are_shown_as_they_were_at_the_end_of_a_slot() -> None:
    """A point every second, slots of two: each shows what its changes led to."""
    series = [{"connected": n} for n in range(6)]
    found = when.resampled(series, 1, TimeAxis(step_s=2, slots=3))
    assert [point["connected"] for point in found] == [2, 4, 5]


def test_rare_kinds_of_failure_are_one_series(tmp_path: Path) -> None:
    """A chart has few colours; none is left out of the sum."""
    rows = [
        record(n, kind=f"s3.Code{n}", phase="wait", ended_ns=S)
        for n in range(when.MAX_KINDS + 3)
    ]
    folder = make_run(tmp_path, rows)
    summary, over = build_summary(folder), over_time(folder, S)
    charts = when.charts(summary, over, when.axis_of(summary, over))
    (failures,) = (chart for chart in charts if chart.key == "failures")
    assert len(failures.legend) == when.MAX_KINDS + 1
    assert failures.rows[1][-1] == "3"


def test_charts_without_anything_to_show_are_left_out(tmp_path: Path) -> None:
    """No failures, no TLS, no histories: no such charts."""
    folder = make_run(tmp_path, [record(tls_ns=-1, suite="", group="")])
    summary, over = build_summary(folder), over_time(folder, S)
    charts = when.charts(summary, over, when.axis_of(summary, over))
    assert {chart.key for chart in charts} == {"uploads", "response", "bytes"}


def test_states_have_their_own_colours(tmp_path: Path) -> None:
    """The healthy ones lie at the bottom."""
    folder = make_run(
        tmp_path,
        [record(n) for n in range(4)],
        histories=[
            (DEVICE, "ordinary", change(0, "", "connected")),
            (DEVICE, "ordinary", change(2, "connected", "stranded", "proof")),
        ],
    )
    summary, over = build_summary(folder), over_time(folder, 4 * S)
    first = when.charts(summary, over, when.axis_of(summary, over))[0]
    assert [shape.colour for shape in first.shapes] == [
        "state-connected",
        "state-stranded",
    ]
