"""What goes wrong between two nodes and their database, and when.

An aim plays a life up to an instant, by chance within what it aims at, and does something to whoever serves. The other
node must take over by itself; meanwhile the client goes on asking. Where a kill fell is told by evidence alone.

    work, commit, settle, release   SIGKILL, as for a single relay
    take over   SIGKILL twice: of whoever serves, and of the other one while it takes over
    drain       SIGTERM: as when nodes are renewed in turn
    pause       SIGSTOP until the other one has taken over and everything is different: people rest who did not, phones
                have new tokens. Then SIGCONT
    refuse      connections to the database are closed, and new ones refused
    hole        neither bytes nor an end of any connection pass between the node and the database
    database    the server is stopped as in a crash, and started again

A cut or a restart may be over before the lease is: then whoever served goes on.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from bench.crash.people import Kind, Officer
from bench.crash.shared.nodes import Process
from relay.store.port import LEASE

if TYPE_CHECKING:
    from bench.crash.shared.trial import SharedTrial

ANSWERS = 150
"""Answers to a load within which something happens; and some of the next node."""
MOMENT = 0.02
"""Seconds after one."""
RELEASE = 1.0
"""Least seconds of rest before a release."""
MOST = 0.8
"""Part of a release or of a crowd's wakeups within which something happens."""
LATER = 7.0
"""Seconds after which those whose rest ends later would be woken by a node that does not know better."""
TEMPTED = 1.5
"""Seconds for which it could wake them."""
AWAY = (0.3, LEASE + 1.5)
"""Seconds for which a database is away, or a way to it is cut: from, to."""


def work(trial: SharedTrial, number: int) -> None:
    _load(trial, number, ANSWERS)
    _kill(trial, number)


def commit(trial: SharedTrial, number: int) -> None:
    """Some milliseconds after a large post has left."""
    _post_large(trial, number)
    _kill(trial, number, is_in_commit=True)


def settle(trial: SharedTrial, number: int) -> None:
    """While thousands of verdicts come in from the fast sink."""
    _settle(trial, number)
    _kill(trial, number)


def release(trial: SharedTrial, number: int) -> None:
    """While those whose rest has ended at one instant are woken."""
    group = trial.force.release(number)
    trial.reader.know(group)
    trial.client.tell(do="release", round=number, seconds=RELEASE)
    trial.wait()
    _wait_for(trial, group)
    _kill(trial, number, group)


def take_over(trial: SharedTrial, number: int) -> None:
    """The other one dies too, at any instant of its take-over, or before it may begin it."""
    _load(trial, number, ANSWERS)
    before = trial.number
    trial.disrupt("work", signal.SIGKILL)
    if not trial.until(lambda: trial.number > before):
        trial.faults.append(f"life {before}: nobody has taken over")
        return
    time.sleep(trial.rng.random() * trial.start_seconds)
    killed = trial.disrupt("take over", signal.SIGKILL)
    before = trial.number
    trial.taken_over(before)
    if killed.is_ready:
        trial.amend(before, fell="work")
    _go_on(trial)


def drain(trial: SharedTrial, number: int) -> None:
    _load(trial, number, ANSWERS)
    before, last = trial.number, trial.disrupt("", signal.SIGTERM)
    trial.taken_over(before)
    trial.until(lambda: last.is_over)
    if last.code != 0:
        trial.faults.append(f"life {before}: ended with {last.code} when told to stop")
    _go_on(trial)


def pause(trial: SharedTrial, number: int) -> None:
    """At some instant of a release, of a settle, or of a commit."""
    group = _turn(trial, number)
    moment = trial.rng.choice(["release", "settle", "commit"])
    if moment == "release":
        _wait_for(trial, group[::2])
    elif moment == "settle":
        _settle(trial, number)
    else:
        _post_large(trial, number)
        trial.until(trial.database.is_written, MOMENT / 20)
    before = trial.number
    stopped = trial.disrupt("pause", signal.SIGSTOP)
    _begin_work(trial, number)
    if not trial.taken_over(before):
        stopped.send(signal.SIGKILL)
        return
    _go_on(trial)
    _rest_again(trial, number)
    trial.amend(before, continued=time.time())
    stopped.send(signal.SIGCONT)
    _replaced(trial, stopped, before)


def refuse(trial: SharedTrial, number: int) -> None:
    _cut(trial, number, "refuse")


def hole(trial: SharedTrial, number: int) -> None:
    _cut(trial, number, "hole")


def _cut(trial: SharedTrial, number: int, how: str) -> None:
    """Long enough for the other one to take over, or not; and in the former case until the old one was tempted."""
    _turn(trial, number)
    _begin_work(trial, number)
    _some_answers(trial, ANSWERS)
    before = trial.number
    cut = trial.disrupt(how, was_cut=True)
    trial.way(cut.node, how)
    if trial.rng.random() < 0.3:
        _away(trial, before)
        trial.way(cut.node, "open")
        _outcome(trial, cut, before)
        _rest_again(trial, number)
        return
    if trial.taken_over(before):
        _go_on(trial)
        _rest_again(trial, number)
        time.sleep(TEMPTED)
    trial.way(cut.node, "open")
    _replaced(trial, cut, before)


def database(trial: SharedTrial, number: int) -> None:
    """Under load, or in a commit."""
    if trial.rng.random() < 0.5:
        _post_large(trial, number)
    else:
        _load(trial, number, ANSWERS)
    before, serving = trial.number, trial.disrupt("database", was_cut=True)
    trial.crash_server()
    _begin_work(trial, number)
    time.sleep(trial.rng.uniform(*AWAY))
    trial.start_server()
    _outcome(trial, serving, before)


AIMS: dict[str, Callable[[SharedTrial, int], None]] = {
    "work": work, "commit": commit, "settle": settle, "release": release, "take over": take_over, "drain": drain,
    "pause": pause, "refuse": refuse, "hole": hole, "database": database,
}  # fmt: skip
# --- before


def _begin_work(trial: SharedTrial, number: int) -> None:
    """The mixed load of a round, if it has not begun."""
    if trial.working != number:
        trial.working = number
        trial.client.tell(do="work", round=number)


def _load(trial: SharedTrial, number: int, most: int) -> None:
    """Begin the load of a round; until so many answers have come, at most, and a moment more."""
    _begin_work(trial, number)
    _some_answers(trial, trial.rng.randrange(most))
    time.sleep(trial.rng.random() * MOMENT)


def _some_answers(trial: SharedTrial, count: int) -> None:
    wanted = trial.record.answered + count

    def are_answered() -> bool:
        trial.record.look()
        return trial.record.answered >= wanted

    trial.until(are_answered)


def _post_large(trial: SharedTrial, number: int) -> None:
    """Under some load."""
    _load(trial, number, ANSWERS // 3)
    before = trial.client.sent
    trial.client.tell(do="large", round=number, classes=["message", "roster"])
    trial.until(lambda: trial.client.sent > before, MOMENT / 20)
    time.sleep(trial.rng.random() * trial.commit_seconds * MOST)


def _settle(trial: SharedTrial, number: int) -> None:
    trial.client.tell(do="large", round=number, classes=["message"])
    began = time.time()
    trial.wait()
    trial.commit_seconds = time.time() - began
    _wait_for(trial, trial.force.crowd)


def _turn(trial: SharedTrial, number: int) -> list[Officer]:
    """People whose rest is over soon, or later; some have a phone that is dead for the providers of who serves."""
    assert trial.serving is not None
    group = trial.force.turn(number)
    trial.reader.know(group)
    dead = [officer.phones[1].token for officer in group if officer.kind is Kind.REVIVED]
    trial.installations[trial.serving.node].providers.call_dead(dead)
    trial.client.tell(do="turn", round=number, seconds=LATER)
    trial.wait()
    return group


def _wait_for(trial: SharedTrial, group: Sequence[Officer]) -> None:
    """Until a part of a group is woken in this life."""
    tokens = {phone.token for officer in group for phone in officer.phones}
    wanted, life = trial.rng.randrange(1, int(MOST * len(tokens))), trial.number

    def are_woken() -> bool:
        trial.look()
        return sum(1 for token in tokens if trial.sightings.of(token, life)) >= wanted

    trial.until(are_woken)


# --- after


def _kill(trial: SharedTrial, number: int, group: Sequence[Officer] = (), *, is_in_commit: bool = False) -> None:
    before = trial.number
    trial.disrupt("work", signal.SIGKILL)
    _begin_work(trial, number)
    if trial.taken_over(before):
        trial.amend(before, fell=_fell(trial, before, group, is_in_commit=is_in_commit))
        _go_on(trial)


def _fell(trial: SharedTrial, life: int, group: Sequence[Officer], *, is_in_commit: bool) -> str:
    """Where the kill fell, by what the life has left; as bench/crash/aims.py has it."""
    tokens = [phone.token for officer in group for phone in officer.phones]
    woken = sum(1 for token in tokens if trial.sightings.of(token, life))
    unanswered = is_in_commit and any(
        asked.key.startswith("large") and asked.in_life(life) == "unknown" for asked in trial.record.of("post")
    )
    unbooked = any(
        (officer.name, phone.device) in trial.lives[life].left.due and trial.sightings.of(phone.token, life)
        for officer in trial.force.crowd
        for phone in officer.phones
    )
    evidence = {"commit": unanswered, "release": 0 < woken < len(tokens), "settle": unbooked}
    return next((phase for phase, holds in evidence.items() if holds), "work")


def _go_on(trial: SharedTrial) -> None:
    """The next one answers too."""
    _some_answers(trial, trial.rng.randrange(ANSWERS))


def _rest_again(trial: SharedTrial, number: int) -> None:
    """At whoever serves now, when it has nothing to do any more: what is seen later has left later."""
    trial.rest()
    trial.wait_until_quiet()
    trial.client.tell(do="again", round=number)
    trial.wait()


def _away(trial: SharedTrial, before: int) -> None:
    """For some time, or until the other one has taken over."""
    until = time.monotonic() + trial.rng.uniform(*AWAY)
    trial.until(lambda: time.monotonic() > until or trial.number > before)


def _outcome(trial: SharedTrial, hit: Process, before: int) -> None:
    """Either the other one takes over, or whoever was hit goes on: it takes something, and holds its lease again."""
    healed = time.time()

    def is_decided() -> bool:
        trial.record.look()
        return trial.number > before or trial.record.last.get(before, 0.0) > healed + LEASE

    trial.until(is_decided)
    if trial.number > before:
        trial.taken_over(before)
        _go_on(trial)
        _replaced(trial, hit, before)
    else:
        trial.disruption = None
        trial.gone_on += 1


def _replaced(trial: SharedTrial, old: Process, life: int) -> None:
    """It ends by itself. What it had sent, and nobody has answered, is known only then."""
    trial.wait_until_ended(old)
    if not old.is_over:
        old.send(signal.SIGKILL)
        trial.until(lambda: old.is_over)
    if trial.serving is not None and trial.serving.node != old.node:
        trial.settle_accounts(old.node, life)
