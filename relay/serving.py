"""Serving: what `feierabend serve` runs. A file has one process; of a database one serves, and others stand by."""

from __future__ import annotations

from contextlib import closing

import trio

from relay import standing_by
from relay.clock import Clock
from relay.config import Config
from relay.opening import open_database, open_file
from relay.service import Bound, Relay, Seams


async def run(
    config: Config,
    clock: Clock,
    stop: trio.Event,
    *,
    seams: Seams | None = None,
    task_status: trio.TaskStatus[Bound] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Run a node on the store of its configuration until `stop` is set. Raises StoreError, OSError.

    StaleEpoch among them: another node has taken the database over.
    """
    seams = seams or Seams()
    if config.store.postgresql is not None:
        with closing(open_database(config.store.postgresql)) as database:
            await standing_by.run(config, database, clock, stop, seams, task_status=task_status)
        return
    with closing(open_file(config, clock.now())) as store:
        await Relay(config, store, clock, seams).run(stop, task_status=task_status)
