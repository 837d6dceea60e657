"""What became of an alarm, through the whole relay: by door, lanes and provider, and over a restart."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import pytest
import trio

from relay import service, serving
from relay.client import Alarm, AsyncClient, Rejected, Taken
from relay.clock import WallClock
from relay.config import Address, Config, DoorConfig, KeyConfig
from relay.core.errors import NotFound
from relay.core.events import DAY, Accepted
from relay.doors.keys import Scope
from relay.service import PURGE_EVERY
from tests.relay.world import ENDLESS, SECRET, World, app, configuration, tenant, token_of, virtual, world


def totals(w: World, taken: Accepted) -> dict[str, int]:
    """What the engine tells, without what is zero."""
    assert taken.receipt is not None
    told = asdict(w.relay.engine.alarm(w.tenant, taken.receipt, w.now))
    return {name: value for name, value in told.items() if value}


@virtual
async def test_the_totals_of_an_alarm_follow_its_phones() -> None:
    """Anna's phone takes it, Bert's is in back-off since the alarm before, Carl has none, Dora's gives no answer."""
    async with world() as w:
        for user in ("anna", "bert", "dora"):
            await w.register(user)
        await w.rest("anna", ENDLESS)
        w.fake.injections.answers.append((429, "TooManyRequests"))
        earlier = await w.alarm("bert")
        await w.quiet()
        assert totals(w, earlier) == {"recipients": 1, "failing": 1}
        w.fake.injections.silent.add(token_of("dora"))
        taken = await w.alarm("anna", "bert", "carl", "dora")
        assert totals(w, taken) == {"recipients": 4, "no_device": 1, "failing": 1, "pending": 2}
        await w.pass_time(0.5)
        assert totals(w, taken) == {"recipients": 4, "handed_over": 1, "no_device": 1, "failing": 1, "pending": 1}
        await w.pass_time(300)
        assert totals(w, earlier) == {"recipients": 1, "handed_over": 1}
        assert totals(w, taken) == {"recipients": 4, "handed_over": 2, "no_device": 1, "failing": 1}
        w.fake.injections.silent.clear()
        await w.pass_time(3000)
        assert totals(w, taken) == {"recipients": 4, "handed_over": 3, "no_device": 1}


@virtual
async def test_what_nobody_took_within_the_deadline_has_failed() -> None:
    async with world() as w:
        await w.register("anna")
        await w.network.unplug()
        taken = await w.alarm("anna")
        await w.pass_time(3599)
        assert totals(w, taken) == {"recipients": 1, "pending": 1}
        await w.pass_time(2)
        assert totals(w, taken) == {"recipients": 1, "failing": 1}
        assert w.account == {"accepted": 1, "expired": 1}


@virtual
async def test_a_crash_forgets_no_totals_and_counts_nothing_twice() -> None:
    """Bert's verdict dies with the process: he is pending, is woken again, and counts once."""
    async with world() as w:
        for user in ("anna", "bert"):
            await w.register(user)
        taken = await w.alarm("anna", "carl")
        await w.pass_time(1)
        w.fake.injections.latency = lambda: 5.0
        later = await w.alarm("anna", "bert")
        await w.pass_time(1)
        await w.restart()
        assert totals(w, taken) == {"recipients": 2, "handed_over": 1, "no_device": 1}
        assert totals(w, later) == {"recipients": 2, "pending": 2}
        await w.pass_time(60)
        assert len(w.wakeups("bert")) == 2
        assert totals(w, taken) == {"recipients": 2, "handed_over": 1, "no_device": 1}
        assert totals(w, later) == {"recipients": 2, "handed_over": 2}


@virtual
async def test_receipts_are_forgotten_after_a_day_in_memory_and_in_the_store() -> None:
    async with world() as w:
        taken = await w.alarm("nobody")
        await w.pass_time(DAY - 1)
        assert totals(w, taken) == {"recipients": 1, "no_device": 1}
        await w.pass_time(1)
        with pytest.raises(NotFound):
            totals(w, taken)
        await w.pass_time(PURGE_EVERY + 1)
        assert w.relay.people.receipts == {}
        w.kill()
        await w.stopped.wait()
        assert w.store.load().receipts == {}


# --- a real file, real doors


def on_its_file(path: Path) -> Config:
    """A node whose provider cannot be reached, with a backend that may send alarms."""
    secret = hashlib.sha256(SECRET.encode()).digest()
    key = KeyConfig("backend", secret, frozenset({Scope.EVENTS, Scope.ALARMS, Scope.DEVICES}))
    nowhere = replace(app(), endpoint=Address("127.0.0.1", 1))
    config = configuration(replace(tenant(nowhere), keys=(key,)), grace=5.0)
    door = DoorConfig((Address("127.0.0.1", 0),), 100, 2**20)
    return replace(config, door=door, store=replace(config.store, path=path))


@asynccontextmanager
async def backend_of(config: Config) -> AsyncIterator[AsyncClient]:
    """A client of a running node; at the end the node is cut off, not drained."""
    async with AsyncExitStack() as stack:
        nursery = await stack.enter_async_context(trio.open_nursery())
        bound = await nursery.start(partial(_serve, config))
        host, port = bound.door[0]
        client = await stack.enter_async_context(AsyncClient(f"http://{host}:{port}", f"backend.{SECRET}"))
        yield client
        nursery.cancel_scope.cancel()


async def _serve(config: Config, *, task_status: trio.TaskStatus[service.Bound]) -> None:
    await serving.run(config, WallClock(), trio.Event(), task_status=task_status)


@pytest.mark.processes
async def test_a_receipt_outlives_the_process_and_so_does_the_202_that_gave_it(tmp_path: Path) -> None:
    config, taken = on_its_file(tmp_path / "node.db"), list[Taken]()
    with trio.fail_after(30):
        for run in range(2):
            async with backend_of(config) as relay:
                if not run:
                    await relay.put_device("anna", "phone", platform="apns", app="ios", token=token_of("anna"))
                taken.append(
                    await relay.wake(
                        ["anna", "nobody"], "alarm", role="dispatch", reason="incident", idempotency_key="one"
                    )
                )
                receipt = taken[0].receipt
                assert receipt is not None
                assert await relay.alarm(receipt) == Alarm(2, 0, 1, 0, 1)
                with pytest.raises(Rejected) as caught:
                    await relay.alarm("0" * 32)
                assert (caught.value.status, caught.value.type) == (404, "/problems/not-found")
    assert taken[0] == taken[1] == Taken(1, 1, receipt)
