"""POST /v1/events and POST /v1/seen: what a messenger's backend says."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from typing import Final

import msgspec

from relay.core.errors import Problem, Refused, TooManyRecipients
from relay.core.events import NEVER, Authority, Event, EventClass, Request, Scope
from relay.core.fanout import LONGEST_ACTIVE
from relay.core.private import DeviceKey, UserKey
from relay.core.records import Records
from relay.core.tenants import Tenant
from relay.doors import decoding
from relay.doors.decoding import Body, Id, Silent, check_list, check_members
from relay.doors.http1 import Response
from relay.doors.port import Engine
from relay.doors.router import Call, Forbidden, Handle

MOST_RECIPIENTS: Final = 25_000
"""Recipients of one request, over all its events."""
LONGEST_TTL: Final = 28 * 86400
AHEAD: Final = 300.0
"""Seconds by which the backend's clock may be ahead of ours."""


class EventBody(Silent):
    user: Id | None = None
    users: list[Id] | None = None
    event_class: str | None = msgspec.field(name="class", default=None)
    at: float | str | None = None
    ttl: float | None = None
    role: str | None = None
    reason: str | None = None
    device: Id | None = None


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


def _event_problems(value: object, path: str) -> list[Problem]:
    found = check_members(value, path, _EVENT)
    if isinstance(value, dict) and isinstance(value.get("users"), list):
        prefix = f"{path}." if path else ""
        found += check_list(value["users"], f"{prefix}users", _id_problems)
    return found


def _id_problems(value: object, path: str) -> list[Problem]:
    sentence = decoding.an_id(value)
    return [Problem(path, sentence)] if sentence else []


def _events_problems(value: object) -> list[Problem]:
    if not isinstance(value, dict) or value.get("events") is None:
        return _event_problems(_without(value, "events"), "")
    alone = [Problem(n, _NOT_WITH_EVENTS) for n in sorted(_EVENT) if value.get(n) is not None]
    unknown = check_members({k: v for k, v in value.items() if k not in _EVENT}, "", {"events": lambda _: None})
    return alone + unknown + check_list(value["events"], "events", _event_problems)


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


def _a_list(value: object) -> str | None:
    return None if isinstance(value, list) else "must be a list"


_ABOUT: Final = {"user": decoding.an_id, "at": decoding.an_instant}
_SEEN: Final = {**_ABOUT, "active_for": decoding.a_duration}
_EVENT: Final = {
    **_ABOUT,
    "users": _a_list,
    "class": decoding.a_text,
    "ttl": decoding.a_duration,
    "role": decoding.a_text,
    "reason": decoding.a_text,
    "device": decoding.an_id,
}
_NOT_WITH_EVENTS: Final = "does not go together with events"
_PLAIN: Final = "message"
"""Class of an event that names none."""
_EVENTS: Final = Body(EventsBody, _events_problems)
_SEENS: Final = Body(SeensBody, _seens_problems)
_TAKEN: Final = Response(202, b"{}")


def post_events(records: Callable[[Tenant], Records]) -> Handle:
    """Take one event or many, all or none."""

    async def handle(call: Call, engine: Engine) -> Response:
        if not call.header(b"idempotency-key"):  # without one it holds no alarm
            engine.knock(call.tenant)
        body = _EVENTS.decode(call.content_type, call.body)
        found = _Reading(call, records(call.tenant))
        events = found.read(body)
        if found.problems:
            raise Refused(*found.problems[: decoding.MOST_PROBLEMS])
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


class _Reading:
    """Turns event bodies into events, and collects what is wrong with them."""

    def __init__(self, call: Call, records: Records) -> None:
        self._call = call
        self._records = records
        self._recipients = 0
        self.problems: list[Problem] = []

    def read(self, body: EventsBody) -> list[Event]:
        """Raises TooManyRecipients, Forbidden.

        Plain events of a class become one event for all their users: nothing else tells them apart, and it is cheaper.
        """
        pseudonym, now = self._call.tenant.pseudonyms.user, self._call.now
        plain: dict[str, list[UserKey]] = {}
        events: list[Event] = []
        for item, prefix in self._items(body):
            event_class = self._class_of_plain(item)
            if event_class is None or item.user is None:
                event = self._event(item, prefix)
                if event is not None:
                    events.append(event)
                continue
            users = plain.get(event_class.name)
            if users is None:
                users = plain[event_class.name] = []
                events.append(Event(event_class, users, now))
            users.append(pseudonym(item.user))
            self._count(1)
        return events

    def _class_of_plain(self, body: EventBody) -> EventClass | None:
        """The class of an event that has one user and no particulars; None when it must be read with more care."""
        has_more = body.at is not None or body.ttl is not None or body.role is not None or body.reason is not None
        if has_more or body.device is not None or body.user is None or body.users is not None:
            return None
        event_class = self._call.tenant.classes.get(_PLAIN if body.event_class is None else body.event_class)
        return None if event_class is None or event_class.needs is not Scope.EVENTS else event_class

    def _items(self, body: EventsBody) -> Iterator[tuple[EventBody, str]]:
        if body.events is None:
            yield body, ""
            return
        for name in sorted(_EVENT):
            if getattr(body, "event_class" if name == "class" else name) is not None:
                self._fault(name, _NOT_WITH_EVENTS)
        if not body.events:
            self._fault("events", "must not be empty")
        for index, item in enumerate(body.events):
            yield item, f"events[{index}]."

    def _event(self, body: EventBody, prefix: str) -> Event | None:
        before = len(self.problems)
        users = self._users(body, prefix)
        event_class = self._call.tenant.classes.get(_PLAIN if body.event_class is None else body.event_class)
        if event_class is None:
            self._fault(f"{prefix}class", f"must be one of {', '.join(sorted(self._call.tenant.classes))}")
            return None
        if len(users) > event_class.recipients:
            raise TooManyRecipients(event_class.recipients)
        now = self._call.now
        at = instant(body.at, now, f"{prefix}at", self.problems)
        expires_at = NEVER
        if body.ttl is not None:
            if not 0 < body.ttl <= LONGEST_TTL:
                self._fault(f"{prefix}ttl", f"must be more than 0 and at most {LONGEST_TTL} seconds")
            expires_at = at + body.ttl
        device = self._device(body, event_class, prefix)
        authority = self._authority(body, event_class, users, prefix)
        if len(self.problems) > before:
            return None
        return Event(event_class, users, at, expires_at, authority, device)

    def _device(self, body: EventBody, event_class: EventClass, prefix: str) -> DeviceKey | None:
        """The one device of one user that an order is for."""
        if body.device is None:
            return None
        if not event_class.renewal:
            self._fault(f"{prefix}device", "goes with orders only, as of the class control")
        if body.user is None:
            self._fault(f"{prefix}device", "goes with one user")
            return None
        return self._call.tenant.pseudonyms.device(body.user, body.device)

    def _users(self, body: EventBody, prefix: str) -> list[UserKey]:
        if (body.user is None) == (body.users is None):
            self._fault(f"{prefix}user", "must be given, or users, and not both")
            return []
        names = body.users if body.users is not None else [body.user or ""]
        if not names:
            self._fault(f"{prefix}users", "must not be empty")
        self._count(len(names))
        pseudonym = self._call.tenant.pseudonyms.user
        return [pseudonym(name) for name in names]

    def _count(self, recipients: int) -> None:
        self._recipients += recipients
        if self._recipients > MOST_RECIPIENTS:
            raise TooManyRecipients(MOST_RECIPIENTS)

    def _authority(
        self, body: EventBody, event_class: EventClass, users: Sequence[UserKey], prefix: str
    ) -> Authority | None:
        """Who pierces rest, and why. Raises Forbidden without the scope that the class needs."""
        if event_class.needs not in self._call.key.scopes:
            raise Forbidden(f"this class needs the scope {event_class.needs}")
        if not event_class.needs_authority:
            for name in ("role", "reason"):
                if getattr(body, name) is not None:
                    self._fault(f"{prefix}{name}", "goes with classes that pierce rest only")
            return None
        self._one_of(body.role, event_class.roles, f"{prefix}role")
        self._one_of(body.reason, event_class.reasons, f"{prefix}reason")
        if not self._call.header(b"idempotency-key"):
            self._fault("header.Idempotency-Key", "is needed for classes that pierce rest")
        recipients = self._records.seal_recipients(users)
        return Authority(self._call.key.id, body.role or "", body.reason or "", recipients)

    def _one_of(self, value: str | None, allowed: frozenset[str], path: str) -> None:
        if value not in allowed:
            self._fault(path, f"must be one of {', '.join(sorted(allowed))}" if allowed else "has no configured values")

    def _fault(self, path: str, sentence: str) -> None:
        if len(self.problems) < decoding.MOST_PROBLEMS:
            self.problems.append(Problem(path, sentence))


def instant(value: float | str | None, now: float, path: str, faults: list[Problem]) -> float:
    """UTC seconds; arrival when absent."""
    if value is None:
        return now
    at = decoding.seconds(value)
    if at is None:
        faults.append(Problem(path, decoding.an_instant(None) or ""))
    elif at < 0:
        faults.append(Problem(path, "must not be before 1970"))
    elif at > now + AHEAD:
        faults.append(Problem(path, f"must not be more than {AHEAD:.0f} seconds in the future"))
    else:
        return at
    return now


def _identity(call: Call) -> Request | None:
    """What makes a repeated request recognisable. Raises Refused for a header that is no key."""
    value = call.header(b"idempotency-key")
    if not value:
        return None
    if len(value) > 255 or not all(0x21 <= byte <= 0x7E for byte in value):
        raise Refused(Problem("header.Idempotency-Key", "must be 1 to 255 visible ASCII characters"))
    return Request(call.tenant.pseudonyms.request(call.key.id, value.decode()), sha256(call.body).digest())
