"""Reference: aioboto3 ``put_object`` on uvloop, one client, kept connections."""

import asyncio
import json
import os
import sys
import time

import aioboto3
import uvloop
from aiobotocore.config import AioConfig


async def main() -> None:
    """Arguments: cpu, url, CA file, number of requests, body bytes."""
    cpu, url, ca_file, count_text, size_text = sys.argv[1:6]
    os.sched_setaffinity(0, {int(cpu)})
    count, body = int(count_text), os.urandom(int(size_text))
    session = aioboto3.Session("BENCHMARK", "not-a-secret", region_name="us-east-1")
    config = AioConfig(
        request_checksum_calculation="when_required",
        s3={"addressing_style": "path", "payload_signing_enabled": False},
    )
    async with session.client(
        "s3", endpoint_url=url, verify=ca_file, config=config
    ) as client:

        async def worker(indexes: range) -> None:
            for index in indexes:
                await client.put_object(Bucket="fleet", Key=f"k{index}", Body=body)

        async def run(total: int) -> None:
            async with asyncio.TaskGroup() as group:
                for start in range(8):
                    group.create_task(worker(range(start, total, 8)))

        await run(64)
        cpu_s, wall_s = time.process_time(), time.monotonic()
        await run(count)
        json.dump(
            {
                "count": count,
                "cpu_s": time.process_time() - cpu_s,
                "wall_s": time.monotonic() - wall_s,
            },
            sys.stdout,
        )


uvloop.run(main())
