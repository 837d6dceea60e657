"""A contest: several ways to send wakeups, in turns within one run, so that a ratio compares neighbours in time.

A *contender* sends so many wakeups and says what that took. In each round every contender has this process to itself in
its turn. The garbage collector is set as for the relay, which helps the others too.
"""

from __future__ import annotations

import argparse
import random
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.report import say, surroundings
from relay import process
from relay.ops import logs


@dataclass(frozen=True, slots=True)
class Sent:
    """So many wakeups, and what they took of the clock and of the processor, in seconds."""

    wakeups: int
    wall: float
    cpu: float

    @property
    def per_s(self) -> float:
        return self.wakeups / self.wall

    @property
    def cpu_s_per_10000(self) -> float:
        return self.cpu / self.wakeups * 10_000


@dataclass(frozen=True, slots=True)
class Turn:
    """What a contender gets: an empty folder, how many wakeups to send, and chance."""

    folder: Path
    wakeups: int
    rng: random.Random


@dataclass(frozen=True, slots=True)
class Contender:
    send: Callable[[Turn], Sent]
    wakeups: int
    """How many in a turn, unless an option says otherwise."""
    needs: tuple[str, ...] = ()
    """Programs without which it is left out."""


Ratios = Mapping[str, tuple[str, str]]
"""Name of a ratio → the two contenders it compares."""


def run(about: str | None, contenders: Mapping[str, Contender], ratios: Ratios, *, runs: int) -> None:
    """The script: read its options, let everybody play, say the figures."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, contender in contenders.items():
        told = f"wakeups in a turn of {name} ({contender.wakeups}); 0: leave it out"
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=contender.wakeups, metavar="N", help=told)
    parser.add_argument("--runs", type=int, default=runs)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="last line: one JSON object")
    options = parser.parse_args()
    logs.configure(time.time)
    process.prepare()
    there = {name: c for name, c in contenders.items() if getattr(options, name) and all(map(shutil.which, c.needs))}
    sent = play(there, {name: getattr(options, name) for name in there}, options.runs, random.Random(options.seed))
    counts = {f"{name}_wakeups": getattr(options, name) for name in there}
    say({"runs": options.runs, **figures(sent, ratios), **counts, **surroundings(options.seed)}, as_json=options.json)


def play(
    contenders: Mapping[str, Contender], wakeups: Mapping[str, int], runs: int, rng: random.Random
) -> dict[str, list[Sent]]:
    sent: dict[str, list[Sent]] = {name: [] for name in contenders}
    for _ in range(runs):
        for name, contender in contenders.items():
            with tempfile.TemporaryDirectory() as folder:
                sent[name].append(contender.send(Turn(Path(folder), wakeups[name], rng)))
    return sent


def figures(sent: Mapping[str, list[Sent]], ratios: Ratios) -> dict[str, object]:
    """Medians over the rounds; a ratio is that of two who took turns in one round."""
    told: dict[str, object] = {}
    for name, turns in sent.items():
        told[f"{name}_per_s"] = round(statistics.median(turn.per_s for turn in turns))
        told[f"{name}_per_s_all"] = [round(turn.per_s) for turn in turns]
        told[f"{name}_cpu_s_per_10000"] = round(statistics.median(turn.cpu_s_per_10000 for turn in turns), 3)
    for name, (ours, theirs) in ratios.items():
        if ours in sent and theirs in sent:
            pairs = zip(sent[ours], sent[theirs], strict=True)
            told[name] = round(statistics.median(our.per_s / their.per_s for our, their in pairs), 2)
    return told
