"""How Apple answers (validation A-16): 200 has no body, an error has JSON, and 410 says since when."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Verdict:
    """On one request."""

    status: int
    reason: str = ""
    """With every status but 200."""
    timestamp: int | None = None
    """With 410: when the token was found invalid, in milliseconds since the epoch."""
    raw: bytes | None = None
    """The body in the place of Apple's."""

    @property
    def body(self) -> bytes:
        if self.raw is not None:
            return self.raw
        if self.status == 200:
            return b""
        content: dict[str, object] = {"reason": self.reason}
        if self.timestamp is not None:
            content["timestamp"] = self.timestamp
        return json.dumps(content, separators=(",", ":")).encode()

    def headers(self, apns_id: str | None, new_id: Callable[[], str], *, sandbox: bool) -> list[tuple[str, str]]:
        """`apns_id` as the client gave it; without one it is made up, and those of Apple's making are upper case."""
        headers = [(":status", str(self.status)), ("apns-id", apns_id or new_id().upper())]
        if self.status != 200:
            return [*headers, ("content-type", "application/json")]
        return [*headers, ("apns-unique-id", new_id())] if sandbox else headers
