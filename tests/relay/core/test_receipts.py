"""Receipts: the totals of an alarm add up at every commit, and say what a naive account of each notice says.

The big model (tests/model) asks the same of whole histories with rest, tokens and echoes; here are the cases by name,
and small histories in which users are deleted and records forgotten.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from relay.core import accepting
from relay.core.batch import Receipt
from relay.core.draft import Draft
from relay.core.errors import NotFound
from relay.core.events import DEFAULT_CLASSES, EventClass, Request
from relay.core.flight import Fate, Flight
from relay.core.partitions import ALL
from relay.core.people import People
from relay.core.private import ReceiptKey
from relay.core.receipts import Totals, totals
from relay.core.settling import seen
from relay.core.slots import Stub
from relay.loading import adopt, restore
from relay.store.memory import MemoryStore
from tests.effort import examples
from tests.relay.core.scene import DAY, HOUR, MINUTE, Scene, endless, tenant


def told(scene: Scene, receipt: ReceiptKey) -> dict[str, int]:
    """The totals, without what is zero; they add up."""
    found = totals(scene.people, scene.home, receipt, scene.now)
    assert found.recipients == found.handed_over + found.no_device + found.failing + found.pending
    return {name: n for name in Totals.__dataclass_fields__ if (n := getattr(found, name))}


def alarm(scene: Scene, *users: str) -> ReceiptKey:
    receipt = scene.accept(*users, name="alarm").receipt
    assert receipt is not None
    return receipt


# --- the four parts


def test_a_notice_is_pending_until_one_phone_has_taken_it() -> None:
    scene = Scene()
    scene.register("anna", "phone")
    scene.register("anna", "tablet")
    receipt = alarm(scene, "anna")
    flights = scene.send("anna")
    assert told(scene, receipt) == {"recipients": 1, "pending": 1}
    scene.took(flights[0])
    assert told(scene, receipt) == {"recipients": 1, "handed_over": 1}
    scene.took(flights[1])
    assert told(scene, receipt) == {"recipients": 1, "handed_over": 1}


def test_whoever_has_nothing_to_wake_at_accept_has_no_device() -> None:
    scene = Scene()
    scene.register("anna")
    scene.register("desk", token="")
    receipt = alarm(scene, "anna", "desk", "nobody")
    assert told(scene, receipt) == {"recipients": 3, "no_device": 2, "pending": 1}


def test_an_alarm_for_nobody_has_a_receipt_too() -> None:
    scene = Scene()
    assert told(scene, alarm(scene, "nobody")) == {"recipients": 1, "no_device": 1}


@pytest.mark.parametrize("end", ["removed", "dead", "forgotten"])
def test_whose_last_phone_goes_before_it_took_one_has_no_device(end: str) -> None:
    scene = Scene()
    scene.register("anna")
    receipt = alarm(scene, "anna")
    (flight,) = scene.send("anna")
    match end:
        case "removed":
            scene.unregister("anna")
        case "dead":
            scene.say(Fate.DEAD, flight)
        case _:
            scene.forget("anna")
    assert told(scene, receipt) == {"recipients": 1, "no_device": 1}
    scene.took(flight)
    assert told(scene, receipt) == {"recipients": 1, "no_device": 1}, "a verdict that comes late changes nothing"


def test_a_phone_that_comes_afterwards_is_not_owed_what_has_ended() -> None:
    scene = Scene()
    scene.register("anna")
    receipt = alarm(scene, "anna")
    scene.unregister("anna")
    scene.register("anna")
    assert scene.send("anna") == []
    assert told(scene, receipt) == {"recipients": 1, "no_device": 1}


@pytest.mark.parametrize("end", ["removed", "forgotten"])
def test_what_was_handed_over_stays_so_whatever_happens_to_the_user(end: str) -> None:
    scene = Scene()
    scene.register("anna")
    receipt = alarm(scene, "anna")
    scene.took(*scene.send("anna"))
    if end == "removed":
        scene.unregister("anna")
    else:
        scene.forget("anna")
    assert told(scene, receipt) == {"recipients": 1, "handed_over": 1}


def test_back_off_is_failing_until_the_phone_takes_it_after_all() -> None:
    scene = Scene()
    scene.register("anna")
    receipt = alarm(scene, "anna")
    scene.say(Fate.RETRY, *scene.send("anna"), not_before=scene.now + 10)
    assert told(scene, receipt) == {"recipients": 1, "failing": 1}
    scene.now += 10
    scene.took(*scene.send("anna"))
    assert told(scene, receipt) == {"recipients": 1, "handed_over": 1}


def test_one_of_two_phones_in_back_off_is_failing_and_the_other_is_enough() -> None:
    scene = Scene()
    scene.register("anna", "phone")
    scene.register("anna", "tablet")
    receipt = alarm(scene, "anna")
    phone, tablet = scene.send("anna")
    scene.say(Fate.RETRY, phone, not_before=scene.now + 10)
    assert told(scene, receipt) == {"recipients": 1, "failing": 1}
    scene.took(tablet)
    assert told(scene, receipt) == {"recipients": 1, "handed_over": 1}


def test_what_every_phone_has_refused_is_failing_for_good() -> None:
    scene = Scene()
    scene.register("anna")
    receipt = alarm(scene, "anna")
    scene.say(Fate.GIVE_UP, *scene.send("anna"))
    assert told(scene, receipt) == {"recipients": 1, "failing": 1}
    scene.forget("anna")
    assert told(scene, receipt) == {"recipients": 1, "failing": 1}


def test_what_has_expired_is_failing() -> None:
    scene = Scene()
    scene.register("anna")
    receipt = alarm(scene, "anna")
    scene.now += HOUR
    assert told(scene, receipt) == {"recipients": 1, "pending": 1}
    scene.expire("anna", "alarm")
    assert told(scene, receipt) == {"recipients": 1, "failing": 1}


def test_a_slot_that_expires_for_a_second_phone_was_handed_over() -> None:
    scene = Scene()
    scene.register("anna", "phone")
    scene.register("anna", "tablet")
    receipt = alarm(scene, "anna")
    scene.took(scene.send("anna")[0])
    assert scene.slot("anna", "alarm").stubs == (), "what has ended is not carried along"
    scene.now += HOUR
    scene.expire("anna", "alarm")
    assert told(scene, receipt) == {"recipients": 1, "handed_over": 1}


def test_rest_does_not_show() -> None:
    """L2: she rests, he does not; nothing differs."""
    scene = Scene()
    for user in ("anna", "bert"):
        scene.register(user)
    scene.rest("anna", endless())
    receipts = {user: alarm(scene, user) for user in ("anna", "bert")}
    assert told(scene, receipts["anna"]) == told(scene, receipts["bert"])
    for user in receipts:
        scene.took(*scene.send(user))
    assert told(scene, receipts["anna"]) == told(scene, receipts["bert"]) == {"recipients": 1, "handed_over": 1}


def test_who_adopts_a_person_counts_for_receipts_that_other_nodes_have_given() -> None:
    """Of an alarm that was pending, and of one that comes on top; each node's part is a record of its own."""
    one, other = Durable(), Scene()
    one.register("anna")
    first, second = alarm(one, "anna"), alarm(one, "anna")
    parted = one.store.load()
    parted.receipts = {key: Receipt(known.tenant, known.at) for key, known in parted.receipts.items()}  # not counted
    other.home, other.people.tenants = one.home, one.people.tenants
    other.people.books = one.people.books  # the scene compares those of all nodes
    adopt(other.people, parted, ALL)
    third = alarm(other, "anna")
    other.took(*other.send("anna"))
    found = {key: receipt.handed_over for key, receipt in other.people.receipts.items()}
    assert found == {first: 1, second: 1, third: 1}
    assert [other.people.receipts[key].recipients for key in (first, second, third)] == [0, 0, 1]


# --- which notices are whose


def test_merged_alarms_count_for_both_requests() -> None:
    scene = Scene()
    scene.register("anna")
    receipts = [alarm(scene, "anna"), alarm(scene, "anna")]
    (flight,) = scene.send("anna")
    scene.took(flight)
    assert [told(scene, receipt) for receipt in receipts] == [{"recipients": 1, "handed_over": 1}] * 2


def test_an_alarm_that_comes_while_one_is_in_the_air_is_not_handed_over_with_it() -> None:
    scene = Scene()
    scene.register("anna")
    first = alarm(scene, "anna")
    (flight,) = scene.send("anna")
    second = alarm(scene, "anna")
    scene.took(flight)
    assert told(scene, first) == {"recipients": 1, "handed_over": 1}
    assert told(scene, second) == {"recipients": 1, "pending": 1}
    scene.took(*scene.send("anna"))
    assert told(scene, second) == {"recipients": 1, "handed_over": 1}


def test_who_is_named_twice_counts_twice() -> None:
    scene = Scene()
    scene.register("anna")
    receipt = alarm(scene, "anna", "anna")
    assert scene.slot("anna", "alarm").stubs == (Stub(receipt, 1, 2),)
    scene.took(*scene.send("anna"))
    assert told(scene, receipt) == {"recipients": 2, "handed_over": 2}


def test_the_alarms_of_a_request_have_one_receipt_and_its_messages_none() -> None:
    scene = Scene()
    scene.register("anna")
    scene.register("bert")
    events = [
        scene.event("anna"), scene.event("anna", "nobody", name="alarm"), scene.event("bert"),
        scene.event("anna", "bert", name="alarm"),
    ]  # fmt: skip
    answer = scene.do(lambda draft: accepting.accept(draft, scene.home, events, Request(b"key", b"body")))
    assert answer.receipt is not None
    assert (answer.accepted, answer.unknown) == (5, 1)
    assert told(scene, answer.receipt) == {"recipients": 4, "no_device": 1, "pending": 3}
    scene.took(*scene.send("anna"))
    assert told(scene, answer.receipt) == {"recipients": 4, "handed_over": 2, "no_device": 1, "pending": 1}
    assert scene.accept("anna", "bert").receipt is None


def test_other_classes_carry_nothing() -> None:
    scene = Scene()
    scene.register("anna")
    alarm(scene, "anna")
    scene.accept("anna")
    assert scene.slot("anna").stubs == ()
    scene.took(*scene.send("anna"))
    assert scene.batches[-1].receipts.keys() == scene.people.receipts.keys()
    scene.accept("anna")
    scene.took(*scene.send("anna"))
    assert scene.batches[-1].receipts == {}


def test_two_receipts_of_one_commit_are_two() -> None:
    scene = Scene()
    scene.register("anna")
    with scene.draft() as draft:
        answers = [
            accepting.accept(draft, scene.home, [scene.event("anna", name="alarm")], Request(key, b"body"))
            for key in (b"one", b"another", b"one")
        ]
    assert answers[0] == answers[2] != answers[1]
    for answer in answers:
        assert answer.receipt is not None
        assert told(scene, answer.receipt) == {"recipients": 1, "pending": 1}


def test_what_was_open_before_there_were_receipts_is_not_counted_for_the_first_one() -> None:
    """From a file of an older version."""
    scene = Scene()
    scene.register("anna")
    alarm(scene, "anna")
    scene.slot("anna", "alarm").stubs = ()
    receipt = alarm(scene, "anna")
    assert scene.slot("anna", "alarm").n == 2
    scene.took(*scene.send("anna"))
    assert told(scene, receipt) == {"recipients": 1, "handed_over": 1}


def test_a_class_that_is_no_alarm_any_more_ends_by_reading_and_still_adds_up() -> None:
    scene = Scene()
    scene.register("anna")
    receipt = alarm(scene, "anna")
    demoted = {c.name: c for c in DEFAULT_CLASSES} | {"alarm": EventClass(name="alarm")}
    home = scene.person("anna").tenant = replace(scene.home, classes=demoted)
    scene.do(lambda draft: seen(draft, home, [(scene.key("anna"), scene.now)]))
    assert told(scene, receipt) == {"recipients": 1, "failing": 1}


# --- whose receipt, and how long


def test_an_unknown_receipt_and_another_tenants_are_the_same_error() -> None:
    city, county = tenant("city"), tenant("county")
    scene = Scene(city, county)
    scene.register("anna")
    receipt = alarm(scene, "anna")
    with pytest.raises(NotFound) as theirs:
        totals(scene.people, county, receipt, scene.now)
    with pytest.raises(NotFound) as unknown:
        totals(scene.people, city, ReceiptKey(bytes(16)), scene.now)
    assert str(theirs.value) == str(unknown.value)


def test_a_receipt_lives_for_a_day() -> None:
    scene = Scene()
    receipt = alarm(scene, "nobody")
    scene.now += DAY - 0.001
    scene.people.forget(scene.now)
    assert told(scene, receipt) == {"recipients": 1, "no_device": 1}
    scene.now += 0.001
    with pytest.raises(NotFound):
        told(scene, receipt)
    scene.people.forget(scene.now)
    assert scene.people.receipts == {}


def test_a_slot_drops_what_nobody_can_ask_for_any_more() -> None:
    """A phone that stays in back-off, and alarms that go on: what the slot carries stays bounded by a day's."""
    scene = Scene()
    scene.register("anna")
    alarm(scene, "anna")
    scene.now += DAY
    scene.people.forget(scene.now)
    receipt = alarm(scene, "anna")
    assert [stub.receipt for stub in scene.slot("anna", "alarm").stubs] == [receipt]
    assert scene.slot("anna", "alarm").n == 2


def test_receipts_are_not_to_be_guessed_and_never_given_twice() -> None:
    scene = Scene(tenant("city"), tenant("county"))
    given = [alarm(scene, "nobody") for _ in range(50)]
    names = scene.tenants["county"].pseudonyms
    others = {names.receipt(generation, scene.now) for generation in range(100)}
    assert len(set(given)) == 50
    assert not set(given) & others
    assert scene.home.pseudonyms.receipt(1, scene.now) != scene.home.pseudonyms.receipt(1, scene.now + 1)


# --- histories


USERS: Final = ("anna", "bert", "carl")
DEVICES: Final = ("phone", "tablet")


@dataclass(eq=False)
class Notice:
    """One alarm for one recipient, as a clerk keeps it."""

    user: str
    fate: str = "pending"


class Durable(Scene):
    """A scene whose commits go to a store, and whose process may end."""

    def __init__(self) -> None:
        super().__init__()
        self.store = MemoryStore()
        self.epoch = self.store.load().epoch

    @contextmanager
    def draft(self) -> Iterator[Draft]:
        with super().draft() as draft:
            yield draft
            draft.batch.epoch = self.epoch
            self.store.commit(draft.batch)

    def loaded(self) -> People:
        people = People(self.tenants)
        self.epoch = restore(people, self.store.load())
        return people


class Receipts(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.scene = Durable()
        self.receipts: dict[ReceiptKey, tuple[float, list[Notice]]] = {}
        self.open: dict[str, list[Notice]] = {user: [] for user in USERS}
        self.last_alarm = dict.fromkeys(USERS, 0.0)
        self.refused: set[tuple[str, str, Notice]] = set()
        """(user, device, notice) that a phone will never be asked for again."""
        self.air: list[tuple[str, Flight, list[Notice]]] = []

    # --- what the clerk knows

    def _phones(self, user: str) -> list[str]:
        person = self.scene.people.by_key.get(self.scene.key(user))
        keys = person.devices if person is not None else {}
        return [device for device in DEVICES if self.scene.device_key(user, device) in keys]

    def _end(self, user: str, fate: str) -> None:
        for notice in self.open[user]:
            notice.fate = fate
        self.open[user] = []

    def _look_again(self, user: str) -> None:
        """Without a phone nobody will take it; refused by all that are left it has failed."""
        phones = self._phones(user)
        if not phones:
            self._end(user, "no_device")
        elif all((user, device, notice) in self.refused for device in phones for notice in self.open[user]):
            self._end(user, "failing")

    # --- what happens

    @rule(user=st.sampled_from(USERS), device=st.sampled_from(DEVICES))
    def register(self, user: str, device: str) -> None:
        self.scene.register(user, device)

    @rule(user=st.sampled_from(USERS), device=st.sampled_from(DEVICES))
    def unregister(self, user: str, device: str) -> None:
        if device in self._phones(user):
            self.scene.unregister(user, device)
            self._forget_refusals(user, device)
            self._look_again(user)

    def _forget_refusals(self, user: str, device: str) -> None:
        self.refused = {entry for entry in self.refused if entry[:2] != (user, device)}

    @rule(user=st.sampled_from(USERS))
    def delete(self, user: str) -> None:
        if self.scene.key(user) in self.scene.people.by_key:
            self.scene.forget(user)
            for device in DEVICES:
                self._forget_refusals(user, device)
            self._end(user, "no_device")

    @rule(
        alarms=st.lists(st.lists(st.sampled_from([*USERS, "nobody"]), min_size=1, max_size=4), min_size=1, max_size=3),
        messages=st.sampled_from([(), ("anna",), USERS]),
    )
    def accept(self, alarms: list[list[str]], messages: tuple[str, ...]) -> None:
        scene = self.scene
        events = [scene.event(*users, name="alarm") for users in alarms]
        events[1:1] = [scene.event(user) for user in messages]
        request = Request(len(self.receipts).to_bytes(16, "big"), b"body")
        answers = [scene.do(lambda draft: accepting.accept(draft, scene.home, events, request)) for _ in range(2)]
        assert answers[0] == answers[1]
        assert answers[0].receipt is not None
        notices = [Notice(user) for users in alarms for user in users]
        self.receipts[answers[0].receipt] = (scene.now, notices)
        for notice in notices:
            if notice.user in USERS and self._phones(notice.user):
                self.open[notice.user].append(notice)
                self.last_alarm[notice.user] = scene.now
            else:
                notice.fate = "no_device"

    @rule(user=st.sampled_from(USERS))
    def send(self, user: str) -> None:
        if self.scene.key(user) in self.scene.people.by_key:
            self.air += [(user, flight, list(self.open[user])) for flight in self.scene.send(user)]

    @precondition(lambda self: self.air)
    @rule(pick=st.integers(0, 9), fate=st.sampled_from(["took", "took", *Fate]))
    def answer(self, pick: int, fate: str) -> None:
        user, flight, said = self.air.pop(pick % len(self.air))
        person, device = flight.person, flight.device
        stands = not person.gone
        asked = stands and device.key in person.devices
        name = next(d for d in DEVICES if self.scene.device_key(user, d) == device.key)
        alike = asked and person.devices[device.key].registered_at == device.registered_at
        is_alarm = any(name == "alarm" for name, _, _ in flight.claims)
        if fate == "took":
            self.scene.took(flight)
        else:
            self.scene.say(Fate(fate), flight, not_before=self.scene.now + 5)
        if not stands:
            return
        spoken = [notice for notice in said if notice in self.open[user]] if is_alarm else []
        if fate == "took":
            for notice in spoken:
                notice.fate = "handed_over"
                self.open[user].remove(notice)
        elif fate == Fate.GIVE_UP and asked:
            self.refused |= {(user, name, notice) for notice in spoken}
            if spoken:
                self._look_again(user)
        elif fate == Fate.DEAD and alike:
            self._forget_refusals(user, name)
            self._look_again(user)

    @rule(seconds=st.sampled_from([1.0, 10.0, MINUTE, HOUR, 7 * HOUR, DAY]))
    def pass_time(self, seconds: float) -> None:
        self.scene.now += seconds
        for user in USERS:
            person = self.scene.people.by_key.get(self.scene.key(user))
            if person is not None and "alarm" in person.slots:
                self.scene.expire(user, "alarm")
                if self.last_alarm[user] + HOUR <= self.scene.now:
                    self._end(user, "failing")
        if seconds >= HOUR:
            self.scene.people.forget(self.scene.now)
            self.scene.store.purge(self.scene.now, 1000)

    @rule()
    def crash(self) -> None:
        self.scene.people = self.scene.loaded()
        self.air.clear()

    # --- what must hold

    @invariant()
    def totals_are_the_clerks(self) -> None:
        scene = self.scene
        for people in (scene.people, scene.loaded()):
            for key, (at, notices) in self.receipts.items():
                if at + DAY <= scene.now:
                    with pytest.raises(NotFound):
                        totals(people, scene.home, key, scene.now)
                    continue
                parts = Counter(self._part(notice) for notice in notices)
                expected = Totals(
                    len(notices), parts["handed_over"], parts["no_device"], parts["failing"], parts["pending"]
                )
                assert totals(people, scene.home, key, scene.now) == expected

    def _part(self, notice: Notice) -> str:
        if notice.fate == "pending" and any(p.attempt for p in self.scene.person(notice.user).phones):
            return "failing"
        return notice.fate


TestReceipts = Receipts.TestCase
TestReceipts.settings = settings(max_examples=examples(100), stateful_step_count=40)
