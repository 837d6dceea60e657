"""The stage of the demo: throw-away keys, a configuration, and the relay, between the simulators of ../stage.py.

Everything but Apple, Google and the passing of time is real: HTTP doors, the SQLite file, TLS, HTTP/2, OAuth. All of it
lives in one process and one trio loop, so that the driver can tell when nothing is under way (`Backstage.is_quiet`).
"""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import Final

import trio

from relay.client import AsyncClient
from relay.clock import Clock
from relay.cold_http import form_poster
from relay.config import FcmAppConfig
from relay.config_file import read
from relay.core.books import Account
from relay.doors.keys import new_key
from relay.journal import Executor, in_thread
from relay.lanes.oauth import PostForm
from relay.service import Relay, Seams
from relay.simulators.journal import Entry, Journal
from relay.simulators.stage import Installation, configuration
from relay.store.sqlite import SqliteStore

TENANT: Final = "demo"
PATIENCE: Final = 60.0
"""Seconds for an answer of the door; one to 25,000 recipients takes half a second."""
Seen = Callable[[float, str, bool], None]
"""(instant, token, accepted): a request arrived at a simulator."""


@dataclass(frozen=True, slots=True)
class Destinations:
    """Where requests go, and the certificates to trust."""

    apns: int
    fcm: int
    """Ports."""
    ca_file: Path


class Telling(Journal):
    """Keeps numbers, and tells of each request instead of keeping it."""

    def __init__(self, seen: Seen) -> None:
        super().__init__(counting_only=True)
        self._seen = seen

    def add(self, entry: Entry) -> None:
        self.requests += 1
        self._seen(entry.t, entry.token, entry.status == 200)


class Errands:
    """Counts what the relay does away from its loop: commits, and fetches of access tokens."""

    def __init__(self) -> None:
        self.under_way = 0
        self._over = trio.Event()

    @contextmanager
    def _one(self) -> Iterator[None]:
        self.under_way += 1
        try:
            yield
        finally:
            self.under_way -= 1
            self._over.set()

    async def wait(self, longest: float) -> None:
        """Return when one is over, or after so many seconds."""
        self._over = trio.Event()
        with trio.move_on_after(longest):
            await self._over.wait()

    def executor(self) -> Executor:
        run = in_thread()

        async def counted(work: Callable[[], None]) -> None:
            with self._one():
                await run(work)

        return counted

    def post(self, app: FcmAppConfig) -> PostForm:
        fetch = form_poster(app.ca_file)

        async def counted(uri: str, form: dict[str, str]) -> tuple[int, bytes]:
            with self._one():
                return await fetch(uri, form)

        return counted


@dataclass(frozen=True, slots=True)
class Backstage:
    """A running relay, seen from inside."""

    relay: Relay
    errands: Errands
    clock: Clock
    door: tuple[str, int]

    def client(self, key: str) -> AsyncClient:
        """What a backend uses."""
        host, port = self.door
        return AsyncClient(f"http://{host}:{port}", key, trust_env=False, timeout=PATIENCE)

    def is_quiet(self) -> bool:
        """Nothing due is unsent, nothing is in flight, and all answers are booked."""
        relay = self.relay
        if self.errands.under_way or relay.pool.is_busy:
            return False
        journal = relay.journal.statistics()
        return not (journal.unsettled or journal.waiting) and relay.dispatcher.next_due() > self.clock.now()

    def account(self, event_class: str) -> Account:
        """The relay's books of a class."""
        return self.relay.people.books.of((TENANT, event_class))

    def books(self) -> dict[str, tuple[int, int, int, int]]:
        """The relay's books as they stand: (accepted, woken, merged, pending) by class."""
        people = self.relay.people
        pending = people.pending()
        return {
            name: (a.accepted, a.woken, a.merged, pending.get((tenant, name), 0))
            for (tenant, name), a in people.books.accounts.items()
        }

    def balances(self) -> bool:
        """Whether the books balance with what is pending (I4)."""
        people = self.relay.people
        return not people.books.balance(people.pending())


class Stage:
    """A folder with a configuration and a database, on which a relay can be started more than once.

    `seed`: of what is chance for the relay, its master key included: the jitter of a release follows from that.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self._folder = folder
        self._rng = Random(seed)
        self.backend, self._backend_digest = new_key("backend")
        self.settings, self._settings_digest = new_key("settings")
        masters = folder / "master"
        masters.touch(0o600)
        masters.write_text(f"0:{base64.b64encode(self._rng.randbytes(32)).decode()}\n")

    @asynccontextmanager
    async def relay(self, clock: Clock, destinations: Destinations) -> AsyncIterator[Backstage]:
        """Run the relay for as long as the body; then drain it. Raises RelayError, OSError."""
        path = self._folder / "feierabend.toml"
        path.write_text(configuration(self._installation(destinations)))
        errands = Errands()
        config = read(path)
        store = SqliteStore(config.store.file, config.store.masters.notary())
        try:
            relay = Relay(config, store, clock, Seams(errands.executor(), post=errands.post, rng=self._rng))
            stop = trio.Event()
            async with trio.open_nursery() as nursery:
                bound = await nursery.start(partial(relay.run, stop))
                yield Backstage(relay, errands, clock, bound.door[0])
                stop.set()
        finally:
            store.close()

    def _installation(self, destinations: Destinations) -> Installation:
        return Installation(
            name=TENANT, backend=self._backend_digest, settings=self._settings_digest, apns_port=destinations.apns,
            fcm_port=destinations.fcm, ca_file=str(destinations.ca_file), connections=2,
        )  # fmt: skip
