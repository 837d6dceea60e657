"""Around the person: where one is signed in, who has looked, what is kept, and the end of it."""

from __future__ import annotations

from starlette.responses import Response

from schedules.web import sessions
from schedules.web.visit import Page, Visit


async def sign_out(visit: Visit) -> Response:
    await visit.relay.sign_out(visit.secret)
    visit.door.memory.forget(visit.secret)
    provider = sessions.provider(visit.request, visit.door.settings)
    is_known = provider in visit.door.logins.providers
    response = visit.redirect(f"/signed-out/{provider}" if is_known else "/login")
    sessions.end(response, visit.door.settings)
    return response


PAGES = (Page("/sign-out", act=sign_out),)
