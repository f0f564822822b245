"""Request counts: how the requests of a front ended."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final, Self

from fleetsim.lab.s3_app import RequestLog
from fleetsim.lab.s3_request import Operation

_STORING: Final = frozenset(
    {Operation.PUT_OBJECT, Operation.COMPLETE_MULTIPART_UPLOAD, Operation.COPY_OBJECT}
)


@dataclass(slots=True)
class RequestCounts:
    """Counts requests by how they ended.

    Attributes:
        statuses: By HTTP status; 0 = the client went away first.
        errors: By S3 error code.
        operations: By S3 operation; ``none`` = refused before that was known.
        stored: Requests that made an object.
        received_bytes: Content received, framing not counted.
        content_bytes: Content of the answers.
    """

    statuses: Counter[int] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    operations: Counter[str] = field(default_factory=Counter)
    stored: int = 0
    received_bytes: int = 0
    content_bytes: int = 0

    @classmethod
    def sum_of(cls, several: Iterable[Self]) -> Self:
        """Add up the counts of several fronts."""
        total = cls()
        for each in several:
            total.statuses.update(each.statuses)
            total.errors.update(each.errors)
            total.operations.update(each.operations)
            total.stored += each.stored
            total.received_bytes += each.received_bytes
            total.content_bytes += each.content_bytes
        return total

    def note(self, request: RequestLog) -> None:
        """Count one request."""
        self.statuses[request.status] += 1
        self.operations[request.operation or "none"] += 1
        if request.error_code:
            self.errors[request.error_code] += 1
        elif request.status == 200 and request.operation in _STORING:
            self.stored += 1
        self.received_bytes += request.received_bytes
        self.content_bytes += request.content_bytes

    def figures(self) -> dict[str, Any]:
        """Return the counts as JSON values."""
        return {
            "total": self.statuses.total(),
            "by_status": {
                str(key): self.statuses[key] for key in sorted(self.statuses)
            },
            "by_operation": dict(sorted(self.operations.items())),
            "by_error": dict(sorted(self.errors.items())),
            "stored": self.stored,
            "received_bytes": self.received_bytes,
            "content_bytes": self.content_bytes,
        }
