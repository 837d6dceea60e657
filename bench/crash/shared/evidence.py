"""What each disruption explains, asked when all is over: which wakeups may be repeated, and how long adopting took."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from bench.crash.case import Case, Continued, Life
from bench.crash.leavings import Place
from bench.crash.people import Kind, Officer
from bench.crash.shared.trial import NEVER, Disruption, SharedTrial
from bench.crash.sightings import ROUNDING, Seen
from relay.store.port import LEASE
from relay.tenure import EVERY

ITS = LEASE - 2 * EVERY
"""Seconds after a disruption in which nobody else can have its people."""


def explained(trial: SharedTrial, case: Case) -> list[Life]:
    """The lives, with what may be repeated in each, and why."""
    lives = list(trial.lives)
    for each in trial.disruptions:
        if each.went_on:
            continue
        life = lives[each.life]
        ran = Continued(each.process.node, each.continued, each.next_start) if each.continued < NEVER else None
        doubt = life.doubtful | doubtful(case, each)
        lives[each.life] = replace(
            life, doubtful=doubt, batches=life.batches + bool(life.doubtful), was_cut=life.was_cut or each.was_cut,
            continued=ran or life.continued,
        )  # fmt: skip
    return lives


def doubtful(case: Case, disruption: Disruption) -> frozenset[Place]:
    """Phones whose verdict may be lost."""
    last: dict[Place, float] = {}
    for officer, place, seen in _woken(case, disruption):
        if officer.name in disruption.had and _is_its(disruption, seen):
            last[place] = max(last.get(place, 0.0), seen.t)
    found = {place for place, since in disruption.due.items() if last.get(place, 0.0) >= since - ROUNDING}
    if disruption.was_cut or disruption.kind == "pause":
        found |= {place for place, t in last.items() if t >= disruption.at - ROUNDING}
    return frozenset(found)


def fell(case: Case, killed: Disruption) -> str:
    """Where a kill fell, by what it has left; as bench/crash/aims.py has it."""
    doubt = doubtful(case, killed)
    kinds = {case.people[user].kind for user, _ in doubt}
    unanswered = any(
        asked.key.startswith("large") and killed.at - 1 < asked.sent_at < killed.at < asked.ended_at
        for asked in case.posts
    )
    evidence = {
        killed.kind: killed.kind != "work", "commit": unanswered, "release": Kind.RELEASED in kinds,
        "settle": Kind.CROWD in kinds,
    }  # fmt: skip
    return next((phase for phase, holds in evidence.items() if holds), "work")


def adopted_within(case: Case, disruption: Disruption) -> float | None:
    """Seconds until another process woke somebody whom it had, or answered an edit for one. None: it went on."""
    if disruption.went_on:
        return None
    instants = [
        seen.t
        for officer, _, seen in _woken(case, disruption)
        if officer.name in disruption.had and seen.t > disruption.at and not _is_its(disruption, seen)
    ]
    instants += [
        edit.ended_at
        for name in disruption.had
        for edit in case.edits.get(name, ())
        if edit.do in ("rest", "device") and edit.acked and edit.sent_at > disruption.at
    ]
    return min(instants) - disruption.at if instants else None


def _is_its(disruption: Disruption, seen: Seen) -> bool:
    """Sent by the process that was disrupted. The next one may run while a provider still reads what this one sent."""
    until = max(disruption.next_start, disruption.at + ITS)
    return seen.node == disruption.process.node and seen.t < until


def _woken(case: Case, disruption: Disruption) -> Iterator[tuple[Officer, Place, Seen]]:
    """In its life."""
    for officer, phone in case.phones():
        for token in case.tokens_of(officer, phone):
            for seen in case.sightings.of(token, disruption.life):
                yield officer, (officer.name, phone.device), seen
