"""The real core and the naive model, side by side: everything is done to both, and both must say the same.

A play knows nothing of chance. It offers what can happen (events, edits, departures, verdicts, commits, crashes), tells
the model what a commit made true, and asserts at each departure what a wakeup may be: I2, the life, the back-off, the
hold. The checks at the end of the file must hold after every step.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Final

import pytest

from relay.core.accepting import accept
from relay.core.batch import SlotKey
from relay.core.books import ACCOUNTS
from relay.core.devices import Platform, Registration
from relay.core.draft import Draft
from relay.core.editing import delete_device, delete_rest, put_device, put_rest
from relay.core.errors import DeviceLimitReached, NotFound
from relay.core.events import DEFAULT_CLASSES, Accepted, Authority, Event, EventClass
from relay.core.flight import Fate, Flight, Settlement
from relay.core.pacing import CONNECTION_RETRY, FIRST_RETRY, backoff
from relay.core.people import People
from relay.core.private import DeviceKey, ReceiptKey, UserKey
from relay.core.pseudonym import Pseudonyms
from relay.core.receipts import totals
from relay.core.settling import seen
from relay.core.slots import Slot
from relay.core.tenants import Tenant
from relay.loading import restore
from tests.model.naive import LIVES, Alarm, Line, Naive, Phone, User, Wakeup
from tests.model.rules import NONE, Rules
from tests.model.shell import Expired, Operation, Shell
from tests.model.walls import DAY, HOUR

PEOPLE: Final = (("city", "anna"), ("city", "bert"), ("county", "carl"), ("county", "dora"))
CLASSES: Final = (
    *DEFAULT_CLASSES,
    EventClass(name="duty", through=frozenset({"free", "leave"})),
    EventClass(name="callout", through=frozenset({"night", "off"}), cancellable=False, deadline=4 * HOUR),
)
"""Beside those that pierce no rest and all, two that pierce some; nobody pierces the rest of the sick."""
REFUSED, WAITING, COMMITTED, DISPATCHED, LEFT = -1, 0, 1, 2, 3
"""How far the relay gets at once with what has come: its commit fails; it waits for one; and so on."""


@dataclass(frozen=True, slots=True)
class Cut:
    """What the next rest leaves of the life of a wakeup for one class."""

    longest: int
    end: float | None
    """Of that rest; None when there is none, or no end."""
    is_sure: bool
    """It would else have lived longer."""


class Play:
    def __init__(self, tenants: dict[str, Tenant], now: float) -> None:
        self.tenants = tenants
        self.naive = Naive()
        self.shell = Shell(tenants, now, self)
        self._wakeups: dict[Flight, Wakeup] = {}
        """Those in the air, as the model knows them."""
        self._reasons: dict[Flight, list[Line]] = {}
        """For what they were queued, as not held. When that is read, or over, they may still stand for others."""
        self._receipts: dict[ReceiptKey, tuple[Tenant, Alarm]] = {}

    @property
    def now(self) -> float:
        return self.shell.now

    def person(self, index: int) -> tuple[Tenant, UserKey]:
        home, name = PEOPLE[index]
        return self.tenants[home], self.tenants[home].pseudonyms.user(name)

    def user(self, index: int) -> User | None:
        return self.naive.users.get(self.person(index)[1])

    # --- what comes in

    def event(self, indices: Sequence[int], name: str, ago: float, ttl: float, far: int) -> None:
        """For one or several; of the tenant of the first."""
        home, _ = self.person(indices[0])
        event_class = home.classes[name]
        keys = [self.person(index)[1] for index in indices]
        may_bypass = event_class.pierces or event_class.through
        authority = Authority("key", "dispatch", "incident", b"".join(keys)) if may_bypass else None
        event = Event(event_class, keys, self.now - ago, max(self.now - ago + ttl, self.now), authority)

        def told(result: object) -> None:
            taken = self.naive.accept(home, event, self.now)
            assert isinstance(result, Accepted)
            assert (result.accepted, result.unknown) == taken
            assert (result.receipt is not None) is event_class.pierces
            if result.receipt is not None:
                self._receipts[result.receipt] = (home, self.naive.alarms[-1])

        self.shell.accepts.append(Operation(lambda draft: accept(draft, home, [event], None), told))
        self.get(far)

    def read(self, index: int, ago: float, far: int) -> None:
        home, key = self.person(index)
        at = self.now - ago
        self._edit(lambda draft: seen(draft, home, [(key, at)]), lambda _: self.naive.seen(home, key, at), far)

    def rest(self, index: int, rules: Rules | None, far: int) -> None:
        """Put a rest document, or delete it."""
        home, key = self.person(index)

        def told(result: object) -> None:
            if not isinstance(result, NotFound):
                self.naive.put_rest(home, key, rules or NONE, self.now)

        if rules is None:
            self._edit(lambda draft: delete_rest(draft, home, key, None), told, far)
        else:
            name, sealed = PEOPLE[index][1].encode(), json.dumps(rules.document).encode()
            self._edit(lambda draft: put_rest(draft, home, key, name, sealed, None), told, far)

    def register(self, index: int, device: int, token: int | None, far: int) -> None:
        """Without a token: a device that cannot be woken. A millisecond passes: a refreshed one is younger."""
        home, key = self.person(index)
        name = "" if token is None else f"token{token}"
        called = f"device{device}"
        registration = _registration(home, PEOPLE[index][1], called, name)
        self.wait(0.001)

        def draw(draft: Draft) -> tuple[tuple[bool, int], set[DeviceKey]]:
            before = len(draft.batch.feedback)
            return put_device(draft, home, registration), {told.device for told in draft.batch.feedback[before:]}

        def told(result: object) -> None:
            if not home.evict and self.naive.is_full_for(home, key, registration.device, name):
                assert isinstance(result, DeviceLimitReached)
                return
            assert isinstance(result, tuple)
            answer, gone = result
            created = registration.device not in self.naive.user(home, key).phones
            before = len(self.naive.parted)
            self.naive.put_device(home, key, Phone(registration.device, called, name, self.now), gone)
            assert answer == (created, len(self.naive.parted) - before)

        self._edit(draw, told, far)

    def unregister(self, index: int, device: int, far: int) -> None:
        home, key = self.person(index)
        device_key = home.pseudonyms.device(PEOPLE[index][1], f"device{device}")

        def told(result: object) -> None:
            assert self.naive.delete_device(key, device_key) is not isinstance(result, NotFound)

        self._edit(lambda draft: delete_device(draft, home, key, device_key), told, far)

    def _edit(self, draw: Callable[[Draft], object], told: Callable[[object], None], far: int) -> None:
        self.shell.edits.append(Operation(draw, told))
        self.get(far)

    # --- time

    def wait(self, seconds: float) -> None:
        """Nothing happens for so long."""
        self.naive.time_passes(self.now, self.now + seconds)
        self.shell.now += seconds

    def live_until(self, instant: float, *, dispatches: bool, provides: bool) -> None:
        """Time passes. `dispatches`: the relay runs; `provides`: and so do the providers, all is well."""
        for _ in range(500):
            if dispatches:
                self.dispatch()
                if provides:
                    self.leave_all()
                    for flight in list(self.shell.air):
                        self.shell.took(flight)
                if self.shell.has_work:
                    self.commit()
                    continue
            due = self.shell.next_due()
            if due > instant or not dispatches:
                self.wait(max(0.0, instant - self.now))
                return
            self.wait(max(0.0, due - self.now))
        raise AssertionError("the dispatcher does not come to rest")

    # --- the relay at work

    def get(self, far: int) -> None:
        if far == REFUSED:
            self.commit(fails=True)
        if far >= COMMITTED:
            self.commit()
        if far >= DISPATCHED:
            self.dispatch()
        if far >= LEFT:
            self.leave_all()

    def dispatch(self) -> None:
        self.shell.dispatch()
        self._nobody_is_forgotten()

    def leave_all(self) -> None:
        for flight in list(self.shell.queue):
            self.leave(flight)

    def leave(self, flight: Flight, *, stays: bool = False) -> None:
        """The last look at a queued wakeup, and its departure. `stays`: it does not leave after all."""
        user = self.naive.users[flight.person.key]
        phone = user.phones.get(flight.device.key)
        may = self._may_speak_of(user, phone, flight)
        is_newest = flight.person.flights.get(flight.device.key) is flight
        if not self.shell.look(flight):
            may_go = is_newest and phone is not None and self.now >= phone.not_before
            for name in may if may_go else ():
                line = user.lines[name]
                is_due = self._is_released(user, line, phone) and self.now < user.patience(line, self.now)
                assert not is_due, f"a wakeup for {name} was refused"
            return
        assert phone is not None
        assert is_newest, "it came back beside the alarm that speaks for it"
        names = {name for name, _, _ in flight.claims}
        assert names <= may, f"it spoke of {names - may}, in rest or to somebody who knew"
        for name in may - names:
            assert self.now >= user.patience(user.lines[name], self.now), f"it did not speak of {name}"
        assert not [name for name in names if user.lines[name].is_over(self.now)], "it spoke of what is over"
        self._check_life(user, phone, flight)
        if stays:
            self.shell.again(flight)
            return
        assert self.now >= phone.not_before, "back-off was cut short"
        assert any(self.now >= user.lines[name].echo_at for name in names), "an echo did not wait for its morning"
        is_alarm = any(user.lines[name].event_class.pierces for name in names)
        reasons = self._reasons[flight]
        is_for_others = bool(reasons) and not any(user.lines[name] in reasons for name in names)
        is_held = not is_alarm and self.naive.is_held(user, phone, names, self.now)
        assert not is_held or is_for_others, "it rang twice within the hold"
        self._wakeups[flight] = self.naive.leaves(user, phone, names, flight.echo_at, self.now)
        self.shell.hand_over(flight)

    def _may_speak_of(self, user: User, phone: Phone | None, flight: Flight) -> set[str]:
        """I2, and what is owed: classes that a wakeup to this token may stand for now."""
        if phone is None or user.tenant.pseudonyms.token(flight.device.app, phone.token) != flight.device.token_hash:
            return set()
        return {
            name
            for name, line in user.lines.items()
            if line.owed(phone) and user.is_for(line, phone) and user.rest(line, phone).passes(self.now)
        }

    def _check_life(self, user: User, phone: Phone, flight: Flight) -> None:
        """It lives until the next rest of one of the classes it speaks of, and what was cut is repeated."""
        assert flight.life in LIVES
        cuts = [self._cut(user, phone, user.lines[name]) for name, _, _ in flight.claims]
        longest = max(cut.longest for cut in cuts)
        assert flight.life <= longest, "it would live into the next rest"
        ends = [cut.end for cut in cuts if cut.end is not None]
        if flight.echo_at is not None:
            assert any(end <= flight.echo_at <= end + user.tenant.jitter for end in ends)
        if all(cut.is_sure for cut in cuts):
            assert flight.life == longest
            assert (flight.echo_at is None) == (not ends)
            assert flight.echo_at is None or flight.echo_at <= min(ends) + user.tenant.jitter, "it is repeated too late"

    def _cut(self, user: User, phone: Phone, line: Line) -> Cut:
        if line.event_class.pierces:
            return Cut(HOUR, None, is_sure=False)
        rest = user.rest(line, phone)
        start = rest.next_rest(self.now)
        if start is None:
            return Cut(LIVES[-1], None, is_sure=False)
        longest = _step(start - self.now)
        return Cut(longest, rest.release(start), is_sure=_step(user.patience(line, self.now) - self.now) > longest)

    def answer(self, flight: Flight, what: str, noise: float) -> None:
        """The provider answers, or never will; the verdict waits for a commit."""
        later = self.now + backoff(flight.device.attempt + 1, noise, FIRST_RETRY)
        match what:
            case "took":
                self.shell.took(flight)
            case "later":
                self.shell.said(flight, Fate.RETRY, later)
            case "lost":
                wait = backoff(flight.device.attempt + 1, noise, CONNECTION_RETRY)
                self.shell.said(flight, Fate.RETRY, self.now + wait)
            case "not processed":
                self._wakeups.pop(flight).phone.rang_in = 0
                self.shell.again(flight)
            case "give up":
                self.shell.said(flight, Fate.GIVE_UP)
            case "dead":
                self.shell.said(flight, Fate.DEAD, later)
            case "dead since it is registered":
                self.shell.said(flight, Fate.DEAD, later, flight.device.registered_at)
            case "dead from before":
                self.shell.said(flight, Fate.DEAD, later, flight.device.registered_at - 1)
            case _:
                raise AssertionError(what)

    def commit(self, *, fails: bool = False, meanwhile: Callable[[], None] = lambda: None) -> None:
        self.shell.commit(fails=fails, meanwhile=meanwhile)
        for user in self.naive.users.values():
            slots = self.shell.people.by_key[user.key].slots
            for name, line in list(user.lines.items()):
                if line.may_echo:
                    self.naive.settle_echo(user, name, repeats=name in slots)
        self.naive.commit_ends()

    def crash(self) -> None:
        """The process ends and begins anew. Gone is what was not committed, and every verdict that was to come."""
        self.shell.start()
        self.naive.crashes()
        self._wakeups.clear()
        self._reasons.clear()

    # --- what the shell tells (shell.Watcher)

    def queued(self, flight: Flight) -> None:
        user = self.naive.users[flight.person.key]
        self._reasons[flight] = [line for line in user.lines.values() if not user.holds(line, self.now)]

    def accepted(self, flight: Flight) -> None:
        self.naive.accepted(self._wakeups.pop(flight))

    def settled(self, settlement: Settlement) -> None:
        wakeup = self._wakeups.pop(settlement.flight)
        match settlement.fate:
            case Fate.RETRY:
                self.naive.retries(wakeup, settlement.not_before)
            case Fate.GIVE_UP:
                self.naive.gives_up(wakeup)
            case Fate.DEAD:
                self.naive.dies(wakeup, settlement.dead_since, settlement.not_before)

    def expired(self, expired: Expired) -> None:
        if expired.is_gone:
            self.naive.expires(self.naive.users[expired.person.key], expired.name, self.now)

    # --- what must hold after every step

    def check(self) -> None:
        loaded = People(self.tenants)
        self.shell.epoch = restore(loaded, self.shell.store.load())
        self._check_people()
        self._check_books(loaded)
        self._check_bypasses()
        self._check_receipts(loaded)
        self._check_flights()
        for home in self.tenants:
            told = [(f.tenant, f.device, f.parting.value) for f in self.shell.store.feedback(home, 0, 10_000)]
            assert told == [parting for parting in self.naive.parted if parting[0] == home], "who left"

    def _check_people(self) -> None:
        """Memory and model agree on who is there, what is pending, and who is owed."""
        people = self.shell.people
        assert people.by_key.keys() == self.naive.users.keys()
        for user in self.naive.users.values():
            person = people.by_key[user.key]
            devices = {d.key: (d.registered_at, d.attempt, d.not_before) for d in person.devices.values()}
            assert devices == {p.key: (p.registered_at, p.attempt, p.not_before) for p in user.phones.values()}
            assert {p.key for p in person.phones} == {p.key for p in user.ringing()}
            assert person.slots.keys() == user.lines.keys()
            for name, line in user.lines.items():
                self._check_slot(person.slots[name], line, user)

    def _check_slot(self, slot: Slot, line: Line, user: User) -> None:
        assert slot.n == len(line.pending())
        assert slot.done.keys() <= user.phones.keys(), "it remembers a device that is gone"
        for phone in user.ringing():
            assert slot.owed(phone.key) == line.owed(phone), f"{line.event_class.name}: who is owed"

    def _check_books(self, loaded: People) -> None:
        """I4, in memory and in what a new process would load; and both have counted what the model has."""
        people = self.shell.people
        told = {key: [counts[what] for what in ACCOUNTS] for key, counts in self.naive.accounts.items()}
        for held in (people, loaded):
            assert held.books.balance(held.pending()) == []
            kept = {key: [getattr(row, what) for what in ACCOUNTS] for key, row in held.books.accounts.items()}
            assert {key: row for key, row in kept.items() if any(row)} == told
            assert held.tokens == _owners(held)
        assert _durable(loaded) == _durable(people)
        assert (loaded.revision, loaded.feedback_seq) == (people.revision, people.feedback_seq)
        assert loaded.generation <= people.generation

    def _check_bypasses(self) -> None:
        """I2: who answers for what may go out in rest is on record once it is taken. And every document was read."""
        records = self.shell.store.bypasses
        told = [
            (b.tenant, b.event_class, b.at, Authority(b.key_id, b.role, b.reason, b.sealed), b.recipients)
            for b in records
        ]
        assert told == self.naive.bypasses
        assert not self.shell.tables.unreadable

    def _check_receipts(self, loaded: People) -> None:
        """What a receipt tells, now and after a restart, is what the model counts; for a day, and to its tenant."""
        for key, (home, alarm) in list(self._receipts.items()):
            if alarm.came_at + DAY <= self.now:
                with pytest.raises(NotFound):
                    totals(self.shell.people, home, key, self.now)
                del self._receipts[key]
                continue
            expected = {"recipients": len(alarm.notices) + alarm.unknown, **alarm.totals()}
            for people in (self.shell.people, loaded):
                assert asdict(totals(people, home, key, self.now)) == expected
            assert sum(alarm.totals().values()) == expected["recipients"]

    def _check_flights(self) -> None:
        """One wakeup per device at most, and one more for an alarm; the core knows of the newest."""
        aloft = [(flight.person.key, flight.device.key, flight.urgent) for flight in self.shell.aloft()]
        assert len(aloft) == len(set(aloft))
        known = {flight for person in self.shell.people.by_key.values() for flight in person.flights.values()}
        assert {(flight.person.key, flight.device.key) for flight in known} == {(user, key) for user, key, _ in aloft}
        assert all(flight.urgent for flight in known if (flight.person.key, flight.device.key, True) in aloft)

    def _nobody_is_forgotten(self) -> None:
        """Right after the dispatcher ran: who is owed, reachable, not held and not backed off has a wakeup coming."""
        for user in self.naive.users.values():
            flights = self.shell.people.by_key[user.key].flights
            for name, line in user.lines.items():
                owed = [phone.key for phone in user.ringing() if self._is_due(user, line, phone)]
                assert flights.keys() >= set(owed), f"{name} was forgotten"
                queued = {flights[key] for key in owed if flights[key] in self.shell.queue}
                assert not line.event_class.pierces or queued <= self.shell.alarms, "an alarm must overtake"
                assert not line.event_class.pierces or all(flights[key].urgent for key in owed), "an alarm waits"

    def _is_due(self, user: User, line: Line, phone: Phone) -> bool:
        """Surely: it is owed, and nothing is in the way."""
        if not line.owed(phone) or not user.is_for(line, phone) or self.now < phone.not_before:
            return False
        if self.now >= user.patience(line, self.now):
            return False
        if line.event_class.pierces:
            return True
        return not user.holds(line, self.now) and self._is_released(user, line, phone)

    def _is_released(self, user: User, line: Line, phone: Phone | None) -> bool:
        """Surely: there is no rest, and the jitter after it is over. An echo waits for its morning with every phone."""
        rest = user.rest(line, None if line.echo_at else phone)
        ago = self.now - user.tenant.jitter
        rested = any(rest.rests(instant) for instant in (ago, *rest.changes(ago, self.now)))
        return self.now >= line.echo_by and not rested and rest.passes(self.now)

    def end(self) -> None:
        """I1: everybody is made reachable and every provider is well, and nothing stays pending but echoes, and those
        not for ever."""
        self.commit()
        for index in range(len(PEOPLE)):
            self.rest(index, None, COMMITTED)
        self.live_until(self.now + 3000.0, dispatches=True, provides=True)
        self.check()
        for user in self.naive.users.values():
            assert not [name for name, line in user.lines.items() if line.pending() or not line.echo_at]
        self.live_until(self.now + 60 * 24 * HOUR, dispatches=True, provides=True)
        self.check()
        assert not [person for person in self.shell.people.by_key.values() if person.slots]


def a_tenant(name: str, *, posts_seen: bool, jitter: float, evict: bool, limit: int) -> Tenant:
    return Tenant(
        name=name, pseudonyms=Pseudonyms(bytes(32), name), apps={"ios": Platform.APNS}, device_limit=limit, evict=evict,
        posts_seen=posts_seen, jitter=jitter, classes={c.name: c for c in CLASSES},
    )  # fmt: skip


def _registration(home: Tenant, user: str, device: str, token: str) -> Registration:
    names = home.pseudonyms
    app, platform = ("ios", Platform.APNS) if token else ("", Platform.NONE)
    return Registration(
        names.user(user), user.encode(), names.device(user, device), app, platform, names.token(app, token), b"sealed"
    )


def _step(seconds: float) -> int:
    return max((life for life in LIVES if life <= seconds), default=0)


def _owners(people: People) -> dict[object, object]:
    devices = [(person.key, device) for person in people.by_key.values() for device in person.devices.values()]
    return {d.token_hash: (user, d.key) for user, d in devices if d.platform is not Platform.NONE}


def _durable(people: People) -> dict[SlotKey, Slot]:
    """The slots, without what the gate may have moved since they were written."""
    slots: dict[SlotKey, Slot] = {}
    for person, name, slot in people.slots():
        copy = slots[(person.key, name)] = slot.copy()
        copy.due_at = copy.reachable_at = 0.0
        copy.tried = False
    return slots
