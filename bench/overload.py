"""More than the relay can take: what it does then, and whether it is as before afterwards.

Its capacity is measured first, in a closed loop as in `ingest`. Then it is offered 0.5, 1, 2, 3 and 5 times as much in
an open loop (flood.py), and 0.5 times again until that is as before, three times at most. All this in batches of 500
events, on so many connections that the room before a commit fills (100,000 recipients), and then in single posts, on
more connections than the door takes (1,000). Nothing that is refused is repeated. Beside it alarms are posted at a
steady rate on connections of their own, measured from their planned instants to the 202 and to the provider (as in
`latency`), and the ops port is asked whether it is alive: its answers wait for the loop as all else does.

A slow disk is played by a relay whose commits take longer by so many milliseconds each (slow_disk.py).

Exits with 1 when something is not as it should be, and says what (`objections`): memory that grows from the first step
in which something is refused to the last one, an answer other than 202, 429 and 503, a refusal without Retry-After, an
alarm that is not taken or does not arrive, a notice that was accepted and is not in the books, latency that does not
come back.

    python -m bench.overload [--seconds 8] [--users 23000] [--fsync-ms 0,50,500] [--json]
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field

from bench import door, ingest, slow_disk, stage
from bench.flood import REFUSALS, Flood, Tally, flood
from bench.latency import ALARM_USERS, Measured, alarm, measured
from bench.report import in_ms, say, surroundings
from bench.scene import Scene, scene
from bench.stamps import Arrivals

FACTORS = (0.5, 1.0, 2.0, 3.0, 5.0)
AFTER = 0.5
"""What is offered when it is over; compared with the first step."""
ALARM_CONNECTIONS = 64
LOOKS = 20.0
"""Times a second at which the ops port is asked."""
LEAD = 1_000_000_000
"""Nanoseconds between the making of a plan and its first instant: it is handed to another process."""
PATIENCE = 60.0
"""Seconds for the relay to be done with what it has taken."""
GROWTH = 0.10
RETURNS, RETURNS_MS = 2.0, 25.0
"""Afterwards half of the answers come within so many times what they took before, and so many milliseconds."""
TRIES = 3
"""Steps after which that must be so: this may not be the only thing that the machine does."""


@dataclass(frozen=True, slots=True)
class Series:
    """One kind of post. `weight`: notices of a request."""

    name: str
    weight: int
    connections: int


SERIES = (Series("batches", ingest.BATCH, 400), Series("singles", 1, 1_200))


@dataclass(frozen=True, slots=True)
class Step:
    """What was offered, and what became of it. Rates are notices per second, those of answers until the last one."""

    factor: float
    offered_per_s: float
    sent_per_s: float
    accepted_per_s: float
    refused_429_per_s: float
    refused_503_per_s: float
    p50_ms: float | None
    p99_ms: float | None
    alarm_p50_ms: float | None
    """To the 202."""
    alarm_p99_ms: float | None
    alarm_woken_p50_ms: float | None
    """To the provider."""
    alarm_woken_p99_ms: float | None
    loop_p50_ms: float | None
    loop_p99_ms: float | None
    rss_mb: int | None
    retry_after_s: tuple[int, int] | None
    """Least and most."""
    alarms_refused: int = 0
    alarms_missing: int = 0
    unanswered: int = 0
    others: dict[int, int] = field(default_factory=dict)
    """Answers that there should not be, by status; 0: the connection ended without one."""


@dataclass(frozen=True, slots=True)
class Beside:
    """What was measured beside the flood. `loop`: milliseconds to an answer of the ops port."""

    alarms: Measured
    loop: list[float]
    rss_mb: int | None


def step_of(series: Series, factor: float, rate: float, seconds: float, tally: Tally, beside: Beside) -> Step:
    """The figures of a step. `rate`: requests per second."""
    each = series.weight / tally.seconds
    told = list(tally.retry_after)
    return Step(
        factor,
        offered_per_s=round(rate * series.weight),
        sent_per_s=round(tally.sent * series.weight / seconds),
        accepted_per_s=round(tally.accepted / tally.seconds),
        refused_429_per_s=round(tally.statuses[429] * each),
        refused_503_per_s=round(tally.statuses[503] * each),
        p50_ms=in_ms(tally.accepted_ms, 50),
        p99_ms=in_ms(tally.accepted_ms, 99),
        alarm_p50_ms=in_ms(beside.alarms.accepted, 50),
        alarm_p99_ms=in_ms(beside.alarms.accepted, 99),
        alarm_woken_p50_ms=in_ms(beside.alarms.arrived, 50),
        alarm_woken_p99_ms=in_ms(beside.alarms.arrived, 99),
        loop_p50_ms=in_ms(beside.loop, 50),
        loop_p99_ms=in_ms(beside.loop, 99),
        rss_mb=beside.rss_mb,
        retry_after_s=(min(told), max(told)) if told else None,
        alarms_refused=beside.alarms.refused,
        alarms_missing=beside.alarms.missing,
        unanswered=tally.unanswered,
        others={status: n for status, n in tally.statuses.items() if status not in (202, *REFUSALS)},
    )


def objections(name: str, steps: Sequence[Step]) -> list[str]:
    """What is not as it should be in a series; the steps after the overload follow those of FACTORS."""
    found: list[str] = []
    for step in steps:
        wrong = {
            f"answers other than 202, 429 and 503: {step.others}": step.others,
            "a refusal without Retry-After": step.retry_after_s is not None and step.retry_after_s[0] < 1,
            f"{step.unanswered} requests without an answer": step.unanswered,
            f"{step.alarms_refused} alarms refused": step.alarms_refused,
            f"{step.alarms_missing} alarms without a wakeup": step.alarms_missing,
        }
        found += [f"{name} at {step.factor:g}: {told}" for told, is_wrong in wrong.items() if is_wrong]
    during, after = steps[: len(FACTORS)], steps[-1]
    full = [step.rss_mb or 0 for step in during if step.refused_429_per_s or step.refused_503_per_s]
    if full and full[-1] > full[0] * (1 + GROWTH):
        found.append(f"{name}: memory grows from {full[0]} to {full[-1]} MB")
    if not is_back(during[0], after):
        found.append(f"{name}: afterwards half of the answers take up to {after.p50_ms} ms, before {during[0].p50_ms}")
    return found


def is_back(before: Step, after: Step) -> bool:
    """Latency is what it was."""
    if before.p50_ms is None or after.p50_ms is None:
        return False
    return after.p50_ms <= before.p50_ms * RETURNS + RETURNS_MS


def accepted_in_books(node: stage.Node) -> int:
    return round(node.metrics().get('feierabend_notices_total{class="message",fate="accepted"}', 0))


def wait_until_done(node: stage.Node) -> None:
    """Nothing waits for a commit, and nothing is on its way."""
    names = ["feierabend_commit_waiting", "feierabend_verdicts_waiting"]
    names += [f'feierabend_lane_{what}{{app="{node.app}"}}' for what in ("queued", "in_flight")]
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        metrics = node.metrics()
        if not any(metrics.get(name) for name in names):
            return
        time.sleep(0.1)


class Bench:
    """Plays steps in a scene. `processes` run the flood."""

    def __init__(self, place: Scene, options: argparse.Namespace, processes: Executor) -> None:
        self._place = place
        self._options = options
        self._processes = processes
        self._number = 0
        """Of the next alarm."""

    def capacity(self, series: Series, requests: list[bytes]) -> float:
        """Requests per second in a closed loop, when everybody was woken before."""
        connections = 32 if series.weight > 1 else 64
        address = door.address(self._place.node.url)
        ingest.load(address, requests, connections, self._options.seconds)
        found, _ = ingest.load(address, requests, connections, self._options.seconds)
        wait_until_done(self._place.node)
        return found

    def step(self, series: Series, factor: float, rate: float, requests: list[bytes]) -> tuple[Step, int]:
        """Offer so many requests per second; the figures, and how many notices were taken."""
        node, seconds, start = self._place.node, self._options.seconds, time.monotonic_ns() + LEAD
        plan = Flood(door.address(node.url), requests, rate, seconds, start, series.connections)
        flooded = self._processes.submit(flood, plan)
        beside = self._beside(start)
        tally = flooded.result()
        wait_until_done(node)
        step = step_of(series, factor, rate, seconds, tally, beside())
        sys.stderr.write(f"{series.name} {asdict(step)}\n")
        return step, tally.accepted

    def _beside(self, start: int) -> Callable[[], Beside]:
        """Alarms, and looks at the ops port, until the flood is over. To be asked how they fared when all is done."""
        options, place, node = self._options, self._place, self._place.node
        instants = door.schedule(options.alarm_rate, options.seconds, start)
        numbers = [options.users + (self._number + index) % ALARM_USERS for index in range(len(instants))]
        self._number += len(instants)
        requests = [alarm(place, number, options) for number in numbers]
        arrivals = Arrivals(place.stamps)
        looks = door.schedule(LOOKS, options.seconds, start)
        alive = door.request(node.key, method="GET", path="/healthz")
        with ThreadPoolExecutor(1) as aside:
            looked = aside.submit(door.play, door.address(node.ops), [alive] * len(looks), looks, 4)
            answers = door.play(door.address(node.url), requests, instants, ALARM_CONNECTIONS)
            rss = node.rss_mb()
            loop = [(answer.at - look) / 1e6 for answer, look in zip(looked.result(), looks, strict=True)]

        def told() -> Beside:
            while arrivals.read():
                pass
            return Beside(measured(place, numbers, instants, answers, arrivals), loop, rss)

        return told

    def play(self, series: Series, requests: list[bytes]) -> tuple[dict[str, object], list[str]]:
        """All steps of a series: figures and objections."""
        capacity = self.capacity(series, requests)
        already, taken, steps = accepted_in_books(self._place.node), 0, []
        for factor in (*FACTORS, *[AFTER] * TRIES):
            step, accepted = self.step(series, factor, capacity * factor, requests)
            steps.append(step)
            taken += accepted
            if len(steps) > len(FACTORS) and is_back(steps[0], step):
                break
        found = objections(series.name, steps)
        booked = accepted_in_books(self._place.node) - already
        if booked != taken:
            found.append(f"{series.name}: {taken} notices were accepted, and {booked} are in the books")
        figures: dict[str, object] = {
            f"{series.name}_capacity_per_s": round(capacity * series.weight),
            f"{series.name}_accepted": taken,
            f"{series.name}_booked": booked,
            series.name: [asdict(step) for step in steps],
        }
        return figures, found


def overload(options: argparse.Namespace) -> tuple[dict[str, object], list[str]]:
    rng, users = random.Random(options.seed), options.users
    phones = [3] * users + [1] * ALARM_USERS

    def rest_end(number: int) -> float | None:
        return ingest.every_other(number) if number < users else None

    figures: dict[str, object] = {}
    found: list[str] = []
    spawn = multiprocessing.get_context("spawn")
    with (
        scene(options, phones, options.seed, rest_end=rest_end, stamps=True, dead_every=0) as place,
        ProcessPoolExecutor(1, spawn) as processes,
    ):
        bench = Bench(place, options, processes)
        for series in SERIES:
            build = ingest.batches if series.weight > 1 else ingest.singles
            told, objected = bench.play(series, build(place.node.key, users, rng))
            figures |= told
            found += objected
        figures["rss_mb"] = place.node.rss_mb()
    return figures, found


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=8.0, help="of each step")
    parser.add_argument("--users", type=int, default=23_000)
    parser.add_argument("--alarm-rate", type=float, default=20.0, help="alarms per second")
    parser.add_argument("--fsync-ms", default="0,50,500", help="delays of a slow disk; empty: none is played")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="last line: one JSON object")
    parser.set_defaults(url=None, key=None, ops=None, role=stage.ROLE, reason=stage.REASON)
    options = parser.parse_args()
    try:
        options.delays = [int(part) for part in options.fsync_ms.split(",") if part]
    except ValueError:
        parser.error("--fsync-ms: whole milliseconds, with commas between them")
    return options


def main() -> None:
    options = arguments()
    told: dict[str, object] = {"seconds": options.seconds, "users": options.users, "alarm_rate": options.alarm_rate}
    figures, found = overload(options)
    if options.delays:
        slow = [slow_disk.measure(delay, options.seconds, options.seed) for delay in options.delays]
        figures["slow_disk"] = [asdict(each) for each in slow]
        found += slow_disk.objections(slow)
    load = {"load_average": os.getloadavg()}
    say({**told, **figures, "objections": found, **load, **surroundings(options.seed)}, as_json=options.json)
    if found:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
