"""Sharing: what a relay needs beside its store to be one of several nodes."""

from __future__ import annotations

from dataclasses import dataclass

import trio

from relay.journal import Executor
from relay.neighbours import Post
from relay.store.port import SharedStore
from relay.tenure import Tenure


@dataclass(frozen=True, slots=True)
class Sharing:
    """`keeper`, `loader`, `reader`, `listener`: where the store is asked, each for one thing at a time."""

    store: SharedStore
    tenure: Tenure
    post: Post
    """How another node is asked."""
    door: trio.SocketListener | None
    """Where the others ask this one; None: they do not, in tests."""
    keeper: Executor
    loader: Executor
    reader: Executor
    listener: Executor
