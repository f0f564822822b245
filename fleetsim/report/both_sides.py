"""Both sides: what the devices say of a run beside what its servers say.

A gap is *server minus devices*. It need not be anybody's fault: an answer that was lost on
its way was given all the same, and a handshake that the end of the run cut off is counted
by one side only. It is shown whatever its cause.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import pyarrow.compute as pc

from fleetsim.core.commands import Operation
from fleetsim.core.failure import Kind, Phase
from fleetsim.core.observed import Layer, Observed, Refusal, Source
from fleetsim.recording.records_file import read_batches

_COLUMNS: Final = (
    "device",
    "operation",
    "tls_ns",
    "suite",
    "resumed",
    "status",
    "kind",
    "phase",
)
_PUTS: Final = frozenset(
    {Operation.UPLOAD, Operation.HEARTBEAT, Operation.SCHEMA, Operation.CONFIG}
)
_MIXED: Final = "more than one"
_IN_PARTS: Final = (
    "An SDK sends a large upload in parts: one attempt here, several requests and "
    "connections at the server."
)


@dataclass(slots=True)
class Devices:
    """What the devices say.

    Attributes:
        completed: TLS handshakes completed.
        resumed: Those of them that resumed a session.
        failed: Handshakes that failed.
        answered: Requests with an answer.
        stored: Objects they were told are stored.
        cut_off: Attempts that the end of the run cut off.
        refused: By device, kinds of what failed in a handshake or was refused in HTTP.
    """

    completed: int = 0
    resumed: int = 0
    failed: int = 0
    answered: int = 0
    stored: int = 0
    cut_off: int = 0
    refused: dict[str, Counter[str]] = field(
        default_factory=lambda: defaultdict(Counter)
    )


def count_devices(folder: Path) -> Devices:
    """Count the devices' side of a run.

    Raises:
        InputError: If the records cannot be read.
    """
    total = Devices()
    for rows in read_batches(folder, _COLUMNS):
        in_tls = pc.equal(rows["phase"], Phase.TLS.value)
        is_complete = pc.and_(
            pc.and_(
                pc.greater_equal(rows["tls_ns"], 0), pc.not_equal(rows["suite"], "")
            ),
            pc.invert(in_tls),
        )
        complete = rows.filter(is_complete)
        total.completed += complete.num_rows
        total.resumed += _count(complete["resumed"])
        total.failed += _count(in_tls)
        total.answered += _count(pc.greater(rows["status"], 0))
        is_ok = pc.equal(rows["kind"], "")
        good = rows.filter(is_ok)
        for each in pc.value_counts(good["operation"]).to_pylist():
            if each["values"] in _PUTS:
                total.stored += each["counts"]
        total.cut_off += _count(pc.equal(rows["kind"], Kind.RUN_STOPPED))
        refused = rows.filter(
            pc.and_(
                pc.invert(is_ok),
                # With TLS 1.3 a refusal comes after the handshake (RFC 8446 4.4.2.4).
                pc.or_(
                    pc.starts_with(rows["kind"], "tls."),
                    pc.equal(rows["kind"], Kind.HTTP_STATUS),
                ),
            )
        )
        counts = refused.group_by(["device", "kind"]).aggregate([("kind", "count")])
        for row in counts.to_pylist():
            total.refused[row["device"]][row["kind"]] += row["kind_count"]
    return total


def _count(mask: Any) -> int:
    return pc.sum(mask).as_py() or 0


def observed_data(
    observed: Observed | None, folder: Path, scenario: object = None
) -> dict[str, Any] | None:
    """Make the part ``observed`` of the summary.

    Args:
        observed: What the servers say; ``None`` = nobody was asked.
        folder: Run folder.
        scenario: The scenario as the manifest has it.

    Returns:
        ``rows`` with both sides of each figure, ``refusals`` in the words of both
        sides, and the ``sources``.

    Raises:
        InputError: If the records cannot be read.
    """
    if observed is None:
        return None
    devices = count_devices(folder)
    front = [each for each in observed.sources if each.layer is Layer.FRONT]
    store = [each for each in observed.sources if each.layer is Layer.STORE]
    rows = [
        _row("handshakes completed", devices.completed, _completed(front), None),
        _row("handshakes resumed", devices.resumed, _resumed(front), None),
        _row("handshakes refused", devices.failed, _refused(front), None),
        _row("requests answered", devices.answered, _answered(front), _answered(store)),
        _row("objects stored", devices.stored, _stored(front), _stored(store)),
    ]
    return {
        "rows": [
            row for row in rows if row["front"] is not None or row["store"] is not None
        ],
        "cut_off": devices.cut_off,
        "notes": [_IN_PARTS] if _has_sdk(scenario) else [],
        "is_complete": all(each.is_complete for each in observed.sources),
        "refusals": _refusals(devices.refused, observed.refusals),
        "refused_at_front": dict(sorted(_kinds(front).items())),
        "sources": [_source(each) for each in observed.sources],
    }


def _has_sdk(scenario: object) -> bool:
    cohorts = scenario.get("cohorts") if isinstance(scenario, Mapping) else None
    return isinstance(cohorts, list) and any(
        isinstance(each, Mapping) and each.get("client") == "sdk" for each in cohorts
    )


def _row(
    what: str, devices: int, front: int | None, store: int | None
) -> dict[str, Any]:
    return {
        "what": what,
        "devices": devices,
        "front": front,
        "gap": None if front is None else front - devices,
        "store": store,
        "store_gap": None if store is None else store - devices,
    }


def _total(figures: Iterable[int]) -> int | None:
    found = list(figures)
    return sum(found) if found else None


def _completed(sources: Iterable[Source]) -> int | None:
    return _total(x.handshakes.completed for x in sources if x.handshakes is not None)


def _resumed(sources: Iterable[Source]) -> int | None:
    return _total(x.handshakes.resumed for x in sources if x.handshakes is not None)


def _refused(sources: Iterable[Source]) -> int | None:
    return _total(
        sum(x.handshakes.refused.values()) for x in sources if x.handshakes is not None
    )


def _answered(sources: Iterable[Source]) -> int | None:
    return _total(x.requests.answered for x in sources if x.requests is not None)


def _stored(sources: Iterable[Source]) -> int | None:
    return _total(x.requests.stored for x in sources if x.requests is not None)


def _kinds(sources: Iterable[Source]) -> Counter[str]:
    total: Counter[str] = Counter()
    for each in sources:
        if each.handshakes is not None:
            total.update(each.handshakes.refused)
    return total


def _refusals(
    said: Mapping[str, Counter[str]], refusals: Iterable[Refusal]
) -> list[dict[str, Any]]:
    """Put the words of both sides together, device by device.

    A device that met one kind of failure while the front had one reason to refuse it
    proves that the two are the same thing. Where there was more than one of either the
    pair is not known, and is not guessed.
    """
    seen: dict[str, Counter[str]] = defaultdict(Counter)
    for each in refusals:
        seen[each.device][each.kind] += each.count
    pairs: Counter[tuple[str, str]] = Counter()
    at_front: Counter[tuple[str, str]] = Counter()
    devices: Counter[tuple[str, str]] = Counter()
    for device, kinds in seen.items():
        own = said.get(device, Counter())
        pair = (_only(own), _only(kinds))
        pairs[pair] += own.total()
        at_front[pair] += kinds.total()
        devices[pair] += 1
    return [
        {
            "device_says": pair[0],
            "front_says": pair[1],
            "devices": devices[pair],
            "attempts": pairs[pair],
            "at_front": at_front[pair],
            "gap": at_front[pair] - pairs[pair],
        }
        for pair in sorted(devices, key=lambda pair: (-devices[pair], pair))
    ]


def _only(kinds: Counter[str]) -> str:
    match list(kinds):
        case []:
            return ""
        case [kind]:
            return kind
        case _:
            return _MIXED


def _source(source: Source) -> dict[str, Any]:
    found = asdict(source)
    return {**found, "layer": source.layer.value, "notes": list(source.notes)}
