"""Serving: what `feierabend serve` runs. A file has one process, a database as many nodes as one likes."""

from __future__ import annotations

from contextlib import closing

import trio

from relay.clock import Clock
from relay.cold_http import Asker
from relay.config import Address, Config
from relay.journal import in_thread
from relay.loading import Household
from relay.opening import open_database, open_file
from relay.service import Bound, Relay, Seams, name_of, opened
from relay.sharing import Sharing
from relay.store.port import SharedStore
from relay.tenure import Tenure


async def run(
    config: Config,
    clock: Clock,
    stop: trio.Event,
    *,
    seams: Seams | None = None,
    task_status: trio.TaskStatus[Bound] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Run a node on the store of its configuration until `stop` is set. Raises StoreError, CannotListen, OSError.

    StaleEpoch among them: another node has taken the database over.
    """
    seams = seams or Seams()
    if config.store.postgresql is not None:
        with closing(open_database(config.store.postgresql, config.store.masters.notary())) as database:
            await _share(config, database, clock, stop, seams, task_status=task_status)
        return
    with closing(open_file(config, clock.now())) as store:
        await Relay(config, store, clock, seams).run(stop, task_status=task_status)


async def _share(
    config: Config,
    store: SharedStore,
    clock: Clock,
    stop: trio.Event,
    seams: Seams,
    *,
    task_status: trio.TaskStatus[Bound],
) -> None:
    """One of the nodes on a database. Raises StaleEpoch when the others have buried it."""
    nodes = config.nodes
    assert nodes is not None
    doors = await opened(nodes.listen)
    household = Household(config.store.masters, config.tenants)
    epoch = household.fill(store.join(nodes.address or str(Address(*name_of(doors[0])))))
    tenure = Tenure(clock)
    async with Asker() as asker:
        sharing = Sharing(store, tenure, asker.post, doors, in_thread(), in_thread(), in_thread(), in_thread())
        relay = Relay(config, store, clock, seams, (household, epoch), tenure.holds, sharing)
        await relay.run(stop, task_status=task_status)
    store.leave()
