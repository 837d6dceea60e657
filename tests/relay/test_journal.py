"""The journal: what is answered when, what shares a commit, and what becomes of both when the store fails."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import NoReturn

import pytest
import trio
import trio.testing

from relay.clock import TrioClock
from relay.core import editing
from relay.core.batch import Batch, Bypass, Feedback
from relay.core.devices import Platform, Registration
from relay.core.draft import Draft
from relay.core.errors import (
    Elsewhere,
    IdempotencyMismatch,
    NotFound,
    Overloaded,
    RelayError,
    Unavailable,
    VersionConflict,
)
from relay.core.events import DEFAULT_CLASSES, NEVER, Accepted, Event, Request
from relay.core.flight import Fate, Flight, Settlement
from relay.core.halts import Act
from relay.core.partitions import part_of
from relay.core.passes import Visit
from relay.core.people import People, Person
from relay.core.private import DeviceKey, TokenHash, UserKey
from relay.core.pseudonym import Pseudonyms
from relay.core.tables import Tables
from relay.core.tenants import Tenant
from relay.journal import (
    BUSY,
    GATHER,
    IDLE,
    RETRY_AFTER_FAILURE,
    RIDE_ALONG,
    SETTLE_CHUNK,
    Journal,
    in_thread,
)
from relay.store.memory import MemoryStore
from relay.store.port import FeedbackRange, StaleEpoch, StoreError
from relay.waiting import MAX_WAITING
from tests.relay.world import NOON, Gate, virtual

MESSAGE, _, ALARM, _ = DEFAULT_CLASSES
TENANT = Tenant(
    name="t", pseudonyms=Pseudonyms(b"m" * 32, "t"), apps={"ios": Platform.APNS}, device_limit=10_000
)  # fmt: skip
STRANGER = UserKey(b"?" * 16)


class Ledger:
    """The memory store, with a list of what was committed; `failures` are raised first, one per commit."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.batches: list[Batch] = []
        self.failures: list[Exception] = []
        self.failed_at: list[float] = []
        self.idled_at: list[float] = []

    def commit(self, batch: Batch) -> None:
        if self.failures:
            self.failed_at.append(trio.current_time())
            raise self.failures.pop(0)
        self.store.commit(batch)
        self.batches.append(batch)

    def feedback(self, tenant: str, after: int, limit: int) -> Sequence[Feedback]:
        return self.store.feedback(tenant, after, limit)

    def feedback_range(self, tenant: str) -> FeedbackRange:
        return self.store.feedback_range(tenant)

    def bypasses_of(self, tenant: str, wanted: Callable[[Bypass], bool], limit: int) -> Sequence[Bypass]:
        return self.store.bypasses_of(tenant, wanted, limit)

    def acts(self, limit: int) -> Sequence[Act]:
        return self.store.acts(limit)

    def visits(self, user: UserKey, limit: int) -> Sequence[Visit]:
        return self.store.visits(user, limit)

    def idle(self) -> None:
        self.idled_at.append(trio.current_time())


@dataclass(slots=True)
class Desk:
    """A running journal with people to write about."""

    journal: Journal
    ledger: Ledger
    gate: Gate
    nursery: trio.Nursery
    touched: list[Person]
    answers: list[tuple[str, object]] = field(default_factory=list)
    """(name, result or error) of what was asked with `ask`, in the order of the answers."""

    @property
    def people(self) -> People:
        return self.journal.people

    def person(self, number: int = 0) -> Person:
        return self.people.by_key[_user(number)]

    async def register(self, count: int = 1, devices: int = 1) -> None:
        def put(draft: Draft) -> None:
            for number in range(count):
                for device in range(devices):
                    editing.put_device(draft, TENANT, _registration(number, device))

        await self.journal.edit(TENANT, put)

    async def accept(self, *numbers: int, at: float = NOON, request: Request | None = None) -> Accepted:
        return await self.journal.accept(TENANT, [_event(*numbers, at=at)], request)

    def ask(self, name: str, what: Callable[[], object]) -> None:
        """Ask in a task of its own; the answer goes to `answers`."""

        async def run() -> None:
            try:
                self.answers.append((name, await what()))  # type: ignore[misc]  # an awaitable, by agreement
            except RelayError as error:
                self.answers.append((name, error))

        self.nursery.start_soon(run)

    async def quiet(self) -> None:
        await trio.testing.wait_all_tasks_blocked()

    @property
    def account(self) -> dict[str, int]:
        account = self.people.books.of(("t", "message"))
        names = ("accepted", "woken", "merged", "cancelled", "expired", "undeliverable", "pending")
        return {name: value for name in names if (value := getattr(account, name))}

    def flight(self, number: int = 0, device: int = 0) -> Flight:
        """A wakeup that has left, for what is pending now."""
        person = self.person(number)
        flight = Flight(person, person.devices[_device(number, device)], urgent=False)
        flight.claims = tuple((name, slot.generation, slot.total) for name, slot in person.slots.items())
        person.flights[flight.device.key] = flight
        return flight


def _strangers(count: int) -> list[UserKey]:
    return [UserKey(b"stranger" + number.to_bytes(8, "big")) for number in range(count)]


def _user(number: int) -> UserKey:
    return UserKey(b"u" * 8 + number.to_bytes(8, "big"))


def _device(number: int, device: int) -> DeviceKey:
    return DeviceKey(bytes([device]) * 8 + number.to_bytes(8, "big"))


def _registration(number: int, device: int) -> Registration:
    key = _device(number, device)
    return Registration(_user(number), b"", key, "ios", Platform.APNS, TokenHash(key), b"")


def _event(*numbers: int, at: float = NOON) -> Event:
    return Event(MESSAGE, [_user(number) for number in numbers], at)


@asynccontextmanager
async def desk(*, registered: int = 1, devices: int = 1) -> AsyncIterator[Desk]:
    ledger, gate, touched = Ledger(), Gate(), list[Person]()
    people = People({"t": TENANT})

    def applied(persons: Sequence[Person]) -> None:
        touched.extend(persons)

    journal = Journal(
        people, ledger, Tables(_none, _none, _none), TrioClock(NOON),
        epoch=ledger.store.load().epoch, executor=gate, applied=applied,
    )  # fmt: skip
    async with trio.open_nursery() as nursery:
        await nursery.start(journal.run)
        made = Desk(journal, ledger, gate, nursery, touched)
        if registered:
            await made.register(registered, devices)
        ledger.batches.clear()
        touched.clear()
        yield made
        assert people.books.balance(people.pending()) == []
        loaded = ledger.store.load()
        assert loaded.slots.keys() == {(person.key, name) for person, name, _ in people.slots()}
        assert loaded.accounts == people.books.accounts
        nursery.cancel_scope.cancel()


def _none(*_: object) -> NoReturn:
    raise AssertionError("nobody here has rest")


# --- the law


@virtual
async def test_nothing_is_answered_and_nothing_is_true_before_its_commit() -> None:
    async with desk() as d:
        d.gate.shut()
        d.ask("event", lambda: d.accept(0))
        await d.quiet()
        assert d.gate.waiting == 1
        assert d.answers == []
        assert d.person().slots == {}
        assert d.account == {}
        assert d.touched == []
        d.gate.open()
        await d.quiet()
        assert d.answers == [("event", Accepted(1, 0))]
        assert d.person().slots["message"].n == 1
        assert d.account == {"accepted": 1, "pending": 1}
        assert d.touched == [d.person()]


@virtual
async def test_a_batch_is_what_arrived_during_the_last_commit() -> None:
    async with desk(registered=11) as d:
        d.gate.shut()
        d.ask("first", lambda: d.accept(0))
        await d.quiet()
        for number in range(1, 11):
            d.ask("later", lambda number=number: d.accept(number))  # type: ignore[misc]
        await d.quiet()
        d.gate.open()
        await d.quiet()
        assert [len(batch.slots) for batch in d.ledger.batches] == [1, 10]
        assert len(d.answers) == 11
        assert d.journal.statistics().commits == 3


@virtual
async def test_all_waiters_of_a_batch_are_answered_together_and_each_with_its_own_answer() -> None:
    async with desk(registered=2) as d:
        d.gate.shut()
        d.ask("first", lambda: d.accept(0))
        await d.quiet()
        d.ask("known", lambda: d.accept(0, 1))
        d.ask("unknown", lambda: d.accept(0, 77, 78))
        d.ask("refused", lambda: d.journal.edit(TENANT, _refuse))
        d.ask("edit", lambda: d.journal.edit(TENANT, lambda _draft: "result"))
        await d.quiet()
        d.gate.open()
        await d.quiet()
        assert d.answers[0] == ("first", Accepted(1, 0))
        by_name = dict(d.answers)
        assert by_name["known"] == Accepted(2, 0)
        assert by_name["unknown"] == Accepted(1, 2)
        assert by_name["edit"] == "result"
        assert isinstance(by_name["refused"], NotFound)
        assert len(d.ledger.batches) == 2


def _refuse(_draft: Draft) -> None:
    raise NotFound("no such thing")


@virtual
async def test_accepts_go_before_settles_and_settles_before_edits() -> None:
    """Whatever the order of arrival: the late event joins the slot that is being settled, the mark cancels it."""
    async with desk() as d:
        await d.accept(0)
        flight = d.flight()
        d.gate.shut()
        d.ask("blocker", lambda: d.accept(0, at=NOON))
        await d.quiet()
        born = d.person().slots["message"].born
        draws: list[dict[str, int]] = []

        def look(draft: Draft) -> None:
            slot = draft.slot(d.person(), "message")
            assert slot is not None
            draws.append({"born": slot.born, "total": slot.total, "booked": slot.booked})

        d.ask("edit", lambda: d.journal.edit(TENANT, look))
        await d.quiet()
        d.journal.settle_accepted([flight])
        d.ask("event", lambda: d.accept(0))
        await d.quiet()
        d.gate.open()
        await d.quiet()
        assert draws == [{"born": born, "total": 3, "booked": 1}]
        assert len(d.ledger.batches) == 3
        await d.journal.seen(TENANT, [(_user(0), NOON)])
        assert d.account == {"accepted": 3, "woken": 1, "cancelled": 2}


@virtual
async def test_an_event_of_unknown_people_only_needs_no_commit() -> None:
    async with desk() as d:
        taken = await d.journal.accept(TENANT, [Event(MESSAGE, [STRANGER], NOON)], None)
        assert taken == Accepted(0, 1)
        assert d.ledger.batches == []


@virtual
async def test_a_client_that_goes_away_does_not_take_its_event_along() -> None:
    async with desk() as d:
        d.gate.shut()
        with trio.CancelScope() as client:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(d.accept, 0)
                await d.quiet()
                client.cancel()
        d.ask("other", lambda: d.accept(0))
        d.gate.open()
        await d.quiet()
        assert d.account == {"accepted": 2, "pending": 2}
        assert d.answers == [("other", Accepted(1, 0))]


# --- verdicts


@virtual
async def test_verdicts_ride_along_in_chunks_and_an_event_does_not_wait_for_all_of_them() -> None:
    many = SETTLE_CHUNK * 2 + 500
    async with desk(registered=many) as d:
        await d.accept(*range(many))
        flights = [d.flight(number) for number in range(many)]
        d.gate.shut()
        d.ask("blocker", lambda: d.accept(0))
        await d.quiet()
        d.journal.settle_accepted(flights[: many - 100])
        d.journal.settle([Settlement(flight, Fate.GIVE_UP, "bug") for flight in flights[many - 100 :]])
        assert d.journal.statistics().unsettled == many
        d.ask("event", lambda: d.accept(1))
        await d.quiet()
        d.ledger.batches.clear()
        d.gate.open()
        await d.quiet()
        assert sum(len(batch.slots) for batch in d.ledger.batches[1:]) == RIDE_ALONG + SETTLE_CHUNK * 2, (
            "the rest is gathered"
        )
        await trio.sleep(GATHER)
        await d.quiet()
        sizes = [len(batch.slots) for batch in d.ledger.batches[1:]]
        assert sizes == [RIDE_ALONG, SETTLE_CHUNK, SETTLE_CHUNK, many - RIDE_ALONG - 2 * SETTLE_CHUNK]
        assert sum(sizes) == many
        assert dict(d.answers)["event"] == Accepted(1, 0)
        assert d.account == {"accepted": many + 2, "woken": many - 100, "undeliverable": 100, "pending": 2}


async def busy(d: Desk) -> None:
    """Let it commit many verdicts at once, so that it gathers the next ones."""
    await d.accept(*range(BUSY + 3))
    d.journal.settle_accepted([d.flight(number) for number in range(BUSY)])
    await d.quiet()
    d.ledger.batches.clear()


@virtual
async def test_verdicts_of_a_busy_lane_are_gathered_for_a_moment() -> None:
    async with desk(registered=BUSY + 3) as d:
        await busy(d)
        for number in range(3):
            d.journal.settle_accepted([d.flight(BUSY + number)])
            await d.quiet()
        assert not d.ledger.batches
        await trio.sleep(GATHER)
        await d.quiet()
        assert [len(batch.slots) for batch in d.ledger.batches] == [3]
        await d.accept(0)
        d.journal.settle_accepted([d.flight(0)])
        await d.quiet()
        assert len(d.ledger.batches) == 3, "it is not busy any more"


@virtual
async def test_nobody_waits_for_gathered_verdicts() -> None:
    async with desk(registered=BUSY + 3) as d:
        await busy(d)
        d.journal.settle_accepted([d.flight(BUSY)])
        await d.quiet()
        before = trio.current_time()
        await d.accept(0)
        assert trio.current_time() == before
        assert len(d.ledger.batches) == 1


@virtual
async def test_gathered_verdicts_do_not_delay_the_end() -> None:
    async with desk(registered=BUSY + 3) as d:
        await busy(d)
        d.journal.settle_accepted([d.flight(BUSY)])
        await d.quiet()
        before = trio.current_time()
        d.journal.close()
        await d.journal.closed.wait()
        assert trio.current_time() == before
        assert len(d.ledger.batches) == 1


@virtual
async def test_an_expiry_is_booked_with_the_next_commit() -> None:
    async with desk() as d:
        await d.journal.accept(TENANT, [replace(_event(0), expires_at=NOON + 10)], None)
        await trio.sleep(11)
        d.journal.expire(d.person(), ["message"])
        await d.quiet()
        assert d.account == {"accepted": 1, "expired": 1}


@virtual
async def test_a_slot_that_lives_longer_by_now_does_not_expire() -> None:
    async with desk() as d:
        await d.journal.accept(TENANT, [replace(_event(0), expires_at=NOON + 10)], None)
        await trio.sleep(11)
        d.gate.shut()
        d.ask("blocker", lambda: d.register())
        await d.quiet()
        d.ask("event", lambda: d.journal.accept(TENANT, [replace(_event(0), expires_at=NEVER)], None))
        d.journal.expire(d.person(), ["message"])
        await d.quiet()
        d.gate.open()
        await d.quiet()
        assert d.account == {"accepted": 2, "pending": 2}


# --- when the store fails


@virtual
async def test_a_failed_commit_refuses_its_waiters_and_leaves_memory_as_it_was() -> None:
    async with desk() as d:
        await d.accept(0)
        generation, revision = d.people.generation, d.people.revision
        d.touched.clear()
        d.ledger.failures = [StoreError("disk full")]
        d.gate.shut()
        d.ask("event", lambda: d.accept(0))
        d.ask("device", lambda: d.register(count=2))
        d.ask("conflict", lambda: d.journal.edit(TENANT, _conflict))
        await d.quiet()
        d.gate.open()
        await d.quiet()
        by_name = dict(d.answers)
        for name in ("event", "device", "conflict"):
            refusal = by_name[name]
            assert isinstance(refusal, Unavailable)
            assert refusal.retry_after > 0
        assert (d.people.generation, d.people.revision) == (generation, revision)
        assert _user(1) not in d.people.by_key
        assert d.account == {"accepted": 1, "pending": 1}
        assert d.touched == []
        assert await d.accept(0) == Accepted(1, 0)


def _conflict(_draft: Draft) -> None:
    raise VersionConflict(7)


@virtual
async def test_what_is_gone_only_in_a_batch_that_fails_is_not_called_gone() -> None:
    """Asked twice for the same deletion, because the first answer did not come: neither is done."""

    def delete(draft: Draft) -> None:
        editing.delete_device(draft, TENANT, _user(0), _device(0, 0))

    async with desk() as d:
        d.ledger.failures = [StoreError("cut off")]
        for name in ("first", "second"):
            d.ask(name, lambda: d.journal.edit(TENANT, delete))
        await d.quiet()
        assert [type(answer) for _, answer in d.answers] == [Unavailable, Unavailable]
        assert d.person().devices
        await trio.sleep(1)
        for name in ("third", "fourth"):
            d.ask(name, lambda: d.journal.edit(TENANT, delete))
        await d.quiet()
        assert {answer if answer is None else type(answer) for _, answer in d.answers[2:]} == {None, NotFound}


@virtual
async def test_who_is_elsewhere_is_so_whatever_becomes_of_the_batch() -> None:
    async with desk() as d:
        d.people.owned -= {part_of(_user(5))}
        d.ledger.failures = [StoreError("cut off")]
        d.ask("device", lambda: d.register(count=1))
        d.ask("elsewhere", lambda: d.journal.edit(TENANT, _conflict, about=_user(5)))
        await d.quiet()
        assert {name: type(answer) for name, answer in d.answers} == {"device": Unavailable, "elsewhere": Elsewhere}


@virtual
async def test_verdicts_outlive_failed_commits() -> None:
    async with desk(registered=3, devices=2) as d:
        await d.accept(0, 1, 2)
        await trio.sleep(1)
        d.ledger.failures = [StoreError("no")] * 3
        d.journal.settle_accepted([d.flight(0), d.flight(1, device=1)])
        d.journal.settle([Settlement(d.flight(0, device=1), Fate.GIVE_UP, "bug")])
        d.journal.settle([Settlement(d.flight(1), Fate.RETRY, "busy", NOON + 99)])
        await d.quiet()
        statistics = d.journal.statistics()
        assert (statistics.unsettled, statistics.healthy, statistics.failures) == (4, False, 1)
        await trio.sleep(10)
        statistics = d.journal.statistics()
        assert (statistics.unsettled, statistics.healthy, statistics.failures) == (0, True, 0)
        assert d.account == {"accepted": 3, "woken": 2, "pending": 1}
        assert d.person(0).slots == {}
        retried = d.person(1).devices[_device(1, 0)]
        assert (retried.attempt, retried.not_before) == (1, NOON + 99)
        assert len(d.ledger.batches) == 2


@virtual
async def test_a_failing_store_is_tried_again_at_growing_intervals() -> None:
    async with desk() as d:
        await d.accept(0)
        d.ledger.failures = [StoreError("no")] * 8
        began = trio.current_time()
        d.journal.settle_accepted([d.flight()])
        await trio.sleep(60)
        gaps = [b - a for a, b in zip(d.ledger.failed_at, d.ledger.failed_at[1:], strict=False)]
        assert d.ledger.failed_at[0] == began
        assert gaps == pytest.approx([*RETRY_AFTER_FAILURE, 1.0, 1.0], abs=1e-6)
        assert d.account == {"accepted": 1, "woken": 1}


@virtual
async def test_events_that_arrive_between_two_attempts_are_not_refused_by_the_first() -> None:
    async with desk() as d:
        await d.accept(0)
        d.ledger.failures = [StoreError("no")]
        d.journal.settle_accepted([d.flight()])
        await d.quiet()
        assert not d.journal.statistics().healthy
        assert await d.accept(0) == Accepted(1, 0)
        assert d.account == {"accepted": 2, "woken": 1, "pending": 1}


def _bare(ledger: Ledger, gate: Gate) -> Journal:
    return Journal(
        People({"t": TENANT}), ledger, Tables(_none, _none, _none), TrioClock(NOON),
        epoch=ledger.store.load().epoch, executor=gate, applied=lambda _persons: None,
    )  # fmt: skip


@virtual
async def test_a_newer_owner_ends_the_journal() -> None:
    ledger, outcomes = Ledger(), list[str]()
    journal = _bare(ledger, Gate())
    ledger.store.load()
    with pytest.RaisesGroup(StaleEpoch):
        async with trio.open_nursery() as core:
            await core.start(journal.run)
            await _register(journal, 0, outcomes)
    await _register(journal, 1, outcomes)
    assert outcomes == ["refused", "refused"]
    assert journal.people.by_key == {}
    assert journal.closed.is_set()


@virtual
async def test_a_fault_of_ours_ends_the_journal_and_leaves_nobody_waiting() -> None:
    ledger, outcomes = Ledger(), list[str]()
    journal = _bare(ledger, Gate())

    def slip(_draft: Draft) -> None:
        raise ZeroDivisionError

    async def fail() -> None:
        try:
            await journal.edit(TENANT, slip)
        except Unavailable:
            outcomes.append("refused")

    with pytest.RaisesGroup(ZeroDivisionError, flatten_subgroups=True):
        async with trio.open_nursery() as doors, trio.open_nursery() as core:
            await core.start(journal.run)
            doors.start_soon(_register, journal, 0, outcomes)
            doors.start_soon(fail)
    assert outcomes == ["refused", "refused"]
    assert ledger.batches == []


async def _register(journal: Journal, number: int, outcomes: list[str]) -> None:
    try:
        await journal.edit(TENANT, lambda draft: editing.put_device(draft, TENANT, _registration(number, 0)))
    except Unavailable:
        outcomes.append("refused")
    else:
        outcomes.append("done")


@virtual
async def test_a_cancelled_journal_refuses_what_it_has_taken() -> None:
    """Also the batch whose commit it waits for: no waiter is left hanging."""
    ledger, gate, outcomes = Ledger(), Gate(), list[str]()
    journal = _bare(ledger, gate)
    async with trio.open_nursery() as doors:
        async with trio.open_nursery() as core:
            await core.start(journal.run)
            gate.shut()
            doors.start_soon(_register, journal, 0, outcomes)
            await trio.testing.wait_all_tasks_blocked()
            doors.start_soon(_register, journal, 1, outcomes)
            await trio.testing.wait_all_tasks_blocked()
            core.cancel_scope.cancel()
        await trio.testing.wait_all_tasks_blocked()
        assert outcomes == ["refused", "refused"]
        assert ledger.batches == []
        assert journal.closed.is_set()


# --- limits


@virtual
async def test_too_much_waiting_is_refused_and_alarms_may_use_twice_the_room() -> None:
    async with desk() as d:
        half = MAX_WAITING // 2 - 1
        crowd = _strangers(half)

        async def take(event_class: str) -> Accepted:
            of = ALARM if event_class == "alarm" else MESSAGE
            return await d.journal.accept(TENANT, [Event(of, crowd, NOON)], None)

        d.gate.shut()
        d.ask("blocker", lambda: d.accept(0))
        await d.quiet()
        for name in ("message1", "message2", "message3", "alarm1", "alarm2", "alarm3"):
            d.ask(name, lambda name=name: take(name[:-1]))  # type: ignore[misc]
            await d.quiet()
        assert d.journal.statistics().waiting == MAX_WAITING // 2 * 4
        refused = dict(d.answers)
        assert refused.keys() == {"message3", "alarm3"}
        for refusal in refused.values():
            assert isinstance(refusal, Overloaded)
            assert refusal.retry_after > 0
        d.gate.open()
        await d.quiet()
        assert {name for name, answer in d.answers if isinstance(answer, Accepted)} == {
            "blocker", "message1", "message2", "alarm1", "alarm2",
        }  # fmt: skip
        assert await take("message") == Accepted(0, half)


@virtual
async def test_who_was_refused_and_comes_back_when_told_is_taken() -> None:
    """Each commit takes two seconds here: the line of 100,000 is over after eight."""
    async with desk() as d:
        d.gate.seconds = 2.0
        unknown = MAX_WAITING // 4 - 2
        quarter = [Event(MESSAGE, [_user(0), *_strangers(unknown)], NOON)]

        def ask(count: int) -> None:
            for _ in range(count):
                d.ask("", lambda: d.journal.accept(TENANT, quarter, None))

        ask(4)
        await trio.sleep(3.0)  # the first has told the pace, the second is half written, two wait
        ask(3)
        await trio.sleep(0.5)
        [refusal] = [answer for _, answer in d.answers if isinstance(answer, Overloaded)]
        assert refusal.retry_after == 9, "a second for the second, and two for each of the four"
        await trio.sleep(refusal.retry_after - 0.5)
        assert await d.journal.accept(TENANT, quarter, None) == Accepted(1, unknown)
        assert [answer for _, answer in d.answers if answer is not refusal] == [Accepted(1, unknown)] * 6


@virtual
async def test_one_request_always_fits_however_large() -> None:
    async with desk() as d:
        taken = await d.journal.accept(TENANT, [Event(MESSAGE, _strangers(MAX_WAITING + 1), NOON)], None)
        assert taken == Accepted(0, MAX_WAITING + 1)


@virtual
async def test_who_is_named_many_times_weighs_once() -> None:
    """A commit costs by people, not by events."""
    async with desk() as d:
        d.gate.shut()
        d.ask("blocker", lambda: d.accept(0))
        await d.quiet()
        event = Event(MESSAGE, [_user(0)] * MAX_WAITING, NOON)
        for number in range(3):
            d.ask(str(number), lambda: d.journal.accept(TENANT, [event], None))
        await d.quiet()
        assert d.journal.statistics().waiting == 2 * 3
        d.gate.open()
        await d.quiet()
        assert [answer for name, answer in d.answers if name != "blocker"] == [Accepted(MAX_WAITING, 0)] * 3


@virtual
async def test_the_memory_for_idempotency_keys_is_bounded_with_room_left_for_alarms(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("relay.journal.MAX_REMEMBERED", 2)
    async with desk() as d:
        for number in range(2):
            await d.accept(0, request=Request(b"k%d" % number, b""))
        with pytest.raises(Overloaded):
            await d.accept(0, request=Request(b"k2", b""))
        await d.accept(0)
        alarm = Event(ALARM, [_user(0)], NOON)
        await d.journal.accept(TENANT, [alarm], Request(b"k3", b""))
        await d.journal.accept(TENANT, [alarm], Request(b"k4", b""))
        with pytest.raises(Overloaded):
            await d.journal.accept(TENANT, [alarm], Request(b"k5", b""))


@virtual
async def test_verdicts_that_are_being_written_still_wait() -> None:
    """Else an operator, or a test, who waits for quiet would read the books of before."""
    async with desk() as d:
        await d.accept(0)
        flight = d.flight()
        d.gate.shut()
        d.journal.settle_accepted([flight])
        await d.quiet()
        assert d.gate.waiting == 1
        assert (d.journal.statistics().unsettled, d.account) == (1, {"accepted": 1, "pending": 1})
        d.ledger.failures = [StoreError("disk full")]
        d.gate.open()
        await trio.sleep(0.01)
        assert d.journal.statistics().unsettled == 1, "and not twice when they must be written anew"
        await trio.sleep(1)
        assert (d.journal.statistics().unsettled, d.account) == (0, {"accepted": 1, "woken": 1})


@virtual
async def test_an_expiry_that_is_told_again_and_again_waits_once() -> None:
    """Also when the commit fails that was to hold it; once it is booked it can be told anew."""
    async with desk(registered=2) as d:
        await d.journal.accept(TENANT, [Event(MESSAGE, [_user(0)], NOON, NOON + 1)], None)
        d.gate.shut()
        d.ask("blocker", lambda: d.accept(1))
        await trio.sleep(2)

        def tell() -> int:
            for _ in range(100):
                d.journal.expire(d.person(), ["message"])
            return d.journal.statistics().unsettled

        assert tell() == 1
        d.ledger.failures = [StoreError("disk full")]
        d.gate.open()
        await d.quiet()
        assert tell() == 1
        await trio.sleep(1)
        assert d.account["expired"] == 1
        d.gate.shut()
        d.ask("blocker", lambda: d.accept(1))
        await d.quiet()
        assert tell() == 1
        d.gate.open()
        await d.quiet()


@virtual
async def test_a_repeated_request_in_the_same_batch_is_taken_once() -> None:
    async with desk() as d:
        d.gate.shut()
        d.ask("blocker", lambda: d.register())
        await d.quiet()
        d.ask("first", lambda: d.accept(0, request=Request(b"k", b"body")))
        await d.quiet()
        d.ask("again", lambda: d.accept(0, request=Request(b"k", b"body")))
        d.ask("other", lambda: d.accept(0, request=Request(b"k", b"other")))
        await d.quiet()
        d.gate.open()
        await d.quiet()
        by_name = dict(d.answers)
        assert by_name["first"] == by_name["again"] == Accepted(1, 0)
        assert isinstance(by_name["other"], IdempotencyMismatch)
        assert d.account == {"accepted": 1, "pending": 1}


# --- the end


@virtual
async def test_closing_commits_what_was_taken_and_takes_nothing_more() -> None:
    async with desk(registered=2) as d:
        await d.accept(0)
        d.gate.shut()
        d.ask("first", lambda: d.accept(1))
        await d.quiet()
        d.ask("second", lambda: d.accept(1))
        await d.quiet()
        d.journal.settle_accepted([d.flight(0)])
        d.journal.close()
        with pytest.raises(Unavailable):
            await d.accept(0)
        with pytest.raises(Unavailable):
            await d.journal.seen(TENANT, [(_user(0), NOON)])
        assert not d.journal.closed.is_set()
        d.gate.open()
        await d.journal.closed.wait()
        await d.quiet()
        assert sorted(d.answers, key=str) == [("first", Accepted(1, 0)), ("second", Accepted(1, 0))]
        assert d.account == {"accepted": 3, "woken": 1, "pending": 2}


@virtual
async def test_closing_while_the_store_fails_still_books_the_verdicts() -> None:
    async with desk() as d:
        await d.accept(0)
        d.ledger.failures = [StoreError("no")] * 2
        d.journal.settle_accepted([d.flight()])
        d.journal.close()
        await d.journal.closed.wait()
        assert d.account == {"accepted": 1, "woken": 1}


@virtual
async def test_closing_an_idle_journal_ends_it_at_once() -> None:
    async with desk() as d:
        await trio.sleep(100)
        began = trio.current_time()
        d.journal.close()
        await d.journal.closed.wait()
        assert trio.current_time() == began


# --- housekeeping


@virtual
async def test_the_store_tidies_up_once_per_quiet_spell() -> None:
    async with desk() as d:
        began = trio.current_time()
        await trio.sleep(100)
        assert d.ledger.idled_at == [began + IDLE]
        await d.accept(0)
        await trio.sleep(IDLE / 2)
        await d.accept(0)
        again = trio.current_time()
        await trio.sleep(100)
        assert d.ledger.idled_at == [began + IDLE, again + IDLE]


@virtual
async def test_an_event_during_tidying_is_not_forgotten() -> None:
    async with desk() as d:
        d.gate.shut()
        await trio.sleep(IDLE + 1)
        assert d.gate.waiting == 1
        d.ask("event", lambda: d.accept(0))
        await d.quiet()
        d.gate.open()
        await d.quiet()
        assert d.answers == [("event", Accepted(1, 0))]


@virtual
async def test_housekeeping_that_fails_in_the_store_is_forgiven_and_other_errors_are_not() -> None:
    async with desk() as d:
        done: list[str] = []
        await d.journal.housekeep(lambda: done.append("done"))
        assert done == ["done"]

        def fail() -> None:
            raise StoreError("busy")

        def slip() -> None:
            raise ZeroDivisionError

        await d.journal.housekeep(fail)
        with pytest.raises(ZeroDivisionError):
            await d.journal.housekeep(slip)


async def test_the_store_is_called_in_one_thread_at_a_time_and_not_in_the_loop() -> None:
    execute = in_thread()
    inside, most = 0, 0
    threads: set[int] = set()

    def work() -> None:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        threads.add(threading.get_ident())
        inside -= 1

    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(execute, work)
    assert most == 1
    assert threading.get_ident() not in threads
