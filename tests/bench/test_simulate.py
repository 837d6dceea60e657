"""The simulation by its script: dozens of seeds hold, those that failed once too, and each is the same everywhere.

What a seed means changes with the relay and with the simulation. So a case is kept with the fault it found; should it
come to mean something else, it is one more seed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import pytest

from tests.bench.test_scripts import SURROUNDINGS
from tests.effort import examples

pytestmark = pytest.mark.processes
SEEDS = 24
OF_TWO = examples(18)
"""Seeds of two nodes: each takes three times as long."""
CASES = {
    71: "planted: a commit that fails forgets the verdicts that were in it",
    84: "planted: a wakeup that the last look has refused is not thought of again",
    331: "the judge's own: an alarm that left beside a wakeup had not heard what that one was answered",
    753: "a connection that was made in the instant of the stop said GOAWAY before its preface",
}
"""Seed → what it found, in the relay or where somebody had planted it."""
CASES_OF_TWO = {
    2: "a renewal found a tenure over when nobody had looked, and what was held back stayed with its lane",
    10: "the same",
    118: "the simulation's own: the database's clock was set forward in the end, and leases were over too soon",
    178: "the judge's own: a write that was jammed does not stand for what was fetched meanwhile",
    169: "a wakeup that was wanted for an alarm left for a message, when the alarm was over and the people were lost",
    376: "a token was called none, since its officer came to this node while the database was asked whose it is",
    495: "an alarm was sent to a phone that the provider had called dead, while that was not believed yet",
    579: "the judge's own: a node that was stopped has not heard what the next one was told of its phones",
    588: "a device was deleted twice in one batch that failed, and the second answer was that there is none",
    630: "a node that was buried and did not know it called a good token none",
    668: "the simulation's own: two acts of the backend waited for each other, and it did not end",
    813: "what a node had refused, for it came from the future by its clock, it took when that was there",
}
"""Of two nodes."""
ALONE = """
import sys
from bench.simulation.run import simulate
result = simulate(int(sys.argv[-1]), nodes=int(sys.argv[1]))
print(result.digest, result.events, result.faults, *result.failures)
"""


def simulated(*options: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "bench.simulate", *options, "--json"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    assert ended.returncode == 0, ended.stderr + ended.stdout[-10_000:]
    figures = json.loads(ended.stdout.splitlines()[-1])
    assert isinstance(figures, dict)
    assert figures.keys() >= SURROUNDINGS
    return figures


def test_dozens_of_seeds_hold() -> None:
    figures = simulated("--seeds", str(SEEDS))
    assert (figures["seeds"], figures["failed"], figures["failures"]) == (SEEDS, 0, {})
    assert figures["events"] > 10 * SEEDS
    assert figures["faults"] > 5 * SEEDS
    assert figures["wakeups"] > figures["events"]
    assert figures["hours"] > 10 * SEEDS
    assert figures["seconds"] > 0


def test_some_seeds_of_two_nodes_hold() -> None:
    figures = simulated("--nodes", "2", "--seeds", str(OF_TWO))
    assert (figures["nodes"], figures["seeds"], figures["failed"], figures["failures"]) == (2, OF_TWO, 0, {})
    assert figures["events"] > 10 * OF_TWO
    assert figures["faults"] > 5 * OF_TWO
    assert figures["wakeups"] > figures["events"]


@pytest.mark.thorough
def test_what_failed_once_holds() -> None:
    for seed in sorted(CASES):
        assert simulated("--seed", str(seed))["failed"] == 0
    for seed in sorted(case for case in CASES_OF_TWO if case > OF_TWO):
        assert simulated("--nodes", "2", "--seed", str(seed))["failed"] == 0


def told(seed: int, command: Sequence[str]) -> str:
    """What a process of its own says of a seed."""
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    ended = subprocess.run(
        [*command, str(seed)], capture_output=True, text=True, timeout=100, check=True, env=environment
    )
    return ended.stdout


@pytest.mark.parametrize("nodes", [1, pytest.param(2, marks=pytest.mark.thorough)])
def test_a_seed_is_the_same_in_every_process(nodes: int) -> None:
    """Byte by byte of its trace; and another one is another."""
    alone = [sys.executable, "-c", ALONE, str(nodes)]
    first = told(7, alone)
    assert first == told(7, alone)
    assert first.split()[0] != told(8, alone).split()[0]


def test_a_seed_that_fails_tells_how_to_play_it_again() -> None:
    """With a store that cooks the books."""
    broken = """
import sys
from functools import partial
import bench.simulate as script
from bench.simulation.machine import Parts
from tests.bench.simulation.test_failing import Cooked
sys.argv = ["simulate", "--seeds", "2", "--jobs", "1", "--json"]
script.simulate = partial(script.simulate, parts=Parts(mount=Cooked))
script.main()
"""
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    ended = subprocess.run(
        [sys.executable, "-c", broken], capture_output=True, text=True, timeout=100, check=False, env=environment
    )
    assert ended.returncode == 1
    figures = json.loads(ended.stdout.splitlines()[-1])
    assert figures["failed"] == len(figures["failures"]) > 0
    seed = next(iter(figures["failures"]))
    assert "the books do not balance" in figures["failures"][seed]
    assert f"python -m bench.simulate --seed {seed}" in ended.stderr
