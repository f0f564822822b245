"""Limits: what the machine must allow, checked and raised before anything runs.

How many processes ``auto`` means: one for each core that this process may use, less one
for the lab (two when a real program ends TLS before it), never more than devices. The
parent needs no core of its own: adding the figures of a shard up takes it a few
milliseconds a second.
"""

import ipaddress
import os
import resource
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from fleetsim.exceptions import InputError, Problem
from fleetsim.lab.settings import FrontProgram
from fleetsim.scenario.needs import EPHEMERAL_PORTS, FILE_DESCRIPTOR_RESERVE
from fleetsim.scenario.plan import Plan

FILES_BESIDE_CONNECTIONS: Final = 64
"""Descriptors of the process that are not device connections."""

MOST_PROCESSES: Final = 256
AUTO: Final = "auto"

_PORT_RANGE: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")


def check_machine(plan: Plan, processes: int, source_addresses: Sequence[str]) -> None:
    """Raise what can be raised and refuse what cannot work.

    Raises:
        InputError: With every limit that is too low and every address of no use.
    """
    problems: list[Problem] = []
    checks: tuple[Callable[[], None], ...] = (
        partial(raise_file_limit, plan, processes),
        partial(check_source_addresses, source_addresses),
        partial(check_ports, plan, source_addresses),
    )
    for check in checks:
        try:
            check()
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(problems)


def raise_file_limit(plan: Plan, processes: int = 1) -> None:
    """Raise the limit of open files to what the plan needs, for this process and shards.

    Args:
        plan: The whole plan.
        processes: Processes that share it.

    Raises:
        InputError: The hard limit is too low; says what to do.
    """
    open_at_once = plan.needs.file_descriptors
    if processes > 1:
        open_at_once = max(
            plan.shard(index, processes).needs.file_descriptors
            for index in range(processes)
        )
    needed = open_at_once + FILES_BESIDE_CONNECTIONS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= needed or soft == resource.RLIM_INFINITY:
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise InputError(
            Problem(
                "open files",
                f"{'the run' if processes == 1 else 'a process of the run'} may need "
                f"{needed}, the hard limit is {hard}: raise it (ulimit -Hn {needed}), "
                "lower limits.in_flight, or use more --processes",
            )
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


def check_ports(plan: Plan, source_addresses: Sequence[str]) -> None:
    """Make sure that there are enough local ports towards one endpoint.

    On loopback the ports of closed connections count too, as long as Linux keeps them;
    towards a real endpoint it depends on who closes first, so there only connections
    that are open at the same time count (the plan's warnings tell the rest).

    Raises:
        InputError: There are too few; says what to do.
    """
    needed = plan.needs.ephemeral_ports
    if plan.lab is None:
        needed = min(needed, plan.needs.file_descriptors - FILE_DESCRIPTOR_RESERVE)
    each = local_ports()
    addresses = max(1, len(source_addresses))
    if needed <= each * addresses:
        return
    wanted = -(-needed // each)
    raise InputError(
        Problem(
            "local ports",
            f"the run may need {needed} towards one endpoint, this machine has {each} "
            f"for each source address and {addresses} of these: give {wanted} "
            "(--source-address 127.0.0.2 --source-address 127.0.0.3 … for a lab), widen "
            "net.ipv4.ip_local_port_range, or use keep_alive",
        )
    )


def local_ports() -> int:
    """Ephemeral ports of this machine for each address."""
    try:
        first, last = map(int, _PORT_RANGE.read_text(encoding="ascii").split())
    except (OSError, ValueError):
        return EPHEMERAL_PORTS
    return last - first + 1


def check_source_addresses(addresses: Sequence[str]) -> None:
    """Make sure that connections can leave from these addresses.

    Raises:
        InputError: With every address that is none, or not of this machine.
    """
    problems: list[Problem] = []
    for address in addresses:
        try:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            with socket.socket(family, socket.SOCK_STREAM) as probe:
                probe.bind((str(ipaddress.ip_address(address)), 0))
        except (OSError, ValueError) as error:
            problems.append(Problem(f"--source-address {address[:100]}", str(error)))
    if problems:
        raise InputError(problems)


def count_processes(wanted: str, plan: Plan, front_program: FrontProgram) -> int:
    """Number of processes that run the devices.

    Args:
        wanted: A number, or ``auto``.
        plan: The plan.
        front_program: What ends TLS at the fronts of the lab.

    Raises:
        InputError: It is neither, or more than there are devices.
    """
    devices = len(plan.devices)
    if wanted == AUTO:
        cores = len(os.sched_getaffinity(0))
        if plan.lab is not None:
            cores -= 1 if front_program is FrontProgram.BUILTIN else 2
        return max(1, min(cores, devices, MOST_PROCESSES))
    most = min(devices, MOST_PROCESSES)
    try:
        count = int(wanted)
    except ValueError:
        count = 0
    if not 1 <= count <= most:
        why = ", as many as there are devices" if most == devices else ""
        raise InputError(
            Problem("--processes", f"must be {AUTO} or 1..{most}{why}, not {wanted!r}")
        )
    return count


@dataclass(frozen=True, slots=True, kw_only=True)
class Cores:
    """Who runs on which core.

    Attributes:
        lab: Core of the lab; ``None`` = any.
        shards: Cores of the shards in turn; empty = any.
    """

    lab: int | None = None
    shards: tuple[int, ...] = ()


def pin(*, has_lab: bool, processes: int) -> Cores:
    """Give the last allowed core to the lab and the others to the generator.

    A generator of one process moves to the first core at once; of several, the shards
    take the cores in turn and the parent may use any but the lab's.
    """
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 2:
        return Cores()
    lab = allowed[-1] if has_lab or processes == 1 else None
    free = allowed if lab is None else allowed[:-1]
    os.sched_setaffinity(0, free[:1] if processes == 1 else free)
    return Cores(lab=lab, shards=tuple(free) if processes > 1 else ())
