"""A run with two nodes: everything is put up, all rounds are played, and the judges are asked."""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

from bench.crash.aims import drawn
from bench.crash.figures import FORGIVEN, VERDICTS_LOST, Missing, case_of, figures, violations
from bench.crash.installation import Installation, providers
from bench.crash.judge import released
from bench.crash.people import Force
from bench.crash.relays import Helper
from bench.crash.shared.client import ROUND, SharedClient
from bench.crash.shared.database import Database
from bench.crash.shared.evidence import adopted_within, explained, fell
from bench.crash.shared.nodes import Nodes
from bench.crash.shared.shares import SHARES
from bench.crash.shared.trial import SharedTrial
from bench.crash.sightings import Sightings
from bench.ports import free_port
from bench.postgres import cluster
from bench.report import percentile

NODES = 2


def of_two(folder: Path, options: argparse.Namespace) -> dict[str, object]:
    """Play all rounds; the figures, without the surroundings."""
    began = time.monotonic()
    rng = Random(options.seed)
    aims = drawn(options.rounds, rng, options.only or (), SHARES)
    with put_up(folder, options, aims, rng) as trial:
        play(trial, aims)
        forgiven = FORGIVEN | VERDICTS_LOST
        objections = [told for each in trial.installations for told in violations(each.providers, forgiven)]
        trial.judge_ends()
    return told(trial, aims, objections) | {"seconds": round(time.monotonic() - began, 1)}


@contextlib.contextmanager
def put_up(folder: Path, options: argparse.Namespace, aims: Sequence[str], rng: Random) -> Iterator[SharedTrial]:
    """Server, ways, providers of each node, client and supervisor."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(cluster())
        database = Database(server)
        stack.callback(database.close)
        database.prepare()
        ports = [free_port() for _ in range(NODES)]
        ways = stack.enter_context(Helper("bench.crash.shared.ways", *map(str, (server.port, *ports))))
        ways.hear()
        installations = []
        for node in range(NODES):
            (mine := folder / f"node-{node}").mkdir()
            fakes = stack.enter_context(providers(mine, options.seed + node))
            installations.append(Installation(mine, fakes, *(free_port() for _ in range(3))))
        nodes = stack.enter_context(Nodes(installations, folder, options.launcher))
        client = stack.enter_context(SharedClient(installations, len(aims), options.crowd, options.seed))
        force = Force(len(aims), crowd=options.crowd, pace=ROUND)
        sightings = Sightings(*(each.folder for each in installations))
        for node, port in enumerate(ports):
            nodes.keep(node, database.url(port))
        yield SharedTrial(installations, database, nodes, ways, force, client, sightings, rng, options.patience)


def play(trial: SharedTrial, aims: Sequence[str]) -> None:
    """All rounds, in order."""
    trial.enlist()
    for number, aim in enumerate(aims):
        trial.round(number, aim)
        passed = time.time() - trial.began
        sys.stderr.write(f"{passed:6.1f} s, round {number + 1} of {len(aims)}: {aim}\n")
    sys.stderr.write(f"{time.time() - trial.began:6.1f} s, nothing goes wrong any more\n")
    trial.finish(Missing(trial))
    trial.once_more()


def told(trial: SharedTrial, aims: Sequence[str], objections: Sequence[str]) -> dict[str, object]:
    for each in trial.disruptions:
        each.next_start = trial.nodes.next_start(each.process)
        each.went_on |= each.next_start > trial.lives[each.life].ended
    case = case_of(trial)
    case = replace(case, lives=explained(trial, case))
    kills = Counter(fell(case, each) for each in trial.disruptions if each.kind in ("work", "take over"))
    hit = Counter(each.life for each in trial.disruptions)
    alone = [each for each in trial.disruptions if hit[each.life] == 1]
    seconds = [found for each in alone if (found := adopted_within(case, each)) is not None]
    ended = {each.process.pid for each in trial.disruptions}
    return {
        "rounds": len(aims),
        **figures(case, [*trial.faults, *objections]),
        "released": sum(released(case).values()),
        "takeovers": len(seconds),
        "takeover_p50_s": rounded(percentile(seconds, 50)),
        "takeover_max_s": rounded(max(seconds, default=None)),
        "gone_on": sum(1 for each in trial.disruptions if each.went_on and each.kind != "drain"),
        "unplanned": sum(1 for each in trial.nodes.every if not each.is_doomed and each.pid not in ended),
        "kills": kills.total(),
        "kills_by_phase": dict(kills.most_common()),
        "kills_aimed": dict(Counter(aims).most_common()),
    }


def rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 2)
