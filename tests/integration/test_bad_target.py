"""A target that is not what it should be: a clear sentence, or its own failure kind.

Two views of every trouble: of the control plane, before a run, and of devices in a run,
each cohort of which meets another one.
"""

import signal
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiohttp import web

from fleetsim.core.settings import Credentials, Endpoint
from fleetsim.exceptions import TargetError
from fleetsim.target.control import Control
from tests.integration.runs import cohort, plan_of, run, scenario
from tests.integration.s3_lab import (
    ACCESS_KEY,
    BUCKET,
    SECRET_KEY,
    Handler,
    RunningLab,
    running_lab,
)

CREDENTIALS = Credentials(access_key=ACCESS_KEY, secret_key=SECRET_KEY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a server says instead of doing what it was asked.

    Attributes:
        status: Status.
        code: ``Code`` of the error document; empty = none.
        headers: Further headers.
        inside: Further elements of the document.
    """

    status: int
    code: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    inside: str = ""

    def response(self) -> web.Response:
        """Write it."""
        text = ""
        if self.code:
            text = (
                f"<Error><Code>{self.code}</Code><Message>no</Message>"
                f"{self.inside}</Error>"
            )
        return web.Response(
            status=self.status,
            text=text,
            headers=dict(self.headers),
            content_type="application/xml",
        )


ELSEWHERE = ("location", "https://s3.elsewhere.example/fleet?X-Amz-Signature=canary")
MOVED = Reply(
    status=301,
    code="PermanentRedirect",
    headers=(("x-amz-bucket-region", "eu-west-3"),),
    inside="<Endpoint>fleet.s3.eu-west-3.amazonaws.com</Endpoint>",
)
AWAY = Reply(status=307, code="TemporaryRedirect", headers=(ELSEWHERE,))
TO_A_PAGE = Reply(status=301, headers=(ELSEWHERE,))
EXPIRED = Reply(status=400, code="ExpiredToken")
FOREIGN = Reply(status=403, code="AccessDenied")
REGION = Reply(
    status=400,
    code="AuthorizationHeaderMalformed",
    inside="<Region>eu-west-3</Region>",
)
TOO_LARGE = Reply(status=400, code="EntityTooLarge")
SKEWED = Reply(status=403, code="RequestTimeTooSkewed")
SUSPENDED = Reply(status=403, code="UserSuspended")


def answering(reply: Reply) -> AbstractContextManager[RunningLab]:
    """A server that has one answer for everything."""

    def wrap(_lab: Handler) -> Handler:
        async def answer(_request: web.BaseRequest) -> web.StreamResponse:
            return reply.response()

        return answer

    return running_lab(wrap=wrap)


def endpoint(lab: RunningLab) -> Endpoint:
    """Where a lab is."""
    return Endpoint(scheme="http", host="127.0.0.1", port=lab.port, bucket=BUCKET)


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        pytest.param(MOVED, ("another region", "eu-west-3"), id="moved for good"),
        pytest.param(AWAY, ("for now", "s3.elsewhere.example"), id="moved for now"),
        pytest.param(
            TO_A_PAGE,
            ("redirect", "301", "s3.elsewhere.example"),
            id="another redirect",
        ),
        pytest.param(EXPIRED, ("session token has expired",), id="expired token"),
        pytest.param(FOREIGN, ("belongs to somebody else",), id="foreign bucket"),
        pytest.param(REGION, ("another region", "eu-west-3"), id="wrong region"),
        pytest.param(SKEWED, ("clock of this machine",), id="clock skew"),
        pytest.param(SUSPENDED, ("suspended",), id="suspended"),
    ],
)
async def test_before_a_run_a_sentence_says_what_is_wrong(
    reply: Reply, words: tuple[str, ...]
) -> None:
    """The control plane does not follow, does not retry, and repeats no signature."""
    with answering(reply) as lab, pytest.raises(TargetError) as caught:
        async with Control(endpoint(lab), CREDENTIALS) as control:
            await control.check_bucket()
    for each in words:
        assert each in str(caught.value)
    assert "canary" not in str(caught.value)
    assert SECRET_KEY not in str(caught.value)


# ---------------------------------------------------------------- what devices see

FATES: dict[str, tuple[Reply, str]] = {
    "moved": (MOVED, "s3.PermanentRedirect"),
    "away": (AWAY, "s3.TemporaryRedirect"),
    "page": (TO_A_PAGE, "http.status"),
    "expired": (EXPIRED, "s3.ExpiredToken"),
    "foreign": (FOREIGN, "s3.AccessDenied"),
    "region": (REGION, "s3.AuthorizationHeaderMalformed"),
    "too-large": (TOO_LARGE, "s3.EntityTooLarge"),
    "skewed": (SKEWED, "s3.RequestTimeTooSkewed"),
}
"""Cohorts that meet trouble: what they are told, and what they must record."""

SDK_FATES = {f"sdk-{name}": FATES[name] for name in ("moved", "away", "page")}
"""The same for devices that upload through an SDK: they follow nobody either."""

CLOSING = ("closes-aloud", "closes-silently", "closes-between")


@pytest.fixture(scope="module")
def _sigterm() -> Iterator[None]:
    """Runs take over SIGTERM of this process."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.slow
@pytest.mark.usefixtures("_sigterm")
def test_in_a_run_every_trouble_has_its_own_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cohort by cohort exactly its kind; a server that closes harms nobody."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    kept = {"connection": "keep_alive", "period": "500ms"}
    fates = {**FATES, "well": (None, "")}
    cohorts = [cohort(name, 2) for name in fates]
    fates |= SDK_FATES
    cohorts += [cohort(name, 1, client="sdk") for name in SDK_FATES]
    cohorts += [cohort(name, 4, workload=kept) for name in CLOSING]
    data = scenario(*cohorts, duration="2s", drain="2s", thresholds=[])
    data.pop("lab")
    data["target"] = {"endpoint": "http://127.0.0.1:1", "bucket": BUCKET}
    _, plan = plan_of(data)
    cohort_of = {
        each.device_id: plan.cohorts[each.cohort].name for each in plan.devices
    }

    def wrap(lab: Handler) -> Handler:
        async def answer(request: web.BaseRequest) -> web.StreamResponse:
            parts = request.path.strip("/").split("/")
            name = cohort_of.get(parts[1] if len(parts) > 1 else "", "")
            reply, _ = fates.get(name, (None, ""))
            if reply is not None:
                if "expect" not in request.headers:  # it waits before it sends more
                    await request.read()
                return reply.response()
            response = await lab(request)
            if name == "closes-aloud":
                response.force_close()
            elif name in CLOSING:
                await response.prepare(request)
                await response.write_eof()
                assert request.transport is not None
                request.transport.close()
            return response

        return answer

    with running_lab(wrap=wrap) as lab:
        data["target"]["endpoint"] = lab.url
        finished = run(data, tmp_path)
    for name, (_, kind) in (FATES | SDK_FATES).items():
        assert finished.kinds(name) - {"run.stopped"} == {kind}, name
    assert finished.kinds("well") == {""}
    for name in CLOSING:
        kinds = {row["kind"] for row in finished.of(name)}
        assert kinds <= {"", "http.reset"}, (name, kinds)
        assert any(row["kind"] == "" for row in finished.of(name, "upload"))
    assert not any(row["reused"] for row in finished.of("closes-aloud"))
    summary = finished.summary
    assert summary["unclassified"] == 0
    uploads = summary["uploads"]
    assert uploads["stored"] == uploads["acknowledged"] > 0
    assert uploads["unaccounted"] == 0
    details = {row["detail"] for row in finished.of("page")}
    assert any("s3.elsewhere.example" in each for each in details)
    assert not any("canary" in each for each in details)
