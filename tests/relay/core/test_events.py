"""The classes as the design names them."""

from __future__ import annotations

import pytest

from relay.core.events import DEFAULT_CLASSES, NEVER, Event, EventClass, Scope
from tests.relay.core.scene import DAY, HOUR, NOON, tenant

BY_NAME = {event_class.name: event_class for event_class in DEFAULT_CLASSES}


def test_there_are_messages_rosters_alarms_and_orders() -> None:
    assert list(BY_NAME) == ["message", "roster", "alarm", "control"]


@pytest.mark.parametrize(
    ("name", "pierces", "cancellable", "deadline"),
    [
        ("message", False, True, 7 * DAY),
        ("roster", False, True, 7 * DAY),
        ("alarm", True, False, HOUR),
        ("control", True, False, 28 * DAY),
    ],
)
def test_only_alarms_and_orders_pierce_rest_and_they_cannot_be_read_away(
    name: str, pierces: bool, cancellable: bool, deadline: float
) -> None:
    event_class = BY_NAME[name]
    assert (event_class.pierces, event_class.cancellable, event_class.deadline) == (pierces, cancellable, deadline)


@pytest.mark.parametrize("name", ["alarm", "control"])
def test_nobody_may_send_an_alarm_or_an_order_before_roles_and_reasons_are_configured(name: str) -> None:
    assert (BY_NAME[name].roles, BY_NAME[name].reasons) == (frozenset(), frozenset())


@pytest.mark.parametrize(
    ("event_class", "scope"),
    [
        (BY_NAME["message"], Scope.EVENTS),
        (BY_NAME["alarm"], Scope.ALARMS),
        (BY_NAME["control"], Scope.ADMIN),
        (EventClass(name="page", pierces=True), Scope.ALARMS),
        (EventClass(name="page", through=frozenset({"free"})), Scope.ALARMS),
        (EventClass(name="page", pierces=True, scope=Scope.ADMIN), Scope.ADMIN),
        (EventClass(name="notice", scope=Scope.ADMIN), Scope.ADMIN),
    ],
)
def test_what_may_go_out_in_rest_needs_more_than_the_scope_events(event_class: EventClass, scope: Scope) -> None:
    assert event_class.needs is scope


def test_a_class_waits_for_the_end_of_rest_unless_it_is_told_otherwise() -> None:
    """A class that the configuration no longer names gets the defaults: it must not begin to pierce."""
    unknown = tenant().class_of("gone")
    assert unknown == EventClass(name="gone")
    assert not unknown.pierces
    assert unknown.cancellable


def test_an_event_exists_for_ever_unless_it_says_otherwise() -> None:
    assert Event(BY_NAME["message"], [], NOON).expires_at == NEVER
