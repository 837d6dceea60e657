"""POST /v1/events and POST /v1/seen: what a messenger's backend says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from relay.core.errors import Problem, Refused, TooManyRecipients
from relay.core.events import Request
from relay.core.fanout import LONGEST_ACTIVE
from relay.core.private import UserKey
from relay.core.records import Records
from relay.core.tenants import Tenant
from relay.doors import decoding
from relay.doors.decoding import Body, Id, Silent, check_list, check_members
from relay.doors.http1 import Response
from relay.doors.port import Engine
from relay.doors.reading import (
    ABOUT,
    EVENT,
    MOST_RECIPIENTS,
    EventBody,
    Reading,
    event_problems,
    identity,
    instant,
)
from relay.doors.router import Call, Handle


class EventsBody(EventBody):
    """One event, or `events` and nothing else."""

    events: list[EventBody] | None = None


class SeenBody(Silent):
    user: Id
    at: float | str | None = None
    active_for: float | None = None


class SeensBody(Silent):
    user: Id | None = None
    at: float | str | None = None
    active_for: float | None = None
    seen: list[SeenBody] | None = None


def _events_problems(value: object) -> list[Problem]:
    if not isinstance(value, dict) or value.get("events") is None:
        return event_problems(_without(value, "events"), "")
    alone = [Problem(n, _NOT_WITH_EVENTS) for n in sorted(EVENT) if value.get(n) is not None]
    unknown = check_members({k: v for k, v in value.items() if k not in EVENT}, "", {"events": lambda _: None})
    return alone + unknown + check_list(value["events"], "events", event_problems)


def _seens_problems(value: object) -> list[Problem]:
    if not isinstance(value, dict) or value.get("seen") is None:
        return check_members(_without(value, "seen"), "", _SEEN, frozenset({"user"}))
    alone = [Problem(n, "does not go together with seen") for n in sorted(_SEEN) if value.get(n) is not None]
    unknown = check_members({k: v for k, v in value.items() if k not in _SEEN}, "", {"seen": lambda _: None})
    return (
        alone
        + unknown
        + check_list(value["seen"], "seen", lambda item, path: check_members(item, path, _SEEN, frozenset({"user"})))
    )


def _without(value: object, name: str) -> object:
    return {k: v for k, v in value.items() if k != name} if isinstance(value, dict) else value


_SEEN: Final = {**ABOUT, "active_for": decoding.a_duration}
_NOT_WITH_EVENTS: Final = "does not go together with events"
_KEY_HEADER: Final = "header.Idempotency-Key"
_EVENTS: Final = Body(EventsBody, _events_problems)
_SEENS: Final = Body(SeensBody, _seens_problems)
_TAKEN: Final = Response(202, b"{}")


def post_events(records: Callable[[Tenant], Records]) -> Handle:
    """Take one event or many, all or none."""

    async def handle(call: Call, engine: Engine) -> Response:
        if not call.header(b"idempotency-key"):  # without one it holds no alarm
            engine.knock(call.tenant)
        body = _EVENTS.decode(call.content_type, call.body)
        keyless = None if call.header(b"idempotency-key") else _KEY_HEADER
        found = Reading(call.key, records(call.tenant), call.now, keyless)
        events = found.read(_items(body, found))
        found.refuse()
        taken = await engine.accept(call.tenant, events, _identity(call))
        counts = b'"accepted":%d,"unknown":%d' % (taken.accepted, taken.unknown)
        if taken.receipt is None:
            return Response(202, b"{%s}" % counts)
        return Response(202, b'{%s,"receipt":"%s"}' % (counts, taken.receipt.hex().encode()))

    return handle


async def post_seen(call: Call, engine: Engine) -> Response:
    """Cancel what the users have read; and let what is new wait while they go on reading on another device."""
    engine.knock(call.tenant)
    body = _SEENS.decode(call.content_type, call.body)
    alone = body.at is not None or body.active_for is not None
    if (body.user is None) == (body.seen is None) or (body.seen is not None and alone):
        raise Refused(Problem("body", "must have either user, at and active_for, or seen"))
    marks = body.seen if body.seen is not None else [SeenBody(body.user or "", body.at, body.active_for)]
    if len(marks) > MOST_RECIPIENTS:
        raise TooManyRecipients(MOST_RECIPIENTS)
    faults: list[Problem] = []
    pseudonym = call.tenant.pseudonyms.user
    pairs: list[tuple[UserKey, float]] = []
    active: dict[UserKey, float] = {}
    for index, mark in enumerate(marks):
        prefix = f"seen[{index}]." if body.seen is not None else ""
        key = pseudonym(mark.user)
        pairs.append((key, instant(mark.at, call.now, f"{prefix}at", faults)))
        if mark.active_for is None:
            continue
        if not 0 < mark.active_for <= LONGEST_ACTIVE:
            faults.append(
                Problem(f"{prefix}active_for", f"must be more than 0 and at most {LONGEST_ACTIVE:.0f} seconds")
            )
        active[key] = max(call.now + mark.active_for, active.get(key, 0.0))
    if faults:
        raise Refused(*faults[: decoding.MOST_PROBLEMS])
    await engine.seen(call.tenant, pairs, active)
    return _TAKEN


def _items(body: EventsBody, found: Reading) -> Iterator[tuple[EventBody, str]]:
    """The events of a body, and what begins the paths of their members."""
    if body.events is None:
        yield body, ""
        return
    for name in sorted(EVENT):
        if getattr(body, "event_class" if name == "class" else name) is not None:
            found.fault(name, _NOT_WITH_EVENTS)
    if not body.events:
        found.fault("events", "must not be empty")
    for index, item in enumerate(body.events):
        yield item, f"events[{index}]."


def _identity(call: Call) -> Request | None:
    """What makes a repeated request recognisable. Raises Refused for a header that is no key."""
    value = call.header(b"idempotency-key")
    return identity(call.key, value, call.body, _KEY_HEADER) if value else None
