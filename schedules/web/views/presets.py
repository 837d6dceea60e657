"""Presets: rules to begin with, as windows that can be changed like all others. Shown first, then saved.

Nights only and day duty have a form here; the rhythm, leave and a duty roster have theirs. A preset takes the place of
the rules that recur, or is added to them, as its owner chooses; what comes once stays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from starlette.responses import Response

from schedules import policy
from schedules.errors import Text
from schedules.holidays import LAENDER
from schedules.ics_events import is_available
from schedules.web import changes
from schedules.web.fields import NO_LAND, NO_TIME, FieldError, Fields, filled, gathered, is_clock, one
from schedules.web.outlook import Outlook
from schedules.web.port import Missing
from schedules.web.shifts import entries
from schedules.web.views.saving import Edit, Shown, careful, settle, unplaced, words
from schedules.web.visit import Page, Visit

_EQUAL: Final = Text("Start and end are the same.", "Beginn und Ende sind gleich.")
_EARLY: Final = Text("Duty must end later than it starts.", "Der Dienst muss später enden, als er beginnt.")


@dataclass(frozen=True, slots=True)
class _Preset:
    fields: Fields
    check: Callable[[Fields], list[FieldError]]
    make: Callable[[Fields], Mapping[str, object]]
    """For fields that were checked."""


def _check_night(fields: Fields) -> list[FieldError]:
    wrong = [FieldError(control, NO_TIME) for control in ("from", "to") if not is_clock(one(fields, control))]
    is_empty = not wrong and one(fields, "from") == one(fields, "to")
    return [FieldError("to", _EQUAL)] if is_empty else wrong


def _check_duty(fields: Fields) -> list[FieldError]:
    wrong = [] if one(fields, "land") in LAENDER else [FieldError("land", NO_LAND)]
    wrong += _check_night(fields)
    is_early = not wrong and one(fields, "to") < one(fields, "from")
    return [FieldError("to", _EARLY)] if is_early else wrong


_PRESETS: Final = {
    "nights_only": _Preset(
        filled(**{"from": "22:00", "to": "06:00"}),
        _check_night,
        lambda fields: policy.nights_only(one(fields, "from"), one(fields, "to")),
    ),
    "day_duty": _Preset(
        filled(**{"from": "07:00", "to": "17:00", "land": "NI"}),
        _check_duty,
        lambda fields: policy.day_duty(one(fields, "land"), one(fields, "from"), one(fields, "to")),
    ),
}
_ELSEWHERE: Final = {"rotating": "/rhythm", "leave": "/rules/new?kind=dated", "roster": "/roster"}


async def choose(visit: Visit) -> Response:
    return visit.render("presets.html", takes_rosters=is_available)


async def show(visit: Visit) -> Response:
    name = visit.places["name"]
    if name in _ELSEWHERE:
        return visit.redirect(_ELSEWHERE[name])
    return _page(visit, name, _known(visit).fields)


async def save(visit: Visit) -> Response:
    preset, name = _known(visit), visit.places["name"]
    fields = gathered(visit.form.fields)
    errors = preset.check(fields)
    if errors or visit.form.text("act") == "edit":
        return _page(visit, name, fields, errors)
    windows = entries(preset.make(fields), "windows")

    def again(seen: Outlook | None, errors: Sequence[FieldError]) -> Response:
        return _page(visit, name, fields, errors, seen)

    replaces = visit.form.text("mode") != "add"
    return await settle(visit, Edit(
        document=changes.with_preset(visit.plan.document, windows, replaces=replaces), what=_title(visit, name),
        path=f"/presets/{name}", again=again, located=unplaced, is_shown_first=True,
    ))  # fmt: skip


def _known(visit: Visit) -> _Preset:
    preset = _PRESETS.get(visit.places["name"])
    if preset is None:
        raise Missing
    return preset


def _title(visit: Visit, name: str) -> str:
    return visit.gettext("Nights only") if name == "nights_only" else visit.gettext("Day duty")


def _page(
    visit: Visit,
    name: str,
    fields: Fields,
    errors: Sequence[FieldError] = (),
    seen: Outlook | None = None,
) -> Response:
    told, gettext = words(visit), visit.gettext
    is_duty = name == "day_duty"
    recurring = [w for w in entries(visit.plan.document, "windows") if w["kind"] in changes.RECURRING]
    return visit.render(
        "preset.html", 422 if errors else 200, form=Shown.of(visit, fields, errors), seen=seen,
        title=_title(visit, name), action=f"/presets/{name}", laender=LAENDER if is_duty else {},
        what=gettext("Rest outside of your duty hours from Monday to Friday, on weekends and on public holidays.")
        if is_duty
        else gettext("Rest every night."),
        from_label=gettext("Duty from") if is_duty else gettext("Rest from"), to_label=gettext("to"),
        replaced=[told.name(window) for window in recurring],
    )  # fmt: skip


PAGES = (Page("/presets", show=choose), Page("/presets/{name}", show=show, act=careful(save)))
