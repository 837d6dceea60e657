"""The real relay and the real door in this process, at one instant: what a page looks like does not depend on today.

For pictures and for what is looked at in every view. The browser has a thread of its own (Playwright's loop and trio's
cannot share one), and asks for officers from there.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from itertools import count
from typing import Final, cast

import trio
from hypercorn.typing import ASGIFramework

from bench.ports import free_port
from relay.core.batch import Bypass
from relay.core.devices import Platform
from schedules.web.app import application
from schedules.web.port import Secret
from schedules.web.relay_client import RelayClient
from schedules.web.server import Address, serve
from schedules.web.settings import Settings
from tests.e2e.processes import PATIENCE
from tests.relay.world import World, app, tenant, world
from tests.schedules.web.wired import door_of, link_for

NOW: Final = datetime(2026, 11, 25, 20, 40, tzinfo=UTC).timestamp()
"""A Wednesday, 21:40 in Berlin: for Anna after the night shift, in the free days of her rhythm."""

ANNA: Final[Mapping[str, object]] = {
    "timezone": "Europe/Berlin",
    "windows": [
        {
            "kind": "cycle", "anchor": "2026-11-21", "days": ["Früh", "Spät", "Nacht", "-", "-"],
            "shifts": {
                "Früh": {"start": "06:00", "end": "14:00"},
                "Spät": {"start": "14:00", "end": "22:00"},
                "Nacht": {"start": "22:00", "end": "06:00"},
            },
            "lead_minutes": 30, "lag_minutes": 30,
        },
        {"kind": "weekly", "start": "15:00", "end": "17:00", "days": [5], "rest": "free", "label": "Dienstsport"},
        {"kind": "dates", "from": "2026-11-28", "to": "2026-11-30", "label": "Urlaub"},
    ],
    "overrides": [
        {"kind": "reachable", "start": "2026-11-26T18:00", "end": "2026-11-26T22:00", "label": "Rufbereitschaft"}
    ],
    "devices": {"Diensthandy": {"wake": "always"}, "Tablet": {"wake": "never"}},
}  # fmt: skip
"""Early, late, night, two days off; sport, leave, one evening on call."""
DEVICES: Final = ("Smartphone", "Diensthandy", "Tablet")
WOKEN: Final = (("2026-10-20T21:48", "Alarm"), ("2026-11-15T02:12", "Vermisstensuche"))
ROLE: Final = "Lagezentrum"


class StillClock:
    """It is `NOW`, and what waits for later waits for ever."""

    def now(self) -> float:
        return NOW

    async def sleep_until(self, instant: float) -> None:
        await trio.lowlevel.checkpoint()
        if instant > NOW:
            await trio.sleep_forever()


class Exhibit:
    """The door at `url`, and people for it."""

    def __init__(self, made: World, asked: RelayClient, url: str) -> None:
        self._world = made
        self._asked = asked
        self._numbers = count(1)
        self.token = trio.lowlevel.current_trio_token()
        self.url = url

    # from the browser's thread

    def officer(
        self, document: Mapping[str, object] | None = None, *, waiting: int = 0, devices: Sequence[str] = DEVICES
    ) -> str:
        """Somebody new, for whom so many messages wait, and who was woken twice in spite of rest; a name.

        Where something waits, all devices follow the rest: for one that is always woken a message would leave, and the
        pause after it would never end here.
        """
        return trio.from_thread.run(partial(self._officer, document, waiting, devices), trio_token=self.token)

    def session(self, user: str) -> Secret:
        """A new one."""
        link = self.link(user).rpartition("/")[2]
        return trio.from_thread.run(self._asked.redeem, Secret(link), trio_token=self.token).session

    def link(self, user: str) -> str:
        """The path of a fresh link."""
        return trio.from_thread.run(link_for, self._world, user, trio_token=self.token)

    def save(self, user: str, document: Mapping[str, object]) -> None:
        """As if in another window."""
        trio.from_thread.run(self._world.rest, user, document, trio_token=self.token)

    def post(self, user: str, event_class: str = "message") -> None:
        """Something new for them; an alarm rings."""
        trio.from_thread.run(partial(self._world.post, user, event_class=event_class), trio_token=self.token)

    def sign_out(self, session: Secret) -> None:
        trio.from_thread.run(self._asked.sign_out, session, trio_token=self.token)

    # in trio's

    async def _officer(self, document: Mapping[str, object] | None, waiting: int, devices: Sequence[str]) -> str:
        made, user = self._world, f"officer-{next(self._numbers)}"
        for device in devices:
            await made.register(user, device)
        await made.register(user, "Dienst-PC", platform=Platform.NONE)
        if document is not None:
            kept = document if not waiting else {name: part for name, part in document.items() if name != "devices"}
            await made.rest(user, kept)
        for number in range(waiting):
            await made.post(user, at=NOW - 3600 + 60 * number)
        sealed = made.records.seal_recipients([made.key(user)])
        for at, reason in WOKEN:
            instant = datetime.fromisoformat(at).replace(tzinfo=UTC).timestamp()
            record = Bypass(made.tenant.name, "alarm", instant, "backend", ROLE, reason, 1, False, sealed)
            made.store.bypasses.append(record)
        return user


@asynccontextmanager
async def _exhibited() -> AsyncIterator[Exhibit]:
    owner = tenant(app())
    alarm = next(each for each in owner.classes if each.name == "alarm")
    named = replace(alarm, roles=frozenset({ROLE}), reasons=frozenset({"Vermisstensuche", "Alarm"}))
    classes = tuple(named if each is alarm else each for each in owner.classes)
    owner = replace(owner, classes=classes, device_limit=5)
    async with world(owner, start=NOW, clock=StillClock()) as made, door_of(made) as asked:
        address = Address("127.0.0.1", free_port())
        settings = Settings(socket="", listen=(str(address),), base_url=f"http://{address}")
        door = cast("ASGIFramework", application(asked, settings, lambda: NOW, _failed))
        stop = trio.Event()
        async with trio.open_nursery() as nursery:
            await nursery.start(partial(serve, door, [address], stop, grace=1))
            yield Exhibit(made, asked, settings.base_url)
            stop.set()


def _failed(event: Mapping[str, object]) -> None:
    raise AssertionError(event)


@contextmanager
def exhibit() -> Iterator[Exhibit]:
    """For the thread that has the browser."""
    shown: list[Exhibit] = []
    failures: list[BaseException] = []
    ready, stop = threading.Event(), trio.Event()

    async def main() -> None:
        async with _exhibited() as made:
            shown.append(made)
            ready.set()
            await stop.wait()

    def run() -> None:
        try:
            trio.run(main)
        except BaseException as error:  # raised again where the exhibit ends
            failures.append(error)
        finally:
            ready.set()

    thread = threading.Thread(target=run, name="exhibit")
    thread.start()
    assert ready.wait(PATIENCE)
    try:
        if shown:
            yield shown[0]
    finally:
        if shown and thread.is_alive():
            shown[0].token.run_sync_soon(stop.set)
        thread.join(PATIENCE)
    if failures:
        raise failures[0]
