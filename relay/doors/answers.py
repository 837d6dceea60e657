"""What the event door answers, as types, for the OpenAPI document. The bytes are made by each handler itself."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, UnsetType


class Fault(msgspec.Struct):
    path: str
    sentence: str
    de: str | UnsetType = UNSET
    """The sentence in German, where the input is an officer's own."""


class Problem(msgspec.Struct):
    """RFC 9457; further members by type: `restart`, `confirm`, and `de`, the detail in German."""

    type: str
    title: str
    status: int
    detail: str | UnsetType = UNSET
    errors: list[Fault] | UnsetType = UNSET


class Taken(msgspec.Struct):
    accepted: int
    unknown: int
    receipt: str | UnsetType = UNSET


class Totals(msgspec.Struct):
    recipients: int
    handed_over: int
    no_device: int
    failing: int
    pending: int


class Parted(msgspec.Struct):
    seq: int
    user: str
    device: str
    why: str
    reason: str
    at: float


class Feedback(msgspec.Struct):
    devices: list[Parted]
    after: int


class Registered(msgspec.Struct):
    evicted: int


class Replaced(msgspec.Struct):
    created: int
    refreshed: int
    deleted: int


class DeviceFacts(msgspec.Struct):
    platform: str
    app: str
    registered_at: float


class MyDevice(DeviceFacts):
    device: str
    wake: str


class MyDevices(msgspec.Struct):
    devices: list[MyDevice]


class Version(msgspec.Struct):
    version: int


class Link(msgspec.Struct):
    link: str
    expires_in: int


class Token(msgspec.Struct):
    token: str
    expires_in: int


class Session(msgspec.Struct):
    kind: str
    begun_at: float
    used_at: float
    expires_at: float
    this: bool


class Sessions(msgspec.Struct):
    sessions: list[Session]


class TestTaken(msgspec.Struct):
    id: str
    at: float


class Said(msgspec.Struct):
    en: str
    de: str


class TestedDevice(msgspec.Struct):
    """`state`: handed_over, pending, failing, no_app, dead, pc. `why` and `reason`: of what fails, or waits."""

    device: str
    platform: str
    app: str
    state: str
    provider: str | None
    at: float | None
    why: str
    reason: str
    retry_at: float | None
    sentence: Said


class Tested(msgspec.Struct):
    at: float
    devices: list[TestedDevice]


class By(msgspec.Struct):
    role: str
    reason: str


class Traced(msgspec.Struct):
    """`what`: handed_over, deferred, merged, failed, cancelled, expired. `by`: of what may go out in rest."""

    at: float
    what: str
    why: str
    classes: list[str]
    device: str | None
    provider: str | None
    notices: int
    until: float | None
    reason: str
    by: list[By]
    sentence: Said


class Trace(msgspec.Struct):
    """The newest entry first, `most` of them; `lost`: older ones that had to go. Null: it is not on."""

    since: float | None
    until: float | None
    most: int
    lost: int
    entries: list[Traced]


class Code(msgspec.Struct):
    code: str
    expires_in: int


class Visit(msgspec.Struct):
    at: float
    key: str
    what: str


class Visits(msgspec.Struct):
    visits: list[Visit]
    until: float | None


class Bypass(msgspec.Struct):
    at: float
    event_class: str = msgspec.field(name="class")
    role: str
    reason: str


class Bypasses(msgspec.Struct):
    bypasses: list[Bypass]


class Waiting(msgspec.Struct):
    event_class: str = msgspec.field(name="class")
    notices: int
    since: float
    due: float | None
    """When its next wakeup leaves if nothing else happens."""
    why: str
    sentence: Said


class State(msgspec.Struct):
    """What holds at `now`; instants in UTC seconds."""

    now: float
    resting: bool
    until: float | None
    next_start: float | None
    version: int | None
    """Of the rest document; null when there is none."""
    waiting: list[Waiting]
    sentence: Said


class OnCall(State):
    id: str


class Woken(msgspec.Struct):
    version: int | None


class Span(msgspec.Struct):
    start: float
    end: float
    resting: bool
    reasons: list[str]
    """Paths of the rules that hold."""


class Day(msgspec.Struct):
    """A date, whole, in spans without a hole."""

    date: str
    spans: list[Span]
    sentence: Said


class Leaving(msgspec.Struct):
    event_class: str = msgspec.field(name="class")
    notices: int
    due_before: float | None
    due_after: float | None


class Effect(msgspec.Struct):
    """What waits now, and when it leaves by the document that is stored, and by this one."""

    waiting: int
    leaves: list[Leaving]


class Preview(msgspec.Struct):
    timezone: str
    now: float
    resting: bool
    until: float | None
    next_start: float | None
    days: list[Day]
    hints: list[Said]
    never_reachable: bool
    effect: Effect


class Piercing(msgspec.Struct):
    """A class of events that may go out in rest. `pierces`: "all", or the kinds of rest that are none for it."""

    event_class: str = msgspec.field(name="class")
    pierces: str | list[str]
    roles: list[str]
    reasons: list[str]


class Classes(msgspec.Struct):
    classes: list[Piercing]


class KeptRest(msgspec.Struct):
    version: int | None
    readable: bool
    document: dict[str, Any] | None


class KeptDevice(MyDevice):
    attempts: int | None
    retry_at: float | None


class KeptPass(msgspec.Struct):
    kind: str
    begun_at: float
    used_at: float
    expires_at: float


class Export(msgspec.Struct):
    """All that is kept of an officer, but for what is not for anybody: tokens of devices, hashes of secrets."""

    at: float
    user: str
    rest: KeptRest | None
    devices: list[KeptDevice]
    waiting: list[Waiting]
    bypasses: list[Bypass]
    visits: list[Visit]
    passes: list[KeptPass]
