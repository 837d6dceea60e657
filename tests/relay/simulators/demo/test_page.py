"""The officers' page of the demo: a sample officer, a link that works, and nothing left behind."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from functools import partial
from urllib.parse import urlsplit

import httpx
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from relay.simulators.demo.page import MESSAGES, OFFICER, leave_open, sample
from schedules import compile_table, parse
from schedules.walltime import wall_of

ANY_DAY = st.dates(date(2026, 1, 1), date(2099, 12, 20))


@given(ANY_DAY)
def test_today_is_a_free_day_and_tomorrow_begins_early(today: date) -> None:
    rules = parse(sample(today))
    noon = rules.zone.opens(wall_of(datetime.combine(today, time(12))))
    rest = compile_table(rules, noon).at(noon)
    assert rest.resting
    assert rest.until is not None
    assert datetime.fromtimestamp(rules.zone.wall(rest.until), UTC).time() == time(5, 30)
    assert 16 * 3600 <= rest.until - noon <= 19 * 3600, "the clock may change that night"


@pytest.mark.processes
async def test_the_page_is_open_for_the_sample_officer_until_it_is_ended() -> None:
    said: list[str] = []
    into, links = trio.open_memory_channel[str](5)
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(leave_open, said.append, lambda _line: None, into.send_nowait))
            address = await links.receive()
            parts = urlsplit(address)
            origin = f"{parts.scheme}://{parts.netloc}"
            usual = {"accept-language": "en", "content-type": "application/x-www-form-urlencoded"}
            async with httpx.AsyncClient(trust_env=False, headers=usual) as browser:
                offered = await browser.get(address)
                assert offered.status_code == 200
                signed_in = await browser.post(address, headers={"origin": origin}, follow_redirects=True)
                assert signed_in.status_code == 200
                assert f"{MESSAGES} messages are waiting" in signed_in.text
                assert "Dienst-Handy" in (await browser.get(f"{origin}/en/devices")).text
                again = await browser.post(address, headers={"origin": origin})
                assert again.status_code == 403
            nursery.cancel_scope.cancel()
    assert any(address in line for line in said)
    assert sum("wakeup at" in line and line.endswith("accepted") for line in said) == 2, f"{OFFICER}'s alarm"
    async with httpx.AsyncClient(trust_env=False) as browser:
        with pytest.raises(httpx.ConnectError):
            await browser.get(origin)
