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

from bench import stage
from bench.crash import books, judge
from bench.crash.aims import SHARES, drawn
from bench.crash.case import OVER, Case
from bench.crash.installation import Installation, providers
from bench.crash.migrating import OLD, Migration, migrate
from bench.crash.people import CROWD, Force, Officer, Phone
from bench.crash.record import Asked
from bench.crash.relays import Relays
from bench.crash.sightings import Sightings
from bench.crash.trial import Client, Trial
from bench.report import say, surroundings

PATIENCE = 30.0
"""Seconds; longer than the first holds of anybody."""
FORGIVEN = {"token_refreshed_too_often"}
"""What the fakes object to in a relay that knows nothing of the one before: each fetches an access token of its own."""
TOLD = 20
"""Most objections that are told."""


def run(folder: Path, options: argparse.Namespace) -> dict[str, object]:
    """Play all rounds; the figures, without the surroundings."""
    began = time.monotonic()
    rng = Random(options.seed)
    aims = drawn(options.rounds, rng, options.only or ())
    with providers(folder, options.seed) as fakes:
        installation = Installation(folder, fakes, stage.free_port(), stage.free_port())
        with (
            Relays(installation, options.launcher) as relays,
            Client(installation, len(aims), options.crowd, options.seed) as client,
        ):
            sightings = Sightings(folder / "apns.journal", folder / "fcm.journal", stamps=folder / "sink.stamps")
            force = Force(len(aims), crowd=options.crowd)
            trial = Trial(installation, relays, force, client, sightings, rng, options.patience)
            migrations = play(trial, aims)
        violations = [
            f"{name}: {what}"
            for name, told in fakes.journals().items()
            for what in told["violations"]
            if what not in FORGIVEN
        ]
    return figures(trial, migrations, violations) | {"seconds": round(time.monotonic() - began, 1)}


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


class Missing:
    """Acknowledged notices for which nobody was woken yet. What has come once is not looked at again."""

    def __init__(self, trial: Trial) -> None:
        self._trial = trial
        self._left: list[tuple[Asked, Officer, Phone]] | None = None

    def __call__(self) -> Sequence[object]:
        if self._left is None:
            self._left = judge.lost(case_of(self._trial), is_over=False)
        woken = self._trial.sightings.since
        self._left = [(post, o, phone) for post, o, phone in self._left if not woken(phone.token, post.sent_at)]
        return self._left


def case_of(trial: Trial) -> Case:
    people = [*trial.force.everybody(), *(o for group in trial.force.released.values() for o in group)]
    named = {officer.name: officer for officer in people}
    return Case(named, trial.lives, trial.record, trial.sightings, trial.metrics)


def figures(trial: Trial, migrations: Sequence[Migration], violations: Sequence[str]) -> dict[str, object]:
    """What came of it. Objections are told on standard error."""
    case = case_of(trial)
    lost, in_rest, again = judge.lost(case), judge.in_rest(case), judge.duplicates(case)
    inexcusable = judge.without_excuse(case)
    repeated, edits_lost = judge.repeated(case), books.lost_edits(case)
    faults = [
        *trial.faults, *violations, *books.objections(case), *(told for done in migrations for told in done.objections),
        *(f"lost: {post.number} for {officer.name}, {phone.device}" for post, officer, phone in lost),
        *(f"in rest: {officer.name} at {t:.3f}" for officer, _, t in in_rest),
        *(f"{place} was woken in life {life.number}, and nothing was owed to it" for life, place in repeated),
        *(f"{place} was woken again in life {life.number} without excuse" for life, place in inexcusable),
    ]  # fmt: skip
    sys.stderr.writelines(f"{fault}\n" for fault in faults[:TOLD])
    lives = [life for life in case.lives if life.fell]
    fell = Counter([*(life.fell for life in lives), *(done.fell for done in migrations)])
    aimed = Counter([*(life.aim for life in lives), *("migrate" for _ in migrations)])
    edits = [asked for asked in case.record.of("rest", "device") if asked.acked]
    return {
        "rounds": aimed.total() - 1,
        "acked": sum(1 for post in case.posts if post.acked for _ in post.notices()),
        "unknown": sum(1 for p in case.posts if p.may_be_taken and not p.acked for _ in p.notices()),
        "lost": len({(post.number, officer.name) for post, officer, _ in lost}) + sum(m.lost for m in migrations),
        "forgotten": books.forgotten(case),
        "in_rest_without_bypass": len(in_rest),
        "duplicates": sum(count for _, _, count in again) + sum(m.duplicates for m in migrations),
        "duplicates_allowed": sum(judge.allowed(case, life) for life in case.lives)
        + sum(m.allowed for m in migrations),
        "duplicates_without_excuse": len(inexcusable),
        "repeated": len(repeated),
        "edits": len(edits),
        "edits_lost": len(edits_lost),
        "wakeups": trial.sightings.count,
        "kills": aimed.total() - fell.pop(OVER, 0),
        "kills_by_phase": dict(fell.most_common()),
        "kills_aimed": dict(aimed.most_common()),
        "books_balance": not any(life.left.imbalances or not life.left.is_sound for life in case.lives),
        "faults": len(faults),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", choices=["sqlite"], default="sqlite")
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--only", choices=sorted(SHARES), action="append", help="aim at this; can be given several times"
    )
    parser.add_argument("--crowd", type=int, default=CROWD, help="people who get what is sent to everybody")
    parser.add_argument(
        "--patience", type=float, default=PATIENCE, help="seconds of quiet after which what is owed is lost"
    )
    parser.add_argument("--launcher", type=Path, help="run this Python file in the place of the relay's own program")
    parser.add_argument("--json", action="store_true", help="last line: one JSON object")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        found = run(Path(name), options)
    say({"store": options.store, **found, **surroundings(options.seed)}, as_json=options.json)
    if found["faults"] or int(str(found["duplicates"])) > int(str(found["duplicates_allowed"])):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
