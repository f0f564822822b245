"""Exchange: one HTTP request of the SDK and what became of it, phase by phase.

An exchange is told by the hooks (:mod:`fleetsim.transport.sdk.hooks`). What cannot be
seen is absent (-1): the TLS share of a connection is taken from the moment the TLS object
is made, bytes are those of HTTP without TLS.
"""

import ssl
from collections.abc import Callable
from typing import Any, Final, Protocol

from fleetsim.core.events import Response
from fleetsim.core.failure import Failure, Phase, s3
from fleetsim.core.s3_error import failure_of
from fleetsim.transport.base import Listener, Measures
from fleetsim.transport.sdk import failures

_NEVER: Final = -1
_BACKGROUND: Final = frozenset({"AbortMultipartUpload", "HeadBucket"})
"""Requests that are no attempt at what the device wants."""
_IN_PARTS: Final = frozenset(
    {"CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"}
)


class Exchange:
    """One HTTP request and its response.

    Attributes:
        operation: S3 operation, such as ``PutObject``.
        began_ns: When the SDK began to make the request.
        ended_ns: When its response was complete or it failed.
        is_reused: Whether it went over an open connection.
        tls_version: Negotiated version, empty unless there was a handshake.
        suite: Negotiated suite, OpenSSL name, likewise.
        response: What the server answered, ``None`` = nothing complete.
        failure: What was wrong, ``None`` = nothing.
        etag: ETag as the SDK parsed it, without quotes.
    """

    __slots__ = (
        "_body_bytes",
        "_dialled_ns",
        "_dns_ns",
        "_head_bytes",
        "_now_ns",
        "_open_ns",
        "_received_bytes",
        "_resolving_ns",
        "_sent_bytes",
        "_sent_ns",
        "_tls_from_ns",
        "_tls_object",
        "began_ns",
        "call",
        "ended_ns",
        "etag",
        "failure",
        "is_reused",
        "operation",
        "response",
        "suite",
        "tls_version",
    )

    def __init__(self, call: "Call", operation: str) -> None:
        self.call = call
        self.operation = operation
        self._now_ns = call.now_ns
        self.began_ns = call.now_ns()
        self.ended_ns = _NEVER
        self.is_reused = False
        self.tls_version = ""
        self.suite = ""
        self.response: Response | None = None
        self.failure: Failure | None = None
        self.etag = ""
        self._dialled_ns = _NEVER
        self._resolving_ns = _NEVER
        self._dns_ns = _NEVER
        self._tls_from_ns = _NEVER
        self._tls_object: ssl.SSLObject | None = None
        self._open_ns = _NEVER
        self._sent_ns = _NEVER
        self._head_bytes = 0
        self._body_bytes = 0
        self._sent_bytes = 0
        self._received_bytes = 0

    # ------------------------------------------------------------ told by the hooks

    def sized(self, head_bytes: int, body_bytes: int) -> None:
        """The request is made, this long."""
        self._head_bytes = head_bytes
        self._body_bytes = body_bytes

    def dialling(self) -> None:
        """A connection is being opened."""
        self._dialled_ns = self._now_ns()
        self._open_ns = self._tls_from_ns = self._sent_ns = _NEVER
        self._sent_bytes = 0

    def resolving(self) -> None:
        """The name is being looked up."""
        self._resolving_ns = self._now_ns()

    def resolved(self) -> None:
        """The name was looked up."""
        self._dns_ns = self._now_ns() - self._resolving_ns

    def securing(self, tls_object: ssl.SSLObject) -> None:
        """TCP is up, the TLS handshake begins."""
        self._tls_from_ns = self._now_ns()
        self._tls_object = tls_object

    def opened(self) -> None:
        """The connection is open."""
        self._open_ns = self._now_ns()
        made, self._tls_object = self._tls_object, None
        chosen = made.cipher() if made is not None else None
        if made is not None and chosen is not None:
            self.tls_version = made.version() or ""
            self.suite = chosen[0]
            self.call.handshakes += 1

    def reusing(self) -> None:
        """An open connection is used."""
        self._open_ns = self._now_ns()
        self.is_reused = True

    def wrote(self, size: int) -> None:
        """So many bytes of the body were handed over; 0 = the head."""
        self._sent_bytes += size
        self._sent_ns = self._now_ns()

    def received(self, size: int) -> None:
        """So many bytes of the response arrived."""
        self._received_bytes += size

    def ended(
        self,
        response: Response | None,
        exception: BaseException | None,
        parsed: dict[str, Any],
    ) -> None:
        """It is over.

        Args:
            response: What the server answered.
            exception: What the SDK made of it when there was no usable answer.
            parsed: The response as the SDK read it.
        """
        phase = self.phase
        self.ended_ns = self._now_ns()
        self.response = response
        self.etag = str(parsed.get("ETag", "")).strip('"')
        if exception is not None:
            self.failure = failures.from_sdk_error(exception, phase)
        elif response is not None:
            self.failure = failure_of(response) or _in_document(parsed, response)

    def extended(self) -> None:
        """Its body, which the SDK leaves to the caller, was read as well."""
        self.ended_ns = self._now_ns()

    # ------------------------------------------------------------ asked afterwards

    @property
    def phase(self) -> Phase:
        """Phase now under way."""
        if self._open_ns < 0:
            if self._tls_from_ns >= 0:
                return Phase.TLS
            is_resolving = self._resolving_ns >= 0 and self._dns_ns < 0
            return Phase.DNS if is_resolving else Phase.TCP
        is_sent = self._sent_ns >= 0 and self._sent_bytes >= self._body_bytes
        return Phase.WAIT if is_sent else Phase.SEND

    @property
    def is_in_parts(self) -> bool:
        """Whether it is one of the several requests of a multipart upload."""
        return self.operation in _IN_PARTS

    @property
    def is_background(self) -> bool:
        """Whether it only serves the SDK itself."""
        return self.operation in _BACKGROUND

    def measures(self) -> Measures:
        """What was measured; the phase that it died in counts up to its end."""
        end_ns = self.ended_ns if self.ended_ns >= 0 else self._now_ns()
        found = Measures(
            bytes_sent=self._head_bytes + self._sent_bytes if self._sent_ns >= 0 else 0,
            bytes_received=self._received_bytes,
        )
        if self._dialled_ns >= 0:
            self._measure_dial(found, end_ns)
        if self._open_ns >= 0:
            is_sent = self.phase is Phase.WAIT
            sent_ns = self._sent_ns if is_sent else end_ns
            found.send_ns = sent_ns - self._open_ns
            if is_sent:
                found.wait_ns = end_ns - sent_ns
        return found

    def _measure_dial(self, found: Measures, end_ns: int) -> None:
        open_ns = self._open_ns if self._open_ns >= 0 else end_ns
        resolved_ns = self._dialled_ns
        if self._resolving_ns >= 0:
            dns_ns = self._dns_ns
            found.dns_ns = dns_ns if dns_ns >= 0 else end_ns - self._resolving_ns
            resolved_ns = self._resolving_ns + found.dns_ns
            if dns_ns < 0:
                return
        if self._tls_from_ns >= 0:
            found.tcp_ns = self._tls_from_ns - resolved_ns
            found.tls_ns = open_ns - self._tls_from_ns
        else:
            found.tcp_ns = open_ns - resolved_ns


def _in_document(parsed: dict[str, Any], response: Response) -> Failure | None:
    """An error that came with status 200, as CompleteMultipartUpload may answer."""
    error = parsed.get("Error")
    if not error or response.status == 304:
        return None
    return s3(str(error.get("Code", "")), str(error.get("Message", "")))


class SdkListener(Listener, Protocol):
    """Who is told what became of a command; the driver of one device."""

    def on_repeated(self, exchange: Exchange) -> None:
        """An exchange failed, and the SDK is about to send its request again."""

    def on_settled(self, call: "Call") -> None:
        """A call is over; ``on_response`` or ``on_request_failed`` follows at once."""


class Call:
    """One call of the SDK: what one ``Send`` command becomes.

    Args:
        listener: Told about hidden retries.
        now_ns: Clock.

    Attributes:
        last: Newest exchange, or the one that failed.
        handshakes: Completed TLS handshakes.
    """

    __slots__ = (
        "_connections",
        "_finished",
        "_has_failed",
        "_listener",
        "handshakes",
        "last",
        "now_ns",
    )

    def __init__(self, listener: SdkListener, now_ns: Callable[[], int]) -> None:
        self.now_ns = now_ns
        self.last: Exchange | None = None
        self.handshakes = 0
        self._listener = listener
        self._connections: Exchange | None = None
        self._finished = Measures()
        self._has_failed = False

    def began(self, exchange: Exchange, before: Exchange | None) -> None:
        """An exchange begins; ``before`` = the one whose request it repeats."""
        if exchange.is_background or self._has_failed:
            return
        self.last = exchange
        if before is not None:
            self._listener.on_repeated(before)

    def failed(self, exchange: Exchange | None) -> None:
        """An exchange made the call fail; what others still do does not count."""
        if not self._has_failed and exchange is not None:
            self._has_failed = True
            self.last = exchange

    def finished(self, exchange: Exchange) -> None:
        """An exchange is over: remember what a multipart upload adds up."""
        measured = exchange.measures()
        self._finished.bytes_sent += measured.bytes_sent
        self._finished.bytes_received += measured.bytes_received
        if self._connections is None and measured.tcp_ns >= 0:
            self._connections = exchange

    @property
    def connection(self) -> Exchange | None:
        """The exchange that says which connection was used."""
        last = self.last
        if last is not None and last.is_in_parts:
            return self._connections or last
        return last

    def measures(self) -> Measures:
        """What was measured of the attempt that ends the call.

        A multipart upload is one attempt of many exchanges at the same time: its bytes
        add up, the first connection stands for all, ``send`` and ``wait`` are absent.
        """
        last = self.last
        if last is None:
            return Measures()
        if not last.is_in_parts:
            return last.measures()
        first = self.connection
        dial = first.measures() if first is not None else Measures()
        return Measures(
            dns_ns=dial.dns_ns,
            tcp_ns=dial.tcp_ns,
            tls_ns=dial.tls_ns,
            bytes_sent=self._finished.bytes_sent,
            bytes_received=self._finished.bytes_received,
        )
