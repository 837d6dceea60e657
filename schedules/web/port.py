"""What the door asks of the relay: one Protocol, values, and what may go wrong.

The law. The door keeps nothing of anybody: whatever it shows was asked for with the session secret of the officer who
looks at it, and the relay decides whether that is good. So every method takes the secret first, but for the two that
make one. `relay_client.py` speaks HTTP over a Unix socket; tests have a second implementation.

Every method may raise `SignedOut` (the session is over), `Busy` and `Away`. Instants are UTC seconds. Secrets, ids and
documents stand in no `repr` and no message of an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, final

from schedules import Problem, Wake
from schedules.errors import Text

Document = Mapping[str, object]
"""A rest document as `schedules.parse` reads it."""


@final
@dataclass(frozen=True, slots=True, repr=False)
class Secret:
    """What proves that this is the officer's browser; or a link, before it is one. Printed by nobody."""

    value: str

    def __repr__(self) -> str:
        return "<secret>"


# --- what goes wrong


class RelayFault(Exception):
    """The relay did not do what was asked. Nothing was half done."""


class SignedOut(RelayFault):
    """401: the session is over, or there never was one."""


class Refused(RelayFault):
    """403: the link is used up or too old, or the officer is not known. All the same why."""


class Missing(RelayFault):
    """404: there is no such thing."""


class Changed(RelayFault):
    """412: the document is not any more what the form was made from."""


class NotReachable(RelayFault):
    """409: after this the officer is not reachable for a single minute of five weeks, and that was not confirmed."""


class Endless(RelayFault):
    """409: the rest has no end until which somebody could be reachable."""


class Rejected(RelayFault):
    """422: the document has faults; each has a path, and a sentence in both languages."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__(f"{len(problems)} faults")
        self.problems = problems


class Busy(RelayFault):
    """429: nothing was done; once more after so many seconds."""

    def __init__(self, retry_after: float) -> None:
        super().__init__("busy")
        self.retry_after = retry_after


class Away(RelayFault):
    """503, an answer that cannot be read, or none: it may have been done or not."""

    def __init__(self, retry_after: float = 5.0) -> None:
        super().__init__("no answer")
        self.retry_after = retry_after


# --- values


@dataclass(frozen=True, slots=True, repr=False)
class Opened:
    """A new session."""

    session: Secret
    expires_in: float
    """Seconds after which it ends in any case."""


@dataclass(frozen=True, slots=True, repr=False)
class Kept:
    """A document, and the version to save the next one with."""

    document: Document
    version: int


@dataclass(frozen=True, slots=True, repr=False)
class Leaving:
    """When some of what waits goes out, as things are and with the document asked about; None: not in sight."""

    notices: int
    due_before: float | None
    due_after: float | None


@dataclass(frozen=True, slots=True, repr=False)
class Device:
    """One of the officer's devices, as the backend calls it."""

    device: str
    platform: str
    app: str | None
    registered_at: float
    wake: Wake


@dataclass(frozen=True, slots=True)
class Piercing:
    """A class of events that may go out in rest. `kinds` None: in any rest."""

    event_class: str
    kinds: tuple[str, ...] | None
    roles: tuple[str, ...]
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True, repr=False)
class Bypass:
    """Somebody was woken in spite of rest."""

    at: float
    event_class: str
    role: str
    reason: str


@dataclass(frozen=True, slots=True, repr=False)
class DeviceTest:
    """How far the test got with one device, and what to do. `state` is handed_over, pending, failing, no_app, dead, or
    pc."""

    device: str
    state: str
    sentence: Text


@dataclass(frozen=True, slots=True, repr=False)
class WakeTest:
    """The last test wakeup."""

    at: float
    devices: tuple[DeviceTest, ...]


@dataclass(frozen=True, slots=True, repr=False)
class Traced:
    """One thing that happened about the own wakeups. `what` is handed_over, deferred, merged, failed, cancelled, or
    expired."""

    at: float
    what: str
    why: str
    classes: tuple[str, ...]
    device: str | None
    notices: int
    sentence: Text


@dataclass(frozen=True, slots=True, repr=False)
class Trace:
    """What woke the own devices since an instant; it ends by itself."""

    since: float
    until: float
    most: int
    """Entries that are kept."""
    lost: int
    """Older ones that had to go."""
    entries: tuple[Traced, ...]
    """The newest first."""


@dataclass(frozen=True, slots=True, repr=False)
class OpenSession:
    """A session of the page, or a token of the app."""

    kind: str
    """session or token."""
    begun_at: float
    used_at: float
    """When it was begun, if it was not used since."""
    ends_at: float
    """At the latest."""
    is_this: bool


@dataclass(frozen=True, slots=True, repr=False)
class Look:
    """Support was shown the officer's rest."""

    at: float
    key: str
    what: str


@dataclass(frozen=True, slots=True, repr=False)
class Support:
    """Until when a code is good (None: there is none), and who has looked with one."""

    until: float | None
    looks: tuple[Look, ...]


@dataclass(frozen=True, slots=True, repr=False)
class Code:
    """A support code, to be read out."""

    code: str
    expires_in: float


# --- the port


class Relay(Protocol):
    """Everything the door asks. `version`: of the document that is to be replaced, None: there is none yet; else
    Changed."""

    async def redeem(self, link: Secret) -> Opened:
        """A session for a link. Raises Refused."""

    async def open(self, tenant: str, user: str) -> Opened:
        """A session for who was made sure to be this user. Raises Refused for one the relay does not know."""

    async def sign_out(self, session: Secret) -> None:
        """This session ends."""

    async def sessions(self, session: Secret) -> tuple[OpenSession, ...]: ...

    async def end_others(self, session: Secret) -> None:
        """All sessions and tokens but this one end."""

    async def waiting(self, session: Secret) -> int:
        """How many notices wait."""

    async def rest(self, session: Secret) -> Kept | None:
        """The document; None where there is none."""

    async def save(self, session: Secret, document: Document, version: int | None, *, confirmed: bool = False) -> int:
        """The new version. Raises Changed, Rejected, NotReachable."""

    async def delete_rest(self, session: Secret, version: int) -> None:
        """No rule any more. Raises Changed, Missing."""

    async def snooze(
        self, session: Secret, until: float, version: int | None, *, confirmed: bool = False
    ) -> int | None:
        """Off duty from now on; the version after it. Raises Changed, Rejected, NotReachable."""

    async def reachable(self, session: Secret, until: float | None, version: int | None) -> int | None:
        """Reachable from now on, None: until the rest is over; the version after it, which is the same where nothing
        had to be changed (None: there is still no document). Raises Changed, Rejected, Endless."""

    async def effect(self, session: Secret, document: Document) -> tuple[Leaving, ...]:
        """What a document that is not saved would do to what waits. Raises Rejected."""

    async def devices(self, session: Secret) -> tuple[Device, ...]: ...

    async def wake(self, session: Secret, device: str, wake: Wake, version: int | None) -> int:
        """What a device does in rest; the new version. Raises Changed, Missing, Rejected."""

    async def piercing(self, session: Secret) -> tuple[Piercing, ...]: ...

    async def bypasses(self, session: Secret) -> tuple[Bypass, ...]: ...

    async def test(self, session: Secret) -> None:
        """Wake all devices now. Raises Busy after the third in ten minutes."""

    async def tested(self, session: Secret) -> WakeTest | None:
        """None: none in the last hour."""

    async def trace(self, session: Secret) -> Trace | None:
        """None: it is not on."""

    async def begin_trace(self, session: Secret) -> None:
        """Note for a day what wakes the own devices. Raises Busy where too many others have it on."""

    async def end_trace(self, session: Secret) -> None:
        """What was noted is gone."""

    async def support(self, session: Secret) -> Support: ...

    async def new_code(self, session: Secret) -> Code: ...

    async def end_code(self, session: Secret) -> None: ...

    async def export(self, session: Secret) -> bytes:
        """All that is kept of the officer, as JSON."""

    async def calendar(self, session: Secret, language: str) -> bytes:
        """The rests to come, as iCalendar."""

    async def delete_everything(self, session: Secret) -> None:
        """Rules, sessions, links, tokens, codes and looks end."""
