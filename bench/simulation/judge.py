"""Who says whether the promises were kept, and knows nothing of the relay but the form of a batch.

    I1   every notice that was answered 202 was followed by a wakeup that a provider accepted, or has ended by something
         the backend knows; a 202 is never told before the disk has it. That an alarm's life is over ends it only where
         something was in the way all the while
    I2   no wakeup leaves to a device without a notice that may ring it: of a class for which its user does not rest, by
         the relay's clock as the write begins (clock.py); a write that took a while ends before the next rest
    I4   the books balance with every batch that becomes durable, never shrink, and say at the end what the ledger says

I2 is asked at every departure, as read off the wire (frames.py). That a device has been woken for a notice counts once
its answer has reached the relay and a batch drafted after that is on the disk: before, a crash may repeat it.

Of several nodes each wakes those whom it has by the database's word as the write begins, and writes about nobody else;
only an alarm may come from one that has lost its people since. What was booked by one no other repeats.
What it had not booked when it was killed, buried, or had handed them over without waiting any longer, the next may. A
process that is stopped from outside within a write, and goes on, ends that write: nobody could call it back.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import trio

from bench.simulation.books import Books
from bench.simulation.calm import Calm
from bench.simulation.clock import Clocks, Times
from bench.simulation.conduct import Conduct
from bench.simulation.frames import Departure
from bench.simulation.ledger import Answered, Ledger, Notice, User
from bench.simulation.pace import Pace
from bench.simulation.rests import Plan
from bench.simulation.stations import Alone, Registry, Station
from bench.simulation.trace import Trace
from relay.core.batch import Batch

SLOWEST_WRITE: Final = 10.0
"""Seconds from the last look to the end of a write."""
IN_TIME: Final = 330.0
"""Seconds after which a notice has rung where nothing is in the way: the longest hold, and a bit."""
AT_ONCE: Final = 5.0
"""The same of what rings in any rest, and is not held."""


class Judge:
    """Is told what leaves, what is answered, and what becomes durable."""

    def __init__(
        self, ledger: Ledger, clocks: Clocks, trace: Trace, calm: Calm, news: Callable[[], None], pace: Pace, *,
        echoes: bool, registry: Registry | None = None,
    ) -> None:  # fmt: skip
        """`news`: makes the providers tell what they have taken and refused until now. `registry`: None for one."""
        self.books = Books()
        self.conduct = Conduct(ledger, clocks, trace)
        self._ledger = ledger
        self._clocks = clocks
        self._registry: Registry = registry or Alone()
        self._trace = trace
        self._calm = calm
        self._pace = pace
        self.news = news
        self._echoes = echoes
        """The tenant posts `seen`: a wakeup whose life was cut is repeated."""
        self._flights: dict[tuple[str, int, int], tuple[Departure, list[Notice]]] = {}
        """(app, connection, stream) → what left, and what it stands for whatever else it does."""
        self._claims: dict[Departure, list[Notice]] = {}
        self._left_at: dict[str, float] = {}
        """Token → when the last wakeup for it left."""
        self._well_at = float("inf")
        """Since when nothing goes wrong any more, by true time."""
        self.departures = 0

    # --- the wire

    def departed(self, departure: Departure, station: Station) -> None:
        self.departures += 1
        self._left_at[departure.token] = departure.called
        owners = self._ledger.owners(departure.token)
        of = f"{station.name}{departure.app} {departure.connection}/{departure.stream}"
        self._trace.say(f"left {of} for {self._name(owners)} at {station.times.now():.3f}")
        reasons = [notice for owner in owners for notice in self._reasons(*owner, departure, station)]
        was_changed = departure.left > departure.called and self._ledger.has_changed(departure.token, departure.called)
        was_held = station.held_at >= departure.called
        if self._is_late_alarm(station, departure):
            self.conduct.estranged(departure)  # nobody need know better
        elif departure.left - departure.called > SLOWEST_WRITE and not was_held:
            self._trace.fail("a wakeup left more than ten seconds after the last look", self._name(owners))
        elif not reasons and not was_changed:
            self._trace.fail(self._what_is_wrong(owners, departure), self._name(owners))
        elif not was_changed and not self._is_entitled(station, reasons, departure.called):
            self._trace.fail("somebody was woken by a node that does not have them", self._name(owners))
        self._flights[departure.app, departure.connection, departure.stream] = departure, reasons
        self._claims[departure] = [
            notice
            for user, device in owners
            if all(home.get(device) == departure.token for home in user.homes)  # and not the one before or after
            for notice in user.open(departure.called)
            if notice.acked <= departure.called
            and self._is_for(notice, device)
            and self._stands_for(notice, device, station.times)
            and not self._registry.was_posted(user, departure.called)
        ]

    def _is_entitled(self, station: Station, reasons: list[Notice], called: float) -> bool:
        return any(self._registry.until(station, notice.user) >= called for notice in reasons)

    def _is_late_alarm(self, station: Station, departure: Departure) -> bool:
        """A node that has lost somebody, and perhaps does not know, rings for an alarm that was open then: rather twice
        than not at all."""
        for user in self._ledger.holders(departure.token):
            lost, now = self._registry.until(station, user), self._clocks.true()
            if lost < departure.called and any(
                notice.kind.pierces
                and notice.is_open(lost)
                and (
                    now - min(now, notice.answered) < notice.life + self._clocks.spread
                    or self._registry.was_posted(user, notice.posted)  # then it is as old as it was fetched
                )
                and (notice.kind.renewal or not notice.is_settled(departure.token, lost))
                for notice in user.notices
            ):
                return True
        return False

    def _reasons(self, user: User, device: str, departure: Departure, station: Station) -> list[Notice]:
        """Notices that may ring this device now."""
        return [
            notice
            for notice in user.open(departure.called)
            if self._is_for(notice, device)
            and (not notice.is_settled(departure.token, departure.called) or self._may_repeat(notice))
            and any(self._may_ring(plan, notice, device, departure, station) for plan in user.plans)
        ]

    def _is_for(self, notice: Notice, device: str) -> bool:
        return notice.device in (None, device)

    def _may_repeat(self, notice: Notice) -> bool:
        return notice.kind.renewal > 0 or (self._echoes and notice.kind.cancellable)

    def _may_ring(self, plan: Plan, notice: Notice, device: str, departure: Departure, station: Station) -> bool:
        """By the wall clock when the write began; and still when it ended, unless the clock was moved meanwhile, or the
        process was stopped in the middle of it, so that nobody could call it back."""
        wall, took = station.times.now(), departure.left - departure.called
        if station.times.set_at >= departure.called and took:
            return True
        began = plan.rings(wall - took, notice.kind, device)
        return began and (station.held_at >= departure.called or plan.rings(wall, notice.kind, device))

    def _stands_for(self, notice: Notice, device: str, times: Times) -> bool:
        """Whatever plan holds, the wakeup speaks of this notice too."""
        return all(plan.rings_surely(times.now(), notice.kind, device) for plan in notice.user.plans)

    def _what_is_wrong(self, owners: list[tuple[User, str]], departure: Departure) -> str:
        if not owners:
            return "a wakeup left to a device that is nobody's any more"
        open_notices = [n for user, device in owners for n in user.open(departure.called) if self._is_for(n, device)]
        if not open_notices:
            return "a wakeup left to somebody for whom nothing was pending"
        if all(n.is_settled(departure.token, departure.called) and not self._may_repeat(n) for n in open_notices):
            return "a device was woken again for what was booked"
        return "somebody was woken in rest without a bypass"

    def answered(self, departure: Departure, station: Station, *, accepted: bool) -> None:
        of = f"{station.name}{departure.app} {departure.connection}/{departure.stream}"
        self._trace.say(f"heard {of} {accepted}")
        self.conduct.heard(departure)
        if accepted:
            station.heard.append(departure)

    # --- the providers

    def accepted(self, app: str, connection: int, stream: int) -> None:
        """A provider has taken a wakeup, whether the relay knows or not."""
        found = self._flight(app, connection, stream)
        for notice in found[1] if found is not None else ():
            notice.rung = True

    def _flight(self, app: str, connection: int, stream: int) -> tuple[Departure, list[Notice]] | None:
        found = self._flights.get((app, connection, stream))
        if found is None:
            self._trace.fail("a provider was asked to wake nobody")
        return found

    def refused(self, app: str, connection: int, stream: int, why: str, *, is_final: bool, is_dead: bool) -> None:
        """A provider has refused one; for good, or for now."""
        found = self._flight(app, connection, stream)
        if found is None:
            return
        departure, _ = found
        self.conduct.refused(departure, is_dead=is_dead)
        self._trace.say(f"refused {app} {connection}/{stream} {why}")
        if is_dead:
            self._ledger.buried(departure.token)
        elif is_final:
            self._ledger.refused(departure)

    def objected(self, app: str, connection: int, stream: int, what: str, at: float) -> None:
        """A provider objected to a request."""
        found = self._flights.get((app, connection, stream))
        self.conduct.objected(app, what, at, None if found is None else found[0])

    # --- the disk

    def durable(self, batch: Batch, mark: int | None, station: Station) -> None:
        self._trace.say(f"durable {station.name}{batch.generation} {len(batch.slots)}")
        wrong = self.books.write(batch, station.node)
        if wrong is not None:
            self._trace.fail(wrong)
        if not self._registry.may_write(station, batch):
            self._trace.fail("a node has written about somebody whom it does not have")
        count = 0 if mark is None else mark - station.forgotten
        for departure in station.heard[: max(0, count)]:
            for notice in self._claims[departure]:
                if self._registry.until(station, notice.user) == float("inf"):
                    notice.settled.setdefault(departure.token, trio.current_time())
        if count > 0:
            del station.heard[:count]
            station.forgotten += count

    def ended(self) -> None:
        """The process of a relay has."""
        self.conduct.ended()

    def acknowledged(self) -> None:
        """A 202 has reached the backend."""
        if self.books.taken() < self._ledger.told:
            self._trace.fail("a 202 was told before it was on the disk")

    def _name(self, owners: list[tuple[User, str]]) -> str:
        return ",".join(f"{user.name}/{device}" for user, device in owners) or "nobody"

    # --- the end

    async def expect(self, notice: Notice) -> None:
        """Where nothing goes wrong, and its user can be rung all the time, a notice need not wait for the end."""
        first, wall = trio.current_time(), self._clocks.now()
        patience = AT_ONCE if notice.kind.pierces else IN_TIME
        await trio.sleep(patience)
        self.news()
        user = notice.user
        if notice.rung or notice.excuses or user.changed >= first or user.reads_until >= first:
            return
        if not self._clocks.are_right:
            return
        may_ring = any(
            token
            and token not in self._ledger.dead
            and user.plans[-1].rings_all_the_time(wall, patience, notice.kind, d)
            for d, token in user.homes[-1].items()
            if self._is_for(notice, d)
        )
        if may_ring and notice.life > patience and self._calm.holds(first, trio.current_time()):
            self._trace.fail("somebody was not rung in time, though nothing was wrong", user.name)

    def orders(self) -> list[tuple[Notice, list[str]]]:
        """Orders that are open for sure, and the phones that have not obeyed.

        Not of a user with a phone that is refused: that delays the next round for the others (relay/core/orders.py).
        """
        found: list[tuple[Notice, list[str]]] = []
        for notice in self._ledger.notices:
            if not notice.kind.renewal or notice.state is not Answered.TAKEN or notice.excuses:
                continue
            home = notice.user.homes[-1]
            tokens = [home[device] for device in sorted(notice.addressed) if home.get(device)]
            if not any(self._ledger.is_doubtful(token) for token in tokens):
                found.append((notice, tokens))
        return found

    def check_renewal(self, orders: list[tuple[Notice, list[str]]], since: float) -> None:
        """Each of these phones was rung anew."""
        for notice, tokens in orders:
            if not notice.excuses and any(self._left_at.get(token, -1.0) < since for token in tokens):
                self._trace.fail("an order was not sent anew", notice.user.name)

    def well(self) -> None:
        """All faults are over."""
        self._well_at = self._clocks.true()

    def _may_be_over(self, notice: Notice) -> bool:
        """Its life is, by some clock, and could be before anybody was rung: what rings in any rest must have rung as
        soon as nothing was in the way."""
        end = notice.written + notice.life - self._clocks.spread
        is_late = notice.kind.pierces and end >= self._well_at + self._pace.settles
        return self._clocks.true() >= end and not is_late

    def finish(self) -> None:
        """All faults are over, and everything is due: what is missing is lost."""
        self.news()
        for notice in self._ledger.notices:
            if self._may_be_over(notice):
                notice.excuses.add("over")
            if notice.state is Answered.TAKEN and not notice.rung and not notice.excuses:
                self._trace.fail(f"a notice of the class {notice.kind.name} was lost", notice.user.name)
        self._compare_books()

    def _compare_books(self) -> None:
        """The books say what the ledger says, as far as that knows."""
        for name, (accepted, woken, merged, cancelled, expired, undeliverable) in sorted(self.books.accounts.items()):
            mine = [n for n in self._ledger.notices if n.kind.name == name and n.state is not Answered.REFUSED]
            taken = self._ledger.taken.get(name, 0)
            most = len(mine) + self._ledger.doubtful.get(name, 0)
            extra = most - taken
            told = f"{name}: {(accepted, woken, merged, cancelled, expired, undeliverable)} of {taken} to {most}"
            if not taken <= accepted <= most:
                self._trace.fail("the books have another number of notices than were taken", told)
            # A phone that is registered anew with the token it had when it died, or by a clock that was ahead, is not
            # believed to be dead: what waits for it waits until its life is over.
            for what, count, why in (
                ("cancelled", cancelled, {"read", "confirmed", "deleted"}),
                ("expired", expired, {"over", "no phone"}),
                ("undeliverable", undeliverable, {"no phone"}),
            ):
                if count > extra + sum(1 for n in mine if n.excuses & why):
                    self._trace.fail(f"the books call more notices {what} than can be", told)
            surely = sum(1 for n in mine if n.state is Answered.TAKEN and not n.excuses)
            if woken + merged < surely:
                self._trace.fail("the books call fewer notices woken than must be", told)
            unbelieved = sum(1 for n in mine if "no phone" in n.excuses)
            if self.books.pending(name) > unbelieved:
                self._trace.fail("something is pending that should not be", told)
