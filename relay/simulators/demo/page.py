"""`demo --web`: the officers' page on localhost, with a sample officer and simulated phones, until somebody ends it.

The real relay, its real officers' door in a process of its own, and strict simulators; the clock is the machine's. Anna
works by a rhythm of five days and has the second free day today, so that she rests, three messages wait for her, and an
alarm has woken her all the same. What the page does to her phones is shown as lines, a wakeup each.
"""

from __future__ import annotations

import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final

import trio

from relay.client import AsyncClient, Call
from relay.clock import WallClock
from relay.config_file import read
from relay.core.errors import RelayError
from relay.doors.keys import new_key
from relay.ops import logs
from relay.process import watch_signals
from relay.service import Relay
from relay.simulators.shown import both, wall
from relay.simulators.stage import HOST, REASON, ROLE, Installation, configuration, providers
from relay.store.sqlite import SqliteStore

OFFICER: Final = "anna"
DEVICES: Final = {
    "Privat-iPhone": {"platform": "apns", "app": "ios", "token": "0123456789abcdef" * 4},
    "Dienst-Handy": {"platform": "fcm", "app": "android", "token": "demo-phone-0001:APA91b" + "0123456789abcdef" * 8},
    "Dienst-PC": {"platform": "none"},
}
MESSAGES: Final = 3
PATIENCE: Final = 30.0
"""Seconds for the page to come up."""

Say = Callable[[str], None]


class PageFailed(RelayError):
    """The officers' door did not come up."""


async def leave_open(say: Say, keep: Callable[[str], object], opened: Callable[[str], object] = lambda _: None) -> None:
    """Return after SIGINT or SIGTERM. `keep` takes the relay's log lines, `opened` each link that is said.

    Raises PageFailed, OSError.
    """
    clock, stop = WallClock(), trio.Event()
    logs.configure(clock.now, keep)
    with tempfile.TemporaryDirectory(prefix="feierabend-page-") as folder:
        async with trio.open_nursery() as nursery:
            await nursery.start(watch_signals, stop)
            async with _running(Path(folder), clock, stop, say) as (page, backend, settings), backend, settings:
                if not stop.is_set():
                    await _prepare(backend, settings, wall(clock.now()))
                    nursery.start_soon(partial(_links, page, settings, say, opened))
                    say(f"Ctrl-C ends. Wakeups of {OFFICER}'s phones, while it runs:")
                await stop.wait()
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def _running(
    folder: Path, clock: WallClock, stop: trio.Event, say: Say
) -> AsyncIterator[tuple[str, AsyncClient, AsyncClient]]:
    """(address of the page, the backend's client, the settings service's) while the relay runs; it drains then."""
    page = _free_port()
    (backend, backend_digest), (settings, settings_digest) = new_key("backend"), new_key("settings")
    (folder / "master").touch(0o600)
    (folder / "master").write_text("0:" + "A" * 43 + "=\n")
    async with trio.open_nursery() as nursery:
        made = await providers(nursery, folder, clock.now, *both(say))
        installation = Installation(
            name="demo", backend=backend_digest, settings=settings_digest, apns_port=made.apns_port,
            fcm_port=made.fcm_port, jitter=0, web_port=page,
        )  # fmt: skip
        (folder / "feierabend.toml").write_text(configuration(installation))
        config = read(folder / "feierabend.toml")
        store = SqliteStore(config.store.file, config.store.masters.notary())
        try:
            relay = Relay(config, store, clock)
            async with trio.open_nursery() as serving:
                bound = await serving.start(partial(relay.run, stop))
                await _wait_for_page(relay, stop)
                host, port = bound.door[0]
                door = partial(AsyncClient, f"http://{host}:{port}", trust_env=False)
                yield f"http://{HOST}:{page}", door(backend), door(settings)
                stop.set()
        finally:
            store.close()
        nursery.cancel_scope.cancel()


def _free_port() -> int:
    """The page's address stands in its configuration, so it has to be known before."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port = probe.getsockname()[1]
        assert isinstance(port, int)
        return port


async def _wait_for_page(relay: Relay, stop: trio.Event) -> None:
    """Until it is there, or nobody wants it any more. Raises PageFailed."""
    assert relay.web is not None
    with trio.move_on_after(PATIENCE):
        async with trio.open_nursery() as either:
            either.start_soon(_then_end, relay.web.wait_ready, either.cancel_scope)
            either.start_soon(_then_end, stop.wait, either.cancel_scope)
        return
    raise PageFailed(f"the officers' page was not there within {PATIENCE:.0f} s")


async def _then_end(wait: Callable[[], Awaitable[None]], scope: trio.CancelScope) -> None:
    await wait()
    scope.cancel()


async def _prepare(backend: AsyncClient, settings: AsyncClient, now: datetime) -> None:
    """Anna's phones, her rest, what waits for her, and what woke her."""
    await backend.put_devices({OFFICER: DEVICES})
    await settings.send(Call("PUT", f"/v1/users/{OFFICER}/rest", sample(now.date())))
    for _ in range(MESSAGES):
        await backend.wake([OFFICER])
    await backend.wake([OFFICER], "alarm", role=ROLE, reason=REASON)


async def _links(page: str, settings: AsyncClient, say: Say, opened: Callable[[str], object]) -> None:
    """A link now, and another one whenever somebody at a terminal presses Enter."""
    while True:
        link = await settings.link(OFFICER)
        address = f"{page}/link/{link.link}"
        say(f"The officers' page, for one login of {OFFICER} within {link.expires_in // 60} minutes:\n\n  {address}\n")
        opened(address)
        if not sys.stdin.isatty():
            return
        say("Enter gives another link.")
        if not await trio.to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True):
            return


def sample(today: date) -> dict[str, object]:
    """A rest document of somebody with shifts, for whom today is the second free day."""

    def day(ahead: int) -> str:
        return (today + timedelta(days=ahead)).isoformat()

    shifts = {"Früh": ("06:00", "14:00"), "Spät": ("14:00", "22:00"), "Nacht": ("22:00", "06:00")}
    return {
        "timezone": "Europe/Berlin",
        "windows": [
            {
                "kind": "cycle",
                "anchor": day(-4),
                "days": ["Früh", "Spät", "Nacht", "-", "-"],
                "shifts": {name: {"start": start, "end": end} for name, (start, end) in shifts.items()},
                "lead_minutes": 30,
                "lag_minutes": 30,
            },
            {"kind": "dates", "from": day(9), "to": day(12), "label": "Urlaub"},
            {"kind": "weekly", "days": [2], "start": "18:30", "end": "20:30", "label": "Chor"},
        ],
        "overrides": [
            {"kind": "reachable", "start": f"{day(5)}T18:00", "end": f"{day(5)}T22:00", "label": "Rufbereitschaft"}
        ],
    }
