"""Who may wake an officer in spite of rest and for what, and who has."""

from __future__ import annotations

from starlette.responses import Response

from schedules.web.port import Piercing
from schedules.web.visit import Page, Visit


async def show(visit: Visit) -> Response:
    piercing = await visit.relay.piercing(visit.secret)
    return visit.render(
        "waking.html",
        classes=[(class_name(visit, each.event_class), _rests(visit, each), each) for each in piercing],
        bypasses=[(class_name(visit, each.event_class), each) for each in await visit.relay.bypasses(visit.secret)],
    )


def class_name(visit: Visit, event_class: str) -> str:
    """What officers call a class; the operator's own name where it is none of the usual ones."""
    usual = {
        "message": visit.gettext("Messages"),
        "roster": visit.gettext("Roster"),
        "alarm": visit.gettext("Alarm"),
        "control": visit.gettext("Order to a device"),
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


PAGES = (Page("/waking", show=show),)
