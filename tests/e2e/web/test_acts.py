"""The main page with a browser: off duty now, reachable now, and back again, and everything off."""

from __future__ import annotations

import time
from datetime import date, timedelta

import pytest
from playwright.sync_api import expect

from tests.e2e.web.conftest import Visit, open_page
from tests.e2e.web.premises import HOUR, NIGHTS, Premises, instant, resting
from tests.e2e.web.visitor import Look

pytestmark = [pytest.mark.processes, pytest.mark.needs("chromium")]


def test_off_duty_now_for_eleven_hours_and_back(place: Premises, visit: Visit, look: Look) -> None:
    anna = place.officer(NIGHTS)
    before = int(time.time())
    window, session = open_page(visit, look, anna)
    window.press_count("%(num)s hour", "%(num)s hours", 11)
    window.reads("Saved, in effect now.")
    expect(window.now).to_contain_text(window.say("Rest until"))
    (override,) = anna.document(session)["overrides"]
    assert override["kind"] == "rest"
    end = instant(override["end"])  # it is offered when the page is made, and may be pressed in the next second
    assert end % 60 == 0
    assert before + 11 * HOUR <= end < instant(override["start"]) + 11 * HOUR + 60, "whole minutes, and never less"
    window.press("Undo")
    window.reads("Undone, in effect now.")
    assert "overrides" not in anna.document(session)
    window.press("Redo")
    window.reads("Saved, in effect now.")
    assert anna.document(session)["overrides"] == [override]


def test_off_duty_until_a_time_of_ones_own_and_what_is_wrong_stands_beside_it(
    place: Premises, visit: Visit, look: Look
) -> None:
    anna = place.officer({"windows": [{"kind": "weekly", "start": "12:00", "end": "12:15"}]})
    window, session = open_page(visit, look, anna)
    window.unfold("Other time")
    form = window.page.locator("form").filter(has=window.button("Off duty", exact=True))
    form.get_by_label(window.say("until")).fill("2026-01-05")
    form.get_by_label(window.say("at"), exact=True).fill("05:45")
    window.press("Off duty", exact=True)
    expect(form.get_by_role("alert")).to_have_text(window.say("Please give a day and a time that are still to come."))
    expect(form.get_by_label(window.say("until"))).to_have_attribute("aria-invalid", "true")
    expect(form.get_by_label(window.say("at"), exact=True)).to_have_value("05:45")
    day = date.today() + timedelta(days=3)
    form.get_by_label(window.say("until")).fill(day.isoformat())
    window.press("Off duty", exact=True)
    window.reads("Saved, in effect now.")
    expect(window.now).to_contain_text("05:45")
    (override,) = anna.document(session)["overrides"]
    assert time.strftime("%Y-%m-%d", time.gmtime(instant(override["end"]))) == day.isoformat()


def test_reachable_now_ends_this_rest_and_no_other(place: Premises, visit: Visit, look: Look) -> None:
    anna = place.officer(resting())
    window, session = open_page(visit, look, anna)
    expect(window.now).to_contain_text(window.say("Rest until"))
    anna.post()
    window.go()
    window.reads_count("%(num)s message is waiting.", "%(num)s messages are waiting.", 1)
    window.press("Reachable now")
    expect(window.now).to_contain_text(window.say("Reachable"))
    anna.rang()
    kept = anna.document(session)
    (override,) = kept["overrides"]
    assert override["kind"] == "reachable"
    assert instant(override["end"]) == instant(kept["windows"][0]["end"])


def test_one_tap_turns_everything_off_and_one_turns_it_on_again(place: Premises, visit: Visit, look: Look) -> None:
    anna = place.officer(resting())
    window, session = open_page(visit, look, anna)
    before = anna.document(session)
    window.press("Turn everything off")
    expect(window.now).to_contain_text(window.say("Everything is turned off. Your rules are kept."))
    anna.post()
    anna.rang()
    assert anna.document(session)["windows"] == before["windows"]
    window.press("Turn on again")
    expect(window.now).to_contain_text(window.say("Rest until"))
    assert anna.document(session)["windows"] == before["windows"]
    assert not anna.document(session).get("overrides")


def test_who_has_no_rule_yet_is_told_that_nothing_is_a_must(place: Premises, visit: Visit, look: Look) -> None:
    window, _ = open_page(visit, look, place.officer())
    expect(window.now).to_contain_text(window.say("You have no rest time yet."))
    window.reads("Nothing is compulsory.")
    window.press_count("%(num)s hour", "%(num)s hours", 11)
    expect(window.now).to_contain_text(window.say("Rest until"))
    window.press("Undo")
    expect(window.now).to_contain_text(window.say("You have no rest time yet."))
