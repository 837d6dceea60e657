"""HTTP/1.1: the grammar, the framing, and the limits on bytes. Limits on time are in test_http1_time.py."""

from __future__ import annotations

import random
from collections.abc import Callable

import h11
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from relay.doors.http1 import Limits, Request, Response
from relay.doors.parser import READ
from tests.relay.doors.bare_server import USUAL, echo, serving
from tests.relay.doors.http_client import Answer, chunked, request
from tests.relay.doors.requests import BROKEN, ENDS, POST, REQUESTS, UPGRADE, cuts_of, head_of


async def answers_to(data: bytes, limits: Limits = USUAL) -> list[Answer]:
    """Everything a server says to these bytes, until it ends the connection or waits for more."""
    async with serving(limits=limits) as running:
        client = running.connect()
        await client.send(data)
        await client.stream.send_eof()
        return await client.rest()


# --- requests that are answered


async def test_a_request_arrives_whole(autojump_clock: MockClock) -> None:
    (answer,) = await answers_to(request("POST", "/v1/events?x=1", b"{}", [("Content-Type", "a/b"), ("X", "1")]))
    assert answer.json == {
        "method": "POST",
        "target": "/v1/events?x=1",
        "headers": {"host": "relay", "content-type": "a/b", "x": "1", "content-length": "2"},
        "body": "{}",
    }
    assert answer.header("connection") is None


async def test_repeated_fields_are_joined_in_order(autojump_clock: MockClock) -> None:
    (answer,) = await answers_to(request("GET", "/", headers=[("If-None-Match", '"1"'), ("if-none-match", '"2"')]))
    assert answer.json["headers"]["if-none-match"] == '"1", "2"'


@pytest.mark.parametrize("name", ["Authorization", "Content-Type", "Idempotency-Key", "Host"])
async def test_a_field_that_decides_may_not_stand_twice(name: str, autojump_clock: MockClock) -> None:
    """Two credentials or two hosts: a proxy in front may have looked at the other one."""
    head = f"GET / HTTP/1.1\r\nHost: a\r\n{name}: x\r\n{name.lower()}: x\r\n\r\n"
    (answer,) = await answers_to(head.encode())
    assert (answer.status, answer.header("connection")) == (400, "close")


async def test_a_chunked_body_is_put_together_and_its_trailers_are_dropped(autojump_clock: MockClock) -> None:
    """A trailer comes after the checks of a proxy; it may not bring credentials."""
    whole = chunked("POST", "/", [b"ab", b"c" * 300, b"d"])
    with_trailer = whole[:-2] + b"Authorization: Bearer x.y\r\nContent-Type: text/plain\r\n\r\n"
    for data in (whole, with_trailer):
        (answer,) = await answers_to(data)
        assert answer.json["body"] == "ab" + "c" * 300 + "d"
        assert answer.json["headers"] == {"host": "relay", "transfer-encoding": "chunked"}


async def test_trailers_after_a_large_body_do_not_count_as_its_head(autojump_clock: MockClock) -> None:
    data = chunked("POST", "/", [b"x" * 20_000])[:-2] + b"Checksum: 1\r\n\r\n"
    (answer,) = await answers_to(data)
    assert (answer.status, len(answer.json["body"])) == (200, 20_000)


async def test_chunk_extensions_are_ignored(autojump_clock: MockClock) -> None:
    (answer,) = await answers_to(POST + b'Transfer-Encoding: chunked\r\n\r\n2;a=b;c="d"\r\n{}\r\n0;e\r\n\r\n')
    assert answer.json["body"] == "{}"


async def test_empty_lines_before_a_request_are_ignored(autojump_clock: MockClock) -> None:
    (answer,) = await answers_to(b"\r\n\r\n" + request("GET", "/a"))
    assert answer.json["target"] == "/a"


async def test_the_answer_to_head_has_a_length_and_no_body(autojump_clock: MockClock) -> None:
    async with serving() as running:
        client = running.connect()
        head = await client.ask(request("HEAD", "/"))
        get = await client.ask(request("GET", "/"))
    assert (head.status, head.body) == (200, b"")
    assert head.header("content-length") == str(len(get.body) + len("HEAD") - len("GET"))


@pytest.mark.parametrize("status", [204, 304])
async def test_an_answer_that_cannot_have_a_body_has_none(status: int, autojump_clock: MockClock) -> None:
    """Neither length nor type: a length in a 204 is an error, and the next answer would be read as its body."""

    async def handler(_request: Request) -> Response:
        return Response(status, b"ignored", headers=((b"etag", b'"7"'),))

    async with serving(handler) as running:
        client = running.connect()
        for _ in range(2):
            answer = await client.ask(request("DELETE", "/"))
            assert answer == Answer(status, (("etag", '"7"'),), b"")


@pytest.mark.parametrize("connection", ["keep-alive", None, "Keep-Alive, x"])
async def test_a_connection_is_kept(connection: str | None, autojump_clock: MockClock) -> None:
    fields = [("Connection", connection)] if connection else []
    async with serving() as running:
        client = running.connect()
        for index in range(3):
            answer = await client.ask(request("GET", f"/{index}", headers=fields))
            assert answer.json["target"] == f"/{index}"
            assert answer.header("connection") is None
        assert running.server.connections == 1


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Close, keep-alive\r\n\r\n",
        b"GET / HTTP/1.0\r\n\r\n",
        b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    ],
)
async def test_a_connection_ends_after_the_answer(head: bytes, autojump_clock: MockClock) -> None:
    """Where the client says so, and with HTTP/1.0 always; what was pipelined behind is not answered."""
    answers = await answers_to(head + request("GET", "/second"))
    assert [(answer.status, answer.header("connection")) for answer in answers] == [(200, "close")]


async def test_expect_continue_is_answered_before_the_body_is_sent(autojump_clock: MockClock) -> None:
    async with serving() as running:
        client = running.connect()
        data = request("POST", "/", b"body", [("Expect", "100-Continue")])
        head, _, body = data.partition(b"\r\n\r\n")
        await client.send(head + b"\r\n\r\n")
        assert await client.answer() == Answer(100, (), b"")
        await client.send(body)
        answer = await client.answer()
        assert answer is not None
        assert answer.json["body"] == "body"


async def test_expect_continue_says_nothing_when_the_body_is_there(autojump_clock: MockClock) -> None:
    answers = await answers_to(request("POST", "/", b"body", [("Expect", "100-continue")]))
    assert [answer.status for answer in answers] == [200]


async def test_expect_continue_of_a_pipelined_request_waits_for_the_answers_before_it(
    autojump_clock: MockClock,
) -> None:
    async with serving() as running:
        client = running.connect()
        second = request("POST", "/2", b"body", [("Expect", "100-continue")])
        await client.send(request("GET", "/1") + second[:-4])
        statuses = [answer.status for answer in (await client.answer(), await client.answer()) if answer]
        await client.send(second[-4:])
        last = await client.answer()
    assert statuses == [200, 100]
    assert last is not None
    assert last.status == 200


async def test_a_client_of_http_1_0_is_never_asked_to_continue(autojump_clock: MockClock) -> None:
    async with serving() as running:
        client = running.connect()
        await client.send(b"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n")
        await wait_all_tasks_blocked()
        await client.send(b"x")
        assert [answer.status for answer in await client.rest()] == [200]


@pytest.mark.parametrize("body", [b"", b"{}"])
async def test_an_offered_upgrade_is_declined_and_the_request_answered(body: bytes, autojump_clock: MockClock) -> None:
    """Java's HTTP client offers h2c on the first request of every connection, with the body behind it."""
    fields = [("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", "h2c"), ("HTTP2-Settings", "AAMAAABkAAQ")]
    data = request("POST", "/1", body, fields) + request("POST", "/2", b"two", fields) + request("GET", "/3")
    answers = await answers_to(data)
    assert [(a.status, a.json["target"], a.json["body"]) for a in answers] == [
        (200, "/1", body.decode()),
        (200, "/2", "two"),
        (200, "/3", ""),
    ]


async def test_the_body_behind_an_upgrade_is_never_read_as_a_request(autojump_clock: MockClock) -> None:
    inner = request("DELETE", "/smuggled")
    fields = [("Connection", "upgrade"), ("Upgrade", "websocket")]
    answers = await answers_to(request("POST", "/", inner, fields))
    assert [answer.json["method"] for answer in answers] == ["POST"]
    assert answers[0].json["body"].encode() == inner


# --- requests that are refused, and end the connection


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN.keys())
async def test_what_is_broken_is_answered_400_and_ends_the_connection(data: bytes, autojump_clock: MockClock) -> None:
    """Nobody can know where the next request would begin: the one that stands behind is not answered."""
    asked: list[bytes] = []

    async def handler(request: Request) -> Response:
        asked.append(request.target)
        return await echo(request)

    async with serving(handler) as running:
        client = running.connect()
        await client.send(request("GET", "/before") + data + request("GET", "/smuggled"))
        answers = await client.rest()
    assert [(answer.status, answer.header("connection")) for answer in answers] == [(200, None), (400, "close")]
    assert answers[1].header("content-type") == "application/problem+json"
    assert answers[1].json["type"] == "/problems/malformed"
    assert asked == [b"/before"]


# --- limits on bytes


async def test_a_head_may_be_as_large_as_the_limit(autojump_clock: MockClock) -> None:
    limits = Limits(head=1000)
    (fits,) = await answers_to(head_of(1000), limits)
    (large,) = await answers_to(head_of(1001), limits)
    assert (fits.status, large.status) == (200, 431)
    assert large.header("connection") == "close"


LARGE_HEADS: dict[str, bytes] = {
    "one large field": b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 20_000 + b"\r\n\r\n",
    "a field without end": b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 20_000,
    "a name without end": b"GET / HTTP/1.1\r\nHost: a\r\n" + b"a" * 20_000,
    "many fields": b"GET / HTTP/1.1\r\nHost: a\r\n" + b"a:b\r\n" * 4_000 + b"\r\n",
    "many empty fields of one name": b"GET / HTTP/1.1\r\nHost: a\r\n" + b"a:\r\n" * 4_000 + b"\r\n",
    "a large target": b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    "a target without end": b"GET /" + b"a" * 20_000,
    "a name of nothing but line ends": b"\r\n" * 10_000,
    "large fields that are joined": b"GET / HTTP/1.1\r\nHost: a\r\n" + (b"x: " + b"a" * 1_000 + b"\r\n") * 20,
}


@pytest.mark.parametrize("data", LARGE_HEADS.values(), ids=LARGE_HEADS.keys())
@pytest.mark.parametrize("piece", [100_000, 1_000, 7])
async def test_a_head_that_is_too_large_is_answered_431(data: bytes, piece: int, autojump_clock: MockClock) -> None:
    """However it comes in, also while it is not complete: nobody's head is kept beyond the limit."""
    async with serving() as running:
        client = running.connect()
        async with trio.open_nursery() as nursery:

            async def send() -> None:
                for start in range(0, len(data), piece):
                    await client.send(data[start : start + piece])

            nursery.start_soon(send)
            answer = await client.answer()
            nursery.cancel_scope.cancel()
    assert answer is not None
    assert (answer.status, answer.header("connection")) == (431, "close")
    assert answer.json["type"] == "/problems/head-too-large"


async def test_a_head_that_begins_at_the_end_of_a_long_read_is_not_too_large(autojump_clock: MockClock) -> None:
    """The bytes of the request before it are not its own."""
    first = request("POST", "/1", b"x" * (READ - 150))
    second = request("GET", "/2", headers=[("X", "a" * 300)])
    assert len(first) < READ < len(first + second)
    answers = await answers_to(first + second)
    assert [(answer.status, answer.json["target"]) for answer in answers] == [(200, "/1"), (200, "/2")]


@pytest.mark.parametrize("end", [b"5;" + b"x" * 200_000, b"0\r\n" + b"x: " + b"y" * 200_000])
async def test_a_chunk_size_or_trailer_without_end_is_answered_431(end: bytes, autojump_clock: MockClock) -> None:
    """The parser keeps what it has not told of; it may not keep that without limit."""
    (answer,) = await answers_to(POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n" + end)
    assert answer.status == 431


@pytest.mark.parametrize("form", [request, lambda m, t, body: chunked(m, t, [body[:10], body[10:]])])
async def test_a_body_may_be_as_large_as_the_limit(
    form: Callable[[str, str, bytes], bytes], autojump_clock: MockClock
) -> None:
    limits = Limits(body=1000)
    (fits,) = await answers_to(form("POST", "/", b"x" * 1000), limits)
    (large,) = await answers_to(form("POST", "/", b"x" * 1001), limits)
    assert (fits.status, large.status) == (200, 413)
    assert large.header("connection") == "close"
    assert large.json["type"] == "/problems/too-large"


async def test_a_declared_length_that_is_too_large_is_refused_before_the_body_comes(
    autojump_clock: MockClock,
) -> None:
    """Also with Expect: the client asked whether it should send."""
    async with serving() as running:
        client = running.connect()
        await client.send(POST + b"Expect: 100-continue\r\nContent-Length: 4194305\r\n\r\n")
        answer = await client.answer()
        assert answer is not None
        assert answer.status == 413


async def test_the_client_is_heard_out_for_a_moment_after_the_last_answer(autojump_clock: MockClock) -> None:
    """Closing while bytes arrive would reset the connection, and the client might never read why."""
    async with serving() as running:
        client = running.connect()
        await client.send(POST + b"Content-Length: 4194305\r\n\r\n")
        answer = await client.answer()
        assert answer is not None
        assert answer.status == 413
        assert await client.ended()
        began = trio.current_time()
        for _ in range(50):
            await client.send(b"x" * 1000)
            await wait_all_tasks_blocked()
        assert trio.current_time() == began
        await client.aclose()
        await wait_all_tasks_blocked()
        assert running.server.connections == 0


# --- pipelining


async def test_pipelined_requests_are_answered_in_order_one_after_the_other(autojump_clock: MockClock) -> None:
    running_now = 0

    async def handler(request: Request) -> Response:
        nonlocal running_now
        running_now += 1
        assert running_now == 1
        await trio.sleep(10 - int(request.target[1:]))
        running_now -= 1
        return await echo(request)

    async with serving(handler) as running:
        client = running.connect()
        await client.send(b"".join(request("GET", f"/{index}") for index in range(10)))
        targets = [answer.json["target"] for _ in range(10) if (answer := await client.answer())]
    assert targets == [f"/{index}" for index in range(10)]


async def test_more_requests_than_may_wait_are_answered_429_after_those_that_may(autojump_clock: MockClock) -> None:
    data = b"".join(request("GET", f"/{index}") for index in range(9))
    answers = await answers_to(data, Limits(pipelined=5))
    assert [answer.status for answer in answers] == [200] * 5 + [429]
    assert int(answers[-1].header("retry-after") or "0") >= 1
    assert answers[-1].header("connection") == "close"


async def test_a_client_that_pipelines_without_reading_makes_no_work(autojump_clock: MockClock) -> None:
    """Requests are read when the answers before them have been taken."""
    asked = 0

    async def handler(request: Request) -> Response:
        nonlocal asked
        asked += 1
        return await echo(request)

    async with serving(handler) as running:
        client = running.connect(lockstep=True)
        async with trio.open_nursery() as nursery:

            async def send() -> None:
                for _ in range(100):
                    await client.send(request("GET", "/"))

            nursery.start_soon(send)
            await wait_all_tasks_blocked()
            assert asked == 1
            nursery.cancel_scope.cancel()


def said(pieces: list[bytes], limits: Limits) -> list[Answer]:
    """Everything a server answers to a stream that arrives in these pieces."""

    async def main() -> list[Answer]:
        async with serving(limits=limits) as running:
            client = running.connect()
            for piece in pieces:
                await client.send(piece)
                await wait_all_tasks_blocked()
            await client.stream.send_eof()
            return await client.rest()

    return trio.run(main, clock=MockClock(autojump_threshold=0))


@given(st.lists(REQUESTS, max_size=5), ENDS, st.data())
@settings(max_examples=40)
def test_how_a_stream_is_cut_into_pieces_changes_no_answer(
    requests: list[bytes], last: bytes, data: st.DataObject
) -> None:
    stream = b"".join(requests) + last
    pieces = data.draw(cuts_of(stream))
    limits = Limits(head=500, body=100)
    whole = said([stream] if stream else [], limits)
    assert said(pieces, limits) == whole
    assert len(whole) == len(requests) + bool(last)


def test_byte_by_byte_is_the_same_as_at_once() -> None:
    stream = request("POST", "/1", b"one", UPGRADE) + chunked("POST", "/2", [b"two", b"2"]) + request("GET", "/3")
    assert said([stream[i : i + 1] for i in range(len(stream))], USUAL) == said([stream], USUAL)


# --- whatever comes

WORDS = st.sampled_from(
    [
        b"GET", b"POST", b"HEAD", b"CONNECT", b" ", b"/", b"/v1/events", b"HTTP/1.1", b"HTTP/1.0", b"\r\n", b"\n",
        b"\r", b":", b"Host: a\r\n", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"\x00", b"\xff",
        b"Connection: close\r\n", b"Connection: upgrade\r\nUpgrade: x\r\n", b"Expect: 100-continue\r\n", b"ffffffff",
        b"\r\n\r\n", b"5\r\nhello\r\n", b"0\r\n\r\n", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"x" * 600,
        b"POST / HTTP/1.1\r\nHost: a\r\n",
    ]
)  # fmt: skip
NOISE = st.one_of(st.binary(max_size=300), st.lists(st.one_of(WORDS, st.binary(max_size=3)), max_size=12).map(b"".join))


@given(st.lists(NOISE, min_size=1, max_size=6))
@settings(max_examples=100)
def test_no_bytes_bring_the_server_down(pieces: list[bytes]) -> None:
    """Every connection ends, after answers of ours only, and the next client is served."""

    async def main() -> None:
        async with serving(limits=Limits(head=500, body=100)) as running:
            client = running.connect()
            for piece in pieces:
                try:
                    await client.send(piece)
                except trio.BrokenResourceError:
                    break
                await wait_all_tasks_blocked()
            await client.stream.send_eof()
            answers = await client.rest()
            assert {answer.status for answer in answers} <= {100, 200, 400, 413, 429, 431}
            refused = [index for index, answer in enumerate(answers) if answer.status >= 400]
            assert refused in ([], [len(answers) - 1])
            await client.aclose()
            await wait_all_tasks_blocked()
            assert running.server.connections == 0
            assert (await running.connect().ask(request("GET", "/next"))).json["target"] == "/next"

    trio.run(main, clock=MockClock(autojump_threshold=0))


@given(st.binary(min_size=1, max_size=200), st.integers(0, 2**32))
@settings(max_examples=25)
def test_an_independent_parser_reads_every_answer(body: bytes, seed: int) -> None:
    """h11 is strict about what a server may send."""
    statuses = random.Random(seed).choices([200, 201, 202, 204, 304, 404, 412, 422, 429, 500, 503], k=4)

    async def handler(request: Request) -> Response:
        return Response(int(request.target[1:]), body, headers=((b"etag", b'"1"'),))

    async def main() -> None:
        async with serving(handler) as running:
            client, peer = running.connect(), h11.Connection(h11.CLIENT)
            for status in statuses:
                asked = h11.Request(method="GET", target=f"/{status}", headers=[("Host", "relay")])
                await client.send((peer.send(asked) or b"") + (peer.send(h11.EndOfMessage()) or b""))
                peer.receive_data(bytes(await client.stream.receive_some()))
                head = peer.next_event()
                assert isinstance(head, h11.Response)
                assert head.status_code == status
                received = b""
                while isinstance(event := peer.next_event(), h11.Data):
                    received += event.data
                assert isinstance(event, h11.EndOfMessage)
                assert received == (b"" if status in (204, 304) else body)
                peer.start_next_cycle()

    trio.run(main, clock=MockClock(autojump_threshold=0))
