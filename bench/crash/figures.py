"""What came of a trial: its case for the judges, what is still missing while it goes on, and the figures in the end."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence, Set
from typing import Protocol

from bench.crash import books, judge
from bench.crash.case import Case, Life
from bench.crash.installation import Providers
from bench.crash.people import Force, Officer, Phone
from bench.crash.record import Asked, Record
from bench.crash.sightings import Sightings

FORGIVEN = {"token_refreshed_too_often", "too_many_connections"}
"""What the fakes object to in a relay that knows nothing of the one before: each fetches an access token and opens
connections of its own. Where the disk is fast forty of them live within a minute, and sixty connections are allowed in
one; that a single relay keeps to that, tests/relay/lanes/test_link.py and `bench.faults` show."""
VERDICTS_LOST = {"retry_of_refused"}
"""And where phones are dead, in one that does not know what the one before was told, and could not write down."""
TOLD = 20
"""Most objections that are told."""


class Tried(Protocol):
    """A trial, as far as it is judged."""

    @property
    def force(self) -> Force: ...

    @property
    def lives(self) -> Sequence[Life]: ...

    @property
    def record(self) -> Record: ...

    @property
    def sightings(self) -> Sightings: ...

    @property
    def metrics(self) -> Mapping[str, float]: ...


def case_of(trial: Tried) -> Case:
    named = {officer.name: officer for officer in (*trial.force.everybody(), *trial.force.newcomers())}
    return Case(named, trial.lives, trial.record, trial.sightings, trial.metrics)


class Missing:
    """Acknowledged notices for which nobody was woken yet. What has come once is not looked at again."""

    def __init__(self, trial: Tried) -> None:
        self._trial = trial
        self._left: list[tuple[Asked, Officer, Phone]] | None = None

    def __call__(self) -> Sequence[object]:
        if self._left is None:
            self._left = judge.lost(case_of(self._trial), is_over=False)
        woken = self._trial.sightings.since
        self._left = [(post, o, phone) for post, o, phone in self._left if not woken(phone.token, post.sent_at)]
        return self._left


def violations(providers: Providers, forgiven: Set[str] = FORGIVEN) -> list[str]:
    """What the fakes object to."""
    return [
        f"{name}: {what}"
        for name, told in providers.journals().items()
        for what in told["violations"]
        if what not in forgiven
    ]


def figures(case: Case, objections: Iterable[str]) -> dict[str, object]:
    """By all judges. Their objections, and those of others, are told on standard error."""
    lost, in_rest, again = judge.lost(case), judge.in_rest(case), judge.duplicates(case)
    inexcusable, released = judge.without_excuse(case), judge.released(case)
    repeated, edits_lost = judge.repeated(case), books.lost_edits(case)
    faults = [
        *objections, *books.objections(case),
        *(f"lost: {post.number} for {officer.name}, {phone.device}" for post, officer, phone in lost),
        *(f"in rest: {officer.name} at {t:.3f}" for officer, _, t in in_rest),
        *(f"{place} was woken in life {life.number}, and nothing was owed to it" for life, place in repeated),
        *(f"{place} was woken again in life {life.number} without excuse" for life, place in inexcusable),
        *(f"{n} wakeups left in life {life} when it was over" for life, n in released.items() if n > judge.RELEASED),
    ]  # fmt: skip
    sys.stderr.writelines(f"{fault}\n" for fault in faults[:TOLD])
    edits = [asked for asked in case.record.of("rest", "device") if asked.acked]
    return {
        "acked": sum(1 for post in case.posts if post.acked for _ in post.notices()),
        "unknown": sum(1 for p in case.posts if p.may_be_taken and not p.acked for _ in p.notices()),
        "lost": len({(post.number, officer.name) for post, officer, _ in lost}),
        "forgotten": books.forgotten(case),
        "in_rest_without_bypass": len(in_rest),
        "duplicates": sum(count for _, _, count in again),
        "duplicates_allowed": sum(judge.allowed(case, life) for life in case.lives),
        "duplicates_without_excuse": len(inexcusable),
        "repeated": len(repeated),
        "edits": len(edits),
        "edits_lost": len(edits_lost),
        "wakeups": case.sightings.count,
        "books_balance": not any(life.left.imbalances or not life.left.is_sound for life in case.lives),
        "faults": len(faults),
    }
