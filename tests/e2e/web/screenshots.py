"""The pictures of the README: the real relay and the real door at one instant, with a sample officer, seen by Chromium.

    python -m tests.e2e.web.screenshots [FOLDER]

Time stands still for both, so that a page says the same each time. Texts are drawn with the fonts of the machine; a
picture is made anew when the page has changed, not because another machine draws it otherwise.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, cast

import trio
from hypercorn.typing import ASGIFramework
from playwright.sync_api import sync_playwright

from relay.core.batch import Bypass
from schedules.web.app import application
from schedules.web.port import Opened
from schedules.web.server import Address, serve
from schedules.web.settings import Settings
from tests.e2e.processes import free_port
from tests.e2e.web.visitor import ARGUMENTS, DESKTOP, Look, Visitor, visiting
from tests.relay.world import World, app, tenant, world
from tests.schedules.web.wired import door_of

INTO: Final = Path(__file__).parents[3] / "schedules/web/screenshots"
NOW: Final = datetime(2026, 11, 25, 20, 40, tzinfo=UTC).timestamp()
"""A Wednesday, 21:40 in Berlin: after the night shift, in the free days of the rhythm."""
DAY: Final = 86_400.0
LARGEST: Final = 120_000
"""Bytes of a picture."""
PHONE: Final = (360, 780)

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
WOKEN: Final = (("2026-11-15T02:12", "Lagezentrum", "Vermisstensuche"), ("2026-10-20T21:48", "Lagezentrum", "Alarm"))


class StillClock:
    """It is `NOW`, and what waits for later waits for ever."""

    def now(self) -> float:
        return NOW

    async def sleep_until(self, instant: float) -> None:
        await trio.lowlevel.checkpoint()
        if instant > NOW:
            await trio.sleep_forever()


@dataclass(frozen=True, slots=True)
class Exhibit:
    """The door, and who is signed in there."""

    world: World
    url: str
    begin: Callable[[str], Opened]
    """(user) → a new session; from the browser's thread."""


@asynccontextmanager
async def exhibit() -> AsyncIterator[Exhibit]:
    owner = tenant(app())
    alarm = next(each for each in owner.classes if each.name == "alarm")
    named = replace(alarm, roles=frozenset({"Lagezentrum"}), reasons=frozenset({"Vermisstensuche", "Alarm"}))
    classes = tuple(named if each is alarm else each for each in owner.classes)
    async with (
        world(replace(owner, classes=classes, device_limit=5), start=NOW, clock=StillClock()) as made,
        door_of(made) as asked,
    ):
        await _people(made)
        token = trio.lowlevel.current_trio_token()

        def begin(user: str) -> Opened:
            return trio.from_thread.run(asked.open, made.tenant.name, user, trio_token=token)

        address = Address("127.0.0.1", free_port())
        settings = Settings(socket="", listen=(str(address),), base_url=f"http://{address}")
        door = cast("ASGIFramework", application(asked, settings, lambda: NOW, print))
        stop = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: serve(door, [address], stop, grace=1))
            yield Exhibit(made, settings.base_url, begin)
            stop.set()


async def _people(made: World) -> None:
    """Anna has a plan, and three messages wait for her; Ben has begun today."""
    await made.register("anna", "Smartphone", "Diensthandy", "Tablet")
    await made.register("ben")
    await made.rest("anna", ANNA)
    for _ in range(3):
        await made.post("anna")
    for at, role, reason in WOKEN:
        instant = datetime.fromisoformat(at).replace(tzinfo=UTC).timestamp()
        sealed = made.records.seal_recipients([made.key("anna")])
        made.store.bypasses.append(
            Bypass(made.tenant.name, "alarm", instant, "backend", role, reason, 1, False, sealed)
        )
    made.store.bypasses.sort(key=lambda record: record.at)


# --- pictures

Picture = Callable[[Visitor], None]


def main_page(window: Visitor) -> None:
    window.go()


PICTURES: Final[Mapping[str, tuple[Look, Picture]]] = {
    "main-phone-light": (Look("de", *PHONE), main_page),
    "main-phone-dark": (Look("de", *PHONE, dark=True), main_page),
    "main-desktop-light": (Look("de", *DESKTOP), main_page),
    "main-desktop-dark": (Look("de", *DESKTOP, dark=True), main_page),
    "main-english": (Look("en", *PHONE), main_page),
}
"""Name of the file → how it is looked at, and what is done first."""


def _take(made: Exhibit, into: Path) -> None:
    """In a thread of its own, as Playwright wants it."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=[*ARGUMENTS])
        for name, (look, prepare) in PICTURES.items():
            with visiting(browser, made.url, look) as window:
                window.sign_in(made.begin("anna").session.value)
                prepare(window)
                path = into / f"{name}.jpg"
                window.page.screenshot(path=path, type="jpeg", quality=75)
                assert path.stat().st_size <= LARGEST, f"{path.name}: {path.stat().st_size} bytes"
                print(path.name, path.stat().st_size)
        browser.close()


async def main(into: Path) -> None:
    async with exhibit() as made:
        await trio.to_thread.run_sync(_take, made, into)


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if sys.argv[1:] else INTO
    folder.mkdir(exist_ok=True)
    trio.run(main, folder)
