"""A slow disk: what waits for it, and what must not.

The relay runs with commits that take some milliseconds longer (slow_relay.py). Single events are posted at a steady
rate, each acknowledged after its commit: those take longer by about one to two delays, for who comes while a commit is
written waits for its end first. Meanwhile the ops port is asked whether it is alive, and people come out of their rest,
a few at each whole second, for whom an event waits: both need the loop and no commit, and must take as long as ever.
"""

from __future__ import annotations

import math
import random
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from bench import door, stage
from bench.report import in_ms
from bench.scene import OTHERS_CPU, RELAY_CPU
from bench.stamps import Arrivals, delays

RATE = 50.0
"""Events per second, and looks at the ops port."""
USERS = 500
RELEASED = 20
"""People whose rest ends at each second."""
PREPARATION = 8
"""Seconds from the making of a store to the first end of a rest."""
DELAYED_MS = 25.0
"""What the loop may take longer at a slow disk, half of the time, and at most a quarter of the delay."""


@dataclass(frozen=True, slots=True)
class SlowDisk:
    """Milliseconds. `loop`: to an answer of the ops port; `due`: from the end of a rest to the provider."""

    fsync_ms: int
    ack_p50_ms: float | None
    ack_p99_ms: float | None
    loop_p50_ms: float | None
    loop_p99_ms: float | None
    due_p50_ms: float | None
    due_p99_ms: float | None
    refused: int
    missing: int


def measure(fsync_ms: int, seconds: float, seed: int) -> SlowDisk:
    whole = math.ceil(seconds)
    tokens = stage.new_tokens([1] * (USERS + RELEASED * whole), random.Random(seed))
    first = math.ceil(time.time()) + PREPARATION

    def rest_end(number: int) -> float | None:
        return None if number < USERS else first + (number - USERS) // RELEASED

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        database, noted = folder / "slow.db", folder / "stamps"
        stage.fill(database, tokens, pending=True, rest_end=rest_end)
        command = ("-m", "bench.slow_relay", "--fsync-ms", str(fsync_ms))
        with (
            stage.sink(folder, "--dead-every", "0", "--stamps", str(noted), cpu=OTHERS_CPU) as (port, ca),
            stage.node(folder, database, port, ca, cpu=RELAY_CPU, command=command) as node,
        ):
            if time.time() > first:
                raise SystemExit("the relay was not ready before the first rest ended")
            return _measured(node, fsync_ms, seconds, tokens, first, noted)


def _measured(
    node: stage.Node, fsync_ms: int, seconds: float, tokens: stage.Tokens, first: int, noted: Path
) -> SlowDisk:
    start = time.monotonic_ns() + round((first - time.time()) * 1e9)
    arrivals = Arrivals(noted)
    instants = door.schedule(RATE, seconds, start)
    posts = [door.request(node.key, {"user": stage.user_id(number % USERS)}) for number in range(len(instants))]
    alive = [door.request(node.key, method="GET", path="/healthz")] * len(instants)
    with ThreadPoolExecutor(1) as aside:
        looked = aside.submit(door.play, door.address(node.ops), alive, instants, 4)
        answers = door.play(door.address(node.url), posts, instants, 128)
        looks = looked.result()
    time.sleep(1.0)  # the last of them have left by now, or are missing
    arrivals.read()
    ends = [start + index // RELEASED * 1_000_000_000 for index in range(len(tokens) - USERS)]
    due, missing = delays(arrivals, [mine[0] for mine in tokens[USERS:]], ends)
    acks = [(answer.at - instant) / 1e6 for answer, instant in zip(answers, instants, strict=True)]
    loop = [(look.at - instant) / 1e6 for look, instant in zip(looks, instants, strict=True)]
    refused = sum(answer.status != 202 for answer in answers)
    halves, nearly = ([in_ms(values, percent) for values in (acks, loop, due)] for percent in (50, 99))
    return SlowDisk(
        fsync_ms, halves[0], nearly[0], halves[1], nearly[1], halves[2], nearly[2], refused, missing
    )  # fmt: skip


def objections(found: Sequence[SlowDisk]) -> list[str]:
    """What is not as it should be; the first one is compared with."""
    told: list[str] = []
    usual = found[0]
    for each in found:
        name = f"{each.fsync_ms} ms of fsync"
        if each.refused or each.missing:
            told.append(f"{name}: {each.refused} events refused, {each.missing} people not woken")
        if (each.ack_p50_ms or 0) < each.fsync_ms:
            told.append(f"{name}: half of the answers come within {each.ack_p50_ms} ms, before the commit")
        allowed = min(DELAYED_MS, (each.fsync_ms - usual.fsync_ms) / 4)
        for what in ("loop", "due"):
            before, now = (getattr(disk, f"{what}_p50_ms") or 0.0 for disk in (usual, each))
            if each is not usual and now > before + allowed:
                told.append(f"{name}: {what} takes {now} ms, and {before} at {usual.fsync_ms} ms")
    return told
