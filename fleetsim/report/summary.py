"""Summary: ``summary.json``, a pure function of the run folder.

Verdict, first rule that applies:

1. ``interrupted``: the run was asked to stop, or was killed.
2. ``failed``: an unclassified failure; or a difference between what devices were told
   and what the bucket holds, or a truth check that could not be done; or the run ended
   with an error of its own.
3. ``invalid``: a process of the generator died with its devices: whatever was measured,
   it was a smaller fleet than the one that was planned.
4. ``failed``: a threshold that is not a time does not hold; or an entry of the timeline
   was not carried out.
5. ``invalid``: the generator was saturated and there is a threshold on a time: such a
   time describes the generator, so it neither holds nor fails. Without a threshold on
   a time, saturation is printed but changes no verdict.
6. ``failed``: a threshold on a time does not hold.
7. ``passed``.

A scenario that shows damage on purpose (``expect: fail``) is *as expected* when it
failed, and failed by the damage: a threshold or an assertion. A run that failed for
another reason alone (an error, a difference in the bucket, a failure without a kind)
proves nothing. Where thresholds are marked as the damage, exactly those must fail, and
the timeline must have been carried out. The exit code follows the expectation, the
verdict does not.

Latencies: see :mod:`fleetsim.recording.latency`; ``response`` is measured from the
plan (response time), ``total`` from the start of the attempt (service time).
"""

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from fleetsim.core.commands import Operation
from fleetsim.core.failure import Kind
from fleetsim.core.histogram import Histogram
from fleetsim.exceptions import InputError, Problem
from fleetsim.recording.json_file import write_json
from fleetsim.recording.latency import CONNECTION_PHASES, PHASES
from fleetsim.recording.names import MANIFEST, SUMMARY
from fleetsim.recording.observed import read_observed
from fleetsim.recording.run_folder import RunOutcome
from fleetsim.report.aggregate import HANDSHAKE
from fleetsim.report.both_sides import observed_data
from fleetsim.report.journal import CHECKS
from fleetsim.report.load import DeviceTotals, Run, load_run
from fleetsim.report.refusals import read_refusals, refusal_data
from fleetsim.report.suite_names import iana_name
from fleetsim.report.thresholds import Verdict, evaluate, freshness
from fleetsim.report.verdicts import rehearsal_data
from fleetsim.scenario.threshold import Threshold, parse_threshold

SCHEMA_VERSION: Final = 1

_NS_PER_MS: Final = 1_000_000
_NS_PER_S: Final = 1_000_000_000
_UPLOAD: Final = (Operation.UPLOAD.value,)
_EXIT_CODES: Final = {"passed": 0, "failed": 99, "invalid": 99, "interrupted": 130}


def build_summary(run_folder: Path) -> dict[str, Any]:
    """Make the summary of a run, finished or killed.

    Raises:
        InputError: If this is no run folder or a file in it is damaged.
    """
    return summarise(load_run(run_folder))


def summarise(run: Run) -> dict[str, Any]:
    """Make the summary of a run that was read already.

    Raises:
        InputError: If a threshold of its manifest is none.
    """
    thresholds = _thresholds(run)
    verdicts = [evaluate(threshold, run) for threshold in thresholds]
    kinds = run.records.attempts_at().kinds
    verdict = _verdict(run, verdicts)
    return {
        "schema": SCHEMA_VERSION,
        "run": run.manifest.get("run", run.path.name),
        "scenario": run.manifest.get("scenario_name", ""),
        "seed": run.manifest.get("seed"),
        "verdict": verdict,
        "expect": "fail" if run.expects_failure else "pass",
        "as_expected": _is_as_expected(run, verdict, verdicts),
        "outcome": run.outcome.value,
        "started": run.manifest.get("started"),
        "ended": run.manifest.get("ended"),
        "detail": run.manifest.get("detail", ""),
        "seconds": run.records.last_ns / _NS_PER_S,
        "warm_up_s": run.warm_up_ns / _NS_PER_S,
        "profiles": _profiles(run),
        **_figures(run, None),
        "unclassified": kinds[Kind.UNCLASSIFIED],
        "refusals": refusal_data(read_refusals(run.path)),
        "observed": observed_data(
            read_observed(run.path), run.path, run.manifest.get("scenario")
        ),
        "audit": _audit(run),
        "clean": None if run.cleaned is None else asdict(run.cleaned),
        "thresholds": [
            _threshold(verdict, is_damage=is_damage)
            for verdict, is_damage in zip(verdicts, run.damage, strict=True)
        ],
        "generator": _generator(run),
        "cohorts": {cohort: _figures(run, cohort) for cohort in run.cohorts},
    }


def write_summary(run_folder: Path) -> dict[str, Any]:
    """Make the summary and write it to ``summary.json``.

    Raises:
        InputError: If this is no run folder or a file in it is damaged.
        RecordingError: If the file cannot be written.
    """
    summary = build_summary(run_folder)
    write_json(run_folder / SUMMARY, summary)
    return summary


def exit_code(summary: dict[str, Any]) -> int:
    """Exit code of a run with this summary: 0, 3, 99 or 130.

    Where the scenario expects to fail, 0 and 99 change places. A run that did all it
    should but left behind what it was to delete ends in 3.
    """
    code = _EXIT_CODES[summary["verdict"]]
    if code in {0, 99} and summary.get("expect") == "fail":
        code = 0 if summary["as_expected"] else 99
    cleaned = summary.get("clean")
    is_left = cleaned and (cleaned["failed"] or cleaned["refused_count"])
    return 3 if code == 0 and is_left else code


def _thresholds(run: Run) -> list[Threshold]:
    problems: list[Problem] = []
    thresholds: list[Threshold] = []
    for expression in run.thresholds:
        try:
            thresholds.append(parse_threshold(expression))
        except ValueError as exc:
            problems.append(Problem(str(run.path / MANIFEST), f"{expression!r}: {exc}"))
    if problems:
        raise InputError(problems)
    return thresholds


def _verdict(run: Run, verdicts: list[Verdict]) -> str:
    if run.outcome in {RunOutcome.INTERRUPTED, RunOutcome.RUNNING}:
        return "interrupted"
    if _is_broken(run):
        return "failed"
    if run.generator is not None and run.generator.devices_lost:
        return "invalid"
    if run.rehearsal.not_done or any(
        not verdict.ok for verdict in verdicts if not verdict.is_time
    ):
        return "failed"
    times = [verdict for verdict in verdicts if verdict.is_time]
    if times and run.generator is not None and run.generator.saturated:
        return "invalid"
    return "passed" if all(verdict.ok for verdict in times) else "failed"


def _is_broken(run: Run) -> bool:
    """Whether the run proves nothing: an error, a bug, or the bucket disagrees."""
    audit = run.audit
    is_truth_in_doubt = audit is not None and (audit.failed or audit.unaccounted > 0)
    unclassified = run.records.attempts_at().kinds[Kind.UNCLASSIFIED]
    return run.outcome is RunOutcome.ERROR or is_truth_in_doubt or unclassified > 0


def _is_as_expected(run: Run, verdict: str, verdicts: list[Verdict]) -> bool:
    if not run.expects_failure:
        return verdict == "passed"
    if any(run.damage):
        return (
            verdict == "failed"
            and not _is_broken(run)
            and not run.rehearsal.not_done
            and all(
                each.ok is not is_damage
                for each, is_damage in zip(verdicts, run.damage, strict=True)
            )
        )
    has_damage = any(not each.ok for each in verdicts) or any(
        entry.action in CHECKS and entry.outcome == "failed"
        for entry in run.rehearsal.not_done
    )
    return verdict == "failed" and has_damage and not _is_broken(run)


def _figures(run: Run, cohort: str | None) -> dict[str, Any]:
    devices = run.devices if cohort is None else run.devices_by_cohort.get(cohort)
    handshakes: Counter[str] = Counter()
    for (in_cohort, suite), count in run.records.suites.items():
        if cohort in {None, in_cohort}:
            handshakes[iana_name(suite)] += count
    kinds = run.records.attempts_at(cohort=cohort).kinds
    return {
        "devices": _devices(run, cohort, devices),
        "uploads": _uploads(run, cohort, devices),
        "failures": dict(sorted(kinds.items())),
        "latency": {
            phase: _quantiles(
                run.records.times_of(
                    phase, None if phase in CONNECTION_PHASES else _UPLOAD, cohort
                )
            )
            for phase in PHASES
        },
        "cipher_groups": _groups(run, cohort, devices),
        "cipher_suites": dict(sorted(handshakes.items())),
        "operations": _operations(run, cohort),
        "throughput": _throughput(run, cohort, handshakes.total()),
        "rehearsal": rehearsal_data(
            run.rehearsal,
            cohort,
            freshness_ns=freshness(run, cohort),
            files=_files(devices),
        ),
    }


def _files(totals: DeviceTotals | None) -> dict[str, int | None]:
    return {
        "closed": None if totals is None else totals.files_closed,
        "lost": None if totals is None else totals.files_lost,
        "backlog": None if totals is None else totals.files_backlog,
    }


def _devices(
    run: Run, cohort: str | None, totals: DeviceTotals | None
) -> dict[str, Any]:
    if totals is None:
        seen = [c for c in run.records.cohort_of.values() if cohort in {None, c}]
        planned = run.manifest.get("devices") if cohort is None else None
        return {"total": planned or len(seen), "by_state": {}, "attempted": len(seen)}
    lost = 0
    if cohort is None and run.generator is not None:
        lost = run.generator.devices_lost
    return {
        "total": totals.count + lost,
        "by_state": dict(totals.by_state),
        "files_backlog": totals.files_backlog,
        "files_lost": totals.files_lost,
        "power_cycles": totals.power_cycles,
    } | ({"lost": lost} if lost else {})


def _uploads(
    run: Run, cohort: str | None, totals: DeviceTotals | None
) -> dict[str, Any]:
    attempts = run.records.attempts_at(_UPLOAD, cohort)
    audit = run.audit if cohort is None else None
    is_checked = audit is not None and audit.checked
    return {
        "planned": None if totals is None else totals.files_closed,
        "attempted": attempts.operations,
        "acknowledged": attempts.ok,
        "stored": audit.stored if audit is not None and is_checked else None,
        "unaccounted": audit.unaccounted if audit is not None and is_checked else None,
    }


def _groups(
    run: Run, cohort: str | None, totals: DeviceTotals | None
) -> dict[str, int]:
    if totals is not None:
        return dict(totals.by_group)
    cohort_of = run.records.cohort_of
    found = Counter(
        group
        for device, group in run.records.groups.items()
        if cohort in {None, cohort_of.get(device)}
    )
    return dict(sorted(found.items()))


def _operations(run: Run, cohort: str | None) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for operation in (*run.records.operations(), HANDSHAKE):
        attempts = run.records.attempts_at((operation,), cohort)
        if not attempts.count:
            continue
        found[operation] = {
            "attempts": attempts.count,
            "ok": attempts.ok,
            "failed": attempts.failed,
            "stopped": attempts.kinds[Kind.RUN_STOPPED],
            "service": _quantiles(run.records.times_of("total", (operation,), cohort)),
            "response": _quantiles(
                run.records.times_of("response", (operation,), cohort)
            ),
        }
        if attempts.operations:
            found[operation] |= {
                "operations": attempts.operations,
                "amplification": attempts.count / attempts.operations,
            }
    return found


def _throughput(run: Run, cohort: str | None, handshakes: int) -> dict[str, Any]:
    seconds = run.records.last_ns / _NS_PER_S
    all_attempts = run.records.attempts_at(cohort=cohort)
    uploads = run.records.attempts_at(_UPLOAD, cohort)

    def rate(amount: int) -> float:
        return amount / seconds if seconds else 0.0

    return {
        "uploads_per_s": rate(uploads.ok),
        "attempts_per_s": rate(all_attempts.count),
        "handshakes_per_s": rate(handshakes),
        "goodput_bytes_per_s": rate(uploads.body_bytes),
        "bytes_sent": all_attempts.bytes_sent,
        "bytes_received": all_attempts.bytes_received,
        "body_bytes": all_attempts.body_bytes,
    }


def _quantiles(times: Histogram) -> dict[str, Any]:
    def ms(value_ns: float | None) -> float | None:
        return None if value_ns is None else value_ns / _NS_PER_MS

    return {
        "count": times.count,
        "p50_ms": ms(times.percentile(50)),
        "p90_ms": ms(times.percentile(90)),
        "p99_ms": ms(times.percentile(99)),
        "p999_ms": ms(times.percentile(99.9)),
        "max_ms": ms(times.maximum_ns),
        "min_ms": ms(times.minimum_ns),
        "mean_ms": ms(times.mean_ns),
    }


def _audit(run: Run) -> dict[str, Any] | None:
    audit = run.audit
    if audit is None:
        return None
    return {
        "checked": audit.checked,
        "reason": audit.reason,
        "failed": audit.failed,
        "listed": audit.listed,
        "acknowledged": audit.acknowledged,
        "stored": audit.stored,
        "missing": audit.missing_count,
        "wrong_size": audit.wrong_size_count,
        "wrong_etag": audit.wrong_etag_count,
        "unexplained": audit.unexplained_count,
        "late": audit.late_count,
        "earlier": audit.earlier_count,
        "size_only": audit.size_only_count,
        "examples": [
            *audit.missing[:3],
            *audit.wrong_size[:3],
            *audit.wrong_etag[:3],
            *audit.unexplained[:3],
        ],
    }


def _generator(run: Run) -> dict[str, Any] | None:
    health = run.generator
    if health is None:
        return None
    return {
        "saturated": health.saturated,
        "cpu_ratio": health.cpu_ratio,
        "late_starts": health.late_starts,
        "loop_lag_p99_ms": health.loop_lag_p99_ms,
        "starts": health.starts,
        "start_lag_p99_ms": health.start_lag_p99_ms,
        "seconds": health.seconds,
        "reasons": list(health.reasons),
        "rss_bytes": health.rss_bytes,
        "devices_lost": health.devices_lost,
        "processes": [asdict(each) for each in health.processes],
    }


def _threshold(verdict: Verdict, *, is_damage: bool) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "expression": verdict.expression,
        "value": verdict.value,
        "ok": verdict.ok,
        "unit": verdict.unit.value,
    }
    if is_damage:
        shown["expect"] = "fail"
    return shown | {"reason": verdict.reason} if verdict.reason else shown


def _profiles(run: Run) -> list[str]:
    cohorts = run.manifest.get("scenario", {}).get("cohorts", ())
    found = {
        str(cohort["profile"])
        for cohort in cohorts
        if isinstance(cohort, dict) and "profile" in cohort
    }
    return sorted(found)
