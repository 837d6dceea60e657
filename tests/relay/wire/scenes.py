"""Connections brought to a certain point by a server's bytes, and the requests that are sent on them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from relay.wire import Answer, Connection, OriginTrust, Received, Request, Template
from tests.relay.wire import by_hand

CONSTANT: Final[tuple[tuple[bytes, bytes], ...]] = (
    (b":method", b"POST"),
    (b":scheme", b"https"),
    (b":authority", b"push.example"),
    (b"apns-topic", b"de.example.dienst"),
    (b"apns-priority", b"10"),
    (b"content-length", b"12"),
)
VARYING: Final = (b"authorization", b"apns-expiration")
TEMPLATE: Final = Template(CONSTANT, VARYING)
BODY: Final = b'{"say":"no"}'
VALUES: Final = (b"bearer " + b"j" * 180, b"1790000000")
FIRST_WINDOW: Final = 65_535


def request(number: int, *, body: bytes = BODY, varying: tuple[bytes, ...] = VALUES) -> Request:
    """The request with the tag `wakeup <number>`."""
    return Request(f"wakeup {number}", b"/3/device/%064x" % number, varying, body)


def requests(count: int, *, first: int = 0, body: bytes = BODY) -> list[Request]:
    return [request(number, body=body) for number in range(first, first + count)]


def greeted(settings: Mapping[int, int] | None = None, trust: OriginTrust | None = None) -> Connection:
    """A connection that has the server's SETTINGS (by default 100 streams) and has acknowledged them."""
    connection = Connection(TEMPLATE, trust=trust)
    connection.initiate()
    connection.receive(by_hand.settings({by_hand.STREAMS: 100} if settings is None else settings))
    connection.control()
    return connection


def proven(
    settings: Mapping[int, int] | None = None,
    *,
    first_block: bytes = by_hand.OK_OBEDIENT,
    trust: OriginTrust | None = None,
) -> Connection:
    """A connection whose first request, on stream 1 and without a body, has its answer: the next stream is 3."""
    connection = greeted(settings, trust)
    count, _ = connection.take([request(-1, body=b"")])
    assert count == 1
    connection.receive(by_hand.headers(1, first_block))
    connection.control()
    return connection


def opened(
    count: int, *, settings: Mapping[int, int] | None = None, first_block: bytes = by_hand.OK_OBEDIENT
) -> tuple[Connection, dict[int, object]]:
    """A proven connection with `count` requests open, and their tags by stream."""
    connection = proven(settings, first_block=first_block)
    wanted = requests(count)
    tags = {3 + 2 * number: request.tag for number, request in enumerate(wanted)}
    while wanted:
        taken, _ = connection.take(wanted)
        assert taken
        wanted = wanted[taken:]
    return connection, tags


def at_stream(connection: Connection, stream: int) -> Connection:
    """As if billions of requests had been sent: the only way to see the last streams of a connection."""
    connection._streams.next = stream
    return connection


def outcomes(news: Iterable[Received], lost: Iterable[object] = ()) -> dict[object, str]:
    """What became of each tag, in a word; nobody may be told of twice."""
    found: dict[object, str] = {}

    def note(tag: object, word: str) -> None:
        assert tag not in found, f"{tag} was {found[tag]}, and now {word}"
        found[tag] = word

    for received in news:
        for tag in received.accepted:
            note(tag, "accepted")
        for answer in received.answers:
            note(answer.tag, f"answered {answer.status}")
        for tag in received.unprocessed:
            note(tag, "unprocessed")
        for tag, reason in received.unknown:
            note(tag, f"unknown {reason}")
    for tag in lost:
        note(tag, "lost")
    return found


def only_answer(received: Received) -> Answer:
    """The one answer in it."""
    (answer,) = received.answers
    return answer
