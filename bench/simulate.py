"""The whole relay in one process on virtual time, with everything going wrong by a seed that can be played again.

The real relay with its real HTTP door between a simulated backend and the strict fakes of Apple and Google; only
network, disk and clocks are made of memory (simulation/), so that they can fail: connections that are refused, slow,
silent or reset, a disk that is slow, full or forgets what was not synced, a clock that is set forward and back or slept
through, a process that dies at the worst instants, providers that answer anything or nothing. After each seed I1, I2
and I4 must hold (simulation/judge.py). A seed that fails is played again, exactly, by `--seed`.

    nodes      relays of each
    seeds      how many were played
    failed     how many broke a promise; `failures` tells which and how
    events     posts of the backend
    faults     how often something was made to go wrong
    wakeups    requests that left to a provider
    hours      of virtual time

With `--nodes N` it is N relays that share a database, behind a load balancer: processes are renewed, killed, stopped
and continued; the database is away, slow, started anew, and loses commits or the answers to them; the ways between
nodes fail; each has a clock of its own.

    python -m bench.simulate [--nodes 1] [--seeds 1000] [--first 1] [--seed N] [--jobs 2] [--json]
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial

from bench.report import say, surroundings
from bench.simulation.run import Result, simulate
from bench.simulation.scheduling import HASH_SEED

PIECE = 5
"""Seeds that a process is handed at a time."""
SHOWN = 20
"""Failed seeds that are told one by one."""
QUIET = 2.0
"""Seconds between two lines of progress."""


@dataclass(slots=True)
class Sums:
    """Of all seeds so far."""

    seeds: int = 0
    events: int = 0
    faults: int = 0
    wakeups: int = 0
    hours: float = 0.0
    failures: dict[int, Sequence[str]] = field(default_factory=dict)

    def add(self, result: Result) -> None:
        self.seeds += 1
        self.events += result.events
        self.faults += result.faults
        self.wakeups += result.wakeups
        self.hours += result.hours
        if result.failures:
            self.failures[result.seed] = result.failures


def play_some(seeds: Sequence[int], nodes: int) -> list[Result]:
    """Without their traces: a failed seed is played again to see one."""
    return [simulate(seed, nodes=nodes).without_trace() for seed in seeds]


def results(first: int, count: int, jobs: int, nodes: int) -> Iterator[Result]:
    seeds = range(first, first + count)
    pieces = [seeds[at : at + PIECE] for at in range(0, count, PIECE)]
    if jobs == 1:
        for piece in pieces:
            yield from play_some(piece, nodes)
        return
    with ProcessPoolExecutor(jobs) as pool:
        for some in pool.map(partial(play_some, nodes=nodes), pieces):
            yield from some


def play(first: int, count: int, jobs: int, nodes: int) -> Sums:
    """Play so many seeds, and say how it goes."""
    sums, told_at = Sums(), time.monotonic()
    for result in results(first, count, jobs, nodes):
        sums.add(result)
        if result.failures and len(sums.failures) <= SHOWN:
            sys.stderr.write(f"seed {result.seed}: {'; '.join(result.failures)}\n")
            sys.stderr.write(f"  again: python -m bench.simulate{_of(nodes)} --seed {result.seed}\n")
        if time.monotonic() - told_at > QUIET:
            told_at = time.monotonic()
            sys.stderr.write(f"{sums.seeds} of {count} seeds, {len(sums.failures)} failed\n")
    return sums


def _of(nodes: int) -> str:
    return f" --nodes {nodes}" if nodes > 1 else ""


def play_one(seed: int, nodes: int) -> Sums:
    """Play one seed; its trace is told when it fails."""
    sums, result = Sums(), simulate(seed, nodes=nodes)
    sums.add(result)
    if result.failures:
        sys.stdout.write("\n".join(result.trace) + "\n")
        sys.stderr.write(f"seed {seed}: {'; '.join(result.failures)}\n")
    return sums


def with_fixed_hashes() -> None:
    """Begin anew with the hash seed of all simulations, unless this process has it."""
    if os.environ.get("PYTHONHASHSEED") != HASH_SEED:
        command = [sys.executable, "-m", "bench.simulate", *sys.argv[1:]]
        os.execve(sys.executable, command, {**os.environ, "PYTHONHASHSEED": HASH_SEED})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=1_000)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--seed", type=int, help="this one only, with its trace when it fails")
    parser.add_argument("--nodes", type=int, default=1, help="relays on one database")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)), help="processes")
    parser.add_argument("--json", action="store_true", help="last line: one JSON object")
    options = parser.parse_args()
    if options.nodes < 1:
        parser.error("--nodes: at least 1")
    with_fixed_hashes()
    began = time.monotonic()
    if options.seed is not None:
        sums, first = play_one(options.seed, options.nodes), options.seed
    else:
        sums, first = play(options.first, options.seeds, options.jobs, options.nodes), options.first
    figures: dict[str, object] = {
        "nodes": options.nodes, "seeds": sums.seeds, "failed": len(sums.failures), "events": sums.events,
        "faults": sums.faults, "seconds": round(time.monotonic() - began, 1), "wakeups": sums.wakeups,
        "hours": round(sums.hours),
        "failures": {str(seed): list(failures) for seed, failures in list(sums.failures.items())[:SHOWN]},
    }  # fmt: skip
    say({**figures, **surroundings(first)}, as_json=options.json)
    if sums.failures:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
