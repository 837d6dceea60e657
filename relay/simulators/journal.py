"""What a simulator saw: every request with its verdict, and every breach of conduct."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field
from typing import IO


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One request as it arrived, and what it was answered."""

    t: float
    """UTC seconds by the simulator's clock."""
    connection: int
    stream: int
    token: str
    status: int
    reason: str
    headers: tuple[tuple[bytes, bytes], ...]
    """In order, as decoded."""
    forms: tuple[str, ...]
    """HPACK representation of each field: indexed, incremental, without, never."""
    block_bytes: int
    """Length of the encoded header block."""
    body: bytes
    notes: tuple[str, ...] = ()
    """Accepted but doubtful, e.g. a payload that does not fit its push type."""

    def value(self, name: bytes) -> bytes:
        """A header's value; empty when absent."""
        return next((value for key, value in self.headers if key == name), b"")


@dataclass(slots=True)
class Journal:
    """Grows with every request; `counting_only` keeps numbers and forgets requests (for load)."""

    counting_only: bool = False
    sink: IO[str] | None = None
    """Where each request is written as a JSON line."""
    entries: list[Entry] = field(default_factory=list)
    violations: Counter[str] = field(default_factory=Counter)
    by_status: Counter[int] = field(default_factory=Counter)
    by_token: Counter[str] = field(default_factory=Counter)
    """Accepted requests per token."""
    last_at: dict[str, float] = field(default_factory=dict)
    """token → when its last accepted request came"""
    refused: dict[str, tuple[int, str]] = field(default_factory=dict)
    """token → status and reason of its last answer, where that was a refusal"""
    requests: int = 0
    connections: int = 0
    unanswered: int = 0
    """Accepted requests whose answer may never have reached the client: no sender can help sending those again."""

    def add(self, entry: Entry) -> None:
        self.requests += 1
        self.by_status[entry.status] += 1
        if entry.status == 200:
            self.by_token[entry.token] += 1
            self.last_at[entry.token] = entry.t
            self.refused.pop(entry.token, None)
        else:
            self.refused[entry.token] = entry.status, entry.reason
        if not self.counting_only:
            self.entries.append(entry)
        if self.sink is not None:
            self.sink.write(_line(entry))

    def violate(self, what: str) -> None:
        self.violations[what] += 1

    def flush(self) -> None:
        if self.sink is not None:
            self.sink.flush()

    def totals(self) -> dict[str, object]:
        return {
            "requests": self.requests,
            "by_status": {str(status): count for status, count in sorted(self.by_status.items())},
            "violations": dict(self.violations),
            "connections": self.connections,
            "tokens": len(self.by_token),
            "unanswered": self.unanswered,
        }


def _line(entry: Entry) -> str:
    return (
        json.dumps(
            {
                "t": round(entry.t, 3),
                "connection": entry.connection,
                "stream": entry.stream,
                "token": entry.token,
                "status": entry.status,
                "reason": entry.reason,
                "expiration": entry.value(b"apns-expiration").decode("latin-1"),
                "notes": entry.notes,
                "fields": [
                    (name.decode("latin-1"), value.decode("latin-1"), form)
                    for (name, value), form in zip(entry.headers, entry.forms, strict=False)
                ],
                "block_bytes": entry.block_bytes,
                "body_sha256": hashlib.sha256(entry.body).hexdigest(),
            }
        )
        + "\n"
    )
