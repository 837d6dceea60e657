"""The relay as a clerk would do it: a list of notices for every user and class, and who has heard each of them.

Slow and obvious. No counters, no due instants: what the core packs into a slot is here a list of notices, each with its
fate and the set of phones that have taken a wakeup for it. A phone is named by a number of its
own, which a new token changes: a new token has heard nothing. A *line* is what is open of one class for one user; it
ends when every phone has heard everything. Where the rules leave freedom (the exact jitter, how far beyond its class
deadline a merged line lives), the model gives bounds and follows the core.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable
from dataclasses import dataclass, field

from relay.core.books import AccountKey
from relay.core.events import Authority, Event, EventClass
from relay.core.private import DeviceKey, UserKey
from relay.core.tenants import Tenant
from tests.model.rules import NO_REST, NONE, Rest, Rules
from tests.model.walls import DAY

GAPS = (5.0, 15.0, 60.0, 300.0)
LIVES = (0, 300, 900, 3600, 14_400, 43_200, 604_800)
FOREVER = float("inf")
PARTS = {"woken": "handed_over", "undeliverable": "no_device", "refused": "failing", "expired": "failing"}
"""Fate of an alarm's notice → the part of the totals in which it is counted."""


@dataclass(slots=True, eq=False)
class Notice:
    """One event for one recipient."""

    stamp: int
    """Order of its call, among all."""
    came_at: float
    at: float
    expires_at: float
    reached_at: float | None
    """The first instant since at which its user could be woken for it."""
    fate: str = "pending"
    heard: set[int] = field(default_factory=set)
    repeats: int = 0
    """How many echoes there were: hearing an earlier call does not answer a later one."""

    @property
    def is_pending(self) -> bool:
        return self.fate == "pending"


@dataclass(slots=True, eq=False)
class Line:
    """What is open of one class for one user."""

    event_class: EventClass
    notices: list[Notice] = field(default_factory=list)
    stamp: int = 0
    """Of its newest call."""
    morning: float = 0.0
    """End of the rest that cut the life of a wakeup which spoke of everything; 0: none did."""
    echo_at: float = 0.0
    """Everything was heard, and is repeated from then on; 0: this is no echo."""
    echo_by: float = 0.0
    """When at the latest; infinite where it waits for the end of a rest the model has lost sight of."""
    may_echo: bool = False
    must_echo: bool = False
    """All heard in this commit: the core decides whether the line ends or repeats, within these bounds."""

    def pending(self) -> list[Notice]:
        return [notice for notice in self.notices if notice.is_pending]

    def owed(self, phone: Phone) -> bool:
        return any(phone.number not in notice.heard for notice in self.notices)

    def is_over(self, now: float) -> bool:
        """Surely too old: none of the messages exists any more, or all alarms are past their deadline."""
        deadline = self.event_class.deadline if self.event_class.pierces else FOREVER
        exists = any(now < notice.expires_at for notice in self.notices)
        return not (exists and any(now < notice.came_at + deadline for notice in self.notices))

    def patience(self, rest: Rest, now: float) -> float:
        """Before this instant nothing of the line may be given up; in a rest without end what is old may be."""
        patience = max(min((n.reached_at or FOREVER) + self.event_class.deadline, n.expires_at) for n in self.notices)
        return min(patience, self.notices[0].came_at + 35 * DAY) if rest.is_endless(now) else patience


@dataclass(slots=True, eq=False)
class Phone:
    """A registered device."""

    key: DeviceKey
    name: str
    """As the backend calls it."""
    token: str
    """Empty for one that cannot be woken."""
    registered_at: float
    number: int = 0
    attempt: int = 0
    not_before: float = 0.0
    rang_in: int = 0
    """The round (`User.round`) in which a wakeup left for it and did not fail."""


@dataclass(slots=True, eq=False)
class User:
    tenant: Tenant
    key: UserKey
    rules: Rules = NONE
    is_edited: bool = False
    """The rules were put in this commit: what they say of devices is looked at after it."""
    phones: dict[DeviceKey, Phone] = field(default_factory=dict)
    lines: dict[str, Line] = field(default_factory=dict)
    # The hold: wakeups leave in rounds, and within a round each phone rings once.
    round: int = 1
    round_stamp: int = 0
    began_at: float = 0.0
    held_until: float = 0.0
    gap: int = 0

    def ringing(self) -> list[Phone]:
        return [phone for phone in self.phones.values() if phone.token]

    def wake(self, phone: Phone) -> str:
        """What the rules say of it: follow, never or always."""
        return self.rules.wakes.get(phone.name, "follow")

    def rest(self, line: Line, phone: Phone | None = None) -> Rest:
        """The rest that counts for a line, and for this phone."""
        is_always = phone is not None and self.wake(phone) == "always"
        return NO_REST if is_always else self.rules.seen_by(line.event_class)

    def is_for(self, line: Line, phone: Phone) -> bool:
        """R15: one that is never woken is woken by what pierces all rest, and by nothing else."""
        return line.event_class.pierces or self.wake(phone) != "never"

    def holds(self, line: Line, now: float) -> bool:
        """Its newest call waits for the end of the hold."""
        return not line.event_class.pierces and line.stamp > self.round_stamp and now < self.held_until

    def patience(self, line: Line, now: float) -> float:
        return line.patience(self.rest(line), now)


@dataclass(frozen=True, slots=True)
class Alarm:
    """An alarm with its receipt: what was taken, and how many had nobody to wake."""

    came_at: float
    notices: tuple[tuple[User, Notice], ...]
    unknown: int

    def totals(self) -> dict[str, int]:
        """Asked of each notice: its fate, or whether one of the phones failed the last time."""
        counts = Counter({"no_device": self.unknown})
        for user, notice in self.notices:
            if notice.is_pending:
                counts["failing" if any(phone.attempt for phone in user.ringing()) else "pending"] += 1
            else:
                counts[PARTS[notice.fate]] += 1
        return {name: counts[name] for name in ("handed_over", "no_device", "failing", "pending")}


Bypass = tuple[str, str, float, Authority, int]
"""(tenant, class, instant, who answers for it, recipients)."""


@dataclass(frozen=True, slots=True)
class Wakeup:
    """One that left: for whom, and for which notices."""

    user: User
    phone: Phone
    token: str
    registered_at: float
    speaks_of: tuple[tuple[str, Line, tuple[tuple[Notice, int], ...]], ...]
    morning: float | None


class Naive:
    def __init__(self) -> None:
        self.users: dict[UserKey, User] = {}
        self.accounts: dict[AccountKey, Counter[str]] = {}
        self.parted: list[tuple[str, DeviceKey, str]] = []
        """(tenant, device, how): what the backends are told."""
        self.bypasses: list[Bypass] = []
        """Who answers for what may go out in rest: one record for each such event."""
        self.alarms: list[Alarm] = []
        self._numbers = 0
        self._stamps = 0

    # --- what comes in

    def accept(self, tenant: Tenant, event: Event, now: float) -> tuple[int, int]:
        """Take one event; return how many notices were taken, and how many recipients have nobody to wake."""
        self._stamps += 1
        event_class = event.event_class
        if event.authority is not None:
            self.bypasses.append((tenant.name, event_class.name, now, event.authority, len(event.users)))
        notices: list[tuple[User, Notice]] = []
        for key in event.users:
            user = self.users.get(key)
            if user is None or user.tenant is not tenant or not user.ringing():
                continue
            line = user.lines.setdefault(event_class.name, Line(event_class))
            line.stamp, line.morning, line.echo_at, line.echo_by = self._stamps, 0.0, 0.0, 0.0
            reached = now if user.rest(line).passes(now) else None
            line.notices.append(Notice(self._stamps, now, event.at, event.expires_at, reached))
            notices.append((user, line.notices[-1]))
        taken, unknown = len(notices), len(event.users) - len(notices)
        if taken:
            self._book(tenant, event_class.name)["accepted"] += taken
        if event_class.pierces:
            self.alarms.append(Alarm(now, tuple(notices), unknown))
        return taken, unknown

    def seen(self, tenant: Tenant, key: UserKey, at: float) -> None:
        user = self.users.get(key)
        if user is None or user.tenant is not tenant:
            return
        for name, line in list(user.lines.items()):
            if line.event_class.cancellable and all(notice.at <= at for notice in line.notices):
                self._end(user, name, "cancelled")
        user.held_until = min(user.held_until, user.began_at + GAPS[0])
        user.gap = 0

    def put_device(self, tenant: Tenant, key: UserKey, phone: Phone, gone: Container[DeviceKey]) -> None:
        """Register or refresh; who else has the token loses it, and over the limit the oldest leaves.

        `gone`: who has left the core, which decides between those of one age.
        """
        user = self.user(tenant, key)
        before = user.phones.get(phone.key)
        if before is not None and before.token == phone.token:
            before.registered_at = phone.registered_at
        else:
            user.phones[phone.key] = phone
            phone.number = self._number()
            self._take_token(tenant, phone)
        while before is None and len(user.phones) > tenant.device_limit:
            others = [owned for owned in user.phones.values() if owned is not phone]
            oldest = min(others, key=lambda owned: (owned.registered_at, owned.key not in gone))
            self._part(user, oldest, "evicted")
        if before is not None and not phone.token:
            self._close(user)

    def _take_token(self, tenant: Tenant, phone: Phone) -> None:
        owners = [(user, owned) for user in self.users.values() if user.tenant is tenant for owned in user.ringing()]
        for user, owned in owners:
            if owned.token == phone.token and owned is not phone:
                self._part(user, owned, "moved")

    def is_full_for(self, tenant: Tenant, key: UserKey, device: DeviceKey, token: str) -> bool:
        """Whether one more device needs another one to leave."""
        user = self.users.get(key)
        staying = [p for p in user.phones.values() if not (token and p.token == token)] if user is not None else []
        return device not in {p.key for p in staying} and len(staying) >= tenant.device_limit

    def delete_device(self, key: UserKey, device: DeviceKey) -> bool:
        user = self.users.get(key)
        if user is None or user.phones.pop(device, None) is None:
            return False
        self._close(user)
        return True

    def put_rest(self, tenant: Tenant, key: UserKey, rules: Rules, now: float) -> None:
        user = self.user(tenant, key)
        user.rules, user.is_edited = rules, True
        for line in user.lines.values():
            if 0 < line.echo_at <= now:
                line.echo_by = FOREVER  # it may wait for the end of a rest that the old rules said
        self._reach(user, now, now)

    def user(self, tenant: Tenant, key: UserKey) -> User:
        return self.users.setdefault(key, User(tenant, key))

    def time_passes(self, start: float, end: float) -> None:
        for user in self.users.values():
            self._reach(user, start, end)

    def commit_ends(self) -> None:
        """All that it held is true now."""
        for user in self.users.values():
            user.is_edited = False

    def crashes(self) -> None:
        """What is in memory only is gone: holds, and who rang in them."""
        for user in self.users.values():
            user.round, user.round_stamp, user.began_at, user.held_until, user.gap = user.round + 1, 0, 0.0, 0.0, 0

    # --- what leaves, and what is said of it

    def leaves(self, user: User, phone: Phone, names: Iterable[str], morning: float | None, now: float) -> Wakeup:
        """A wakeup leaves for a phone; `names`: classes it speaks of."""
        lines = [(name, user.lines[name]) for name in names]
        newest = max((line.stamp for _, line in lines if now >= user.held_until or line.event_class.pierces), default=0)
        if newest > user.round_stamp:
            user.gap = 0 if now >= user.held_until + GAPS[-1] else user.gap
            user.round, user.round_stamp, user.began_at = user.round + 1, newest, now
            user.held_until = now + GAPS[user.gap]
            user.gap = min(user.gap + 1, len(GAPS) - 1)
        phone.rang_in = user.round
        said = tuple((name, line, tuple((n, n.repeats) for n in line.notices)) for name, line in lines)
        return Wakeup(user, phone, phone.token, phone.registered_at, said, morning)

    def is_held(self, user: User, phone: Phone, names: Iterable[str], now: float) -> bool:
        """Whether a wakeup that is no alarm would ring a phone again within the hold, for nothing but newer calls."""
        calls = [n.stamp for name in names for n in user.lines[name].notices if phone.number not in n.heard]
        return min(calls) > user.round_stamp and now < user.held_until and phone.rang_in == user.round

    def accepted(self, wakeup: Wakeup) -> None:
        user = wakeup.user
        phone = self._same_token(wakeup)
        if phone is not None:
            phone.attempt, phone.not_before = 0, 0.0
        for name, line, said in wakeup.speaks_of:
            open_still = [(n, repeats) for n, repeats in said if n in line.notices and user.lines.get(name) is line]
            if phone is not None and self._hear(phone, open_still) and len(open_still) == len(line.notices):
                line.morning = max(line.morning, wakeup.morning or 0.0)
            newly = [notice for notice, _ in open_still if notice.is_pending]
            for notice in newly:
                notice.fate = "woken"
            if newly:
                self._book(user.tenant, name)["woken"] += 1
                self._book(user.tenant, name)["merged"] += len(newly) - 1
        self._close(user, wakeup)

    def gives_up(self, wakeup: Wakeup) -> None:
        phone = self._same_token(wakeup)
        if phone is not None:
            for _, _, said in wakeup.speaks_of:
                self._hear(phone, said)
            self._close(wakeup.user, wakeup)

    def retries(self, wakeup: Wakeup, not_before: float) -> None:
        phone = self._same_token(wakeup)
        if phone is not None:
            phone.attempt, phone.not_before, phone.rang_in = phone.attempt + 1, not_before, 0

    def dies(self, wakeup: Wakeup, dead_since: float | None, not_before: float) -> None:
        """The provider calls the token dead: true if it is still the one that was asked, and not dead from before."""
        phone = self._same_token(wakeup)
        if phone is None:
            return
        if phone.registered_at != wakeup.registered_at:
            phone.rang_in = 0
        elif dead_since is not None and dead_since < phone.registered_at:
            self.retries(wakeup, not_before)
        else:
            self._part(wakeup.user, phone, "dead")

    def expires(self, user: User, name: str, now: float) -> None:
        line = user.lines[name]
        patience = user.patience(line, now)
        assert now >= patience, f"{name} was given up {patience - now} seconds too early"
        self._end(user, name, "expired")

    def settle_echo(self, user: User, name: str, *, repeats: bool) -> None:
        """The core has ended a line that was all heard, or repeats it."""
        line = user.lines[name]
        if not repeats:
            assert not line.must_echo, f"{name}: a cut life left no echo"
            del user.lines[name]
            return
        assert line.may_echo, f"{name}: an echo of nothing"
        self._stamps += 1
        line.stamp = self._stamps
        line.echo_at = line.echo_by = line.morning
        line.morning = 0.0
        line.may_echo = line.must_echo = False
        for notice in line.notices:
            notice.stamp = line.stamp
            notice.heard.clear()
            notice.repeats += 1

    # --- inside

    def _hear(self, phone: Phone, said: Iterable[tuple[Notice, int]]) -> bool:
        """The phone has heard these; False when it knew all of them."""
        news = [notice for notice, repeats in said if repeats == notice.repeats and phone.number not in notice.heard]
        for notice in news:
            notice.heard.add(phone.number)
        return bool(news)

    def _same_token(self, wakeup: Wakeup) -> Phone | None:
        phone = wakeup.user.phones.get(wakeup.phone.key)
        return phone if phone is not None and phone.token == wakeup.token else None

    def _part(self, user: User, phone: Phone, how: str) -> None:
        del user.phones[phone.key]
        self.parted.append((user.tenant.name, phone.key, how))
        self._close(user)

    def _close(self, user: User, wakeup: Wakeup | None = None) -> None:
        """End every line (of which a wakeup spoke) that has nobody to wait for; without a phone nobody ever will hear.

        Looked at when somebody has heard, or a phone leaves. An edit alone ends no line: it may be taken back.
        """
        phones = user.ringing()
        spoken_of = [line for _, line, _ in wakeup.speaks_of] if wakeup is not None else user.lines.values()
        for name, line in [(name, line) for name, line in user.lines.items() if line in spoken_of]:
            if any(line.owed(phone) and (user.is_edited or user.is_for(line, phone)) for phone in phones):
                continue
            if line.pending():
                self._book(user.tenant, name)["undeliverable"] += len(line.pending())
                for notice in line.pending():
                    notice.fate = "refused" if phones else "undeliverable"
            line.may_echo = bool(line.morning and phones and user.tenant.posts_seen and line.event_class.cancellable)
            is_for_some = any(user.is_for(line, phone) for phone in phones)
            line.must_echo = line.may_echo and is_for_some and line.morning < user.patience(line, line.morning)
            if not line.may_echo:
                del user.lines[name]

    def _end(self, user: User, name: str, fate: str) -> None:
        line = user.lines.pop(name)
        for notice in line.pending():
            notice.fate = fate
            self._book(user.tenant, name)[fate] += 1

    def _reach(self, user: User, start: float, end: float) -> None:
        for line in user.lines.values():
            for notice in line.notices:
                if notice.reached_at is None:
                    notice.reached_at = user.rest(line).first_pass(start, end)

    def _book(self, tenant: Tenant, name: str) -> Counter[str]:
        return self.accounts.setdefault((tenant.name, name), Counter())

    def _number(self) -> int:
        self._numbers += 1
        return self._numbers
