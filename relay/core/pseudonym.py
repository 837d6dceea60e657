"""Pseudonyms: what users, devices and tokens are called inside the relay.

HMAC-SHA256 over length-prefixed parts, cut to 16 bytes, with a subkey per tenant and purpose derived from the master
key by HKDF (RFC 5869). Length prefixes, because ("ab", "c") and ("a", "bc") must not meet. Keyed, because a plain hash
of a personnel number is undone in seconds. Per tenant, so that the same person in two tenants has two names. The
idempotency key is hashed the same way: it is chosen by the backend and may hold anything.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from relay.core.private import KEY_BYTES, DeviceKey, PassKey, ReceiptKey, TokenHash, UserKey

MASTER_KEY_BYTES: Final = 32
_BLOCK_BYTES: Final = 64
"""Of SHA-256; a subkey is shorter."""


def subkey(master: bytes, *purpose: str) -> bytes:
    """Derive the 32-byte key of one purpose; `purpose` parts are length-prefixed."""
    return HKDF(hashes.SHA256(), length=32, salt=b"feierabend/1", info=prefixed(*purpose)).derive(master)


def prefixed(*parts: str) -> bytes:
    """Join parts so that no two different sequences give the same bytes (4-byte length before each)."""
    encoded = [part.encode() for part in parts]
    return b"".join(len(part).to_bytes(4, "big") + part for part in encoded)


class _Mac:
    """HMAC-SHA256 (RFC 2104) of what begins with `prefix`, cut to 16 bytes.

    Both states, with key and prefix in them, are made once: `hmac.digest` makes them anew for each message, and takes
    three times as long.
    """

    __slots__ = ("_inner", "_outer")

    def __init__(self, key: bytes, prefix: bytes = b"") -> None:
        block = key.ljust(_BLOCK_BYTES, b"\x00")
        self._inner = sha256(bytes(byte ^ 0x36 for byte in block) + prefix)
        self._outer = sha256(bytes(byte ^ 0x5C for byte in block))

    def __call__(self, message: bytes) -> bytes:
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(message)
        outer.update(inner.digest())
        return outer.digest()[:KEY_BYTES]


class Pseudonyms:
    """The names of one tenant. About 0.7 µs a name."""

    __slots__ = ("_device", "_pass", "_receipt", "_request", "_token", "_user")

    def __init__(self, master: bytes, tenant: str) -> None:
        self._user = _Mac(subkey(master, "user", tenant), prefixed(tenant))
        self._device = _Mac(subkey(master, "device", tenant))
        self._token = _Mac(subkey(master, "token", tenant))
        self._request = _Mac(subkey(master, "request", tenant))
        self._receipt = _Mac(subkey(master, "receipt", tenant))
        self._pass = _Mac(subkey(master, "pass", tenant))

    def user(self, user: str) -> UserKey:
        raw = user.encode()
        return UserKey(self._user(len(raw).to_bytes(4, "big") + raw))

    def device(self, user: str, device: str) -> DeviceKey:
        return DeviceKey(self._device(prefixed(user, device)))

    def token(self, app: str, token: str) -> TokenHash:
        """A token is unique per app: the app's name is part of the hash."""
        return TokenHash(self._token(prefixed(app, token)))

    def request(self, key_id: str, idempotency_key: str) -> bytes:
        return self._request(prefixed(key_id, idempotency_key))

    def receipt(self, generation: int, now: float) -> ReceiptKey:
        """Of the request before whose first alarm this was the newest generation: never given twice, nor to be guessed.

        The instant is in it because a database that is restored from a backup gives its generations again.
        """
        return ReceiptKey(self._receipt(prefixed(str(generation), repr(now))))

    def pass_key(self, kind: str, secret: str, user: bytes = b"") -> PassKey:
        """What a pass is found by. `user`: for whom alone the secret is one; a code of eight digits is nobody's else.

        A look-up by a keyed hash needs no comparison in equal time: who can time it does not know what he has hit.
        """
        return PassKey(self._pass(prefixed(kind, secret) + user))
