"""``fleetsim lab`` as a program: what it prints works, signals end it in order."""

import asyncio
import json
import os
import shlex
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

Program = asyncio.subprocess.Process
StartLab = Callable[..., Awaitable[Program]]

# The command alone, so that this test needs no other command.
MAIN = """
import sys, typer
from fleetsim.cli.lab import lab_command
from fleetsim.exceptions import FleetsimError
app = typer.Typer(pretty_exceptions_enable=False)
app.command()(lab_command)
try:
    app()
except FleetsimError as error:
    print(error, file=sys.stderr)
    sys.exit(error.exit_code)
"""


@pytest.fixture
async def start_lab(tmp_path: Path) -> AsyncIterator[StartLab]:
    """Start labs on free ports; they are ended with the test."""
    started: list[Program] = []

    async def start(*arguments: str, **environment: str) -> Program:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", MAIN, "--port", "0", *arguments),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={
                **kept,
                "PYTHONPATH": str(Path.cwd()),
                "TMPDIR": str(tmp_path),
                **environment,
            },
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def read_json(process: Program) -> dict[str, str]:
    """Read the object that ``--json`` prints."""
    assert process.stdout is not None
    facts: dict[str, str] = json.loads(await process.stdout.readline())
    return facts


async def end(process: Program, number: int) -> str:
    """Send a signal; returns the program's last words, exit code 0 taken for granted."""
    process.send_signal(number)
    _, errors = await process.communicate()
    assert process.returncode == 0
    return errors.decode()


def leftovers(folder: Path) -> list[str]:
    """What labs left in the folder for temporary files."""
    return [each.name for each in folder.iterdir() if "fleetsim" in each.name]


async def upload_with_curl(facts: dict[str, str], *options: str) -> str:
    """PUT 5 bytes with curl's own SigV4; returns the HTTP status."""
    if shutil.which("curl") is None:
        pytest.fail("curl is missing") if os.environ.get("CI") else pytest.skip(
            "no curl"
        )
    config = (
        f'user = "{facts["access_key_id"]}:{facts["secret_access_key"]}"\n'
        f'aws-sigv4 = "aws:amz:{facts["region"]}:s3"\n'
        'header = "x-amz-content-sha256: UNSIGNED-PAYLOAD"\n'
    )
    process = await asyncio.create_subprocess_exec(
        "curl",
        *("--silent", "--show-error", "--noproxy", "*", "--config", "-"),
        *("--write-out", "%{http_code}", "--data-binary", "bytes"),
        *("--header", "Content-Type: application/octet-stream"),
        *("--request", "PUT", *options),
        f"{facts['endpoint']}/{facts['bucket']}/00000001/00000001.MF4",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate(config.encode())
    return output.decode()


@pytest.mark.server
async def test_curl_uploads_with_what_was_printed(
    start_lab: StartLab, tmp_path: Path
) -> None:
    """Endpoint, credentials, CA, client certificate: all of them work as printed."""
    process = await start_lab("--json", "--security", "high")
    facts = await read_json(process)
    ca = ("--cacert", facts["ca_path"])
    client = (
        *("--cert", facts["client_certificate_path"]),
        *("--key", facts["client_key_path"]),
    )
    assert (await upload_with_curl(facts, *ca, *client))[-3:] == "200"
    assert "alert" in await upload_with_curl(facts, *ca)
    errors = await end(process, signal.SIGTERM)
    assert "1 requests, 1 x 200, 1 objects" in errors
    assert leftovers(tmp_path) == []


@pytest.mark.server
async def test_hangup_reads_the_revocation_list_again(
    start_lab: StartLab, tmp_path: Path
) -> None:
    """A device revoked on disk is refused after SIGHUP, without a restart."""
    process = await start_lab(
        "--json", "--security", "high", "--pki", str(tmp_path / "pki")
    )
    facts = await read_json(process)
    options = (
        *("--cacert", facts["ca_path"]),
        *("--cert", facts["client_certificate_path"]),
        *("--key", facts["client_key_path"]),
    )
    assert (await upload_with_curl(facts, *options))[-3:] == "200"
    revoke = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "from fleetsim.cli.pki import app; app()"),
        *("revoke", str(tmp_path / "pki"), "00000001"),
        stdout=asyncio.subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
    )
    assert await revoke.wait() == 0
    process.send_signal(signal.SIGHUP)
    assert process.stderr is not None
    assert b"reloaded" in await process.stderr.readline()
    assert "revoked" in await upload_with_curl(facts, *options)
    await end(process, signal.SIGINT)


async def test_printed_lines_are_shell(start_lab: StartLab) -> None:
    """Without --json the lines are comments, exports and a command."""
    process = await start_lab("--security", "low", "--bucket", "logs")
    assert process.stdout is not None
    lines: list[str] = []
    while not lines or not lines[-1].startswith("aws "):
        lines.append((await process.stdout.readline()).decode().rstrip("\n"))
    exported = dict(
        shlex.split(line)[1].split("=", 1)
        for line in lines
        if line.startswith("export ")
    )
    assert exported["AWS_ENDPOINT_URL_S3"].startswith("http://127.0.0.1:")
    assert set(exported) == {
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_REGION",
        "AWS_ENDPOINT_URL_S3",
    }
    assert lines[-1] == "aws s3 cp FILE s3://logs/"
    await end(process, signal.SIGINT)


async def test_secret_of_the_environment_is_not_repeated(start_lab: StartLab) -> None:
    """Somebody's own secret is used, never printed."""
    process = await start_lab(
        "--json",
        *("--security", "low"),
        AWS_ACCESS_KEY_ID="MINE",
        AWS_SECRET_ACCESS_KEY="my-own-secret",
    )
    facts = await read_json(process)
    assert facts["access_key_id"] == "MINE"
    assert "secret_access_key" not in facts
    usable = {**facts, "secret_access_key": "my-own-secret"}
    assert (await upload_with_curl(usable))[-3:] == "200"
    await end(process, signal.SIGINT)


async def test_other_machines_are_warned_about(start_lab: StartLab) -> None:
    """An address beyond loopback is bound only when asked for, and then said."""
    process = await start_lab("--json", "--security", "low", "--host", "0.0.0.0")  # noqa: S104 - what is tested
    facts = await read_json(process)
    assert facts["endpoint"].startswith("http://127.0.0.1:")
    assert "warning: listening on 0.0.0.0" in await end(process, signal.SIGTERM)
