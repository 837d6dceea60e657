"""What the event door answers, as types, for the OpenAPI document. The bytes are made by each handler itself."""

from __future__ import annotations

import msgspec
from msgspec import UNSET, UnsetType


class Fault(msgspec.Struct):
    path: str
    sentence: str


class Problem(msgspec.Struct):
    """RFC 9457; further members by type: `restart`, `confirm`."""

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


class Sentence(msgspec.Struct):
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
    sentence: Sentence


class Tested(msgspec.Struct):
    at: float
    devices: list[TestedDevice]


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
