"""How fast events come in: durable POSTs, single and in batches, over raw sockets from a process of its own.

The relay runs on one core; on the other one are this script, with requests built beforehand, and the fast sink.
23,000 users, every other one resting, coalescing on: what is measured is parsing, accepting, the commit with its
fsync, and the wakeups that follow. Each answer is awaited before the next request of its connection (closed loop).

And a stream: messages of 500 user ids, acknowledged by the commit that holds them; beside it, and before, alarms over
HTTP, 20 in a second, each timed from its instant to its 202. Of a relay that runs already both are left out.
`single_us`, `batch_us` and `stream_us` are the relay's own CPU for each event, its wakeups included: where
others share the core, that says more than the clock.

    python -m bench.ingest [--seconds 10] [--connections 64] [--users 23000] [--store postgres] [--json]
    python -m bench.ingest --url http://127.0.0.1:8080 --key … --ops http://127.0.0.1:9090   # nobody rests there
"""

from __future__ import annotations

import argparse
import random
import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from bench import door, running, stage
from bench.report import in_ms, say, surroundings
from bench.scene import add_store, scene
from relay.client_stream import Stream

BATCH = 500
PREBUILT = 20_000
ALARMS_PER_S = 20


def event(users: int, rng: random.Random) -> dict[str, str]:
    return {"user": stage.user_id(rng.randrange(users))}


def singles(key: str, users: int, rng: random.Random) -> list[bytes]:
    return [door.request(key, event(users, rng)) for _ in range(PREBUILT)]


def batches(key: str, users: int, rng: random.Random) -> list[bytes]:
    """Requests of 500 events for one user each."""
    return [door.request(key, {"events": [event(users, rng) for _ in range(BATCH)]}) for _ in range(200)]


def load(
    address: tuple[str, int], requests: list[bytes], connections: int, seconds: float
) -> tuple[float, list[float]]:
    """(answers per second, milliseconds from request to answer of each)."""
    try:
        took = door.repeat(address, requests, connections, seconds)
    except OSError as error:
        raise SystemExit(str(error)) from None
    return len(took) / seconds, took


@dataclass(frozen=True, slots=True)
class Streamed:
    """`cost`: microseconds of the relay's CPU for each event. `alarms`: milliseconds from instant to 202."""

    per_second: float
    cost: float
    alarms: list[float]


def stream(node: stage.Node, users: int, seconds: float, rng: random.Random) -> Streamed | None:
    """As much as it takes, and alarms beside it over HTTP. None where there is no such door."""
    if node.stream is None:
        return None
    messages = [[stage.user_id(rng.randrange(users)) for _ in range(BATCH)] for _ in range(1_000)]
    with Stream(node.stream, node.key) as relay, ThreadPoolExecutor(1) as beside:
        relay.send(messages[0])
        relay.flush()
        began, spent, taken = time.perf_counter(), node.cpu_seconds(), 0
        ringing = beside.submit(alarms, node, users, seconds)
        while time.perf_counter() < began + seconds:
            relay.send(messages[taken % len(messages)])
            taken += 1
        told = relay.flush()
        took, events = time.perf_counter() - began, told.accepted + told.unknown
        cpu = (node.cpu_seconds() or 0.0) - (spent or 0.0)
        assert events == taken * BATCH
        return Streamed(events / took, cpu / events * 1e6, ringing.result())


def alarms(node: stage.Node, users: int, seconds: float) -> list[float]:
    """Milliseconds until each of a steady rate of alarms is durable."""
    instants = door.schedule(ALARMS_PER_S, seconds, time.monotonic_ns())
    requests = [_alarm(node, number % users) for number in range(len(instants))]
    answers = door.play(door.address(node.url), requests, instants, connections=64)
    assert {answer.status for answer in answers} == {202}
    return [(answer.at - at) / 1e6 for answer, at in zip(answers, instants, strict=True)]


def _alarm(node: stage.Node, number: int) -> bytes:
    body = {"user": stage.user_id(number), "class": "alarm", "role": stage.ROLE, "reason": stage.REASON}
    return door.request(node.key, body, headers={"idempotency-key": secrets.token_urlsafe(24)})


def every_other(number: int) -> float | None:
    """Rests, until tomorrow."""
    return time.time() + stage.DAY if number % 2 else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--users", type=int, default=23_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="last line: one JSON object")
    add_store(parser)
    running.add_options(parser)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    with scene(options, [3] * options.users, options.seed, rest_end=every_other, store=options.store) as place:
        node = place.node
        one, many = singles(node.key, options.users, rng), batches(node.key, options.users, rng)
        address = door.address(node.url)
        load(address, one, options.connections, min(2.0, options.seconds))
        spent = [node.cpu_seconds() or 0.0]
        single, took = load(address, one, options.connections, options.seconds)
        spent.append(node.cpu_seconds() or 0.0)
        batch, _ = load(address, many, 8, options.seconds / 2)
        spent.append(node.cpu_seconds() or 0.0)
        alone = alarms(node, options.users, options.seconds / 2) if place.is_ours else []
        streamed = stream(node, options.users, options.seconds / 2, rng) if place.is_ours else None
        rss = node.rss_mb()
    figures: dict[str, object] = {
        "users": options.users,
        "resting": options.users // 2 if place.is_ours else 0,
        "connections": options.connections,
        "store": options.store if place.is_ours else None,
        "single_per_s": round(single),
        "single_us": round((spent[1] - spent[0]) / max(1, len(took)) * 1e6, 1) if place.is_ours else None,
        "batch_per_s": round(batch * BATCH),
        "batch_us": round((spent[2] - spent[1]) / (batch * BATCH * options.seconds / 2) * 1e6, 1)
        if place.is_ours
        else None,
        "stream_per_s": round(streamed.per_second) if streamed else None,
        "stream_us": round(streamed.cost, 1) if streamed else None,
        "stream_to_batch": round(streamed.per_second / (batch * BATCH), 1) if streamed else None,
        "alarm_p50_ms": in_ms(alone, 50),
        "alarm_p99_ms": in_ms(alone, 99),
        "alarm_p50_ms_during_stream": in_ms(streamed.alarms if streamed else [], 50),
        "alarm_p99_ms_during_stream": in_ms(streamed.alarms if streamed else [], 99),
        "p50_ms": in_ms(took, 50),
        "p99_ms": in_ms(took, 99),
        "rss_mb": rss,
    }
    say({**figures, **surroundings(options.seed)}, as_json=options.json)


if __name__ == "__main__":
    main()
