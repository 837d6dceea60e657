"""What Undo needs: the document that was replaced, for ten minutes, in this process only.

Kept by the hash of the session, so that nobody else can undo it; one for a session, so that nobody piles up what they
once were (L3, no history). It is good as long as the document has the version that the act gave it: whatever was
changed since is not undone along. When the process ends it is gone, and so it may be.

It is thrown away by whatever page is asked for after the ten minutes, and when its session ends: at the latest at the
first page that the relay refuses to that session. An officer who deletes everything ends all sessions with that, but
which these are the process does not know, for it knows nobody by name. So that the document is out of everybody's reach
at once all the same, it lies here sealed (AES-256-GCM) under the secret of its session, which is in that browser only.

Rejected: to be told by the relay whose session it is, and to forget by that. Then a mark of each officer would lie here
beside what they have changed.
"""

from __future__ import annotations

import hmac
import os
from collections import OrderedDict
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

import msgspec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from schedules.web.port import Document, Secret

KEPT: Final = 600.0
"""Seconds."""
MOST: Final = 2_000
"""Sessions; of a document of 64 KiB at most, mostly of some hundred bytes. The oldest goes first."""
_SEAL: Final = b"feierabend door: undo"
_NONCE_BYTES: Final = 12


@dataclass(frozen=True, slots=True, repr=False)
class Step:
    """A change that can be undone."""

    at: float
    before: Document | None
    """None: there was no document."""
    version: int | None
    """Of the document after it; None: there is none any more."""
    is_undo: bool


@dataclass(frozen=True, slots=True, repr=False)
class _Sealed:
    at: float
    before: bytes
    version: int | None
    is_undo: bool


class Memory:
    """The last step of each session."""

    def __init__(self) -> None:
        self._steps: OrderedDict[bytes, _Sealed] = OrderedDict()
        """By the hash of the session; in the order in which they were made."""

    def __repr__(self) -> str:
        return f"<Memory: {len(self)} steps>"

    def __len__(self) -> int:
        return len(self._steps)

    def keep(self, session: Secret, step: Step) -> None:
        key = _key(session)
        self._steps[key] = _Sealed(step.at, _seal(session, step.before), step.version, step.is_undo)
        self._steps.move_to_end(key)
        if len(self._steps) > MOST:
            self._steps.popitem(last=False)

    def last(self, session: Secret, version: int | None, now: float) -> Step | None:
        """The step that led to this version, if it can still be undone."""
        step = self._steps.get(_key(session))
        if step is None or step.version != version or now >= step.at + KEPT:
            return None
        return Step(step.at, _open(session, step.before), step.version, step.is_undo)

    def forget(self, session: Secret) -> None:
        self._steps.pop(_key(session), None)

    def sweep(self, now: float) -> None:
        """Forget what is too old. It costs no more than it frees."""
        while self._steps and next(iter(self._steps.values())).at <= now - KEPT:
            self._steps.popitem(last=False)


def _key(session: Secret) -> bytes:
    return sha256(session.value.encode()).digest()


def _aead(session: Secret) -> AESGCM:
    return AESGCM(hmac.digest(session.value.encode(), _SEAL, "sha256"))


def _seal(session: Secret, document: Document | None) -> bytes:
    nonce = os.urandom(_NONCE_BYTES)
    return nonce + _aead(session).encrypt(nonce, msgspec.json.encode(document), None)


def _open(session: Secret, sealed: bytes) -> Document | None:
    content = _aead(session).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], None)
    document: Document | None = msgspec.json.decode(content)
    return document
