"""Pseudonyms: what users, devices and tokens are called inside the relay.

HMAC-SHA256 over length-prefixed parts, cut to 16 bytes, with a subkey per tenant and purpose derived from the master
key by HKDF (RFC 5869). Length prefixes, because ("ab", "c") and ("a", "bc") must not meet. Keyed, because a plain hash
of a personnel number is undone in seconds. Per tenant, so that the same person in two tenants has two names. The
idempotency key is hashed the same way: it is chosen by the backend and may hold anything.
"""

from __future__ import annotations

import hmac
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from relay.core.private import KEY_BYTES, DeviceKey, PassKey, ReceiptKey, TokenHash, UserKey

MASTER_KEY_BYTES: Final = 32


def subkey(master: bytes, *purpose: str) -> bytes:
    """Derive the 32-byte key of one purpose; `purpose` parts are length-prefixed."""
    return HKDF(hashes.SHA256(), length=32, salt=b"feierabend/1", info=prefixed(*purpose)).derive(master)


def prefixed(*parts: str) -> bytes:
    """Join parts so that no two different sequences give the same bytes (4-byte length before each)."""
    encoded = [part.encode() for part in parts]
    return b"".join(len(part).to_bytes(4, "big") + part for part in encoded)


class Pseudonyms:
    """The names of one tenant. About 1.5 µs a name."""

    __slots__ = ("_device", "_pass", "_receipt", "_request", "_tenant", "_token", "_user")

    def __init__(self, master: bytes, tenant: str) -> None:
        self._tenant = prefixed(tenant)
        self._user = subkey(master, "user", tenant)
        self._device = subkey(master, "device", tenant)
        self._token = subkey(master, "token", tenant)
        self._request = subkey(master, "request", tenant)
        self._receipt = subkey(master, "receipt", tenant)
        self._pass = subkey(master, "pass", tenant)

    def user(self, user: str) -> UserKey:
        raw = user.encode()
        return UserKey(hmac.digest(self._user, self._tenant + len(raw).to_bytes(4, "big") + raw, "sha256")[:KEY_BYTES])

    def device(self, user: str, device: str) -> DeviceKey:
        return DeviceKey(hmac.digest(self._device, prefixed(user, device), "sha256")[:KEY_BYTES])

    def token(self, app: str, token: str) -> TokenHash:
        """A token is unique per app: the app's name is part of the hash."""
        return TokenHash(hmac.digest(self._token, prefixed(app, token), "sha256")[:KEY_BYTES])

    def request(self, key_id: str, idempotency_key: str) -> bytes:
        return hmac.digest(self._request, prefixed(key_id, idempotency_key), "sha256")[:KEY_BYTES]

    def receipt(self, generation: int, now: float) -> ReceiptKey:
        """Of the request before whose first alarm this was the newest generation: never given twice, nor to be guessed.

        The instant is in it because a database that is restored from a backup gives its generations again.
        """
        return ReceiptKey(hmac.digest(self._receipt, prefixed(str(generation), repr(now)), "sha256")[:KEY_BYTES])

    def pass_key(self, kind: str, secret: str, user: bytes = b"") -> PassKey:
        """What a pass is found by. `user`: for whom alone the secret is one; a code of eight digits is nobody's else.

        A look-up by a keyed hash needs no comparison in equal time: who can time it does not know what he has hit.
        """
        return PassKey(hmac.digest(self._pass, prefixed(kind, secret) + user, "sha256")[:KEY_BYTES])
