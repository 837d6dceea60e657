"""What the fake knows of tokens (A-14), and what becomes of a notification on its phone (A-15)."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from relay.simulators.apns import FakeApns
from relay.simulators.registry import Phone
from tests.relay.simulators.h2_client import Answer, Client, Fields, connected
from tests.relay.simulators.wakeups import BODY, DEVICE, START, TOPIC, fake_apns, wakeup

OTHER = "cd" * 32
DAY = 86_400


def to(device: str) -> Fields:
    return wakeup(path=f"/3/device/{device}")


async def asked(fake: FakeApns, device: str = DEVICE) -> Answer:
    async with connected(fake) as client:
        return await client.ask(to(device), BODY)


@pytest.mark.parametrize("state", ["unregistered", "expired"])
async def test_a_dead_token_is_answered_410_with_the_time_of_its_death(autojump_clock: MockClock, state: str) -> None:
    """In milliseconds; it may lie before the token was registered last, and then the client must keep the token."""
    fake = fake_apns()
    getattr(fake.registry, state)[DEVICE] = START - 12.345
    answer = await asked(fake)
    assert answer.verdict == (410, {"unregistered": "Unregistered", "expired": "ExpiredToken"}[state])
    assert answer.content["timestamp"] == int((START - 12.345) * 1000)
    assert not fake.registry.phones


@pytest.mark.parametrize(
    ("state", "verdict"),
    [
        ("wrong_environment", (400, "BadDeviceToken")),
        ("wrong_topic", (400, "DeviceTokenNotForTopic")),
    ],
)
async def test_a_token_of_elsewhere_is_refused(autojump_clock: MockClock, state: str, verdict: tuple[int, str]) -> None:
    fake = fake_apns()
    getattr(fake.registry, state).add(DEVICE)
    answer = await asked(fake)
    assert answer.verdict == verdict
    assert answer.content.keys() == {"reason"}
    assert (await asked(fake, OTHER)).status == 200


async def test_tokens_are_known_in_either_case(autojump_clock: MockClock) -> None:
    fake = fake_apns()
    fake.registry.unregistered[DEVICE] = START
    assert (await asked(fake, DEVICE.upper())).status == 410
    await asked(fake, OTHER.upper())
    assert list(fake.registry.phones) == [OTHER]


async def test_every_token_is_known_unless_only_those_listed_are(autojump_clock: MockClock) -> None:
    fake = fake_apns()
    fake.registry.listed.add(DEVICE)
    assert (await asked(fake, OTHER)).status == 200
    fake.registry.listed_only = True
    assert (await asked(fake, OTHER)).verdict == (400, "BadDeviceToken")
    assert (await asked(fake, DEVICE)).status == 200


async def test_a_dead_token_is_dead_before_it_is_anything_else(autojump_clock: MockClock) -> None:
    fake = fake_apns()
    registry = fake.registry
    registry.rate = 0
    registry.wrong_topic.add(DEVICE)
    assert (await asked(fake)).verdict == (400, "DeviceTokenNotForTopic")
    registry.wrong_environment.add(DEVICE)
    assert (await asked(fake)).verdict == (400, "BadDeviceToken")
    registry.expired[DEVICE] = START
    assert (await asked(fake)).verdict == (410, "ExpiredToken")
    registry.unregistered[DEVICE] = START
    assert (await asked(fake)).verdict == (410, "Unregistered")


async def test_too_many_requests_for_one_token_in_a_minute_are_refused(autojump_clock: MockClock) -> None:
    """Those that were refused count as well; other tokens are not affected."""
    fake = fake_apns()
    fake.registry.rate = 2
    async with connected(fake) as client:

        async def statuses(device: str, times: int) -> list[int]:
            return [(await client.ask(to(device), BODY)).status for _ in range(times)]

        assert await statuses(DEVICE, 3) == [200, 200, 429]
        assert await statuses(OTHER, 1) == [200]
        await trio.sleep(59.9)
        assert await statuses(DEVICE, 1) == [429]
        await trio.sleep(0.1)
        assert await statuses(DEVICE, 2) == [200, 429]


async def push(client: Client, topic: str = TOPIC, **changes: str | None) -> None:
    kind = "voip" if topic.endswith(".voip") else "alert"
    assert (await client.ask(wakeup(apns_topic=topic, apns_push_type=kind, **changes), BODY)).status == 200


async def test_a_phone_that_is_online_is_woken_by_each_request(autojump_clock: MockClock) -> None:
    fake = fake_apns()
    async with connected(fake) as client:
        await push(client)
        await trio.sleep(2.5)
        await push(client, apns_collapse_id=None, apns_expiration="0")
    assert fake.registry.phones[DEVICE].delivered == [(START, "w"), (START + 2.5, "")]


async def test_an_offline_phone_gets_the_newest_of_each_topic_when_it_is_back(autojump_clock: MockClock) -> None:
    fake = fake_apns()
    phone = fake.registry.phones[DEVICE] = Phone(online=False)
    async with connected(fake) as client:
        await push(client, apns_collapse_id="first")
        await push(client, apns_collapse_id="second")
        await push(client, TOPIC + ".voip", apns_collapse_id="call", apns_priority="5")
        assert phone.delivered == []
        await trio.sleep(60)
        phone.connect(fake.now())
        assert phone.delivered == [(START + 60, "second"), (START + 60, "call")]
        assert [(shown.collapse_id, shown.priority) for shown in phone.shown] == [("second", 10), ("call", 5)]
        phone.online = False
        phone.connect(fake.now())
        assert len(phone.delivered) == 2, "what was shown is not kept"
        await push(client)
        assert len(phone.delivered) == 3


@pytest.mark.parametrize(
    ("expiration", "kept_for"),
    [
        ("0", 0),
        (str(int(START) - 1), 0),
        (str(int(START)), 0),
        (str(int(START) + 300), 300),
        ("9999999999", 30 * DAY),
        (None, 30 * DAY),
    ],
)
async def test_what_an_offline_phone_misses_is_kept_until_it_expires(
    autojump_clock: MockClock, expiration: str | None, kept_for: int
) -> None:
    """For 30 days at most; with 0, or a time that is past, not at all."""
    for waited, arrives in ((kept_for - 1, True), (kept_for, False)):
        fake = fake_apns()
        phone = fake.registry.phones[DEVICE] = Phone(online=False)
        async with connected(fake) as client:
            await push(client, apns_expiration=expiration)
        await trio.sleep(max(waited, 0))
        phone.connect(fake.now())
        assert bool(phone.delivered) == (arrives and kept_for > 0)


async def test_one_that_is_not_kept_leaves_what_is_stored_alone(autojump_clock: MockClock) -> None:
    fake = fake_apns()
    phone = fake.registry.phones[DEVICE] = Phone(online=False)
    async with connected(fake) as client:
        await push(client, apns_collapse_id="kept")
        await push(client, apns_collapse_id="now or never", apns_expiration="0")
    phone.connect(fake.now())
    assert [collapse_id for _, collapse_id in phone.delivered] == ["kept"]


async def test_a_notification_replaces_the_one_with_its_collapse_id_on_the_screen(autojump_clock: MockClock) -> None:
    """In the same app only, and both have woken the phone."""
    fake = fake_apns()
    async with connected(fake) as client:
        for collapse_id in ("a", "b", "a", None, None):
            await push(client, apns_collapse_id=collapse_id)
        await push(client, TOPIC + ".voip", apns_collapse_id="b")
    phone = fake.registry.phones[DEVICE]
    assert [shown.collapse_id for shown in phone.shown] == ["b", "a", "", "", "b"]
    assert len(phone.delivered) == 6
