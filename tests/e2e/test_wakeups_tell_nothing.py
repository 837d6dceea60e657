"""I3, byte by byte: wakeups of people with quite different rest differ in token, life step and provider token only."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import trio
from trio.testing import MockClock

from relay.clock import TrioClock
from relay.config_file import read
from relay.core.life import LADDER
from relay.simulators.apns import FakeApns
from relay.simulators.certificates import Authority, provider_key
from relay.simulators.commands import KEY_ID, TEAM_ID, TOPIC
from relay.simulators.journal import Entry
from relay.simulators.provider_token import TeamKey
from tests.e2e.client import Client, client
from tests.e2e.in_memory import relay_in_memory
from tests.e2e.installation import Installation, install, register, set_rest
from tests.e2e.phones import token

START = datetime(2026, 11, 24, 20, 40, tzinfo=UTC)
"""A Tuesday, 21:40 in Berlin."""
MAY_DIFFER = {b":path", b"authorization", b"apns-expiration"}
FIRST = 3
"""Requests of a connection until its header table is settled (P4)."""
DATA, HEADERS = 0, 1
END_OF_HEADERS, END_OF_STREAM = 4, 1


def every_day(start: str, minutes: int) -> dict[str, object]:
    hour, minute = start.split(":")
    return {"kind": "cron", "start": f"{int(minute)} {int(hour)} * * *", "duration_minutes": minutes}


def once(start: timedelta, end: timedelta) -> dict[str, object]:
    return {"kind": "once", "start": (START + start).isoformat(), "end": (START + end).isoformat()}


PEOPLE: Mapping[str, list[dict[str, object]]] = {
    "nobodys-business": [],
    "night": [every_day("22:00", 60)],
    "night-and-some-minutes": [every_day("22:07", 61)],
    "night-and-nap": [every_day("22:00", 60), every_day("23:30", 20)],
    "late-shift": [every_day("12:00", 480)],
    "early-shift": [every_day("03:00", 480)],
    "leave-soon": [once(timedelta(minutes=20), timedelta(hours=2))],
    "leave-at-any-moment": [once(timedelta(minutes=4), timedelta(hours=3))],
    "back-soon": [once(timedelta(days=-9), timedelta(minutes=50))],
    "on-leave": [once(timedelta(days=-1), timedelta(days=3))],
}
"""Name → rest."""


async def test_wakeups_tell_nothing(tmp_path: Path, autojump_clock: MockClock) -> None:
    """P1 to P4, P11 and P12, from the doors to what arrives at Apple, through an evening."""
    clock = TrioClock(START.timestamp())
    private, public = provider_key()
    apns = FakeApns({KEY_ID: TeamKey(team_id=TEAM_ID, key_id=KEY_ID, public_pem=public)}, {TOPIC}, clock.now)
    relay = installed(tmp_path, private)
    async with relay_in_memory(read(relay.config), clock, apns) as (door, line):
        async with client(door.connect, relay.backend) as backend, client(door.connect, relay.settings) as settings:
            for number, (name, windows) in enumerate(PEOPLE.items()):
                await register(backend, name, token(2 * number), token(2 * number + 1))
                if windows:
                    await set_rest(settings, name, *windows)
            await an_evening(backend, apns)
        sent = [tap.sent for tap in line.taps]

    entries = apns.journal.entries
    assert not apns.journal.violations
    assert {entry.token for entry in entries} == {token(n) for n in range(2 * len(PEOPLE))}, "somebody was not woken"
    assert {entry.status for entry in entries} == {200, 429, 500, 503}
    the_content_is_constant(entries)
    the_life_is_a_step_of_the_ladder(entries)
    the_provider_token_follows_time_only(entries)
    secrets_enter_no_table(entries)
    frames_have_one_shape(entries, sent)


def installed(folder: Path, private: bytes) -> Installation:
    """An installation whose provider key the fake knows."""
    (folder / "AuthKey.p8").write_bytes(private)
    (folder / "ca.pem").write_bytes(Authority().pem)
    relay = install(folder)
    relay.configure(443, folder, posts_seen=True)
    return relay


async def an_evening(backend: Client, apns: FakeApns) -> None:
    """All that makes wakeups: one event and many, alarms, own lives, failures, lost connections, mornings, echoes."""
    answers = {await tell(backend, {"user": name}) for name in PEOPLE}
    assert len(answers) == 1, "an answer tells whether somebody rests"
    await trio.sleep(60)
    for name in PEOPLE:
        for event_class in ("message", "roster", "message"):
            await tell(backend, {"user": name, "class": event_class})
    await tell(backend, {"users": ["nobodys-business"], "ttl": 1800})
    await trio.sleep(400)
    for failure in ((503, "ServiceUnavailable"), (500, "InternalServerError"), (429, "TooManyRequests")):
        apns.injections.answers += [failure] * 5
        await tell(backend, {"users": list(PEOPLE)})
        await trio.sleep(120)
    for key in ("first", "second"):
        alarm = {"users": list(PEOPLE), "class": "alarm", "role": "dispatch", "reason": "incident"}
        await tell(backend, alarm, key)
        await trio.sleep(30)
        apns.cut()
    for _ in range(12):
        await trio.sleep(1200)
        await tell(backend, {"users": list(PEOPLE)})


async def tell(backend: Client, event: Mapping[str, object], key: str = "") -> tuple[object, ...]:
    """Post an event on a connection of its own; return the whole answer."""
    await backend.aclose()
    answer = await backend.ask("POST", "/v1/events", event, {"idempotency-key": key} if key else None)
    assert answer.status == 202, answer
    return answer.status, tuple(answer.headers.items()), answer.body


def the_content_is_constant(entries: list[Entry]) -> None:
    """P1, P2, P3: one body, one list of names, and one value of each but three."""
    assert len({entry.body for entry in entries}) == 1
    (names,) = {tuple(name for name, _ in entry.headers) for entry in entries}
    assert len(names) == len(set(names))
    assert b"apns-id" not in names
    for name in set(names) - MAY_DIFFER:
        assert len({entry.value(name) for entry in entries}) == 1, name
    for entry in entries:
        assert entry.value(b":path") == b"/3/device/" + entry.token.encode()


def the_life_is_a_step_of_the_ladder(entries: list[Entry]) -> None:
    """P2: an expiration tells which of seven lives it is, and the five minutes of sending; nothing of a schedule."""
    seen = set()
    for entry in entries:
        value = int(entry.value(b"apns-expiration"))
        steps = [step for step in LADDER if int(entry.t + step) // 300 * 300 == value] if value else [0]
        assert steps, "an expiration that is no step of the ladder"
        seen.update(steps)
    assert seen == {0, *LADDER}, "too few different lives to prove anything"


def the_provider_token_follows_time_only(entries: list[Entry]) -> None:
    """P2: at any time one token for everybody; a new one no sooner than Apple allows, an old one never again."""
    changes = entries[:1]
    for entry in entries:
        if entry.value(b"authorization") != changes[-1].value(b"authorization"):
            changes.append(entry)
    assert len(changes) == len({entry.value(b"authorization") for entry in entries}) > 2
    assert all(later.t - earlier.t >= 1200 for earlier, later in pairwise(changes))


def secrets_enter_no_table(entries: list[Entry]) -> None:
    """Token and provider token are literals that no intermediary may index."""
    for entry in entries:
        forms = dict(zip((name for name, _ in entry.headers), entry.forms, strict=True))
        assert forms[b":path"] == forms[b"authorization"] == "never"


def frames_have_one_shape(entries: list[Entry], sent: list[bytes]) -> None:
    """P4: a request is one HEADERS and one DATA, of the same lengths for everybody who is not "now or never"."""
    now_or_never = {(e.connection, e.stream) for e in entries if e.value(b"apns-expiration") == b"0"}
    first = {(e.connection, e.stream) for e in entries if e.stream < 2 * FIRST}
    lengths = {e.block_bytes for e in entries if (e.connection, e.stream) not in now_or_never | first}
    assert len(lengths) == 1
    shapes = {shape for data in sent for shape in shapes_of(data)}
    assert {(HEADERS, END_OF_HEADERS), (DATA, END_OF_STREAM)} == {(kind, flags) for kind, flags, _ in shapes}
    assert len({length for kind, _, length in shapes if kind == DATA}) == 1


def shapes_of(sent: bytes) -> set[tuple[int, int, int]]:
    """(kind, flags, length) of every frame on a stream."""
    shapes = set()
    position = sent.index(b"SM\r\n\r\n") + 6
    while position < len(sent):
        high, low, kind, flags, stream = struct.unpack_from(">BHBBI", sent, position)
        length = high << 16 | low
        if stream:
            shapes.add((kind, flags, length))
        position += 9 + length
    return shapes
