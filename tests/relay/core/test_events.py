"""The classes as the design names them."""

from __future__ import annotations

import pytest

from relay.core.events import DEFAULT_CLASSES, NEVER, Event, EventClass
from tests.relay.core.scene import DAY, HOUR, NOON, tenant

BY_NAME = {event_class.name: event_class for event_class in DEFAULT_CLASSES}


def test_there_are_messages_rosters_and_alarms() -> None:
    assert list(BY_NAME) == ["message", "roster", "alarm"]


@pytest.mark.parametrize(
    ("name", "pierces", "cancellable", "deadline"),
    [("message", False, True, 7 * DAY), ("roster", False, True, 7 * DAY), ("alarm", True, False, HOUR)],
)
def test_only_an_alarm_pierces_rest_and_it_cannot_be_read_away(
    name: str, pierces: bool, cancellable: bool, deadline: float
) -> None:
    event_class = BY_NAME[name]
    assert (event_class.pierces, event_class.cancellable, event_class.deadline) == (pierces, cancellable, deadline)


def test_nobody_may_send_an_alarm_before_roles_and_reasons_are_configured() -> None:
    assert (BY_NAME["alarm"].roles, BY_NAME["alarm"].reasons) == (frozenset(), frozenset())


def test_a_class_waits_for_the_end_of_rest_unless_it_is_told_otherwise() -> None:
    """A class that the configuration no longer names gets the defaults: it must not begin to pierce."""
    unknown = tenant().class_of("gone")
    assert unknown == EventClass(name="gone")
    assert not unknown.pierces
    assert unknown.cancellable


def test_an_event_exists_for_ever_unless_it_says_otherwise() -> None:
    assert Event(BY_NAME["message"], [], NOON).expires_at == NEVER
