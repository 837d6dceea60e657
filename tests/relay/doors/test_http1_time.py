"""HTTP/1.1: limits on time and connections, draining, cancellation. A bad client costs one connection and no more."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from relay.doors.http1 import LINGER, TICK, Limits, Request, Response, Server
from relay.doors.parser import READ
from relay.doors.problems import refusal
from tests.relay.doors.bare_server import Running, echo, serving
from tests.relay.doors.http_client import Client, MemoryListener, request

LIMITS = Limits(head_seconds=10, body_seconds=30, idle_seconds=75, answer_seconds=40)
HEAD = b"POST / HTTP/1.1\r\nHost: relay\r\nContent-Length: 1000\r\n\r\n"


async def drip(client: Client, first: bytes, drop: bytes, every: float) -> None:
    """Send something, and then a little now and then, until the connection is gone."""
    await client.send(first)
    while True:
        await trio.sleep(every)
        try:
            await client.send(drop)
        except trio.BrokenResourceError:
            return


async def silent(_client: Client) -> None:
    await trio.lowlevel.checkpoint()


async def silent_after_an_answer(client: Client) -> None:
    await client.ask(request("GET", "/"))


async def empty_lines(client: Client) -> None:
    """No request, and so no reason to stay."""
    await drip(client, b"\r\n", b"\r\n", 20.0)


async def half_a_head(client: Client) -> None:
    await client.send(b"GET / HTTP/1.1\r\nHo")


async def slow_head(client: Client) -> None:
    await drip(client, b"GET / HTTP/1.1\r\nX: ", b"a", 1.0)


async def half_a_body(client: Client) -> None:
    await client.send(HEAD + b"x" * 500)


async def slow_body(client: Client) -> None:
    await drip(client, HEAD, b"x", 2.0)


async def slow_chunks(client: Client) -> None:
    await drip(client, b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n", 2.0)


async def late_body_after_a_head_in_two_pieces(client: Client) -> None:
    """The head has its ten seconds; the body's thirty begin when the head is there."""
    await client.send(HEAD[:20])
    await wait_all_tasks_blocked()
    await drip(client, HEAD[20:], b"x", 2.0)


async def late_second_head(client: Client) -> None:
    await client.ask(request("GET", "/"))
    await client.send(b"GET")


COSTS: dict[str, tuple[Callable[[Client], Awaitable[None]], float]] = {
    "silent": (silent, 75),
    "silent after an answer": (silent_after_an_answer, 75),
    "empty lines": (empty_lines, 75),
    "half a head": (half_a_head, 10),
    "slow head": (slow_head, 10),
    "half a body": (half_a_body, 30),
    "slow body": (slow_body, 30),
    "slow chunks": (slow_chunks, 30),
    "late body after a head in two pieces": (late_body_after_a_head_in_two_pieces, 30),
    "late second head": (late_second_head, 10),
}


async def serve_meanwhile(client: Client, spell: float) -> None:
    """Another client asks once a second and is answered at once, every time."""
    until = trio.current_time() + spell
    while trio.current_time() < until:
        asked_at = trio.current_time()
        assert (await client.ask(request("GET", "/other"))).status == 200
        assert trio.current_time() == asked_at
        await trio.sleep(1)


@pytest.mark.parametrize(("behave", "seconds"), COSTS.values(), ids=COSTS.keys())
async def test_a_slow_or_silent_client_loses_its_connection_in_time(
    behave: Callable[[Client], Awaitable[None]], seconds: float, autojump_clock: MockClock
) -> None:
    """At the promised second, which is looked at once a second; the others notice nothing."""
    async with serving(limits=LIMITS) as running, trio.open_nursery() as nursery:
        client = running.connect()
        nursery.start_soon(serve_meanwhile, running.connect(), seconds + 3)
        began = trio.current_time()
        nursery.start_soon(behave, client)
        await wait_all_tasks_blocked()
        await wait_for_end(client)
        assert seconds <= trio.current_time() - began <= seconds + TICK
        await wait_all_tasks_blocked()
        assert running.server.connections == 1


async def wait_for_end(client: Client) -> None:
    while await client.stream.receive_some() != b"":
        pass


async def test_a_request_late_in_an_idle_connection_has_the_whole_time_for_its_head(
    autojump_clock: MockClock,
) -> None:
    async with serving(limits=LIMITS) as running:
        client = running.connect()
        await trio.sleep(73.5)
        data = request("GET", "/late")
        await client.send(data[:10])
        await trio.sleep(8.5)
        await client.send(data[10:])
        answer = await client.answer()
        assert answer is not None
        assert answer.status == 200


async def test_a_client_that_does_not_read_its_answer_loses_its_connection_in_time(autojump_clock: MockClock) -> None:
    async with serving(limits=LIMITS) as running, trio.open_nursery() as nursery:
        client = running.connect(lockstep=True)
        nursery.start_soon(serve_meanwhile, running.connect(), 50)
        began = trio.current_time()
        await client.send(request("GET", "/"))
        await wait_all_tasks_blocked()
        while running.server.connections == 2:  # noqa: ASYNC110 (virtual time)
            await trio.sleep(0.5)
        assert 40 <= trio.current_time() - began <= 40 + TICK + 0.5


async def test_a_client_that_does_not_read_its_refusal_loses_its_connection_in_time(autojump_clock: MockClock) -> None:
    async with serving(limits=LIMITS) as running, trio.open_nursery() as nursery:
        client = running.connect(lockstep=True)
        nursery.start_soon(serve_meanwhile, running.connect(), 50)
        began = trio.current_time()
        await client.send(b"nonsense\r\n\r\n")
        await wait_all_tasks_blocked()
        while running.server.connections == 2:  # noqa: ASYNC110 (virtual time)
            await trio.sleep(0.5)
        assert trio.current_time() - began <= 40 + TICK + 0.5


async def test_a_client_that_stays_after_the_last_answer_is_left(autojump_clock: MockClock) -> None:
    async with serving(limits=LIMITS) as running:
        client = running.connect()
        began = trio.current_time()
        await client.ask(request("GET", "/", headers=[("Connection", "close")]))
        while running.server.connections:  # noqa: ASYNC110 (virtual time)
            await trio.sleep(0.25)
        assert trio.current_time() - began <= LINGER + 0.25


async def test_a_handler_may_take_its_time(autojump_clock: MockClock) -> None:
    """Only clients are hurried; a commit that takes minutes is still answered."""

    async def handler(request: Request) -> Response:
        await trio.sleep(1000)
        return await echo(request)

    async with serving(handler, LIMITS) as running:
        answer = await running.connect().ask(request("GET", "/"))
    assert answer.status == 200


async def test_a_client_that_leaves_before_its_answer_is_forgotten(autojump_clock: MockClock) -> None:
    async def handler(request: Request) -> Response:
        await trio.sleep(1)
        return await echo(request)

    async with serving(handler) as running:
        client = running.connect()
        await client.send(request("GET", "/") * 3)
        await wait_all_tasks_blocked()
        await trio.aclose_forcefully(client.stream)
        await trio.sleep(5)
        assert running.server.connections == 0


async def test_a_client_that_has_said_everything_is_still_answered(autojump_clock: MockClock) -> None:
    """It closes its side after the request, as a shell script does."""
    async with serving() as running:
        client = running.connect()
        await client.send(request("GET", "/1") + request("GET", "/2"))
        await client.stream.send_eof()
        assert [answer.json["target"] for answer in await client.rest()] == ["/1", "/2"]


async def test_beyond_the_connection_limit_the_answer_is_503(autojump_clock: MockClock) -> None:
    """With a word when to come back; who is connected notices nothing, and a place that is left is given again."""
    async with serving(limits=Limits(connections=2)) as running:
        first, second = running.connect(), running.connect()
        for client in (first, second):
            assert (await client.ask(request("GET", "/"))).status == 200
        third = running.connect()
        await third.send(request("GET", "/"))
        (answer,) = await third.rest()
        assert (answer.status, answer.header("connection")) == (503, "close")
        assert answer.json["type"] == "/problems/unavailable"
        assert int(answer.header("retry-after") or "0") >= 1
        assert (await first.ask(request("GET", "/"))).status == 200
        await second.aclose()
        await wait_all_tasks_blocked()
        assert (await running.connect().ask(request("GET", "/"))).status == 200


async def test_who_is_turned_away_and_does_not_read_costs_a_moment(autojump_clock: MockClock) -> None:
    async with serving(limits=Limits(connections=1)) as running:
        kept = running.connect()
        assert (await kept.ask(request("GET", "/"))).status == 200
        deaf = running.connect(lockstep=True)
        began = trio.current_time()
        await trio.sleep(LINGER + 0.5)
        with pytest.raises(trio.BrokenResourceError):
            await deaf.send(b"x")
        assert trio.current_time() - began <= LINGER + 0.5


async def test_only_so_many_are_turned_away_at_a_time(autojump_clock: MockClock) -> None:
    """Who opens connections faster than that is told nothing; a moment later there is room for another word."""
    async with serving(limits=Limits(connections=2)) as running:
        kept = [running.connect() for _ in range(2)]
        await wait_all_tasks_blocked()
        crowd = [running.connect() for _ in range(5)]
        await wait_all_tasks_blocked()
        told = [len(await client.rest()) for client in crowd]
        assert sorted(told) == [0, 0, 0, 1, 1]
        assert running.server.answered == {503: 2}
        await trio.sleep(LINGER + 0.1)
        assert [answer.status for answer in await running.connect().rest()] == [503]
        for client in kept:
            assert (await client.ask(request("GET", "/"))).status == 200


async def test_large_bodies_of_all_connections_together_are_bounded(autojump_clock: MockClock) -> None:
    """Whoever is beyond gets 503 and a word when to come back; small requests are taken, and what goes makes room."""
    large = request("POST", "/", b"x" * (3 * READ))
    async with serving(limits=Limits(bodies=4 * READ)) as running:
        first, second, third = (running.connect() for _ in range(3))
        for client in (first, second):
            await client.send(large[:-1])  # each keeps two reads beyond the first
            await wait_all_tasks_blocked()
        await third.send(large[:-1])
        [refused] = await third.rest()
        assert refused.status == 503
        assert int(refused.header("retry-after") or "0") >= 1
        small = running.connect()
        assert (await small.ask(request("POST", "/", b"x" * (READ // 2)))).status == 200
        await first.send(large[-1:])
        assert (await first.answer() or refused).status == 200
        assert (await running.connect().ask(large)).status == 200, "and an idle connection keeps nothing"
        assert (await small.ask(large)).status == 200
        await second.aclose()
        await wait_all_tasks_blocked()
        assert running.server._held == 0


async def test_answers_are_counted_by_status(autojump_clock: MockClock) -> None:
    async with serving() as running:
        client = running.connect()
        await client.ask(request("GET", "/"))
        await client.ask(request("GET", "/"))
        await client.ask(b"nonsense\r\n\r\n")
        assert running.server.answered == {200: 2, 400: 1}


# --- draining


def stopped(running: Running) -> bool:
    return running.stopped.is_set()


async def test_draining_ends_idle_connections_and_answers_running_requests(autojump_clock: MockClock) -> None:
    """`run` returns when the last of them is answered, and not before."""
    release = trio.Event()

    async def handler(request: Request) -> Response:
        await release.wait()
        return await echo(request)

    async with serving(handler) as running:
        idle, fresh, busy = running.connect(), running.connect(), running.connect()
        await busy.send(request("GET", "/1") + request("GET", "/2"))
        await wait_all_tasks_blocked()
        running.server.drain()
        assert await idle.ended()
        assert await fresh.ended()
        with pytest.raises(trio.BrokenResourceError):
            running.connect()
        await trio.sleep(30)
        assert not stopped(running)
        release.set()
        (answer,) = await busy.rest()
        assert (answer.json["target"], answer.header("connection")) == ("/1", "close")
        await busy.aclose()
        await running.stopped.wait()
        assert running.server.connections == 0


@pytest.mark.parametrize("cut", [10, len(HEAD), len(HEAD) + 500])
async def test_a_request_that_is_arriving_when_draining_begins_is_answered(cut: int, autojump_clock: MockClock) -> None:
    data = HEAD + b"x" * 1000
    async with serving() as running:
        client = running.connect()
        await client.send(data[:cut])
        await wait_all_tasks_blocked()
        running.server.drain()
        for piece in (data[cut : cut + 300], data[cut + 300 :]):
            await trio.sleep(2)
            await client.send(piece)
        (answer,) = await client.rest()
        assert (answer.status, answer.header("connection")) == (200, "close")
        await client.aclose()
        await running.stopped.wait()


async def test_draining_does_not_wait_for_a_silent_client_longer_than_its_limit(autojump_clock: MockClock) -> None:
    async with serving(limits=LIMITS) as running:
        client = running.connect()
        await client.send(HEAD)
        await wait_all_tasks_blocked()
        began = trio.current_time()
        running.server.drain()
        await running.stopped.wait()
        assert trio.current_time() - began <= LIMITS.body_seconds + TICK


async def test_draining_an_unused_server_returns_at_once(autojump_clock: MockClock) -> None:
    async with serving() as running:
        began = trio.current_time()
        running.server.drain()
        await running.stopped.wait()
        assert trio.current_time() == began


async def test_a_connection_that_arrives_as_draining_begins_is_ended(autojump_clock: MockClock) -> None:
    """It is accepted, but nobody has looked at it yet."""

    class DrainingListener(MemoryListener):
        async def accept(self) -> trio.abc.Stream:
            stream = await super().accept()
            server.drain()
            return stream

    listener, server = DrainingListener(), Server(echo, refusal, LIMITS)
    async with trio.open_nursery() as nursery:
        await nursery.start(server.run, [listener])
        began = trio.current_time()
        client = listener.connect()
        assert await client.ended()
    assert trio.current_time() == began


async def test_cancellation_leaves_nothing(autojump_clock: MockClock) -> None:
    """Whatever the connections are doing: idle, sending a head, waiting for a handler, not reading an answer."""

    async def handler(request: Request) -> Response:
        if request.target == b"/wait":
            await trio.sleep_forever()
        return await echo(request)

    async with trio.open_nursery() as nursery, serving(handler) as running:
        idle, starting, waiting, deaf = (running.connect(lockstep=True) for _ in range(4))
        nursery.start_soon(starting.send, b"GET /")
        nursery.start_soon(waiting.send, request("GET", "/wait"))
        nursery.start_soon(deaf.send, request("GET", "/"))
        await wait_all_tasks_blocked()
        assert running.server.connections == 4
    assert running.server.connections == 0
    for client in (idle, starting, waiting):
        assert await client.ended()
    with pytest.raises(trio.BrokenResourceError):
        running.connect()
    with pytest.raises(trio.BrokenResourceError):
        await deaf.send(b"x")


async def test_an_empty_door_sleeps(autojump_clock: MockClock) -> None:
    """Nobody is connected, so nothing is due; not even after somebody was."""
    async with serving(echo, LIMITS) as running:
        await wait_all_tasks_blocked()
        assert trio.lowlevel.current_statistics().seconds_to_next_deadline == float("inf")
        client = running.listener.connect()
        await client.ask(request("GET", "/"))
        await client.aclose()
        await trio.sleep(TICK + LINGER)
        await wait_all_tasks_blocked()
        assert trio.lowlevel.current_statistics().seconds_to_next_deadline == float("inf")
