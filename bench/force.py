"""Wake the force: one POST for everybody, durable, to the last verdict booked.

The relay runs in a process of its own on one core, the fast sink on another (answers at once, every 1,000th is 410).
Measured from the first byte of the POST to the moment at which nothing is queued, in flight or unbooked any more, as
the relay's metrics tell it (looked at every 50 ms towards the end). Real life adds the provider's answer time once.

    python -m bench.force [--users 23000] [--devices 69000] [--runs 5] [--store postgres] [--json]
    python -m bench.force --url http://127.0.0.1:8080 --key … --ops http://127.0.0.1:9090
"""

from __future__ import annotations

import argparse
import statistics
import time

from bench import running, stage
from bench.report import say, surroundings
from bench.scene import add_store, scene
from relay.client import Client

LOOK = 0.05
"""Seconds between two looks at the metrics, each of which costs the relay about 1.5 ms; five times as long at first."""
LATE = 0.75
"""Part of the answers that have come by the end of that."""


def measure(node: stage.Node, users: int, devices: int) -> tuple[float, float]:
    """(seconds to the 202, seconds to the last verdict)."""
    names = [stage.user_id(number) for number in range(users)]
    before = _answers(node, node.metrics())
    with Client(node.url, node.key, timeout=30) as client:
        began = time.perf_counter()
        taken = client.wake(names)
        durable = time.perf_counter() - began
    assert taken.accepted == users, taken
    while _answers(node, node.metrics()) < before + LATE * devices:
        time.sleep(5 * LOOK)
    while not _is_done(node, before + devices):
        time.sleep(LOOK)
    return durable, time.perf_counter() - began


def _answers(node: stage.Node, metrics: dict[str, float]) -> float:
    told = f'feierabend_lane_answers_total{{app="{node.app}"'
    return sum(value for name, value in metrics.items() if name.startswith(told))


def _dead(node: stage.Node) -> int:
    return int(node.metrics().get(f'feierabend_lane_answers_total{{app="{node.app}",reason="Unregistered"}}', 0))


def _is_done(node: stage.Node, answers: float) -> bool:
    metrics, lane = node.metrics(), f'{{app="{node.app}"}}'
    waiting = (f"feierabend_lane_queued{lane}", f"feierabend_lane_in_flight{lane}", "feierabend_verdicts_waiting")
    # Accepted answers are told in steps of 20.
    return _answers(node, metrics) > answers - 20 and not any(metrics.get(name) for name in waiting)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=23_000)
    parser.add_argument("--devices", type=int, default=69_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="last line: one JSON object")
    add_store(parser)
    running.add_options(parser)
    options = parser.parse_args()
    users, devices = options.users, options.devices
    seconds, to_202, rss, dead, cpu = [], [], [], [], list[float]()
    for run in range(options.runs):
        with scene(options, stage.phones(users, devices), options.seed + run, store=options.store) as place:
            already, used = _dead(place.node), place.node.cpu_seconds()
            durable, total = measure(place.node, users, devices)
            dead.append(_dead(place.node) - already)
            rss.append(place.node.rss_mb())
            if used is not None:
                cpu.append((place.node.cpu_seconds() or used) - used)
        seconds.append(total)
        to_202.append(durable)
    median = statistics.median(seconds)
    figures: dict[str, object] = {
        "users": users,
        "devices": devices,
        "runs": options.runs,
        "store": options.store if place.is_ours else None,
        "seconds": round(median, 2),
        "seconds_all": [round(value, 2) for value in seconds],
        "seconds_to_202": round(statistics.median(to_202), 3),
        "wakeups_per_s": round(devices / median),
        "relay_cpu_s": round(statistics.median(cpu), 2) if cpu else None,
        "resting": 0,
        "rss_mb": rss[-1],
        "dead_expected": devices // 1000 if place.is_ours else None,
        "dead_booked": round(statistics.median(dead)),
    }
    say({**figures, **surroundings(options.seed)}, as_json=options.json)


if __name__ == "__main__":
    main()
