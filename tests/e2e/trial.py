"""Many lives of one relay on one database: load, SIGKILL, start again; and what was seen of it meanwhile."""

from __future__ import annotations

import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import Literal

import pytest
import trio

from tests.e2e.force import Backend, Force, Kind, Ledger, Officer, Post
from tests.e2e.installation import Installation, register, set_rest
from tests.e2e.phones import POLL, Sightings
from tests.e2e.processes import PATIENCE, Child

LOAD = 0.4
"""Seconds of load within which a kill falls."""
DRAIN = 0.1
"""Seconds after SIGTERM within which a kill falls."""
ASLEEP_AFTER, AWAKE_AFTER = 12.0, 15.0
"""Seconds after the beginning at which some begin to rest, and others are reachable again."""
ROUNDING = 0.002
"""Seconds: journals have milliseconds."""
ALWAYS_RESTING = frozenset({Kind.RESTING, Kind.ALARMED, Kind.LEAVER})
_DAY = 86400

End = Literal["work", "start", "drain"]
"""What the relay is doing when it is killed."""


@dataclass(slots=True)
class Trial:
    """`sightings` are what reached Apple, `ledger` what clients know."""

    relay: Installation
    force: Force
    rng: Random
    sightings: Sightings = field(default_factory=Sightings)
    ledger: Ledger = field(default_factory=Ledger)
    began: float = field(default_factory=lambda: float(int(time.time())))
    kills: list[float] = field(default_factory=list)
    metrics: dict[tuple[str, ...], float] = field(default_factory=dict)
    """As told when everything owed had come."""
    start_seconds: float = 1.0
    """From the start of a process to its readiness, as measured in the first life."""

    @property
    def asleep_at(self) -> float:
        return self.began + ASLEEP_AFTER

    @property
    def awake_at(self) -> float:
        return self.began + AWAKE_AFTER

    # --- lives

    async def enlist(self) -> None:
        """Phones and rest of everybody; killed as soon as the last answer is there."""
        began = trio.current_time()
        async with self.relay.serving():
            self.start_seconds = trio.current_time() - began
            everybody = list(self.force.everybody())
            async with trio.open_nursery() as nursery:
                for part in range(6):
                    nursery.start_soon(self._enlist, everybody[part::6])

    async def _enlist(self, officers: list[Officer]) -> None:
        always = {"kind": "once", "start": _at(self.began - _DAY), "end": _at(self.began + 30 * _DAY)}
        windows = dict.fromkeys(ALWAYS_RESTING, always) | {
            Kind.FALLING_ASLEEP: always | {"start": _at(self.asleep_at)},
            Kind.WAKING_UP: always | {"end": _at(self.awake_at)},
        }
        async with self.relay.backend_client() as backend, self.relay.settings_client() as settings:
            for officer in officers:
                if officer.kind in windows:
                    await set_rest(settings, officer.name, windows[officer.kind])
                await register(backend, officer.name, *officer.tokens)

    def round(self, number: int, end: End) -> Callable[[], Awaitable[None]]:
        """A life under load, killed while it starts, works or drains."""

        async def live() -> None:
            async with self.relay.starting() as relay, trio.open_nursery() as nursery:
                if end == "start":
                    nursery.start_soon(self._kill, relay, self.rng.random() * self.start_seconds)
                if await _is_ready(relay):
                    if end != "start":
                        drain = self.rng.random() * DRAIN if end == "drain" else None
                        nursery.start_soon(self._kill, relay, self.rng.random() * LOAD, drain)
                    await Backend(self.relay, self.ledger, self.rng).work(self.force.plan(number, self.rng))
                assert await relay.ended() in (-signal.SIGKILL, 0), "ended on its own account"

        return live

    async def _kill(self, relay: Child, seconds: float, drain: float | None = None) -> None:
        await trio.sleep(seconds)
        if drain is not None:
            relay.terminate()
            await trio.sleep(drain)
        self.kills.append(time.time())
        relay.kill()

    async def finish(self) -> None:
        """Repeat what may be repeated, wait for what is owed, and stop in order."""
        async with self.relay.serving() as relay:
            await Backend(self.relay, self.ledger, self.rng).repeat()
            assert not self.ledger.open_keys()
            async with self.relay.backend_client() as backend:
                for officer in self.force.leavers:
                    answer = await backend.ask("DELETE", f"/v1/users/{officer.name}/devices/phone0")
                    assert answer.status == 204
            try:
                await self.sightings.until(lambda: not self.missing())
            except trio.TooSlowError:
                pytest.fail(f"acknowledged, and not woken for: {self.missing()[:3]}")
            await self._is_quiet()
            relay.terminate()
            assert await relay.ended() == 0

    async def _is_quiet(self) -> None:
        """Wait until no wakeup is queued or without an answer, and all verdicts are booked."""
        names = ("feierabend_lane_queued", "feierabend_lane_in_flight", "feierabend_verdicts_waiting")
        with trio.fail_after(PATIENCE):
            while True:
                self.metrics = await self.relay.metrics()
                if not any(value for (name, *_), value in self.metrics.items() if name in names):
                    return
                await trio.sleep(POLL)

    async def once_more(self) -> None:
        """What is settled stays settled: after another start only something new wakes anybody."""
        async with self.relay.serving() as relay:
            witness = self.force.witness
            post = Post("message", (witness,))
            await Backend(self.relay, Ledger(), self.rng).work(iter([post]), connections=1)
            await self.sightings.until(lambda: self.woken_since(witness, post.sent_at))
            relay.terminate()
            assert await relay.ended() == 0

    # --- what came of it

    def woken_since(self, officer: Officer, instant: float) -> bool:
        """Each phone of the officer was woken after an instant."""
        by_token = self.sightings.by_token
        return all(any(t >= instant - ROUNDING for t in by_token.get(phone, ())) for phone in officer.tokens)

    def missing(self) -> list[tuple[Officer, Post]]:
        """Acknowledged notices without a wakeup, and without a reason why there need be none."""
        return [
            (officer, post)
            for post in self.ledger.posts
            if post.acknowledged
            for officer in post.officers
            if not (self.may_rest(officer, post) or self.ledger.may_end(officer, post))
            and not self.woken_since(officer, post.sent_at)
        ]

    def may_rest(self, officer: Officer, post: Post) -> bool:
        """The notice may wait for the end of a rest that lies beyond the test."""
        return post.event_class != "alarm" and officer.kind in {*ALWAYS_RESTING, Kind.FALLING_ASLEEP}


def _at(instant: float) -> str:
    return datetime.fromtimestamp(instant, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


async def _is_ready(relay: Child) -> bool:
    try:
        await relay.line("relay_started")
    except AssertionError:
        return False
    return True
