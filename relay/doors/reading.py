"""From what a backend says of events to events: the same for all doors, with the same limits and the same faults.

Bodies come decoded (decoding.py); here is what takes more than a type: which classes there are, who may send them, what
goes together. Everything that is wrong is listed, each with its path.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Final

import msgspec

from relay.core.errors import Problem, Refused, TooManyRecipients
from relay.core.events import NEVER, Authority, Event, EventClass, Request
from relay.core.private import DeviceKey, UserKey
from relay.core.records import Records
from relay.core.tenants import Tenant
from relay.doors import decoding
from relay.doors.decoding import Id, Silent, check_list, check_members
from relay.doors.keys import ApiKey, Scope
from relay.doors.router import Forbidden

MOST_RECIPIENTS: Final = 25_000
"""Recipients of one request, over all its events."""
LONGEST_TTL: Final = 28 * 86400
AHEAD: Final = 300.0
"""Seconds by which the backend's clock may be ahead of ours."""
PLAIN: Final = "message"
"""Class of an event that names none."""


class EventBody(Silent):
    user: Id | None = None
    users: list[Id] | None = None
    event_class: str | None = msgspec.field(name="class", default=None)
    at: float | str | None = None
    ttl: float | None = None
    role: str | None = None
    reason: str | None = None
    device: Id | None = None


def event_problems(value: object, path: str) -> list[Problem]:
    """What is wrong with the form of an event."""
    found = check_members(value, path, EVENT)
    if isinstance(value, dict) and isinstance(value.get("users"), list):
        prefix = f"{path}." if path else ""
        found += check_list(value["users"], f"{prefix}users", id_problems)
    return found


def id_problems(value: object, path: str) -> list[Problem]:
    sentence = decoding.an_id(value)
    return [Problem(path, sentence)] if sentence else []


def _a_list(value: object) -> str | None:
    return None if isinstance(value, list) else "must be a list"


ABOUT: Final = {"user": decoding.an_id, "at": decoding.an_instant}
EVENT: Final = {
    **ABOUT,
    "users": _a_list,
    "class": decoding.a_text,
    "ttl": decoding.a_duration,
    "role": decoding.a_text,
    "reason": decoding.a_text,
    "device": decoding.an_id,
}
"""Members of an event, and their checks."""


def plain_class(tenant: Tenant, name: str) -> EventClass | None:
    """A class whose events may have no particulars; None when they must be read with more care."""
    event_class = tenant.classes.get(name)
    return None if event_class is None or event_class.needs is not Scope.EVENTS else event_class


def identity(key: ApiKey, value: bytes, body: bytes, path: str) -> Request:
    """What makes a repeated request recognisable. Raises Refused for a value that is no Idempotency-Key."""
    if not 0 < len(value) <= 255 or not all(0x21 <= byte <= 0x7E for byte in value):
        raise Refused(Problem(path, "must be 1 to 255 visible ASCII characters"))
    return Request(key.tenant.pseudonyms.request(key.id, value.decode()), sha256(body).digest())


class Reading:
    """Turns event bodies into events, and collects what is wrong with them."""

    def __init__(self, key: ApiKey, records: Records, now: float, keyless: str | None) -> None:
        """`key`: of who says it. `keyless`: where an Idempotency-Key is missing; None: there is one."""
        self._key = key
        self._records = records
        self._now = now
        self._keyless = keyless
        self._recipients = 0
        self.problems: list[Problem] = []

    def refuse(self) -> None:
        """Raises Refused when anything is wrong."""
        if self.problems:
            raise Refused(*self.problems[: decoding.MOST_PROBLEMS])

    def read(self, items: Iterable[tuple[EventBody, str]]) -> list[Event]:
        """Events from bodies, each with what begins the paths of its members. Raises TooManyRecipients, Forbidden.

        Plain events of a class become one event for all their users: nothing else tells them apart, and it is cheaper.
        """
        pseudonym, now = self._key.tenant.pseudonyms.user, self._now
        plain: dict[str, list[UserKey]] = {}
        events: list[Event] = []
        for item, prefix in items:
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
        return plain_class(self._key.tenant, PLAIN if body.event_class is None else body.event_class)

    def _event(self, body: EventBody, prefix: str) -> Event | None:
        before = len(self.problems)
        users = self._users(body, prefix)
        event_class = self._key.tenant.classes.get(PLAIN if body.event_class is None else body.event_class)
        if event_class is None:
            self.fault(f"{prefix}class", f"must be one of {', '.join(sorted(self._key.tenant.classes))}")
            return None
        if len(users) > event_class.recipients:
            raise TooManyRecipients(event_class.recipients)
        now = self._now
        at = instant(body.at, now, f"{prefix}at", self.problems)
        expires_at = NEVER
        if body.ttl is not None:
            if not 0 < body.ttl <= LONGEST_TTL:
                self.fault(f"{prefix}ttl", f"must be more than 0 and at most {LONGEST_TTL} seconds")
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
            self.fault(f"{prefix}device", "goes with orders only, as of the class control")
        if body.user is None:
            self.fault(f"{prefix}device", "goes with one user")
            return None
        return self._key.tenant.pseudonyms.device(body.user, body.device)

    def _users(self, body: EventBody, prefix: str) -> list[UserKey]:
        if (body.user is None) == (body.users is None):
            self.fault(f"{prefix}user", "must be given, or users, and not both")
            return []
        names = body.users if body.users is not None else [body.user or ""]
        if not names:
            self.fault(f"{prefix}users", "must not be empty")
        self._count(len(names))
        pseudonym = self._key.tenant.pseudonyms.user
        return [pseudonym(name) for name in names]

    def _count(self, recipients: int) -> None:
        self._recipients += recipients
        if self._recipients > MOST_RECIPIENTS:
            raise TooManyRecipients(MOST_RECIPIENTS)

    def _authority(
        self, body: EventBody, event_class: EventClass, users: Sequence[UserKey], prefix: str
    ) -> Authority | None:
        """Who pierces rest, and why. Raises Forbidden without the scope that the class needs."""
        if event_class.needs not in self._key.scopes:
            raise Forbidden(f"this class needs the scope {event_class.needs}")
        if not event_class.needs_authority:
            for name in ("role", "reason"):
                if getattr(body, name) is not None:
                    self.fault(f"{prefix}{name}", "goes with classes that pierce rest only")
            return None
        self._one_of(body.role, event_class.roles, f"{prefix}role")
        self._one_of(body.reason, event_class.reasons, f"{prefix}reason")
        if self._keyless is not None:
            self.fault(self._keyless, "is needed for classes that pierce rest")
        recipients = self._records.seal_recipients(users)
        return Authority(self._key.id, body.role or "", body.reason or "", recipients)

    def _one_of(self, value: str | None, allowed: frozenset[str], path: str) -> None:
        if value not in allowed:
            self.fault(path, f"must be one of {', '.join(sorted(allowed))}" if allowed else "has no configured values")

    def fault(self, path: str, sentence: str) -> None:
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
