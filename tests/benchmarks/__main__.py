"""Benchmarks: CPU per upload of the whole generator process beside references.

    python -m tests.benchmarks [--runs 5] [--only ROW] [--quick]

Every row runs ours and its references in turn, several times, against one nginx worker
on another core. Absolute figures belong to this machine and this hour; the ratios are
what is compared. The result goes to ``results/benchmarks/<date>.json``.
"""

import argparse
import json
import os
import platform
import statistics
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from tests.benchmarks.front import Front, front
from tests.benchmarks.rows import ROOT, Client, Figure, Row, Sample, figures, rows


def measure(row: Row, here: Front, cpu: int, runs: int) -> dict[str, object]:
    """Run a row: ours and every reference in turn, ``runs`` times."""
    samples: dict[str, list[Sample]] = {n: [] for n in ("ours", *row.references)}
    for _ in range(runs):
        samples["ours"].append(row.ours(here, cpu))
        for name, (client, _) in row.references.items():
            samples[name].append(client(here, cpu))
    ours = [sample.cpu_us for sample in samples["ours"]]
    _say(f"\n{row.name}")
    _line("ours", ours, sum(s.failed for s in samples["ours"]))
    if row.most_cpu_us is not None:
        middle = statistics.median(ours)
        _say(f"    {1e6 / middle:,.0f} a second and core{_verdict(middle, row)}")
    result: dict[str, object] = {"ours_cpu_us": ours, "aim_cpu_us": row.most_cpu_us}
    for name, (_, aim) in row.references.items():
        theirs = [sample.cpu_us for sample in samples[name]]
        ratios = [mine / other for mine, other in zip(ours, theirs, strict=True)]
        _line(name, theirs, 0)
        ratio = statistics.median(ratios)
        verdict = (
            "" if aim is None else f"   aim ≤ {aim:g} {'✓' if ratio <= aim else '✗'}"
        )
        _say(f"    ratio {min(ratios):.3f} / {ratio:.3f} / {max(ratios):.3f}{verdict}")
        result[name] = {"cpu_us": theirs, "ratios": ratios, "aim": aim}
    result["details"] = [sample.extra for sample in samples["ours"]]
    return result


def _verdict(cpu_us: float, row: Row) -> str:
    if row.most_cpu_us is None:
        return ""
    mark = "✓" if cpu_us <= row.most_cpu_us else "✗"
    return f"   aim ≥ {1e6 / row.most_cpu_us:,.0f} {mark}"


def look(
    chosen: Sequence[Figure], here: Front, cpu: int, runs: int
) -> dict[str, object]:
    """Take figures; those of one client come out of the same runs."""
    results: dict[str, object] = {}
    taken: dict[Client, list[Sample]] = {}
    for figure in chosen:
        if figure.ours not in taken:
            taken[figure.ours] = [figure.ours(here, cpu) for _ in range(runs)]
        samples = taken[figure.ours]
        values = [figure.read(sample.extra) for sample in samples]  # type: ignore[arg-type]  # numbers of a JSON object
        middle = statistics.median(values)
        _say(f"\n{figure.name}")
        failed = sum(sample.failed for sample in samples)
        _say(
            f"  {min(values):.2f} / {middle:.2f} / {max(values):.2f} {figure.unit}"
            f"   aim ≤ {figure.most:g} {'✓' if middle <= figure.most else '✗'}"
            + (f"   {failed} FAILED" if failed else "")
        )
        results[figure.name] = {
            "values": values,
            "aim": figure.most,
            "details": [sample.extra for sample in samples],
        }
    return results


def _line(name: str, values: list[float], failed: int) -> None:
    spread = " / ".join(
        f"{value:8.1f}"
        for value in (min(values), statistics.median(values), max(values))
    )
    more = f"   {failed} FAILED" if failed else ""
    _say(f"  {name:40s} {spread} µs CPU  (min / median / max){more}")


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - this is a program


def main() -> None:
    """Run the rows and write the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", default="", help="rows whose name contains this")
    parser.add_argument("--quick", action="store_true", help="a smoke test")
    options = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    client_cpu, server_cpu = cores[0], cores[-1]
    now = datetime.now(UTC)
    results: dict[str, object] = {
        "taken": now.isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cores": {"client": client_cpu, "server": server_cpu},
        "load_before": os.getloadavg(),
    }
    with (
        tempfile.TemporaryDirectory(prefix="fleetsim-bench-") as folder,
        front(Path(folder), server_cpu) as here,
    ):
        for row in rows(quick=options.quick):
            if options.only in row.name:
                results[row.name] = measure(row, here, client_cpu, options.runs)
        chosen = [f for f in figures(quick=options.quick) if options.only in f.name]
        results |= look(chosen, here, client_cpu, min(3, options.runs))
    place = ROOT / "results" / "benchmarks"
    place.mkdir(parents=True, exist_ok=True)
    path = place / f"{now:%Y-%m-%dT%H%M%SZ}.json"
    path.write_text(json.dumps(results, indent=1) + "\n")
    _say(f"\n{path}")


main()
