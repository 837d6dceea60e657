"""One at a time: whatever comes meanwhile waits for one handler, and not for all that were asked at once."""

from __future__ import annotations

from typing import cast

import pytest
import trio

from relay.doors.http1 import Response
from relay.doors.port import Engine
from relay.doors.router import Call
from relay.doors.turns import Turns

CALL = Call(None, (), b"", b"", {}, 0.0)
NOBODY = cast("Engine", None)
MANY = 30


async def test_in_each_pass_of_the_loop_one_of_them_runs() -> None:
    ran = 0

    async def handle(_call: Call, _engine: Engine) -> Response:
        nonlocal ran
        ran += 1
        return Response(204)

    in_turn = Turns()
    handlers = [in_turn(handle), in_turn(handle)]
    most = 0
    async with trio.open_nursery() as nursery:
        for number in range(MANY):
            nursery.start_soon(handlers[number % 2], CALL, NOBODY)
        while ran < MANY:
            before = ran
            await trio.lowlevel.checkpoint()
            most = max(most, ran - before)
    assert most == 1


async def test_who_fails_gives_the_turn_back() -> None:
    async def fail(_call: Call, _engine: Engine) -> Response:
        raise ZeroDivisionError

    async def answer(_call: Call, _engine: Engine) -> Response:
        return Response(204)

    in_turn = Turns()
    with pytest.raises(ZeroDivisionError):
        await in_turn(fail)(CALL, NOBODY)
    assert (await in_turn(answer)(CALL, NOBODY)).status == 204
