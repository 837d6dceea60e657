"""The flood: everything at its instant, nothing twice, and what it makes of refusals and of doors that close."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from bench.door import request
from bench.flood import GONE, Flood, Tally, flood, number_after

TAKEN = b'HTTP/1.1 202 Accepted\r\nContent-Length: 27\r\n\r\n{"accepted":10,"unknown":2}'
BUSY = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\ncontent-length: 2\r\n\r\n{}"
RUDE = b"HTTP/1.1 429 Too Many Requests\r\ncontent-length: 2\r\n\r\n{}"
AWAY = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 5\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}"
POST = request("k", {"user": "a"})

Serve = Callable[[socket.socket, int], None]
"""(a connection, which one)"""


@contextmanager
def door(serve: Serve, connections: int) -> Iterator[tuple[str, int]]:
    """Serves so many connections, each in a thread."""
    listener = socket.create_server(("127.0.0.1", 0))
    threads: list[threading.Thread] = []

    def accept() -> None:
        for number in range(connections):
            connection, _ = listener.accept()
            threads.append(threading.Thread(target=serve, args=(connection, number)))
            threads[-1].start()

    accepting = threading.Thread(target=accept)
    accepting.start()
    with listener:
        yield listener.getsockname()
        accepting.join()
    for thread in threads:
        thread.join()


def answering(*answers: bytes) -> Serve:
    """Each request with the next of these, in two pieces."""

    def serve(connection: socket.socket, _number: int) -> None:
        with connection:
            for answer in answers:
                assert connection.recv(65_536) == POST
                connection.sendall(answer[:20])
                connection.sendall(answer[20:])
            assert connection.recv(1) == b""

    return serve


def played(where: tuple[str, int], count: int, connections: int = 1, rate: float = 1000.0) -> Tally:
    return flood(Flood(where, [POST], rate, count / rate, time.monotonic_ns(), connections))


@pytest.mark.sockets
def test_what_was_taken_and_what_was_refused_and_when_to_come_back() -> None:
    with door(answering(TAKEN, BUSY, TAKEN, RUDE), 1) as where:
        tally = played(where, 4, rate=20.0)
    assert (tally.planned, tally.sent, tally.unanswered) == (4, 4, 0)
    assert tally.statuses == {202: 2, 429: 2}
    assert tally.retry_after == {7: 1, 0: 1}, "one has named none"
    assert tally.accepted == 20
    assert len(tally.accepted_ms) == 2
    assert all(took > 0 for took in tally.accepted_ms)
    assert tally.seconds >= 0.15


@pytest.mark.sockets
def test_what_finds_all_connections_busy_is_not_sent_and_counted() -> None:
    may_answer = threading.Event()

    def serve(connection: socket.socket, _number: int) -> None:
        with connection:
            assert connection.recv(65_536) == POST
            may_answer.wait()
            connection.sendall(TAKEN)
            assert connection.recv(65_536) == b"", "nothing is repeated"

    with door(serve, 2) as where:
        threading.Timer(0.3, may_answer.set).start()
        tally = played(where, 50, connections=2)
    assert (tally.planned, tally.unsent, tally.sent) == (50, 48, 2)
    assert tally.statuses == {202: 2}


@pytest.mark.sockets
def test_who_is_turned_away_is_refused_and_comes_with_another_connection() -> None:
    def serve(connection: socket.socket, number: int) -> None:
        with connection:
            if number == 0:
                connection.sendall(AWAY)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(65_536):
                    pass
                return
            assert connection.recv(65_536) == POST
            connection.sendall(TAKEN)
            assert connection.recv(1) == b""

    with door(serve, 2) as where:
        tally = played(where, 2, rate=5.0)
    assert tally.statuses == {503: 1, 202: 1}
    assert tally.retry_after == {5: 1}


@pytest.mark.sockets
def test_a_door_that_hangs_up_is_told() -> None:
    def serve(connection: socket.socket, _number: int) -> None:
        with connection:
            connection.recv(65_536)

    with door(serve, 3) as where:
        tally = played(where, 3, rate=20.0)
    assert tally.statuses == {GONE: 3}


@pytest.mark.sockets
def test_a_large_request_is_sent_as_the_door_reads_it() -> None:
    large = request("k", {"users": ["x" * 1000] * 5_000})
    received = bytearray()

    def serve(connection: socket.socket, _number: int) -> None:
        with connection:
            time.sleep(0.05)
            while len(received) < len(large):
                received.extend(connection.recv(65_536))
            connection.sendall(TAKEN)
            assert connection.recv(1) == b""

    with door(serve, 1) as where:
        tally = flood(Flood(where, [large], 1.0, 1.0, time.monotonic_ns(), 1))
    assert received == large
    assert tally.statuses == {202: 1}


@pytest.mark.parametrize(
    ("text", "number"),
    [(b'{"accepted":12}', 12), (b'{"accepted":7,"unknown":1}', 7), (b'{"accepted":}', 0), (b"", 0)],
)
def test_a_number_behind_a_name(text: bytes, number: int) -> None:
    assert number_after(b'"accepted":', text) == number
