"""The control plane and the truth check against a real S3 endpoint over sockets."""

import asyncio
import dataclasses
import hashlib
import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import DefaultResolver

from fleetsim.core.object_key import log_key
from fleetsim.core.outcomes import StoredKey
from fleetsim.core.payload import PayloadBlock
from fleetsim.core.settings import Credentials, Endpoint, RequestStyle
from fleetsim.exceptions import InputError, Problem, TargetError
from fleetsim.recording.ledger import Ledger
from fleetsim.recording.recorder import Recorder
from fleetsim.target.audit import audit
from fleetsim.target.control import ClientFiles, Control, utc_now
from tests.integration.s3_lab import (
    ACCESS_KEY,
    BUCKET,
    SECRET_KEY,
    RunningLab,
    lab_settings,
    running_lab,
)
from tests.recording.records import record

CREDENTIALS = Credentials(access_key=ACCESS_KEY, secret_key=SECRET_KEY)
BLOCK = PayloadBlock(seed=7)


@pytest.fixture(scope="module")
def lab() -> Iterator[RunningLab]:
    """A lab on plain HTTP."""
    with running_lab(lab_settings(base_hosts=("localhost",))) as running:
        yield running


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """A certificate authority nobody knows."""
    return trustme.CA()


@pytest.fixture(scope="module")
def secure_lab(authority: trustme.CA) -> Iterator[RunningLab]:
    """A lab on HTTPS."""
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(tls)
    with running_lab(tls=tls) as running:
        yield running


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> Path:
    """The authority's certificate on disk."""
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return path


@pytest.fixture
def _subdomains_of_localhost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Resolve bucket.localhost as RFC 6761 6.3 asks; the C library does not."""
    resolve: Any = DefaultResolver.resolve

    async def loopback(
        self: AbstractResolver, host: str, *rest: Any, **named: Any
    ) -> list[ResolveResult]:
        known = "127.0.0.1" if host.endswith(".localhost") else host
        found: list[ResolveResult] = await resolve(self, known, *rest, **named)
        return found

    monkeypatch.setattr(DefaultResolver, "resolve", loopback)


def endpoint(lab: RunningLab, **changes: Any) -> Endpoint:
    """Where a lab is."""
    scheme = lab.url.partition(":")[0]
    plain = Endpoint(scheme=scheme, host="localhost", port=lab.port, bucket=BUCKET)
    return dataclasses.replace(plain, **changes)


async def complaint(
    where: Endpoint,
    credentials: Credentials = CREDENTIALS,
    ca_file: Path | None = None,
) -> str:
    """Check a bucket that cannot be used and give the words of the error."""
    with pytest.raises(TargetError) as caught:
        async with Control(where, credentials, ca_file) as control:
            await control.check_bucket()
    assert SECRET_KEY not in str(caught.value)
    return str(caught.value)


async def test_a_usable_bucket_passes_and_tells_its_clock(lab: RunningLab) -> None:
    """No error, and the clocks of one machine agree."""
    async with Control(endpoint(lab), CREDENTIALS) as control:
        await control.check_bucket()
        assert abs(control.clock_skew_s) < 5


async def test_the_targets_clock_is_measured_against_ours(lab: RunningLab) -> None:
    """With our clock an hour slow, theirs is an hour ahead."""
    slow = Control(
        endpoint(lab), CREDENTIALS, clock=lambda: utc_now() - timedelta(hours=1)
    )
    async with slow as control:
        await control.check_bucket()
        assert 3595 < control.clock_skew_s < 3605


async def test_a_missing_bucket_is_made_on_request_only(lab: RunningLab) -> None:
    """Without the request it is named; with it, it is there afterwards."""
    where = endpoint(lab, bucket="brand-new")
    assert "there is no bucket 'brand-new' here" in await complaint(where)
    async with Control(where, CREDENTIALS) as control:
        await control.check_bucket(create=True)
        await control.check_bucket(create=True)
        await control.put("a/b", b"x")
        assert [stored.key async for stored in control.list()] == ["a/b"]


@pytest.mark.parametrize(
    ("credentials", "words"),
    [
        (Credentials(access_key="NOBODY", secret_key="x"), "AWS_ACCESS_KEY_ID"),
        (Credentials(access_key=ACCESS_KEY, secret_key="x"), "secret key does not"),
        (
            Credentials(
                access_key=ACCESS_KEY, secret_key=SECRET_KEY, session_token="t"
            ),
            "session token",
        ),
    ],
    ids=["unknown key", "wrong secret", "unexpected token"],
)
async def test_wrong_credentials_are_told_apart(
    lab: RunningLab, credentials: Credentials, words: str
) -> None:
    """Key, secret and token each have a sentence."""
    assert words in await complaint(endpoint(lab), credentials)


async def test_another_region_is_named(lab: RunningLab) -> None:
    """Devices do not follow redirects to other regions, so this must not pass."""
    words = await complaint(endpoint(lab, region="eu-west-1"))
    assert "not 'eu-west-1'" in words
    assert "us-east-1" in words


async def test_a_port_nobody_listens_on_is_unreachable(lab: RunningLab) -> None:
    """The words of the operating system are in the sentence."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        where = endpoint(lab, host="127.0.0.1", port=free.getsockname()[1])
        assert "cannot be reached" in await complaint(where)


async def test_a_host_nobody_knows_is_unreachable(lab: RunningLab) -> None:
    """RFC 6761 6.4: .invalid resolves to nothing."""
    assert "cannot be reached" in await complaint(endpoint(lab, host="s3.invalid"))


async def test_a_skewed_clock_is_named(lab: RunningLab) -> None:
    """The lab's view of time decides; 15 minutes are allowed."""
    service = lab.service
    original = service._clock
    service._clock = lambda: original() + 3600
    try:
        assert "clock of this machine is wrong" in await complaint(endpoint(lab))
    finally:
        service._clock = original


async def test_https_with_the_right_ca_works(
    secure_lab: RunningLab, ca_file: Path
) -> None:
    """The CA file is what makes it trusted."""
    async with Control(endpoint(secure_lab), CREDENTIALS, ca_file) as control:
        await control.check_bucket()


async def test_an_unknown_ca_is_named(secure_lab: RunningLab) -> None:
    """The sentence says that the CA file is the thing to look at."""
    words = await complaint(endpoint(secure_lab))
    assert "certificate is not trusted" in words
    assert "CA file" in words


async def test_an_unusable_client_certificate_is_named(tmp_path: Path) -> None:
    """Bad input is found before anything is sent; a locked key asks nobody."""
    junk = tmp_path / "junk.pem"
    junk.write_text("junk")
    where = Endpoint(scheme="https", host="localhost", port=1, bucket="fleet")
    control = Control(
        where, CREDENTIALS, client=ClientFiles(certificate=junk, key=junk)
    )
    with pytest.raises(InputError, match=r"junk\.pem: cannot be used with the key"):
        await control.__aenter__()


@pytest.mark.parametrize("content", [None, "garbage"], ids=["missing", "garbage"])
async def test_an_unusable_ca_file_is_named(
    secure_lab: RunningLab, tmp_path: Path, content: str | None
) -> None:
    """Before anything is sent, the file is named."""
    path = tmp_path / "bad-ca.pem"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InputError, match=r"bad-ca\.pem: the CA file cannot be used"):
        await complaint(endpoint(secure_lab), CREDENTIALS, path)


async def test_https_to_a_plain_port_is_named(lab: RunningLab, ca_file: Path) -> None:
    """The sentence says: use http."""
    words = await complaint(endpoint(lab, scheme="https"), CREDENTIALS, ca_file)
    assert "does not speak TLS" in words


async def test_http_to_a_tls_port_is_named(secure_lab: RunningLab) -> None:
    """The sentence mentions TLS."""
    words = await complaint(endpoint(secure_lab, scheme="http"))
    assert "TLS" in words or "https" in words


async def test_something_that_is_not_s3_is_named() -> None:
    """An HTML page is no listing."""

    async def answer(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await reader.readuntil(b"\r\n\r\n")
        page = b"<html><body>It works!</body>"
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n%s"
            % (len(page), page)
        )
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        where = Endpoint(scheme="http", host="127.0.0.1", port=port, bucket=BUCKET)
        assert "not as an S3 server does" in await complaint(where)


@pytest.mark.parametrize("style", list(RequestStyle))
@pytest.mark.slow
@pytest.mark.usefixtures("_subdomains_of_localhost")
async def test_objects_go_come_and_go(lab: RunningLab, style: RequestStyle) -> None:
    """Put, list with odd keys over several pages, delete by prefix; both styles."""
    prefix = f"ota-{style}/"
    keys = sorted([f"{prefix}{number:04d}" for number in range(1005)])
    odd = f"{prefix}ö & <+>?#%2F"
    async with Control(endpoint(lab, style=style), CREDENTIALS) as control:
        for key in keys[:3]:
            await control.put(key, key.encode())
        async with asyncio.TaskGroup() as group:
            for key in keys[3:]:
                group.create_task(control.put(key, b"12345"))
        await control.put(odd, b"odd")
        await control.put(f"other-{style}", b"stays")
        listed = [stored async for stored in control.list(prefix)]
        assert [stored.key for stored in listed] == sorted([*keys, odd])
        by_key = {stored.key: stored for stored in listed}
        assert (
            by_key[odd].etag == hashlib.md5(b"odd", usedforsecurity=False).hexdigest()
        )
        assert by_key[odd].size_bytes == 3
        assert abs(by_key[odd].modified - utc_now()) < timedelta(minutes=5)
        assert not await control.has_opaque_etag(odd)
        assert await control.delete_prefix(prefix) == 1006
        assert [stored async for stored in control.list(prefix)] == []
        assert await control.delete_prefix(prefix) == 0
        assert await control.delete_prefix(f"other-{style}") == 1


LEGAL = "".join(map(chr, range(1, 0x180))) + "\u2028\ud7ff\ue000\ufffd\ufffe\U0001f69a"
"""Every ASCII character but NUL, Latin ones, and what XML and JSON stumble over."""


@pytest.mark.slow
async def test_every_legal_character_of_a_key_comes_back(lab: RunningLab) -> None:
    """AWS, "Naming objects": UTF-8 of up to 1,024 bytes; also what XML cannot hold."""
    keys = {f"k/{each}/{each}" for each in LEGAL if each != "/"}
    keys |= {"k//", "k/./..", "k/ a ", "k/" + "ö" * 500, f"k/{LEGAL}"}
    async with Control(endpoint(lab), CREDENTIALS) as control:
        for key in keys:
            await control.put(key, key.encode())
        listed = {stored.key: stored.size_bytes async for stored in control.list("k/")}
        assert listed == {key: len(key.encode()) for key in keys}
        found = await control.delete(tuple(sorted(keys)))
        assert (found.count, found.refused) == (len(keys), ())
        assert [stored async for stored in control.list("k/")] == []


async def test_unfinished_uploads_are_found_and_given_up(lab: RunningLab) -> None:
    """Parts that were never put together cost their owner until somebody does."""
    async with Control(endpoint(lab), CREDENTIALS) as control:
        for key in ("u/1", "u/2", "v/1"):
            begun = {"Bucket": BUCKET, "Key": key}
            await control._client.create_multipart_upload(**begun)
        found = [upload async for upload in control.open_uploads("u/")]
        assert [upload.key for upload in found] == ["u/1", "u/2"]
        assert abs(found[0].initiated - utc_now()) < timedelta(minutes=5)
        await control.abort_upload(found[0])
        left = [upload.key async for upload in control.open_uploads("")]
        assert left == ["u/2", "v/1"]


async def test_what_is_put_can_be_noted(lab: RunningLab) -> None:
    """Key and ETag, once the target has confirmed them."""
    noted: list[StoredKey] = []
    async with Control(endpoint(lab), CREDENTIALS) as control:
        control.on_put = noted.append
        await control.put("noted/1", b"x")
        with pytest.raises(TargetError):
            await control.put("", b"x")
    md5 = hashlib.md5(b"x", usedforsecurity=False).hexdigest()
    assert noted == [StoredKey("noted/1", md5)]


async def test_aws_ca_bundle_is_trusted(
    secure_lab: RunningLab, ca_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AWS SDKs and Tools Reference Guide, "General configuration": AWS_CA_BUNDLE."""
    monkeypatch.setenv("AWS_CA_BUNDLE", str(ca_file))
    async with Control(endpoint(secure_lab), CREDENTIALS) as control:
        await control.check_bucket()


@pytest.mark.parametrize(
    ("expires_s", "words"),
    [(3600, None), (-3600, "session token has expired")],
    ids=["valid", "expired"],
)
async def test_session_tokens(
    lab: RunningLab, expires_s: int, words: str | None
) -> None:
    """Temporary credentials work until they expire; then a sentence says so."""
    temporary = Credentials(access_key="ASIATEMP", secret_key="s", session_token="tok")
    expires = utc_now() + timedelta(seconds=expires_s)
    lab.service.credentials.add(temporary, expires_unix_s=expires.timestamp())
    if words is None:
        async with Control(endpoint(lab), temporary) as control:
            await control.check_bucket()
    else:
        assert words in await complaint(endpoint(lab), temporary)


async def test_credentials_that_expire_are_looked_up_anew(lab: RunningLab) -> None:
    """Those of an instance live for hours; a run may be longer."""
    book = lab.service.credentials
    old, new = (
        Credentials(access_key=f"ASIA{n}", secret_key="s", session_token=f"t{n}")
        for n in range(2)
    )
    book.add(old)
    book.add(new)
    found = [old]
    control = Control(endpoint(lab), old, look_up=lambda: found[-1])
    async with control:
        await control.put("renew/1", b"x")
        book.add(old, expires_unix_s=1.0)
        with pytest.raises(TargetError, match="expired"):
            await control.put("renew/2", b"x")
        found.append(new)
        await control.put("renew/3", b"x")
        book.add(new, expires_unix_s=1.0)
        book.add(old)
        found.append(old)
        await control.renew()
        assert len([stored async for stored in control.list("renew/")]) == 2

        def gone() -> Credentials:
            raise InputError(Problem("AWS credentials", "none found"))

        control._look_up = gone
        with pytest.raises(TargetError, match="none found"):
            await control.renew()


async def test_a_whole_bucket_is_not_deleted_by_accident(lab: RunningLab) -> None:
    """An empty prefix is refused before anything is sent."""
    async with Control(endpoint(lab), CREDENTIALS) as control:
        with pytest.raises(ValueError, match="whole bucket"):
            await control.delete_prefix("")


async def test_a_run_is_checked_against_the_bucket(
    lab: RunningLab, tmp_path: Path
) -> None:
    """From records on disk to the verdict: one of each difference is found."""
    device = "00000042"
    keys = [log_key(device, 1, split, 0x5E0BE100, "MF4") for split in range(1, 8)]
    with Recorder(tmp_path, lambda: 0) as recorder:
        for number, key in enumerate(keys[:6]):
            is_late = number == 4
            recorder.add(
                record(
                    number,
                    device=device,
                    key=key,
                    body_bytes=100 + number,
                    content=number + 1,
                    kind="http.timeout" if is_late else "",
                    phase="wait" if is_late else "",
                )
            )
        recorder.finish()
    bodies = [
        b"".join(BLOCK.pieces(number + 1, 100 + number)) for number in range(len(keys))
    ]
    async with Control(endpoint(lab), CREDENTIALS) as control:
        await control.put(keys[0], bodies[0])
        await control.put(keys[1], bodies[1][:-1])
        await control.put(keys[2], bodies[2][:-1] + b"\0")
        await control.put(keys[4], bodies[4])
        await control.put(keys[5], bodies[5])
        await control.put(keys[6], bodies[6])
        await control.put(f"{device}/device.json", b"{}")
        await control.check_bucket()
        found = await audit(
            control,
            Ledger(tmp_path),
            BLOCK,
            started=datetime.now(UTC) - timedelta(minutes=1),
        )
        await control.delete_prefix(f"{device}/")
    assert found.acknowledged == 5
    assert found.stored == 2
    assert found.wrong_size == (keys[1],)
    assert found.wrong_etag == (keys[2],)
    assert found.missing == (keys[3],)
    assert found.unexplained == (keys[6],)
    assert found.late_count == 1
    assert found.unaccounted == 4
