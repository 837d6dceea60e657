"""`feierabend dev`: the relay, a strict fake APNs and a strict fake FCM in one process, on a throw-away configuration.

Everything is real but Apple and Google: HTTP door, SQLite file, TLS, HTTP/2, access tokens. Prints a key and the lines
to try it with, then each wakeup as one line. What it plays on is put up by stage.py. Times are those of the wall clock
in the zone that rest documents have when they name none, not the machine's, so that `--at 21:55` is five minutes before
a rest from 22:00. Of the simulators only this, shown.py and demo/ know the relay.
"""

from __future__ import annotations

import json
import tempfile
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Final

import click
import httpx
import trio

from relay import service, serving
from relay.clock import WallClock
from relay.config import Address
from relay.config_file import read
from relay.core.errors import RelayError
from relay.doors.keys import new_key
from relay.ops import logs
from relay.process import watch_signals
from relay.simulators.shown import both, wall
from relay.simulators.stage import Script, put_up
from schedules.rules import DEFAULT_ZONE
from schedules.walltime import wall_of, zone

APNS_TOKEN: Final = "0123456789abcdef" * 4
FCM_TOKEN: Final = "dev-android-phone-0001:APA91b" + "0123456789abcdef" * 8
PATIENCE: Final = 10.0
"""Seconds `--once` waits for its wakeups."""


class DevFailed(RelayError):
    """The trial did not work."""


def offset(at: str, now: float) -> float:
    """Seconds to add to the clock, which reads `now`, so that it is `at` (HH:MM) of today. Raises ValueError."""
    try:
        wanted = datetime.strptime(at, "%H:%M")
    except ValueError:
        raise ValueError("must be a time like 21:55") from None
    today = wall(now).replace(hour=wanted.hour, minute=wanted.minute, second=0, microsecond=0)
    return zone(DEFAULT_ZONE).opens(wall_of(today)) - now


async def run(shift: float, port: int, *, once: bool) -> None:
    """Run until SIGINT or SIGTERM; with `once`, until a wakeup has arrived at both. Raises DevFailed, OSError."""
    clock = WallClock(shift)
    logs.configure(clock.now)
    at_apns, at_fcm = both(click.echo)
    (backend, backend_digest), (settings, settings_digest) = new_key("backend"), new_key("settings")
    script = Script(
        now=clock.now, backend=backend_digest, settings=settings_digest, port=port, apns_journal=at_apns,
        fcm_journal=at_fcm,
    )  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="feierabend-dev-") as folder:
        async with trio.open_nursery() as nursery:
            stage = await put_up(nursery, Path(folder), script)
            stop = trio.Event()
            await nursery.start(watch_signals, stop)
            bound = await nursery.start(partial(_serve, stage.config, clock, stop, nursery.cancel_scope))
            address = f"http://127.0.0.1:{bound.door[0][1]}"
            if once:
                await _try(address, backend, at_apns.woken, at_fcm.woken)
                stop.set()
            else:
                streams = str(Address(*bound.stream[0]))
                _explain(address, streams, backend, settings, clock.now())


async def _serve(
    path: Path,
    clock: WallClock,
    stop: trio.Event,
    everything: trio.CancelScope,
    *,
    task_status: trio.TaskStatus[service.Bound],
) -> None:
    """The relay; when it has stopped, so does the rest."""
    await serving.run(read(path), clock, stop, task_status=task_status)
    everything.cancel()


async def _try(address: str, key: str, *woken: trio.Event) -> None:
    """Register a device of each kind, post an event, wait for its wakeups."""
    headers = {"authorization": f"Bearer {key}"}
    with trio.move_on_after(PATIENCE):
        try:
            async with httpx.AsyncClient(base_url=address, headers=headers, trust_env=False) as client:
                for name, device in _DEVICES.items():
                    (await client.put(f"/v1/users/anna/devices/{name}", json=device)).raise_for_status()
                taken = (await client.post("/v1/events", json={"user": "anna"})).raise_for_status().json()
        except httpx.HTTPError as error:
            raise DevFailed(f"the door did not answer as it should: {error}") from None
        click.echo(f"posted one event: {json.dumps(taken)}")
        for each in woken:
            await each.wait()
        return
    raise DevFailed(f"no wakeup within {PATIENCE:.0f} s")


def _explain(address: str, streams: str, backend: str, settings: str, now: float) -> None:
    """Say what can be tried, as lines for a shell."""
    say = f"curl -sS -H 'content-type: application/json' -H 'authorization: Bearer {backend}'"
    set_rest = say.replace(backend, settings)
    click.echo(
        f"""
Feierabend runs on {address}. Its clock reads {wall(now):%H:%M:%S}; all times are those of {DEFAULT_ZONE}. Try:

  register an iPhone, and an Android phone
    {say} -X PUT {address}/v1/users/anna/devices/iphone -d '{json.dumps(_DEVICES["iphone"])}'
    {say} -X PUT {address}/v1/users/anna/devices/android -d '{json.dumps(_DEVICES["android"])}'
  rest from 22:00 to 06:00 (another key: who writes to people must not see when they rest)
    {set_rest} -X PUT {address}/v1/users/anna/rest -d '{json.dumps(_REST)}'
  something new for anna
    {say} {address}/v1/events -d '{{"user":"anna"}}'
  an alarm, which reaches her in her rest too, and leaves a record of who sent it and why
    {say} -H "idempotency-key: $(date +%s)" {address}/v1/events -d '{json.dumps(_ALARM)}'
  anna has read what there was
    {say} {address}/v1/seen -d '{{"user":"anna"}}'

A backend that has much to say opens streams at {streams}. (MessagePack; relay/client_stream.py speaks it.)

Each wakeup that reaches the simulated Apple or Google is a line below. Ctrl-C ends.
"""
    )


_DEVICES: Final = {
    "iphone": {"platform": "apns", "app": "ios", "token": APNS_TOKEN},
    "android": {"platform": "fcm", "app": "android", "token": FCM_TOKEN},
}
_REST: Final = {
    "timezone": DEFAULT_ZONE,
    "windows": [{"kind": "cron", "start": "0 22 * * *", "duration_minutes": 480}],
}
_ALARM: Final = {"user": "anna", "class": "alarm", "role": "dispatch", "reason": "incident"}
