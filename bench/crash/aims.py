"""How a kill is brought to fall into a phase, and how it is known afterwards that it did.

An aim plays a life up to the instant of the kill, by chance within what it aims at, and by what can be seen from
outside. Where the kill fell is told by evidence alone (`fell`): a kill that comes too early or too late counts for what
it hit.

    start       the relay had not said that it is ready
    drain       it had said that it drains, and was still there
    checkpoint  the log's index says that pages are on their way into the file: more attempted than moved
    commit      pages in the log belong to no finished commit; or the large post has left and was never answered
    release     some of the phones of one release were woken, and not all
    settle      phones were woken in this life, of which the database does not know it
    work        none of these
    over        it had drained, and ended in order, before the signal came: no kill
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import TYPE_CHECKING

from bench.crash.case import OVER
from bench.crash.installation import LOOK, PATIENCE
from bench.crash.relays import Relay

if TYPE_CHECKING:
    from bench.crash.case import Life
    from bench.crash.people import Officer
    from bench.crash.trial import Trial

ANSWERS = 200
"""Answers to a load within which a kill falls."""
MOMENT = 0.02
"""Seconds after one."""
DRAIN = 0.05
"""Seconds after SIGTERM within which a kill falls."""
RELEASE = 0.7
"""Least seconds of rest before a release."""
GROWTH, WITHOUT_END = 16, 10_000
"""Megabytes by which the log grows before a quiet moment; and until it is moved under load."""
SOON = 0.0005
"""Seconds between two looks at what lasts milliseconds."""
TRIES = 3
MOST = 0.8
"""Part of a release or of a crowd's wakeups within which the kill falls."""


def work(trial: Trial, relay: Relay, number: int) -> None:
    """Under a mixed load."""
    trial.wait_until_ready(relay)
    _load(trial, number, ANSWERS)


def _load(trial: Trial, number: int, most: int) -> None:
    """Begin the load of a round; until so many answers have come, at most, and a moment more."""
    trial.client.tell(do="work", round=number)
    wanted = trial.record.answered + trial.rng.randrange(most)

    def are_answered() -> bool:
        trial.record.look()
        return trial.record.answered >= wanted

    until(are_answered)
    time.sleep(trial.rng.random() * MOMENT)


def start(trial: Trial, relay: Relay, number: int) -> None:
    """Before it is ready, if it takes no shorter than the last one."""
    time.sleep(trial.rng.random() * trial.start_seconds * MOST)


def drain(trial: Trial, relay: Relay, number: int) -> None:
    work(trial, relay, number)
    relay.terminate()
    until(lambda: relay.has_said('"drain_began"'))
    time.sleep(trial.rng.random() * DRAIN)


def commit(trial: Trial, relay: Relay, number: int) -> None:
    """Under load, some milliseconds after a large post has left."""
    trial.wait_until_ready(relay)
    _load(trial, number, ANSWERS // 4)
    trial.client.tell(do="large", round=number, classes=["message", "roster"])
    until(lambda: "sent" in trial.client.hear())
    time.sleep(trial.rng.random() * trial.commit_seconds * MOST)


def settle(trial: Trial, relay: Relay, number: int) -> None:
    """While thousands of verdicts come in from the fast sink."""
    trial.wait_until_ready(relay)
    trial.client.tell(do="large", round=number, classes=["message"])
    began = time.time()
    trial.client.wait()
    trial.commit_seconds = time.time() - began
    _wait_for(trial, trial.force.crowd)


def release(trial: Trial, relay: Relay, number: int) -> None:
    """While those whose rest has ended at one instant are woken."""
    trial.wait_until_ready(relay)
    group = trial.force.release(number)
    trial.know(group)
    trial.client.tell(do="release", round=number, seconds=RELEASE)
    trial.client.wait()
    _wait_for(trial, group)


def quiet(trial: Trial, relay: Relay, number: int) -> None:
    """While a relay that has nothing to do any more moves its log into the file: then everything is booked."""
    trial.wait_until_ready(relay)
    _load(trial, number, ANSWERS)
    trial.client.tell(do="rest")
    trial.client.wait()
    for _ in range(TRIES):
        trial.client.tell(do="grow", megabytes=GROWTH)
        trial.client.wait()
        until(partial(_moves, relay, relay.log_bytes), SOON)
        if relay.is_moving:
            return


def _moves(relay: Relay, before: int) -> bool:
    """It moves its log, or has done so since that had so many bytes."""
    return relay.is_moving or relay.log_bytes < before


def full(trial: Trial, relay: Relay, number: int) -> None:
    """While a relay under load moves a log that has become too large."""
    trial.wait_until_ready(relay)
    trial.client.tell(do="grow", megabytes=WITHOUT_END)
    until(lambda: relay.is_moving, SOON)


AIMS: dict[str, Callable[[Trial, Relay, int], None]] = {
    "work": work, "start": start, "drain": drain, "commit": commit, "settle": settle, "release": release,
    "quiet": quiet, "full": full,
}  # fmt: skip
SHARES = {
    "work": 4,
    "start": 2,
    "drain": 2,
    "commit": 3,
    "settle": 2,
    "release": 2,
    "quiet": 1,
    "full": 1,
    "migrate": 3,
}
"""How many of twenty rounds are aimed at what."""


def drawn(rounds: int, rng: Random, only: Sequence[str] = (), shares: Mapping[str, int] = SHARES) -> list[str]:
    """An aim for each round."""
    every = list(only) if only else [aim for aim, share in shares.items() for _ in range(share)]
    some = every * (rounds // len(every))
    some += rng.sample(every, rounds % len(every))
    return rng.sample(some, len(some))


def until(satisfied: Callable[[], bool], pause: float = LOOK) -> None:
    """Look again and again, with patience; what does not come is judged afterwards."""
    deadline = time.monotonic() + PATIENCE
    while not satisfied() and time.monotonic() < deadline:
        time.sleep(pause)


def _wait_for(trial: Trial, group: Sequence[Officer]) -> None:
    """Until a part of a group is woken in this life."""
    tokens = {phone.token for officer in group for phone in officer.phones}
    wanted = trial.rng.randrange(1, int(MOST * len(tokens)))

    def are_woken() -> bool:
        trial.sightings.look(trial.number)
        return sum(1 for token in tokens if trial.sightings.of(token, trial.number)) >= wanted

    until(are_woken)


@dataclass(frozen=True, slots=True)
class Remains:
    """What was seen of the relay when it had just died."""

    relay: Relay
    moving: bool
    torn: int


def fell(trial: Trial, life: Life, remains: Remains, group: Sequence[str]) -> str:
    """Where the kill fell. `group`: tokens of those who were to be released in this life."""
    unanswered = life.aim == "commit" and any(
        asked.key.startswith("large") and asked.in_life(life.number) == "unknown" for asked in trial.record.of("post")
    )
    woken = sum(1 for token in group if trial.sightings.of(token, life.number))
    unbooked = any(
        (officer.name, phone.device) in life.left.due and trial.sightings.of(phone.token, life.number)
        for officer in trial.force.crowd
        for phone in officer.phones
    )
    evidence = {
        OVER: remains.relay.code == 0,
        "start": not remains.relay.is_ready,
        "drain": remains.relay.has_said('"drain_began"') and not remains.relay.has_said('"relay_stopped"'),
        "checkpoint": remains.moving,
        "commit": bool(remains.torn) or unanswered,
        "release": 0 < woken < len(group),
        "settle": unbooked,
    }
    return next((phase for phase, holds in evidence.items() if holds), "work")
