"""Real crashes: SIGKILL at random and at aimed instants; is anything lost, woken in rest, or woken too often?

A client in a process of its own posts, edits and records every answer; this process starts the relay, kills it, looks
at what it has left, and starts it again; strict fakes of APNs and FCM and the fast sink note what reaches them. When
all rounds are over, nothing is disturbed any more until everything owed has come. Then the client's record, the
journals of the providers, and the database as the next start would load it, must agree (judge.py and books.py say in
what). Kills are aimed at a mixed load, a start, a drain, a commit, a settle of thousands of verdicts, a release, a move
of the log (idle, and of a log that is too large), and at the migration of a file of each older version; where they fell
is told by evidence (aims.py).

acked: notices acknowledged; unknown: those without an answer. lost, in_rest_without_bypass, duplicates, allowed ones
and those without excuse, repeated: see the head of judge.py. forgotten: acknowledged notices that the database did not
have after a kill, whether their recipients were woken for something else or not. edits, edits_lost: rests and devices,
acknowledged, and those of them that did not hold after a kill. kills_aimed, kills_by_phase: where they were to fall,
and where they fell. faults: everything that the judges object to; exits with 1 when there is anything.

    python -m bench.crash [--store sqlite] [--rounds 100] [--seed 1] [--only work …] [--json]

With `--store postgres` two relays share one database and both serve (shared/): one is killed, stopped for longer than
its lease and continued, cut off from the database (sometimes both are), or the database is restarted; the other one
must adopt its people by itself. takeovers, takeover_p50_s, takeover_max_s: from that instant to the first wakeup by
another process of somebody whom the node had, or the first edit answered for one; not asked where both were hit, nor of
a drain. released: wakeups that a stopped process let go when it was continued, at most one write each.
gone_on: how often a node did so in spite of all. unplanned: ends of a node that nothing of ours brought about, as on a
machine that is too slow for a lease.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from random import Random

from bench.crash.aims import SHARES, drawn
from bench.crash.case import OVER
from bench.crash.figures import Missing, case_of, violations
from bench.crash.figures import figures as judge_all
from bench.crash.installation import Installation, providers
from bench.crash.migrating import OLD, Migration, migrate
from bench.crash.people import CROWD, Force
from bench.crash.relays import Relays
from bench.crash.shared.shares import SHARES as SHARED
from bench.crash.sightings import Sightings
from bench.crash.trial import Client, Trial
from bench.ports import free_port
from bench.report import say, surroundings

PATIENCE = 30.0
"""Seconds; longer than the first holds of anybody."""


def run(folder: Path, options: argparse.Namespace) -> dict[str, object]:
    """Play all rounds; the figures, without the surroundings."""
    began = time.monotonic()
    rng = Random(options.seed)
    aims = drawn(options.rounds, rng, options.only or ())
    with providers(folder, options.seed) as fakes:
        installation = Installation(folder, fakes, free_port(), free_port())
        with (
            Relays(installation, options.launcher) as relays,
            Client(installation, len(aims), options.crowd, options.seed) as client,
        ):
            sightings = Sightings(folder)
            force = Force(len(aims), crowd=options.crowd)
            trial = Trial(installation, relays, force, client, sightings, rng, options.patience)
            migrations = play(trial, aims)
        objections = violations(fakes)
    return figures(trial, migrations, objections) | {"seconds": round(time.monotonic() - began, 1)}


def play(trial: Trial, aims: Sequence[str]) -> list[Migration]:
    """All lives, in order."""
    migrations: list[Migration] = []
    trial.enlist()
    for number, aim in enumerate(aims):
        if aim == "migrate":
            migrations.append(migrate(trial, number, OLD[len(migrations) % len(OLD)]))
            fell = migrations[-1].fell
        else:
            trial.round(number, aim)
            fell = trial.lives[-1].fell
        passed = time.time() - trial.began
        sys.stderr.write(f"{passed:6.1f} s, round {number + 1} of {len(aims)}: aimed at {aim}, fell into {fell}\n")
    sys.stderr.write(f"{time.time() - trial.began:6.1f} s, nothing goes wrong any more\n")
    trial.finish(Missing(trial))
    trial.once_more()
    return migrations


def figures(trial: Trial, migrations: Sequence[Migration], objections: Sequence[str]) -> dict[str, object]:
    """What came of it, with the kills, and of migrations as well."""
    judged = judge_all(
        case_of(trial), [*trial.faults, *objections, *(t for done in migrations for t in done.objections)]
    )
    lives = [life for life in trial.lives if life.fell]
    fell = Counter([*(life.fell for life in lives), *(done.fell for done in migrations)])
    aimed = Counter([*(life.aim for life in lives), *("migrate" for _ in migrations)])
    more = {
        "lost": sum(m.lost for m in migrations),
        "duplicates": sum(m.duplicates for m in migrations),
        "duplicates_allowed": sum(m.allowed for m in migrations),
    }
    return {
        "rounds": aimed.total() - 1,
        **{name: int(str(value)) + more[name] if name in more else value for name, value in judged.items()},
        "kills": aimed.total() - fell.pop(OVER, 0),
        "kills_by_phase": dict(fell.most_common()),
        "kills_aimed": dict(aimed.most_common()),
    }


def _run_two(folder: Path, options: argparse.Namespace) -> dict[str, object]:
    from bench.crash.shared.play import of_two  # imports psycopg, which who stays with SQLite need not have

    return of_two(folder, options)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", choices=["sqlite", "postgres"], default="sqlite")
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--only", choices=sorted({*SHARES, *SHARED}), action="append", help="aim at this; can be given several times"
    )
    parser.add_argument("--crowd", type=int, default=CROWD, help="people who get what is sent to everybody")
    parser.add_argument(
        "--patience", type=float, default=PATIENCE, help="seconds of quiet after which what is owed is lost"
    )
    parser.add_argument("--launcher", type=Path, help="run this Python file in the place of the relay's own program")
    parser.add_argument("--json", action="store_true", help="last line: one JSON object")
    options = parser.parse_args()
    shares = SHARES if options.store == "sqlite" else SHARED
    if unknown := set(options.only or ()) - set(shares):
        parser.error(f"--store {options.store} has no aim {', '.join(sorted(unknown))}")
    with tempfile.TemporaryDirectory() as name:
        found = run(Path(name), options) if options.store == "sqlite" else _run_two(Path(name), options)
    say({"store": options.store, **found, **surroundings(options.seed)}, as_json=options.json)
    if found["faults"] or int(str(found["duplicates"])) > int(str(found["duplicates_allowed"])):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
