"""Wake the force: one POST for everybody, durable, to the last verdict booked.

The relay runs in a process of its own on one core, the fast sink on another (answers at once, every 1,000th is 410).
Measured from the first byte of the POST to the moment at which nothing is queued, in flight or unbooked any more, as
the relay's metrics tell it (looked at every 50 ms). Real life adds the provider's answer time once.

    python -m bench.force [--users 23000] [--devices 69000] [--runs 5] [--json]
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from pathlib import Path

from bench import stage
from bench.report import say, surroundings
from relay.client import Client

LANE = '{app="ios"}'
LOOK = 0.05
"""Seconds between two looks at the metrics; each costs the relay about 3 ms."""


def measure(node: stage.Node, users: int, devices: int) -> tuple[float, float]:
    """(seconds to the 202, seconds to the last verdict)."""
    names = [stage.user_id(number) for number in range(users)]
    with Client(node.url, stage.BACKEND, timeout=30) as client:
        began = time.perf_counter()
        taken = client.wake(names)
        durable = time.perf_counter() - began
    assert taken.accepted == users, taken
    while not _is_done(node.metrics(), devices):
        time.sleep(LOOK)
    return durable, time.perf_counter() - began


def _is_done(metrics: dict[str, float], devices: int) -> bool:
    answers = sum(value for name, value in metrics.items() if name.startswith("feierabend_lane_answers_total"))
    waiting = (f"feierabend_lane_queued{LANE}", f"feierabend_lane_in_flight{LANE}", "feierabend_verdicts_waiting")
    # Accepted answers are told in steps of 20.
    return answers > devices - 20 and not any(metrics.get(name) for name in waiting)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=23_000)
    parser.add_argument("--devices", type=int, default=69_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="last line: one JSON object")
    options = parser.parse_args()
    users, devices = options.users, options.devices
    seconds, to_202, rss, dead = [], [], [], []
    for run in range(options.runs):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            stage.fill(folder / "force.db", users, devices, random.Random(options.seed + run), pending=False)
            with (
                stage.sink(folder, cpu=1) as (port, ca),
                stage.node(folder, folder / "force.db", port, ca, cpu=0) as node,
            ):
                durable, total = measure(node, users, devices)
                metrics = node.metrics()
                rss.append(node.rss_mb())
            seconds.append(total)
            to_202.append(durable)
            dead.append(int(metrics.get('feierabend_lane_answers_total{app="ios",reason="Unregistered"}', 0)))
    median = statistics.median(seconds)
    figures: dict[str, object] = {
        "users": users,
        "devices": devices,
        "runs": options.runs,
        "seconds": round(median, 2),
        "seconds_all": [round(value, 2) for value in seconds],
        "seconds_to_202": round(statistics.median(to_202), 3),
        "wakeups_per_s": round(devices / median),
        "rss_mb": max(rss),
        "dead_expected": devices // 1000,
        "dead_booked": round(statistics.median(dead)),
    }
    say({**figures, **surroundings(options.seed)}, as_json=options.json)


if __name__ == "__main__":
    main()
