"""Where a script plays: a relay with its users, whose wakeups go to a simulator.

Either everything is started for the purpose, the relay alone on core 0, the fast sink on core 1 beside the script; or
a relay that runs already gets the users for as long as it takes (running.py).
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

RELAY_CPU, OTHERS_CPU = 0, 1


@dataclass(frozen=True, slots=True)
class Scene:
    node: stage.Node
    tokens: stage.Tokens
    """Of the users, by number (`stage.user_id`)."""
    stamps: Path
    """What the sink notes; there only when it was asked to."""

    @property
    def is_ours(self) -> bool:
        """Everything was started for the purpose."""
        return self.node.pid is not None


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
) -> Iterator[Scene]:
    """A relay that knows users with so many phones each, and rest as `rest_end` says, where we may say so.

    `more`: what else its configuration holds, if it is ours.
    """
    tokens = stage.new_tokens(phones, random.Random(seed))
    if (node := running.node(options)) is not None:
        with running.registered(node, tokens):
            yield Scene(node, tokens, getattr(options, "stamps", None) or Path())
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        database, noted = folder / "bench.db", folder / "stamps"
        stage.fill(database, tokens, rest_end=rest_end)
        sink = ["--dead-every", str(dead_every), *(["--stamps", str(noted)] if stamps else [])]
        with (
            stage.sink(folder, *sink, cpu=OTHERS_CPU) as (port, ca),
            stage.node(folder, database, port, ca, cpu=RELAY_CPU, more=more) as node,
            pinned(),
        ):
            yield Scene(node, tokens, noted)


@contextlib.contextmanager
def pinned() -> Iterator[None]:
    """This process out of the relay's way."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {OTHERS_CPU})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
