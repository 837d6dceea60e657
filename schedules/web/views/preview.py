"""The next fourteen days, as a picture and in words, on screen and on one sheet of paper."""

from __future__ import annotations

from starlette.responses import Response

from schedules import policy
from schedules.web import bands
from schedules.web.sky import sky, title
from schedules.web.visit import Page, Visit

DAYS = 14


async def show(visit: Visit) -> Response:
    plan = visit.plan
    above = sky(visit)
    return visit.render(
        "preview.html",
        headline=title(visit, above),
        days=bands.fortnight(plan.document, visit.now, visit.language),
        zone=plan.rules.zone.name,
        hints=[
            policy.hint(short, plan.rules, visit.language) for short in policy.short_rests(plan.rules, visit.now, DAYS)
        ],
        never=policy.is_never_reachable(plan.table, visit.now),
    )


PAGES = (Page("/preview", show=show),)
