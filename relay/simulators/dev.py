"""`feierabend dev`: the relay and a strict fake APNs in one process, on a throw-away configuration.

Everything is real but Apple: HTTP door, SQLite file, TLS, HTTP/2. Prints a key and the lines to try it with, then each
wakeup as one line. Times are those of the wall clock in the zone that rest documents have when they name none, not the
machine's, so that `--at 21:55` is five minutes before a rest from 22:00. This is the one module of the simulators that
knows the relay.
"""

from __future__ import annotations

import json
import tempfile
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

import click
import httpx
import trio

from relay import service
from relay.clock import WallClock
from relay.config import read
from relay.core.errors import RelayError
from relay.doors.keys import new_key
from relay.ops import logs
from relay.process import watch_signals
from relay.simulators.apns import FakeApns
from relay.simulators.certificates import Authority, provider_key
from relay.simulators.commands import KEY_ID, TEAM_ID, TOPIC
from relay.simulators.journal import Entry, Journal
from relay.simulators.provider_token import TeamKey
from schedules.rules import DEFAULT_ZONE
from schedules.walltime import wall_of, zone

TOKEN: Final = "0123456789abcdef" * 4
PATIENCE: Final = 10.0
"""Seconds `--once` waits for its wakeup."""


class DevFailed(RelayError):
    """The trial did not work."""


def offset(at: str, now: float) -> float:
    """Seconds to add to the clock, which reads `now`, so that it is `at` (HH:MM) of today. Raises ValueError."""
    try:
        wanted = datetime.strptime(at, "%H:%M")
    except ValueError:
        raise ValueError("must be a time like 21:55") from None
    today = _wall(now).replace(hour=wanted.hour, minute=wanted.minute, second=0, microsecond=0)
    return zone(DEFAULT_ZONE).opens(wall_of(today)) - now


def _wall(instant: float) -> datetime:
    """What the wall clock of the rest documents' zone reads."""
    return datetime.fromtimestamp(zone(DEFAULT_ZONE).wall(int(instant)), UTC).replace(tzinfo=None)


async def run(shift: float, port: int, *, once: bool) -> None:
    """Run until SIGINT or SIGTERM; with `once`, until one wakeup has arrived. Raises DevFailed, OSError."""
    clock = WallClock(shift)
    logs.configure(clock.now)
    woken = trio.Event()
    with tempfile.TemporaryDirectory(prefix="feierabend-dev-") as folder:
        async with trio.open_nursery() as nursery:
            authority = Authority("127.0.0.1")
            private, public = provider_key()
            apns = FakeApns(
                {KEY_ID: TeamKey(team_id=TEAM_ID, key_id=KEY_ID, public_pem=public)}, {TOPIC}, clock.now,
                journal=_Telling(woken),
            )  # fmt: skip
            listeners = await trio.open_ssl_over_tcp_listeners(
                0, authority.server_context(), host="127.0.0.1", https_compatible=True
            )
            await nursery.start(trio.serve_listeners, apns.serve_stream, listeners)
            inner = listeners[0].transport_listener
            assert isinstance(inner, trio.SocketListener)
            backend, settings = new_key("backend"), new_key("settings")
            path = _configuration(
                Path(folder), private, authority.pem, inner.socket.getsockname()[1], port, backend[1], settings[1]
            )
            stop = trio.Event()
            await nursery.start(watch_signals, stop)
            bound = await nursery.start(partial(_serve, path, clock, stop, nursery.cancel_scope))
            address = f"http://127.0.0.1:{bound.door[0][1]}"
            if once:
                await _try(address, backend[0], woken)
                stop.set()
            else:
                _explain(address, backend[0], settings[0], clock.now())


async def _serve(
    path: Path,
    clock: WallClock,
    stop: trio.Event,
    everything: trio.CancelScope,
    *,
    task_status: trio.TaskStatus[service.Bound],
) -> None:
    """The relay; when it has stopped, so does the rest."""
    await service.run(read(path), clock, stop, task_status=task_status)
    everything.cancel()


class _Telling(Journal):
    """Shows each wakeup as it arrives at the fake."""

    def __init__(self, woken: trio.Event) -> None:
        super().__init__(counting_only=True)
        self._woken = woken

    def add(self, entry: Entry) -> None:
        super().add(entry)
        at = _wall(entry.t).strftime("%H:%M:%S")
        answer = "accepted" if entry.status == 200 else f"{entry.status} {entry.reason}"
        expiration = entry.value(b"apns-expiration").decode()
        click.echo(f"{at}  wakeup at APNs, token …{entry.token[-4:]}, expiration {expiration}: {answer}")
        if entry.status == 200:
            self._woken.set()


async def _try(address: str, key: str, woken: trio.Event) -> None:
    """Register a device, post an event, wait for its wakeup."""
    headers = {"authorization": f"Bearer {key}"}
    with trio.move_on_after(PATIENCE):
        try:
            async with httpx.AsyncClient(base_url=address, headers=headers, trust_env=False) as client:
                (await client.put("/v1/users/anna/devices/phone", json=_DEVICE)).raise_for_status()
                taken = (await client.post("/v1/events", json={"user": "anna"})).raise_for_status().json()
        except httpx.HTTPError as error:
            raise DevFailed(f"the door did not answer as it should: {error}") from None
        click.echo(f"posted one event: {json.dumps(taken)}")
        await woken.wait()
        return
    raise DevFailed(f"no wakeup within {PATIENCE:.0f} s")


def _explain(address: str, backend: str, settings: str, now: float) -> None:
    """Say what can be tried, as lines for a shell."""
    say = f"curl -sS -H 'content-type: application/json' -H 'authorization: Bearer {backend}'"
    set_rest = say.replace(backend, settings)
    click.echo(
        f"""
Feierabend runs on {address}. Its clock reads {_wall(now):%H:%M:%S}; all times are those of {DEFAULT_ZONE}. Try:

  register a phone
    {say} -X PUT {address}/v1/users/anna/devices/phone -d '{json.dumps(_DEVICE)}'
  rest from 22:00 to 06:00 (another key: who writes to people must not see when they rest)
    {set_rest} -X PUT {address}/v1/users/anna/rest -d '{json.dumps(_REST)}'
  something new for anna
    {say} {address}/v1/events -d '{{"user":"anna"}}'
  an alarm, which reaches her in her rest too, and leaves a record of who sent it and why
    {say} -H "idempotency-key: $(date +%s)" {address}/v1/events -d '{json.dumps(_ALARM)}'
  anna has read what there was
    {say} {address}/v1/seen -d '{{"user":"anna"}}'

Each wakeup that reaches the simulated Apple is a line below. Ctrl-C ends.
"""
    )


_DEVICE: Final = {"platform": "apns", "app": "ios", "token": TOKEN}
_REST: Final = {
    "timezone": DEFAULT_ZONE,
    "windows": [{"kind": "cron", "start": "0 22 * * *", "duration_minutes": 480}],
}
_ALARM: Final = {"user": "anna", "class": "alarm", "role": "dispatch", "reason": "incident"}


def _configuration(
    folder: Path, private: bytes, ca: bytes, apns_port: int, port: int, backend: str, settings: str
) -> Path:
    """A configuration that is good for this process only."""
    (folder / "AuthKey.p8").write_bytes(private)
    (folder / "ca.pem").write_bytes(ca)
    masters = folder / "master"
    masters.touch(0o600)
    masters.write_text("0:" + "A" * 43 + "=\n")
    path = folder / "feierabend.toml"
    path.write_text(f"""
[store]
path = "dev.db"
key_file = "master"
[door]
listen = ["127.0.0.1:{port}"]
[ops]
listen = ["127.0.0.1:0"]
[shutdown]
grace_seconds = 5
[[tenants]]
name = "dev"
jitter_seconds = 0
[[tenants.keys]]
id = "backend"
sha256 = "{backend}"
scopes = ["events", "alarms", "devices"]
[[tenants.keys]]
id = "settings"
sha256 = "{settings}"
scopes = ["rest"]
[[tenants.apps]]
name = "ios"
topic = "{TOPIC}"
team_id = "{TEAM_ID}"
key_id = "{KEY_ID}"
key_file = "AuthKey.p8"
endpoint = "127.0.0.1:{apns_port}"
ca_file = "ca.pem"
connections = 1
[[tenants.classes]]
name = "alarm"
roles = ["dispatch"]
reasons = ["incident"]
""")
    return path
