"""A registered device, a registration, and the record of a user's rest, as the working set holds them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final, NamedTuple

from relay.core.private import DeviceKey, TokenHash, UserKey


class Platform(StrEnum):
    """Where a device is woken. A PC is NONE until it has Web Push: it is listed, and never owed a wakeup."""

    APNS = "apns"
    FCM = "fcm"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Device:
    """A registered device. The token is in `sealed`, opened at send only (core/records.py)."""

    key: DeviceKey
    user: UserKey
    app: str
    platform: Platform
    token_hash: TokenHash
    sealed: bytes = field(repr=False)
    registered_at: float
    attempt: int = 0
    """Failed attempts in a row."""
    not_before: float = 0.0
    """No new attempt earlier than this instant."""

    def backed_off(self, attempt: int, not_before: float) -> Device:
        return replace(self, attempt=attempt, not_before=not_before)


class Wakes(NamedTuple):
    """A user's devices that do not follow the rest, as its document says (schedules/README.md)."""

    never: frozenset[DeviceKey] = frozenset()
    """Woken only by classes that pierce rest, in rest or not."""
    always: frozenset[DeviceKey] = frozenset()
    """Woken in rest too."""


FOLLOW: Final = Wakes()
"""Nearly everybody's."""


@dataclass(frozen=True, slots=True)
class RestRecord:
    """A user's rest document, sealed, and its version (the ETag)."""

    sealed: bytes = field(repr=False)
    version: int


@dataclass(frozen=True, slots=True)
class Registration:
    """A device as a door hands it in: names hashed and sealed, nothing in clear."""

    user: UserKey
    sealed_id: bytes = field(repr=False)
    """The user's id, sealed; used when the user is new."""
    device: DeviceKey
    app: str
    platform: Platform
    token_hash: TokenHash
    sealed: bytes = field(repr=False)
