"""The open loop: every request at its instant or late, never left out; the closed one; what they make of answers."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.door import Answer, address, play, repeat, request, schedule, status_of


def test_instants_are_evenly_spaced() -> None:
    assert schedule(4, 1, 7) == [7, 250_000_007, 500_000_007, 750_000_007]
    assert schedule(1000, 0, 7) == []


@given(rate=st.floats(0.1, 10_000), count=st.integers(1, 2_000))
def test_rounding_does_not_add_up(rate: float, count: int) -> None:
    """After any number of instants the plan is where the rate says, to a nanosecond."""
    instants = schedule(rate, count / rate, 0)
    assert len(instants) in (count - 1, count, count + 1)
    assert all(abs(instant - number * 1e9 / rate) <= 1 for number, instant in enumerate(instants))


ANSWERS = {
    202: b'HTTP/1.1 202 Accepted\r\nContent-Length: 15\r\n\r\n{"accepted":10}',
    204: b"HTTP/1.1 204 No Content\r\n\r\n",
    429: b"HTTP/1.1 429 Too Many Requests\r\nretry-after: 1\r\ncontent-length: 2\r\n\r\n{}",
}


@pytest.mark.parametrize("status", ANSWERS)
def test_an_answer_is_complete_with_its_last_byte(status: int) -> None:
    whole = ANSWERS[status]
    assert [status_of(whole[:size]) for size in range(len(whole))] == [0] * len(whole)
    assert status_of(whole) == status


def test_a_request_carries_its_length_and_a_deletion_none() -> None:
    assert request("k", {"user": "a"}, headers={"idempotency-key": "i"}) == (
        b"POST /v1/events HTTP/1.1\r\nhost: relay\r\nauthorization: Bearer k\r\ncontent-type: application/json\r\n"
        b'content-length: 13\r\nidempotency-key: i\r\n\r\n{"user": "a"}'
    )
    assert request("k", method="DELETE", path="/v1/users/a") == (
        b"DELETE /v1/users/a HTTP/1.1\r\nhost: relay\r\nauthorization: Bearer k\r\n\r\n"
    )


@pytest.mark.parametrize("url", ["https://relay:8080", "relay:8080", "http://relay/v1", ""])
def test_only_a_plain_door_is_written_to(url: str) -> None:
    with pytest.raises(ValueError, match="http://host:port"):
        address(url)


def test_the_address_of_a_door() -> None:
    assert address("http://127.0.0.1:8080/") == ("127.0.0.1", 8080)
    assert address("http://[::1]") == ("::1", 80)


class Slow:
    """A door of one connection that answers in the order of its requests, each when it is told to."""

    def __init__(self) -> None:
        self.received: list[bytes] = []
        self.may_answer = threading.Semaphore(0)

    def serve(self, listener: socket.socket) -> None:
        with listener, listener.accept()[0] as connection:
            while data := connection.recv(65_536):
                self.received.append(data)
                self.may_answer.acquire()
                with suppress(OSError):  # it was asked once too often
                    connection.sendall(ANSWERS[202][:30])
                    connection.sendall(ANSWERS[202][30:])


@contextmanager
def slow_door() -> Iterator[tuple[Slow, tuple[str, int]]]:
    door, listener = Slow(), socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=door.serve, args=(listener,))
    thread.start()
    yield door, listener.getsockname()
    thread.join()


@pytest.mark.sockets
def test_what_finds_no_connection_waits_and_is_sent_all_the_same() -> None:
    """Its answer is later than its instant by all that it waited: nothing is left out of the figures."""
    requests = [request("k", {"user": str(number)}) for number in range(5)]
    began = time.monotonic_ns()
    with slow_door() as (door, where):
        for _ in requests:
            door.may_answer.release()
        answers = play(where, requests, [began] * 5, connections=1)
    assert door.received == requests
    assert [answer.status for answer in answers] == [202] * 5
    assert began < answers[0].at < answers[4].at


@pytest.mark.sockets
def test_nothing_is_sent_before_its_instant() -> None:
    instant = time.monotonic_ns() + 30_000_000
    with slow_door() as (door, where):
        door.may_answer.release()
        [answer] = play(where, [request("k", {})], [instant], connections=1)
    assert answer == Answer(202, answer.at)
    assert answer.at > instant


@pytest.mark.sockets
def test_a_door_that_hangs_up_is_said() -> None:
    listener = socket.create_server(("127.0.0.1", 0))

    def hang_up() -> None:
        with listener, listener.accept()[0] as connection:
            connection.recv(65_536)

    thread = threading.Thread(target=hang_up)
    thread.start()
    with pytest.raises(OSError, match="closed a connection"):
        play(listener.getsockname(), [request("k", {})], [0], connections=1)
    thread.join()


@pytest.mark.sockets
def test_the_closed_loop_asks_the_next_one_after_each_answer_until_its_time_is_over() -> None:
    requests = [request("k", {"user": str(number)}) for number in range(3)]
    with slow_door() as (door, where):
        door.may_answer.release(100_000)
        took = repeat(where, requests, connections=1, seconds=0.2)
    assert len(took) in (len(door.received), len(door.received) - 1)
    assert all(each > 0 for each in took)
    assert door.received == [requests[number % 3] for number in range(len(door.received))]


@pytest.mark.sockets
@pytest.mark.parametrize("answer", [ANSWERS[429], b""])
def test_the_closed_loop_counts_nothing_that_was_not_taken(answer: bytes) -> None:
    listener = socket.create_server(("127.0.0.1", 0))

    def refuse() -> None:
        with listener, listener.accept()[0] as connection:
            connection.recv(65_536)
            connection.sendall(answer)

    thread = threading.Thread(target=refuse)
    thread.start()
    with pytest.raises(OSError, match="not accepted"):
        repeat(listener.getsockname(), [request("k", {})], connections=1, seconds=5)
    thread.join()
