"""Whether the relay is after hours what it was after minutes: memory, descriptors, tasks, the database, latency.

It gets a steady mixture (mixture.py): single events and batches, alarms, `seen`, phones that come and go, rests that
are written and end; its feedback is waited for all the time, and phones that have died, one wakeup of 500, are
registered anew, as an app would do. The load comes in portions of some seconds, each on new connections; after each of
them a sample is taken. Posts count from their planned instants (door.py).

Compared are the last tenth of the samples and the second one: in the first one everybody is woken for the first time.
Exits with 1 when memory, descriptors or tasks have grown by more than a twentieth and a bit, and memory by a kilobyte
for each alarm (its Idempotency-Key is remembered for a day); when the log of the database is larger than its limits
allow; at an answer that there should not be; or when the books do not balance in the database that is left
(`objections`).

    python -m bench.soak [--minutes 10] [--users 23000] [--devices 69000] [--json]
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench import door, mixture, stage
from bench.report import in_ms, say, surroundings
from bench.scene import OTHERS_CPU, RELAY_CPU
from relay.client import Client
from relay.core.books import Books
from relay.doors.keys import digest_of
from relay.store.sqlite import LARGEST_WAL, SqliteStore

CONNECTIONS = 32
POSTED = 0.95
"""Part of a portion in which something is posted; the rest is for the sample."""
PATIENCE = 1.0
"""Seconds for the relay to notice that a connection was closed."""
DEAD_EVERY = 500
POLL = 5.0
"""Seconds for which feedback is waited for."""
GROWTH = 0.05
BIT = {"rss_mb": 8.0, "descriptors": 16.0, "tasks": 50.0}
"""What each may grow by besides. While much is queued a lane opens seven connections more, each with some tasks."""
REMEMBERED_MB = 0.001
"""For an Idempotency-Key and its receipt, which are kept for a day: half of it, and as much for the allocator."""
ONE_COMMIT = 8 * 2**20
"""Bytes by which a commit may exceed the limit of the log before it is moved."""
MB = 2**20


@dataclass(frozen=True, slots=True)
class Sample:
    """The relay after a portion."""

    rss_mb: float
    descriptors: float
    tasks: float
    database_bytes: int
    wal_bytes: int


@dataclass(slots=True)
class Record:
    """What was posted and answered. Latencies of the first and the last tenth of the time only: it may be long."""

    posted: Counter[str] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)
    """Answers that there should not be, by kind and status."""
    first: dict[str, list[float]] = field(default_factory=dict)
    last: dict[str, list[float]] = field(default_factory=dict)
    samples: list[Sample] = field(default_factory=list)

    def note(self, posts: Sequence[mixture.Post], answers: Sequence[door.Answer], number: int, portions: int) -> None:
        """A portion, and which one of how many it was."""
        kept = self.first if 10 * number < portions else self.last if 10 * (number + 1) > 9 * portions else {}
        for post, answer in zip(posts, answers, strict=True):
            self.posted[post.kind] += 1
            if answer.status not in mixture.KINDS[post.kind].good:
                self.wrong[f"{post.kind}: {answer.status}"] += 1
            kept.setdefault(post.kind, []).append((answer.at - post.instant) / 1e6)


def tenth(samples: Sequence[Sample], number: int) -> Sequence[Sample]:
    """One of ten parts, from 0 to 9; never empty when there are two samples."""
    edges = [len(samples) * edge // 10 for edge in (number, number + 1)]
    return samples[edges[0] : max(edges[1], edges[0] + 1)]


def middle(samples: Sequence[Sample], name: str) -> float:
    values: list[float] = [getattr(sample, name) for sample in samples]
    return statistics.median(values)


def objections(samples: Sequence[Sample], wrong: Mapping[str, int], alarms: int = 0) -> list[str]:
    """What is not as it should be, after so many alarms in all."""
    found = [f"{count} answers that there should not be, to {what}" for what, count in wrong.items()]
    before, after = tenth(samples, 1), tenth(samples, 9)
    for name, bit in BIT.items():
        was, is_now = middle(before, name), middle(after, name)
        remembered = 0.8 * alarms * REMEMBERED_MB if name == "rss_mb" else 0.0
        if is_now > was * (1 + GROWTH) + bit + remembered:
            found.append(f"{name} has grown from {was:g} to {is_now:g}")
    largest = max(sample.wal_bytes for sample in samples)
    if largest > LARGEST_WAL + ONE_COMMIT:
        found.append(f"the log of the database had {largest} bytes")
    return found


def sample(node: stage.Node, database: Path) -> Sample:
    """What it is when the connections of the portion are closed: it takes the relay a moment to hear of that."""
    until = time.monotonic() + PATIENCE
    while (metrics := node.metrics())["feierabend_door_connections"] > 1 and time.monotonic() < until:
        time.sleep(0.02)
    process = Path(f"/proc/{node.pid}")
    pages = int((process / "statm").read_text().split()[1])
    log = Path(f"{database}-wal")
    return Sample(
        round(pages * os.sysconf("SC_PAGE_SIZE") / MB, 1),
        len(list((process / "fd").iterdir())),
        metrics["feierabend_tasks"],
        database.stat().st_size,
        log.stat().st_size if log.exists() else 0,
    )


def unbalanced(database: Path) -> int:
    """Accounts of a database, which nobody uses any more, that do not balance."""
    store = SqliteStore(database)
    loaded = store.load()
    store.close()
    pending: Counter[tuple[str, str]] = Counter()
    for (_user, name), slot in loaded.slots.items():
        pending[(stage.TENANT, name)] += slot.n
    return len(Books(loaded.accounts).balance(pending))


@contextmanager
def feedback(node: stage.Node, rng: random.Random) -> Iterator[Callable[[], int]]:
    """Somebody who waits for feedback and registers anew who has died; tells how many those were."""
    stop = threading.Event()
    found = 0

    def poll() -> None:
        nonlocal found
        after = 0
        with Client(node.url, node.key, timeout=30) as client:
            while not stop.is_set():
                told = client.feedback(after, POLL if after else 0)
                after = told.after
                for gone in told.devices:
                    if gone.why != "dead":
                        continue  # an app that registered what was evicted or has moved would evict and move another
                    found += 1
                    client.put_device(
                        gone.user, gone.device, platform="apns", app=node.app, token=stage.apns_token(rng)
                    )

    with ThreadPoolExecutor(1) as aside:
        polling = aside.submit(poll)
        try:
            yield lambda: found
        finally:
            stop.set()
            polling.result()


def soak(node: stage.Node, database: Path, options: argparse.Namespace) -> Record:
    """Portion after portion, each with a sample at its end."""
    rng, record, address = random.Random(options.seed), Record(), door.address(node.url)
    portions = max(2, round(options.minutes * 60 / options.every))
    began = time.monotonic_ns()
    for number in range(portions):
        crowd = mixture.Crowd(options.users, rng, time.time())
        start = began + round(number * options.every * 1e9)
        posts = mixture.portion(crowd, start, options.every * POSTED, options.force)
        answers = door.play(address, [post.request for post in posts], [post.instant for post in posts], CONNECTIONS)
        record.note(posts, answers, number, portions)
        record.samples.append(sample(node, database))
    return record


def told(record: Record, died: int) -> dict[str, object]:
    """The figures."""
    samples, figures = record.samples, dict[str, object]()
    for name in BIT:
        figures |= {f"{name}_second_tenth": middle(tenth(samples, 1), name)}
        figures |= {f"{name}_last_tenth": middle(tenth(samples, 9), name)}
    figures |= {
        "rss_mb_by_tenth": [middle(tenth(samples, number), "rss_mb") for number in range(10)],
        "database_mb_first": round(samples[0].database_bytes / MB, 1),
        "database_mb_last": round(samples[-1].database_bytes / MB, 1),
        "wal_mb_most": round(max(each.wal_bytes for each in samples) / MB, 1),
    }
    for kind in ("events", "alarms", "rests"):
        for percent in (50, 99):
            for when, kept in (("first", record.first), ("last", record.last)):
                figures[f"{kind}_p{percent}_ms_{when}_tenth"] = in_ms(kept.get(kind, []), percent)
    return {**figures, "samples": len(samples), "posted": dict(record.posted), "died": died}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--every", type=float, default=5.0, help="seconds of a portion")
    parser.add_argument("--force", type=float, default=1.0, help="times the usual load, 266 requests a second")
    parser.add_argument("--users", type=int, default=23_000)
    parser.add_argument("--devices", type=int, default=69_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="last line: one JSON object")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    roster = f'[[tenants.keys]]\nid = "{mixture.ROSTER}"\nscopes = ["rest"]\n'
    roster += f'sha256 = "{digest_of(mixture.ROSTER_SECRET.encode()).hex()}"\n'
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        database = folder / "soak.db"
        stage.fill(
            database, stage.new_tokens(stage.phones(options.users, options.devices), random.Random(options.seed))
        )
        with (
            stage.sink(folder, "--dead-every", str(DEAD_EVERY), cpu=OTHERS_CPU) as (port, ca),
            stage.node(folder, database, port, ca, cpu=RELAY_CPU, more=roster) as node,
            feedback(node, random.Random(f"{options.seed} anew")) as died,
        ):
            record = soak(node, database, options)
        found = objections(record.samples, record.wrong, record.posted["alarms"])
        if accounts := unbalanced(database):
            found.append(f"{accounts} accounts do not balance")
    figures = {"minutes": options.minutes, "users": options.users, "devices": options.devices, "force": options.force}
    figures |= {**told(record, died()), "objections": found, "load_average": os.getloadavg()}
    say({**figures, **surroundings(options.seed)}, as_json=options.json)
    if found:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
