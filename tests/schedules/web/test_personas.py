"""A week in the life of some officers: what they tell the page, what happens to them, and when it rings.

The whole relay and the door, in one virtual week that begins on Monday, 23 November 2026, at 00:00 in Berlin. Whatever
an officer does goes through the forms of the pages. Each test is a timetable and a table of rings, written by hand from
the rules of the officer and not from what the program said: to be checked with a pencil.

A message that comes in rest waits for its end, and however many wait, it rings once. An alarm rings at once.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import urljoin

from relay.core.devices import Platform
from tests.relay.world import World, virtual, world
from tests.schedules.web.browser import Browser, browser
from tests.schedules.web.wired import door_of, link_for

MONDAY: Final = datetime(2026, 11, 22, 23, 0, tzinfo=UTC)
"""00:00 in Berlin; the clock is not changed in this week."""
DAYS: Final = ("Mo", "Tu", "We", "Th", "Fr", "Sa", "Su", "next Mo")
USER: Final = "anna"


@dataclass(frozen=True, slots=True)
class Life:
    """Somebody with a phone, signed in at the page."""

    world: World
    page: Browser


Happens = Callable[[Life], Awaitable[None]]
Timetable = Sequence[tuple[str, Happens]]
"""Mo 10:00 → what happens then."""


# --- what may happen


async def message(life: Life) -> None:
    await life.world.post(USER)


async def alarm(life: Life) -> None:
    await life.world.alarm(USER)


def opens(path: str, *presses: tuple[str, Mapping[str, str]]) -> Happens:
    """Opens a page, and presses buttons there, having filled in some fields; in the end it must be saved."""

    async def happens(life: Life) -> None:
        shown = await life.page.go(f"/de{path}")
        for button, fields in presses:
            shown = await life.page.press(button, **fields)
        assert "Gespeichert, gilt sofort." in shown.text, shown.text

    return happens


def chooses(device: str, words: str) -> Happens:
    """Says on the page of devices what one of them does in rest."""

    async def happens(life: Life) -> None:
        shown = await life.page.go("/de/devices")
        form = next(form for form in shown.forms if ("device", device) in form.fields)
        name, value = next((name, value) for name, value, text in form.buttons if text == words)
        shown = await life.page.send(urljoin(shown.url, form.action), [*form.fields, (name, value)])
        assert "Gespeichert, gilt sofort." in shown.text

    return happens


RHYTHM: Final = opens("/rhythm", ("Vorschau", {"anchor": "2026-11-23"}), ("Speichern", {}))
"""As the page offers it: early, late, night, off, off, half an hour reachable before and after each duty."""
NIGHTS: Final = opens("/presets/nights_only", ("Vorschau", {}), ("Speichern", {}))
"""Rest every night from 22:00 to 06:00."""


# --- the week


def seconds(when: str) -> float:
    """Since the beginning of the week: "We 21:30", "next Mo 07:00"."""
    day, _, clock = when.rpartition(" ")
    hours, minutes = map(int, clock.split(":"))
    return DAYS.index(day) * 86_400.0 + hours * 3600 + minutes * 60


def told(after: float) -> str:
    """The same backwards; with seconds where there are some, so that they are in no table."""
    at = datetime(2026, 11, 23) + timedelta(seconds=after)
    return f"{DAYS[int(after // 86_400)]} {at:%H:%M:%S}".removesuffix(":00")


@asynccontextmanager
async def living(*devices: str) -> AsyncIterator[Life]:
    """A new world at the beginning of the week, and somebody who has signed in with a link."""
    async with world(start=MONDAY.timestamp()) as made, door_of(made) as relay:
        await made.register(USER, *devices)
        await made.register(USER, "PC", app="", platform=Platform.NONE)
        async with browser(relay, made.clock.now) as page:
            await page.go(await link_for(made, USER))
            await page.press("Jetzt anmelden")
            yield Life(made, page)
            assert page.told == []


async def lived(life: Life, week: Timetable) -> list[tuple[str, str]]:
    """(when, device) of all rings of the week and the hours after it, in their order."""
    for when, happens in week:
        await life.world.until(life.world.start + seconds(when))
        await signs_in_again(life)
        await happens(life)
    await life.world.until(life.world.start + seconds("next Mo 12:00"))
    rings = [(at, device) for device in ("phone", "duty phone", "PC") for at in life.world.rang(USER, device)]
    return [(told(at), device) for at, device in sorted(rings)]


async def signs_in_again(life: Life) -> None:
    """A session has ended after half an hour; a link from the messenger begins the next one."""
    await life.page.go(await link_for(life.world, USER))
    await life.page.press("Jetzt anmelden")


# --- who


@virtual
async def test_a_shift_worker_is_woken_on_duty_and_once_after_each_rest() -> None:
    """Reachable Mo 05:30-14:30, Tu 13:30-22:30, We 21:30 - Th 06:30, Sa 05:30-14:30, Su 13:30-22:30, next Mo 21:30."""
    async with living("phone") as anna:
        rings = await lived(anna, [
            ("Mo 05:00", RHYTHM),
            ("Mo 05:10", message),
            ("Mo 10:00", message),
            ("Mo 14:29", message),
            ("Mo 14:30", message),
            ("Mo 20:00", message),
            ("Tu 18:00", message),
            ("Tu 23:00", message),
            ("Th 03:00", message),
            ("Th 12:00", message),
            ("Fr 09:00", message),
            ("Sa 02:00", alarm),
            ("Sa 02:30", message),
            ("Su 10:00", message),
            ("Su 23:00", message),
        ])  # fmt: skip
    assert rings == [
        ("Mo 05:30", "phone"),  # from 05:10
        ("Mo 10:00", "phone"),
        ("Mo 14:29", "phone"),
        ("Tu 13:30", "phone"),  # from Monday 14:30 and 20:00
        ("Tu 18:00", "phone"),
        ("We 21:30", "phone"),  # from Tuesday 23:00
        ("Th 03:00", "phone"),  # on night duty
        ("Sa 02:00", "phone"),  # the alarm, and nothing with it
        ("Sa 05:30", "phone"),  # from Thursday, Friday and Saturday
        ("Su 13:30", "phone"),  # from 10:00
    ]  # what came on Sunday at 23:00 waits until Monday 21:30


@virtual
async def test_who_is_on_call_is_woken_in_the_night_that_was_entered() -> None:
    """Nights 22:00-06:00; on call from Wednesday 18:00 to Thursday 08:00."""
    call = {"day1": "2026-11-25", "time1": "18:00", "day2": "2026-11-26", "time2": "08:00"}
    async with living("phone") as anna:
        rings = await lived(anna, [
            ("Mo 09:00", NIGHTS),
            ("Mo 23:00", message),
            ("Tu 12:00", opens("/rules/new?kind=oncall", ("Speichern", call))),
            ("Tu 23:30", message),
            ("We 23:30", message),
            ("Th 05:00", message),
            ("Th 23:30", message),
        ])  # fmt: skip
    assert rings == [
        ("Tu 06:00", "phone"),
        ("We 06:00", "phone"),
        ("We 23:30", "phone"),
        ("Th 05:00", "phone"),
        ("Fr 06:00", "phone"),
    ]


@virtual
async def test_who_is_on_leave_is_left_alone_until_the_next_duty() -> None:
    """Day duty, Monday to Friday 07:00-17:00; leave from Thursday to Sunday, and off duty early on Wednesday."""
    leave = {"day1": "2026-11-26", "day2": "2026-11-29"}
    async with living("phone") as anna:
        rings = await lived(anna, [
            ("Mo 08:00", opens("/presets/day_duty", ("Vorschau", {}), ("Speichern", {}))),
            ("Mo 09:00", message),
            ("Mo 20:00", message),
            ("Tu 11:00", opens("/rules/new?kind=dated", ("Speichern", leave))),
            ("We 12:00", message),
            ("We 15:00", opens("/", ("Feierabend", {"day": "2026-11-25", "time": "17:00"}))),
            ("We 15:30", message),
            ("Th 10:00", message),
            ("Fr 10:00", alarm),
            ("Fr 11:00", message),
            ("Su 12:00", message),
        ])  # fmt: skip
    assert rings == [
        ("Mo 09:00", "phone"),
        ("Tu 07:00", "phone"),  # from Monday 20:00
        ("We 12:00", "phone"),
        ("Fr 10:00", "phone"),  # the alarm
        ("next Mo 07:00", "phone"),  # all from Wednesday 15:30 on
    ]


@virtual
async def test_a_shift_that_is_swapped_an_hour_before_moves_what_waits() -> None:
    """Tuesday's late duty becomes a night, one hour before; Friday's day off an early duty, one hour before.

    Reachable Mo 05:30-14:30, Tu 21:30 - We 06:30, We 21:30 - Th 06:30, Fr 05:30-14:30, Sa 05:30-14:30. Either swap
    moves what waits; so the page says that first, and saves with the second press.
    """
    async with living("phone") as anna:
        rings = await lived(anna, [
            ("Mo 05:00", RHYTHM),
            ("Mo 20:00", message),
            ("Tu 12:30", opens("/swap", ("Speichern", {"shift": "3"}), ("Speichern", {}))),
            ("Tu 15:00", message),
            ("We 03:00", message),
            ("We 12:00", message),
            ("Th 12:00", message),
            ("Fr 04:30", opens("/swap", ("Speichern", {"shift": "1"}), ("Speichern", {}))),
            ("Fr 10:00", message),
            ("Fr 15:00", message),
        ])  # fmt: skip
    assert rings == [
        ("Tu 21:30", "phone"),  # from Monday 20:00 and Tuesday 15:00
        ("We 03:00", "phone"),
        ("We 21:30", "phone"),
        ("Fr 05:30", "phone"),  # from Thursday 12:00, which would have waited until Saturday
        ("Fr 10:00", "phone"),
        ("Sa 05:30", "phone"),  # from Friday 15:00
    ]


@virtual
async def test_with_two_phones_one_is_never_woken_and_one_always_and_a_pc_not_at_all() -> None:
    """Nights 22:00-06:00. The own phone rings for alarms only, the duty phone always; from Friday on both follow."""
    async with living("phone", "duty phone") as anna:
        rings = await lived(anna, [
            ("Mo 09:00", NIGHTS),
            ("Mo 09:05", chooses("phone", "Klingelt nur bei Alarm")),
            ("Mo 09:10", chooses("duty phone", "Klingelt immer")),
            ("Mo 12:00", message),
            ("Mo 23:00", message),
            ("Tu 02:00", alarm),
            ("We 12:00", message),
            ("Fr 08:00", chooses("phone", "Folgt meiner Ruhe")),
            ("Fr 08:05", chooses("duty phone", "Folgt meiner Ruhe")),
            ("Fr 12:00", message),
            ("Fr 23:00", message),
        ])  # fmt: skip
    assert rings == [
        ("Mo 12:00", "duty phone"),
        ("Mo 23:00", "duty phone"),
        ("Tu 02:00", "duty phone"),
        ("Tu 02:00", "phone"),
        ("We 12:00", "duty phone"),
        ("Fr 12:00", "duty phone"),
        ("Fr 12:00", "phone"),
        ("Sa 06:00", "duty phone"),
        ("Sa 06:00", "phone"),
    ]
