"""What a request must look like (A-04 to A-10, A-13), each rule through a connection and not on its function alone."""

from __future__ import annotations

from itertools import combinations
from typing import Final

import pytest
from trio.testing import MockClock

from tests.relay.simulators.h2_client import Answer, connected
from tests.relay.simulators.wakeups import BODY, DEVICE, START, TOKEN, TOPIC, fake_apns, wakeup

Changes = dict[str, str | None]
UUID: Final = "123e4567-e89b-12d3-a456-4266554400a0"

TYPES: Final = {
    "alert": "",
    "background": "",
    "complication": ".complication",
    "controls": ".push-type.controls",
    "fileprovider": ".pushkit.fileprovider",
    "liveactivity": ".push-type.liveactivity",
    "location": ".location-query",
    "mdm": "",
    "pushtotalk": ".voip-ptt",
    "voip": ".voip",
    "widgets": ".push-type.widgets",
}
"""Apple's list of push types, and what each adds to the bundle id."""


async def asked(changes: Changes, body: bytes = BODY, more: tuple[tuple[str, str], ...] = ()) -> Answer:
    """The answer to one request on a new connection to a new fake; its journal must say the same."""
    fake = fake_apns()
    async with connected(fake) as client:
        answer = await client.ask(wakeup(TOKEN, *more, **changes), body)
    [entry] = fake.journal.entries
    assert (entry.status, entry.reason) == answer.verdict
    assert bool(fake.registry.phones) == (answer.status == 200 and not entry.notes)
    return answer


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        #
        ({"apns_id": ""}, (400, "BadMessageId")),
        ({"apns_id": UUID.upper()}, (400, "BadMessageId")),
        ({"apns_id": UUID.replace("e", "E", 1)}, (400, "BadMessageId")),
        ({"apns_id": UUID.replace("-", "")}, (400, "BadMessageId")),
        ({"apns_id": UUID + "0"}, (400, "BadMessageId")),
        ({"apns_id": f"{{{UUID}}}"}, (400, "BadMessageId")),
        #
        ({"method": "GET"}, (405, "MethodNotAllowed")),
        ({"method": "PUT"}, (405, "MethodNotAllowed")),
        ({"method": "post"}, (405, "MethodNotAllowed")),
        ({"method": None}, (405, "MethodNotAllowed")),
        #
        ({"path": None}, (404, "BadPath")),
        ({"path": "/"}, (404, "BadPath")),
        ({"path": "/3/device"}, (404, "BadPath")),
        ({"path": f"/2/device/{DEVICE}"}, (404, "BadPath")),
        ({"path": f"/3/devices/{DEVICE}"}, (404, "BadPath")),
        ({"path": f"//3/device/{DEVICE}"}, (404, "BadPath")),
        ({"path": "/3/device/"}, (400, "MissingDeviceToken")),
        ({"path": "/3/device/" + "a" * 63}, (400, "BadDeviceToken")),
        ({"path": "/3/device/" + "a" * 65}, (400, "BadDeviceToken")),
        ({"path": "/3/device/" + "a" * 62}, (400, "BadDeviceToken")),
        ({"path": "/3/device/" + "a" * 202}, (400, "BadDeviceToken")),
        ({"path": "/3/device/" + "g" * 64}, (400, "BadDeviceToken")),
        ({"path": f"/3/device/{DEVICE}/"}, (400, "BadDeviceToken")),
        ({"path": f"/3/device/{DEVICE}?a=b"}, (400, "BadDeviceToken")),
        #
        ({"apns_topic": None}, (400, "MissingTopic")),
        ({"apns_topic": ""}, (400, "BadTopic")),
        ({"apns_topic": "example feierabend"}, (400, "BadTopic")),
        ({"apns_topic": "example.für.app"}, (400, "BadTopic")),
        ({"apns_topic": "a" * 256}, (400, "BadTopic")),
        ({"apns_topic": "example.other.app"}, (400, "TopicDisallowed")),
        ({"apns_topic": TOPIC.upper()}, (400, "TopicDisallowed")),
        ({"apns_topic": TOPIC + ".beta"}, (400, "TopicDisallowed")),
        ({"apns_topic": "example.other.app.voip", "apns_push_type": "voip"}, (400, "TopicDisallowed")),
        #
        ({"apns_push_type": ""}, (400, "InvalidPushType")),
        ({"apns_push_type": "Alert"}, (400, "InvalidPushType")),
        ({"apns_push_type": "silent"}, (400, "InvalidPushType")),
        ({"apns_push_type": "background", "apns_priority": "10"}, (400, "BadPriority")),
        #
        ({"apns_priority": ""}, (400, "BadPriority")),
        ({"apns_priority": "0"}, (400, "BadPriority")),
        ({"apns_priority": "7"}, (400, "BadPriority")),
        ({"apns_priority": "010"}, (400, "BadPriority")),
        ({"apns_priority": "high"}, (400, "BadPriority")),
        ({"apns_collapse_id": "c" * 65}, (400, "BadCollapseId")),
        ({"apns_collapse_id": "ü" * 33}, (400, "BadCollapseId")),
        ({"apns_expiration": ""}, (400, "BadExpirationDate")),
        ({"apns_expiration": "-1"}, (400, "BadExpirationDate")),
        ({"apns_expiration": "1.5"}, (400, "BadExpirationDate")),
        ({"apns_expiration": "tomorrow"}, (400, "BadExpirationDate")),
        ({"apns_expiration": "1800000000000"}, (400, "BadExpirationDate")),
        #
        ({"content_encoding": "gzip"}, (400, "PayloadEmpty")),
    ],
    ids=str,
)
async def test_a_field_that_is_wrong_is_refused_with_its_reason(
    autojump_clock: MockClock, changes: Changes, verdict: tuple[int, str]
) -> None:
    assert (await asked(changes)).verdict == verdict


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"apns_id": UUID},
        {"path": "/3/device/" + "0f" * 100},
        {"path": "/3/device/" + DEVICE.upper()},
        {"apns_push_type": None},
        {"apns_priority": None},
        {"apns_priority": "1"},
        {"apns_priority": "5"},
        {"apns_push_type": "background", "apns_priority": "5"},
        {"apns_collapse_id": None},
        {"apns_collapse_id": "c" * 64},
        {"apns_collapse_id": "ü" * 32},
        {"apns_expiration": None},
        {"apns_expiration": "0"},
        {"apns_expiration": "9999999999"},
    ],
    ids=str,
)
async def test_what_is_just_allowed_is_accepted(autojump_clock: MockClock, changes: Changes) -> None:
    assert (await asked(changes)).verdict == (200, "")


@pytest.mark.parametrize(
    "field",
    [
        ("apns-id", UUID),
        ("apns-topic", TOPIC),
        ("apns-push-type", "alert"),
        ("apns-priority", "5"),
        ("apns-expiration", "0"),
        ("apns-collapse-id", "x"),
        ("authorization", f"bearer {TOKEN}"),
        ("apns-new-in-some-year", "1"),
    ],
    ids=lambda field: field[0],
)
async def test_an_apns_field_may_come_once_only(autojump_clock: MockClock, field: tuple[str, str]) -> None:
    """A-07; also for fields this fake does not know yet, and whether the two agree or not."""
    once = {field[0].replace("-", "_"): field[1]}
    assert (await asked(dict(once), more=(field,))).verdict == (400, "DuplicateHeaders")


async def test_other_fields_may_come_twice(autojump_clock: MockClock) -> None:
    assert (await asked({}, more=(("user-agent", "a"), ("user-agent", "b")))).status == 200


@pytest.mark.parametrize("kind", TYPES)
async def test_each_push_type_takes_its_own_topic(autojump_clock: MockClock, kind: str) -> None:
    changes: Changes = {"apns_push_type": kind, "apns_topic": TOPIC + TYPES[kind], "apns_priority": "5"}
    assert (await asked(changes)).status == 200


@pytest.mark.parametrize("kind", TYPES)
async def test_no_push_type_takes_the_topic_of_another(autojump_clock: MockClock, kind: str) -> None:
    for suffix in set(TYPES.values()) - {TYPES[kind]}:
        answer = await asked({"apns_push_type": kind, "apns_topic": TOPIC + suffix, "apns_priority": "5"})
        assert answer.verdict == (400, "BadTopic"), suffix


async def test_without_a_push_type_it_is_an_alert(autojump_clock: MockClock) -> None:
    assert (await asked({"apns_push_type": None, "apns_topic": TOPIC + ".voip"})).verdict == (400, "BadTopic")


def sized(size: int) -> bytes:
    empty = b'{"aps":{"alert":""}}'
    return empty.replace(b'""', b'"' + b"x" * (size - len(empty)) + b'"')


@pytest.mark.parametrize(
    ("kind", "size", "verdict"),
    [
        ("alert", 4096, (200, "")),
        ("alert", 4097, (413, "PayloadTooLarge")),
        ("voip", 5120, (200, "")),
        ("voip", 5121, (413, "PayloadTooLarge")),
        ("alert", 0, (400, "PayloadEmpty")),
    ],
)
async def test_a_body_has_at_least_a_byte_and_at_most_4096(
    autojump_clock: MockClock, kind: str, size: int, verdict: tuple[int, str]
) -> None:
    """5120 for voip."""
    changes: Changes = {"apns_push_type": kind, "apns_topic": TOPIC + TYPES[kind]}
    assert (await asked(changes, sized(size) if size else b"")).verdict == verdict


NO_OBJECTS: Final = {
    "a word": b"x",
    "list": b"[]",
    "number": b"1",
    "unfinished": b"{",
    "something behind": b'{"aps":{}}}',
    "NaN": b'{"aps":NaN}',
    "single quotes": b"{'aps':{}}",
    "not UTF-8": b'{"\xff":1}',
    "UTF-16": '{"aps":{}}'.encode("utf-16"),
    "deeply nested": b"[" * 4000,
}


@pytest.mark.parametrize("what", NO_OBJECTS)
async def test_a_body_that_is_no_json_object_is_refused_and_noted_as_a_breach(
    autojump_clock: MockClock, what: str
) -> None:
    """Undocumented at Apple, so the reason can be chosen."""
    for reason in ("PayloadEmpty", "BadPayload"):
        fake = fake_apns(not_json=reason)
        async with connected(fake) as client:
            assert (await client.ask(wakeup(), NO_OBJECTS[what])).verdict == (400, reason)
        assert fake.journal.violations == {"not_json": 1}


async def test_an_empty_body_is_no_breach(autojump_clock: MockClock) -> None:
    fake = fake_apns()
    async with connected(fake) as client:
        await client.ask(wakeup(), b"")
    assert not fake.journal.violations


@pytest.mark.parametrize(
    ("kind", "body", "doubts"),
    [
        ("alert", b'{"aps":{"alert":"x"}}', ()),
        ("alert", b'{"aps":{"badge":1}}', ()),
        ("alert", b'{"aps":{"sound":"x"}}', ()),
        ("alert", b'{"aps":{"content-available":1}}', ("alert_without_alert",)),
        ("alert", b'{"aps":7}', ("alert_without_alert",)),
        ("alert", b"{}", ("alert_without_alert",)),
        ("background", b'{"aps":{"content-available":1}}', ()),
        ("background", b'{"aps":{"content-available":1,"alert":"x"}}', ("background_with_alert",)),
        ("background", b'{"aps":{"badge":1}}', ("background_with_alert",)),
        ("voip", b"{}", ()),
    ],
)
async def test_a_body_that_does_not_fit_its_type_is_accepted_and_dropped(
    autojump_clock: MockClock, kind: str, body: bytes, doubts: tuple[str, ...]
) -> None:
    """A-09: Apple may drop it altogether, so no phone here is woken by it."""
    fake = fake_apns()
    async with connected(fake) as client:
        headers = wakeup(apns_push_type=kind, apns_topic=TOPIC + TYPES[kind], apns_priority="5")
        assert (await client.ask(headers, body)).status == 200
    assert fake.journal.entries[0].notes == doubts
    assert bool(fake.registry.phones) == (not doubts)


LADDER: Final[list[tuple[str, Changes | bytes | tuple[str, str]]]] = [
    ("BadMessageId", {"apns_id": "x"}),
    ("MethodNotAllowed", {"method": "GET"}),
    ("BadDeviceToken", {"path": "/3/device/x"}),
    ("DuplicateHeaders", ("apns-request-id", "x")),
    ("TopicDisallowed", {"apns_topic": "example.other.app"}),
    ("InvalidPushType", {"apns_push_type": "x"}),
    ("BadPriority", {"apns_priority": "x"}),
    ("BadCollapseId", {"apns_collapse_id": "x" * 65}),
    ("BadExpirationDate", {"apns_expiration": "x"}),
    ("MissingProviderToken", {"authorization": None}),
    ("PayloadEmpty", b""),
    ("Unregistered", b"{}"),
]
"""One breach of each check, in the order in which they are looked for. `b"{}"`: nothing wrong but the device."""


@pytest.mark.parametrize(("first", "second"), list(combinations(LADDER, 2)), ids=lambda breach: breach[0])
async def test_of_two_breaches_the_first_in_order_is_told(
    autojump_clock: MockClock,
    first: tuple[str, Changes | bytes | tuple[str, str]],
    second: tuple[str, Changes | bytes | tuple[str, str]],
) -> None:
    changes: Changes = {}
    more = [("apns-request-id", "x")]
    body = BODY
    for _, breach in (first, second):
        if isinstance(breach, dict):
            changes |= breach
        elif isinstance(breach, tuple):
            more.append(breach)
        else:
            body = min(body, breach, key=len)
    fake = fake_apns()
    fake.registry.unregistered[DEVICE] = START
    async with connected(fake) as client:
        answer = await client.ask(wakeup(TOKEN, *more, **changes), body)
    assert answer.verdict[1] == first[0]
