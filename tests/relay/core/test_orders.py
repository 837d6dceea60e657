"""Orders to devices: to one or to all, sent anew every day until they are confirmed or four weeks old."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from relay.core import settling
from relay.core.books import Account
from relay.core.draft import Draft
from relay.core.events import DEFAULT_CLASSES, NEVER
from relay.core.fanout import depart
from relay.core.flight import Fate
from relay.core.life import LADDER, TOP
from relay.core.receipts import totals
from relay.store import rows
from tests.effort import examples
from tests.relay.core.scene import DAY, HOUR, MINUTE, NOON, Scene, endless, nightly, phones, rest_between, tenant

CONTROL: Final = DEFAULT_CLASSES[-1]
NIGHT: Final = NOON + 12 * HOUR
WEEKS: Final = 28 * DAY


def scene_of(*devices: str, now: float = NOON) -> Scene:
    scene = Scene(now=now)
    for device in devices or ("phone", "tablet"):
        scene.register("anna", device)
    return scene


def order(scene: Scene, device: str | None = None, ttl: float = NEVER) -> None:
    scene.accept("anna", name="control", device=device, ttl=ttl)


def rung(scene: Scene) -> list[str]:
    """Devices of Anna that a wakeup leaves for now; their providers take it."""
    flights = scene.send("anna")
    scene.took(*flights)
    names = {scene.device_key("anna", name): name for name in ("phone", "tablet", "new")}
    return sorted(names[flight.device.key] for flight in flights)


def restart(scene: Scene) -> None:
    """What a store keeps of the slots, and nothing else of them."""
    person = scene.person("anna")
    person.slots = {name: rows.read_slot(rows.slot(slot)) for name, slot in person.slots.items()}
    person.flights.clear()


# --- to whom


def test_an_order_is_for_all_devices_or_for_one() -> None:
    scene = scene_of()
    order(scene, "tablet")
    assert rung(scene) == ["tablet"]
    order(scene)
    assert rung(scene) == ["phone", "tablet"]


def test_an_order_for_a_device_that_nobody_knows_has_nobody_to_wake() -> None:
    scene = scene_of()
    scene.register("anna", "desk", token="")
    for device in ("lost", "desk"):
        taken = scene.accept("anna", name="control", device=device)
        assert (taken.accepted, taken.unknown) == (0, 1)
    assert scene.person("anna").slots == {}


def test_an_order_wakes_in_any_rest_and_for_the_longest_life() -> None:
    scene = scene_of("phone", now=NIGHT)
    scene.rest("anna", endless())
    order(scene)
    (flight,) = scene.send("anna")
    assert flight.life == TOP


def test_it_keeps_the_longest_life_to_its_last_day() -> None:
    scene = scene_of("phone")
    order(scene)
    scene.now += WEEKS - 1
    (flight,) = scene.send("anna")
    assert flight.life == TOP


def test_an_order_wakes_a_device_that_its_owner_never_wants_woken() -> None:
    scene = scene_of()
    scene.rest("anna", {"devices": {"tablet": {"wake": "never"}}})
    order(scene, "tablet")
    assert rung(scene) == ["tablet"]


def test_an_order_is_no_alarm_and_does_not_overtake() -> None:
    assert not CONTROL.is_urgent
    scene = scene_of("phone")
    order(scene)
    (flight,) = scene.queue("anna")
    assert not flight.urgent


def test_a_device_that_comes_later_is_not_meant() -> None:
    scene = scene_of("phone")
    order(scene)
    assert rung(scene) == ["phone"]
    scene.register("anna", "new")
    assert rung(scene) == []
    scene.now += DAY
    assert rung(scene) == ["phone"]


def test_a_new_token_of_a_device_that_is_meant_is_woken_at_once() -> None:
    scene = scene_of("phone")
    order(scene)
    assert rung(scene) == ["phone"]
    scene.register("anna", "phone", token="another")
    scene.now += DAY
    assert rung(scene) == ["phone"]


def test_a_new_token_of_a_device_that_is_not_meant_is_not_woken() -> None:
    scene = scene_of()
    order(scene, "tablet")
    scene.register("anna", "phone", token="another")
    assert rung(scene) == ["tablet"]
    scene.register("anna", "phone", token="a third")
    scene.now += DAY
    assert rung(scene) == ["tablet"]


# --- anew


def test_it_is_sent_anew_every_day_for_four_weeks_and_no_longer() -> None:
    scene = scene_of("phone")
    order(scene)
    days = []
    for _ in range(40 * 24):
        days += [int((scene.now - NOON) // DAY)] * len(rung(scene))
        considered = scene.consider("anna")
        if considered.expired:
            scene.expire("anna", "control")
        scene.now += HOUR
    assert days == list(range(28))
    assert scene.person("anna").slots == {}
    assert scene.account("control") == Account(accepted=1, woken=1)


def test_an_event_that_ends_earlier_is_sent_anew_until_then() -> None:
    scene = scene_of("phone")
    order(scene, ttl=2.5 * DAY)
    for rings in (["phone"], ["phone"], ["phone"], []):
        assert rung(scene) == rings
        scene.now += DAY


def test_nothing_is_due_before_the_day_is_over() -> None:
    scene = scene_of("phone")
    order(scene)
    rung(scene)
    assert scene.slot("anna", "control").n == 0
    assert scene.consider("anna") == ([], [], NOON + DAY)


def test_a_device_that_is_always_woken_waits_for_its_day_too() -> None:
    scene = scene_of("phone", now=NIGHT)
    scene.rest("anna", nightly() | {"devices": {"phone": {"wake": "always"}}})
    order(scene)
    assert rung(scene) == ["phone"]
    assert rung(scene) == []


def test_a_restart_forgets_no_order() -> None:
    scene = scene_of()
    order(scene, "tablet")
    assert rung(scene) == ["tablet"]
    restart(scene)
    assert rung(scene) == []
    scene.now += DAY
    assert rung(scene) == ["tablet"]


def test_what_the_provider_refused_is_sent_anew_the_next_day_like_what_it_took() -> None:
    scene = scene_of("phone")
    order(scene)
    scene.say(Fate.GIVE_UP, *scene.send("anna"))
    assert scene.account("control") == Account(accepted=1, undeliverable=1)
    assert rung(scene) == []
    scene.now += DAY
    assert rung(scene) == ["phone"]
    assert scene.account("control") == Account(accepted=1, undeliverable=1), "each notice is booked once"


def test_reading_takes_no_order_back() -> None:
    scene = scene_of("phone")
    order(scene)
    rung(scene)
    scene.seen("anna", active_for=120.0)
    scene.now += DAY
    assert rung(scene) == ["phone"]


# --- an open order and other wakeups


@pytest.mark.parametrize("taken", [False, True])
def test_while_an_order_is_open_no_other_wakeup_shortens_its_life(taken: bool) -> None:
    """Apple keeps one wakeup for an app: a later one that ends with the evening would end the order too."""
    scene = scene_of()
    scene.rest("anna", rest_between(NOON + 20 * MINUTE, NOON + 2 * HOUR))
    order(scene, "tablet")
    flights = scene.send("anna")
    if taken:
        scene.took(*flights)
    scene.now += 6 * MINUTE
    scene.accept("anna")
    lives = {f.device.key: f.life for f in scene.send("anna")}
    assert lives[scene.device_key("anna", "phone")] == LADDER[0]
    assert lives.get(scene.device_key("anna", "tablet"), TOP) == TOP


def test_also_when_another_device_still_waits_for_its_answer() -> None:
    scene = scene_of()
    scene.rest("anna", rest_between(NOON + 20 * MINUTE, NOON + 2 * HOUR))
    order(scene)
    tablet = next(f for f in scene.send("anna") if f.device.key == scene.device_key("anna", "tablet"))
    scene.took(tablet)
    scene.now += MINUTE
    scene.accept("anna")
    (flight,) = scene.send("anna")
    assert phones([flight], scene, "anna", "tablet")
    assert [name for name, *_ in flight.claims] == ["message"]
    assert flight.life == TOP


def test_a_message_takes_the_order_along_and_the_day_begins_anew() -> None:
    scene = scene_of("phone")
    order(scene)
    rung(scene)
    scene.now += HOUR
    scene.accept("anna")
    assert rung(scene) == ["phone"]
    assert scene.consider("anna").again_at == NOON + HOUR + DAY


def test_an_order_that_is_not_due_rings_for_nobody_else() -> None:
    """A wakeup queued for a message that was read meanwhile does not leave for the order alone."""
    scene = scene_of("phone")
    order(scene)
    rung(scene)
    scene.now += HOUR
    scene.accept("anna")
    (flight,) = scene.queue("anna")
    scene.seen("anna")
    assert not depart(flight, scene.now, None)


# --- the end


def test_confirmed_is_confirmed() -> None:
    scene = scene_of()
    order(scene)
    rung(scene)
    scene.confirm("anna", "tablet")
    scene.now += DAY
    assert rung(scene) == ["phone"]
    scene.confirm("anna")
    assert scene.person("anna").slots == {}
    scene.confirm("anna")
    scene.confirm("nobody")
    assert scene.account("control") == Account(accepted=1, woken=1)


def test_what_is_confirmed_before_it_was_handed_over_is_cancelled_in_the_books() -> None:
    """It fetched the order on a wakeup for something else; on its receipt it counts as handed over."""
    scene = scene_of("phone")
    receipt = scene.accept("anna", name="control").receipt
    assert receipt is not None
    (flight,) = scene.send("anna")
    scene.confirm("anna", "phone")
    assert scene.person("anna").slots == {}
    assert scene.account("control") == Account(accepted=1, cancelled=1)
    told = totals(scene.people, scene.home, receipt, scene.now)
    assert (told.recipients, told.handed_over) == (1, 1)
    scene.took(flight)
    assert scene.account("control") == Account(accepted=1, cancelled=1)


def test_a_confirmation_is_for_the_orders_up_to_its_instant() -> None:
    scene = scene_of("phone")
    order(scene)
    rung(scene)
    obeyed_at = scene.now
    scene.now += MINUTE
    order(scene)
    scene.confirm("anna", "phone", at=obeyed_at)
    assert rung(scene) == ["phone"]
    scene.confirm("anna", "phone", at=scene.now)
    assert scene.person("anna").slots == {}


def test_an_older_order_that_comes_later_makes_a_newer_one_no_older() -> None:
    """As one does that another node has taken: what is confirmed up to an instant in between is not the newer one."""
    scene = scene_of("phone")
    scene.accept("anna", name="control", at=scene.now)
    scene.accept("anna", name="control", at=scene.now - 2)
    scene.confirm("anna", at=scene.now - 1)
    assert rung(scene) == ["phone"]
    scene.confirm("anna", at=scene.now)
    assert scene.person("anna").slots == {}


def test_an_order_that_ends_earlier_ends_no_other() -> None:
    scene = scene_of("phone")
    order(scene)
    order(scene, ttl=3 * HOUR)
    assert rung(scene) == ["phone"]
    scene.now += DAY
    assert rung(scene) == ["phone"]


def test_a_confirmation_that_leaves_only_those_who_were_woken_sets_their_next_day() -> None:
    """The dispatcher must hear of it: no verdict is to come that would tell it."""
    scene = scene_of()
    order(scene)
    tablet = next(f for f in scene.send("anna") if f.device.key == scene.device_key("anna", "tablet"))
    scene.took(tablet)
    scene.now += HOUR
    draft = Draft(scene.people, scene.now, scene.tables)
    settling.confirm(draft, scene.home, scene.key("anna"), CONTROL, scene.device_key("anna", "phone"), scene.now)
    assert draft.apply() == [scene.person("anna")]
    assert scene.consider("anna") == ([], [], scene.now + DAY)


def test_a_confirmation_by_another_tenant_is_none() -> None:
    scene = scene_of("phone")
    order(scene)
    other = tenant("county")
    scene.do(lambda draft: settling.confirm(draft, other, scene.key("anna"), CONTROL, None, scene.now))
    assert rung(scene) == ["phone"]


@pytest.mark.parametrize("end", ["deleted", "dead", "forgotten"])
def test_a_device_that_is_gone_has_no_orders(end: str) -> None:
    scene = scene_of()
    order(scene, "tablet")
    flights = scene.send("anna")
    match end:
        case "deleted":
            scene.unregister("anna", "tablet")
        case "dead":
            scene.say(Fate.DEAD, *flights)
        case _:
            scene.forget("anna")
    assert end == "forgotten" or scene.person("anna").slots == {}
    assert scene.people.pending() == {}


def test_it_comes_back_as_a_stranger() -> None:
    scene = scene_of()
    order(scene)
    rung(scene)
    scene.unregister("anna", "tablet")
    scene.register("anna", "tablet")
    scene.now += DAY
    assert rung(scene) == ["phone"]


# --- any history


@dataclass(slots=True)
class Owed:
    """An order as a clerk would note it."""

    at: float
    until: float
    rings_by: float
    """When its next wakeup must have left; an order or another wakeup may bring it earlier."""


@dataclass
class Clerk:
    """Who has not obeyed, one device after the other; nothing of slots and generations."""

    owed: dict[str, Owed] = field(default_factory=dict)


class Orders(RuleBasedStateMachine):
    """The providers take everything at once, and the relay looks every hour: who rings is known then."""

    def __init__(self) -> None:
        super().__init__()
        self.scene = scene_of("phone", "tablet", "new")
        self.there = {"phone", "tablet", "new"}
        self.clerk = Clerk()

    @rule(
        device=st.sampled_from(["phone", "tablet", "new", None]), ttl=st.sampled_from([NEVER, NEVER, 3 * DAY]),
        back=st.sampled_from([0.0, 0.0, MINUTE, 2 * HOUR]),
    )  # fmt: skip
    def order(self, device: str | None, ttl: float, back: float) -> None:
        """Also one that has been on its way for a while."""
        scene, owed = self.scene, self.clerk.owed
        named = self.there & ({device} if device else self.there)
        taken = scene.accept("anna", name="control", at=scene.now - back, device=device, ttl=ttl)
        assert taken.accepted == bool(named)
        new = Owed(scene.now - back, min(scene.now + WEEKS, scene.now - back + ttl), scene.now)
        for name in named:
            old = owed.get(name, new)
            owed[name] = Owed(max(old.at, new.at), max(old.until, new.until), new.rings_by)
        self.look(must=named)

    @rule()
    def message(self) -> None:
        """Wakes everybody, unless it is held, and takes open orders along."""
        if self.there:
            self.scene.now += 10 * MINUTE
            self.scene.accept("anna")
            assert self.look(must=self.there) == sorted(self.there)

    @rule(device=st.sampled_from(["phone", "tablet", "new", None]), back=st.sampled_from([0.0, 0.0, HOUR, 2 * DAY]))
    def confirm(self, device: str | None, back: float) -> None:
        at = self.scene.now - back
        self.scene.confirm("anna", device, at=at)
        named = [device] if device else list(self.clerk.owed)
        for name in named:
            if name in self.clerk.owed and self.clerk.owed[name].at <= at:
                del self.clerk.owed[name]

    @rule(device=st.sampled_from(["phone", "tablet", "new"]))
    def come_or_go(self, device: str) -> None:
        if device in self.there:
            self.scene.unregister("anna", device)
            self.clerk.owed.pop(device, None)
            self.there.remove(device)
        else:
            self.scene.register("anna", device)
            self.there.add(device)

    @rule(device=st.sampled_from(["phone", "tablet", "new"]), number=st.integers(0, 9))
    def change_token(self, device: str, number: int) -> None:
        if device in self.there:
            self.scene.register("anna", device, token=f"{device}/{number}")

    @rule()
    def restart(self) -> None:
        restart(self.scene)

    @rule(hours=st.integers(1, 80))
    def wait(self, hours: int) -> None:
        for _ in range(hours):
            self.scene.now += HOUR
            self.look(must=set())

    def look(self, must: set[str]) -> list[str]:
        """Who rings now: at least those who must, and nobody without an open order or a message."""
        scene, clerk = self.scene, self.clerk
        has_message = "message" in scene.person("anna").slots
        rings = rung(scene)
        if "control" in scene.consider("anna").expired:
            scene.expire("anna", "control")
        assert set(rings) >= must
        for name in rings:
            assert has_message or (name in clerk.owed and scene.now < clerk.owed[name].until), f"{name}: for what?"
            if name in clerk.owed:
                clerk.owed[name].rings_by = scene.now + DAY + HOUR
        for name, owed in clerk.owed.items():
            assert scene.now < owed.until or name not in rings or has_message
            assert scene.now < max(owed.rings_by, 0) or scene.now >= owed.until - DAY, f"{name} was forgotten"
        return rings

    @invariant()
    def whoever_is_owed_stands_in_the_slot(self) -> None:
        scene = self.scene
        slot = scene.person("anna").slots.get("control")
        now = {name for name, owed in self.clerk.owed.items() if scene.now < owed.until}
        kept = set() if slot is None else {n for n in self.there if scene.device_key("anna", n) in slot.orders}
        assert now <= kept <= self.clerk.owed.keys()

    @invariant()
    def the_books_balance(self) -> None:
        assert self.scene.people.books.balance(self.scene.people.pending()) == []


Orders.TestCase.settings = settings(max_examples=examples(60), stateful_step_count=30, deadline=None)
TestOrders = Orders.TestCase
