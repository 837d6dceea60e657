"""What a door may ask of the relay. Doors know this Protocol and the core's values, nothing else of the inside.

Every call returns after the commit. Errors are those of core/errors.py; a door turns them into answers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Final, Literal, Protocol

from relay.core.batch import Bypass, Parting
from relay.core.devices import Platform, Registration
from relay.core.editing import Replaced
from relay.core.events import Accepted, Event, EventClass, Request
from relay.core.explaining import Waiting
from relay.core.foretelling import Leaving
from relay.core.gate import RestTable
from relay.core.passes import Look, PassKind, Visit
from relay.core.private import DeviceKey, PassKey, Private, ReceiptKey, UserKey
from relay.core.receipts import Totals
from relay.core.tenants import Tenant
from relay.core.traces import What, Why


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """What GET tells of a device; never the token."""

    app: str
    platform: Platform
    registered_at: float


@dataclass(frozen=True, slots=True)
class Registered:
    created: bool
    """False: the device existed and was refreshed."""
    evicted: int
    """Devices that had to leave for it (over the limit, or the token's former owner)."""


@dataclass(frozen=True, slots=True, repr=False)
class Officer:
    """Who has shown a token or a session of his own."""

    tenant: Tenant
    user: UserKey
    token: PassKey
    kind: PassKind = PassKind.TOKEN


@dataclass(frozen=True, slots=True)
class PassFacts:
    """A token or a session, as its owner is told of it. Instants in UTC seconds."""

    kind: PassKind
    begun_at: float
    used_at: float
    """When it was given, if it was not used since."""
    expires_at: float
    """At the latest."""
    is_this: bool
    """It is the one that is asked with."""


@dataclass(frozen=True, slots=True)
class DeviceCondition:
    """A device under the backend's own id, and whether its wakeups are taken."""

    device: Private
    app: str
    platform: Platform
    registered_at: float
    can_be_woken: bool
    """Its app is configured, at the provider whose token it has."""
    attempts: int | None
    """Failed ones in a row; None: not told."""
    retry_at: float | None
    """No attempt before; None when one may be made now."""


@dataclass(frozen=True, slots=True)
class LaneCondition:
    app: str
    state: str
    """up; paused: the provider is in trouble, or wants us to wait; stopped: it says that we are wrong."""
    reason: str
    """Why it is not up; empty when it is."""


class TrialState(StrEnum):
    """What became of an officer's test at one device."""

    HANDED_OVER = "handed_over"
    PENDING = "pending"
    FAILING = "failing"
    NO_APP = "no_app"
    """Its app is not configured any more, or is of another provider than its token."""
    DEAD = "dead"
    """The provider does not know its token any more; it is forgotten."""
    PC = "pc"
    """Has nothing to wake it by."""


class TrialWhy(StrEnum):
    """What keeps it back, or has."""

    NOTHING = ""
    LATER = "later"
    """The provider did not take it now, for the word that stands in `reason`."""
    REFUSED = "refused"
    """The provider will not take it."""
    PAUSED = "paused"
    STOPPED = "stopped"
    """Of the lane, as in LaneCondition."""
    BACK_OFF = "back_off"
    """An earlier attempt failed."""
    HALT = "halt"
    """An operator holds it back."""
    EXPIRED = "expired"
    """It was tried for as long as a test is."""


@dataclass(frozen=True, slots=True)
class DeviceTrial:
    """One device of an officer's test, under the backend's own id. Instants in UTC seconds."""

    device: Private
    app: str
    platform: Platform
    state: TrialState
    why: TrialWhy = TrialWhy.NOTHING
    at: float | None = None
    """When that became known, of what a provider said."""
    reason: str = ""
    retry_at: float | None = None
    """When it is tried again; None: not known, or at once, or never."""


@dataclass(frozen=True, slots=True)
class TrialFacts:
    at: float
    devices: Sequence[DeviceTrial]
    """As they were then, the one registered longest ago first; without those that have left for another reason."""


@dataclass(frozen=True, slots=True, repr=False)
class TraceEntry:
    """One thing that happened about an officer's own wakeups, as core/traces.py has it; the device by its own id."""

    at: float
    what: What
    classes: Sequence[str]
    why: Why | None
    device: Private | None
    platform: Platform | None
    notices: int
    until: float | None
    reason: str
    by: Sequence[tuple[str, str]]
    """Who was behind what may go out in rest: role and reason."""


@dataclass(frozen=True, slots=True, repr=False)
class TraceFacts:
    since: float
    until: float
    lost: int
    """Entries that had to go for newer ones."""
    entries: Sequence[TraceEntry]
    """The newest first."""


@dataclass(frozen=True, slots=True)
class Condition:
    """What somebody's wakeups depend on, rest apart."""

    devices: Sequence[DeviceCondition]
    """The one registered longest ago comes first."""
    lanes: Sequence[LaneCondition]
    """Of their apps."""
    store_healthy: bool
    store_waiting: int
    """Recipients that wait for the next commit, over all people."""

    def without_attempts(self) -> Condition:
        """What may be told to who has no support code."""
        devices = [replace(device, attempts=None, retry_at=None) for device in self.devices]
        return replace(self, devices=devices)


@dataclass(frozen=True, slots=True, repr=False)
class RestFacts:
    """What the gate knows of somebody at an instant. For that person, and whom it has given a support code."""

    resting: bool
    until: float | None
    next_start: float | None
    document: Mapping[str, object] | None
    """None when there is none, or when it cannot be read."""
    readable: bool
    """False: it cannot be read; what was read last holds, else rest without end."""
    wakes: Mapping[str, str]
    """Devices that do not follow the rest, as the document says."""
    waiting: Sequence[Waiting]
    version: int | None = None
    """Of the document; None when there is none."""


@dataclass(frozen=True, slots=True)
class RestDocument:
    document: Mapping[str, object] = field(repr=False)
    version: int


@dataclass(frozen=True, slots=True)
class RestKept:
    created: bool
    """False: there was a document, and it was replaced."""
    version: int


Change = Callable[[Mapping[str, object], float], Mapping[str, object] | None]
"""(document, now) → the document that takes its place; None: it stays. Where there is none, it is empty.

It is called by the writer: so it is quick, and refuses by a RelayError.
"""


@dataclass(frozen=True, slots=True)
class RestChanged:
    version: int | None
    """None: there is no document, and none was needed."""
    at: float
    """The instant at which the change was made: what it says of now is true from then on."""


@dataclass(frozen=True, slots=True, repr=False)
class Kept:
    """All that is kept of an officer, beside the rest and what waits, and may be shown to him."""

    user: Private
    """The backend's own id."""
    devices: Sequence[DeviceCondition]
    passes: Sequence[PassFacts]
    visits: Sequence[Visit]
    bypasses: Sequence[Bypass]


@dataclass(frozen=True, slots=True)
class Parted:
    """A device that left, under the backend's own ids."""

    seq: int
    user: Private
    device: Private
    parting: Parting
    reason: str
    at: float


@dataclass(frozen=True, slots=True)
class Told:
    """A piece of the feedback, oldest first. `after`: the cursor to go on from."""

    devices: Sequence[Parted]
    after: int


IfMatch = int | Literal["*", "none"] | None
"""Version that must be the current one; "*": any existing; "none": there must be none; None: no condition."""


NOBODY: Final[Mapping[UserKey, float]] = MappingProxyType({})


class Engine(Protocol):
    """About one person, each call may raise Elsewhere: another node has that person."""

    def knock(self, tenant: Tenant) -> None:
        """To be asked before a large body is read that can hold no alarm. Raises Overloaded."""

    async def accept(self, tenant: Tenant, events: Sequence[Event], request: Request | None) -> Accepted:
        """Take the events, all or none. Raises IdempotencyMismatch, Overloaded, Unavailable."""

    async def seen(
        self, tenant: Tenant, marks: Sequence[tuple[UserKey, float]], active: Mapping[UserKey, float] = NOBODY
    ) -> None:
        """The user has read everything up to an instant. Raises Overloaded, Unavailable.

        `active`: until when users among them go on reading elsewhere.
        """

    async def confirm(
        self, tenant: Tenant, user: UserKey, event_class: EventClass, device: DeviceKey | None, at: float
    ) -> None:
        """Devices have obeyed the orders of a class up to an instant; None: all of the user's. Unknown ones are none.

        Raises Overloaded, Unavailable.
        """

    async def feedback(self, tenant: Tenant, after: int | None, wait: float) -> Told:
        """Devices that died, were evicted or moved, after a cursor; None: all that is kept.

        Waits for the first, at most so many seconds, and not beyond `drain`. Raises CursorExpired, Unavailable.
        """

    async def alarm(self, tenant: Tenant, receipt: ReceiptKey, now: float) -> Totals:
        """What has become of the alarms of a request, as of the last commit. Raises NotFound, Unavailable."""

    async def delete_user(self, tenant: Tenant, user: UserKey) -> None:
        """Forget somebody. Raises NotFound, Overloaded, Unavailable."""

    def drain(self) -> None:
        """No call waits from now on for something that may happen."""

    async def put_device(self, tenant: Tenant, registration: Registration) -> Registered:
        """Raises DeviceLimitReached, Overloaded, Unavailable."""

    async def put_devices(self, tenant: Tenant, listed: Mapping[UserKey, Sequence[Registration]]) -> Replaced:
        """Give users exactly these devices, all or none. Raises Overloaded, Unavailable."""

    async def delete_device(self, tenant: Tenant, user: UserKey, device: DeviceKey) -> None:
        """Raises NotFound, Overloaded, Unavailable."""

    def device(self, tenant: Tenant, user: UserKey, device: DeviceKey) -> DeviceFacts:
        """Raises NotFound."""

    async def put_rest(
        self, tenant: Tenant, user: UserKey, sealed_id: bytes | None, document: Mapping[str, object], if_match: IfMatch
    ) -> RestKept:
        """Create or replace the rest document (already validated by the door).

        `sealed_id`: the user's id sealed, used when the user is new; None: it must be known. Raises NotFound,
        VersionConflict, Overloaded, Unavailable.
        """

    def rest(self, tenant: Tenant, user: UserKey) -> RestDocument:
        """Raises NotFound."""

    async def delete_rest(self, tenant: Tenant, user: UserKey, if_match: IfMatch) -> None:
        """Raises NotFound, VersionConflict, Overloaded, Unavailable."""

    # --- who may see it

    async def issue(self, tenant: Tenant, user: UserKey, kind: PassKind, secret: Private) -> None:
        """Give somebody a pass. Raises NotFound, Overloaded, Unavailable."""

    async def redeem(self, link: Private, given: Private, kind: PassKind = PassKind.TOKEN) -> None:
        """Use up a link; its person gets a token, or a session. Raises NotAdmitted, Overloaded, Unavailable."""

    async def begin(self, tenant: str, user: Private, session: Private) -> None:
        """Give somebody a session, for who has made sure that this is the person.

        Raises NotAdmitted, the same for a tenant and a person that are not known; Overloaded, Unavailable.
        """

    def passes(self, officer: Officer, now: float) -> Sequence[PassFacts]:
        """The officer's tokens and sessions that are good, newest first."""

    async def end_others(self, officer: Officer) -> None:
        """End all of the officer's tokens and sessions but the one shown. Raises Overloaded, Unavailable."""

    async def end(self, tenant: Tenant, user: UserKey, kind: PassKind, key: PassKey | None = None) -> None:
        """End one pass of a kind, or all; no error if there is none. Raises Overloaded, Unavailable."""

    async def search(self, token: Private) -> None:
        """Raises Elsewhere when a token or session that is not known here is one at another node; Unavailable."""

    def officer(self, token: Private, now: float) -> Officer | None:
        """Whose token or session this is, which is used by that; None when it is none, or not good any more."""

    async def visit(self, tenant: Tenant, user: UserKey, code: Private, key_id: str, look: Look) -> None:
        """Be admitted to somebody's rest by a support code; the record of it is written when this returns.

        Raises NotAdmitted, the same for a wrong code and for none that could be right; Overloaded, Unavailable.
        """

    async def visits(self, user: UserKey) -> Sequence[Visit]:
        """Who was admitted, newest first. Raises Unavailable."""

    async def bypasses(self, tenant: Tenant, user: UserKey) -> Sequence[Bypass]:
        """Records of what went out to somebody by a class that pierces rest, newest first. Raises Unavailable."""

    def support_until(self, user: UserKey, now: float) -> float | None:
        """When somebody's support code expires; None when there is none."""

    async def try_out(self, officer: Officer, now: float) -> float:
        """Wake all of the officer's phones now, whatever rest there is; return when that was taken.

        Raises TooOften, NotFound for who was deleted meanwhile, Overloaded, Unavailable.
        """

    def trial(self, officer: Officer, now: float) -> TrialFacts:
        """What became of the last test. Raises NotFound when there was none within the hour."""

    def begin_trace(self, officer: Officer, now: float) -> None:
        """Note for a day what wakes the officer's devices; one that is on goes on. Raises TooManyTraces, NotFound."""

    def end_trace(self, officer: Officer) -> None:
        """What was noted is gone. Raises NotFound."""

    async def trace(self, officer: Officer, now: float) -> TraceFacts | None:
        """None: there is none now. Raises NotFound, Unavailable."""

    def condition(self, tenant: Tenant, user: UserKey, now: float) -> Condition:
        """Of somebody's devices and what they need. Who is not known has no devices, like who has only a rest."""

    def rest_facts(self, tenant: Tenant, user: UserKey, now: float) -> RestFacts:
        """Raises NotFound."""

    # --- an officer's own

    async def change_rest(self, tenant: Tenant, user: UserKey, change: Change, if_match: IfMatch) -> RestChanged:
        """Change the rest document in the commit that reads it: of two who do so at once both do.

        Raises NotFound, VersionConflict, UnreadableRest, Overloaded, Unavailable, and what `change` raises.
        """

    async def delete_own(self, tenant: Tenant, user: UserKey, if_match: IfMatch) -> None:
        """The rest, passes of all kinds and the record of looks end. Raises NotFound, VersionConflict, Overloaded,
        Unavailable."""

    def wakes(self, tenant: Tenant, user: UserKey, now: float) -> Mapping[str, str]:
        """Devices that do not follow the rest, as the document says. None of who is not known."""

    def effect(self, tenant: Tenant, user: UserKey, edited: RestTable | None, now: float) -> Sequence[Leaving]:
        """What waits, and when it would leave by a document that is not stored; None: by the one that is.

        Raises NotFound.
        """

    async def kept(self, tenant: Tenant, user: UserKey, now: float) -> Kept:
        """Raises NotFound, Unavailable."""
