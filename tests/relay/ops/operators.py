"""The ops port of a relay in memory."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.client import Answer, Client, client
from tests.e2e.in_memory import MemoryListener
from tests.relay.world import World

Samples = dict[tuple[str, ...], float]
"""(name, label values…) → value"""


def samples(text: bytes) -> Samples:
    """Every sample of an exposition; a series that is told twice is a fault."""
    told = [sample for family in text_string_to_metric_families(text.decode()) for sample in family.samples]
    found = {(sample.name, *sample.labels.values()): sample.value for sample in told}
    assert len(found) == len(told), "a series is told twice"
    return found


class Operator:
    """Asks the ops port, each time on a new connection."""

    def __init__(self, asking: Client) -> None:
        self._asking = asking

    async def ask(self, path: str, method: str = "GET", body: bytes | None = None) -> Answer:
        await self.hang_up()
        return await self._asking.ask(method, path, body)

    async def hang_up(self) -> None:
        await self._asking.aclose()

    async def ready(self) -> tuple[int, Any]:
        answer = await self.ask("/readyz")
        return answer.status, json.loads(answer.body)

    async def metrics(self) -> Samples:
        return samples((await self.ask("/metrics")).body)


@asynccontextmanager
async def operator_of(world: World) -> AsyncIterator[Operator]:
    listener = MemoryListener()
    await world.nursery.start(partial(world.relay.ops.server.run, [listener]))
    async with client(listener.connect) as asking:
        yield Operator(asking)
