"""An officer's own test, through the whole relay: it rings now, looks like any wakeup, and takes nothing away."""

from __future__ import annotations

from contextlib import suppress
from functools import partial

import pytest

from relay.core.devices import Platform
from relay.core.errors import NotFound, TooOften
from relay.core.events import DAY, HOUR, TEST, Event
from relay.core.life import TICK, TOP
from relay.core.operating import Selection, hold
from relay.core.private import PassKey
from relay.core.trials import KEPT, MOST, WINDOW
from relay.doors.port import DeviceTrial, Officer, TrialState, TrialWhy
from relay.simulators.journal import Entry
from relay.store.port import StoreError
from tests.relay.world import APP, ENDLESS, Gate, World, app, nightly, rest_between, tenant, token_of, virtual, world

MINUTE = 60.0
NIGHT = 12 * HOUR
"""After the start, in the middle of the nightly rest."""


def officer(w: World, user: str = "anna") -> Officer:
    return Officer(w.tenant, w.key(user), PassKey(b"shown"))


async def try_out(w: World, user: str = "anna") -> float:
    return await w.relay.engine.try_out(officer(w, user), w.now)


def facts(w: World, user: str = "anna") -> dict[str, DeviceTrial]:
    return {told.device.reveal(): told for told in w.relay.engine.trial(officer(w, user), w.now).devices}


def states(w: World, user: str = "anna") -> dict[str, str]:
    return {name: told.state.value for name, told in facts(w, user).items()}


def expiration(request: Entry) -> int:
    return int(request.value(b"apns-expiration"))


# --- it rings


@virtual
async def test_it_rings_all_phones_in_the_middle_of_a_rest_and_the_bypass_is_recorded() -> None:
    async with world() as w:
        await w.register("anna", "phone", "tablet")
        await w.register("anna", "desk", platform=Platform.NONE)
        await w.register("bert")
        for user in ("anna", "bert"):
            await w.rest(user, nightly())
        await w.pass_time(NIGHT)
        assert await try_out(w) == w.start + NIGHT
        await w.quiet()
        assert w.rang("anna", "phone") == w.rang("anna", "tablet") == [NIGHT]
        assert w.rang("bert") == []
        (record,) = w.store.bypasses
        assert (record.event_class, record.key_id, record.role, record.reason) == ("test", "me", "officer", "test")
        assert (record.at, record.recipients, record.over_rate) == (w.now, 1, False)
        assert w.records.is_recipient(w.key("anna"), record.sealed)
        assert states(w) == {"phone": "handed_over", "tablet": "handed_over", "desk": "pc"}
        assert facts(w)["phone"].at == w.now
        assert w.account == {"accepted": 1, "woken": 1}
        assert w.person("anna").slots == {}
        assert w.relay.people.receipts == {}, "it has no receipt: there is nobody to ask for it"


@virtual
async def test_it_rings_whatever_the_document_says_of_a_device() -> None:
    async with world() as w:
        await w.register("anna", "phone", "tablet")
        await w.rest("anna", {**nightly(), "devices": {"phone": "never", "tablet": "always"}})
        await w.pass_time(NIGHT)
        await try_out(w)
        await w.quiet()
        assert states(w) == {"phone": "handed_over", "tablet": "handed_over"}


@virtual
async def test_its_bytes_are_those_of_any_wakeup() -> None:
    """I3: at the same instant, for two people who are awake, one with news and one with a test."""
    async with world() as w:
        for user in ("anna", "bert"):
            await w.register(user)
        await w.post("bert")
        await try_out(w)
        await w.quiet()
        (ours,), (other,) = w.requests("anna"), w.requests("bert")
        assert ours.body == other.body
        assert [name for name, _ in ours.headers] == [name for name, _ in other.headers]
        pairs = zip(ours.headers, other.headers, strict=True)
        assert {name for (name, value), (_, theirs) in pairs if value != theirs} == {b":path"}


# --- it takes nothing


@virtual
async def test_it_begins_no_hold_and_ends_none() -> None:
    async with world() as w:
        await w.register("anna")
        await try_out(w)
        await w.pass_time(1)
        await w.post("anna")
        await w.pass_time(1)
        assert w.rang("anna") == [0, 1], "the message rings as if there had been no test"
        await try_out(w)
        await w.pass_time(1)
        await w.post("anna")
        await w.pass_time(10)
        assert w.rang("anna") == [0, 1, 2, 6], "the hold of the message goes on"


@virtual
async def test_what_waits_for_the_end_of_rest_goes_on_waiting() -> None:
    async with world() as w:
        await w.register("anna")
        await w.rest("anna", rest_between(w.now, w.now + HOUR))
        await w.post("anna")
        await w.pass_time(MINUTE)
        await try_out(w)
        await w.pass_time(HOUR)
        assert w.rang("anna") == [MINUTE, HOUR]
        assert w.account == {"accepted": 2, "woken": 2}


@virtual
async def test_what_apple_keeps_for_a_phone_that_is_off_is_not_cut_short() -> None:
    """It keeps the newest wakeup of an app: the test lives as long as what it may displace."""
    async with world() as w:
        await w.register("anna")
        await w.post("anna")
        await w.pass_time(MINUTE)
        await try_out(w)
        await w.quiet()
        message, test = w.requests("anna")
        assert expiration(test) >= expiration(message) >= w.start + TOP - TICK
        await w.rest("anna", nightly())
        await w.pass_time(NIGHT)
        await w.alarm("anna")
        await w.pass_time(MINUTE)
        await try_out(w)
        await w.quiet()
        alarm, test = w.requests("anna")[2:]
        assert expiration(test) >= expiration(alarm)
        assert expiration(test) <= w.now + HOUR + 2 * TICK, "and not into the next day: of a message nothing is kept"


@virtual
async def test_an_alarm_overtakes_it() -> None:
    async with world() as w:
        for user in ("anna", "bert"):
            await w.register(user)
        w.network.lines[0].jam()
        await w.post("bert")
        await w.quiet()
        await try_out(w)
        assert not TEST.is_urgent
        assert w.lane.queued_urgent == 0
        await w.alarm("bert")
        w.network.lines[0].flow()
        await w.pass_time(30)
        assert states(w) == {"phone": "handed_over"}


@virtual
async def test_after_a_test_of_everybody_the_books_balance_and_everybody_has_rung_once() -> None:
    async with world() as w:
        names = await w.crowd(200, ENDLESS)
        await w.post(*names)
        for name in names:
            await try_out(w, name)
        await w.pass_time(1)
        assert all(len(w.wakeups(name)) == 1 for name in names)
        assert w.account == {"accepted": 400, "woken": 200, "pending": 200}
        assert w.relay.people.trials.open == {}


# --- how often


@virtual
async def test_three_in_ten_minutes_and_the_next_one_is_told_when() -> None:
    async with world() as w:
        await w.register("anna")
        await w.register("bert")
        for _ in range(MOST):
            await try_out(w)
            await w.pass_time(MINUTE)
        with pytest.raises(TooOften) as refused:
            await try_out(w)
        assert refused.value.retry_after == WINDOW - MOST * MINUTE
        await try_out(w, "bert")
        await w.pass_time(WINDOW - MOST * MINUTE - 1)
        with pytest.raises(TooOften):
            await try_out(w)
        await w.pass_time(1)
        await try_out(w)
        await w.quiet()
        assert w.rang("anna") == [0, 60, 120, 600]


@virtual
async def test_one_that_could_not_be_written_does_not_count() -> None:
    async with world() as w:
        await w.register("anna")
        for _ in range(2 * MOST):
            w.store.fail_next = StoreError("disk full")
            with pytest.raises(Exception, match="the store cannot commit now"):
                await try_out(w)
            await w.pass_time(2)
        assert w.rang("anna") == []
        with pytest.raises(NotFound):
            facts(w)
        await try_out(w)
        await w.quiet()
        assert len(w.rang("anna")) == 1


# --- what is told


@virtual
async def test_without_a_phone_nothing_leaves_nothing_is_recorded_and_that_is_told() -> None:
    async with world() as w:
        await w.register("anna", "desk", platform=Platform.NONE)
        await w.register("anna", "old", app="gone")
        commits = w.store.commits
        await try_out(w)
        await w.pass_time(1)
        assert (w.requests(), w.store.bypasses, w.store.commits) == ([], [], commits)
        assert states(w) == {"desk": "pc", "old": "no_app"}
        assert w.relay.people.trials.open == {}


@virtual
async def test_a_token_that_died_by_it_is_told_though_the_device_is_forgotten() -> None:
    async with world() as w:
        await w.register("anna", "phone", "tablet")
        w.fake.registry.unregistered[token_of("anna")] = w.now + 1
        await try_out(w)
        await w.quiet()
        assert states(w) == {"phone": "dead", "tablet": "handed_over"}
        dead = facts(w)["phone"]
        assert (dead.reason, dead.at) == ("Unregistered", w.now)
        assert w.device_key("anna") not in w.person("anna").devices
        await w.register("anna", generation=1)
        assert states(w)["phone"] == "dead", "it was by this test; the next one tells of the new token"
        await w.pass_time(MINUTE)
        await try_out(w)
        await w.quiet()
        assert states(w) == {"phone": "handed_over", "tablet": "handed_over"}


@virtual
async def test_a_device_that_its_backend_deletes_is_told_no_more() -> None:
    async with world() as w:
        await w.register("anna", "phone", "tablet")
        w.fake.injections.silent |= {token_of("anna"), token_of("anna", "tablet")}
        await try_out(w)
        await w.unregister("anna", "tablet")
        assert states(w) == {"phone": "pending"}


@virtual
async def test_a_failure_is_told_with_the_providers_word_until_it_is_over() -> None:
    async with world() as w:
        await w.register("anna")
        w.fake.injections.answers = [(429, "TooManyRequests")]
        await try_out(w)
        await w.quiet()
        told = facts(w)["phone"]
        assert (told.state, told.why, told.reason) == (TrialState.FAILING, TrialWhy.LATER, "TooManyRequests")
        assert told.at == w.now
        assert told.retry_at is not None
        await w.until(told.retry_at + 1)
        assert states(w) == {"phone": "handed_over"}
        assert w.relay.people.trials.open == {}


@virtual
async def test_what_apple_will_not_take_is_told_and_not_tried_again() -> None:
    async with world() as w:
        await w.register("anna")
        w.fake.injections.answers = [(400, "BadPriority")]
        await try_out(w)
        await w.pass_time(MINUTE)
        told = facts(w)["phone"]
        assert (told.state, told.why, told.reason) == (TrialState.FAILING, TrialWhy.REFUSED, "BadPriority")
        assert len(w.requests()) == 1
        assert w.account == {"accepted": 1, "undeliverable": 1}


@virtual
async def test_a_lane_that_is_down_is_told_and_one_that_is_stopped_too() -> None:
    async with world() as w:
        await w.register("anna")
        w.fake.injections.answers = [(403, "Forbidden")]
        await try_out(w)
        await w.quiet()
        told = facts(w)["phone"]
        assert (told.state, told.why, told.reason) == (TrialState.FAILING, TrialWhy.STOPPED, "Forbidden")
        await w.pass_time(WINDOW - 1)
        assert states(w) == {"phone": "handed_over"}, "a probe found it mended"


@virtual
async def test_without_a_connection_it_is_pending_and_given_up_after_ten_minutes() -> None:
    async with world() as w:
        await w.register("anna")
        await w.network.unplug()
        await try_out(w)
        await w.pass_time(WINDOW - 1)
        assert states(w) == {"phone": "pending"}
        await w.pass_time(1)
        told = facts(w)["phone"]
        assert (told.state, told.why) == (TrialState.FAILING, TrialWhy.EXPIRED)
        w.network.reachable = True
        await w.pass_time(5 * MINUTE)
        assert w.requests() == []
        assert w.account == {"accepted": 1, "expired": 1}
        await w.register("bert")
        await w.post("bert")
        await w.quiet()
        assert w.relay.people.trials.open == {}, "it is not looked for any more"


@virtual
async def test_a_phone_in_back_off_is_waited_for() -> None:
    async with world() as w:
        await w.register("anna")
        w.fake.injections.answers = [(429, "TooManyRequests")]
        await w.post("anna")
        await w.quiet()
        await try_out(w)
        await w.quiet()
        told = facts(w)["phone"]
        assert (told.state, told.why) == (TrialState.FAILING, TrialWhy.BACK_OFF)
        await w.pass_time(MINUTE)
        assert states(w) == {"phone": "handed_over"}


@virtual
async def test_an_operator_can_hold_it_back_by_its_name_and_messages_by_theirs() -> None:
    async with world() as w:
        await w.register("anna")
        for name, state in (("message", "handed_over"), (TEST.name, "pending")):
            until = w.now + MINUTE
            of = Selection(None, name, None)
            await w.relay.journal.operate(partial(hold, of=of, reason="repair", by="root", until=until))
            await try_out(w)
            await w.quiet()
            assert states(w) == {"phone": state}
        assert facts(w)["phone"].why is TrialWhy.HALT
        await w.pass_time(MINUTE + 1)
        assert states(w) == {"phone": "handed_over"}


@virtual
async def test_what_is_under_way_already_is_no_proof() -> None:
    """A wakeup that left before the test is answered after it: the test is another wakeup."""
    async with world() as w:
        await w.register("anna")
        w.fake.injections.latency = lambda: 2.0
        await w.post("anna")
        await w.pass_time(1)
        await try_out(w)
        await w.pass_time(1.5)
        assert states(w) == {"phone": "pending"}
        await w.pass_time(2)
        assert states(w) == {"phone": "handed_over"}
        assert w.rang("anna") == [0, 2]


@virtual
async def test_a_second_one_while_the_first_is_open_counts_for_itself() -> None:
    async with world() as w:
        await w.register("anna")
        w.fake.injections.latency = lambda: 2.0
        await try_out(w)
        await w.pass_time(1)
        second = await try_out(w)
        await w.pass_time(1.5)
        assert states(w) == {"phone": "pending"}
        await w.pass_time(3)
        assert states(w) == {"phone": "handed_over"}
        assert w.relay.engine.trial(officer(w), w.now).at == second
        assert w.account == {"accepted": 2, "woken": 2}


# --- how long it is known


@virtual
async def test_after_an_hour_it_is_forgotten() -> None:
    async with world() as w:
        await w.register("anna")
        with pytest.raises(NotFound):
            facts(w)
        await try_out(w)
        await w.pass_time(KEPT - 1)
        assert states(w) == {"phone": "handed_over"}
        await w.pass_time(1)
        with pytest.raises(NotFound):
            facts(w)
        await w.pass_time(DAY)
        assert w.relay.people.trials.of(w.key("anna"), w.start) is None


@virtual
async def test_a_restart_forgets_it_and_the_wakeup_leaves_all_the_same() -> None:
    async with world() as w:
        await w.register("anna")
        await w.network.unplug()
        await try_out(w)
        await w.restart()
        with pytest.raises(NotFound):
            facts(w)
        w.network.reachable = True
        await w.pass_time(5 * MINUTE)
        assert len(w.rang("anna")) == 1
        assert w.account == {"accepted": 1, "woken": 1}


@virtual
async def test_who_is_deleted_leaves_nothing_behind() -> None:
    async with world() as w:
        await w.register("anna")
        w.fake.injections.silent.add(token_of("anna"))
        await try_out(w)
        await w.forget("anna")
        assert w.relay.people.trials.open == {}
        assert w.account == {"accepted": 1, "cancelled": 1}
        with pytest.raises(NotFound):
            await try_out(w)
        await w.register("anna", generation=1)
        with pytest.raises(NotFound):
            facts(w)


ORDERS = [("test", "forget"), ("forget", "test"), ("test", "part"), ("part", "test"), ("forget", "back", "test")]


@pytest.mark.parametrize("order", ORDERS, ids="-".join)
@virtual
async def test_in_one_commit_with_the_end_of_its_person_or_phone_the_books_balance(order: tuple[str, ...]) -> None:
    """In either order, and with a person who comes back at once."""
    gate = Gate()

    async def attempt(w: World, what: str) -> None:
        if what == "forget":
            await w.forget("anna")
        if what == "part":
            await w.unregister("anna")
        if what == "back":
            await w.register("anna", generation=1)
        if what == "test":
            with suppress(NotFound):
                await try_out(w)

    async with world(executor=gate) as w:
        await w.register("anna")
        await w.rest("anna", ENDLESS)
        gate.shut()
        for do in (partial(w.register, "zoe"), *(partial(attempt, w, what) for what in order)):
            w.nursery.start_soon(do)
            await w.quiet()
        gate.open()
        await w.pass_time(WINDOW + 1)
        assert all(not person.slots for person in w.relay.people.by_key.values())
        assert w.relay.people.books.balance({}) == []


# --- a class of its own


def test_no_tenant_has_it_among_its_classes_and_each_knows_it() -> None:
    of = tenant(app(APP))
    assert TEST.name not in {event_class.name for event_class in of.classes}


@virtual
async def test_it_is_known_by_its_name_and_an_event_of_it_is_accepted_from_nobody_else() -> None:
    async with world() as w:
        assert w.tenant.class_of("test") is TEST
        assert "test" not in w.tenant.classes
        await w.register("anna")
        await w.relay.engine.accept(w.tenant, [Event(TEST, (w.key("anna"),), w.now)], None)
        await w.quiet()
        with pytest.raises(NotFound):
            facts(w)
