"""Several nodes of one installation on one database, each with its own doors; and the database as a server of ours."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.ports import free_port
from tests.e2e.client import Client, client
from tests.e2e.installation import Installation
from tests.e2e.processes import Child, running


@dataclass(frozen=True, slots=True)
class Node:
    """One of them: its configuration is the installation's, with its own addresses."""

    installation: Installation
    name: str
    door: int
    ops: int
    nodes: int

    @property
    def config(self) -> Path:
        return self.installation.folder / f"{self.name}.toml"

    def starting(self) -> AbstractAsyncContextManager[Child]:
        return running("serve", "--config", self.config)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Child]:
        async with self.starting() as child:
            await child.line("relay_started")
            yield child

    def backend(self) -> AbstractAsyncContextManager[Client]:
        return client(self.door, self.installation.backend)

    def settings(self) -> AbstractAsyncContextManager[Client]:
        return client(self.door, self.installation.settings)


def node(installation: Installation, name: str, url: str) -> Node:
    """Write the configuration of one more node, after the installation's own was written."""
    made = Node(installation, name, free_port(), free_port(), free_port())
    text = installation.config.read_text()
    for before, after in (
        ('path = "relay.db"', f'postgresql = "{url}"'),
        (f'listen = ["127.0.0.1:{installation.door}"]', f'listen = ["127.0.0.1:{made.door}"]'),
        (f'listen = ["127.0.0.1:{installation.ops}"]', f'listen = ["127.0.0.1:{made.ops}"]\nsocket = "{name}.sock"'),
        ("[shutdown]", f'[nodes]\nlisten = "127.0.0.1:{made.nodes}"\n[shutdown]'),
    ):
        assert text.count(before) == 1, before
        text = text.replace(before, after)
    made.config.write_text(text)
    return made
