"""A relay on paper: `port.Relay` in memory, with the real evaluator, one officer and no phones that ring.

For tests of pages only; what the real one answers is tested in tests/e2e.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import count

from schedules import RuleError, Wake, acts, compile_table, parse, policy
from schedules.web.port import (
    Busy,
    Bypass,
    Changed,
    Code,
    Device,
    Document,
    Endless,
    Kept,
    Leaving,
    Missing,
    NotReachable,
    Opened,
    OpenSession,
    Piercing,
    Refused,
    Rejected,
    RelayFault,
    Secret,
    SignedOut,
    Support,
    Trace,
    WakeTest,
)

Act = Callable[[Document, float, float], Document]
LINK = Secret("link")
LIFE = 12 * 3600.0


@dataclass(slots=True)
class PaperRelay:
    """Knows one officer. `fault`: raised by whatever is asked next, once."""

    now: float
    document: Document | None = None
    version: int = 0
    notices: int = 0
    """Of the class `message`, that wait."""
    devices_: list[Device] = field(default_factory=list)
    bypasses_: tuple[Bypass, ...] = ()
    piercing_: tuple[Piercing, ...] = ()
    support_: Support = field(default_factory=lambda: Support(None, ()))
    tested_: WakeTest | None = None
    trace_: Trace | None = None
    has_room: bool = True
    """For another trace."""
    tests: int = 0
    """Left before it is too often."""
    good: set[str] = field(default_factory=set)
    """Secrets of sessions."""
    fault: RelayFault | None = None
    asked: list[str] = field(default_factory=list)
    _numbers: count[int] = field(default_factory=count)

    def _ask(self, session: Secret, what: str) -> None:
        self.asked.append(what)
        if self.fault is not None:
            fault, self.fault = self.fault, None
            raise fault
        if session.value not in self.good:
            raise SignedOut

    def begin(self) -> Opened:
        """A new session."""
        secret = f"me.session-{next(self._numbers)}"
        self.good.add(secret)
        return Opened(Secret(secret), LIFE)

    async def redeem(self, link: Secret) -> Opened:
        if link != LINK:
            raise Refused
        return self.begin()

    async def open(self, tenant: str, user: str) -> Opened:
        if (tenant, user) != ("example", "anna"):
            raise Refused
        return self.begin()

    async def sign_out(self, session: Secret) -> None:
        self._ask(session, "sign_out")
        self.good.discard(session.value)

    async def sessions(self, session: Secret) -> tuple[OpenSession, ...]:
        self._ask(session, "sessions")
        return tuple(
            OpenSession("session", self.now - 60, self.now - 30, self.now + LIFE, secret == session.value)
            for secret in sorted(self.good)
        )

    async def end_others(self, session: Secret) -> None:
        self._ask(session, "end_others")
        self.good = {session.value}

    async def waiting(self, session: Secret) -> int:
        self._ask(session, "waiting")
        is_rest = compile_table(parse(self.document or {}), self.now).at(self.now).resting
        return self.notices if is_rest else 0

    async def rest(self, session: Secret) -> Kept | None:
        self._ask(session, "rest")
        return None if self.document is None else Kept(self.document, self.version)

    async def save(self, session: Secret, document: Document, version: int | None, *, confirmed: bool = False) -> int:
        self._ask(session, "save")
        try:
            table = compile_table(parse(document), self.now)
        except RuleError as error:
            raise Rejected(error.problems) from None
        if not confirmed and policy.is_never_reachable(table, self.now):
            raise NotReachable
        return self._keep(document, version)

    def _keep(self, document: Document | None, version: int | None) -> int:
        if version != (None if self.document is None else self.version):
            raise Changed
        self.document = None if document is None else json.loads(json.dumps(document))
        self.version += 1
        return self.version

    async def delete_rest(self, session: Secret, version: int) -> None:
        self._ask(session, "delete_rest")
        if self.document is None:
            raise Missing
        self._keep(None, version)

    async def snooze(
        self, session: Secret, until: float, version: int | None, *, confirmed: bool = False
    ) -> int | None:
        self._ask(session, "snooze")
        after = acts.off_duty(self.document or {}, self.now, until)
        if not confirmed and policy.is_never_reachable(compile_table(parse(after), self.now), self.now):
            raise NotReachable
        return self._act(acts.off_duty, until, version)

    async def reachable(self, session: Secret, until: float | None, version: int | None) -> int | None:
        self._ask(session, "reachable")
        rest = compile_table(parse(self.document or {}), self.now).at(self.now)
        if until is None and not rest.resting:
            return self.version if self.document is not None else None
        end = until or rest.until
        if end is None:
            raise Endless
        return self._act(acts.reachable, end, version)

    def _act(self, act: Act, until: float, version: int | None) -> int:
        try:
            return self._keep(act(self.document or {}, self.now, until), version)
        except RuleError as error:
            raise Rejected(error.problems) from None

    async def effect(self, session: Secret, document: Document) -> tuple[Leaving, ...]:
        self._ask(session, "effect")
        before = compile_table(parse(self.document or {}), self.now).at(self.now)
        try:
            after = compile_table(parse(document), self.now).at(self.now)
        except RuleError as error:
            raise Rejected(error.problems) from None
        if not self.notices or not before.resting:
            return ()
        due = after.until if after.resting else self.now
        return (Leaving(self.notices, before.until, due),)

    async def devices(self, session: Secret) -> tuple[Device, ...]:
        self._ask(session, "devices")
        wakes = parse(self.document or {}).wakes
        return tuple(replace(device, wake=wakes.get(device.device, Wake.FOLLOW)) for device in self.devices_)

    async def wake(self, session: Secret, device: str, wake: Wake, version: int | None) -> int:
        self._ask(session, "wake")
        if device not in [known.device for known in self.devices_]:
            raise Missing
        document = dict(self.document or {})
        known = dict(document.get("devices", {}))  # type: ignore[call-overload]
        return self._keep({**document, "devices": {**known, device: {"wake": wake.value}}}, version)

    async def piercing(self, session: Secret) -> tuple[Piercing, ...]:
        self._ask(session, "piercing")
        return self.piercing_

    async def bypasses(self, session: Secret) -> tuple[Bypass, ...]:
        self._ask(session, "bypasses")
        return self.bypasses_

    async def test(self, session: Secret) -> None:
        self._ask(session, "test")
        if not self.tests:
            raise Busy(420.0)
        self.tests -= 1
        self.tested_ = WakeTest(self.now, ())

    async def tested(self, session: Secret) -> WakeTest | None:
        self._ask(session, "tested")
        return self.tested_

    async def trace(self, session: Secret) -> Trace | None:
        self._ask(session, "trace")
        return self.trace_

    async def begin_trace(self, session: Secret) -> None:
        self._ask(session, "begin_trace")
        if not self.has_room:
            raise Busy(7_000.0)
        self.trace_ = self.trace_ or Trace(self.now, self.now + 86_400, 200, 0, ())

    async def end_trace(self, session: Secret) -> None:
        self._ask(session, "end_trace")
        self.trace_ = None

    async def support(self, session: Secret) -> Support:
        self._ask(session, "support")
        return self.support_

    async def new_code(self, session: Secret) -> Code:
        self._ask(session, "new_code")
        self.support_ = replace(self.support_, until=self.now + 900)
        return Code("1234 5678", 900.0)

    async def end_code(self, session: Secret) -> None:
        self._ask(session, "end_code")
        self.support_ = replace(self.support_, until=None)

    async def export(self, session: Secret) -> bytes:
        self._ask(session, "export")
        return json.dumps({"rest": self.document}).encode()

    async def calendar(self, session: Secret, language: str) -> bytes:
        self._ask(session, f"calendar {language}")
        return b"BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n"

    async def delete_everything(self, session: Secret) -> None:
        self._ask(session, "delete_everything")
        self.document = None
        self.good.clear()
