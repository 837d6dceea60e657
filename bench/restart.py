"""How soon after a crash the first wakeup leaves: 23,000 slots are pending, and the relay is killed.

A relay whose provider cannot be reached accepts one event for everybody and is killed with SIGKILL. Then it is started
again, with a provider: measured from the start of the process to the moment at which the fast sink has read the first
wakeup's last byte, and the last one's. In between lie Python's imports, the log of the database, everybody's records,
listening, TLS. Every phone must be woken (`missing` 0). Real life adds the provider's distance, once.

    python -m bench.restart [--users 23000] [--devices 69000] [--runs 5] [--json]
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from bench import stage
from bench.ports import free_port
from bench.report import say, surroundings
from bench.scene import OTHERS_CPU, RELAY_CPU
from bench.stamps import Arrivals
from relay.client import Client


@dataclass(frozen=True, slots=True)
class Restart:
    """Seconds since the start of the process."""

    first: float
    last: float
    missing: int


def crash(folder: Path, database: Path, ca: Path, users: int) -> None:
    """Leave a slot for everybody behind, in a database that nobody has closed."""
    with stage.node(folder, database, free_port(), ca, cpu=RELAY_CPU, sends=False) as node:
        with Client(node.url, node.key, timeout=30) as client:
            taken = client.wake([stage.user_id(number) for number in range(users)])
        assert taken.accepted == users, taken
        assert node.pid is not None
        os.kill(node.pid, signal.SIGKILL)


def measure(folder: Path, tokens: stage.Tokens) -> Restart:
    database, noted = folder / "restart.db", folder / "stamps"
    stage.fill(database, tokens)
    with stage.sink(folder, "--dead-every", "0", "--stamps", str(noted), cpu=OTHERS_CPU) as (port, ca):
        crash(folder, database, ca, len(tokens))
        arrivals = Arrivals(noted)
        began = time.monotonic_ns()
        with stage.node(folder, database, port, ca, cpu=RELAY_CPU):
            phones = [token for mine in tokens for token in mine]
            arrivals.wait(len(phones))
    found = [arrivals.first_after(token, began) for token in phones]
    woken = [(at - began) / 1e9 for at in found if at is not None]
    if not woken:
        raise SystemExit("nobody was woken")
    return Restart(min(woken), max(woken), len(phones) - len(woken))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=23_000)
    parser.add_argument("--devices", type=int, default=69_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="last line: one JSON object")
    options = parser.parse_args()
    runs: list[Restart] = []
    for run in range(options.runs):
        with tempfile.TemporaryDirectory() as name:
            rng = random.Random(options.seed + run)
            runs.append(measure(Path(name), stage.new_tokens(stage.phones(options.users, options.devices), rng)))
    figures: dict[str, object] = {
        "users": options.users,
        "devices": options.devices,
        "runs": options.runs,
        "first_wakeup_s": round(statistics.median(run.first for run in runs), 2),
        "first_wakeup_s_all": [round(run.first, 2) for run in runs],
        "last_wakeup_s": round(statistics.median(run.last for run in runs), 2),
        "missing": sum(run.missing for run in runs),
    }
    say({**figures, **surroundings(options.seed)}, as_json=options.json)


if __name__ == "__main__":
    main()
