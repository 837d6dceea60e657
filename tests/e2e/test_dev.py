"""`feierabend dev`: what it prints works as it stands, and its clock is the wall clock of the printed rest."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
import trio

from relay.simulators import dev
from tests.e2e.client import client
from tests.e2e.processes import Child, running


@pytest.mark.processes
async def test_dev_once_posts_an_event_shows_its_wakeup_and_exits() -> None:
    async with running("dev", "--once", "--port", "0") as trial:
        assert await trial.ended() == 0
    assert any(re.fullmatch(r'posted one event: \{"accepted": 1, "unknown": 0\}', line) for line in trial.lines)
    assert len(wakeups(trial, "APNs")) == len(wakeups(trial, "FCM")) == 1


@pytest.mark.processes
async def test_at_half_past_ten_the_printed_rest_holds_a_message_back_and_an_alarm_passes() -> None:
    async with running("dev", "--port", "0", "--at", "22:30", zone="Pacific/Auckland") as trial:
        await trial.line("Ctrl-C ends")
        said = await trial.line("Its clock reads")
        assert "reads 22:30:" in said
        assert "all times are those of Europe/Berlin" in said
        lines = printed(trial)
        assert [*lines] == ["devices/iphone", "devices/android", "rest", "events", "alarm", "seen"]
        for name, expected in (
            ("devices/iphone", {"evicted": 0}),
            ("devices/android", {"evicted": 0}),
            ("rest", {"version": 3}),
            ("events", {"accepted": 1, "unknown": 0}),
            ("alarm", {"accepted": 1, "unknown": 0}),
        ):
            answer = await run(lines[name])
            assert ("receipt" in answer) is (name == "alarm")
            assert {key: value for key, value in answer.items() if key != "receipt"} == expected
        assert re.match(r"22:3\d:\d\d  wakeup at APNs, token …cdef, .*: accepted$", await trial.line("wakeup at APNs"))
        assert re.match(r"22:3\d:\d\d  wakeup at FCM, token …cdef, ttl \d+s: accepted$", await trial.line("at FCM"))
        assert await run(lines["seen"]) == {}
        trial.interrupt()
        assert await trial.ended() == 0
    assert len(wakeups(trial, "APNs")) == len(wakeups(trial, "FCM")) == 1, "a message woke somebody in rest"


@pytest.mark.processes
async def test_five_minutes_before_the_printed_rest_a_wakeup_leaves_that_does_not_outlive_them() -> None:
    async with running("dev", "--port", "0", "--at", "21:55", zone="America/Los_Angeles") as trial:
        await trial.line("Ctrl-C ends")
        lines = printed(trial)
        for name in ("devices/iphone", "devices/android", "rest", "events"):
            await run(lines[name])
        wakeup = await trial.line("wakeup at APNs")
        at, expiration = re.findall(r"^(\d\d:\d\d):\d\d .*expiration (\d+)", wakeup)[0]
        assert at in ("21:55", "21:56")
        assert expiration == "0" or wall(int(expiration)) <= "22:00"
        assert int(re.findall(r"ttl (\d+)s", await trial.line("wakeup at FCM"))[0]) <= 300


def printed(trial: Child) -> dict[str, str]:
    """The lines to try, by the last part of their path; two go to the events: a message, then an alarm."""
    found = {}
    for line in trial.lines:
        if line.strip().startswith("curl "):
            path = urlsplit(next(word for word in shlex.split(line) if word.startswith("http"))).path
            name = path.removeprefix("/v1/").removeprefix("users/anna/")
            found["alarm" if name in found else name] = line.strip()
    return found


async def run(line: str) -> Any:  # noqa: ANN401 (JSON)
    """Run a printed line in a shell, as a reader would; by other means where there is no curl. The answer's content."""
    if shutil.which("curl"):
        done = await trio.run_process(["sh", "-c", line], capture_stdout=True, stdin=subprocess.DEVNULL)
        return json.loads(done.stdout)
    words = iter(shlex.split(line.replace("$(date +%s)", str(int(time.time())))))
    method, url, body, headers = "POST", "", "", {}
    for word in words:
        if word == "-X":
            method = next(words)
        elif word == "-H":
            name, _, value = next(words).partition(": ")
            headers[name] = value
        elif word == "-d":
            body = next(words)
        elif word.startswith("http"):
            url = word
    parts = urlsplit(url)
    async with client(parts.port or 80) as asking:
        return (await asking.ask(method, parts.path, body.encode(), headers)).json()


def wakeups(trial: Child, provider: str) -> list[str]:
    return [line for line in trial.lines if f"wakeup at {provider}" in line]


def wall(instant: float) -> str:
    """HH:MM in Berlin, by the rule for its offset: summer time from the last Sunday of March to that of October."""
    moment = datetime.fromtimestamp(instant, UTC)
    turns = [datetime(moment.year, month, 31, 1, tzinfo=UTC) for month in (3, 10)]
    spring, autumn = (turn - timedelta(days=turn.isoweekday() % 7) for turn in turns)
    return (moment + timedelta(hours=2 if spring <= moment < autumn else 1)).strftime("%H:%M")


@pytest.mark.parametrize(
    ("now", "at", "then"),
    [
        ("2026-11-24T12:00:00Z", "21:55", "2026-11-24T20:55:00Z"),
        ("2026-07-01T12:00:00Z", "21:55", "2026-07-01T19:55:00Z"),
        ("2026-11-24T22:59:59Z", "06:00", "2026-11-24T05:00:00Z"),
        ("2026-11-24T23:00:00Z", "06:00", "2026-11-25T05:00:00Z"),
        ("2026-03-29T12:00:00Z", "02:30", "2026-03-29T01:00:00Z"),
        ("2026-11-24T12:00:00.5Z", "00:00", "2026-11-23T23:00:00Z"),
    ],
)
def test_at_means_that_time_of_today_on_the_wall_in_berlin(now: str, at: str, then: str) -> None:
    """Today is Berlin's today; a time that a clock change leaves out is when the clock goes on."""
    instant = datetime.fromisoformat(now).timestamp()
    assert instant + dev.offset(at, instant) == datetime.fromisoformat(then).timestamp()


@pytest.mark.parametrize("at", ["24:00", "21:60", "9 pm", "", "21:55:00"])
def test_at_must_be_a_time(at: str) -> None:
    with pytest.raises(ValueError, match=r"like 21:55"):
        dev.offset(at, 0.0)
