"""Where the limit lies: wakeups per second of our lane over streams, connections and the provider's answer time.

Each point is the relay in this process on a SQLite file with one pending slot per user, as in bench.send, against the
fast sink in a process of its own, which allows so many streams and says everything so much later. Counted are accepted
verdicts in a window of time that begins when connections are open and have been answered.

Beside it stands Little's law, streams x connections / answer time, which no sender can exceed; and the same for what is
open to messages: of several connections one is kept for alarms, and of each one's streams every twentieth. Where the
figure is near that, the window of streams is the limit, and more connections help; where it is not, and the thread that
sends has had something to do all the time, the wire is (with all that a wakeup costs: gate, token, verdict). At an
answer time of 0 there is no law: what is left is the way there and back through both processes.

`limit`: "streams", "wire" or "elsewhere" (the sink, which is Python too). `core`: part of one core that this process
used; `wanted`: part of the time in which the sending thread ran or waited for a core, so that others on the machine,
who take the cores away, do not make the wire look idle. `cpu_us`: CPU time of this process for one wakeup.

    python -m bench.curves [--streams 1 10 100 1000] [--connections 1 2 4 8] [--latency-ms 0 10 40 100 400]
                           [--seconds 1.5] [--plot FILE] [--json]
"""

from __future__ import annotations

import argparse
import logging
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import structlog
import trio

from bench import stage
from bench.plot import Curve, Panel, svg
from bench.report import say, surroundings
from bench.send import apns_app, configuration
from relay import process
from relay.clock import WallClock
from relay.config import Config
from relay.service import Relay
from relay.store.sqlite import SqliteStore

FASTEST = 35_000
"""Wakeups a second, more than bench.send has found: so many wait that a window is seldom over before its time."""
QUICKEST_MS = 1.0
"""An answer time that few streams do not undercut. Where one does, the window is over before its time: no harm."""
KEPT = 20
"""Of so many streams one is for alarms (relay/lanes/session.py)."""
NEAR = 0.75
"""Part of what the streams allow, from which on they are the limit."""
BUSY = 0.8
"""Part of a core, from which on the wire is."""
WARM = 0.3
"""Seconds until connections are open; and three answers."""
ANSWERS = 6
"""A window is at least so many answer times long."""
SIZES = (600, 6_000, 60_000)
"""Wakeups of the stores that are filled, once each."""
PHONES = 3


@dataclass(frozen=True, slots=True)
class Point:
    streams: int
    connections: int
    latency_ms: float
    per_s: float
    little_per_s: float | None
    """None: there is no law without an answer time."""
    open_per_s: float | None
    """The same for what is open to messages."""
    core: float
    wanted: float
    cpu_us: float | None
    limit: str


@dataclass(frozen=True, slots=True)
class Window:
    """What happened in a window of time: seconds, but for `accepted`."""

    accepted: int
    wall: float
    cpu: float
    busy: float
    """The sending thread ran, or waited for a core."""


def open_streams(streams: int, connections: int) -> int:
    """How many messages may be in flight at a time."""
    return max(1, connections - 1) * (streams - streams // KEPT)


def point(streams: int, connections: int, latency_ms: float, seen: Window) -> Point:
    """A figure, with what it could be and what keeps it from that."""
    latency = latency_ms / 1000
    per_s, wanted = seen.accepted / seen.wall, seen.busy / seen.wall
    little = streams * connections / latency if latency else None
    could = open_streams(streams, connections) / latency if latency else None
    return Point(
        streams, connections, latency_ms, round(per_s, 1),
        little_per_s=None if little is None else round(little, 1),
        open_per_s=None if could is None else round(could, 1),
        core=round(seen.cpu / seen.wall, 2),
        wanted=round(wanted, 2),
        cpu_us=round(1e6 * seen.cpu / seen.accepted, 1) if seen.accepted else None,
        limit="streams" if could and per_s >= NEAR * could else "wire" if wanted >= BUSY else "elsewhere",
    )  # fmt: skip


def size_for(streams: int, connections: int, latency_ms: float, seconds: float) -> int:
    """Wakeups that last for the window, by the smallest store that has them."""
    most = min(FASTEST, round(1000 * open_streams(streams, connections) / max(latency_ms, QUICKEST_MS)))
    needed = most * (seconds + WARM + 4 * latency_ms / 1000)
    return next((size for size in SIZES if size >= needed), SIZES[-1])


async def window(config: Config, wakeups: int, latency: float, seconds: float) -> Window:
    """What happens while all goes its way."""
    store = SqliteStore(config.store.file)
    relay = Relay(config, store, WallClock())
    stop = trio.Event()
    async with trio.open_nursery() as nursery:
        await nursery.start(relay.run, stop)
        process.settle()

        def now() -> Window:
            accepted = relay.pool.statistics()[0].accepted
            return Window(accepted, time.perf_counter(), time.process_time(), _busy())

        await trio.sleep(WARM + 3 * latency)
        begun = seen = now()
        while seen.wall < begun.wall + seconds and seen.accepted < wakeups:
            await trio.sleep(0.01)
            seen = now()
        stop.set()
    if relay.people.books.balance(relay.people.pending()):
        raise SystemExit("the books do not balance")
    store.close()
    return Window(seen.accepted - begun.accepted, seen.wall - begun.wall, seen.cpu - begun.cpu, seen.busy - begun.busy)


def _busy() -> float:
    """Seconds for which this thread has run or waited for a core (Linux: Documentation/scheduler/sched-stats)."""
    ran, waited, _ = Path("/proc/thread-self/schedstat").read_text().split()
    return (int(ran) + int(waited)) / 1e9


def measured(folder: Path, filled: Path, wakeups: int, seconds: float, at: tuple[int, int, float]) -> Point:
    streams, connections, latency_ms = at
    path = folder / "relay.db"
    for old in folder.glob("relay.db*"):
        old.unlink()
    shutil.copy(filled, path)
    told = ("--streams", str(streams), "--latency-ms", str(latency_ms), "--dead-every", "0")
    with stage.sink(folder, *told) as (port, ca):
        app = replace(apns_app(port, ca), connections=connections, most_connections=connections)
        found = trio.run(window, configuration(path, app), wakeups, latency_ms / 1000, seconds)
    return point(streams, connections, latency_ms, found)


def filled(folder: Path, wakeups: int, rng: random.Random) -> Path:
    path = folder / f"{wakeups}.db"
    if not path.exists():
        stage.fill(path, stage.new_tokens(stage.phones(wakeups // PHONES, wakeups), rng), pending=True)
    return path


def plotted(points: Sequence[Point], title: str) -> str:
    """A panel for each number of connections, a curve for each answer time, over streams."""
    panels = []
    for connections in sorted({p.connections for p in points}):
        curves = []
        for latency_ms in sorted({p.latency_ms for p in points}):
            of = [p for p in points if (p.connections, p.latency_ms) == (connections, latency_ms)]
            curves.append(Curve(f"{latency_ms:g} ms", [(p.streams, p.per_s, p.little_per_s) for p in of]))
        panels.append(Panel(f"{connections} connection{'s' if connections > 1 else ''}", curves))
    return svg(title, "streams per connection", "wakeups per second", panels)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 10, 100, 1000])
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--latency-ms", type=float, nargs="+", default=[0.0, 10.0, 40.0, 100.0, 400.0])
    parser.add_argument("--seconds", type=float, default=1.5, help="of each point; longer where answers take long")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="write the curves as SVG")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="last line: one JSON object")
    options = parser.parse_args()
    if min(options.streams) < 1 or max(options.streams) > 1000 or not min(options.connections) >= 1:
        parser.error("streams must be 1 to 1000, and connections at least 1")
    if max(options.connections) > 16 or min(options.latency_ms) < 0 or options.seconds <= 0:
        parser.error("connections must be at most 16, latencies not below 0, and seconds more than that")
    return options


def main() -> None:
    options = arguments()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    points = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for connections in sorted(options.connections):
            for latency_ms in sorted(options.latency_ms):
                for streams in sorted(options.streams):
                    seconds = max(options.seconds, ANSWERS * latency_ms / 1000)
                    wakeups = size_for(streams, connections, latency_ms, seconds)
                    source = filled(folder, wakeups, random.Random(options.seed))
                    found = measured(folder, source, wakeups, seconds, (streams, connections, latency_ms))
                    points.append(found)
                    law = "-" if found.little_per_s is None else f"{found.little_per_s:,.0f}"
                    sys.stdout.write(
                        f"{connections:>3} connections {latency_ms:>5g} ms {streams:>5} streams "
                        f"{found.per_s:>9,.0f}/s  law {law:>9}  core {found.core:.2f}  wanted {found.wanted:.2f}  "
                        f"{found.limit}\n"
                    )
                    sys.stdout.flush()
    facts = surroundings(options.seed)
    load = round(os.getloadavg()[0], 1)
    if options.plot is not None:
        day = datetime.now(UTC).date().isoformat()
        told = f"Our lane for APNs: commit {facts['commit']}, {day}, {facts['cores']} cores, load {load}"
        options.plot.write_text(plotted(points, told), "utf-8")
    most = max(points, key=lambda p: p.per_s)
    figures: dict[str, object] = {"seconds": options.seconds, "most_per_s": most.per_s, "load_1m": load}
    say({**figures, **facts, "points": [asdict(p) for p in points]}, as_json=options.json)


if __name__ == "__main__":
    main()
