"""Wire: how long uploads took as seen from outside the program, by tshark on loopback.

An upload on a connection of its own lasts from its SYN to the first answer after the
body has gone out. Recorded service time and this are two distributions of the same
uploads; what lies between them is the generator's own.
"""

import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

BODY_BYTES = 16 * 1024


class Capture:
    """A running capture of one TCP port on loopback.

    Args:
        folder: Where the packets go.
        port: Port of the server.
    """

    def __init__(self, folder: Path, port: int) -> None:
        self._port = port
        self._path = folder / "wire.pcapng"
        self._process = subprocess.Popen(
            ["taskset", "-c", str(max(os.sched_getaffinity(os.getppid()))), "dumpcap", "-q", "-i", "lo", "-s", "96", "-B", "64",
             "-f", f"tcp port {port}", "-w", str(self._path)],
            stderr=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        # It says so once packets are being taken.
        until = time.monotonic() + 20
        while self._process.stderr is not None and time.monotonic() < until:
            if "File:" in self._process.stderr.readline():
                return
        raise SystemExit("dumpcap does not start")

    def read(self) -> list[int]:
        """Stop, and give the duration of every upload, ns."""
        time.sleep(1.0)
        self._process.terminate()
        self._process.wait(20)
        answer = subprocess.run(
            ["tshark", "-r", str(self._path), "-T", "fields", "-e", "tcp.stream",
             "-e", "frame.time_epoch", "-e", "tcp.srcport", "-e", "tcp.len",
             "-e", "tcp.flags.syn"],
            capture_output=True,
            text=True,
            check=True,
        )  # fmt: skip
        return durations_ns(answer.stdout, self._port)


def durations_ns(lines: str, port: int) -> list[int]:
    """Work the duration of every upload out of tshark's fields."""
    began: dict[str, int] = {}
    sent: dict[str, int] = {}
    found: dict[str, int] = {}
    for line in lines.splitlines():
        stream, epoch, source, length, syn = line.split("\t")
        seconds, _, rest = epoch.partition(".")
        at_ns = int(seconds) * 10**9 + int(rest.ljust(9, "0")[:9])
        if syn in {"1", "True"} and stream not in began:
            began[stream] = at_ns
        elif int(source) != port:
            sent[stream] = sent.get(stream, 0) + int(length)
        elif (
            int(length)
            and sent.get(stream, 0) > BODY_BYTES
            and stream in began
            and stream not in found
        ):
            found[stream] = at_ns - began[stream]
    return list(found.values())


def distance_ms(recorded: Sequence[int], wire: Sequence[int]) -> dict[str, float]:
    """Recorded minus wire at the median and the 99th percentile, ms."""
    return {
        f"{name}_{which}_ms": value
        for which, share in (("p50", 0.5), ("p99", 0.99))
        for name, value in (
            ("recorded", _rank(recorded, share)),
            ("wire", _rank(wire, share)),
            ("off", abs(_rank(recorded, share) - _rank(wire, share))),
        )
    } | {"recorded_count": len(recorded), "wire_count": len(wire)}


def _rank(values: Sequence[int], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] / 1e6
