"""Pages of what went wrong: what happened, and what to do. Most of them keep the form (app.py says why).

A form from another session may be of another officer, on a computer that many use. So an act of one tap is not sent
again by such a page, and a draft only without the version it was made from: before it is saved, its reader sees it
beside the document that it would change (`views/saving.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import ceil
from urllib.parse import urlencode

from starlette.responses import Response

from schedules.web import faults, sessions
from schedules.web.forms import Form
from schedules.web.port import Away, Busy, Changed, Endless, Missing, NotReachable, Refused, Rejected, RelayFault
from schedules.web.visit import ANOTHER, CONFIRM, Page, Visit

_OURS = frozenset({"csrf", "confirm"})
"""Fields that a page which keeps a form makes anew."""


def relay(visit: Visit, fault: RelayFault) -> Response:
    """The page for what the relay refused, where the view did not know better."""
    gettext = visit.gettext
    match fault:
        case Changed():
            return _page(
                visit, 409, gettext("Changed meanwhile"),
                gettext("Your rest times were changed elsewhere, perhaps in a second window. Nothing was saved here."),
            )  # fmt: skip
        case NotReachable():
            return _page(
                visit, 409, gettext("Are you sure?"),
                gettext("After this you are not reachable for a single minute in the next five weeks."),
                again=gettext("Yes, save it so"), confirm=CONFIRM,
            )  # fmt: skip
        case Endless():
            return _page(
                visit,
                409,
                gettext("This rest has no end"),
                gettext("Please choose until when you want to be reachable."),
            )
        case Rejected():
            told = dict.fromkeys(map(faults.alone, fault.problems))
            listed = [text.german if visit.language == "de" else text.english for text in told]
            return _page(visit, 422, gettext("Not saved"), gettext("This could not be saved:"), listed=listed)
        case Busy() | Away():
            return _later(visit, fault)
        case Missing():
            return nowhere(visit)
        case Refused():
            return _page(visit, 403, gettext("Not allowed"), gettext("This is not possible for you."))
    raise fault


def _later(visit: Visit, fault: Busy | Away) -> Response:
    """It passes by itself: the form waits on the page."""
    if isinstance(fault, Busy):
        status, title = 429, visit.gettext("Too often")
        minutes = ceil(fault.retry_after / 60)
        sentence = visit.ngettext(
            "Please try again in a minute.", "Please try again in %(num)s minutes.", minutes
        )  # fmt: skip
    else:
        status, title = 503, visit.gettext("Not possible at the moment")
        sentence = visit.gettext("Your rest times cannot be reached. Messages and alarms do not depend on this page.")
    again = visit.gettext("Send again") if visit.is_act else ""
    return _page(visit, status, title, sentence, again=again, retry_after=fault.retry_after)


def signed_out(visit: Visit, page: Page) -> Response:
    """To the way in; a form that was sent waits on its page meanwhile."""
    if not visit.form.fields:
        wished = "" if visit.is_act or visit.here == "/" else "?" + urlencode({"next": visit.here})
        response = visit.redirect("/login" + wished)
    elif page.button:
        response = _page(
            visit, 401, visit.gettext("You are signed out"),
            visit.gettext("Nothing was done. Please sign in, then press the button again."),
            leads=("/login?" + urlencode({"next": page.button}), visit.gettext("Sign in")),
        )  # fmt: skip
    else:
        response = _page(
            visit, 401, visit.gettext("You are signed out"),
            visit.gettext("Nothing was saved yet, but what you have typed is still here. Sign in, then send it again."),
            again=visit.gettext("Send again"), sign_in=True,
        )  # fmt: skip
    if visit.known is not None:  # else it may be what a login under way is bound to, in another tab
        sessions.end(response, visit.door.settings)
    return response


def once_more(visit: Visit, page: Page) -> Response:
    """The form was made in a session that is over."""
    if page.button:
        return _page(
            visit, 409, visit.gettext("Not done"),
            visit.gettext("You have signed in again since you opened this page. Nothing was done."),
            leads=(page.button, visit.gettext("Open the page anew")),
        )  # fmt: skip
    fields = [(name, value) for name, value in visit.form.fields if name != "version"]
    visit = replace(visit, form=Form([*fields, ("version", str(ANOTHER))]))
    return _page(
        visit, 409, visit.gettext("Please confirm"),
        visit.gettext("You have signed in again since you opened this form. Nothing was saved yet."),
        again=visit.gettext("Send again"),
    )  # fmt: skip


def foreign(visit: Visit) -> Response:
    return _page(
        visit, 403, visit.gettext("Not accepted"),
        visit.gettext("This form did not come from this page. Please open the page and try again."),
    )  # fmt: skip


def too_large(visit: Visit, page: Page) -> Response:
    if page.takes_file:
        sentence = visit.gettext("The file is too large. Please export fewer months.")
        return _page(
            visit, 413, visit.gettext("Too much"), sentence, leads=(page.path, visit.gettext("Choose another file"))
        )
    return _page(visit, 413, visit.gettext("Too much"), visit.gettext("The form was too large."))


def unreadable(visit: Visit) -> Response:
    return _page(visit, 400, visit.gettext("Not understood"), visit.gettext("The form could not be read."))


def nowhere(visit: Visit) -> Response:
    return _page(visit, 404, visit.gettext("There is nothing here"), visit.gettext("Perhaps it was deleted meanwhile."))


def internal(visit: Visit) -> Response:
    return _page(
        visit, 500, visit.gettext("Something went wrong here"),
        visit.gettext("This is our fault. Your rest times are as they were, unless the start page shows otherwise."),
    )  # fmt: skip


def _page(
    visit: Visit,
    status: int,
    title: str,
    sentence: str,
    *,
    again: str = "",
    confirm: str = "",
    sign_in: bool = False,
    leads: tuple[str, str] | None = None,
    listed: Sequence[str] = (),
    retry_after: float | None = None,
) -> Response:
    """`leads`: a path below the language, and the text of the link to it."""
    kept = [(name, value) for name, value in visit.form.fields if name not in _OURS] if again else []
    if confirm:
        kept.append(("confirm", confirm))
    if again and visit.known is not None and not sign_in:
        kept.append(("csrf", sessions.csrf(visit.known)))
    response = visit.render(
        "problem.html", status, title=title, sentence=sentence, again=again, kept=kept, sign_in=sign_in,
        leads=leads, faults=listed,
    )  # fmt: skip
    if retry_after is not None:
        response.headers["retry-after"] = str(ceil(retry_after))
    return response
