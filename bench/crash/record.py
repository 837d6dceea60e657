"""The record of the client: one JSON line for whatever it is about to ask, and one for how that ended.

The line of a request is written before its first byte leaves, so that nothing is taken that the record does not know
of. What has no line for its end had none yet. Instants are UTC seconds.

    {"n": 7, "t": …, "do": "post", "life": 3, "key": "…", "events": [{"class": …, "users": […], "ttl": …}], "at": …}
    {"n": 8, "t": …, "do": "rest", "life": 3, "user": "…", "spans": [[from, to]]}
    {"n": 9, "t": …, "do": "device", "life": 3, "user": "…", "device": "…", "token": "…" or null for a deletion}
    {"n": 10, "t": …, "do": "seen" or "confirm", "life": 3, "user": "…", "device": "…", "at": …}
    {"n": 7, "t": …, "is": "acked" or "unknown" or "refused" or "wrong", "life": 3, "body": "…", "receipt": "…"}

A request that is repeated has the same number again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

End = Literal["acked", "unknown", "refused", "wrong"]
"""`refused`: said to be not taken. `wrong`: an answer that none should get."""


@dataclass(frozen=True, slots=True)
class Event:
    event_class: str
    users: tuple[str, ...]
    ttl: float | None = None
    device: str | None = None


@dataclass(slots=True)
class Asked:
    """One request, with all its attempts."""

    number: int
    do: str
    at: float
    """Of what is said; of a post that of the first attempt."""
    lives: list[int] = field(default_factory=list)
    """In which it was sent."""
    ends: dict[int, End] = field(default_factory=dict)
    """Life → how it ended there."""
    key: str = ""
    events: tuple[Event, ...] = ()
    user: str = ""
    device: str | None = None
    token: str | None = None
    spans: tuple[tuple[float, float], ...] = ()
    sent_at: float = 0.0
    ended_at: float = 0.0
    receipt: str = ""
    body: str = ""

    @property
    def acked(self) -> bool:
        return "acked" in self.ends.values()

    def in_life(self, life: int) -> End | None:
        """How it ended in a life; None: it was not sent in it."""
        return self.ends.get(life, "unknown") if life in self.lives else None

    @property
    def may_be_taken(self) -> bool:
        return any(map(self.may_be_taken_in, self.lives))

    def may_be_taken_in(self, life: int) -> bool:
        return self.in_life(life) in ("acked", "unknown")

    def notices(self) -> Iterator[tuple[str, Event]]:
        """(recipient, event) of a post."""
        for event in self.events:
            for user in event.users:
                yield user, event


class Recorder:
    """Appends; each line is one write, so that a reader never sees half a line but at the end."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def note(self, **members: object) -> None:
        os.write(self._file, json.dumps(members, separators=(",", ":")).encode() + b"\n")

    def close(self) -> None:
        os.close(self._file)


class Record:
    """The file, read as far as it is written."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self.asked: dict[int, Asked] = {}
        self.answered = 0
        """Requests that were acknowledged, at one attempt or another."""

    def look(self) -> None:
        """Take in what is new."""
        with self._path.open("rb") as file:
            file.seek(self._offset)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        self.take(json.loads(line) for line in whole.splitlines())

    def take(self, lines: Iterable[dict[str, Any]]) -> None:
        for line in lines:
            if "do" in line:
                self._begin(line)
            else:
                self._end(line)

    def _begin(self, line: dict[str, Any]) -> None:
        number = line["n"]
        asked = self.asked.get(number)
        if asked is None:
            asked = self.asked[number] = Asked(number, line["do"], line.get("at", line["t"]), sent_at=line["t"])
            asked.key, asked.user = line.get("key", ""), line.get("user", "")
            asked.device, asked.token = line.get("device"), line.get("token")
            asked.spans = tuple((start, end) for start, end in line.get("spans", ()))
            asked.events = tuple(
                Event(e["class"], tuple(e["users"]), e.get("ttl"), e.get("device")) for e in line.get("events", ())
            )
        asked.lives.append(line["life"])

    def _end(self, line: dict[str, Any]) -> None:
        asked = self.asked[line["n"]]
        asked.ends[line["life"]] = line["is"]
        if line["is"] == "acked":
            self.answered += 1
        asked.ended_at = line["t"]
        if line["is"] in ("acked", "wrong"):
            asked.receipt, asked.body = line.get("receipt", ""), line.get("body", "")

    def of(self, *kinds: str) -> Sequence[Asked]:
        """Requests of these kinds, in the order in which they were first sent."""
        return [asked for asked in self.asked.values() if asked.do in kinds]
