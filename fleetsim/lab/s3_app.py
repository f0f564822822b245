"""The S3 endpoint: settings, dispatch, and the two ways to serve it.

``create_app`` gives an aiohttp application for ``web.AppRunner``; a load is better
served by ``web.Server(service.handle, **SERVER_OPTIONS)``, which saves the router's and
the match objects' share of every request. Both are the same :class:`S3Service`.

What is not there answers ``NotImplemented`` and never pretends: versions, tags,
encryption, object lock, policies, website, ACLs other than the owner's. Objects get a
checksum only from the client (AWS adds a CRC64NVME of its own to every object).
"""

import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import web

from fleetsim.core.settings import Credentials
from fleetsim.exceptions import InputError, Problem
from fleetsim.lab.catalogue import is_bucket_name
from fleetsim.lab.credential_book import CredentialBook
from fleetsim.lab.object_store import ObjectStore
from fleetsim.lab.s3_auth import AuthRules, Verifier
from fleetsim.lab.s3_buckets import BucketOperations
from fleetsim.lab.s3_errors import S3Error
from fleetsim.lab.s3_multipart import MultipartOperations
from fleetsim.lab.s3_objects import ObjectOperations
from fleetsim.lab.s3_reply import Answer, Reply, error_reply
from fleetsim.lab.s3_request import Call, Operation, read_call, route

SERVER_OPTIONS: Final[Mapping[str, Any]] = {
    # A body with Content-Encoding: gzip is stored as it is.
    "auto_decompress": False,
    # A key of 1,024 bytes, every one escaped, and a presigned query fit in a line.
    "max_line_size": 16 * 1024,
    "max_field_size": 16 * 1024,
    "access_log": None,
}

MAX_SKEW_S: Final = 900.0
"""Clock difference that S3 accepts (AWS, "Error responses": RequestTimeTooSkewed)."""

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Settings:
    """How the endpoint behaves.

    Attributes:
        credentials: Accepted from the start; more by :attr:`S3Service.credentials`.
        buckets: Made at the start unless they exist.
        region: Region requests must be signed for.
        check_region: ``False`` accepts any region.
        base_hosts: Names under which ``bucket.<name>`` is virtual-hosted style.
        max_object_bytes: Largest PUT and largest part; AWS: 5 GiB.
        min_part_bytes: Smallest part but the last; AWS: 5 MiB.
        max_skew_s: Largest clock difference; AWS: 900 s.
    """

    credentials: tuple[Credentials, ...] = field(repr=False)
    buckets: tuple[str, ...] = ("fleet",)
    region: str = "us-east-1"
    check_region: bool = True
    base_hosts: tuple[str, ...] = ("localhost",)
    max_object_bytes: int = 5 * 1024**3
    min_part_bytes: int = 5 * 1024**2
    max_skew_s: float = MAX_SKEW_S

    def __post_init__(self) -> None:
        problems = list(self._problems())
        if problems:
            raise InputError(problems)

    def _problems(self) -> list[Problem]:
        problems = [
            Problem(f"buckets: {name!r}", "is not a bucket name of S3")
            for name in self.buckets
            if not is_bucket_name(name)
        ]
        seen: set[str] = set()
        for entry in self.credentials:
            where = f"credentials: {entry.access_key!r}"
            if not entry.access_key or not entry.secret_key:
                problems.append(
                    Problem(where, "access key and secret must not be empty")
                )
            if not _ACCESS_KEY_CHARACTERS.issuperset(entry.access_key):
                problems.append(
                    Problem(where, "must be printable ASCII without / and comma")
                )
            if entry.access_key in seen:
                problems.append(Problem(where, "is there twice"))
            seen.add(entry.access_key)
        if not _REGION.fullmatch(self.region):
            problems.append(
                Problem("region", f"is {self.region!r}, must be letters, digits and -")
            )
        problems += [
            Problem(name, f"is {value}, must be at least {least}")
            for name, value, least in (
                ("max_object_bytes", self.max_object_bytes, 1),
                ("min_part_bytes", self.min_part_bytes, 0),
                ("max_skew_s", self.max_skew_s, 0),
            )
            if not value >= least
        ]
        return problems


_REGION: Final = re.compile(r"[A-Za-z0-9-]+")
_ACCESS_KEY_CHARACTERS: Final = frozenset(map(chr, range(0x21, 0x7F))) - {"/", ","}


@dataclass(slots=True, kw_only=True)
class RequestLog:
    """One request, when it is over. Never holds a secret, a signature or a token.

    Attributes:
        request_id: ``x-amz-request-id`` of the answer.
        started_unix_s: When its head had arrived.
        ended_unix_s: When the answer was ready to be sent.
        operation: S3 operation, empty when it was refused before that was known.
        method: HTTP method.
        bucket: Bucket name.
        key: Object key.
        access_key: Who signed it, empty when nobody did properly.
        status: HTTP status of the answer; 0 = the client went away first.
        error_code: S3 code of a refusal.
        received_bytes: Content received, framing not counted.
        content_bytes: Content of the answer.
        user_agent: ``User-Agent`` of the client.
    """

    request_id: str
    started_unix_s: float
    ended_unix_s: float
    operation: str
    method: str
    bucket: str
    key: str
    access_key: str
    status: int
    error_code: str
    received_bytes: int
    content_bytes: int
    user_agent: str


class S3Service:
    """An S3 endpoint on a store.

    Args:
        settings: How it behaves.
        store: Where objects are.
        clock: Now, Unix seconds.
        on_request: Called at the end of every request.

    Attributes:
        credentials: Who may sign; may be changed at any time.
        requests: Requests so far.
    """

    def __init__(
        self,
        settings: S3Settings,
        store: ObjectStore,
        clock: Callable[[], float],
        on_request: Callable[[RequestLog], None] | None = None,
    ) -> None:
        self._clock = clock
        self._on_request = on_request
        self._base_hosts = tuple(name.lower() for name in settings.base_hosts)
        self.credentials = CredentialBook(settings.credentials)
        self.requests = 0
        self._verifier = Verifier(
            self.credentials,
            AuthRules(
                region=settings.region,
                check_region=settings.check_region,
                max_skew_s=settings.max_skew_s,
            ),
        )
        for name in settings.buckets:
            store.create_bucket(name, clock())
        objects = ObjectOperations(store, settings.max_object_bytes)
        parts = MultipartOperations(
            store,
            objects,
            max_part_bytes=settings.max_object_bytes,
            min_part_bytes=settings.min_part_bytes,
        )
        buckets = BucketOperations(store, settings.region)
        self._operations: dict[Operation, Callable[[Call], Awaitable[Reply]]] = {
            Operation.LIST_BUCKETS: buckets.list_buckets,
            Operation.CREATE_BUCKET: buckets.create_bucket,
            Operation.HEAD_BUCKET: buckets.head_bucket,
            Operation.DELETE_BUCKET: buckets.delete_bucket,
            Operation.GET_BUCKET_LOCATION: buckets.get_location,
            Operation.GET_BUCKET_VERSIONING: buckets.get_versioning,
            Operation.GET_ACL: buckets.get_acl,
            Operation.PUT_ACL: buckets.put_acl,
            Operation.LIST_OBJECTS: buckets.list_objects,
            Operation.LIST_OBJECTS_V2: buckets.list_objects_v2,
            Operation.DELETE_OBJECTS: buckets.delete_objects,
            Operation.PUT_OBJECT: objects.put_object,
            Operation.GET_OBJECT: objects.get_object,
            Operation.HEAD_OBJECT: objects.head_object,
            Operation.DELETE_OBJECT: objects.delete_object,
            Operation.COPY_OBJECT: objects.copy_object,
            Operation.CREATE_MULTIPART_UPLOAD: parts.create,
            Operation.UPLOAD_PART: parts.upload_part,
            Operation.UPLOAD_PART_COPY: parts.upload_part_copy,
            Operation.COMPLETE_MULTIPART_UPLOAD: parts.complete,
            Operation.ABORT_MULTIPART_UPLOAD: parts.abort,
            Operation.LIST_PARTS: parts.list_parts,
            Operation.LIST_MULTIPART_UPLOADS: parts.list_uploads,
        }

    async def handle(
        self,
        http: web.BaseRequest,
        signing_clock: Callable[[], float] | None = None,
        on_request: Callable[[RequestLog], None] | None = None,
    ) -> web.StreamResponse:
        """Answer one request; the handler for ``web.Server``.

        Args:
            http: The request.
            signing_clock: Clock its signature is judged by; ``None`` = the service's,
                which dates objects and answers in any case.
            on_request: Called at its end in place of the service's own.
        """
        self.requests += 1
        exchange = _Exchange(http, f"{self.requests:016X}", self._clock())
        is_last = False
        try:
            reply = await self._perform(exchange, signing_clock)
        except S3Error as error:
            reply = exchange.refusal(error)
            # A client that was never asked for its body does not send it: the next
            # bytes would be taken for it (RFC 9110 10.1.1).
            is_last = "Expect" in http.headers and not http.content.is_eof()
        except (ConnectionError, web.RequestPayloadError):
            # The client left, or its transfer coding makes no sense. Either way the
            # connection cannot go on; an answer reaches it only in the second case.
            reply = exchange.refusal(S3Error("IncompleteBody"))
            is_last = exchange.is_cut = True
        except Exception:  # noqa: BLE001  # a bug must still be answered and logged
            _LOG.exception("request %s failed", exchange.request_id)
            reply = exchange.refusal(S3Error("InternalError"))
            is_last = True
        noted = on_request or self._on_request
        if noted is not None:
            noted(exchange.log(reply, self._clock()))
        answer = Answer(
            reply, http.method, exchange.request_id, int(exchange.started_unix_s)
        )
        if is_last:
            answer.force_close()
        return answer

    async def _perform(
        self, exchange: "_Exchange", signing_clock: Callable[[], float] | None
    ) -> Reply:
        now = exchange.started_unix_s
        call = exchange.call = read_call(
            exchange.http, self._base_hosts, exchange.request_id, now
        )
        call.identity = self._verifier.verify(
            call.method,
            call.raw_path,
            call.query_items,
            call.headers,
            now if signing_clock is None else signing_clock(),
        )
        operation = exchange.operation = route(call)
        return await self._operations[operation](call)


class _Exchange:
    """One request, as far as it got."""

    __slots__ = ("call", "http", "is_cut", "operation", "request_id", "started_unix_s")

    def __init__(
        self, http: web.BaseRequest, request_id: str, started_unix_s: float
    ) -> None:
        self.http = http
        self.request_id = request_id
        self.started_unix_s = started_unix_s
        self.call: Call | None = None
        self.operation: Operation | None = None
        self.is_cut = False

    def refusal(self, error: S3Error) -> Reply:
        resource = self.http.raw_path if self.call is None else self.call.resource
        return error_reply(error, resource, self.request_id)

    def log(self, reply: Reply, ended_unix_s: float) -> RequestLog:
        call = self.call
        identity = None if call is None else call.identity
        return RequestLog(
            request_id=self.request_id,
            started_unix_s=self.started_unix_s,
            ended_unix_s=ended_unix_s,
            operation=self.operation or "",
            method=self.http.method,
            bucket="" if call is None else call.bucket,
            key="" if call is None else call.key,
            access_key="" if identity is None else identity.access_key,
            status=0 if self.is_cut else reply.status,
            error_code=reply.error_code,
            received_bytes=0 if call is None else call.received_bytes,
            content_bytes=len(reply.body) if reply.length is None else reply.length,
            user_agent=self.http.headers.get("User-Agent", ""),
        )


SERVICE: Final = web.AppKey("service", S3Service)


async def _no_early_continue(_request: web.Request) -> None:
    """Leave ``100 Continue`` to the moment the head was found good."""


def create_app(
    settings: S3Settings,
    store: ObjectStore,
    clock: Callable[[], float],
    on_request: Callable[[RequestLog], None] | None = None,
) -> web.Application:
    """Make an aiohttp application of the endpoint.

    Run it as ``web.AppRunner(app, **SERVER_OPTIONS)``; without these options gzipped
    bodies arrive unpacked.

    Args:
        settings: How the endpoint behaves.
        store: Where objects are.
        clock: Now, Unix seconds.
        on_request: Called at the end of every request.

    Returns:
        The application; its :class:`S3Service` is at ``app[SERVICE]``.
    """
    service = S3Service(settings, store, clock, on_request)
    app = web.Application()
    app[SERVICE] = service
    app.router.add_route(
        "*", "/{target:(?s:.*)}", service.handle, expect_handler=_no_early_continue
    )
    return app
