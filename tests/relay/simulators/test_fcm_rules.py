"""What the fake FCM makes of JSON, field by field (F-02)."""

from __future__ import annotations

import json
from typing import Final

import pytest

from relay.simulators.fcm_rules import LONGEST_TTL, Send, read

TOKEN: Final = "t" * 40


def told(content: object) -> Send | list[tuple[str, str]]:
    return read(json.dumps(content).encode())


def accepted(**fields: object) -> Send:
    found = told({"message": {"token": TOKEN, **fields}})
    assert isinstance(found, Send), found
    return found


def refused(content: object) -> list[str]:
    """The fields that are objected to."""
    found = told(content)
    assert isinstance(found, list)
    assert found
    assert all(description for _, description in found)
    return [name for name, _ in found]


def test_a_wakeup_is_read() -> None:
    found = told({
        "validate_only": False,
        "message": {"token": TOKEN, "data": {"w": ""}, "android": {"priority": "HIGH", "ttl": "3600s"}},
    })  # fmt: skip
    assert found == Send(target="token", token=TOKEN, validate_only=False, is_high=True, ttl=3600.0, collapse_key="")


def test_what_is_left_out_has_googles_defaults() -> None:
    assert accepted() == Send(
        target="token", token=TOKEN, validate_only=False, is_high=False, ttl=LONGEST_TTL, collapse_key=""
    )


@pytest.mark.parametrize("target", ["token", "fid", "topic", "condition"])
def test_each_kind_of_target_is_taken(target: str) -> None:
    found = told({"message": {target: TOKEN}})
    assert isinstance(found, Send)
    assert (found.target, found.token) == (target, TOKEN)


@pytest.mark.parametrize(
    "targets", [{}, {"token": ""}, {"token": None}, {"token": "a", "topic": "b"}, {"fid": "a", "token": "b"}]
)
def test_there_is_exactly_one_target(targets: dict[str, object]) -> None:
    assert refused({"message": targets}) == ["message"]


def test_names_are_taken_in_both_spellings() -> None:
    android = {"collapseKey": "a", "directBootOk": True, "restrictedPackageName": "p", "restricted_satellite_ok": True}
    found = told({"validateOnly": True, "message": {"token": TOKEN, "android": android, "fcmOptions": {}}})
    assert isinstance(found, Send)
    assert (found.validate_only, found.collapse_key) == (True, "a")


@pytest.mark.parametrize(
    ("content", "where"),
    [
        ({"message": {"token": TOKEN}, "surprise": 1}, ""),
        ({"message": {"token": TOKEN, "surprise": 1}}, "message"),
        ({"message": {"token": TOKEN, "Token": TOKEN}}, "message"),
        ({"message": {"token": TOKEN, "android": {"priorty": "HIGH"}}}, "message.android"),
        ({"message": {"token": TOKEN, "notification": {"tittle": "x"}}}, "message.notification"),
        ({"message": {"token": TOKEN, "fcm_options": {"label": "x"}}}, "message.fcm_options"),
        ({"message": {"token": TOKEN, "android": {"fcm_options": {"label": "x"}}}}, "message.android.fcm_options"),
    ],
)
def test_an_unknown_field_is_a_mistake(content: object, where: str) -> None:
    assert refused(content) == [where]


def test_everything_that_is_wrong_is_told_at_once() -> None:
    content = {"message": {"token": 7, "data": {"w": 1}, "android": {"ttl": "1h", "priority": "max", "x": 1}}, "y": 1}
    assert refused(content) == [
        "message.token", "message.data", "message.android.ttl", "message.android.priority", "message.android", "",
    ]  # fmt: skip


def test_a_field_may_not_be_given_in_both_spellings() -> None:
    android = {"collapse_key": "a", "collapseKey": "a"}
    assert refused({"message": {"token": TOKEN, "android": android}}) == ["message.android.collapseKey"]


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"[]", b"null", b"7", b"\xff", b"\xef\xbb\xbf{}", b'{"message":{"token":"a","token":"a"}}',
        b'{"message":{"token":NaN}}', b'{"message":[]}', b'{"message":"a"}', b'{"message":null}', b"{}", b"[" * 100_000,
        b'{"message":{"token":"\\ud800"}}', b'{"validate_only":1,"message":{"token":"a"}}',
    ],
)  # fmt: skip
def test_what_is_no_message_at_all_is_refused(body: bytes) -> None:
    found = read(body)
    assert isinstance(found, list)
    assert found


@pytest.mark.parametrize(
    ("ttl", "seconds"),
    [("0s", 0), ("1s", 1), ("3600s", 3600), ("2419200s", 2_419_200), ("3.5s", 3.5), ("0.000000001s", 1e-9)],
)
def test_a_ttl_is_read(ttl: str, seconds: float) -> None:
    assert accepted(android={"ttl": ttl}).ttl == seconds


@pytest.mark.parametrize(
    "ttl", ["", "s", "1", "-1s", "+1s", "1 s", "1S", " 1s", "1s\n", ".5s", "1.s", "1.0000000001s", "1e3s", "2419201s",
            "2419200.1s", "٣s", 3600, True, {"seconds": 1}],
)  # fmt: skip
def test_what_is_no_ttl_is_refused(ttl: object) -> None:
    assert refused({"message": {"token": TOKEN, "android": {"ttl": ttl}}}) == ["message.android.ttl"]


@pytest.mark.parametrize(
    ("priority", "is_high"), [("HIGH", True), ("high", True), ("NORMAL", False), ("normal", False)]
)
def test_a_priority_is_read(priority: str, is_high: bool) -> None:
    assert accepted(android={"priority": priority}).is_high is is_high


@pytest.mark.parametrize("priority", ["", "10", 10, "HIGHEST", "PRIORITY_HIGH", True])
def test_what_is_no_priority_is_refused(priority: object) -> None:
    assert refused({"message": {"token": TOKEN, "android": {"priority": priority}}}) == ["message.android.priority"]


@pytest.mark.parametrize("data", [{}, {"w": ""}, {"ä": "ö"}, {"fromage": "x"}, {"x.google.": "y"}])
def test_data_are_strings(data: object) -> None:
    accepted(data=data)
    accepted(android={"data": data})


@pytest.mark.parametrize(
    "data",
    [
        {"w": 1}, {"w": None}, {"w": True}, {"w": {}}, {"w": []}, [], "w", {"w": "\ud800"},
        {"from": ""}, {"message_type": ""}, {"google.x": ""}, {"gcm.x": ""}, {"google.": ""},
    ],
)  # fmt: skip
def test_other_data_and_reserved_keys_are_refused(data: object) -> None:
    assert refused({"message": {"token": TOKEN, "data": data}}) == ["message.data"]
    assert refused({"message": {"token": TOKEN, "android": {"data": data}}}) == ["message.android.data"]


@pytest.mark.parametrize(("key", "value"), [("k", "v" * 4095), ("k" * 4096, ""), ("k", "ä" * 2047 + "v")])
def test_data_have_at_most_4096_bytes_with_their_keys(key: str, value: str) -> None:
    """Bytes of UTF-8."""
    accepted(data={key: value})
    assert refused({"message": {"token": TOKEN, "data": {key: value + "v"}}}) == ["message.data"]
    assert refused({"message": {"token": TOKEN, "android": {"data": {key: value + "v"}}}}) == ["message.data"]


def test_null_is_as_good_as_absent() -> None:
    assert accepted(data=None, android=None, topic=None) == accepted()
