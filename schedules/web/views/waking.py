"""Who may wake an officer in spite of rest and for what, and who has; and, for a day, everything that woke the devices.

The last is noted only for who has switched it on here (the relay's core/traces.py); what is shown is what it has in
memory. Like a test it tells what happened in sentences that the relay makes.
"""

from __future__ import annotations

from math import ceil

from starlette.responses import Response

from schedules.web.port import Busy, Piercing, Trace, Traced
from schedules.web.visit import Page, Visit


async def show(visit: Visit) -> Response:
    return await _page(visit)


async def _page(visit: Visit, *, busy: float | None = None) -> Response:
    """`busy`: a trace could not be begun; seconds until one may end."""
    piercing, trace = await visit.relay.piercing(visit.secret), await visit.relay.trace(visit.secret)
    response = visit.render(
        "waking.html",
        200 if busy is None else 429,
        classes=[(class_name(visit, each.event_class), _rests(visit, each), each) for each in piercing],
        bypasses=[(class_name(visit, each.event_class), each) for each in await visit.relay.bypasses(visit.secret)],
        trace=trace,
        days=_by_day(visit, trace),
        busy=None if busy is None else max(1, ceil(busy / 3600)),
    )
    if busy is not None:
        response.headers["retry-after"] = str(ceil(busy))
    return response


def _by_day(visit: Visit, trace: Trace | None) -> list[tuple[str, list[tuple[str, Traced]]]]:
    """Day → what happened then and of which class, the newest first."""
    days: dict[str, list[tuple[str, Traced]]] = {}
    for each in () if trace is None else trace.entries:
        names = ", ".join(class_name(visit, name) for name in each.classes)
        days.setdefault(visit.dates.near(each.at), []).append((names, each))
    return [*days.items()]


async def begin(visit: Visit) -> Response:
    try:
        await visit.relay.begin_trace(visit.secret)
    except Busy as busy:
        return await _page(visit, busy=busy.retry_after)
    return visit.redirect("/waking#trace")


async def end(visit: Visit) -> Response:
    await visit.relay.end_trace(visit.secret)
    return visit.redirect("/waking#trace")


def class_name(visit: Visit, event_class: str) -> str:
    """What officers call a class; the operator's own name where it is none of the usual ones."""
    usual = {
        "message": visit.gettext("Messages"),
        "roster": visit.gettext("Roster"),
        "alarm": visit.gettext("Alarm"),
        "control": visit.gettext("Order to a device"),
        "test": visit.gettext("Test wakeup"),
    }
    return usual.get(event_class, event_class)


def _rests(visit: Visit, piercing: Piercing) -> str:
    """Which rest a class goes out in."""
    if piercing.kinds is None:
        return visit.gettext("in any rest")
    names = {
        "night": visit.gettext("night rest"),
        "free": visit.gettext("free time"),
        "leave": visit.gettext("leave"),
        "sick": visit.gettext("sick leave"),
        "off": visit.gettext("off duty now"),
    }
    return visit.gettext(
        "only in these rests: %(rests)s", rests=", ".join(names.get(kind, kind) for kind in piercing.kinds)
    )


PAGES = (
    Page("/waking", show=show),
    Page("/waking/trace", act=begin, button="/waking"),
    Page("/waking/trace/end", act=end, button="/waking"),
)
