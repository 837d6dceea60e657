"""The main page: what holds now and until when, and what an officer can do about it with one tap.

Acts are saved at once; Undo takes the place of every question. An error of a form is shown on this page, beside it.
"""

from __future__ import annotations

from starlette.responses import Response

from schedules import policy
from schedules.ics_events import is_available
from schedules.web import bands, choices, listing, shifts, switch
from schedules.web.port import Endless
from schedules.web.sky import sky, title
from schedules.web.visit import CONFIRM, Page, Visit

SHOWN = 3
"""Bypasses on the main page; all of them are on a page of their own."""


async def show(visit: Visit) -> Response:
    return await _page(visit)


async def _page(visit: Visit, status: int = 200, *, wrong: str = "", field: str = "") -> Response:
    """`wrong`: what is to be told of a field of a form."""
    waiting = await visit.relay.waiting(visit.secret)
    bypasses = await visit.relay.bypasses(visit.secret)
    plan, now = visit.plan, visit.now
    above = sky(visit)
    listed = listing.rules(visit)
    is_empty = all(rule.was_pressed for rule in listed) and not switch.is_off(plan.document)
    shown = {} if is_empty else {"fortnight": bands.fortnight(plan.document, now, visit.language)}
    week = [] if is_empty else bands.week(plan.document, now, visit.language)
    return visit.render(
        "first.html" if is_empty else "overview.html",
        status,
        sky=above.kind,
        above=above,
        headline=title(visit, above),
        waiting=waiting,
        is_off=switch.is_off(plan.document),
        step=visit.step(),
        offers=choices.off_duty(visit),
        proposed=visit.dates.date_of(now + 86_400).isoformat(),
        week=week,
        rules=listed,
        takes_rosters=is_available,
        has_rhythm=any(shifts.cycles(visit.plan.document)),
        bypasses=bypasses[:SHOWN],
        more=len(bypasses) > SHOWN,
        hints=[policy.hint(short, plan.rules, visit.language) for short in policy.short_rests(plan.rules, now, 14)],
        wrong=wrong,
        wrong_field=field,
        **shown,
    )


# --- acts


async def off_duty(visit: Visit) -> Response:
    """Off duty until an instant that was offered, or a time of one's own."""
    until = _until(visit)
    if until is None:
        wrong = visit.gettext("Please give a day and a time that are still to come.")
        return await _page(visit, 422, wrong=wrong, field="off")
    confirmed = visit.form.text("confirm") == CONFIRM
    visit.remember(await visit.relay.snooze(visit.secret, until, visit.plan.version, confirmed=confirmed))
    return visit.redirect("/#status")


async def reachable(visit: Visit) -> Response:
    """Reachable until the rest would have ended, or until a time of one's own."""
    until = _until(visit)
    if until is None and "day" in visit.form:
        wrong = visit.gettext("Please give a day and a time that are still to come.")
        return await _page(visit, 422, wrong=wrong, field="on")
    try:
        version = await visit.relay.reachable(visit.secret, until, visit.plan.version)
    except Endless:
        wrong = visit.gettext("This rest has no end. Until when do you want to be reachable?")
        return await _page(visit, 409, wrong=wrong, field="on")
    visit.remember(version)
    return visit.redirect("/#status")


def _until(visit: Visit) -> int | None:
    """None: not given, or not in the future."""
    if "until" in visit.form:
        until = visit.form.number("until")
    else:
        until = choices.wall_instant(visit, visit.form.text("day"), visit.form.text("time"))
    return until if until is not None and until > visit.now else None


async def undo(visit: Visit) -> Response:
    """Back to the document before the last act of this session, if that is the one the button was shown for."""
    step = visit.step()
    if step is None or visit.version != visit.plan.version:
        return visit.render(
            "problem.html", 409, title=visit.gettext("Not possible any more"), again="", kept=[], sign_in=False,
            leads=None, faults=[],
            sentence=visit.gettext("Undo is possible for ten minutes, or until the next change."),
        )  # fmt: skip
    if step.before is None:
        assert step.version is not None  # of two that say "no document", one is not a step from the other
        await visit.relay.delete_rest(visit.secret, step.version)
        visit.remember(None, is_undo=not step.is_undo)
    else:
        version = await visit.relay.save(visit.secret, step.before, step.version, confirmed=True)
        visit.remember(version, is_undo=not step.is_undo)
    return visit.redirect("/#status")


async def turn_off(visit: Visit) -> Response:
    await visit.save(switch.turned_off(visit.plan.document, visit.plan.rules, visit.now), fresh=True)
    return visit.redirect("/#status")


async def turn_on(visit: Visit) -> Response:
    await visit.save(switch.turned_on(visit.plan.document), fresh=True)
    return visit.redirect("/#status")


PAGES = (
    Page("/", show=show),
    Page("/off-duty", act=off_duty, button="/"),
    Page("/reachable", act=reachable, button="/"),
    Page("/undo", act=undo, button="/"),
    Page("/off", act=turn_off, button="/"),
    Page("/on", act=turn_on, button="/"),
)
