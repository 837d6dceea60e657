"""What is sealed inside a record: msgpack with a version, under AES-GCM bound to its place.

Packed lists `[version, …]`, not maps: a record is written by one function and read by one function, both here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

import msgpack
import msgspec

from relay.core.private import KEY_BYTES, DeviceKey, Private, UserKey
from relay.core.seal import SealBroken, Seals, place

_UNKNOWN_VERSION: Final = "a sealed record is of a version this program does not know"
_DEVICE: Final = msgspec.msgpack.Decoder(tuple[Literal[1], str, str, str]).decode
"""(version, token, user id, device id). The one that is read for every wakeup, so with a decoder of its own."""


class Records:
    """Seals and opens the records of one tenant."""

    __slots__ = ("_device", "_places", "_seals")

    def __init__(self, seals: Seals, tenant: str) -> None:
        self._seals = seals
        self._places = {kind: place(tenant, kind, b"") for kind in ("user", "device", "rest", "bypass")}
        self._device = self._places["device"]

    def seal_user(self, key: UserKey, user: Private) -> bytes:
        return self._seal("user", key, [1, user.reveal()])

    def open_user(self, key: UserKey, sealed: bytes) -> Private:
        return Private(self._open("user", key, sealed)[1])

    def seal_device(
        self, user: UserKey, device: DeviceKey, user_id: Private, device_id: Private, token: Private
    ) -> bytes:
        content = [1, token.reveal(), user_id.reveal(), device_id.reveal()]
        return self._seal("device", user, content, device)

    def open_token(self, user: UserKey, device: DeviceKey, sealed: bytes) -> Private:
        """The provider token; called once per wakeup, at send."""
        packed = self._seals.open(self._device + user + device, sealed)
        try:
            return Private(_DEVICE(packed)[1])
        except msgspec.MsgspecError:
            raise SealBroken(_UNKNOWN_VERSION) from None

    def open_device_ids(self, user: UserKey, device: DeviceKey, sealed: bytes) -> tuple[Private, Private]:
        """The backend's own (user id, device id), for feedback."""
        content = self._open("device", user, sealed, device)
        return Private(content[2]), Private(content[3])

    def seal_rest(self, user: UserKey, document: Mapping[str, object]) -> bytes:
        return self._seal("rest", user, [1, document])

    def open_rest(self, user: UserKey, sealed: bytes) -> dict[str, object]:
        document = self._open("rest", user, sealed)[1]
        if not isinstance(document, dict):
            raise SealBroken("a sealed rest document has no document inside")
        return document

    def seal_recipients(self, users: Sequence[UserKey]) -> bytes:
        """Who is woken in spite of rest."""
        return self._seal("bypass", b"", [1, b"".join(users)])

    def is_recipient(self, user: UserKey, sealed: bytes) -> bool:
        """Whether a user is among them. Raises SealBroken."""
        users: bytes = self._open("bypass", b"", sealed)[1]
        at = users.find(user)
        while at % KEY_BYTES and at > 0:  # across two neighbours, by chance
            at = users.find(user, at + 1)
        return at >= 0

    def _seal(self, kind: str, user: bytes, content: list[Any], device: bytes = b"") -> bytes:
        return self._seals.seal(self._places[kind] + user + device, msgpack.packb(content))

    def _open(self, kind: str, user: bytes, sealed: bytes, device: bytes = b"") -> list[Any]:
        return _unpacked(self._seals.open(self._places[kind] + user + device, sealed))


def _unpacked(packed: bytes) -> list[Any]:
    content = msgpack.unpackb(packed)
    if not isinstance(content, list) or not content or content[0] != 1:
        raise SealBroken(_UNKNOWN_VERSION)
    return content
