"""What people cost: memory, database and start of a relay that knows ever more of them.

Each has three phones and rests, so that one event for everybody leaves a slot for everybody, with a rest table
compiled, and nothing is sent. Measured are a relay that has just started, the same one with all these slots, and one
that starts with them. The figures for one person are slopes, from the smallest number of people to the largest: what
the relay takes without anybody is not in them.

    python -m bench.scale [--users 23000 100000 300000] [--store postgres] [--json]
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import psycopg

from bench import stage
from bench.backup import stage_ca, tomorrow
from bench.ports import free_port
from bench.report import say, surroundings
from bench.scene import RELAY_CPU, add_store, pinned, stored
from relay.client import Client

PIECE = 25_000
"""Recipients of one request, the most the door takes."""


@dataclass(frozen=True, slots=True)
class Cost:
    users: int
    start_s: float
    """From the start of the process to its being ready."""
    rss_mb: int
    database_mb: float
    pending_rss_mb: int
    """With a slot for each."""
    pending_database_mb: float
    pending_start_s: float
    """Of the next one, with these slots."""


def measure(users: int, devices: int, store: str, seed: int) -> Cost:
    with tempfile.TemporaryDirectory() as name, stored(Path(name), store) as (place, _):
        folder = Path(name)
        stage.fill(place, stage.new_tokens([devices] * users, random.Random(seed)), rest_end=tomorrow)
        ca = stage_ca(folder)
        filled = _megabytes(place)
        began = time.perf_counter()
        with stage.node(folder, place, free_port(), ca, cpu=RELAY_CPU, sends=False) as node, pinned():
            start, rss = time.perf_counter() - began, node.rss_mb()
            with Client(node.url, node.key, timeout=60) as client:
                for first in range(0, users, PIECE):
                    client.wake([stage.user_id(number) for number in range(first, min(first + PIECE, users))])
            pending_rss = node.rss_mb()
        pending = _megabytes(place)
        began = time.perf_counter()
        with stage.node(folder, place, free_port(), ca, cpu=RELAY_CPU, sends=False):
            again = time.perf_counter() - began
    assert rss is not None
    assert pending_rss is not None
    return Cost(users, round(start, 2), rss, filled, pending_rss, pending, round(again, 2))


def _megabytes(place: stage.Place) -> float:
    """Of the file and its log, or of the schema."""
    if isinstance(place, Path):
        size = sum(part.stat().st_size for part in place.parent.glob(f"{place.name}*"))
    else:
        with psycopg.connect(place) as db:
            tables = "SELECT oid FROM pg_class WHERE relnamespace = 'feierabend'::regnamespace AND relkind = 'r'"
            (size,) = db.execute(f"SELECT sum(pg_total_relation_size(oid)) FROM ({tables}) t").fetchone() or (0,)
    return round(float(size) / 2**20, 1)


def slopes(few: Cost, many: Cost) -> dict[str, float]:
    """For each more of them."""
    more = many.users - few.users

    def each(name: str, unit: float) -> float:
        return float(getattr(many, name) - getattr(few, name)) / more * unit

    return {
        "memory_bytes_per_user": round(each("rss_mb", 2**20)),
        "memory_bytes_per_user_pending": round(each("pending_rss_mb", 2**20)),
        "database_bytes_per_user": round(each("database_mb", 2**20)),
        "database_bytes_per_user_pending": round(each("pending_database_mb", 2**20)),
        "start_s_per_100000": round(each("start_s", 1e5), 2),
        "start_s_per_100000_pending": round(each("pending_start_s", 1e5), 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, nargs="+", default=[23_000, 100_000, 300_000])
    parser.add_argument("--devices", type=int, default=3, help="of each")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="last line: one JSON object")
    add_store(parser)
    options = parser.parse_args()
    found = [measure(users, options.devices, options.store, options.seed) for users in sorted(options.users)]
    figures: dict[str, object] = {
        "store": options.store,
        "devices_per_user": options.devices,
        "steps": [asdict(cost) for cost in found],
        **(slopes(found[0], found[-1]) if len(found) > 1 else {}),
    }
    say({**figures, **surroundings(options.seed)}, as_json=options.json)


if __name__ == "__main__":
    main()
