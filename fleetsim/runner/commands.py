"""Commands: the operator's own programs in a rehearsal, when the operator allows them.

A command is an argument list: no shell sees it, nothing in it is expanded. It gets the
environment of this process and three variables about the run::

    FLEETSIM_RUN_FOLDER   the run folder
    FLEETSIM_ENDPOINT     where the first cohort uploads to, a URL
    FLEETSIM_ACTION       the action it is run for, such as swap_server_certificate

It runs in a process group of its own, which is killed when its time is over or the run
ends before it does; what it leaves running when it ends by itself (a server it started)
is its own business. What it prints goes to the timeline, cut to :data:`KEPT_BYTES`, with the secret keys
that this program knows blotted out.
"""

import asyncio
import os
import signal
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Final

from fleetsim.runner.timeline import ActionFailedError, Facts

KEPT_BYTES: Final = 16 * 1024
_LAST_OUTPUT_S: Final = 0.5
"""Longest wait for output that is still in the pipe."""
_BLOT: Final = "***"
_SHORTEST_SECRET: Final = 4
"""Shorter values would blot out ordinary words."""


async def run_command(
    argv: Sequence[str],
    *,
    timeout_s: float,
    variables: Mapping[str, str],
    secrets: Iterable[str] = (),
) -> Facts:
    """Run a program to its end.

    Args:
        argv: Program and arguments.
        timeout_s: It is killed after this.
        variables: Added to the environment.
        secrets: Values that must not appear in the timeline.

    Returns:
        Exit code and output.

    Raises:
        ActionFailedError: It cannot be started, took too long, or its exit code is not 0.
    """
    loop = asyncio.get_running_loop()
    try:
        transport, output = await loop.subprocess_exec(
            lambda: _Output(loop),
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.STDOUT,
            env={**os.environ, **variables},
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        words = getattr(error, "strerror", None) or str(error)
        raise ActionFailedError(f"{argv[0]} cannot be started: {words}") from error
    try:
        async with asyncio.timeout(timeout_s):
            await asyncio.shield(output.exited)
        # What it left running may hold its output open for ever.
        await asyncio.wait((output.closed,), timeout=_LAST_OUTPUT_S)
    except TimeoutError:
        raise ActionFailedError(
            f"{argv[0]} was killed: not done after {timeout_s:g} s",
            _facts(argv, None, output, secrets),
        ) from None
    finally:
        if not output.exited.done():
            with suppress(ProcessLookupError):
                os.killpg(transport.get_pid(), signal.SIGKILL)
            await asyncio.shield(output.exited)
        transport.close()
    code = transport.get_returncode()
    facts = _facts(argv, code, output, secrets)
    if code:
        raise ActionFailedError(f"{argv[0]} {_ending(code)}", facts)
    return facts


class _Output(asyncio.SubprocessProtocol):
    """Keeps the beginning of what a program prints and notes its end."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.exited: asyncio.Future[None] = loop.create_future()
        self.closed: asyncio.Future[None] = loop.create_future()
        self.kept = bytearray()
        self.seen = 0

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """Keep what fits, count the rest."""
        del fd
        self.seen += len(data)
        self.kept += data[: KEPT_BYTES - len(self.kept)]

    def process_exited(self) -> None:
        """The program itself is gone."""
        if not self.exited.done():
            self.exited.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """The program is gone and nobody holds its output any more."""
        del exc
        if not self.closed.done():
            self.closed.set_result(None)


def _ending(code: int) -> str:
    if code < 0:
        return f"was ended by signal {-code}"
    return f"ended with exit code {code}"


def _facts(
    argv: Sequence[str],
    code: int | None,
    output: _Output,
    secrets: Iterable[str],
) -> Facts:
    text = output.kept.decode("utf-8", "replace")
    arguments = list(argv)
    for secret in secrets:
        if len(secret) >= _SHORTEST_SECRET:
            text = text.replace(secret, _BLOT)
            arguments = [each.replace(secret, _BLOT) for each in arguments]
    return {
        "argv": arguments,
        "exit_code": code,
        "output": text,
        "output_bytes": output.seen,
    }
