"""Around the person: where one is signed in, who has looked, what is kept, and the end of it."""

from __future__ import annotations

from starlette.responses import Response

from schedules.web import sessions
from schedules.web.port import Code
from schedules.web.visit import Page, Visit


async def show(visit: Visit) -> Response:
    return await _page(visit)


async def _page(visit: Visit, code: Code | None = None) -> Response:
    """`code`: to be shown once, in the answer to the form that asked for it; no later page has it."""
    return visit.render(
        "account.html",
        sessions=await visit.relay.sessions(visit.secret),
        support=await visit.relay.support(visit.secret),
        code=code,
    )


async def end_others(visit: Visit) -> Response:
    await visit.relay.end_others(visit.secret)
    return visit.redirect("/account#sessions")


async def new_code(visit: Visit) -> Response:
    """A code for support; one that was given before ends."""
    return await _page(visit, await visit.relay.new_code(visit.secret))


async def end_code(visit: Visit) -> Response:
    await visit.relay.end_code(visit.secret)
    return visit.redirect("/account#support")


async def sign_out(visit: Visit) -> Response:
    """Here; and then, if that is wanted, at the provider by whom one has come in."""
    await visit.relay.sign_out(visit.secret)
    provider = sessions.provider(visit.request, visit.door.settings)
    is_known = provider in visit.door.logins.providers
    return _ended(visit, f"/signed-out/{provider}" if is_known else "/login")


# --- what is kept


async def export(visit: Visit) -> Response:
    content = await visit.relay.export(visit.secret)
    return _file(content, "application/json", "feierabend.json")


async def calendar(visit: Visit) -> Response:
    content = await visit.relay.calendar(visit.secret, visit.language)
    return _file(content, "text/calendar; charset=utf-8", "feierabend.ics")


def _file(content: bytes, media: str, name: str) -> Response:
    return Response(content, media_type=media, headers={"content-disposition": f'attachment; filename="{name}"'})


async def ask_delete(visit: Visit) -> Response:
    return visit.render("delete.html")


async def delete(visit: Visit) -> Response:
    await visit.relay.delete_everything(visit.secret)
    return _ended(visit, "/deleted")


async def deleted(visit: Visit) -> Response:
    return visit.render("deleted.html")


def _ended(visit: Visit, path: str) -> Response:
    visit.door.memory.forget(visit.secret)
    response = visit.redirect(path)
    sessions.end(response, visit.door.settings)
    return response


PAGES = (
    Page("/account", show=show),
    Page("/account/others", act=end_others, button="/account"),
    Page("/account/code", act=new_code, button="/account"),
    Page("/account/code/end", act=end_code, button="/account"),
    Page("/sign-out", act=sign_out, button="/account"),
    Page("/export.json", show=export),
    Page("/rest.ics", show=calendar),
    Page("/delete", show=ask_delete, act=delete, button="/delete"),
    Page("/deleted", show=deleted, public=True),
)
