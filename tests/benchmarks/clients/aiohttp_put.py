"""Reference: aiohttp on uvloop, PUTs with a ready-made signature header.

Signing is left out in aiohttp's favour. ``new``: one connector per upload, as a fleet
of separate clients needs it; ``keep``: one session for all.
"""

import asyncio
import json
import os
import ssl
import sys
import time

import aiohttp
import uvloop


async def main() -> None:
    """Arguments: cpu, mode, url, CA file (or -), number of requests, body bytes."""
    cpu, mode, url, ca_file, count_text, size_text = sys.argv[1:7]
    os.sched_setaffinity(0, {int(cpu)})
    count, body = int(count_text), os.urandom(int(size_text))
    context = None if ca_file == "-" else ssl.create_default_context(cafile=ca_file)
    headers = {
        "authorization": "AWS4-HMAC-SHA256 " + "x" * 180,
        "x-amz-date": "20260101T000000Z",
        "x-amz-content-sha256": "UNSIGNED-PAYLOAD",
    }
    secure: ssl.SSLContext | bool = context if context is not None else True

    async def put(session: aiohttp.ClientSession, index: int) -> None:
        async with session.put(f"{url}/k{index}", data=body, headers=headers) as answer:
            await answer.read()
            if answer.status != 200:
                raise SystemExit(f"status {answer.status}")

    async def worker(indexes: range) -> None:
        if mode == "keep":
            async with aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=secure)
            ) as session:
                for index in indexes:
                    await put(session, index)
            return
        for index in indexes:
            connector = aiohttp.TCPConnector(ssl=secure, force_close=True)
            async with aiohttp.ClientSession(connector=connector) as session:
                await put(session, index)

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
