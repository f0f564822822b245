"""Replay: a run folder as the web page reads it: finished, interrupted or killed.

The figures are those of ``summary.json``, made again; the charts come from the records
and from ``progress.jsonl``; the map from the histories of contact and from the cipher
group of every success. What a run did not keep is left out of the page.
"""

import json
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow.compute as pc

from fleetsim.core.progress import STATES
from fleetsim.exceptions import InputError, Problem
from fleetsim.recording.outcomes import read_devices
from fleetsim.recording.progress_log import read_progress
from fleetsim.recording.records_file import read_batches
from fleetsim.recording.run_folder import read_manifest
from fleetsim.recording.states import read_states
from fleetsim.report.live.device_history import device_history
from fleetsim.report.live.frame import EntryState
from fleetsim.report.live.history import rounded
from fleetsim.report.live.layers import Layer
from fleetsim.report.live.wire import summary_data
from fleetsim.report.over_time import OverTime, over_time
from fleetsim.report.summary import build_summary

MAX_SLOTS: Final = 1_200
MOST_GROUPS: Final = 255
_GRAIN_NS: Final = 100_000_000
"""Changes within this time are shown as one."""

_NS_PER_S: Final = 1_000_000_000


class Replay:
    """Shows a run folder.

    Args:
        folder: The folder.

    Raises:
        InputError: If it is no run folder or a file in it is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        manifest = read_manifest(folder)
        summary = build_summary(folder)
        states = read_states(folder)
        devices = _devices(folder, states, manifest)
        self._ids = tuple(device for device, _ in devices)
        self._json = _run_json(folder, manifest, summary, states, devices)

    def run_json(self) -> str:
        """Everything."""
        return self._json

    async def follow(self, last_id: int | None) -> AsyncIterator[str]:  # noqa: ARG002 - nothing happens any more
        """Nothing happens any more."""
        nothing: tuple[str, ...] = ()
        for text in nothing:
            yield text

    async def device(self, index: int) -> dict[str, Any] | None:
        """History of a device; ``None`` = there is no such device."""
        if not 0 <= index < len(self._ids):
            return None
        return device_history(self._folder, self._ids[index])

    def stop(self) -> bool:
        """Nothing is running."""
        return False


def _run_json(
    folder: Path,
    manifest: Mapping[str, Any],
    summary: Mapping[str, Any],
    states: Any,
    devices: Sequence[tuple[str, str]],
) -> str:
    end_s = float(summary["seconds"])
    lines = read_progress(folder)
    slots = max(1, -(-int(end_s + 1) // MAX_SLOTS))
    series = over_time(folder, round(end_s * _NS_PER_S), slots)
    cohorts: defaultdict[str, int] = defaultdict(int)
    for _, cohort in devices:
        cohorts[cohort] += 1
    head = {
        "mode": "finished",
        "last_id": 0,
        "run": {
            "name": folder.name,
            "folder": str(folder),
            "target": _target(manifest),
            "scenario": summary["scenario"],
            "seed": summary["seed"],
            "duration_s": manifest["duration_ns"] / _NS_PER_S,
            "drain_s": 0,
            "warm_up_s": summary["warm_up_s"],
            "devices": len(devices),
            "cohorts": [
                {"name": name, "devices": count} for name, count in cohorts.items()
            ],
            "ids": "".join(each[:8].ljust(8) for each, _ in devices),
            "thresholds": manifest.get("thresholds", []),
            "expects_failure": summary.get("expect") == "fail",
        },
        "frame": _frame(summary, lines, len(devices)),
        "points": _points(series, lines, end_s),
        "notes": _notes(summary),
        "ending": summary["outcome"],
        "summary": summary_data(summary),
    }
    layers = ",".join(
        f'"{name}":{text}' for name, text in _layers(folder, states, devices).items()
    )
    return f'{json.dumps(head, separators=(",", ":"))[:-1]},"layers":{{{layers}}}}}'


def _target(manifest: Mapping[str, Any]) -> str:
    target = manifest.get("target")
    if isinstance(target, Mapping) and target.get("endpoint"):
        return str(target["endpoint"])
    return "the lab" if manifest.get("scenario", {}).get("lab") is not None else "?"


# ------------------------------------------------------------------ devices


def _devices(
    folder: Path, states: Any, manifest: Mapping[str, Any]
) -> tuple[tuple[str, str], ...]:
    """Ids and cohorts, the cohorts in the order of the scenario."""
    table = read_devices(folder) if states is None else states
    if table is None:
        raise InputError(
            Problem(str(folder), "the run was killed before it had a device to show")
        )
    pairs = dict(
        zip(table["device"].to_pylist(), table["cohort"].to_pylist(), strict=True)
    )
    written = manifest.get("scenario", {}).get("cohorts")
    order = {
        each.get("name"): place
        for place, each in enumerate(written if isinstance(written, list) else ())
        if isinstance(each, Mapping)
    }
    return tuple(sorted(pairs.items(), key=lambda pair: order.get(pair[1], len(order))))


def _layers(
    folder: Path, states: Any, devices: Sequence[tuple[str, str]]
) -> dict[str, str]:
    places = {device: place for place, (device, _) in enumerate(devices)}
    found: dict[str, str] = {}
    if states is not None:
        codes = {state.value: code for code, state in enumerate(STATES)}
        names = ("device", "at_ns", "state")
        changes = (
            (at_ns, places[device], codes[state])
            for device, at_ns, state in zip(
                *(states[name].to_pylist() for name in names), strict=True
            )
            if state in codes
        )
        found["state"] = _layer(len(devices), changes, [each.value for each in STATES])
    groups = {"": 0}
    successes = tuple(_group_changes(folder, places, groups))
    if successes:
        found["group"] = _layer(len(devices), successes, list(groups))
    return found


def _layer(
    devices: int, changes: Iterable[tuple[int, int, int]], names: list[str]
) -> str:
    """A layer of changes (time, device, code); a code that is there already is none."""
    by_time: defaultdict[int, dict[int, int]] = defaultdict(dict)
    for at_ns, place, code in sorted(changes, key=lambda change: change[0]):
        by_time[-(-at_ns // _GRAIN_NS)][place] = code
    layer = Layer(devices)
    now = bytearray(devices)
    for slot, changed in by_time.items():
        indexes = [place for place, code in changed.items() if now[place] != code]
        for place in indexes:
            now[place] = changed[place]
        layer.append(
            slot * _GRAIN_NS / _NS_PER_S, indexes, bytes(changed[i] for i in indexes)
        )
    return layer.to_json(names)


def _group_changes(
    folder: Path, places: Mapping[str, int], groups: dict[str, int]
) -> Iterable[tuple[int, int, int]]:
    """When a device's successes came to use another cipher group."""
    last: dict[str, str] = {}
    for rows in read_batches(folder, ("device", "group", "kind", "ended_ns")):
        good = rows.filter(
            pc.and_(pc.equal(rows["kind"], ""), pc.not_equal(rows["group"], ""))
        )
        names = ("device", "group", "ended_ns")
        for device, group, ended_ns in zip(
            *(good[name].to_pylist() for name in names), strict=True
        ):
            if last.get(device) != group and device in places:
                last[device] = group
                code = groups.setdefault(group, min(len(groups), MOST_GROUPS))
                yield ended_ns, places[device], code


# ------------------------------------------------------------------ charts


def _points(
    series: OverTime, lines: Sequence[Mapping[str, Any]], end_s: float
) -> list[dict[str, Any]]:
    times = {
        "r50": series.quantile_ms(series.response, 50),
        "r90": series.quantile_ms(series.response, 90),
        "r99": series.quantile_ms(series.response, 99),
        "h50": series.quantile_ms(series.handshake, 50),
        "h99": series.quantile_ms(series.handshake, 99),
    }
    points: list[dict[str, Any]] = []
    place, sent_before, at_before = 0, 0, 0.0
    for slot in range(series.slots):
        at_s = min(end_s, float((slot + 1) * series.step_s))
        # The last slot is cut short by the end of the run.
        span_s = max(at_s - slot * series.step_s, 1e-3)
        while place + 1 < len(lines) and lines[place + 1].get("at_s", 0.0) <= at_s:
            place += 1
        line: Mapping[str, Any] = lines[place] if lines else {}
        sent, line_s = line.get("sent_bytes", 0), line.get("at_s", 0.0)
        rate = (sent - sent_before) / (line_s - at_before) if line_s > at_before else 0
        sent_before, at_before = sent, line_s
        points.append(
            {
                "t": round(at_s, 2),
                "uploads": round(series.uploads[slot] / span_s, 3),
                "bytes": round(rate) if lines else None,
                "failures": {
                    kind: round(counts[slot] / span_s, 3)
                    for kind, counts in series.failures.items()
                    if counts[slot]
                },
                **{name: rounded(values[slot]) for name, values in times.items()},
                "states": line.get("states", {}),
                "groups": line.get("groups", {}),
                "bundles": {
                    str(each["generation"]): each["devices"]
                    for each in line.get("bundles", ())
                },
                "backlog": line.get("backlog"),
                "cpu": line.get("cpu_ratio"),
            }
        )
    return points


# ------------------------------------------------------------------ figures


def _frame(
    summary: Mapping[str, Any], lines: Sequence[Mapping[str, Any]], devices: int
) -> dict[str, Any]:
    last: Mapping[str, Any] = lines[-1] if lines else {}
    latency, throughput = summary["latency"], summary["throughput"]
    generator = summary["generator"]
    return {
        "number": 0,
        "stage": "over",
        "now_s": summary["seconds"],
        "remaining_s": 0,
        "devices": devices,
        "powered": last.get("powered", devices),
        "failing": 0,
        "in_flight": 0,
        "backlog": summary["devices"].get("files_backlog", last.get("backlog", 0)),
        "states": summary["devices"]["by_state"] or last.get("states", {}),
        "uploads": summary["uploads"]["acknowledged"],
        "attempts": _attempts(summary),
        "sent_bytes": throughput["bytes_sent"],
        "received_bytes": throughput["bytes_received"],
        "failures": summary["failures"],
        "response": latency["response"],
        "handshake": latency["tls"],
        "recent": None,
        "groups": summary["cipher_groups"],
        "generations": [
            {**each, "number": each["generation"]} for each in last.get("bundles", ())
        ],
        "cohorts": [
            {
                "name": name,
                "devices": figures["devices"]["total"],
                "states": figures["devices"]["by_state"],
                "uploads": figures["uploads"]["acknowledged"],
                "attempts": _attempts(figures),
                "failures": sum(figures["failures"].values()),
                "response": figures["latency"]["response"],
                "groups": figures["cipher_groups"],
                "bundles": {},
            }
            for name, figures in summary["cohorts"].items()
        ],
        "timeline": [
            _entry(index, entry)
            for index, entry in enumerate(summary["rehearsal"]["timeline"]["entries"])
        ],
        "cpu_ratio": 0 if generator is None else generator["cpu_ratio"],
        "health": generator,
    }


def _attempts(figures: Mapping[str, Any]) -> int:
    return sum(
        each["attempts"]
        for name, each in figures["operations"].items()
        if name != "handshake"
    )


def _entry(index: int, entry: Mapping[str, Any]) -> dict[str, Any]:
    state = {each.value: each for each in EntryState}.get(entry["outcome"])
    if state is None:
        state = EntryState.RUNNING if entry["started_s"] else EntryState.WAITING
    return {
        "index": index,
        "label": f"{entry['action']} {entry['name']}".rstrip(),
        "trigger": "never due" if entry["planned_s"] is None else "",
        "state": state.value,
        "due_s": entry["planned_s"],
        "started_s": entry["started_s"],
        "ended_s": entry["ended_s"],
        "note": entry["reason"],
    }


def _notes(summary: Mapping[str, Any]) -> list[dict[str, str]]:
    notes: list[str] = []
    if summary["outcome"] == "running":
        notes.append("the run goes on or was killed: this is what it has written")
    aborted = summary["rehearsal"]["timeline"]["aborted"]
    if aborted:
        notes.append(f"ended early: {aborted}")
    return [{"text": text} for text in notes]
