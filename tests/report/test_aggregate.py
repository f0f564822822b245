"""Column-wise counting gives what counting row by row gives."""

from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fleetsim.core.failure import Kind
from fleetsim.core.histogram import HIGHEST_NS, Histogram, bucket_index
from fleetsim.recording.record import Record
from fleetsim.recording.recorder import Recorder
from fleetsim.report.aggregate import HANDSHAKE, aggregate, buckets_of
from tests.recording.records import MS, SUITE, S, record

_WARM_UP_NS = 3 * S

durations = st.one_of(st.just(-1), st.integers(0, 10 * S))
rows = st.builds(
    lambda number, taken, tls_ns, failure, changes: record(
        number,
        ended_ns=number * S + MS + taken,
        tls_ns=tls_ns,
        kind=failure[0],
        phase=failure[1],
        **changes,
    ),
    st.integers(0, 6),
    st.integers(0, 10 * S),
    durations,
    st.sampled_from(
        [
            ("", ""),
            ("", ""),
            ("tcp.refused", "tcp"),
            ("tls.alert.handshake_failure", "tls"),
            ("http.reset", "wait"),
            ("run.stopped", "run"),
        ]
    ),
    st.fixed_dictionaries(
        {
            "cohort": st.sampled_from(["a", "b"]),
            "operation": st.sampled_from(["upload", "heartbeat", "ota_bundle"]),
            "attempt": st.integers(1, 3),
            "device": st.sampled_from(["0000002A", "0000002B"]),
            "suite": st.sampled_from(["", SUITE, "AES128-SHA"]),
            "group": st.sampled_from(["", "group 1", "group 3"]),
            "dns_ns": durations,
        }
    ),
)


def write(folder: Path, records: list[Record]) -> None:
    """Write records as a run does."""
    with Recorder(folder, lambda: 0) as recorder:
        for row in records:
            recorder.add(row)
        recorder.finish()


@given(values=st.lists(st.integers(0, 2 * HIGHEST_NS), min_size=1, max_size=50))
def test_buckets_of_a_column_are_those_of_its_values(values: list[int]) -> None:
    """The vectorised formula and the scalar one are the same function."""
    edges = [edge for k in range(1, 43) for edge in (2**k - 1, 2**k, 2**k + 1)]
    column = pa.chunked_array([pa.array(values + edges, pa.int64())])
    assert buckets_of(column).to_pylist() == [bucket_index(v) for v in values + edges]


@pytest.mark.slow
@given(records=st.lists(rows, min_size=1, max_size=30))
@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_counting_columns_is_counting_rows(
    tmp_path: Path, records: list[Record]
) -> None:
    """Every figure equals a plain loop over the rows, for any mixture of them."""
    write(tmp_path, records)
    found = aggregate(tmp_path, _WARM_UP_NS)
    for cohort in (None, "a", "b"):
        mine = [r for r in records if cohort in {None, r.cohort}]
        for operation in ("upload", "heartbeat", "ota_bundle"):
            of = [r for r in mine if r.operation == operation]
            attempts = found.attempts_at((operation,), cohort)
            assert attempts.count == len(of)
            assert attempts.ok == sum(not r.kind for r in of)
            assert attempts.failed == sum(
                r.kind not in {"", Kind.RUN_STOPPED} for r in of
            )
            assert attempts.operations == sum(r.attempt == 1 for r in of)
            assert attempts.body_bytes == sum(r.body_bytes for r in of if not r.kind)
            good = [r for r in of if not r.kind and r.planned_ns >= _WARM_UP_NS]
            response = found.times_of("response", (operation,), cohort)
            assert response == Histogram.of(r.ended_ns - r.planned_ns for r in good)
            tls = found.times_of("tls", (operation,), cohort)
            assert tls == Histogram.of(r.tls_ns for r in good if r.tls_ns >= 0)
        shaken = [r for r in mine if r.tls_ns >= 0 and r.suite and r.phase != "tls"]
        refused = [r for r in mine if r.phase == "tls"]
        handshakes = found.attempts_at((HANDSHAKE,), cohort)
        assert handshakes.count == len(shaken) + len(refused)
        assert handshakes.failed == len(refused)
        assert found.times_of("total", (HANDSHAKE,), cohort) == Histogram.of(
            r.tls_ns for r in shaken if r.planned_ns >= _WARM_UP_NS
        )
        suites = sum(
            count for (c, _), count in found.suites.items() if cohort in {None, c}
        )
        assert suites == len(shaken)
    assert found.last_ns == max(r.ended_ns for r in records)
    good = [r for r in records if not r.kind]
    assert found.groups == {r.device: r.group for r in good if r.group}
    uploads = [r for r in good if r.operation == "upload"]
    assert found.newest == {
        device: max(r.planned_ns for r in uploads if r.device == device)
        for device in {r.device for r in uploads}
    }


def test_handshakes_stay_out_of_all_operations(tmp_path: Path) -> None:
    """An upload over TLS is one attempt, not two."""
    write(tmp_path, [record()])
    found = aggregate(tmp_path, 0)
    assert found.attempts_at().count == 1
    assert found.operations() == ("upload",)
    assert found.times_of("total").count == 1
    assert found.times_of("response", (HANDSHAKE,)) == Histogram.of([11 * MS])


def test_nothing_recorded_is_nothing_counted(tmp_path: Path) -> None:
    """An empty run has no cohorts and no end."""
    found = aggregate(tmp_path, 0)
    assert found.cohorts() == found.operations() == ()
    assert found.last_ns == 0
