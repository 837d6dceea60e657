"""What Undo needs: the document that was replaced, for ten minutes, in this process only.

Kept by the hash of the session, so that nobody else can undo it and the secret does not lie about; one for a session,
so that nobody piles up what they once were (L3, no history). It is good as long as the document has the version that
the act gave it: whatever was changed since is not undone along. When the process ends it is gone, and so it may be.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from schedules.web.port import Document, Secret

KEPT: Final = 600.0
"""Seconds."""
MOST: Final = 2_000
"""Sessions; of a document of 64 KiB at most, mostly of some hundred bytes. The oldest goes first."""


@dataclass(frozen=True, slots=True, repr=False)
class Step:
    """A change that can be undone."""

    at: float
    before: Document | None
    """None: there was no document."""
    version: int | None
    """Of the document after it; None: there is none any more."""
    is_undo: bool


class Memory:
    """The last step of each session."""

    def __init__(self) -> None:
        self._steps: OrderedDict[bytes, Step] = OrderedDict()

    def __repr__(self) -> str:
        return f"<Memory: {len(self._steps)} steps>"

    def keep(self, session: Secret, step: Step) -> None:
        key = _key(session)
        self._steps[key] = step
        self._steps.move_to_end(key)
        while len(self._steps) > MOST or next(iter(self._steps.values())).at <= step.at - KEPT:
            self._steps.popitem(last=False)

    def last(self, session: Secret, version: int | None, now: float) -> Step | None:
        """The step that led to this version, if it can still be undone."""
        step = self._steps.get(_key(session))
        return step if step is not None and step.version == version and now < step.at + KEPT else None

    def forget(self, session: Secret) -> None:
        self._steps.pop(_key(session), None)


def _key(session: Secret) -> bytes:
    return sha256(session.value.encode()).digest()
