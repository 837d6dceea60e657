"""In turn: what takes milliseconds to work out is worked out for one officer at a time.

Five hundred previews at once would else be one piece of work of a second and more, for the handlers of all of them are
ready in the same pass of the loop, and an alarm would wait for it. Whoever has the turn gives the loop up before and
after; so what happens meanwhile waits for one of them at most, and they wait for one another. Not for handlers that
wait for the store: who is slow there would keep the others from their turn.
"""

from __future__ import annotations

import trio

from relay.doors.http1 import Response
from relay.doors.port import Engine
from relay.doors.router import Call, Handle


class Turns:
    """Handlers that share one turn."""

    def __init__(self) -> None:
        self._turn = trio.Lock()

    def __call__(self, handle: Handle) -> Handle:
        async def waiting(call: Call, engine: Engine) -> Response:
            async with self._turn:
                response = await handle(call, engine)
                await trio.lowlevel.checkpoint()
                return response

        return waiting
