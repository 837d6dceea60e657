"""Nodes that share a database: one serves, the others stand by, and one of them goes on when it ends.

A node that stands by has no doors but its ops port, where a load balancer finds that it is not ready. It asks twice a
second whether the database is held. It takes over when the one that serves leaves (at once), dies or is cut off (when
its lease is over), reads everything, opens its doors, and renews the lease from then on. So nothing that was
acknowledged is lost, and for some seconds nobody answers: the client asks again, as it does at any restart.

Rejected: taking over whenever one starts (two that are restarted by their supervisors would take turns for ever).
"""

from __future__ import annotations

from functools import partial
from typing import Final

import structlog
import trio

from relay.clock import Clock
from relay.config import Config
from relay.journal import in_thread
from relay.ops import waiting_door
from relay.service import Bound, Relay, Seams, fill, listen
from relay.store.port import SharedStore, StoreError
from relay.tenure import Asked, Tenure

ASK_EVERY: Final = 0.5
"""Seconds."""

log = structlog.get_logger()


async def run(
    config: Config,
    store: SharedStore,
    clock: Clock,
    stop: trio.Event,
    seams: Seams,
    *,
    task_status: trio.TaskStatus[Bound] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Wait for the turn of this node, then serve until `stop` is set. Raises StaleEpoch when its turn was ended."""
    ask = seams.executor or in_thread()
    if not await _enter(store, ask) and not await _stand_by(config, store, ask, stop):
        task_status.started(Bound((), ()))
        return
    tenure = Tenure(clock)
    filled = []
    async with trio.open_nursery() as keeping:
        await keeping.start(partial(tenure.keep, store.renew, seams.executor or in_thread()))
        await ask(lambda: filled.append(fill(config, store)))  # in a thread: meanwhile the lease is renewed
        relay = Relay(config, store, clock, seams, filled[0], tenure.holds)
        tenure.goes_on = relay.pool.nudge
        await relay.run(stop, task_status=task_status)
        keeping.cancel_scope.cancel()
    await ask(store.leave)


async def _enter(store: SharedStore, ask: Asked) -> bool:
    entered: list[bool] = []
    await ask(lambda: entered.append(store.enter()))
    return entered[0]


async def _stand_by(config: Config, store: SharedStore, ask: Asked, stop: trio.Event) -> bool:
    """Until it is our turn; False: `stop` was set before."""
    is_ours = False
    async with trio.open_nursery() as nursery:
        await listen(nursery, waiting_door.server(), config.ops)
        log.info("standing_by")
        while not (stop.is_set() or is_ours):
            with trio.move_on_after(ASK_EVERY):
                await stop.wait()
                break
            try:
                is_ours = await _enter(store, ask)
            except StoreError:
                continue  # nobody can serve while the database is away
        nursery.cancel_scope.cancel()
    if is_ours:
        log.warning("taking_over")
    return is_ours
