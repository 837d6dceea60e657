"""SQLite and PostgreSQL side by side: the same store's work, and the same relay's, on one disk, in turns.

The store alone, in this process: a batch as the journal commits it that accepts events for so many people (a slot
each, and the books), and one that settles them: nine of ten slots go, for their wakeup was taken, and one stays, for
another device of its owner's. Each commit is awaited, as the journal does. Then the whole way, each time with a new
relay on a new store: events through the door as `ingest` sends them, and one POST for everybody as in `force`.

The relay has core 0. Whatever else there is shares core 1: the script, the fast sink, and PostgreSQL, which an
installation would not put beside them, nor on the machine of the relay at all. So PostgreSQL looks slower here than it
is, by what the script and the sink take; and faster, by the way through a network. Where the store is measured alone,
the script has core 0 and PostgreSQL core 1. It runs as installed, but for 256 MB of shared buffers; nothing is relaxed.

    python -m bench.store [--runs 5] [--users 23000] [--devices 69000] [--seconds 4] [--json]
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench import door, force, ingest, stage
from bench.report import say, surroundings
from bench.scene import POSTGRES, RELAY_CPU, SQLITE, STORES, Scene, scene, stored
from relay.core.batch import Batch
from relay.core.books import Account
from relay.core.events import NEVER
from relay.core.private import Private, UserKey
from relay.core.pseudonym import Pseudonyms
from relay.core.slots import Slot
from relay.store.port import Store
from relay.store.postgres import PostgresStore
from relay.store.sqlite import SqliteStore

SIZES = (1, 50, 500, 5_000)
"""People of a batch."""
BATCHES = {1: 100, 50: 60, 500: 20, 5_000: 4}
"""Of each size in a run."""
STAYS = 10
"""One of so many slots is still owed to another device when a batch is settled."""
CLASS = "message"
SPREAD = tuple(f"{kind}_{figure}" for kind in STORES for figure in ("per_s", "force_s"))
"""Told for each run as well."""

Figures = dict[str, list[float]]


class Alone:
    """A store that commits what it is told, in this thread."""

    def __init__(self, store: Store, users: Sequence[UserKey], rng: random.Random) -> None:
        loaded = store.load()
        self.store, self._users, self._rng = store, users, rng
        self._epoch, self._generation = loaded.epoch, loaded.generation
        self._account = Account()

    def run(self, size: int, batches: int) -> tuple[float, float]:
        """(seconds of a batch that accepts, seconds of one that settles), medians."""
        accepts, settles = [], []
        for _ in range(batches):
            users = self._rng.sample(self._users, size)
            accepts.append(self._timed(self._accepted(users)))
            settles.append(self._timed(self._settled(users)))
        return statistics.median(accepts), statistics.median(settles)

    def _timed(self, batch: Batch) -> float:
        began = time.perf_counter()
        self.store.commit(batch)
        return time.perf_counter() - began

    def _accepted(self, users: Sequence[UserKey]) -> Batch:
        self._account.accepted += len(users)
        batch = self._batch()
        for user in users:
            self._generation += 1
            batch.slots[(user, CLASS)] = _slot(self._generation, batch.now)
        batch.generation = self._generation
        return batch

    def _settled(self, users: Sequence[UserKey]) -> Batch:
        self._account.woken += len(users)
        batch = self._batch()
        batch.slots = {(user, CLASS): None if n % STAYS else _slot(n, batch.now) for n, user in enumerate(users, 1)}
        return batch

    def _batch(self) -> Batch:
        accounts = {(stage.TENANT, CLASS): self._account}
        return Batch(time.time(), self._epoch, accounts=accounts, generation=self._generation)


def _slot(generation: int, now: float) -> Slot:
    return Slot(generation, generation, 1, 0, now, now, now, NEVER, now)


@contextmanager
def opened(kind: str, users: int) -> Iterator[Store]:
    """A new store that knows so many people."""
    with tempfile.TemporaryDirectory() as name, stored(Path(name), kind) as (place, _):
        stage.fill(place, [[]] * users)
        store: Store = SqliteStore(place) if isinstance(place, Path) else PostgresStore(place)
        try:
            yield store
        finally:
            store.close()


def alone(users: int, runs: int, seed: int, found: Figures) -> None:
    """Both stores in turns, each size in turn."""
    names = Pseudonyms(stage.MASTER, stage.TENANT)
    keys = [names.user(Private(stage.user_id(number)).reveal()) for number in range(users)]
    before = os.sched_getaffinity(0)
    with opened(SQLITE, users) as sqlite, opened(POSTGRES, users) as postgres:
        os.sched_setaffinity(0, {RELAY_CPU})
        stores = {kind: Alone(s, keys, random.Random(seed)) for kind, s in zip(STORES, (sqlite, postgres), strict=True)}
        for _ in range(runs):
            for size in SIZES:
                if size > users:
                    continue
                for kind, store in stores.items():
                    accepts, settles = store.run(size, BATCHES[size])
                    found[f"store_{kind}_accepts_per_s_{size}"].append(size / accepts)
                    found[f"store_{kind}_settles_per_s_{size}"].append(size / settles)
        os.sched_setaffinity(0, before)


class Used:
    """CPU of the relay and of PostgreSQL's server since it was made."""

    def __init__(self, place: Scene) -> None:
        self._place = place
        self._relay, self._server = self._now()

    def note(self, found: Figures, kind: str, unit: str, count: float) -> None:
        relay, server = self._now()
        found[f"{kind}_relay_us_per_{unit}"].append((relay - self._relay) / count * 1e6)
        if kind == POSTGRES:
            found[f"{kind}_server_us_per_{unit}"].append((server - self._server) / count * 1e6)

    def _now(self) -> tuple[float, float]:
        server = self._place.server
        return self._place.node.cpu_seconds() or 0.0, server.cpu_seconds() if server is not None else 0.0


def through_the_door(place: Scene, users: int, seconds: float, rng: random.Random, found: Figures, kind: str) -> None:
    one, many = ingest.singles(place.node.key, users, rng), ingest.batches(place.node.key, users, rng)
    address = door.address(place.node.url)
    ingest.load(address, one, 64, min(1.0, seconds))
    used = Used(place)
    single, _ = ingest.load(address, one, 64, seconds)
    used.note(found, kind, "single", single * seconds)
    used = Used(place)
    batches, _ = ingest.load(address, many, 8, seconds)
    used.note(found, kind, "event", batches * ingest.BATCH * seconds)
    found[f"{kind}_single_per_s"].append(single)
    found[f"{kind}_per_s"].append(batches * ingest.BATCH)


def everybody(place: Scene, users: int, devices: int, found: Figures, kind: str) -> None:
    used = Used(place)
    durable, total = force.measure(place.node, users, devices)
    used.note(found, kind, "wakeup", devices)
    found[f"{kind}_force_s"].append(total)
    found[f"{kind}_force_s_to_202"].append(durable)


def whole(options: argparse.Namespace, found: Figures) -> None:
    users, devices = options.users, options.devices
    phones = stage.phones(users, devices)
    for run in range(options.runs):
        seed = options.seed + run
        for kind in STORES:
            with scene(options, phones, seed, rest_end=ingest.every_other, store=kind) as place:
                through_the_door(place, users, options.seconds, random.Random(seed), found, kind)
            with scene(options, phones, seed, store=kind) as place:
                everybody(place, users, devices, found, kind)


def told(values: Sequence[float]) -> float:
    """The median, rounded as its size deserves."""
    median = statistics.median(values)
    return round(median) if median >= 100 else round(median, 3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--users", type=int, default=23_000)
    parser.add_argument("--devices", type=int, default=69_000)
    parser.add_argument("--seconds", type=float, default=4.0, help="of batches through the door, in each run")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=("store", "relay"), help="half of it")
    parser.add_argument("--json", action="store_true", help="last line: one JSON object")
    options = parser.parse_args()
    options.url = options.key = options.ops = None
    found: Figures = defaultdict(list)
    if options.only != "relay":
        alone(options.users, options.runs, options.seed, found)
    if options.only != "store":
        whole(options, found)
    figures: dict[str, object] = {
        "users": options.users,
        "devices": options.devices,
        "runs": options.runs,
        **{name: told(values) for name, values in sorted(found.items())},
        **{f"{name}_all": [told([value]) for value in found[name]] for name in SPREAD if name in found},
        "load_average": round(os.getloadavg()[0], 1),
    }
    say({**figures, **surroundings(options.seed)}, as_json=options.json)


if __name__ == "__main__":
    main()
