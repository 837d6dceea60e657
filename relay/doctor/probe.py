"""One request by our own wire, told step by step: the first that fails says where to look.

    credentials ─▶ clock ─▶ dns ─▶ tcp ─▶ (proxy) ─▶ tls ─▶ settings ─▶ (access token) ─▶ answer

Of a relay's lane it is the wire, the provider's requests and its reading of answers, the proxy and the token exchange;
not its queue, quota, breaker or back-off, for one request needs none. Each step has its deadline here, at the edge.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import Final

import trio

from relay import trust
from relay.clock import Clock
from relay.config import AnyAppConfig, FcmAppConfig
from relay.config_reader import key_id_of
from relay.core.life import NOW_OR_NEVER
from relay.core.verdicts import Action
from relay.doctor import words
from relay.doctor.steps import Ears, Examined, Failed, Step, Tell, not_secure, plain
from relay.doctor.words import Blame, Reading
from relay.lanes.apns import Apns
from relay.lanes.credentials import ProviderToken
from relay.lanes.fcm import Fcm
from relay.lanes.oauth import GRANT, AccessToken, assertion, refusal
from relay.lanes.provider import Provider
from relay.lanes.proxy import Proxy, tunnel
from relay.lanes.skew import TOLERANCE, ahead
from relay.ways import Ways, address_of, tls_of
from relay.wire import Answer, Beneath, Connection, ConnectionLost, Transport, open_tcp, secure

PATIENCE: Final = 15.0
"""Seconds for one step."""
ATTEMPT: Final = 4.0
"""Seconds for TCP to one address."""
ADDRESSES: Final = 3
"""Most that are tried."""


_SILENT: Final = {"proxy": Blame.PROXY, "settings": Blame.PROVIDER, "answer": Blame.PROVIDER}
"""Step → where to look when nothing comes; else at the network."""


@dataclass(frozen=True, slots=True)
class _Tag:
    """In the place of a flight: kept by the provider for no time at all."""

    life: int = NOW_OR_NEVER


class Probe:
    """Of one app, for one device token, once."""

    def __init__(self, app: AnyAppConfig, token: str, clock: Clock, tell: Tell) -> None:
        self._app = app
        self._token = token
        self._clock = clock
        self._tell = tell
        self._ways = Ways()
        self._host, self._port = address_of(app)
        self.proxy: Proxy | None = self._ways.proxy(app)
        self._access: AccessToken | None = None
        self.provider: Provider
        if isinstance(app, FcmAppConfig):
            self._post = self._ways.post(app, self._dated)
            self._access = AccessToken(app.account, self._post, clock, Random())
            self.provider = Fcm(app.account.project_id, self._access, self._host, self._port, dry_run=True)
        else:
            token_of_team = ProviderToken(app.team_id, app.key_id, app.key)
            self.provider = Apns(app.topic, token_of_team, self._host, self._port)
        self._addresses: Sequence[str] = ()
        self._tcp: Beneath | None = None
        self._ahead = 0.0
        """Seconds by which our clock is ahead of Google's."""
        self.examined = Examined()

    @property
    def bearer(self) -> bytes:
        """What Apple was shown; for the library to show the same."""
        return b"" if self._access is not None else self.provider.credential(self._clock.now())

    async def run(self) -> Examined:
        """All steps in order, up to the first that fails."""
        parts: list[tuple[str, Callable[[], Awaitable[str]]]] = [
            ("credentials", self._credentials), ("clock", self._look_at_clock), ("dns", self._look_up),
            ("tcp", self._connect),
        ]  # fmt: skip
        if self.proxy is not None:
            parts.append(("proxy", self._tunnel))
        left = [name for name, _ in parts] + ["tls", "settings", *(["token"] if self._access else []), "answer"]
        try:
            for name, part in parts:
                async with self._step(name, left):
                    self._tell(Step(name, "ok", await part()))
            async with self._secured(left) as transport:
                await self._converse(transport, left)
        except Failed as failed:
            self.examined.blame, self.examined.says = failed.blame, failed.says
            for name in left:
                self._tell(Step(name, "skipped"))
        finally:
            if self._tcp is not None:
                await trio.aclose_forcefully(self._tcp)
        return self.examined

    @asynccontextmanager
    async def _step(self, name: str, left: list[str]) -> AsyncIterator[None]:
        """The body tells how it went, or raises Failed. Too long is failed too."""
        left.remove(name)
        try:
            with trio.move_on_after(PATIENCE) as scope:
                yield
            if scope.cancelled_caught:
                raise Failed(_SILENT.get(name, Blame.NETWORK), f"nothing has come for {PATIENCE:g} s")
        except Failed as failed:
            self.examined.failed_at = name
            self._tell(Step(name, "failed", failed.says))
            raise

    # --- before the wire

    async def _credentials(self) -> str:
        """They were read, and found to be keys, with the configuration just now."""
        app = self._app
        if isinstance(app, FcmAppConfig):
            return f"the account {app.account.client_email} of the project {app.account.project_id}"
        named = key_id_of(app.key_file) if app.key_file else None
        doubt = f"; but the file is named after the key {named}" if named not in (None, app.key_id) else ""
        return f"the key {app.key_id} of the team {app.team_id} for {app.topic}, {app.environment}{doubt}"

    async def _look_at_clock(self) -> str:
        now = self._clock.now()
        try:
            trust.check(now)
        except trust.ClockIsWrong as wrong:
            raise Failed(Blame.CLOCK, str(wrong)) from None
        return f"{datetime.fromtimestamp(now, UTC).isoformat(timespec='seconds')}, by this machine"

    async def _look_up(self) -> str:
        try:
            self._addresses = await self._ways.resolve(self._app)(self._host, self._port)
        except ConnectionLost as lost:
            raise Failed(Blame.PROXY, words.of_proxy(lost.reason, self._host)) from None
        except OSError:
            raise Failed(
                Blame.DNS, f"{self._host} is not found: does this machine's name server know names outside?"
            ) from None
        whose = "" if self.proxy is None else f"the proxy {self.proxy.authority}, which looks up {self._host} itself: "
        return whose + ", ".join(self._addresses[:ADDRESSES])

    async def _connect(self) -> str:
        port = self._port if self.proxy is None else self.proxy.port
        said = "no address"
        for address in self._addresses[:ADDRESSES]:
            said = f"{address} does not answer at port {port}"
            with trio.move_on_after(ATTEMPT):
                try:
                    self._tcp = await open_tcp(address, port)
                except OSError as error:
                    said = f"{address} at port {port}: {plain(error)}"
                else:
                    return f"{address} at port {port}"
        if self.proxy is not None:
            raise Failed(Blame.PROXY, f"the proxy is not reached: {said}")
        raise Failed(Blame.NETWORK, f"{said}; a firewall must let this machine out to {self._host}, port {port}")

    async def _tunnel(self) -> str:
        assert self.proxy is not None
        assert self._tcp is not None
        try:
            self._tcp.unread(await tunnel(self._tcp, self._host, self._port, self.proxy.authorization))
        except ConnectionLost as lost:
            raise Failed(Blame.PROXY, words.of_proxy(lost.reason, self._host)) from None
        return f"{self.proxy.authority} leads to {self._host}, port {self._port}"

    @asynccontextmanager
    async def _secured(self, left: list[str]) -> AsyncIterator[Transport]:
        assert self._tcp is not None
        async with self._step("tls", left):
            try:
                stream = await secure(self._tcp, self._host, tls_of(self._app))
            except ConnectionLost as lost:
                not_secure(lost, self._host)
            except OSError as error:
                raise Failed(Blame.NETWORK, f"the connection broke ({plain(error)})") from None
            version = stream.version() if isinstance(stream, trio.SSLStream) else ""
            self._tell(Step("tls", "ok", f"{version}, trusted, HTTP/2 agreed by ALPN"))
        self._connection = Connection(self.provider.template())
        transport = Transport(stream, self._connection)
        try:
            yield transport
        finally:
            await transport.aclose()

    # --- the wire

    async def _converse(self, transport: Transport, left: list[str]) -> None:
        ears, failed = Ears(), None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ears.listen, transport)
            try:
                async with self._step("settings", left):
                    await ears.until(lambda: self._connection.is_ready)
                    self._tell(Step("settings", "ok", "the provider speaks HTTP/2"))
                if self._access is not None:
                    async with self._step("token", left):
                        self._tell(Step("token", "ok", await self._fetch(self._access)))
                async with self._step("answer", left):
                    self._answered(await self._ask(transport, ears))
            except Failed as caught:
                failed = caught
            nursery.cancel_scope.cancel()
        if failed is not None:
            raise failed

    async def _fetch(self, access: AccessToken) -> str:
        """An access token, by the account's signature."""
        assert isinstance(self._app, FcmAppConfig)
        account, now = self._app.account, self._clock.now()
        try:
            status, body = await self._post(
                account.token_uri, {"grant_type": GRANT, "assertion": assertion(account, now)}
            )
        except ConnectionLost as lost:
            raise Failed(Blame.PROXY, words.of_proxy(lost.reason, account.token_uri)) from None
        except OSError as error:
            raise Failed(Blame.NETWORK, f"{account.token_uri} is not reached ({error}); FCM itself is") from None
        if status == 200 and access.take(body, now):
            return f"for an hour, from {account.token_uri}{self._clock_said()}"
        reason = refusal(status, body)
        blame, says = words.OAUTH.get(reason, (Blame.PROVIDER, words.LATER))
        if abs(self._ahead) > TOLERANCE:
            blame = Blame.CLOCK
        raise Failed(blame, f"{status} {reason}: {says}{self._clock_said()}")

    async def _ask(self, transport: Transport, ears: Ears) -> Answer:
        request = self.provider.request(_Tag(), self._token, self._clock.now())
        try:
            if not await transport.write(lambda: [request], lambda _: None):
                raise Failed(Blame.PROVIDER, "the provider lets us open no stream")
        except ConnectionLost as lost:
            raise Failed(Blame.WIRE, f"the connection ended while we wrote ({lost.reason})") from None
        await ears.until(lambda: ears.answer is not None)
        assert ears.answer is not None
        return ears.answer

    def _answered(self, answer: Answer) -> None:
        for name, value in answer.headers:
            if name == b"date":
                self._dated(value.decode("latin-1"))
        reading = Reading(200, "", Action.ACCEPTED)
        if answer.status != 200:
            judgement = self.provider.judge(answer, self._clock.now())
            reading = Reading(answer.status, judgement.reason, judgement.verdict.action)
        self.examined.reading = reading
        self._tell(Step("answer", "ok" if reading.is_good else "failed", f"{reading}{self._clock_said()}"))

    def _dated(self, date: str) -> None:
        self._ahead = ahead(date, self._clock.now()) or 0.0

    def _clock_said(self) -> str:
        if abs(self._ahead) <= TOLERANCE:
            return ""
        return (
            f"; this machine's clock is {abs(self._ahead):.0f} s {'ahead of' if self._ahead > 0 else 'behind'} Google's"
        )
