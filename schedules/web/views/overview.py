"""The main page: what holds now and until when, and everything an officer can do about it."""

from __future__ import annotations

from starlette.responses import Response

from schedules.web.visit import Page, Visit


async def show(visit: Visit) -> Response:
    return visit.render("overview.html")


PAGES = (Page("/", show=show),)
