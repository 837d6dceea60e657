"""What goes wrong between two nodes and their database, and when.

An aim plays a round up to an instant, by chance within what it aims at, and does something to a node. The other one
must adopt its people by itself, or it does so when it has been started again; meanwhile the client goes on asking both.
Where a kill fell is told by evidence alone.

    work, commit, settle, release   SIGKILL, as for a single relay
    take over   SIGKILL twice: of one, and of the other while it adopts
    drain       SIGTERM: as when nodes are renewed in turn
    pause       SIGSTOP until the other one has adopted and everything is different: people rest who did not, phones
                have new tokens. Then SIGCONT
    refuse      connections to the database are closed, and new ones refused; of one node, or of both
    hole        neither bytes nor an end of any connection pass between node and database; likewise
    database    the server is stopped as in a crash, and started again

A cut or a restart may be over before the lease is: then the node goes on.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from bench.crash.people import Kind, Officer
from relay.store.port import LEASE

if TYPE_CHECKING:
    from bench.crash.shared.trial import SharedTrial

ANSWERS = 150
"""Answers to a load within which something happens; and some afterwards."""
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
ADOPTING = 0.3
"""Seconds from a burial within which people are adopted."""
SOON, LATE = 0.1, LEASE + 2.0
"""Seconds until a killed node is started again: it gets its people back itself; or the other one has adopted them."""
BRIEF, BOTH = 0.3, 0.2
"""How often a cut is over before the lease may be, or hits both nodes."""


def work(trial: SharedTrial, number: int) -> None:
    _load(trial, number, ANSWERS)
    _kill(trial, number, _either(trial))


def commit(trial: SharedTrial, number: int) -> None:
    """Some milliseconds after a large post has left, of the node that takes it."""
    _kill(trial, number, _post_large(trial, number))


def settle(trial: SharedTrial, number: int) -> None:
    """While thousands of verdicts come in from the fast sink."""
    _settle(trial, number)
    _kill(trial, number, _either(trial))


def release(trial: SharedTrial, number: int) -> None:
    """While those whose rest has ended at one instant are woken."""
    group = trial.force.release(number)
    trial.reader.know(group)
    trial.client.tell(do="release", round=number, seconds=RELEASE)
    trial.wait()
    _wait_for(trial, group)
    _kill(trial, number, _either(trial))


def take_over(trial: SharedTrial, number: int) -> None:
    """The other one dies too, at any instant at which it adopts."""
    _load(trial, number, ANSWERS)
    trial.nodes.pause(LATE)
    first = trial.disrupt("work", _either(trial), signal.SIGKILL)
    if trial.adopted(first):
        time.sleep(trial.rng.random() * ADOPTING)
        trial.nodes.pause(SOON)
        trial.disrupt("take over", 1 - first.process.node, signal.SIGKILL)
    _go_on(trial, number)


def drain(trial: SharedTrial, number: int) -> None:
    _load(trial, number, ANSWERS)
    drained = trial.disrupt("drain", _either(trial), signal.SIGTERM)
    drained.went_on = True
    trial.wait_until_ended(drained.process)
    _go_on(trial, number)


def pause(trial: SharedTrial, number: int) -> None:
    """At some instant of a release, of a settle, or of a commit."""
    node = _either(trial)
    group = _turn(trial, number, node)
    moment = trial.rng.choice(["release", "settle", "commit"])
    if moment == "release":
        _wait_for(trial, group[::2])
    elif moment == "settle":
        _settle(trial, number)
    else:
        _post_large(trial, number)
        trial.until(trial.database.is_written, MOMENT / 20)
    stopped = trial.disrupt("pause", node, signal.SIGSTOP)
    _begin_work(trial, number)
    if not trial.adopted(stopped):
        stopped.process.send(signal.SIGKILL)
        return
    _go_on(trial, number)
    _rest_again(trial, number, node)
    stopped.continued = time.time()
    stopped.process.send(signal.SIGCONT)
    trial.wait_until_ended(stopped.process)


def refuse(trial: SharedTrial, number: int) -> None:
    _cut(trial, number, "refuse")


def hole(trial: SharedTrial, number: int) -> None:
    _cut(trial, number, "hole")


def _cut(trial: SharedTrial, number: int, how: str) -> None:
    """Long enough for the other one to adopt, or not; and in the former case until the old one was tempted."""
    first = _either(trial)
    nodes = [first, 1 - first] if trial.rng.random() < BOTH else [first]
    _turn(trial, number, first)
    late = time.time() + LATER
    _load(trial, number, ANSWERS)
    cut = [trial.disrupt(how, node) for node in nodes]
    for node in nodes:
        trial.way(node, how)
    trial.owed_after(*cut)
    if len(cut) > 1 or trial.rng.random() < BRIEF:
        time.sleep(trial.rng.uniform(*AWAY))
    elif trial.adopted(cut[0]):
        _go_on(trial, number)
        _rest_again(trial, number, first)
        time.sleep(max(0.0, late - time.time()) + TEMPTED)
    for node in nodes:
        trial.way(node, "open")
    if trial.is_working:
        _go_on(trial, number)


def database(trial: SharedTrial, number: int) -> None:
    """Under load, or in a commit."""
    if trial.rng.random() < 0.5:
        _post_large(trial, number)
    else:
        _load(trial, number, ANSWERS)
    both = [trial.disrupt("database", node) for node in (0, 1)]
    trial.crash_server()
    _begin_work(trial, number)
    time.sleep(trial.rng.uniform(*AWAY))
    trial.start_server(*both)
    _go_on(trial, number)


AIMS: dict[str, Callable[[SharedTrial, int], None]] = {
    "work": work, "commit": commit, "settle": settle, "release": release, "take over": take_over, "drain": drain,
    "pause": pause, "refuse": refuse, "hole": hole, "database": database,
}  # fmt: skip
# --- before


def _either(trial: SharedTrial) -> int:
    return trial.rng.randrange(2)


def _begin_work(trial: SharedTrial, number: int) -> None:
    """The mixed load of a round, if it has not begun."""
    if not trial.is_working:
        trial.is_working = True
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

    if not trial.until(are_answered):
        trial.faults.append(f"life {trial.number}: nobody answers any more")


def _post_large(trial: SharedTrial, number: int) -> int:
    """Under some load; the node that takes it."""
    _load(trial, number, ANSWERS // 3)
    before = len(trial.client.sent)
    trial.client.tell(do="large", round=number, classes=["message", "roster"])
    trial.until(lambda: len(trial.client.sent) > before, MOMENT / 20)
    time.sleep(trial.rng.random() * trial.commit_seconds * MOST)
    return trial.client.sent[-1]


def _settle(trial: SharedTrial, number: int) -> None:
    trial.client.tell(do="large", round=number, classes=["message"])
    began = time.time()
    trial.wait()
    trial.commit_seconds = time.time() - began
    _wait_for(trial, trial.force.crowd)


def _turn(trial: SharedTrial, number: int, node: int) -> list[Officer]:
    """People whose rest is over soon, or later; some have a phone that is dead for the providers of this node."""
    group = trial.force.turn(number)
    trial.reader.know(group)
    dead = [officer.phones[1].token for officer in group if officer.kind is Kind.REVIVED]
    trial.installations[node].providers.call_dead(dead)
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


def _kill(trial: SharedTrial, number: int, node: int) -> None:
    trial.nodes.pause(trial.rng.choice([SOON, LATE]))
    killed = trial.disrupt("work", node, signal.SIGKILL)
    _begin_work(trial, number)
    trial.adopted(killed)
    _go_on(trial, number)


def _go_on(trial: SharedTrial, number: int) -> None:
    """Whoever is there answers."""
    _begin_work(trial, number)
    _some_answers(trial, trial.rng.randrange(ANSWERS))


def _rest_again(trial: SharedTrial, number: int, away: int) -> None:
    """At the other node, when it has nothing to do any more: what is seen later has left later."""
    trial.rest()
    trial.steady(trial.nodes.now[away])
    trial.client.tell(do="again", round=number)
    trial.wait()
