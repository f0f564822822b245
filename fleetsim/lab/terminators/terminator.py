"""Terminator: one real program as the TLS side of one front, from start to stop.

Theory of operation. Settings have a *generation*: a folder of certificates and a Unix
socket that only a program configured with them listens on. :meth:`Terminator.swap` writes
the next generation beside the present one, has the program itself check it, puts the new
configuration in place, signals a reload and waits until the new socket accepts. From that
instant every new connection is dialled to it; connections of the old generation go on
until the program ends them, and those that were dialled and not yet accepted are taken
over, for the new configuration listens on the old socket too. A generation that is refused
leaves nothing behind.

HAProxy can change certificates and lists without a reload (its runtime API); that is used
when nothing else changed, as an operator would.
"""

import asyncio
import os
import shutil
import signal
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from fleetsim.exceptions import InputError, Problem
from fleetsim.lab.handshake_log import HandshakeLog
from fleetsim.lab.terminators import files, launch
from fleetsim.lab.terminators.program import (
    ADMIN,
    CONFIG,
    LAB,
    NEXT_CONFIG,
    OUTPUT,
    UPSTREAM,
    Capacity,
    Program,
    Transaction,
    Wiring,
    folder_name,
    socket_name,
)
from fleetsim.lab.terminators.relay import ProgramSide, RelayConnection
from fleetsim.pki.files import write_new
from fleetsim.transport.tls_server import ServerTls

READY_S: Final = 20.0
"""Longest wait for a program to listen with new settings."""
_POLL_S: Final = 0.005
_STOP_S: Final = 3.0
_LAST_BYTES: Final = 2000
_MAX_SOCKET_PATH: Final = 107
_PLACES: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_LOG_ENTRIES: Final = 10_000


class Terminator:
    """One running program; used once, from start to stop.

    Args:
        program: Which one, and how to speak to it.
        folder: Folder for its files, made anew with mode 0700.
        make_handler: Called for every connection of the program to the S3 endpoint;
            not when the wiring names another one.
        capacity: Limits.
        wiring: What it stands between.
    """

    def __init__(
        self,
        program: Program,
        folder: Path,
        make_handler: Callable[[], asyncio.Protocol],
        capacity: Capacity,
        wiring: Wiring = LAB,
    ) -> None:
        self._wiring = wiring
        self._program = program
        self._folder = folder
        self._make_handler = make_handler
        self._capacity = capacity
        self._loop = asyncio.get_running_loop()
        self._upstream: asyncio.Server | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._generation = 0
        self._config = ""
        self._contents: Mapping[str, bytes] = {}
        # A dial has no group to belong to: connections come and go with the clients.
        self._dials: set[asyncio.Task[None]] = set()
        self._log = HandshakeLog(_LOG_ENTRIES)
        self._log_offset = 0

    @property
    def pid(self) -> int:
        """Process id of the program; 0 when it does not run."""
        process = self._process
        return 0 if process is None or process.returncode is not None else process.pid

    @property
    def handshakes(self) -> HandshakeLog:
        """What the program's own log says about handshakes, up to now."""
        self._read_log()
        return self._log

    def connection(self) -> asyncio.Protocol:
        """Make the handler of one connection of the front."""
        return RelayConnection(self._dial)

    async def start(self, tls: ServerTls) -> None:
        """Run the program.

        Raises:
            InputError: It is not installed, refuses the settings or does not start.
        """
        executable = _executable(self._program.name)
        path = str(self._folder / socket_name(999_999))
        if len(os.fsencode(path)) > _MAX_SOCKET_PATH:
            raise InputError(
                Problem(path, "is too long for a socket: set TMPDIR to a shorter path")
            )
        # A lab that was killed leaves its folder behind; another one starts anew.
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(mode=0o700, parents=True)
        write_new(self._folder / files.OPENSSL, files.OPENSSL_CONTENT)
        if self._wiring.upstream is None:
            self._upstream = await self._loop.create_unix_server(
                self._make_handler, str(self._folder / UPSTREAM), backlog=4096
            )
        try:
            await self._prepare(tls, 1)
            await self._run(executable)
            await self._switch(tls, 1)
        except BaseException:
            await self.stop()
            raise

    async def swap(self, tls: ServerTls) -> None:
        """Use other settings: every connection accepted after the return meets them.

        Raises:
            InputError: The program refuses them or is not running; the old ones stay.
        """
        self._expect_running()
        transactions = self._live_changes(tls)
        if transactions is not None:
            for each in transactions:
                await self._transact(each)
            self._contents = files.contents(tls)
            return
        generation = self._generation + 1
        await self._prepare(tls, generation)
        self._signal(self._program.reload_signal)
        try:
            await self._switch(tls, generation)
        except InputError:
            self._discard(generation)
            raise

    async def stop(self) -> None:
        """End the program, by force if need be. Harmless when it does not run."""
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            with suppress(ProcessLookupError):
                process.terminate()
            try:
                async with asyncio.timeout(_STOP_S):
                    await process.wait()
            except TimeoutError:
                # Its workers too: the group is its own.
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        if self._upstream is not None:
            self._upstream.close()
            self._upstream = None
        for task in tuple(self._dials):
            task.cancel()

    # --------------------------------------------------------------------- inside

    async def _prepare(self, tls: ServerTls, generation: int) -> None:
        """Write a generation and have it checked; in place only if it is good."""
        following = self._folder / NEXT_CONFIG
        # A setting that cannot be written shows before anything is.
        config = self._program.config(tls, generation, self._capacity, self._wiring)
        place = self._folder / folder_name(generation)
        files.write_files(place, tls)
        for name, content in self._program.lists(tls, generation).items():
            write_new(place / name, content)
        write_new(following, config.encode("ascii"))
        try:
            await self._check()
        except BaseException:
            self._discard(generation)
            raise
        following.replace(self._folder / CONFIG)

    async def _check(self) -> None:
        arguments = self._program.check_arguments(NEXT_CONFIG)
        process = await asyncio.create_subprocess_exec(
            _executable(self._program.name),
            *arguments,
            cwd=self._folder,
            env=_environment(),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        if process.returncode:
            raise self._refusal(output.decode("utf-8", "replace"))

    async def _run(self, executable: str) -> None:
        with (self._folder / OUTPUT).open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-I",
                str(launch.__file__),
                str(os.getpid()),
                executable,
                *self._program.run_arguments(),
                cwd=self._folder,
                env=_environment(),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    async def _switch(self, tls: ServerTls, generation: int) -> None:
        """Wait until the program listens for a generation, then dial that one."""
        path = str(self._folder / socket_name(generation))
        try:
            async with asyncio.timeout(READY_S):
                while not _is_listening(path):
                    self._expect_running()
                    await asyncio.sleep(_POLL_S)
        except TimeoutError:
            raise self._refusal(
                f"not listening after {READY_S:g} s{self._last_words()}"
            ) from None
        old, self._generation = self._generation, generation
        self._config = self._program.config(
            tls, generation, self._capacity, self._wiring
        )
        self._contents = files.contents(tls)
        self._discard(old)

    def _live_changes(self, tls: ServerTls) -> Sequence[Transaction] | None:
        """What to say to the runtime API; ``None`` = a reload is needed."""
        if tls.session_tickets:
            # Ticket keys live as long as the process: a ticket from before a new list
            # would let a revoked device in.
            return None
        config = self._program.config(
            tls, self._generation, self._capacity, self._wiring
        )
        contents = files.contents(tls)
        if config != self._config or contents.keys() != self._contents.keys():
            return None
        return self._program.live_changes(self._contents, contents, self._generation)

    async def _transact(self, transaction: Transaction) -> None:
        answer = ""
        for command in transaction.commands:
            answer = await self._ask(command)
            if not any(word in answer.lower() for word in transaction.expected):
                await self._ask(transaction.abort)
                raise self._refusal(answer)

    async def _ask(self, command: str) -> str:
        """One command to the runtime API; never part of a message: it may be a key."""
        try:
            async with asyncio.timeout(READY_S):
                reader, writer = await asyncio.open_unix_connection(
                    str(self._folder / ADMIN)
                )
                try:
                    writer.write(command.encode("ascii"))
                    await writer.drain()
                    return (await reader.read(-1)).decode("utf-8", "replace")
                finally:
                    writer.close()
        except (OSError, TimeoutError) as exc:
            raise self._refusal(f"its runtime API does not answer: {exc}") from exc

    def _dial(self, side: ProgramSide) -> None:
        task = self._loop.create_task(self._connect(side))
        self._dials.add(task)
        task.add_done_callback(self._dials.discard)

    async def _connect(self, side: ProgramSide) -> None:
        path = str(self._folder / socket_name(self._generation))
        try:
            await self._loop.create_unix_connection(lambda: side, path)
        except OSError:
            # The program is gone or its queue is full: the client is reset.
            side.failed()

    def _signal(self, number: int) -> None:
        if self._process is not None:
            self._process.send_signal(number)

    def _expect_running(self) -> None:
        if not self.pid:
            raise self._refusal(f"is not running{self._last_words()}")

    def _discard(self, generation: int) -> None:
        shutil.rmtree(self._folder / folder_name(generation), ignore_errors=True)
        (self._folder / NEXT_CONFIG).unlink(missing_ok=True)

    def _refusal(self, words: str) -> InputError:
        return InputError(Problem(self._program.name, words.strip() or "refused"))

    def _last_words(self) -> str:
        said = []
        for name in self._program.words:
            with suppress(OSError):
                said.append((self._folder / name).read_text("utf-8", "replace"))
        lines = [
            line
            for line in "".join(said)[-_LAST_BYTES:].splitlines()
            if line and not line.startswith("{")
        ]
        return ("; its last words:\n" + "\n".join(lines)) if lines else ""

    def _read_log(self) -> None:
        try:
            with (self._folder / self._program.log).open("rb") as file:
                file.seek(self._log_offset)
                data = file.read()
        except FileNotFoundError:
            return
        # A line that is still being written is read the next time.
        complete = data.rpartition(b"\n")[0]
        self._log_offset += len(complete) + 1 if complete else 0
        for line in complete.decode("utf-8", "replace").splitlines():
            entry = self._program.parse(line)
            if entry is not None:
                self._log.add(replace(entry, number=self._log.next_number))


def _executable(name: str) -> str:
    places = os.pathsep.join((os.environ.get("PATH", ""), _PLACES))
    found = shutil.which(name, path=places)
    if found is None:
        raise InputError(
            Problem(f"front {name}", f"the program {name} is not installed")
        )
    return found


def _environment() -> dict[str, str]:
    """No settings of the machine's administrator, no secrets of the user."""
    kept = {name: os.environ[name] for name in ("TZ",) if name in os.environ}
    return {**kept, "PATH": _PLACES, "LC_ALL": "C", "OPENSSL_CONF": files.OPENSSL}


def _is_listening(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except OSError:
            return False
    return True
