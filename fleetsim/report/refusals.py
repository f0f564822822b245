"""Refusals: who ended each failed attempt, in which phase and with what.

The same certificate or cipher is refused by different parties in different phases: a
front may end the handshake with an alert, complete it and answer in HTTP, or leave the
answer to the S3 server behind it. The failure kind says what a device saw; this says
whose word it was.

===========  ===========================================================================
``by``       the word is that of
===========  ===========================================================================
server_tls   whoever ends TLS there: an alert (RFC 5246 7.2)
front        an HTTP server that does not answer as S3 does: an error status without an
             S3 error document. The answer to a HEAD has none either, so an S3 server's
             own may be among them where ``change_detection`` is ``head_then_get``
s3           the S3 endpoint: an S3 error document
device       the device itself: it does not trust the server, has no trust or no room
network      nobody: lost on the way (refused connections, resets, deadlines, names)
run          the run, which ended before the attempt did
===========  ===========================================================================
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import pyarrow.compute as pc

from fleetsim.core.failure import Kind, Phase
from fleetsim.recording.records_file import read_batches
from fleetsim.transport.tls_names import ALERTS

_KEYS: Final = ("phase", "kind", "alert", "status")
_NUMBERS: Final = {name: number for number, name in ALERTS.items()}
_OWN_WORD: Final = frozenset({Kind.TLS_NO_SHARED_CIPHER, Kind.TLS_OWN_CERTIFICATE})
_LARGEST: Final = 20


class By(StrEnum):
    """Whose word ended an attempt; values are written to ``summary.json``."""

    SERVER_TLS = "server_tls"
    FRONT = "front"
    S3 = "s3"
    DEVICE = "device"
    NETWORK = "network"
    RUN = "run"


@dataclass(slots=True, kw_only=True)
class Refusal:
    """Attempts that ended in the same way.

    Attributes:
        by: Whose word it was.
        phase: Phase of the attempt that was under way.
        kind: Failure kind.
        answer: What the server said: the alert with its number, or the HTTP status;
            empty when it said nothing.
        attempts: How many.
        devices: On which devices.
        example: Words of the first, for people.
    """

    by: By
    phase: str
    kind: str
    answer: str
    attempts: int = 0
    devices: set[str] = field(default_factory=set)
    example: str = ""


def read_refusals(folder: Path) -> tuple[Refusal, ...]:
    """Read how the failed attempts of a run ended, most attempts first.

    Raises:
        InputError: If the records cannot be read.
    """
    found: dict[tuple[Any, ...], Refusal] = {}
    for table in read_batches(folder, ("device", *_KEYS, "detail")):
        failed = table.filter(pc.not_equal(table["kind"], ""))
        # A batch has far fewer ways to fail than failures.
        counted = failed.group_by([*_KEYS, "device"], use_threads=False).aggregate(
            [("detail", "count"), ("detail", "first")]
        )
        for *key, device, attempts, example in _rows(
            counted, (*_KEYS, "device", "detail_count", "detail_first")
        ):
            refusal = found.get(tuple(key))
            if refusal is None:
                phase, kind, alert, status = key
                refusal = found[tuple(key)] = Refusal(
                    by=refused_by(kind, phase),
                    phase=phase,
                    kind=kind,
                    answer=answer_of(kind, alert, status),
                    example=example,
                )
            refusal.attempts += attempts
            refusal.devices.add(device)
    return tuple(
        sorted(found.values(), key=lambda one: (-one.attempts, one.kind, one.answer))
    )


def refused_by(kind: str, phase: str) -> By:
    """Say whose word a failure is.

    Args:
        kind: Failure kind, not empty.
        phase: Value of :class:`fleetsim.core.failure.Phase`.
    """
    if kind.startswith("tls.alert."):
        return By.SERVER_TLS
    if kind.startswith("s3."):
        return By.S3
    if kind == Kind.HTTP_STATUS:
        return By.FRONT
    if kind == Kind.RUN_STOPPED:
        return By.RUN
    if (
        kind.startswith("tls.verify.")
        or kind in _OWN_WORD
        or phase == Phase.DEVICE.value
    ):
        return By.DEVICE
    return By.NETWORK


def answer_of(kind: str, alert: str, status: int) -> str:
    """Say what the server said.

    Args:
        kind: Failure kind.
        alert: IANA name of the alert that it sent, empty when none.
        status: HTTP status of its answer, 0 = none.
    """
    if alert:
        number = _NUMBERS.get(alert)
        return f"alert {alert}" if number is None else f"alert {number} {alert}"
    if not status:
        return ""
    code = f" {kind.removeprefix('s3.')}" if kind.startswith("s3.") else ""
    return f"HTTP {status}{code}"


def refusal_data(refusals: Sequence[Refusal]) -> list[dict[str, Any]]:
    """Write refusals as ``summary.json`` has them: the most frequent ones."""
    return [
        {
            "by": each.by.value,
            "phase": each.phase,
            "kind": each.kind,
            "answer": each.answer,
            "attempts": each.attempts,
            "devices": len(each.devices),
            "example": each.example,
        }
        for each in refusals[:_LARGEST]
    ]


def _rows(table: Any, columns: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    return zip(*(table[name].to_pylist() for name in columns), strict=True)
