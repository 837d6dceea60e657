"""Whether the fake FCM notices a sender that retries where or when it should not, or grows too fast (F-06)."""

from __future__ import annotations

from collections import Counter
from typing import Final

import pytest

from relay.simulators import fcm_answer
from relay.simulators.fcm_answer import Answer
from relay.simulators.fcm_conduct import PEAK, RAMP, Ramp, SendConduct
from tests.relay.simulators.messages import DEVICE, START

BODY: Final = b"one"
OTHER: Final = b"another"
DATE: Final = "Fri, 15 Jan 2027 08:02:00 GMT"
"""Two minutes after START."""
SOON_5XX: Final = "retry_too_soon_after_5xx"
SOON_429: Final = "retry_too_soon_after_429"
REFUSED: Final = "retry_of_refused"
FOREVER: Final = float("inf")


def injected(status: int, retry_after: str = "") -> Answer:
    return Answer(status, b"<html>", [("retry-after", retry_after)] if retry_after else [("server", "x")])


@pytest.mark.parametrize(
    ("answer", "breach", "wait"),
    [
        (injected(500), SOON_5XX, 10),
        (injected(502), SOON_5XX, 10),
        (injected(503), SOON_5XX, 10),
        (injected(503, "30"), SOON_5XX, 30),
        (injected(503, "5"), SOON_5XX, 10),
        (injected(503, DATE), SOON_5XX, 120),
        (injected(429), SOON_429, 60),
        (injected(429, "5"), SOON_429, 5),
        (injected(429, "90"), SOON_429, 90),
        (injected(429, DATE), SOON_429, 120),
        (injected(429, "soon"), SOON_429, 60),
        (fcm_answer.quota_exceeded("device", "x", ""), SOON_429, 60),
        (fcm_answer.plain(403, "x"), REFUSED, 60),
        (fcm_answer.plain(404, "x"), REFUSED, 60),
        (fcm_answer.bad_request([("message", "x")]), REFUSED, FOREVER),
        (fcm_answer.fcm_error(400, "INVALID_ARGUMENT", "x"), REFUSED, FOREVER),
        (fcm_answer.fcm_error(403, "SENDER_ID_MISMATCH", "x"), REFUSED, FOREVER),
        (fcm_answer.fcm_error(404, "UNREGISTERED", "x"), REFUSED, FOREVER),
    ],
)
def test_a_retry_is_a_breach_until_its_time_has_come(answer: Answer, breach: str, wait: float) -> None:
    breaches = Counter[str]()

    def violate(what: str) -> None:
        breaches[what] += 1

    conduct = SendConduct(violate)
    conduct.answered(DEVICE, BODY, answer, START)
    conduct.see("someone else", BODY, START)
    conduct.see(DEVICE, BODY, START + wait)
    assert not breaches
    conduct.see(DEVICE, BODY, START + wait - 0.01 if wait < FOREVER else START + 1e6)
    assert breaches == {breach: 1}


@pytest.mark.parametrize(
    ("answer", "is_breach"),
    [
        (fcm_answer.bad_request([("message", "x")]), False),
        (fcm_answer.plain(403, "x"), False),
        (fcm_answer.fcm_error(404, "UNREGISTERED", "x"), True),
        (injected(503), True),
        (injected(429), True),
    ],
)
def test_another_message_to_the_same_device_is_no_retry_of_one_that_was_wrong(answer: Answer, is_breach: bool) -> None:
    breaches: list[str] = []
    conduct = SendConduct(breaches.append)
    conduct.answered(DEVICE, BODY, answer, START)
    conduct.see(DEVICE, OTHER, START + 1)
    assert bool(breaches) is is_breach


def test_a_refused_access_token_is_replaced_and_the_message_sent_again() -> None:
    breaches: list[str] = []
    conduct = SendConduct(breaches.append)
    conduct.answered(DEVICE, BODY, fcm_answer.token_expired(), START)
    conduct.see(DEVICE, BODY, START)
    assert not breaches


def test_what_was_accepted_is_forgotten() -> None:
    breaches: list[str] = []
    conduct = SendConduct(breaches.append)
    conduct.answered(DEVICE, BODY, injected(503), START)
    conduct.answered(DEVICE, BODY, fcm_answer.accepted("x"), START + 1)
    conduct.see(DEVICE, BODY, START + 2)
    assert not breaches


def test_an_injected_answer_is_understood_by_its_body() -> None:
    breaches: list[str] = []
    conduct = SendConduct(breaches.append)
    body = fcm_answer.fcm_error(404, "UNREGISTERED", "x").body
    conduct.answered(DEVICE, BODY, Answer(404, body), START)
    conduct.see(DEVICE, OTHER, START + 1e6)
    assert breaches == [REFUSED]


# The ramp of a bulk send

STEEP: Final = "ramp_too_steep"


def send_at(ramp: Ramp, *per_second: int, began: float = START) -> None:
    """So many requests in each second, evenly."""
    for second, count in enumerate(per_second):
        for number in range(count):
            ramp.see(began + second + number / count)


def test_a_bulk_send_may_grow_evenly_to_its_peak_and_stay_there() -> None:
    breaches: list[str] = []
    send_at(Ramp(breaches.append, peak=600), *range(10, 601, 10), 600, 600, 0, 600)
    assert not breaches


def test_each_second_with_more_than_its_share_of_the_peak_is_one_breach() -> None:
    breaches: list[str] = []
    send_at(Ramp(breaches.append, peak=600), 10, 21, 30, 0, 200, 60)
    assert breaches == [STEEP] * 2


def test_above_the_peak_is_too_much_however_late() -> None:
    breaches: list[str] = []
    ramp = Ramp(breaches.append, peak=50, seconds=5)
    send_at(ramp, 10, 20, 30, 40, 50, 50)
    assert not breaches
    send_at(ramp, 51, began=START + 3600)
    assert breaches == [STEEP]


def test_a_run_begins_with_its_first_request() -> None:
    breaches: list[str] = []
    send_at(Ramp(breaches.append, peak=600), 10, began=START + 1e6)
    assert not breaches
    send_at(Ramp(breaches.append, peak=600), 11, began=START + 1e6)
    assert breaches == [STEEP]


def test_unless_told_otherwise_a_run_may_come_to_the_quota_of_a_project_within_a_minute() -> None:
    ramp = Ramp(lambda _: None)
    assert (ramp.allowed(1), ramp.allowed(60), ramp.allowed(61)) == (PEAK / RAMP, 10_000, 10_000)
