"""A small force under load: who belongs to it, what is posted to whom, and what the client knows of each post."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from random import Random

import trio

from tests.e2e.client import Client, NoAnswer, NotSent
from tests.e2e.installation import Installation
from tests.e2e.phones import token


class Kind(Enum):
    """What distinguishes the people, and with it what may happen to their events."""

    ONCE = "gets one event in the whole test"
    OFTEN = "gets many events"
    READER = "gets many events, and reads some"
    RESTING = "rests all the time"
    ALARMED = "rests all the time, and gets alarms"
    LEAVER = "rests, and gives the only phone back before the end of it"
    FALLING_ASLEEP = "rests from an instant in the middle of the test"
    WAKING_UP = "rests until an instant in the middle of the test"


@dataclass(frozen=True, slots=True)
class Officer:
    name: str
    kind: Kind
    tokens: tuple[str, ...]


@dataclass(slots=True)
class Post:
    """One request for events, and how it ended as far as its client can know."""

    event_class: str
    officers: tuple[Officer, ...]
    key: str = ""
    """Idempotency-Key; such a request is repeated until it is answered."""
    ttl: float | None = None
    sent_at: float = 0.0
    """Of the first attempt."""
    acknowledged: bool = False
    receipt: str = ""
    """Of an alarm that was acknowledged."""
    unanswered: bool = False
    """It left, and no answer came: taken, or not."""


@dataclass(slots=True)
class Ledger:
    """Everything the clients did."""

    posts: list[Post] = field(default_factory=list)
    read: dict[str, float] = field(default_factory=dict)
    """Officer → until when everything was reported as seen, if the report was taken."""
    answers: set[bytes] = field(default_factory=set)
    """Bodies of answers to posts for one person, without the receipt of an alarm."""

    def open_keys(self) -> list[Post]:
        return [post for post in self.posts if post.key and not post.acknowledged]

    def may_end(self, officer: Officer, post: Post) -> bool:
        """The notice may have ended without a wakeup: by its own life, or because it was read."""
        return post.event_class != "alarm" and (
            post.ttl is not None or post.sent_at <= self.read.get(officer.name, 0.0)
        )

    def notices(self, wanted: Callable[[Officer, Post], bool]) -> range:
        """How many notices of a kind the relay has taken: the acknowledged ones, and perhaps some without an answer."""
        known = unknown = 0
        for post in self.posts:
            count = sum(1 for officer in post.officers if wanted(officer, post))
            known += count * post.acknowledged
            unknown += count * (post.unanswered and not post.acknowledged)
        return range(known, known + unknown + 1)

    def of(self, officer: Officer) -> list[Post]:
        return [post for post in self.posts if officer in post.officers]


class Force:
    """`rounds` cohorts of people who get their events in one round, and some who get events in all of them."""

    def __init__(self, rounds: int) -> None:
        self._count = 0
        self.cohorts = [
            [self._hire(Kind.ONCE, 12), self._hire(Kind.OFTEN, 8), self._hire(Kind.READER, 4)] for _ in range(rounds)
        ]
        self.resting = self._hire(Kind.RESTING, 8)
        self.alarmed = self._hire(Kind.ALARMED, 4)
        self.leavers = self._hire(Kind.LEAVER, 4)
        self.falling_asleep = self._hire(Kind.FALLING_ASLEEP, 6)
        self.waking_up = self._hire(Kind.WAKING_UP, 6)
        self.witness = self._hire(Kind.ONCE, 1)[0]
        """Gets the very last event."""

    def _hire(self, kind: Kind, count: int) -> list[Officer]:
        hired = []
        for _ in range(count):
            self._count += 1
            phones = 1 if kind is Kind.LEAVER else self._count % 3 + 1
            tokens = tuple(token(self._count * 10 + phone) for phone in range(phones))
            hired.append(Officer(f"officer{self._count}", kind, tokens))
        return hired

    def everybody(self) -> Iterator[Officer]:
        for cohort in self.cohorts:
            for some in cohort:
                yield from some
        yield from (*self.resting, *self.alarmed, *self.leavers, *self.falling_asleep, *self.waking_up)
        yield self.witness

    def plan(self, number: int, rng: Random) -> Iterator[Post]:
        """What is posted in a round, without end."""
        once, often, readers = self.cohorts[number]
        fresh = list(once)
        others = [*self.resting, *self.leavers, *self.falling_asleep, *self.waking_up]
        for index in range(1_000_000):
            key = f"{number}-{index}"
            choice = rng.random()
            if fresh and choice < 0.25:
                yield Post("message", (fresh.pop(),), key=key if choice < 0.08 else "")
            elif choice < 0.55:
                yield Post("message" if choice < 0.45 else "roster", (rng.choice([*often, *readers]),))
            elif choice < 0.65:
                yield Post("message", tuple(rng.sample(often, 5)), key=key if choice < 0.6 else "")
            elif choice < 0.7:
                yield Post("message", (rng.choice(often),), ttl=0.2)
            elif choice < 0.75:
                yield Post("alarm", (rng.choice([*often, *self.alarmed]),), key=key)
            else:
                yield Post("message", (rng.choice([*others, *self.alarmed]),))


class Drained(Exception):
    """The relay takes nothing more: nothing of the request was taken."""


class Backend:
    """Posts a plan from several connections until the relay is gone, and keeps the ledger."""

    def __init__(self, relay: Installation, ledger: Ledger, rng: Random) -> None:
        self._relay = relay
        self._ledger = ledger
        self._rng = rng

    async def work(self, plan: Iterator[Post], connections: int = 5) -> None:
        repeated = self._ledger.open_keys()
        async with trio.open_nursery() as nursery:
            for _ in range(connections):
                nursery.start_soon(self._post, plan, repeated)

    async def repeat(self) -> None:
        """Only what was left without an answer and may be repeated."""
        await self._post(iter(()), self._ledger.open_keys())

    async def _post(self, plan: Iterator[Post], repeated: list[Post]) -> None:
        async with self._relay.backend_client() as client:
            try:
                while (post := repeated.pop() if repeated else next(plan, None)) is not None:
                    await self._send(client, post)
                    if post.officers[0].kind is Kind.READER and self._rng.random() < 0.3:
                        await self._read(client, post.officers[0])
            except (NotSent, NoAnswer, Drained):
                return

    async def _send(self, client: Client, post: Post) -> None:
        body: dict[str, object] = {"class": post.event_class, "users": [officer.name for officer in post.officers]}
        if len(post.officers) == 1:
            body = {"class": post.event_class, "user": post.officers[0].name}
        if post.event_class == "alarm":
            body |= {"role": "dispatch", "reason": "incident"}
        if post.ttl is not None:
            body["ttl"] = post.ttl
        if not post.sent_at:
            post.sent_at = time.time()
            self._ledger.posts.append(post)
        body["at"] = post.sent_at
        try:
            answer = await client.ask("POST", "/v1/events", body, {"idempotency-key": post.key} if post.key else None)
        except NoAnswer:
            post.unanswered = True
            raise
        if answer.status == 503:
            raise Drained
        assert answer.status == 202, answer
        told = answer.json()
        post.receipt = told.pop("receipt", "")
        assert bool(post.receipt) is (post.event_class == "alarm")
        assert told == {"accepted": len(post.officers), "unknown": 0}
        post.acknowledged = True
        if len(post.officers) == 1:
            self._ledger.answers.add(answer.body.replace(f',"receipt":"{post.receipt}"'.encode(), b""))

    async def _read(self, client: Client, officer: Officer) -> None:
        """The officer has read everything so far. Stands in the ledger once it is under way."""
        at = self._ledger.read[officer.name] = time.time()
        answer = await client.ask("POST", "/v1/seen", {"user": officer.name, "at": at})
        if answer.status == 503:
            raise Drained
        assert answer.status == 202, answer
