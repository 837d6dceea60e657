"""What a lane must know of a provider: the shape of its requests, and how to judge its answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from relay.core.verdicts import Verdict
from relay.wire import Answer, Request, Template


@dataclass(frozen=True, slots=True)
class Judgement:
    verdict: Verdict
    reason: str
    """The provider's own word, or "status_NNN"."""
    dead_since: float | None = None
    """UTC seconds, when the provider says since when a token is invalid."""
    wait: float = 0.0
    """Least seconds until a next attempt, as the provider asks; 0 when it does not."""


class Limited(Protocol):
    """What a request is made for: a flight, or a probe."""

    @property
    def life(self) -> int:
        """A step of the ladder."""


class Provider(Protocol):
    """One implementation per provider; bound to one app's credentials."""

    @property
    def host(self) -> str: ...
    @property
    def port(self) -> int: ...

    def is_ready(self, now: float) -> bool:
        """There is a credential to authorise requests with."""

    def template(self) -> Template:
        """The constant part of all requests of this app."""

    def credential(self, now: float) -> bytes:
        """What requests are authorised with now; a new value when it was renewed."""

    def request(self, flight: Limited, token: str, now: float) -> Request:
        """One wakeup, carrying the flight as its tag."""

    def judge(self, answer: Answer, now: float) -> Judgement:
        """What an answer other than 200 means."""

    def step_back(self, now: float) -> bool:
        """The provider says that our credential was changed too soon. True: the one before it is in use again."""

    def credential_refused(self, now: float) -> str:
        """The provider calls our credential expired. Empty: another one is made; else a word for what must be wrong."""
