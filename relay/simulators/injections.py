"""What can be made to go wrong at a fake, as values; all chance comes from one seeded generator.

Everything may be changed while it runs. That names and forms are the same on a command line and at the control port is
the business of knobs.py; what befalls a connection is done by h2_connection.py and its parts, what an answer is
replaced by is looked up by name in the fake's own list. Shares are between 0 and 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from math import log
from random import Random
from typing import Final, Generic, TypeVar

_P99: Final = 2.3263
"""Standard deviations above the mean, below which 99 in 100 lie."""

Answer = TypeVar("Answer")


class Per(StrEnum):
    """How often a latency is drawn."""

    ANSWER = "answer"
    CONNECTION = "connection"
    TOKEN = "token"


class DropAt(StrEnum):
    """Where a connection is dropped."""

    SETTINGS = "settings"
    """Before the first frame."""
    ANSWER = "answer"
    """The request is processed, the answer not given: nobody can know."""
    HEAD = "head"
    """In the middle of the answer's HEADERS."""
    BODY = "body"
    """Between the HEADERS and the DATA of an error."""


class DropHow(StrEnum):
    FIN = "fin"
    RESET = "reset"


class Oddity(StrEnum):
    """An answer that is allowed, or nearly, and seldom seen."""

    NO_ID = "no-apns-id"
    SPLIT_BODY = "split-body"
    """Each byte a DATA frame of its own."""
    INTERIM = "interim"
    """A 103 comes first."""
    TRAILERS = "trailers"
    PING = "ping"
    """The server asks for a PING's acknowledgement just then."""


@dataclass(frozen=True, slots=True)
class Burst:
    """Of every `period` seconds, counted from the epoch, the first `lasting` answer a share with `name`."""

    name: str
    period: float
    lasting: float
    share: float


@dataclass(frozen=True, slots=True)
class Budget:
    """A connection with errors of more than this weight in so many seconds is closed."""

    weight: int
    seconds: float


@dataclass(slots=True)
class Injections(Generic[Answer]):
    """Changeable while it runs. What an answer is told by depends on the fake."""

    rng: Random = field(default_factory=lambda: Random(0))

    # --- answers

    latency: Callable[[], float] = lambda: 0.0
    """Seconds until an answer."""
    latency_per: Per = Per.ANSWER
    answers: list[Answer] = field(default_factory=list)
    """For the next requests, one each; overrides every check."""
    shares: Mapping[str, float] = field(default_factory=dict)
    """Name of an answer → share of the requests to which nothing can be objected that get it. The sum is at most 1."""
    burst: Burst | None = None
    gone: float = 0.0
    """Share of the tokens that turn out to be dead when they are first written to, and stay it."""
    delays: dict[str, float] = field(default_factory=dict)
    """Token → seconds more until its answer."""
    connection_delays: dict[int, float] = field(default_factory=dict)
    """Number of a connection (1, 2, …) → seconds more until each of its answers."""
    body_delay: float = 0.0
    """Seconds between the head of an answer and its body."""
    silent: set[str] = field(default_factory=set)
    """Tokens that never get an answer; Apple's in lower case."""
    silence: bool = False
    """Nothing gets an answer."""
    unanswered: float = 0.0
    """Share of the requests that are processed and never answered."""
    late: bool = False
    """What was not answered is, as soon as the client has reset its stream; HTTP/2 only."""
    odd: Mapping[Oddity, float] = field(default_factory=dict)
    """Share of the answers with each oddity; HTTP/2 only."""

    # --- ends of connections

    drop_after: int | None = None
    """A connection that has processed so many requests is cut, before the last one's answer. Happens once."""
    drop_share: float = 0.0
    """Of what `drop_at` names: connections for `settings`, answers (errors for `body`) else."""
    drop_at: DropAt = DropAt.ANSWER
    drop_how: DropHow = DropHow.FIN
    goaway_after: int | None = None
    """A connection that has processed so many requests says GOAWAY; those in the same flight behind them are not
    processed. Happens once; HTTP/2 only."""
    goaway_every: int | None = None
    """The same, for each connection."""
    goaway_lifetime: float | None = None
    """Each connection says GOAWAY after so many seconds."""
    farewell: tuple[int, bytes] = (0, b"")
    """Code and debug data of such a GOAWAY."""
    goaway_graceful: bool = False
    """It is announced by one that excludes no stream, a tenth of a second before."""
    goaway_unprocessed: int = 0
    """It waits for so many requests behind the last one that it names, a tenth of a second at most."""
    goaway_last_stream: int | None = None
    """It names this stream as the last one, whatever was processed."""
    goaway_silence: bool = False
    """After it nothing is said, and nothing closed."""
    budget: Budget | None = None
    idle: float | None = None
    """Seconds without a request after which a connection ends, in the place of what the fake does by itself."""
    idle_goaway: bool = True
    """It says so."""

    # --- transport

    stall: float = 0.0
    """Share of the connections that are accepted and get no TLS handshake."""
    half_open: float = 0.0
    """Share of the connections that take all bytes, and never say anything after SETTINGS; HTTP/2 only."""
    half_open_after: int = 0
    """So many requests are answered before."""
    read_pace: float | None = None
    """Bytes a second that are read at most."""

    # --- HTTP/2

    most_at_once: int | None = None
    """A stream beyond so many is refused, whatever was announced; HTTP/2 only."""
    dance: bool = False
    """4xx brings a stream limit of 1, and two resets to each stream too many; 200 brings the full one again."""
    withhold_window: bool = False
    """No WINDOW_UPDATE is sent."""
    initial_window: int | None = None
    """Announced in the place of the fake's own."""
    window_raised_after: float | None = None
    """Seconds of a connection after which the fake's own window is announced after all."""
    table_size: int | None = None
    """Announced in the place of the fake's own."""
    settings_every: float | None = None
    """Mean seconds between SETTINGS that change something at random, for a second at most."""

    # --- chance

    _drawn: dict[object, tuple[object, float]] = field(default_factory=dict)
    _first_seen: set[str] = field(default_factory=set)

    def wait(self, connection: int, token: str) -> float:
        """Seconds until the answer to a request for `token`."""
        more = self.connection_delays.get(connection, 0.0) + self.delays.get(token, 0.0)
        if self.latency_per is Per.ANSWER:
            return more + self.latency()
        key: object = connection if self.latency_per is Per.CONNECTION else token
        if self._drawn.get(key, (None, 0.0))[0] is not self.latency:
            self._drawn[key] = self.latency, self.latency()
        return more + self._drawn[key][1]

    def is_silent(self, token: str) -> bool:
        return self.silence or token in self.silent or self.happens(self.unanswered)

    def happens(self, share: float) -> bool:
        """Draws only when there is something to draw, so that what is off changes nothing."""
        return share > 0 and self.rng.random() < share

    def drops(self, at: DropAt) -> bool:
        return self.drop_at is at and self.happens(self.drop_share)

    def oddities(self) -> frozenset[Oddity]:
        """Of the next answer."""
        return frozenset(oddity for oddity, share in self.odd.items() if self.happens(share))

    def is_gone(self, token: str) -> bool:
        """Whether a token dies now, at its first request."""
        if not self.gone or token in self._first_seen:
            return False
        self._first_seen.add(token)
        return self.happens(self.gone)

    def drawn(self, now: float) -> str | None:
        """Name of the answer for a request to which nothing can be objected; None: that which is due. UTC seconds."""
        burst = self.burst
        if burst is not None and now % burst.period < burst.lasting and self.happens(burst.share):
            return burst.name
        if self.shares:
            lot = self.rng.random()
            for name, share in self.shares.items():
                lot -= share
                if lot < 0:
                    return name
        return None


@dataclass(frozen=True, slots=True)
class Latency:
    """A distribution that can be shown again. `text`: as it was written."""

    text: str
    draw: Callable[[], float]

    def __call__(self) -> float:
        return self.draw()


def constant(seconds: float) -> Callable[[], float]:
    return lambda: seconds


def log_normal(rng: Random, median: float, p99: float) -> Callable[[], float]:
    """Latencies as they are usually spread: half of them above `median` seconds, one in a hundred above `p99`."""
    mu, sigma = log(median), log(p99 / median) / _P99
    return lambda: rng.lognormvariate(mu, sigma)


def bimodal(rng: Random, usual: float, outlier: float, share: float) -> Callable[[], float]:
    """`usual` seconds, but `outlier` seconds for a share (0 to 1) of the answers."""
    return lambda: outlier if rng.random() < share else usual
