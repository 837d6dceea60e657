"""The messenger's backend and the settings service: what they ask of the relay, by the real door, and what they note.

Both follow the README's table: what is answered 429 or 503, or not at all, is asked again until there is an answer.
Edits of devices are made one after the other, and so are those of one user's plan; so at any time at most one edit of
each kind is in doubt. An event is repeated with its Idempotency-Key if it has one; without, it may count twice.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import count
from random import Random
from typing import Any
from urllib.parse import quote

import trio

from bench.simulation.asking import REMEMBERED, Asker
from bench.simulation.clock import Clocks
from bench.simulation.judge import Judge
from bench.simulation.ledger import Answered, Ledger, Notice, User
from bench.simulation.rests import REACHABLE, Kind, Plan
from bench.simulation.trace import Trace

Home = Mapping[str, str]
"""Device → token; empty: a PC that cannot be woken."""


class Backend:
    """Who asks."""

    def __init__(
        self, asker: Asker, ledger: Ledger, judge: Judge, clocks: Clocks, trace: Trace, rng: Random,
        nursery: trio.Nursery, delivered: Callable[[], Awaitable[None]] | None = None,
    ) -> None:  # fmt: skip
        """`delivered`: return when what nodes have posted for one another until now has reached them. None: there is
        one, and what is answered holds.
        """
        self._delivered = delivered
        self._asker = asker
        self._ledger = ledger
        self._judge = judge
        self._clocks = clocks
        self._trace = trace
        self._rng = rng
        self._nursery = nursery
        self._numbers = count(1)
        self._devices = trio.Lock()
        self._plans: defaultdict[str, trio.Lock] = defaultdict(trio.Lock)
        self._cursor = 0
        self._receipts: dict[str, float] = {}
        """And when they were asked for, by true time."""

    # --- events

    async def post(
        self, users: Sequence[User], kind: Kind, *, ttl: float | None = None, device: str | None = None,
        dated: bool = False, named: bool = True,
    ) -> None:  # fmt: skip
        """One event. `dated`: with `at`; `named`: with an Idempotency-Key."""
        content: dict[str, Any] = {"class": kind.name, "users": [user.name for user in users]}
        if device is not None:
            content = {"class": kind.name, "user": users[0].name, "device": device}
        if kind.pierces or kind.through:
            content |= {"role": "dispatch", "reason": "incident"}
        if ttl is not None:
            content["ttl"] = ttl
        if dated:
            content["at"] = self._clocks.true()
        notices = [self._ledger.post(user, kind, self._clocks.true(), ttl, device) for user in users]
        once = f"n{next(self._numbers)}" if named or kind.pierces or kind.through else None
        sure = [self._has_phone(notice) for notice in notices]
        named_as = f"{kind.name} {notices[0].number} for {','.join(user.name for user in users)}"
        self._trace.say(f"post {named_as}")
        answer, attempts = await self._asker.insist(
            "POST", "/v1/events", content, once=once, repeats=lambda: self._ledger.doubt(kind, len(users))
        )
        for notice in notices:
            notice.answered = self._clocks.true()
        if answer.status != 202:
            is_wrong_clock = self._clocks.set_at >= notices[0].posted or not self._clocks.are_right
            if not (dated and answer.status == 422 and is_wrong_clock):  # it says that this is tomorrow
                self._asker.expect(answer, 202)
            if attempts == 1:
                for notice in notices:
                    notice.state = Answered.REFUSED
            return
        self._trace.say(f"taken {named_as}: {answer.content['accepted']}")
        self._taken(notices, sure, answer.content)
        self._judge.acknowledged()

    def _has_phone(self, notice: Notice) -> tuple[bool, bool]:
        """Whether its user perhaps has a phone that it is for, and surely."""
        found = [
            any(token for device, token in home.items() if notice.device in (None, device))
            for home in notice.user.homes
        ]
        dead = any(token in self._ledger.dead for home in notice.user.homes for token in home.values())
        return any(found), all(found) and not dead

    def _taken(self, notices: Sequence[Notice], before: Sequence[tuple[bool, bool]], content: dict[str, Any]) -> None:
        """Work out whose notices were taken; where that cannot be known they stay in doubt."""
        if receipt := content.get("receipt"):
            self._receipts[receipt] = notices[0].written  # it may have been taken then, and answered after a sleep
        self._judge.news()
        self._ledger.told += content["accepted"]
        now = [self._has_phone(notice) for notice in notices]
        changed = [notice.user.changed >= notice.posted for notice in notices]
        surely = [a[1] and b[1] and not c for a, b, c in zip(before, now, changed, strict=True)]
        perhaps = [a[0] or b[0] or c for a, b, c in zip(before, now, changed, strict=True)]
        if not sum(surely) <= content["accepted"] <= sum(perhaps):
            self._trace.fail("a post was taken for another number of people than have a phone")
            return
        for notice, is_sure, may_be in zip(notices, surely, perhaps, strict=True):
            if is_sure or (may_be and content["accepted"] == sum(perhaps)):
                self._ledger.take(notice)
                self._nursery.start_soon(self._judge.expect, notice)
            elif not may_be or content["accepted"] == sum(surely):
                notice.state = Answered.REFUSED

    async def read(self, user: User, active_for: float | None = None) -> None:
        """Its user has read everything."""
        before = [n for n in user.notices if n.kind.cancellable and n.state is not Answered.REFUSED]
        sure = [n for n in before if n.state is Answered.TAKEN]
        content: dict[str, Any] = {"user": user.name}
        if active_for is not None:
            content["active_for"] = active_for
            user.reads_until = float("inf")
        self._ledger.end(before, "read", surely=False)
        self._trace.say(f"{user.name} reads")
        answer, _ = await self._asker.insist("POST", "/v1/seen", content)
        if active_for is not None:
            user.reads_until = trio.current_time() + active_for
        self._asker.expect(answer, 202)
        await self._delivery()
        later = [n for n in user.notices if n.kind.cancellable and n not in before]
        self._ledger.end(later, "read", surely=False)
        self._ledger.end([n for n in sure if self._was_known(n)], "read")

    async def _delivery(self) -> None:
        """What a node has taken for people of another is in force when that has fetched it."""
        if self._delivered is not None:
            await self._delivered()

    def _was_known(self, notice: Notice) -> bool:
        """No clock stood otherwise since it was posted: what counts as older is older."""
        return self._clocks.set_at < notice.posted and self._clocks.are_right

    async def confirm(self, user: User) -> None:
        """All devices of a user have obeyed."""
        before = [n for n in user.notices if n.kind.renewal and n.state is not Answered.REFUSED]
        self._ledger.end(before, "confirmed", surely=False)
        sure = [n for n in before if n.state is Answered.TAKEN]
        self._trace.say(f"{user.name} confirms")
        answer, _ = await self._asker.insist("POST", "/v1/confirmed", {"user": user.name})
        self._asker.expect(answer, 202)
        await self._delivery()
        self._ledger.end([n for n in user.notices if n.kind.renewal and n not in before], "confirmed", surely=False)
        self._ledger.end([n for n in sure if self._was_known(n)], "confirmed")

    # --- plans

    async def plan(self, user: User, plan: Plan | None) -> None:
        """Hand in a plan, or take it back."""
        async with self._plans[user.name]:
            target = f"/v1/users/{quote(user.name)}/rest"
            self._judge.news()  # what has died until now did so under the plan before
            self._ledger.may_rest(user, plan or REACHABLE)
            if plan is None:
                answer, _ = await self._asker.insist("DELETE", target, key="rest")
                self._asker.expect(answer, 204, 404)
            else:
                answer, _ = await self._asker.insist("PUT", target, plan.document, key="rest")
                if answer.status == 409:
                    self._ledger.rests(user, user.plans[0])  # it leaves no minute for weeks
                    return
                self._asker.expect(answer, 200, 201)
            self._ledger.rests(user, plan or REACHABLE)

    async def look(self, user: User) -> None:
        """The plan that the relay knows is the one that was handed in."""
        async with self._devices, self._plans[user.name]:
            known, found = user.plans[-1], REACHABLE.document
            token = await self._asker.token(user.name)
            if token is not None:
                answer, _ = await self._asker.insist("GET", "/v1/me/rest", token=token)
                found = REACHABLE.document if answer.status == 404 else answer.content
            if found != known.document:
                self._trace.fail("the relay knows another plan than was handed in", user.name)

    # --- devices

    async def register(self, homes: Mapping[str, Home]) -> None:
        """Give users exactly these devices, in one request."""
        async with self._devices:
            content = {"users": {name: {"devices": _listed(home)} for name, home in homes.items()}}
            self._may_have(homes)
            answer, _ = await self._asker.insist("PUT", "/v1/devices", content)
            self._asker.expect(answer, 200)
            self._has(homes)

    async def device(self, user: User, device: str, token: str) -> None:
        """Register one, with a token that somebody else may have: that one loses it."""
        async with self._devices:
            homes = self._without(token) if token else {}
            homes[user.name] = {**homes.get(user.name, user.homes[-1]), device: token}
            self._may_have(homes)
            target = f"/v1/users/{quote(user.name)}/devices/{quote(device)}"
            answer, _ = await self._asker.insist("PUT", target, _device(token))
            self._asker.expect(answer, 200, 201)
            if len(homes) > 1:
                await self._delivery()
            self._has(homes)

    async def remove(self, user: User, device: str) -> None:
        async with self._devices:
            home = {name: token for name, token in user.homes[-1].items() if name != device}
            self._may_have({user.name: home})
            answer, _ = await self._asker.insist("DELETE", f"/v1/users/{quote(user.name)}/devices/{quote(device)}")
            self._asker.expect(answer, 204, 404)
            self._has({user.name: home})

    async def forget(self, user: User) -> None:
        """Delete a user with all that waits."""
        async with self._devices, self._plans[user.name]:
            before = [n for n in user.notices if n.state is not Answered.REFUSED]
            sure = [n for n in before if n.state is Answered.TAKEN]
            self._ledger.end(before, "deleted", surely=False)
            self._may_have({user.name: {}})
            self._ledger.may_rest(user, REACHABLE)
            answer, _ = await self._asker.insist("DELETE", f"/v1/users/{quote(user.name)}")
            self._asker.expect(answer, 204, 404)
            await self._delivery()
            self._ledger.end([n for n in user.notices if n not in before], "deleted", surely=False)
            self._ledger.end(sure, "deleted")
            self._has({user.name: {}})
            self._ledger.rests(user, REACHABLE)

    def _may_have(self, homes: Mapping[str, Home]) -> None:
        self._judge.news()
        for name, home in homes.items():
            self._ledger.may_have(self._ledger.users[name], home)

    def _has(self, homes: Mapping[str, Home]) -> None:
        for name, home in homes.items():
            self._ledger.has(self._ledger.users[name], home)

    def _without(self, token: str) -> dict[str, Home]:
        """Everybody who has the token, as they are without it."""
        owners = {user.name: user for user, _ in self._ledger.owners(token)}
        return {
            name: {device: known for device, known in user.homes[-1].items() if known != token}
            for name, user in owners.items()
        }

    # --- what is told back

    async def hear(self) -> list[tuple[User, str]]:
        """Ask which devices are gone; those that the ledger still has."""
        answer, _ = await self._asker.insist("GET", f"/v1/feedback?after={self._cursor}")
        if not self._asker.expect(answer, 200):
            return []
        self._cursor = max(self._cursor, answer.content["after"])
        told = [(self._ledger.users[gone["user"]], gone["device"]) for gone in answer.content["devices"]]
        return [(user, device) for user, device in told if user.homes[-1].get(device) in self._ledger.dead]

    async def follow_up(self) -> None:
        """Ask what became of some alarms: for most of a day that is known, and the parts add up."""
        if not self._receipts:
            return
        receipt = self._rng.choice(list(self._receipts))
        answer, _ = await self._asker.insist("GET", f"/v1/alarms/{receipt}")
        is_old = self._clocks.true() - self._receipts[receipt] > REMEMBERED
        if self._asker.expect(answer, 200, *([404] if is_old else [])) and answer.status == 200:
            told = answer.content
            parts = sum(told[part] for part in ("handed_over", "no_device", "failing", "pending"))
            if parts != told["recipients"] or min(told.values()) < 0:
                self._trace.fail("the totals of an alarm do not add up")


def _listed(home: Home) -> dict[str, object]:
    return {device: _device(token) for device, token in home.items()}


def _device(token: str) -> dict[str, str]:
    if not token:
        return {"platform": "none"}
    app, platform = ("android", "fcm") if ":" in token else ("ios", "apns")
    return {"platform": platform, "app": app, "token": token}
