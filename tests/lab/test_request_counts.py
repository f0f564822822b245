from fleetsim.lab.request_counts import RequestCounts
from fleetsim.lab.s3_app import RequestLog


def request(operation: str, status: int, error_code: str = "") -> RequestLog:
    """A request of ten bytes with an answer of three."""
    return RequestLog(
        request_id="1",
        started_unix_s=0.0,
        ended_unix_s=0.0,
        operation=operation,
        method="PUT",
        bucket="fleet",
        key="a/x",
        access_key="",
        status=status,
        error_code=error_code,
        received_bytes=10,
        content_bytes=3,
        user_agent="",
    )


def test_counts_by_how_requests_ended() -> None:
    """Refused and abandoned requests count, and make no object."""
    counts = RequestCounts()
    for each in (
        request("PutObject", 200),
        request("PutObject", 503, "SlowDown"),
        request("PutObject", 0, "IncompleteBody"),
        request("UploadPart", 200),
        request("CompleteMultipartUpload", 200),
        # S3 begins to answer 200 before it knows (AWS, "CompleteMultipartUpload").
        request("CompleteMultipartUpload", 200, "InternalError"),
        request("", 400, "InvalidURI"),
    ):
        counts.note(each)
    assert counts.figures() == {
        "total": 7,
        "by_status": {"0": 1, "200": 4, "400": 1, "503": 1},
        "by_operation": {
            "CompleteMultipartUpload": 2,
            "PutObject": 3,
            "UploadPart": 1,
            "none": 1,
        },
        "by_error": {
            "IncompleteBody": 1,
            "InternalError": 1,
            "InvalidURI": 1,
            "SlowDown": 1,
        },
        "stored": 2,
        "received_bytes": 70,
        "content_bytes": 21,
    }


def test_sum_of_fronts() -> None:
    """Counts of several fronts add up, and none of them changes."""
    one, two = RequestCounts(), RequestCounts()
    one.note(request("PutObject", 200))
    two.note(request("PutObject", 200))
    two.note(request("PutObject", 403, "AccessDenied"))
    total = RequestCounts.sum_of((one, two))
    assert (total.stored, total.statuses.total(), total.received_bytes) == (2, 3, 30)
    assert total.errors == {"AccessDenied": 1}
    assert (one.stored, two.stored) == (1, 1)
    assert RequestCounts.sum_of(()).figures()["total"] == 0
