"""The rhythm with a browser: seen before it is saved, its hint, and a shift swapped in three taps."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import pytest
from playwright.sync_api import expect

from tests.e2e.web.conftest import Visit, open_page
from tests.e2e.web.premises import NIGHTS, Premises
from tests.e2e.web.visitor import Look

pytestmark = [pytest.mark.processes, pytest.mark.needs("chromium")]

SHIFTS: Mapping[str, object] = {
    "F": {"start": "06:00", "end": "14:00"}, "S": {"start": "14:00", "end": "22:00"},
}  # fmt: skip


def test_a_rhythm_is_seen_with_its_hint_and_then_saved(place: Premises, visit: Visit, look: Look) -> None:
    anna = place.officer(NIGHTS)
    window, session = open_page(visit, look, anna)
    window.follow("Rhythm", exact=True)
    early, late = window.say("Early"), window.say("Late")
    day = window.page.get_by_role("radio", name=window.say("Day %(number)s %(shift)s", number=3, shift=early))
    day.check()  # after late comes early: eight hours
    window.press("Preview", exact=True)
    window.reads("Not saved yet.")
    expect(window.page.get_by_role("note").first).to_contain_text(window.say("Only for you:"))
    expect(day).to_be_checked()
    assert len(anna.document(session)["windows"]) == 1
    window.press("Save", exact=True)
    window.reads("Saved, in effect now.")
    cycle = anna.document(session)["windows"][1]
    assert (cycle["kind"], cycle["days"]) == ("cycle", [early, late, early, "-", "-"])


def test_a_shift_is_swapped_in_three_taps(place: Premises, visit: Visit, look: Look) -> None:
    cycle = {"kind": "cycle", "anchor": date.today().isoformat(), "days": ["F", "S", "-", "-"], "shifts": SHIFTS}
    anna = place.officer({"windows": [cycle]})
    window, session = open_page(visit, look, anna)
    window.follow("Swap a shift")
    window.page.get_by_role("radio", name=window.say("free")).check()
    window.press("Save", exact=True)
    window.reads("Saved, in effect now.")
    (swap,) = anna.document(session)["windows"][0]["swaps"]
    assert swap["shift"] == "-"
    assert abs((date.fromisoformat(swap["date"]) - date.today()).days) <= 1, "by the officer's clock"
