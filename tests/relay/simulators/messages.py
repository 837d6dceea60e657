"""Messages to the fake FCM, and a fake that takes one access token."""

from __future__ import annotations

import json
from typing import Final

from hpack import NeverIndexedHeaderTuple

from relay.clock import TrioClock
from relay.simulators.fcm import A_MINUTE, STREAMS, FakeFcm, RetryAfter
from tests.relay.simulators.h2_client import Fields

START: Final = 1_800_000_000.0
PROJECT: Final = "rest-1234"
BEARER: Final = "ya29.good"
DEVICE: Final = "c0FfEe_-" * 4 + ":APA91b" + "x" * 120


def fake_fcm(*, streams: int = STREAMS, a_minute: int = A_MINUTE, retry_after: RetryAfter = RetryAfter.NONE) -> FakeFcm:
    """A fake in virtual time from START on."""
    return FakeFcm(
        PROJECT, lambda bearer, _: bearer == BEARER, TrioClock(START).now,
        streams=streams, a_minute=a_minute, retry_after=retry_after,
    )  # fmt: skip


def send(token: str | None = BEARER, **changes: str | None) -> Fields:
    """Header fields to which nothing can be objected. `changes` by name, with `_` for `-`; None leaves a field out."""
    fields: dict[str, str | None] = {
        ":method": "POST",
        ":scheme": "https",
        ":authority": "fcm.googleapis.com",
        ":path": f"/v1/projects/{PROJECT}/messages:send",
        "content-type": "application/json",
        "authorization": None if token is None else f"Bearer {token}",
    }
    for name, value in changes.items():
        fields[f":{name}" if name in ("method", "path") else name.replace("_", "-")] = value
    given = [(name, value) for name, value in fields.items() if value is not None]
    return [_never_indexed(*pair) if pair[0] == "authorization" else pair for pair in given]


def _never_indexed(name: str, value: str) -> tuple[str, str]:
    return NeverIndexedHeaderTuple(name, value)  # type: ignore[return-value]  # a tuple, though not typed as one of two


def message(device: str = DEVICE, *, validate_only: bool | None = None, **android: object) -> bytes:
    """A wakeup. `android` changes what is said for Android; None leaves a field out."""
    options = {"priority": "HIGH", "ttl": "3600s", **android}
    content: dict[str, object] = {
        "message": {
            "token": device,
            "data": {"w": ""},
            "android": {name: value for name, value in options.items() if value is not None},
        }
    }
    if validate_only is not None:
        content["validate_only"] = validate_only
    return json.dumps(content).encode()


def devices(count: int) -> list[str]:
    return [f"device-{number:08d}:" + "x" * 100 for number in range(count)]
