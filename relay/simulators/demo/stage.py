"""The stage of the demo: throw-away keys, a configuration, strict fakes of APNs and FCM, and the relay between them.

Everything but Apple, Google and the passing of time is real: HTTP doors, the SQLite file, TLS, HTTP/2, OAuth. All of it
lives in one process and one trio loop, so that the driver can tell when nothing is under way (`Backstage.is_quiet`).
"""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import Final

import trio

from relay.clock import Clock
from relay.cold_http import form_poster
from relay.config import FcmAppConfig, read
from relay.core.books import Account
from relay.doors.keys import new_key
from relay.journal import Executor, in_thread
from relay.lanes.oauth import PostForm
from relay.service import Relay, Seams
from relay.simulators.apns import FakeApns
from relay.simulators.certificates import Authority, account_key, provider_key
from relay.simulators.commands import ACCOUNT, ACCOUNT_KEY_ID, KEY_ID, PROJECT, TEAM_ID, TOPIC
from relay.simulators.fcm import FakeFcm
from relay.simulators.journal import Entry, Journal
from relay.simulators.oauth import Account as ServiceAccount
from relay.simulators.oauth import FakeOauth
from relay.simulators.oauth_server import OauthServer
from relay.simulators.provider_token import TeamKey
from relay.store.sqlite import SqliteStore

HOST: Final = "127.0.0.1"
TENANT: Final = "demo"
ROLE, REASON = "dispatch", "incident"
Seen = Callable[[float, str, bool], None]
"""(instant, token, accepted): a request arrived at a simulator."""


@dataclass(frozen=True, slots=True)
class Providers:
    """Where an app's requests go, and the certificates to trust."""

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


class Simulators:
    """Fakes of APNs, FCM and Google's token endpoint, on ports of their own, by one clock."""

    def __init__(self, folder: Path, clock: Clock, seen: Seen) -> None:
        self._authority = Authority(HOST)
        self.folder = folder
        self.journal = Telling(seen)
        (folder / "ca.pem").write_bytes(self._authority.pem)
        private, public = provider_key()
        (folder / "AuthKey.p8").write_bytes(private)
        keys = {KEY_ID: TeamKey(team_id=TEAM_ID, key_id=KEY_ID, public_pem=public)}
        self.apns = FakeApns(keys, {TOPIC}, clock.now, journal=self.journal)
        self._account_key, public = account_key()
        account = ServiceAccount(client_email=ACCOUNT, key_id=ACCOUNT_KEY_ID, public_pem=public)
        self.oauth = FakeOauth([account], clock.now, journal=self.journal)
        self.fcm = FakeFcm(PROJECT, self.oauth.is_good, clock.now, journal=self.journal)
        self.providers = Providers(0, 0, folder / "ca.pem")

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled."""
        async with trio.open_nursery() as nursery:
            apns = await self._listen(nursery, self.apns.serve_stream)
            fcm = await self._listen(nursery, self.fcm.serve_stream)
            tokens = await self._listen(nursery, OauthServer(self.oauth).serve_stream, "http/1.1")
            self.oauth.token_uri = f"https://{HOST}:{tokens}/token"
            self.providers = Providers(apns, fcm, self.folder / "ca.pem")
            self._write_account()
            task_status.started()

    async def _listen(
        self, nursery: trio.Nursery, serve: Callable[[trio.abc.Stream], Awaitable[None]], protocol: str = "h2"
    ) -> int:
        context = self._authority.server_context(protocol)
        listeners = await trio.open_ssl_over_tcp_listeners(0, context, host=HOST, https_compatible=True)
        await nursery.start(trio.serve_listeners, serve, listeners)
        inner = listeners[0].transport_listener
        assert isinstance(inner, trio.SocketListener)
        port: int = inner.socket.getsockname()[1]
        return port

    def _write_account(self) -> None:
        content = {
            "type": "service_account", "project_id": PROJECT, "private_key_id": ACCOUNT_KEY_ID,
            "private_key": self._account_key.decode(), "client_email": ACCOUNT, "token_uri": self.oauth.token_uri,
        }  # fmt: skip
        (self.folder / "service-account.json").write_text(json.dumps(content))


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
    async def relay(self, clock: Clock, providers: Providers) -> AsyncIterator[Backstage]:
        """Run the relay for as long as the body; then drain it. Raises RelayError, OSError."""
        path = self._folder / "feierabend.toml"
        path.write_text(self._configuration(providers))
        errands = Errands()
        config = read(path)
        store = SqliteStore(config.store.path)
        try:
            relay = Relay(config, store, clock, Seams(errands.executor(), post=errands.post, rng=self._rng))
            stop = trio.Event()
            async with trio.open_nursery() as nursery:
                bound = await nursery.start(partial(relay.run, stop))
                yield Backstage(relay, errands, clock, bound.door[0])
                stop.set()
        finally:
            store.close()

    def _configuration(self, providers: Providers) -> str:
        return f"""
[store]
path = "demo.db"
key_file = "master"
[door]
listen = ["{HOST}:0"]
[ops]
listen = ["{HOST}:0"]
[[tenants]]
name = "{TENANT}"
[[tenants.keys]]
id = "backend"
sha256 = "{self._backend_digest}"
scopes = ["events", "alarms", "devices"]
[[tenants.keys]]
id = "settings"
sha256 = "{self._settings_digest}"
scopes = ["rest"]
[[tenants.apps]]
name = "apns"
topic = "{TOPIC}"
team_id = "{TEAM_ID}"
key_id = "{KEY_ID}"
key_file = "AuthKey.p8"
endpoint = "{HOST}:{providers.apns}"
ca_file = "{providers.ca_file}"
[[tenants.apps]]
name = "fcm"
provider = "fcm"
service_account_file = "service-account.json"
endpoint = "{HOST}:{providers.fcm}"
ca_file = "{providers.ca_file}"
connections = 2
[[tenants.classes]]
name = "alarm"
roles = ["{ROLE}"]
reasons = ["{REASON}"]
"""
