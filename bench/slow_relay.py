"""The relay on a slow disk: `feierabend serve`, but for commits that take so many milliseconds longer.

The delay is slept in the store's thread, after the commit and before anybody hears of it, as a slow fsync would be.

    python -m bench.slow_relay --config relay.toml --fsync-ms 50
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import trio

from relay import process
from relay.clock import WallClock
from relay.config_file import read
from relay.core.batch import Batch
from relay.ops import logs
from relay.service import Relay
from relay.store.sqlite import SqliteStore


class SlowStore(SqliteStore):
    """The store itself; its commits return late."""

    def __init__(self, path: Path, seconds: float) -> None:
        super().__init__(path)
        self._seconds = seconds

    def commit(self, batch: Batch) -> None:
        super().commit(batch)
        time.sleep(self._seconds)


async def serve(config_path: Path, seconds: float) -> None:
    config, clock, stop = read(config_path), WallClock(), trio.Event()
    store = SlowStore(config.store.file, seconds)
    async with trio.open_nursery() as signals:
        await signals.start(process.watch_signals, stop)
        async with trio.open_nursery() as relay:
            await relay.start(Relay(config, store, clock).run, stop)
            process.settle()
        signals.cancel_scope.cancel()
    store.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--fsync-ms", type=float, default=50.0)
    options = parser.parse_args()
    logs.configure(WallClock().now)
    process.prepare()
    trio.run(serve, options.config, options.fsync_ms / 1000)


if __name__ == "__main__":
    main()
