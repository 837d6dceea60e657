"""The officer's devices: what each does in rest, and a test that wakes them now.

The result of a test is waited for on the server, a few seconds at most; after that the page says how far it got, and
has a button to look again. No page loads itself anew: what somebody reads must not jump.
"""

from __future__ import annotations

from typing import Final

import trio
from starlette.responses import Response

from schedules import Wake
from schedules.web.port import Busy, DeviceTest, WakeTest
from schedules.web.visit import Page, Visit

LOOKS: Final = 12
PAUSE: Final = 0.25
"""A result is looked for so often, with so many seconds between; a wakeup is handed over in half a second."""
PENDING: Final = "pending"


async def show(visit: Visit) -> Response:
    return await _page(visit, await visit.relay.tested(visit.secret))


async def _page(visit: Visit, tested: WakeTest | None, *, busy: float | None = None) -> Response:
    names = {
        "apns": visit.gettext("iPhone or iPad"),
        "fcm": visit.gettext("Android"),
        "none": visit.gettext("Computer"),
    }
    wakes = [
        (Wake.FOLLOW, visit.gettext("Follows my rest")),
        (Wake.NEVER, visit.gettext("Rings for alarms only")),
        (Wake.ALWAYS, visit.gettext("Always rings")),
    ]
    response = visit.render(
        "devices.html",
        200 if busy is None else 429,
        step=visit.step(),
        devices=await visit.relay.devices(visit.secret),
        platforms=names,
        wakes=wakes,
        tested=tested,
        told=[(_verdict(visit, each), each) for each in sorted(() if tested is None else tested.devices, key=_name)],
        pending=tested is not None and _is_pending(tested),
        busy=None if busy is None else max(1, round(busy / 60)),
    )
    if busy is not None:
        response.headers["retry-after"] = str(round(busy))
    return response


def _name(test: DeviceTest) -> str:
    return test.device


def _verdict(visit: Visit, test: DeviceTest) -> str:
    """In how far it worked, in two words, before the sentence."""
    verdicts = {
        "handed_over": visit.gettext("Handed over"),
        PENDING: visit.gettext("Under way"),
        "pc": visit.gettext("Cannot be woken"),
    }
    return verdicts.get(test.state, visit.gettext("Does not ring"))


def _is_pending(tested: WakeTest) -> bool:
    return any(each.state == PENDING for each in tested.devices)


async def wake(visit: Visit) -> Response:
    """What one device does in rest."""
    try:
        chosen = Wake(visit.form.text("wake"))
    except ValueError:
        return visit.redirect("/devices")
    version = await visit.relay.wake(visit.secret, visit.form.text("device"), chosen, visit.version)
    visit.remember(version)
    return visit.redirect("/devices#status")


async def test(visit: Visit) -> Response:
    """Wake them now."""
    try:
        await visit.relay.test(visit.secret)
    except Busy as busy:
        return await _page(visit, await visit.relay.tested(visit.secret), busy=busy.retry_after)
    for _ in range(LOOKS):
        tested = await visit.relay.tested(visit.secret)
        if tested is None or not _is_pending(tested):
            break
        await trio.sleep(PAUSE)
    return visit.redirect("/devices#result")


PAGES = (
    Page("/devices", show=show, act=wake, button="/devices"),
    Page("/devices/test", act=test, button="/devices"),
)
