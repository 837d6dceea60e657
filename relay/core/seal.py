"""Sealing: what lies on the disk says nothing without the key, which lies elsewhere (I6).

AES-256-GCM. A sealed value is `key_id (1) | nonce (12) | ciphertext and tag`. The associated data bind it to its place:
tenant, pseudonym, kind and, for devices, the device; a record moved to another user does not open. `key_id` names the
master key, so that a second key can be introduced while the first still opens old records. Nonces are random: at
2^32 records per key the chance of a repeat is 2^-33 (NIST SP 800-38D, 8.3).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from relay.core.errors import RelayError
from relay.core.pseudonym import MASTER_KEY_BYTES, subkey

NONCE_BYTES: Final = 12
OVERHEAD_BYTES: Final = 1 + NONCE_BYTES + 16
_NONCE_END: Final = 1 + NONCE_BYTES


class SealBroken(RelayError):
    """A sealed record does not open: wrong key, damaged, or moved from another place."""


def place(tenant: str, kind: str, user: bytes, device: bytes = b"") -> bytes:
    """Associated data of a sealed value: where it belongs. `user` and `device` have fixed lengths or are empty."""
    name = tenant.encode()
    return len(name).to_bytes(2, "big") + name + kind.encode() + b"\x00" + user + device


class Seals:
    """Seals with the newest of the master keys, opens with the one a record names."""

    __slots__ = ("_boxes", "_current")

    def __init__(self, masters: Mapping[int, bytes], current: int) -> None:
        """`masters`: key id (0-255) → 32 random bytes; `current` seals. Raises ValueError."""
        if current not in masters:
            raise ValueError("the key that seals is not among the master keys")
        if not all(0 <= key_id <= 255 and len(key) == MASTER_KEY_BYTES for key_id, key in masters.items()):
            raise ValueError(f"a master key has an id from 0 to 255 and {MASTER_KEY_BYTES} bytes")
        self._boxes = {key_id: AESGCM(subkey(key, "seal")) for key_id, key in masters.items()}
        self._current = current

    def seal(self, where: bytes, content: bytes) -> bytes:
        nonce = os.urandom(NONCE_BYTES)
        return bytes((self._current,)) + nonce + self._boxes[self._current].encrypt(nonce, content, where)

    def open(self, where: bytes, sealed: bytes) -> bytes:
        try:
            return self._boxes[sealed[0]].decrypt(sealed[1:_NONCE_END], sealed[_NONCE_END:], where)
        except (KeyError, IndexError, ValueError, InvalidTag):
            raise SealBroken("a sealed record does not open with the keys given") from None
