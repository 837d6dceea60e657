"""Where a script plays: a relay with its users, whose wakeups go to a simulator.

Either everything is started for the purpose, the relay alone on core 0, the fast sink on core 1 beside the script, and
PostgreSQL, where a script is told to use it, there too; or a relay that runs already gets the users for as long as it
takes (running.py).
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import running, stage
from bench.postgres import Cluster, cluster

RELAY_CPU, OTHERS_CPU = 0, 1
SQLITE, POSTGRES = STORES = ("sqlite", "postgres")


@dataclass(frozen=True, slots=True)
class Scene:
    node: stage.Node
    tokens: stage.Tokens
    """Of the users, by number (`stage.user_id`)."""
    stamps: Path
    """What the sink notes; there only when it was asked to."""
    server: Cluster | None = None
    """Where the relay's store is, if it is ours and PostgreSQL's."""

    @property
    def is_ours(self) -> bool:
        """Everything was started for the purpose."""
        return self.node.pid is not None


def add_store(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--store", choices=STORES, default=SQLITE, help="of a relay that is started for the purpose")


@contextlib.contextmanager
def scene(
    options: argparse.Namespace,
    phones: Sequence[int],
    seed: int,
    *,
    rest_end: stage.RestEnd = stage.nobody_rests,
    stamps: bool = False,
    dead_every: int = 1000,
    more: str = "",
    store: str = SQLITE,
) -> Iterator[Scene]:
    """A relay that knows users with so many phones each, and rest as `rest_end` says, where we may say so.

    `more`: what else its configuration holds, and `store` what keeps its memory, if it is ours.
    """
    tokens = stage.new_tokens(phones, random.Random(seed))
    if (node := running.node(options)) is not None:
        with running.registered(node, tokens):
            yield Scene(node, tokens, getattr(options, "stamps", None) or Path())
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        noted = folder / "stamps"
        sink = ["--dead-every", str(dead_every), *(["--stamps", str(noted)] if stamps else [])]
        with stored(folder, store) as (database, server):
            stage.fill(database, tokens, rest_end=rest_end)
            with (
                stage.sink(folder, *sink, cpu=OTHERS_CPU) as (port, ca),
                stage.node(folder, database, port, ca, cpu=RELAY_CPU, more=more) as node,
                pinned(),
            ):
                yield Scene(node, tokens, noted, server)


@contextlib.contextmanager
def stored(folder: Path, store: str) -> Iterator[tuple[stage.Place, Cluster | None]]:
    """Where a new store goes, and the server that was started for it: as durable as any (fsync), on the same disk."""
    if store == SQLITE:
        yield folder / "bench.db", None
        return
    with contextlib.ExitStack() as opened:
        with pinned():
            server = opened.enter_context(cluster("shared_buffers = 256MB"))
        yield server.create("bench"), server


@contextlib.contextmanager
def pinned() -> Iterator[None]:
    """This process out of the relay's way, and those that it starts."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {OTHERS_CPU})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
