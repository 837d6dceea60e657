"""The demo's client: many requests on one connection, answers in order, nothing taken for an answer that is none."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import trio
from trio.testing import memory_stream_pair

from relay.client import Call, put_device, wake
from relay.simulators.demo.doorway import WINDOW, Doorway, Unanswered

OK = b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 10\r\n\r\n{"n": %3d}'
EMPTY = b"HTTP/1.1 204 No Content\r\n\r\n"


async def answering(stream: trio.abc.Stream, pieces: Sequence[bytes]) -> bytes:
    """Reads one write, answers in these pieces; returns what it read."""
    read = bytes(await stream.receive_some(1 << 20))
    for piece in pieces:
        await stream.send_all(piece)
        await trio.lowlevel.checkpoint()
    return read


async def test_a_request_carries_the_key_the_headers_and_the_body(nursery: trio.Nursery) -> None:
    ours, theirs = memory_stream_pair()
    door = Doorway(ours, "backend.secret")
    nursery.start_soon(door.send_all, [wake(["u1"], "alarm", role="r", reason="x", idempotency_key="once")])
    head, _, body = bytes(await theirs.receive_some(1 << 20)).partition(b"\r\n\r\n")
    assert head.split(b"\r\n") == [
        b"POST /v1/events HTTP/1.1", b"host: relay", b"content-type: application/json", b"idempotency-key: once",
        b"authorization: Bearer backend.secret", b"content-length: %d" % len(body),
    ]  # fmt: skip
    assert b'"class": "alarm"' in body
    nursery.cancel_scope.cancel()


async def test_answers_come_in_order_however_they_are_cut() -> None:
    ours, theirs = memory_stream_pair()
    whole = OK % 1 + EMPTY + OK % 3
    async with trio.open_nursery() as nursery:
        nursery.start_soon(answering, theirs, [whole[i : i + 7] for i in range(0, len(whole), 7)])
        answers = await Doorway(ours, "k").send_all([Call("GET", "/a"), Call("DELETE", "/b"), Call("GET", "/c")])
    assert answers == [{"n": 1}, None, {"n": 3}]


async def test_no_more_requests_are_under_way_than_the_door_takes() -> None:
    ours, theirs = memory_stream_pair()
    calls = [put_device("u", f"d{i}", platform="none") for i in range(WINDOW + 1)]
    seen: list[int] = []

    async def serve() -> None:
        seen.extend([(await answering(theirs, [EMPTY * some])).count(b"PUT ") for some in (WINDOW, 1)])

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        assert len(await Doorway(ours, "k").send_all(calls)) == WINDOW + 1
    assert seen == [WINDOW, 1]


async def test_a_refusal_is_an_error_that_says_what_was_refused() -> None:
    ours, theirs = memory_stream_pair()
    refusal = b'HTTP/1.1 422 Unprocessable Entity\r\ncontent-length: 16\r\n\r\n{"title": "bad"}'
    async with trio.open_nursery() as nursery:
        nursery.start_soon(answering, theirs, [refusal])
        with pytest.raises(Unanswered, match="422"):
            await Doorway(ours, "k").send_all([Call("PUT", "/a", {})])


async def test_a_connection_that_ends_is_an_error() -> None:
    ours, theirs = memory_stream_pair()

    async def end() -> None:
        await answering(theirs, [b"HTTP/1.1 200 OK\r\n"])
        await theirs.aclose()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(end)
        with pytest.raises(Unanswered, match="closed"):
            await Doorway(ours, "k").send_all([Call("GET", "/a")])
