"""The fake FCM as a sender meets it: envelope, answers, quotas, the connection, what is injected, and the journal.

Everything is said by a client that is not ours, so that the fake stays able to disagree with the relay's wire.
"""

from __future__ import annotations

import json
from random import Random
from typing import Any, Final

import pytest
import trio
from h2.errors import ErrorCodes
from h2.settings import SettingCodes
from trio.testing import MockClock

from relay.simulators import fcm_answer
from relay.simulators.fcm import IDLE, FakeFcm, RetryAfter
from relay.simulators.fcm_answer import NOT_A_TOKEN, Answer
from relay.simulators.fcm_devices import STALE, Phone
from relay.simulators.injections import bimodal, log_normal
from tests.relay.simulators.h2_client import Answer as Received
from tests.relay.simulators.h2_client import Client, Goaway, connected
from tests.relay.simulators.messages import BEARER, DEVICE, PROJECT, START, devices, fake_fcm, message, send

LONG: Final = 100.0
"""Seconds after which an answer will not come any more; the connection is not idle yet."""
LIMIT: Final = SettingCodes.MAX_CONCURRENT_STREAMS
FCM_ERROR: Final = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
BAD_REQUEST: Final = "type.googleapis.com/google.rpc.BadRequest"
ERROR_INFO: Final = "type.googleapis.com/google.rpc.ErrorInfo"
QUOTA_FAILURE: Final = "type.googleapis.com/google.rpc.QuotaFailure"


def error(answer: Received) -> tuple[int, str, dict[str, Any]]:
    """(status, Google's status, details by type); the error repeats its code."""
    found = answer.content["error"]
    assert found["code"] == answer.status
    assert found["message"]
    return answer.status, found["status"], {detail["@type"]: detail for detail in found.get("details", [])}


def code(answer: Received) -> tuple[int, str, str]:
    """(status, Google's status, code of the FcmError, if there is one)."""
    status, word, details = error(answer)
    return status, word, details.get(FCM_ERROR, {}).get("errorCode", "")


def statuses(client: Client) -> list[int | None]:
    return [answer.status if answer.ended else None for answer in client.answers.values()]


def phone(fake: FakeFcm, device: str = DEVICE) -> Phone:
    return fake.registry.phones[device]


# Answers


async def test_an_accepted_message_gets_a_name_of_its_own_and_arrives(autojump_clock: MockClock) -> None:
    fake = fake_fcm()
    async with connected(fake) as client:
        first, second = [await client.ask(send(), message()) for _ in range(2)]
    for answer in (first, second):
        assert answer.status == 200
        assert answer.value("content-type").startswith("application/json")
        assert not answer.with_headers
        assert list(answer.content) == ["name"]
        assert answer.content["name"].startswith(f"projects/{PROJECT}/messages/")
    assert first.content != second.content
    received = phone(fake).delivered
    assert [(one.at, one.message.is_high, one.message.ttl) for one in received] == [(START, True, 3600.0)] * 2
    assert not fake.journal.violations


async def test_the_journal_has_every_request_with_its_verdict(autojump_clock: MockClock) -> None:
    fake = fake_fcm()
    other = "x" * 40
    fake.registry.unregistered.add(other)
    async with connected(fake) as client:
        await client.ask(send(), message())
        await client.ask(send(), message(other))
        await client.ask(send("expired"), message())
        await client.ask(send(), b"{")
    assert [(entry.token, entry.status, entry.reason) for entry in fake.journal.entries] == [
        (DEVICE, 200, ""),
        (other, 404, "UNREGISTERED"),
        (DEVICE, 401, "ACCESS_TOKEN_EXPIRED"),
        ("", 400, "BAD_REQUEST"),
    ]
    assert fake.journal.entries[0].body == message()
    assert fake.journal.by_token == {DEVICE: 1}


# Envelope (F-01)


@pytest.mark.parametrize(
    "changes",
    [
        {"path": "/v1/projects/another/messages:send"},
        {"path": f"/v1/projects/{PROJECT}/messages"},
        {"path": f"/v1/projects/{PROJECT}/messages:send/"},
        {"path": f"/v2/projects/{PROJECT}/messages:send"},
        {"path": "/"},
        {"method": "PUT"},
        {"method": "GET"},
    ],
)
async def test_a_wrong_address_is_not_found_and_no_word_of_fcm(
    autojump_clock: MockClock, changes: dict[str, str]
) -> None:
    """It does not look like a token that is gone."""
    fake = fake_fcm()
    async with connected(fake) as client:
        assert error(await client.ask(send(**changes), message())) == (404, "NOT_FOUND", {})
    assert not fake.registry.phones


@pytest.mark.parametrize(
    "content_type", [None, "", "text/plain", "application/x-www-form-urlencoded", "application/jso"]
)
async def test_what_is_not_called_json_is_a_bad_request(autojump_clock: MockClock, content_type: str | None) -> None:
    async with connected(fake_fcm()) as client:
        status, word, details = error(await client.ask(send(content_type=content_type), message()))
    assert (status, word, list(details)) == (400, "INVALID_ARGUMENT", [BAD_REQUEST])


@pytest.mark.parametrize("content_type", ["application/json", "Application/JSON; charset=UTF-8"])
async def test_json_is_json_with_its_charset(autojump_clock: MockClock, content_type: str) -> None:
    async with connected(fake_fcm()) as client:
        assert (await client.ask(send(content_type=content_type), message())).status == 200


@pytest.mark.parametrize("authorization", [None, "", "Bearer", "Bearer ", f"Basic {BEARER}", BEARER])
async def test_no_access_token_is_unauthenticated(autojump_clock: MockClock, authorization: str | None) -> None:
    async with connected(fake_fcm()) as client:
        answer = await client.ask(send(authorization=authorization), message())
    assert error(answer) == (401, "UNAUTHENTICATED", {})


async def test_an_access_token_that_is_not_good_has_expired(autojump_clock: MockClock) -> None:
    fake = fake_fcm()
    async with connected(fake) as client:
        status, word, details = error(await client.ask(send("ya29.old"), message()))
        assert (await client.ask(send(), message())).status == 200
    assert (status, word, details[ERROR_INFO]["reason"]) == (401, "UNAUTHENTICATED", "ACCESS_TOKEN_EXPIRED")
    assert len(phone(fake).delivered) == 1
    assert not fake.journal.violations


async def test_an_account_without_the_right_to_send_is_denied_without_a_word_of_fcm(autojump_clock: MockClock) -> None:
    fake = fake_fcm()
    fake.is_permitted = False
    async with connected(fake) as client:
        assert error(await client.ask(send(), message())) == (403, "PERMISSION_DENIED", {})


# Message and device (F-02, F-03, F-07)


async def test_a_message_that_is_wrong_is_told_by_field_and_says_nothing_about_the_token(
    autojump_clock: MockClock,
) -> None:
    fake = fake_fcm()
    async with connected(fake) as client:
        answer = await client.ask(send(), message(ttl="1h"))
    status, word, details = error(answer)
    assert (status, word, list(details)) == (400, "INVALID_ARGUMENT", [BAD_REQUEST])
    assert [found["field"] for found in details[BAD_REQUEST]["fieldViolations"]] == ["message.android.ttl"]
    assert "token" not in answer.body.decode()
    assert not fake.registry.phones


async def test_each_kind_of_token_is_told_in_googles_words(autojump_clock: MockClock) -> None:
    fake = fake_fcm()
    malformed, foreign, gone, stale = devices(4)
    fake.registry.malformed.add(malformed)
    fake.registry.wrong_sender.add(foreign)
    fake.registry.unregistered.add(gone)
    fake.registry.seen_at[stale] = START - STALE
    async with connected(fake) as client:
        answers = [await client.ask(send(), message(device)) for device in (malformed, foreign, gone, stale, "short")]
    assert [code(answer) for answer in answers] == [
        (400, "INVALID_ARGUMENT", "INVALID_ARGUMENT"),
        (403, "PERMISSION_DENIED", "SENDER_ID_MISMATCH"),
        (404, "NOT_FOUND", "UNREGISTERED"),
        (404, "NOT_FOUND", "UNREGISTERED"),
        (400, "INVALID_ARGUMENT", "INVALID_ARGUMENT"),
    ]
    assert answers[0].content["error"]["message"] == NOT_A_TOKEN
    assert not fake.registry.phones


async def test_a_trial_is_judged_like_a_message_but_reaches_nobody(autojump_clock: MockClock) -> None:
    fake = fake_fcm()
    gone = devices(1)[0]
    fake.registry.unregistered.add(gone)
    async with connected(fake) as client:
        answer = await client.ask(send(), message(validate_only=True))
        assert (answer.status, list(answer.content)) == (200, ["name"])
        assert code(await client.ask(send(), message(gone, validate_only=True)))[2] == "UNREGISTERED"
        assert error(await client.ask(send(), message(ttl="x", validate_only=True)))[0] == 400
        assert not fake.registry.phones
        assert (await client.ask(send(), message(validate_only=False))).status == 200
    assert len(phone(fake).delivered) == 1


async def test_a_topic_is_accepted_and_is_no_device(autojump_clock: MockClock) -> None:
    fake = fake_fcm()
    async with connected(fake) as client:
        assert (await client.ask(send(), b'{"message":{"topic":"news"}}')).status == 200
    assert not fake.registry.phones


# Quotas (F-04)


async def test_a_device_quota_is_told_with_its_failure(autojump_clock: MockClock) -> None:
    fake = fake_fcm()
    async with connected(fake) as client:
        for _ in range(240):
            assert (await client.ask(send(), message())).status == 200
        answer = await client.ask(send(), message())
        assert (await client.ask(send(), message("x" * 40))).status == 200
    status, word, details = error(answer)
    assert (status, word, details[FCM_ERROR]["errorCode"]) == (429, "RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED")
    assert details[QUOTA_FAILURE]["violations"][0]["subject"] == "device"
    assert "retry-after" not in dict(answer.headers)
    assert len(phone(fake).delivered) == 240


@pytest.mark.parametrize(
    ("form", "value"),
    [(RetryAfter.NONE, None), (RetryAfter.SECONDS, "60"), (RetryAfter.DATE, "Fri, 15 Jan 2027 08:01:00 GMT")],
)
async def test_the_quota_of_the_project_is_a_bucket_that_other_refusals_drain_too(
    autojump_clock: MockClock, form: RetryAfter, value: str | None
) -> None:
    fake = fake_fcm(a_minute=3, retry_after=form)
    known = devices(4)
    fake.registry.unregistered.add(known[0])
    async with connected(fake) as client:
        assert [(await client.ask(send(), message(device))).status for device in known] == [404, 200, 200, 429]
        answer = client.answers[7]
        assert dict(answer.headers).get("retry-after") == value
        assert error(answer)[2][QUOTA_FAILURE]["violations"][0]["subject"] == f"project:{PROJECT}"
        await trio.sleep(60)
        assert [(await client.ask(send(), message(device))).status for device in known[1:]] == [200, 200, 200]
    assert not fake.journal.violations


async def test_requests_without_a_good_access_token_do_not_drain_the_quota(autojump_clock: MockClock) -> None:
    async with connected(fake_fcm(a_minute=1)) as client:
        for _ in range(3):
            assert (await client.ask(send("old"), message())).status == 401
        assert (await client.ask(send(), message())).status == 200


# The connection (F-05)


async def test_settings_are_those_of_googles_front_end(autojump_clock: MockClock) -> None:
    async with connected(fake_fcm()) as client:
        await client.pump_for(1)
        assert client.settings == [
            {LIMIT: 100, SettingCodes.INITIAL_WINDOW_SIZE: 1_048_576, SettingCodes.MAX_HEADER_LIST_SIZE: 16_384}
        ]
        assert client.h2.outbound_flow_control_window == 65_535 + 983_041


async def test_large_bodies_pass_one_after_the_other(autojump_clock: MockClock) -> None:
    """Windows are given back."""
    async with connected(fake_fcm()) as client:
        for _ in range(20):
            stream = client.request(send(), ended=False)
            for _ in range(20):
                client.h2.send_data(stream, b" " * 16_384)
                await client.flush()
                await client.pump_for(0.01)
            client.h2.send_data(stream, message(), end_stream=True)
            await client.flush()
            assert (await client.answer(stream)).status == 200


async def test_a_hundred_streams_may_be_open_and_one_more_ends_the_connection(autojump_clock: MockClock) -> None:
    """The last stream that counts is the hundredth; those that were under way get no answer."""
    fake = fake_fcm()
    fake.injections.latency = lambda: 1.0
    async with connected(fake) as client:
        for device in devices(100):
            client.request(send(), message(device))
        await client.flush()
        await client.pump_for(LONG)
        assert statuses(client) == [200] * 100
        client.allow_streams(200)
        for device in devices(101):
            client.request(send(), message(device))
        await client.flush()
        await client.pump_for(LONG)
        assert client.closed
    assert client.goaways == [Goaway(399, ErrorCodes.PROTOCOL_ERROR, b"exceeded_max_concurrent_streams")]
    assert statuses(client)[100:] == [None] * 101
    assert fake.journal.violations == {"too_many_streams": 1}
    assert fake.journal.requests == 200


async def test_a_connection_without_a_request_ends_after_three_minutes(autojump_clock: MockClock) -> None:
    async with connected(fake_fcm()) as client:
        began = trio.current_time()
        await client.pump_for(IDLE + 1)
        assert client.closed
        assert trio.current_time() - began == pytest.approx(IDLE)
    assert client.goaways == [Goaway(0, ErrorCodes.NO_ERROR, b"session_timed_out")]


async def test_idleness_begins_with_the_last_answer(autojump_clock: MockClock) -> None:
    """A request that waits for longer is not idle; a PING keeps nothing alive."""
    fake = fake_fcm()
    fake.injections.latency = lambda: 1000.0
    async with connected(fake) as client:
        await client.pump_for(IDLE - 1)
        assert (await client.ask(send(), message())).status == 200
        answered = trio.current_time()
        await client.pump_for(IDLE - 1)
        assert not client.goaways
        client.h2.ping(b"12345678")
        await client.flush()
        await client.pump_for(IDLE)
        assert client.closed
        assert trio.current_time() - answered == pytest.approx(IDLE)
    assert [goaway.debug for goaway in client.goaways] == [b"session_timed_out"]


async def test_too_many_pings_end_the_connection(autojump_clock: MockClock) -> None:
    """The first is free, then there are two strikes."""
    fake = fake_fcm()
    async with connected(fake) as client:
        for _ in range(3):
            client.h2.ping(b"12345678")
            await client.flush()
            await client.pump_for(20)
        assert not client.goaways
        client.h2.ping(b"12345678")
        await client.flush()
        await client.pump_for(20)
        assert client.closed
    assert client.goaways == [Goaway(0, ErrorCodes.ENHANCE_YOUR_CALM, b"too_many_pings")]
    assert fake.journal.violations == {"too_many_pings": 1}


async def test_an_answer_forgives_pings(autojump_clock: MockClock) -> None:
    fake = fake_fcm()
    async with connected(fake) as client:
        for _ in range(5):
            for _ in range(3):
                client.h2.ping(b"12345678")
                await client.flush()
                await client.pump_for(11)
            assert (await client.ask(send(), message())).status == 200
    assert not fake.journal.violations


# Injections


@pytest.mark.parametrize(
    "injected",
    [
        Answer(503, b"", [("retry-after", "30")]),
        Answer(502, b"<html>Bad gateway</html>", [("content-type", "text/html")]),
        Answer(200, b"", [("content-type", "application/json")]),
        Answer(429, b'{"error":{"co', [("content-type", "application/json")]),
        fcm_answer.fcm_error(401, "UNAUTHENTICATED", "x"),
    ],
)
async def test_an_injected_answer_is_given_as_it_is_once(autojump_clock: MockClock, injected: Answer) -> None:
    fake = fake_fcm()
    fake.injections.answers.append(injected)
    async with connected(fake) as client:
        answer = await client.ask(send(), message())
        assert (await client.ask(send(), message("x" * 40))).status == 200
    assert (answer.status, answer.body, answer.headers) == (injected.status, injected.body, injected.fields)
    assert DEVICE not in fake.registry.phones


async def test_latency_silence_and_a_cut_before_the_answer(autojump_clock: MockClock) -> None:
    fake = fake_fcm()
    fake.injections.latency = lambda: 7.0
    fake.injections.silent.add(DEVICE)
    async with connected(fake) as client:
        began = trio.current_time()
        silent = client.request(send(), message())
        assert (await client.ask(send(), message("x" * 40))).status == 200
        assert trio.current_time() - began == pytest.approx(7)
        fake.injections.drop_after = 3
        assert not (await client.ask(send(), message("y" * 40))).ended
        assert client.closed
        assert not client.answers[silent].ended
    assert len(phone(fake, "y" * 40).delivered) == 1, "it was processed: sending it again makes two"
    assert fake.injections.drop_after is None


async def test_goaway_names_the_last_stream_and_later_ones_are_a_breach(autojump_clock: MockClock) -> None:
    fake = fake_fcm()
    fake.injections.latency = lambda: 5.0
    async with connected(fake) as client:
        stream = client.request(send(), message())
        await client.flush()
        await client.pump_for(1)
        await fake.goaway(b"server_shutting_down")
        assert (await client.answer(stream)).status == 200
        client.request(send(), message())
        await client.flush()
        await client.pump_for(LONG)
    assert client.goaways == [Goaway(2**31 - 1, 0, b"server_shutting_down"), Goaway(stream, 0, b"server_shutting_down")]
    assert statuses(client) == [200, None]
    assert fake.journal.violations == {"stream_after_goaway": 1}


async def test_connections_are_counted_and_can_be_cut_or_not_accepted(autojump_clock: MockClock) -> None:
    fake = fake_fcm()
    async with connected(fake) as client:
        assert fake.connections == 1
        fake.cut()
        await client.pump_for(1)
        assert client.closed
    assert fake.connections == 0
    fake.accepting = False
    async with connected(fake) as client:
        assert client.closed
    assert not client.settings


async def test_one_connection_can_be_slower_than_the_others(autojump_clock: MockClock) -> None:
    fake = fake_fcm()
    fake.injections.connection_delays[2] = 7.0
    async with connected(fake) as first, connected(fake) as second:
        began = trio.current_time()
        assert (await first.ask(send(), message())).status == 200
        assert trio.current_time() == began
        assert (await second.ask(send(), message())).status == 200
        assert trio.current_time() - began == pytest.approx(7)


async def test_a_token_can_be_slow_and_a_body_come_late(autojump_clock: MockClock) -> None:
    fake = fake_fcm()
    fake.injections.delays[DEVICE] = 7.0
    fake.injections.body_delay = 3.0
    async with connected(fake) as client:
        began = trio.current_time()
        slow, other = client.request(send(), message()), client.request(send(), message("x" * 40))
        await client.flush()
        await client.pump_for(1)
        assert client.answers[other].headers
        assert not client.answers[other].body
        assert (await client.answer(other)).status == 200
        assert trio.current_time() - began == pytest.approx(3)
        assert (await client.answer(slow)).status == 200
        assert trio.current_time() - began == pytest.approx(10)


@pytest.mark.parametrize("farewell", [(0, b"session_timed_out"), (1, b"x"), (2, b"")])
async def test_goaway_in_mid_flight_leaves_later_requests_unprocessed(
    autojump_clock: MockClock, farewell: tuple[int, bytes]
) -> None:
    fake = fake_fcm()
    fake.injections.goaway_after = 2
    fake.injections.farewell = farewell
    async with connected(fake) as client:
        for device in devices(4):
            client.request(send(), message(device))
        await client.flush()
        await client.pump_for(LONG)
    assert client.goaways == [Goaway(3, *farewell)]
    assert statuses(client) == [200, 200, None, None]
    assert [*fake.registry.phones] == devices(2)
    assert not fake.journal.violations, "they were under way when it was said"


async def test_streams_of_a_burst_are_refused_without_a_breach(autojump_clock: MockClock) -> None:
    fake = fake_fcm()
    fake.injections.most_at_once = 2
    fake.injections.latency = lambda: 1.0
    async with connected(fake) as client:
        for device in devices(3):
            client.request(send(), message(device))
        await client.flush()
        await client.pump_for(LONG)
        assert (await client.ask(send(), message())).status == 200
    assert [answer.reset for answer in client.answers.values()] == [None, None, ErrorCodes.REFUSED_STREAM, None]
    assert [*fake.registry.phones] == [*devices(2), DEVICE]
    assert not fake.journal.violations


def test_latencies_are_spread_as_told() -> None:
    latency = log_normal(Random(1), 0.04, 0.4)
    drawn = sorted(latency() for _ in range(10_000))
    assert drawn[5000] == pytest.approx(0.04, rel=0.1)
    assert drawn[9900] == pytest.approx(0.4, rel=0.2)
    latency = bimodal(Random(1), 0.05, 30.0, 0.01)
    many = [latency() for _ in range(10_000)]
    assert {*many} == {0.05, 30.0}
    assert 50 < many.count(30.0) < 150


# Conduct (F-06; the rules themselves are in test_fcm_conduct.py)


async def test_a_retry_that_comes_too_soon_is_a_breach(autojump_clock: MockClock) -> None:
    fake = fake_fcm()
    fake.injections.answers += [fcm_answer.fcm_error(503, "UNAVAILABLE", "x")] * 2
    async with connected(fake) as client:
        await client.ask(send(), message())
        await trio.sleep(9)
        await client.ask(send(), message())
        await trio.sleep(10)
        assert (await client.ask(send(), message())).status == 200
    assert fake.journal.violations == {"retry_too_soon_after_5xx": 1}


async def test_the_path_may_be_indexed_the_access_token_may_not(autojump_clock: MockClock) -> None:
    """The path names the project only."""
    fake = fake_fcm()
    async with connected(fake) as client:
        fields = [(str(name), str(value)) for name, value in send()]
        assert (await client.ask(fields, message())).status == 200
    assert fake.journal.violations == {"authorization_indexed": 1}


def test_error_bodies_are_googles() -> None:
    assert json.loads(fcm_answer.fcm_error(404, "UNREGISTERED", "Requested entity was not found.").body) == {
        "error": {
            "code": 404,
            "message": "Requested entity was not found.",
            "status": "NOT_FOUND",
            "details": [{"@type": FCM_ERROR, "errorCode": "UNREGISTERED"}],
        }
    }


async def test_a_run_that_is_marked_as_bulk_may_not_come_at_once(autojump_clock: MockClock) -> None:
    fake = fake_fcm()
    async with connected(fake) as client:
        for device in devices(5):
            assert (await client.ask(send(), message(device))).status == 200
        assert not fake.journal.violations, "nobody has said that it was a bulk send"
        fake.begin_bulk(peak=60)
        for count in (1, 2, 3, 5):
            for device in devices(count):
                assert (await client.ask(send(), message(device))).status == 200
            await trio.sleep(1)
        assert fake.journal.violations == {"ramp_too_steep": 1}
        fake.end_bulk()
        for device in devices(20):
            assert (await client.ask(send(), message(device))).status == 200
    assert fake.journal.violations == {"ramp_too_steep": 1}
