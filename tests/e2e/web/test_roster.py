"""A duty roster with a browser: a file is chosen, seen, saved, and replaced by the next one."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from playwright.sync_api import expect

from tests.e2e.web.conftest import Visit, open_page
from tests.e2e.web.premises import NIGHTS, Premises
from tests.e2e.web.visitor import Look
from tests.schedules.calendars import calendar, event

pytestmark = [pytest.mark.processes, pytest.mark.needs("chromium")]

TODAY = date.today()


def duty_day(ahead: int) -> date:
    return TODAY + timedelta(days=ahead)


def duty(ahead: int, *lines: str) -> str:
    """06:00 to 14:00, so many days from today."""
    day = duty_day(ahead)
    return event(f"{day:%Y%m%d}T060000", f"{day:%Y%m%d}T140000", "SUMMARY:F", *lines)


def test_a_roster_is_seen_and_then_saved(place: Premises, visit: Visit, look: Look) -> None:
    anna = place.officer(NIGHTS)
    window, session = open_page(visit, look, anna)
    window.follow("Presets", exact=True)
    window.follow("Duty roster")
    window.choose("Calendar file (.ics)", b"%PDF-1.7")
    window.press("Preview", exact=True)
    expect(window.page.locator("#e-file")).to_be_visible()
    window.choose("Calendar file (.ics)", calendar(duty(2), duty(5), duty(9, "RRULE:FREQ=MONTHLY")))
    window.press("Preview", exact=True)
    window.reads("Not saved yet.")
    window.reads_count(
        "%(num)s entry that recurs otherwise than daily or weekly.",
        "%(num)s entries that recur otherwise than daily or weekly.", 1,
    )  # fmt: skip
    assert len(anna.document(session)["windows"]) == 1
    window.page.locator("#f-before").fill("60")
    window.press("Preview", exact=True)
    window.press("Save", exact=True)
    window.reads("Saved, in effect now.")
    made, nights = anna.document(session)["windows"]
    assert (nights["kind"], made["id"], made["lead_minutes"]) == ("weekly", "ics", 60)
    anchor = date.fromisoformat(made["anchor"])
    days = [anchor + timedelta(days=n) for n, shift in enumerate(made["days"]) if shift == "F"]
    assert days == [duty_day(2), duty_day(5)]
    window.follow("Swap a shift")
    expect(window.page.get_by_role("radio", name="F", exact=True)).to_be_visible()
