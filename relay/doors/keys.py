"""API keys: `id.secret`, the secret 32 random bytes, kept as SHA-256 only.

A plain hash is right for a random secret of 256 bits: there is nothing to guess, so nothing to slow down. Several keys
are valid at once, so that one can be replaced without a gap. A key for events may not hold the scope `rest`, by which
anybody's token can be had: who writes to people must not be able to see when they rest (L2).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from relay.core.events import Scope as Scope
from relay.core.tenants import Tenant

SECRET_BYTES: Final = 32
CODE_DIGITS: Final = 8
KEY_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,40}")


class Who(Enum):
    """Who else may ask than keys with a scope."""

    OFFICER = "officer"
    """Somebody with a token of his own (core/passes.py)."""
    ANYBODY = "anybody"


@dataclass(frozen=True, slots=True)
class ApiKey:
    id: str
    digest: bytes = field(repr=False)
    """SHA-256 of the secret."""
    scopes: frozenset[Scope]
    tenant: Tenant = field(repr=False)


class Keys:
    """Finds the key of an `Authorization` header."""

    __slots__ = ("_by_id",)

    def __init__(self, keys: Iterable[ApiKey]) -> None:
        """Raises ValueError for two keys of one id, and for a key that holds both `events` and `rest`."""
        self._by_id: dict[str, ApiKey] = {}
        for key in keys:
            if key.id in self._by_id:
                raise ValueError(f"the key id {key.id} is used twice")
            if {Scope.EVENTS, Scope.REST} <= key.scopes:
                raise ValueError(f"the key {key.id} holds events and rest; no key may hold both")
            self._by_id[key.id] = key

    def find(self, authorization: bytes) -> ApiKey | None:
        """The key of `Bearer id.secret`; None when it is none of ours. Takes as long for an unknown id."""
        scheme, _, value = authorization.partition(b" ")
        key_id, _, secret = value.strip().partition(b".")
        key = self._by_id.get(key_id.decode("latin-1"))
        matches = hmac.compare_digest(digest_of(secret), key.digest if key is not None else _NOBODY)
        return key if matches and scheme.lower() == b"bearer" else None


_NOBODY: Final = bytes(32)


def digest_of(secret: bytes) -> bytes:
    return hashlib.sha256(secret).digest()


def new_key(key_id: str) -> tuple[str, str]:
    """(the key to hand out, the hexadecimal digest for the configuration)."""
    secret = new_secret()
    return f"{key_id}.{secret}", digest_of(secret.encode()).hex()


def new_secret() -> str:
    """Nothing to guess: of an API key, a link or a token."""
    return base64.urlsafe_b64encode(secrets.token_bytes(SECRET_BYTES)).rstrip(b"=").decode()


def new_code() -> str:
    """Eight digits, to be read out."""
    return f"{secrets.randbelow(10**CODE_DIGITS):0{CODE_DIGITS}}"
