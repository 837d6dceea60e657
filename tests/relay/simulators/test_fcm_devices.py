"""Tokens, quotas and phones of the fake FCM (F-03 and F-04)."""

from __future__ import annotations

from typing import Final

import pytest

from relay.simulators.fcm_devices import STALE, Bucket, FcmRegistry, Phone
from relay.simulators.fcm_rules import Send
from tests.relay.simulators.messages import DEVICE, START

NOT_ONE: Final = ["", "short", "x" * 31, "x" * 4097, DEVICE + "/", DEVICE + " ", "ä" * 40, DEVICE + "\n"]


def to(token: str = DEVICE, *, ttl: float = 3600.0, collapse_key: str = "") -> Send:
    return Send(target="token", token=token, validate_only=False, is_high=True, ttl=ttl, collapse_key=collapse_key)


# Tokens


def test_every_well_formed_token_is_good() -> None:
    registry = FcmRegistry()
    for token in (DEVICE, "x" * 32, "a:b_c-" * 20):
        assert registry.check(token, START) == ""


@pytest.mark.parametrize("token", NOT_ONE)
def test_what_is_no_token_is_an_invalid_argument(token: str) -> None:
    assert FcmRegistry().check(token, START) == "INVALID_ARGUMENT"


def test_named_tokens_are_answered_as_said() -> None:
    registry = FcmRegistry(unregistered={"u" * 40}, malformed={"m" * 40}, wrong_sender={"s" * 40})
    assert [registry.check(sign * 40, START) for sign in "umsx"] == [
        "UNREGISTERED", "INVALID_ARGUMENT", "SENDER_ID_MISMATCH", "",
    ]  # fmt: skip


def test_a_token_expires_after_270_days_without_a_connection() -> None:
    registry = FcmRegistry(seen_at={DEVICE: START})
    assert registry.check(DEVICE, START + STALE - 1) == ""
    assert registry.check(DEVICE, START + STALE) == "UNREGISTERED"
    registry.seen_at[DEVICE] = START + STALE
    assert registry.check(DEVICE, START + STALE) == ""


# Quotas


def test_a_bucket_fills_up_again_but_not_beyond_its_size() -> None:
    bucket = Bucket(2, 0.1)
    assert [bucket.take(START) for _ in range(3)] == [True, True, False]
    assert [bucket.take(START + 10) for _ in range(2)] == [True, False]
    assert not bucket.take(START + 5), "a clock that goes back fills nothing"
    assert [bucket.take(START + 10_000) for _ in range(3)] == [True, True, False]


def test_a_device_takes_240_messages_a_minute() -> None:
    registry = FcmRegistry()
    assert not any(registry.exhausted(to(), START + number / 240 * 59) for number in range(240))
    assert registry.exhausted(to(), START + 59.9) == "Device message rate per minute"
    assert registry.exhausted(to("x" * 40), START + 59.9) == ""
    assert registry.exhausted(to(), START + 60) == "", "the first one is a minute ago, refused ones do not count"


def test_a_device_takes_5000_messages_an_hour() -> None:
    registry = FcmRegistry()
    assert not any(registry.exhausted(to(), START + number * 0.7) for number in range(5000))
    assert registry.exhausted(to(), START + 3599) == "Device message rate per hour"
    assert registry.exhausted(to(), START + 3600) == ""


def test_collapsible_messages_come_in_bursts_of_20_then_one_in_three_minutes() -> None:
    registry = FcmRegistry()
    collapsible = to(collapse_key="w")
    assert not any(registry.exhausted(collapsible, START) for _ in range(20))
    assert registry.exhausted(collapsible, START + 179) == "Collapsible message rate"
    assert registry.exhausted(to(), START + 179) == "", "others are not concerned"
    assert registry.exhausted(to(collapse_key="w", ttl=0), START + 179) == "", "nor those that are for now or never"
    assert registry.exhausted(collapsible, START + 180) == ""
    assert registry.exhausted(collapsible, START + 181) == "Collapsible message rate"


# Phones


def test_a_phone_that_is_online_gets_everything_at_once() -> None:
    phone = Phone()
    phone.push(START, to(ttl=0))
    phone.push(START + 1, to(collapse_key="w"))
    assert [received.at for received in phone.delivered] == [START, START + 1]
    assert not phone.stored


def test_a_phone_gets_what_has_not_expired_when_it_is_back() -> None:
    phone = Phone(online=False)
    for ttl in (0.0, 10.0, 10.5, 100.0):
        phone.push(START, to(ttl=ttl))
    assert not phone.delivered
    phone.connect(START + 10)
    assert [(received.at, received.message.ttl) for received in phone.delivered] == [
        (START + 10, 10.5),
        (START + 10, 100),
    ]
    assert (phone.stored, phone.deleted) == ([], 0)


def test_more_than_100_stored_messages_are_all_discarded_and_the_app_is_told() -> None:
    phone = Phone(online=False)
    phone.push(START, to(collapse_key="kept"))
    for _ in range(100):
        phone.push(START, to())
    assert len(phone.stored) == 101
    phone.push(START, to())
    assert [kept.collapse_key for kept, _ in phone.stored] == ["kept"]
    assert phone.deleted == 0, "it is told when it is back"
    phone.connect(START + 1)
    assert (phone.deleted, len(phone.delivered)) == (1, 1)
    phone.online = False
    phone.connect(START + 2)
    assert phone.deleted == 1


def test_expired_messages_do_not_count_as_stored() -> None:
    phone = Phone(online=False)
    for _ in range(100):
        phone.push(START, to(ttl=10))
    phone.push(START + 10, to())
    phone.connect(START + 11)
    assert (phone.deleted, len(phone.delivered)) == (0, 1)


def test_a_collapsible_message_replaces_its_like_and_at_most_four_keys_are_kept() -> None:
    phone = Phone(online=False)
    for number, key in enumerate("abacd"):
        phone.push(START, to(ttl=100 + number, collapse_key=key))
    assert [(kept.collapse_key, kept.ttl) for kept, _ in phone.stored] == [
        ("b", 101),
        ("a", 102),
        ("c", 103),
        ("d", 104),
    ]
    phone.push(START, to(collapse_key="e"))
    assert [kept.collapse_key for kept, _ in phone.stored] == ["a", "c", "d", "e"]
