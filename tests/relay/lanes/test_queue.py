"""The queue of a lane: alarms first, in order, and nobody twice."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from relay.core.devices import Device, Platform
from relay.core.flight import Flight
from relay.core.people import Person
from relay.core.private import DeviceKey, TokenHash, UserKey
from relay.core.pseudonym import Pseudonyms
from relay.core.tenants import Tenant
from relay.lanes.queue import Queue

TENANT = Tenant(name="t", pseudonyms=Pseudonyms(b"m" * 32, "t"), apps={"ios": Platform.APNS})


def _flight(number: int, *, urgent: bool = False) -> Flight:
    key = UserKey(number.to_bytes(16, "big"))
    device = Device(DeviceKey(key), key, "ios", Platform.APNS, TokenHash(key), b"", registered_at=0.0)
    return Flight(Person(TENANT, key, b""), device, urgent=urgent)


def _drain(queue: Queue) -> list[Flight]:
    return queue.take(len(queue))


def test_alarms_leave_first_and_all_in_the_order_of_arrival() -> None:
    queue = Queue()
    a, b, c, d = _flight(1), _flight(2, urgent=True), _flight(3), _flight(4, urgent=True)
    queue.add([a, b])
    queue.add([c, d])
    assert (len(queue), queue.urgent) == (4, 2)
    assert _drain(queue) == [b, d, a, c]


def test_what_is_put_back_stands_at_the_head_again_in_its_order() -> None:
    queue = Queue()
    flights = [_flight(number, urgent=number % 2 == 0) for number in range(8)]
    queue.add(flights)
    taken = queue.take(6)
    queue.put_back(taken)
    assert _drain(queue) == [flights[n] for n in (0, 2, 4, 6, 1, 3, 5, 7)]


def test_one_that_becomes_urgent_overtakes_itself() -> None:
    queue = Queue()
    a, b, c = flights = [_flight(number) for number in range(3)]
    queue.add(flights)
    b.urgent = True
    queue.add([b])
    assert (len(queue), queue.urgent) == (3, 1)
    assert queue.take(1) == [b]
    assert (len(queue), queue.urgent) == (2, 0)
    assert _drain(queue) == [a, c]
    assert len(queue) == 0


def test_one_that_became_urgent_and_is_put_back_still_leaves_once() -> None:
    queue = Queue()
    a, b = _flight(1), _flight(2)
    queue.add([a, b])
    b.urgent = True
    queue.add([b])
    queue.put_back(queue.take(1))
    assert (len(queue), queue.urgent) == (2, 1)
    assert _drain(queue) == [b, a]
    assert (len(queue), queue.urgent) == (0, 0)


_STEP = st.tuples(st.sampled_from(["add", "alarm", "urge", "take", "back", "drop"]), st.integers(0, 99))


@settings(max_examples=100)
@given(st.lists(_STEP, max_size=30))
def test_it_behaves_like_a_list_that_is_searched(steps: list[tuple[str, int]]) -> None:
    """The naive model: two lists, and an urgent flight is removed from the middle."""
    queue = Queue()
    alarms: list[Flight] = []
    others: list[Flight] = []
    taken: list[Flight] = []
    for number, (step, choice) in enumerate(steps):
        match step:
            case "add":
                others.append(_flight(number))
                queue.add(others[-1:])
            case "alarm":
                alarms.append(_flight(number, urgent=True))
                queue.add(alarms[-1:])
            case "urge" if others:
                flight = others.pop(choice % len(others))
                flight.urgent = True
                alarms.append(flight)
                queue.add([flight])
            case "take" if alarms or others:
                taken.append((alarms or others).pop(0))
                assert queue.take(1) == [taken[-1]]
                assert not taken[-1].queued
            case "back":
                queue.put_back(taken)
                alarms[:0] = [flight for flight in taken if flight.urgent]
                others[:0] = [flight for flight in taken if not flight.urgent]
                taken.clear()
            case "drop":
                taken.clear()
            case _:
                pass
        assert len(queue) == len(alarms) + len(others)
        assert queue.urgent == len(alarms)
        assert all(flight.queued for flight in alarms + others)
    assert _drain(queue) == alarms + others
