"""History: the seconds of a run so far, bounded, for charts and for the run folder.

A history has at most :data:`MAX_POINTS` points. When it is full, neighbours are put
together and every further point covers twice as many seconds: counts add up, times are
taken from the added counts, and gauges (states, groups …) are those at the end.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from fleetsim.report.live.feed import merge_intervals
from fleetsim.report.live.frame import Generation, Interval, LiveFrame, quantiles

MAX_POINTS: Final = 1_200


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One point of every chart.

    Attributes:
        interval: What happened.
        states: Devices by contact state at its end.
        groups: Devices by cipher group at its end.
        generations: Devices by bundle generation at its end.
        backlog: Files on the cards at its end.
        in_flight: Attempts under way at its end.
        cpu_ratio: Highest load of the generator, of one core.
    """

    interval: Interval
    states: Mapping[str, int] = field(default_factory=dict)
    groups: Mapping[str, int] = field(default_factory=dict)
    generations: Mapping[int, int] = field(default_factory=dict)
    backlog: int = 0
    in_flight: int = 0
    cpu_ratio: float = 0.0


class History:
    """Points of a run, oldest first.

    Args:
        most: Most points, even and >= 2.
    """

    def __init__(self, most: int = MAX_POINTS) -> None:
        self._most = most
        self._waiting: list[Point] = []
        self.points: list[Point] = []
        self.frames_per_point = 1

    def add(self, frame: LiveFrame) -> Point | None:
        """Take a frame.

        Returns:
            The point it completed, if any.
        """
        self._waiting.append(point_of(frame))
        if len(self._waiting) < self.frames_per_point:
            return None
        point = merge_points(self._waiting)
        self._waiting.clear()
        self.points.append(point)
        if len(self.points) >= self._most:
            self.points = [
                merge_points(self.points[place : place + 2])
                for place in range(0, len(self.points), 2)
            ]
            self.frames_per_point *= 2
        return point


def point_of(frame: LiveFrame) -> Point:
    """Point of one frame."""
    return Point(
        interval=frame.latest,
        states=frame.states,
        groups=frame.groups,
        generations=by_number(frame.generations),
        backlog=frame.backlog,
        in_flight=frame.in_flight,
        cpu_ratio=frame.cpu_now_ratio,
    )


def by_number(generations: tuple[Generation, ...]) -> dict[int, int]:
    """Devices by bundle generation; generations nobody uses are left out."""
    return {each.number: each.devices for each in generations if each.devices}


def merge_points(points: list[Point]) -> Point:
    """One point out of several that follow each other; at least one."""
    last = points[-1]
    if len(points) == 1:
        return last
    return Point(
        interval=merge_intervals([point.interval for point in points]),
        states=last.states,
        groups=last.groups,
        generations=last.generations,
        backlog=last.backlog,
        in_flight=last.in_flight,
        cpu_ratio=max(point.cpu_ratio for point in points),
    )


def point_data(point: Point) -> dict[str, Any]:
    """A point as charts read it; times in ms, ``None`` where nothing was counted."""
    interval = point.interval
    response, handshake = quantiles(interval.response), quantiles(interval.handshake)
    return {
        "t": round(interval.at_s, 2),
        "uploads": round(interval.uploads_per_s, 3),
        "bytes": round(interval.sent_bytes_per_s),
        "failures": {
            kind: round(count / interval.span_s, 3)
            for kind, count in interval.failures.items()
        },
        "r50": rounded(response.p50_ms),
        "r90": rounded(response.p90_ms),
        "r99": rounded(response.p99_ms),
        "h50": rounded(handshake.p50_ms),
        "h99": rounded(handshake.p99_ms),
        "states": {name: count for name, count in point.states.items() if count},
        "groups": dict(point.groups),
        "bundles": {str(number): count for number, count in point.generations.items()},
        "backlog": point.backlog,
        "cpu": round(point.cpu_ratio, 3),
    }


def progress_line(frame: LiveFrame) -> dict[str, Any]:
    """What the run folder keeps of a second and no record holds."""
    return {
        "at_s": round(frame.now_s, 3),
        "stage": frame.stage.value,
        "powered": frame.powered,
        "in_flight": frame.in_flight,
        "backlog": frame.backlog,
        "sent_bytes": frame.sent_bytes,
        "states": {name: count for name, count in frame.states.items() if count},
        "groups": dict(frame.groups),
        "bundles": [
            {
                "generation": each.number,
                "fingerprint": each.bundle.fingerprint,
                "certificates": each.bundle.certificates,
                "devices": each.devices,
            }
            for each in frame.generations
            if each.devices
        ],
        "cpu_ratio": round(frame.cpu_now_ratio, 3),
        "late_starts": frame.latest.late_starts,
    }


def rounded(value: float | None) -> float | None:
    """A number of milliseconds with what a chart can show of it."""
    return None if value is None else float(f"{value:.4g}")
