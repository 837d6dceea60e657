"""What must not be lost: two tabs, a session that ends while somebody writes, and what an edit does to what waits."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.e2e.web.conftest import Visit, open_page
from tests.e2e.web.premises import HOUR, NIGHTS, Premises, resting
from tests.e2e.web.visitor import Look

pytestmark = [pytest.mark.processes, pytest.mark.needs("chromium")]


@pytest.mark.parametrize("keeps", ["saved", "own"])
def test_of_two_tabs_the_second_chooses(place: Premises, visit: Visit, look: Look, keeps: str) -> None:
    anna = place.officer(NIGHTS)
    window, session = open_page(visit, look, anna, "/rules/windows/0")
    second = window.second()
    second.goto(window.page.url)
    for page, until in ((window.page, "07:00"), (second, "08:00")):
        page.get_by_label(window.say("to"), exact=True).first.fill(until)
        page.get_by_role("button", name=window.say("Save"), exact=True).click()
    expect(second.get_by_role("alert")).to_contain_text(window.say("%(name)s: two versions", name="").strip())
    expect(second.get_by_text("07:00").first).to_be_visible()
    expect(second.get_by_text("08:00").first).to_be_visible()
    assert anna.document(session)["windows"][0]["end"] == "07:00"
    choice = "Keep this one" if keeps == "saved" else "Take this one"
    second.get_by_role("button", name=window.say(choice)).click()
    expect(second).to_have_url(f"{place.url}/{look.language}/" + ("?" if keeps == "saved" else "#status"))
    assert anna.document(session)["windows"][0]["end"] == ("07:00" if keeps == "saved" else "08:00")


def test_a_session_that_ends_while_somebody_writes_costs_no_word(place: Premises, visit: Visit, look: Look) -> None:
    anna = place.officer(NIGHTS)
    window, session = open_page(visit, look, anna, "/rules/new?kind=weekly")
    window.field("Name").fill("Dienstsport")
    window.field("from", exact=True).first.fill("15:00")
    window.field("to", exact=True).first.fill("17:00")
    anna.ask(session, "DELETE", "/v1/me/token", status=204)
    window.press("Save", exact=True)
    window.reads("Nothing was saved yet, but what you have typed is still here. Sign in, then send it again.")
    other = window.second()  # signs in anew, as the link on the page would have it
    other.goto(anna.link())
    other.get_by_role("button", name=window.say("Sign in now")).click()
    expect(other).to_have_url(f"{place.url}/{look.language}/")
    window.press("Send again")
    window.reads("You have signed in again since you opened this form. Nothing was saved yet.")
    window.press("Send again")
    window.press("Take this one")
    window.reads("Saved, in effect now.")
    (cookie,) = window.context.cookies()
    rule = anna.document(cookie["value"])["windows"][1]
    assert (rule["label"], rule["start"], rule["end"]) == ("Dienstsport", "15:00", "17:00")


def test_an_edit_that_lets_out_what_waits_says_so_first_and_then_the_phone_rings(
    place: Premises, visit: Visit, look: Look
) -> None:
    anna = place.officer(resting(4 * HOUR))
    anna.post()
    window, _ = open_page(visit, look, anna)
    window.reads_count("%(num)s message is waiting.", "%(num)s messages are waiting.", 1)
    window.page.get_by_role("link", name=window.say("Change")).first.click()
    window.press("Delete", exact=True)
    window.reads_count(
        "%(num)s message is waiting. With this change it comes at once.",
        "%(num)s messages are waiting. With this change they come at once.",
        1,
    )
    assert anna.times() == 0
    window.press("Delete", exact=True)
    window.reads("Saved, in effect now.")
    anna.rang()
