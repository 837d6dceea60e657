"""What `h2` says in the server role when our own connection asks it: the corpus of the fuzzer.

Answers with and without bodies, interim ones, trailers, resets, settings, PING, GOAWAY; some servers heed the table
size we announce, some do not.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Final

import h2.config
import h2.connection
import h2.settings
import hpack

from relay.wire import Connection, Request, Template

STREAMS: Final = 24
"""Requests open at once, at most."""
TEMPLATE: Final = Template(
    [(b":method", b"POST"), (b":scheme", b"https"), (b":authority", b"push.example"), (b"apns-topic", b"de.example")],
    [b"authorization", b"apns-expiration"],
)
BODY: Final = b'{"aps":{}}'
CORPUS: Final = 50
"""Conversations that inputs are made from."""


def request(number: int) -> Request:
    return Request(number, b"/3/device/%064x" % number, (b"bearer x", b"1790000000"), BODY)


@dataclass(frozen=True, slots=True)
class Conversation:
    """A server's bytes: up to the first answer, and after it."""

    opening: bytes
    rest: bytes


def conversation(rng: Random) -> Conversation:
    """What `h2` says to our own connection, which sends one request and then as many as it may."""
    ours = Connection(TEMPLATE, streams=STREAMS)
    server = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding=None))
    limits = {h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: rng.choice([1, 8, 100])}
    server.local_settings = h2.settings.Settings(client=False, initial_values=limits)
    server.initiate_connection()
    server.receive_data(ours.initiate())
    if rng.random() < 0.3:  # as h2o and Bun: the table we have refused is used
        server.encoder = hpack.Encoder()

    def tell() -> bytes:
        said = server.data_to_send()
        ours.receive(said)
        server.receive_data(ours.control())
        return said

    opening = tell()
    numbers = itertools.count()
    server.receive_data(ours.take([request(next(numbers))])[1])
    server.send_headers(1, [(b":status", b"200"), (b"apns-id", b"1")], end_stream=True)
    opening += tell()
    rest = b""
    stream = 3
    for _ in range(rng.randint(1, 3)):
        count, sent = ours.take([request(next(numbers)) for _ in range(rng.randint(1, STREAMS))])
        server.receive_data(sent)
        for _ in range(count):
            rng.choice(ANSWERS)(server, stream, rng)
            stream += 2
            rest += tell()
        rng.choice(TALK)(server)
        rest += tell()
    if rng.random() < 0.3:
        server.close_connection(rng.choice([0, 0, 2, 11]), b"bye", rng.randrange(1, stream, 2))
        rest += server.data_to_send()
    return Conversation(opening, rest)


def conversations(seed: int) -> list[Conversation]:
    """The corpus of a seed."""
    rng = Random(seed)
    return [conversation(rng) for _ in range(CORPUS)]


def _accepted(server: h2.connection.H2Connection, stream: int, rng: Random) -> None:
    server.send_headers(stream, [(b":status", b"200"), (b"apns-id", rng.randbytes(4).hex().encode())], end_stream=True)


def _with_body(server: h2.connection.H2Connection, stream: int, rng: Random) -> None:
    server.send_headers(stream, [(b":status", b"%d" % rng.choice([200, 400, 410, 429, 503])), (b"server", b"x" * 40)])
    for _ in range(rng.randint(0, 2)):
        server.send_data(stream, bytes(rng.choice([0, 5, 3000])), pad_length=rng.choice([None, 0, 255]))
    server.send_data(stream, b'{"reason":"Unregistered"}', end_stream=True)


def _interim(server: h2.connection.H2Connection, stream: int, rng: Random) -> None:
    server.send_headers(stream, [(b":status", b"103"), (b"link", b"</x>")])
    _accepted(server, stream, rng)


def _trailers(server: h2.connection.H2Connection, stream: int, rng: Random) -> None:
    server.send_headers(stream, [(b":status", b"%d" % rng.choice([200, 404]))])
    server.send_headers(stream, [(b"grpc-status", b"0")], end_stream=True)


def _long(server: h2.connection.H2Connection, stream: int, rng: Random) -> None:
    """Headers in pieces, HEADERS and CONTINUATION."""
    server.streams[stream].max_outbound_frame_size = rng.choice([1, 10, 50])
    server.send_headers(stream, [(b":status", b"500"), (b"x", rng.randbytes(60).hex().encode())], end_stream=True)


def _reset(server: h2.connection.H2Connection, stream: int, rng: Random) -> None:
    server.reset_stream(stream, rng.choice([0, 2, 7, 8]))


def _settings(server: h2.connection.H2Connection) -> None:
    codes = h2.settings.SettingCodes
    server.update_settings({codes.INITIAL_WINDOW_SIZE: 70_000, codes.HEADER_TABLE_SIZE: 0})


ANSWERS: Final = (_accepted, _accepted, _accepted, _with_body, _with_body, _interim, _trailers, _long, _reset)
TALK: Final[tuple[Callable[[h2.connection.H2Connection], None], ...]] = (
    lambda server: server.ping(b"mornings"),
    lambda server: server.increment_flow_control_window(1000),
    _settings,
)
