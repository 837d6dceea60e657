"""What a step tells, how it fails, and who listens meanwhile to what the provider says."""

from __future__ import annotations

import os
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NoReturn

import trio

from relay.doctor.words import Blame, Reading
from relay.wire import Answer, ConnectionLost, Received, Transport

_OF_TIME: Final = (9, 10)
"""OpenSSL's numbers: a certificate is not valid yet, or not any more."""


@dataclass(frozen=True, slots=True)
class Step:
    name: str
    state: str
    """ok, failed or skipped."""
    says: str = ""


class Failed(Exception):
    """A step has failed."""

    def __init__(self, blame: Blame, says: str) -> None:
        super().__init__(says)
        self.blame = blame
        self.says = says


@dataclass(slots=True)
class Examined:
    """What came of it. `reading`: what the provider answered; None when it came to no answer, for which is `blame`."""

    reading: Reading | None = None
    blame: Blame = Blame.NOBODY
    says: str = ""
    failed_at: str = ""
    """Name of the step."""


Tell = Callable[[Step], None]


class Ears:
    """Listens to the provider, and wakes who waits for something."""

    def __init__(self) -> None:
        self.answer: Answer | None = None
        self._trouble = ""
        self._news = trio.Event()

    async def listen(self, transport: Transport) -> None:
        try:
            await transport.run(self._received)
        except ConnectionLost as lost:
            self._trouble = self._trouble or f"the connection ended ({lost.reason})"
        self._wake()

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Raises Failed when the connection ends before."""
        while not is_so():
            if self._trouble:
                raise Failed(Blame.WIRE, self._trouble)
            await self._news.wait()

    def _received(self, news: Received) -> None:
        if news.accepted:
            self.answer = Answer(None, 200, b"")
        if news.answers:
            self.answer = news.answers[0]
        for _, reason in news.unknown:
            self._trouble = f"our request was reset ({reason})"
        if news.unprocessed:
            self._trouble = "our request was refused before it was read"
        if news.goaway is not None and news.goaway.code:
            self._trouble = f"the provider says GOAWAY, code {news.goaway.code}"
        self._wake()

    def _wake(self) -> None:
        self._news.set()
        self._news = trio.Event()


def plain(error: OSError) -> str:
    """The kernel's words, without trio's around them, which makes one error of all attempts to connect, here of one."""
    cause: BaseException | None = error.__cause__
    if isinstance(cause, BaseExceptionGroup):
        cause = cause.exceptions[0]
    found = cause if isinstance(cause, OSError) else error
    return os.strerror(found.errno) if found.errno else type(found).__name__


def not_secure(lost: ConnectionLost, host: str) -> NoReturn:
    """Raises Failed: what TLS was not content with."""
    if lost.reason == "no_http2":
        raise Failed(Blame.TLS, f"what answers for {host} agrees to no HTTP/2: something on the way looks into TLS")
    cause: BaseException | None = lost
    while cause is not None and not isinstance(cause, ssl.SSLCertVerificationError):
        cause = cause.__cause__ or cause.__context__
    if cause is None:
        raise Failed(Blame.TLS, f"{host} does not come to an end with the TLS handshake: is that its port?")
    if cause.verify_code in _OF_TIME:
        raise Failed(Blame.CLOCK, f"{cause.verify_message}: is this machine's clock right?")
    raise Failed(
        Blame.TLS,
        f"who answers for {host} is not trusted ({cause.verify_message}); whoever looks into TLS on the way must let "
        "this host pass, or be named in ca_file",
    )
