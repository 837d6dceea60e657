"""What the client asks: requests as values, and for each round an endless mixture of them that the seed decides.

Edits of one user are never under way together, so that the last one answered is the one that holds.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from random import Random

from bench import stage
from bench.crash.people import ALWAYS_RESTING, Force, Kind, Officer, Phone, phone

DAY = 86_400.0
EDITED = {Kind.PLANNER: (4.0, 30.0), Kind.MOVER: (0.3, 2.0), Kind.ORDERED: (0.5, 4.0)}
"""Seconds between two edits of one user: from, to."""
PIECE = 500
"""Users of one bulk request."""
TTL = 0.2

BALLAST_USERS = 12
TALK = {"id": "😀" * 200, "label": "😀" * 200}
BALLAST = json.dumps(
    {
        "windows": [
            {"kind": "once", "start": "2020-01-01T00:00", "end": "2020-01-02T00:00", **TALK}
        ] * 30,
        "overrides": [
            {"kind": "rest", "start": "2020-01-01T00:00", "end": "2020-01-02T00:00", **TALK}
        ] * 8,
    },
    ensure_ascii=False,
).encode()  # fmt: skip

Classes = Sequence[tuple[str, Sequence[Officer]]]


@dataclass(slots=True)
class Ask:
    """A request. `said`: what the record has of it beside its number and instant."""

    do: str
    method: str
    path: str
    content: Mapping[str, object] | bytes | None
    scope: str = "backend"
    key: str = ""
    at: float = 0.0
    """0: the instant of its first attempt; put into the body where the door takes one."""
    said: Mapping[str, object] = field(default_factory=dict)
    number: int = 0
    user: str = ""
    """Whose edit it is."""

    @property
    def headers(self) -> dict[str, str]:
        return {"idempotency-key": self.key} if self.key else {}

    def body(self) -> Mapping[str, object] | bytes | None:
        """The same bytes at every attempt."""
        if self.content is None or isinstance(self.content, bytes) or self.do not in ("post", "seen", "confirm"):
            return self.content
        if "events" in self.content:
            events = self.content["events"]
            assert isinstance(events, list)
            return {"events": [{**event, "at": self.at} for event in events]}
        return {**self.content, "at": self.at}

    def noted(self) -> dict[str, object]:
        return {"do": self.do, "at": self.at, **({"key": self.key} if self.key else {}), **self.said}


def posting(events: Classes, *, key: str = "", ttl: float | None = None, device: str | None = None) -> Ask:
    """One event, or several in one request; a single recipient is named as one."""
    bodies = [_event(name, users, ttl, device) for name, users in events]
    content: dict[str, object] = bodies[0] if len(bodies) == 1 else {"events": bodies}
    noted = [
        {"class": name, "users": [user.name for user in users], "ttl": ttl, "device": device} for name, users in events
    ]
    return Ask("post", "POST", "/v1/events", content, key=key, said={"events": noted})


def _event(name: str, users: Sequence[Officer], ttl: float | None, device: str | None) -> dict[str, object]:
    whom: dict[str, object] = {"user": users[0].name} if len(users) == 1 else {"users": [user.name for user in users]}
    if name in ("alarm", "control"):
        whom |= {"role": stage.ROLE, "reason": stage.REASON}
    if ttl is not None:
        whom["ttl"] = ttl
    if device is not None:
        whom["device"] = device
    return {"class": name, **whom}


def resting(officer: Officer, number: int, *spans: tuple[float, float]) -> Ask:
    """A rest document; its label tells which edit it is."""
    label = f"edit {number}"
    windows = [{"kind": "once", "start": _at(start), "end": _at(end), "label": label} for start, end in spans]
    content: dict[str, object] = {"windows": windows}
    said = {"user": officer.name, "spans": spans, "device": label}
    return Ask("rest", "PUT", f"/v1/users/{officer.name}/rest", content, scope="settings", said=said, user=officer.name)


def registering(officer: Officer, phone: Phone) -> Ask:
    said = {"user": officer.name, "device": phone.device, "token": phone.token}
    path = f"/v1/users/{officer.name}/devices/{phone.device}"
    return Ask("device", "PUT", path, {**phone.registration}, said=said, user=officer.name)


def deleting(officer: Officer, device: str) -> Ask:
    said = {"user": officer.name, "device": device, "token": None}
    return Ask("device", "DELETE", f"/v1/users/{officer.name}/devices/{device}", None, said=said, user=officer.name)


def bulk(people: Sequence[Officer]) -> Ask:
    users = {o.name: {"devices": {p.device: p.registration for p in o.phones}} for o in people}
    return Ask("bulk", "PUT", "/v1/devices", {"users": users})


def enlisting(
    force: Force, began: float, people: Sequence[Officer] | None = None, until: float | None = None
) -> Iterator[Ask]:
    """Rest first: nobody is to be reachable for a moment who should not be. `until`: all of these rest so long."""
    everybody = list(people if people is not None else force.everybody())
    for officer in everybody:
        span = (began - DAY, until) if until is not None else spans(officer, began)
        if span is not None:
            yield resting(officer, 0, span)
    for first in range(0, len(everybody), PIECE):
        yield bulk(everybody[first : first + PIECE])


def spans(officer: Officer, began: float) -> tuple[float, float] | None:
    """The rest somebody has from the beginning, by kind; in whole seconds."""
    instant = float(int(began + officer.after))
    if officer.kind in ALWAYS_RESTING:
        return began - DAY, began + 30 * DAY
    if officer.kind is Kind.FALLING_ASLEEP:
        return instant, began + 30 * DAY
    return (began - DAY, instant) if officer.kind is Kind.WAKING_UP else None


class Plan:
    """Draws requests. Remembers who is being edited, and which tokens were given."""

    def __init__(self, force: Force, seed: int) -> None:
        self._force = force
        self._seed = seed
        self._numbers = 0
        self._edits = 0
        self._editing: set[str] = set()
        self._edit_at: dict[str, float] = {}
        self._rests: dict[str, bool] = {}
        self._tokens: dict[str, int] = {}

    def number(self, ask: Ask) -> int:
        """Its number in the record, given at the first attempt."""
        if not ask.number:
            self._numbers += 1
            ask.number = self._numbers
        return ask.number

    def ended(self, ask: Ask) -> None:
        """It was answered, or never will be."""
        self._editing.discard(ask.user)

    def work(self, number: int) -> Iterator[Ask]:
        """A mixture without end, for the cohort of a round and for those who are there in all of them."""
        rng = Random(f"{self._seed} work {number}")
        force, cohort = self._force, self._force.cohorts[number]
        fresh = [officer for officer in cohort if officer.kind is Kind.ONCE]
        often = [officer for officer in cohort if officer.kind is Kind.OFTEN]
        readers = [officer for officer in cohort if officer.kind is Kind.READER]
        others = force.of(Kind.RESTING, Kind.LEAVER, Kind.FALLING_ASLEEP, Kind.WAKING_UP, Kind.PLANNER, Kind.MOVER)
        alarmed, ordered = force.of(Kind.ALARMED), force.of(Kind.ORDERED)
        for index in range(1_000_000):
            if (edit := self._edit(rng)) is not None:
                yield edit
            key, choice = f"{number}-{index}", rng.random()
            if fresh and choice < 0.25:
                yield posting([("message", [fresh.pop()])], key=key if choice < 0.08 else "")
            elif choice < 0.5:
                yield posting([("message" if choice < 0.4 else "roster", [rng.choice([*often, *readers])])])
            elif choice < 0.58:
                yield posting([("message", rng.sample(often, 5))], key=key if choice < 0.54 else "")
            elif choice < 0.64:
                mixed: Classes = [("message", rng.sample(often, 3)), ("roster", rng.sample(others, 4))]
                yield posting(mixed, key=key)
            elif choice < 0.68:
                yield posting([("message", [rng.choice(often)])], ttl=TTL)
            elif choice < 0.73:
                yield posting([("alarm", [rng.choice([*often, *alarmed])])], key=key)
            elif choice < 0.76:
                officer = rng.choice(ordered)
                yield posting([("control", [officer])], key=key, device=rng.choice(["phone-0", None]))
            elif choice < 0.8:
                reader = rng.choice(readers)
                yield Ask("seen", "POST", "/v1/seen", {"user": reader.name}, said={"user": reader.name})
            else:
                yield posting([("message" if choice < 0.95 else "roster", [rng.choice([*others, *alarmed])])])

    def _edit(self, rng: Random) -> Ask | None:
        """The edit of somebody whose turn it is."""
        now = time.time()
        for officer in self._force.of(*EDITED):
            if self._edit_at.setdefault(officer.name, now + rng.uniform(*EDITED[officer.kind])) > now:
                continue
            if officer.name in self._editing:
                continue
            self._edit_at[officer.name] = now + rng.uniform(*EDITED[officer.kind])
            self._editing.add(officer.name)
            self._edits += 1
            return getattr(self, f"_edit_{officer.kind.name.lower()}")(officer, now, rng)  # type: ignore[no-any-return]
        return None

    def _edit_planner(self, officer: Officer, now: float, _rng: Random) -> Ask:
        rests = self._rests[officer.name] = not self._rests.get(officer.name, False)
        span = (now - DAY, now + 30 * DAY) if rests else (now - 2 * DAY, now - DAY)
        return resting(officer, self._edits, span)

    def _edit_mover(self, officer: Officer, _now: float, rng: Random) -> Ask:
        device = officer.phones[1].device
        if rng.random() < 0.3:
            return deleting(officer, device)
        turn = self._tokens[officer.name] = self._tokens.get(officer.name, 0) + 1
        return registering(officer, replace(phone(int(officer.name.partition("-")[2]), 2 * turn + 1), device=device))

    def _edit_ordered(self, officer: Officer, _now: float, rng: Random) -> Ask:
        """The backend says that a phone has obeyed, or all have."""
        device = rng.choice(["phone-0", None])
        content: dict[str, object] = {"user": officer.name, **({"device": device} if device else {})}
        said = {"user": officer.name, "device": device}
        return Ask("confirm", "POST", "/v1/confirmed", content, said=said, user=officer.name)

    def large(self, number: int, classes: Sequence[str]) -> Ask:
        """An event of each class for the whole crowd."""
        return posting([(name, self._force.crowd) for name in classes], key=f"large-{number}")

    def growing(self, megabytes: int) -> Iterator[Ask]:
        """Documents of people with much to say, to make the log grow; each is nearly as large as the door takes."""
        for number in range(megabytes * 2**20 // len(BALLAST)):
            path = f"/v1/users/ballast-{number % BALLAST_USERS}/rest"
            yield Ask("ballast", "PUT", path, BALLAST, scope="settings")

    def released(self, people: Sequence[Officer]) -> Iterator[Ask]:
        """An event for each, which waits for the end of the rest."""
        yield posting([("message", people)], key=people[0].name)

    def again(self, number: int) -> Iterator[Ask]:
        """People of a round rest from now on."""
        now = time.time()
        for officer in self._force.turn(number):
            yield resting(officer, 1, (now - DAY, now + 30 * DAY))

    def afterwards(self, number: int) -> Iterator[Ask]:
        """Then those of them whose phone was dead have a new one, and all get an event, which waits."""
        people = self._force.turn(number)
        for officer in people:
            if officer.kind is Kind.REVIVED:
                device = officer.phones[1].device
                yield registering(officer, replace(phone(int(officer.name.partition("-")[2]), 3), device=device))
        yield posting([("message", people)], key=f"again-{number}")

    def nothing(self) -> Iterator[Ask]:
        yield Ask("seen", "POST", "/v1/seen", {"user": "nobody"}, said={"user": "nobody"})

    def farewell(self) -> Iterator[Ask]:
        for officer in self._force.of(Kind.LEAVER):
            yield deleting(officer, officer.phones[0].device)


def _at(instant: float) -> str:
    return datetime.fromtimestamp(instant, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
