"""Every view there is: its name, and how a window comes to show it. What all pages must be is asked of each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from playwright.sync_api import expect

from schedules.web.port import Secret
from tests.e2e.web.exhibit import ANNA, Exhibit
from tests.e2e.web.visitor import Visitor
from tests.schedules.calendars import ROSTER_SYSTEM

Show = Callable[[Exhibit, Visitor], None]

NIGHTS: Final[Mapping[str, Any]] = {"windows": [{"kind": "weekly", "start": "22:00", "end": "06:00"}]}
EVENINGS: Final[Mapping[str, Any]] = {"windows": [{"kind": "weekly", "start": "20:00", "end": "06:00"}]}
DAY_SLEEP: Final[Mapping[str, Any]] = {"windows": [{"kind": "weekly", "start": "09:00", "end": "15:00"}]}
ENDLESS: Final[Mapping[str, Any]] = {"windows": [{"kind": "weekly", "start": "00:00", "end": "24:00"}]}
CRON: Final[Mapping[str, Any]] = {"windows": [{"kind": "cron", "start": "0 18 * * 5", "duration_minutes": 3600}]}
HOLIDAYS: Final[Mapping[str, Any]] = {"windows": [{"kind": "holidays", "land": "NI"}]}
OVER: Final[Mapping[str, Any]] = {
    "windows": [
        {
            "kind": "cycle", "anchor": "2026-01-05", "days": ["F", "-"], "to": "2026-01-31",
            "shifts": {"F": {"start": "06:00", "end": "14:00"}},
        },
    ],
}  # fmt: skip


def sign_in(made: Exhibit, window: Visitor, document: Mapping[str, object] | None, waiting: int = 0) -> str:
    user = made.officer(document, waiting=waiting)
    window.sign_in(made.session(user).value)
    return user


def at(path: str, document: Mapping[str, object] | None = ANNA, waiting: int = 0) -> Show:
    """A page as somebody with this document sees it when it is opened."""

    def show(made: Exhibit, window: Visitor) -> None:
        sign_in(made, window, document, waiting)
        window.go(path)

    return show


def public(path: str) -> Show:
    return lambda _made, window: window.go(path)


# --- views that somebody comes to by an act


def link(made: Exhibit, window: Visitor) -> None:
    window.page.goto(made.url + made.link(made.officer()))


def link_refused(made: Exhibit, window: Visitor) -> None:
    window.page.goto(f"{made.url}/link/{'x' * 43}")
    window.press("Sign in now")


def login_refused(made: Exhibit, window: Visitor) -> None:
    window.page.goto(f"{made.url}/login/callback?state=nonsense&code=nonsense")


def undone(made: Exhibit, window: Visitor) -> None:
    sign_in(made, window, ANNA, 2)
    window.go()
    window.press("Reachable now")
    window.reads("Saved, in effect now.")


def turned_off(made: Exhibit, window: Visitor) -> None:
    sign_in(made, window, ANNA)
    window.go()
    window.press("Turn everything off")
    window.reads("Saved, in effect now.")


def bad_time(made: Exhibit, window: Visitor) -> None:
    sign_in(made, window, NIGHTS)
    window.go()
    window.unfold("Other time")
    window.page.locator("[name=day]").first.fill("2026-01-05")
    window.press("Off duty", exact=True)
    window.reads("Please give a day and a time that are still to come.")


def rule_wrong(made: Exhibit, window: Visitor) -> None:
    sign_in(made, window, ANNA)
    window.go("/rules/new?kind=weekly")
    window.page.locator("#f-to").fill("22:00")
    window.press("Save", exact=True)
    window.reads("Everything you have entered is still here.")


def rule_releases(made: Exhibit, window: Visitor) -> None:
    sign_in(made, window, EVENINGS, 3)
    window.go("/rules/new?kind=oncall")
    for control, value in (("day1", "2026-11-25"), ("time1", "21:00"), ("day2", "2026-11-26"), ("time2", "08:00")):
        window.page.locator(f"#f-{control}").fill(value)
    window.press("Preview", exact=True)
    window.reads("The result")


def never_reachable(made: Exhibit, window: Visitor) -> None:
    sign_in(made, window, NIGHTS)
    window.go("/rules/new?kind=weekly")
    window.field("Whole day").first.check()
    window.press("Save", exact=True)
    window.reads("After this you are not reachable for a single minute in the next five weeks.")


def rule_delete(made: Exhibit, window: Visitor) -> None:
    sign_in(made, window, ANNA, 3)
    window.go("/rules/windows/0")
    window.press("Delete", exact=True)
    window.reads("The result")


def rhythm_seen(made: Exhibit, window: Visitor) -> None:
    sign_in(made, window, ANNA, 1)
    window.go("/rhythm")
    window.page.locator("[name=d3][value='1']").check()
    window.press("Preview", exact=True)
    window.reads("Not saved yet.")


def rhythm_swapped(made: Exhibit, window: Visitor) -> None:
    sign_in(made, window, ANNA)
    window.go("/rhythm")
    window.press("Swap", exact=True)
    window.reads("Take back")


def rhythm_wrong(made: Exhibit, window: Visitor) -> None:
    sign_in(made, window, None)
    window.go("/rhythm")
    window.page.locator("#f-length").fill("999")
    window.page.locator("#f-before").fill("999")
    window.press("Preview", exact=True)
    window.reads("Not saved yet")


def preset_seen(made: Exhibit, window: Visitor) -> None:
    sign_in(made, window, ANNA)
    window.go("/presets/day_duty")
    window.press("Preview", exact=True)
    window.reads("Not saved yet.")


def roster_seen(made: Exhibit, window: Visitor) -> None:
    sign_in(made, window, ANNA, 1)
    window.go("/roster")
    window.choose("Calendar file (.ics)", ROSTER_SYSTEM)
    window.press("Preview", exact=True)
    window.reads("Not saved yet.")


def roster_wrong(made: Exhibit, window: Visitor) -> None:
    sign_in(made, window, None)
    window.go("/roster")
    window.choose("Calendar file (.ics)", ROSTER_SYSTEM[:-100])
    window.page.locator("#f-last").fill("2026-12-31")
    window.press("Preview", exact=True)
    window.reads("Everything you have entered is still here.")


def conflict(made: Exhibit, window: Visitor) -> None:
    user = sign_in(made, window, NIGHTS)
    window.go("/rules/windows/0")
    made.save(user, {"windows": [{"kind": "weekly", "start": "22:00", "end": "07:00"}]})
    window.page.locator("#f-to").fill("08:00")
    window.press("Save", exact=True)
    window.reads("What you have entered")


def signed_out_while_writing(made: Exhibit, window: Visitor) -> None:
    user = made.officer(NIGHTS)
    session = made.session(user)
    window.sign_in(session.value)
    window.go("/rules/new?kind=weekly")
    made.sign_out(Secret(session.value))
    window.press("Save", exact=True)
    window.reads("You are signed out")


def tested(made: Exhibit, window: Visitor) -> None:
    sign_in(made, window, ANNA)
    window.go("/devices")
    window.press("Wake my devices now")
    expect(window.page.locator(".outcome")).to_be_visible()


def code(made: Exhibit, window: Visitor) -> None:
    sign_in(made, window, ANNA)
    window.go("/account")
    window.press("New code")
    expect(window.page.locator(".code")).to_be_visible()


def traced(made: Exhibit, window: Visitor) -> None:
    user = sign_in(made, window, NIGHTS)
    window.go("/waking")
    window.press("Show what woke my devices")
    made.post(user)
    made.post(user)
    made.post(user, "alarm")
    window.go("/devices")
    window.press("Wake my devices now")
    window.go("/waking")
    expect(window.page.locator("#trace time").last).to_be_visible()


VIEWS: Final[Mapping[str, tuple[str, Show]]] = {
    "login": ("/login", public("/login")),
    "imprint": ("/imprint", public("/imprint")),
    "privacy": ("/privacy", public("/privacy")),
    "accessibility": ("/accessibility", public("/accessibility")),
    "rest-explained": ("/rest", public("/rest")),
    "link": ("/link/{secret}", link),
    "link-refused": ("/link/{secret}", link_refused),
    "login-refused": ("/login/callback", login_refused),
    "deleted": ("/deleted", public("/deleted")),
    "nowhere": ("", public("/nowhere")),
    "main-first": ("/", at("/", None)),
    "main-resting": ("/", at("/", ANNA, 3)),
    "main-reachable": ("/", at("/", DAY_SLEEP)),
    "main-endless": ("/", at("/", ENDLESS, 1)),
    "main-saved": ("/", undone),
    "main-off": ("/", turned_off),
    "main-wrong": ("/off-duty", bad_time),
    "new-weekly": ("/rules/new", at("/rules/new?kind=weekly")),
    "new-dated": ("/rules/new", at("/rules/new?kind=dated")),
    "new-holidays": ("/rules/new", at("/rules/new?kind=holidays")),
    "new-on-call": ("/rules/new", at("/rules/new?kind=oncall")),
    "rule-weekly": ("/rules/{where}/{index}", at("/rules/windows/1")),
    "rule-dated": ("/rules/{where}/{index}", at("/rules/windows/2")),
    "rule-on-call": ("/rules/{where}/{index}", at("/rules/overrides/0")),
    "rule-holidays": ("/rules/{where}/{index}", at("/rules/windows/0", HOLIDAYS)),
    "rule-cron": ("/rules/{where}/{index}", at("/rules/windows/0", CRON)),
    "rule-wrong": ("/rules/new", rule_wrong),
    "rule-releases": ("/rules/new", rule_releases),
    "rule-never-reachable": ("/rules/new", never_reachable),
    "rule-delete": ("/rules/{where}/{index}/delete", rule_delete),
    "rhythm-new": ("/rhythm", at("/rhythm", None)),
    "rhythm": ("/rhythm", at("/rhythm")),
    "rhythm-seen": ("/rules/{where}/{index}", rhythm_seen),
    "rhythm-swapped": ("/rules/{where}/{index}", rhythm_swapped),
    "rhythm-wrong": ("/rhythm", rhythm_wrong),
    "swap": ("/swap", at("/swap")),
    "swap-none": ("/swap", at("/swap", OVER)),
    "presets": ("/presets", at("/presets")),
    "preset": ("/presets/{name}", at("/presets/nights_only")),
    "preset-seen": ("/presets/{name}", preset_seen),
    "roster": ("/roster", at("/roster")),
    "roster-seen": ("/roster", roster_seen),
    "roster-wrong": ("/roster", roster_wrong),
    "conflict": ("/rules/{where}/{index}", conflict),
    "signed-out-while-writing": ("/rules/new", signed_out_while_writing),
    "preview": ("/preview", at("/preview")),
    "devices": ("/devices", at("/devices")),
    "devices-tested": ("/devices", tested),
    "waking": ("/waking", at("/waking")),
    "waking-traced": ("/waking", traced),
    "account": ("/account", at("/account")),
    "account-code": ("/account/code", code),
    "delete": ("/delete", at("/delete")),
}
"""Name → the page of the door that it is of, or the act that has answered, and how it is shown."""


def show(made: Exhibit, window: Visitor, name: str) -> None:
    """Bring a window there, with all that is folded opened."""
    VIEWS[name][1](made, window)
    window.page.evaluate("document.querySelectorAll('details').forEach(details => { details.open = true })")
