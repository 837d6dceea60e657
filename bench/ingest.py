"""How fast events come in: durable POSTs, single and in batches, over raw sockets from a process of its own.

The relay runs on one core; on the other one are this script, with requests built beforehand, and the fast sink.
23,000 users, every other one resting, coalescing on: what is measured is parsing, accepting, the commit with its
fsync, and the wakeups that follow. Each answer is awaited before the next request of its connection (closed loop).

    python -m bench.ingest [--seconds 10] [--connections 64] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import tempfile
import time
from pathlib import Path

import trio

from bench import stage
from bench.report import say, surroundings

USERS = 23_000
BATCH = 500
PREBUILT = 20_000


def request(body: object) -> bytes:
    content = json.dumps(body).encode()
    head = (
        "POST /v1/events HTTP/1.1\r\nhost: relay\r\ncontent-type: application/json\r\n"
        f"authorization: Bearer {stage.BACKEND}\r\ncontent-length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


def singles(rng: random.Random) -> list[bytes]:
    return [request({"user": stage.user_id(rng.randrange(USERS))}) for _ in range(PREBUILT)]


def batches(rng: random.Random) -> list[bytes]:
    """Requests of 500 events for one user each."""
    return [
        request({"events": [{"user": stage.user_id(rng.randrange(USERS))} for _ in range(BATCH)]}) for _ in range(200)
    ]


async def load(port: int, requests: list[bytes], connections: int, seconds: float) -> tuple[float, list[float]]:
    """(answers per second, seconds from request to answer of each)."""
    took: list[float] = []

    async def talk(first: int) -> None:
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        number = first
        while True:
            began = time.perf_counter()
            await stream.send_all(requests[number % len(requests)])
            answer = await stream.receive_some(4096)
            while not answer.endswith(b"}"):
                answer += await stream.receive_some(4096)
            if not answer.startswith(b"HTTP/1.1 202"):
                raise SystemExit(f"not accepted: {bytes(answer[:80])!r}")
            took.append(time.perf_counter() - began)
            number += connections

    with trio.move_on_after(seconds):
        async with trio.open_nursery() as nursery:
            for index in range(connections):
                nursery.start_soon(talk, index)
    return len(took) / seconds, took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="last line: one JSON object")
    options = parser.parse_args()
    rng = random.Random(options.seed)
    one, many = singles(rng), batches(rng)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        database = folder / "ingest.db"
        stage.fill(database, USERS, 3 * USERS, rng, resting=True)
        with stage.sink(folder, cpu=1) as (port, ca), stage.node(folder, database, port, ca, cpu=0) as node:
            os.sched_setaffinity(0, {1})
            door = int(node.url.rpartition(":")[2])
            trio.run(load, door, one, options.connections, 2.0)
            single, took = trio.run(load, door, one, options.connections, options.seconds)
            batch, _ = trio.run(load, door, many, 8, options.seconds / 2)
            rss = node.rss_mb()
    cuts = statistics.quantiles(took, n=100)
    figures: dict[str, object] = {
        "users": USERS,
        "connections": options.connections,
        "single_per_s": round(single),
        "batch_per_s": round(batch * BATCH),
        "p50_ms": round(cuts[49] * 1000, 2),
        "p99_ms": round(cuts[98] * 1000, 2),
        "rss_mb": rss,
    }
    say({**figures, **surroundings(options.seed)}, as_json=options.json)


if __name__ == "__main__":
    main()
