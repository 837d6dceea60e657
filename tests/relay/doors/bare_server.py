"""The HTTP server alone, around a handler that tells what it was asked."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trio

from relay.doors.http1 import Handler, Limits, Request, Response, Server
from relay.doors.problems import refusal
from tests.relay.doors.http_client import Client, MemoryListener

USUAL = Limits()


@dataclass(slots=True)
class Running:
    server: Server
    listener: MemoryListener
    stopped: trio.Event = field(default_factory=trio.Event)
    """Set when `Server.run` has returned."""

    def connect(self, *, lockstep: bool = False) -> Client:
        return self.listener.connect(lockstep=lockstep)


async def echo(request: Request) -> Response:
    """What arrived, as JSON."""
    await trio.lowlevel.checkpoint()
    told = {
        "method": request.method.decode(),
        "target": request.target.decode("latin-1"),
        "headers": {name.decode(): value.decode("latin-1") for name, value in request.headers.items()},
        "body": request.body.decode("latin-1"),
    }
    return Response(200, json.dumps(told).encode())


@asynccontextmanager
async def serving(handler: Handler = echo, limits: Limits = USUAL) -> AsyncIterator[Running]:
    """A server that listens in memory; cancelled at the end."""
    running = Running(Server(handler, refusal, limits), MemoryListener())

    async def run(task_status: trio.TaskStatus[None]) -> None:
        await running.server.run([running.listener], task_status=task_status)
        running.stopped.set()

    async with trio.open_nursery() as nursery:
        await nursery.start(run)
        yield running
        nursery.cancel_scope.cancel()
