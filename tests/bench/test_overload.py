"""What `bench.overload` objects to: the judge can say no, to each thing by itself."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from bench.flood import GONE, Tally
from bench.latency import Measured
from bench.overload import FACTORS, Beside, Series, Step, objections, step_of
from bench.slow_disk import SlowDisk
from bench.slow_disk import objections as objections_to_disk

FINE = Step(
    factor=1.0,
    offered_per_s=1000,
    sent_per_s=1000,
    accepted_per_s=1000,
    refused_429_per_s=0,
    refused_503_per_s=0,
    p50_ms=10.0,
    p99_ms=20.0,
    alarm_p50_ms=5.0,
    alarm_p99_ms=10.0,
    alarm_woken_p50_ms=6.0,
    alarm_woken_p99_ms=12.0,
    loop_p50_ms=1.0,
    loop_p99_ms=5.0,
    rss_mb=100,
    retry_after_s=None,
)


def steps(**last: Any) -> list[Step]:  # noqa: ANN401 (members of a step)
    """A series in which all is well, but for what is said of the step with most."""
    made = [
        replace(FINE, factor=factor, refused_429_per_s=1000 * (factor - 1), retry_after_s=(1, 3))
        if factor > 1
        else replace(FINE, factor=factor)
        for factor in FACTORS
    ]
    made[-1] = replace(made[-1], **last)
    return [*made, replace(FINE, factor=0.5)]


def test_a_series_in_which_all_is_well() -> None:
    assert objections("batches", steps()) == []
    assert objections("batches", steps(rss_mb=110, p50_ms=9_000.0, alarm_p99_ms=900.0)) == []


@pytest.mark.parametrize(
    ("last", "what"),
    [
        ({"others": {500: 1}}, "answers other than 202, 429 and 503: {500: 1}"),
        ({"others": {GONE: 2}}, "answers other than"),
        ({"retry_after_s": (0, 3)}, "a refusal without Retry-After"),
        ({"unanswered": 4}, "4 requests without an answer"),
        ({"alarms_refused": 1}, "1 alarms refused"),
        ({"alarms_missing": 2}, "2 alarms without a wakeup"),
        ({"rss_mb": 111}, "memory grows from 100 to 111 MB"),
    ],
)
def test_what_is_wrong_in_a_step_is_said(last: dict[str, Any], what: str) -> None:
    [told] = objections("batches", steps(**last))
    assert told.startswith("batches")
    assert what in told


@pytest.mark.parametrize("p50", [None, 46.0])
def test_latency_must_come_back(p50: float | None) -> None:
    """At last: the machine may do something else for a while."""
    *during, after = steps()
    slow, back = replace(after, p50_ms=p50), replace(after, p50_ms=45.0)
    assert len(objections("batches", [*during, slow])) == 1
    assert len(objections("batches", [*during, slow, slow, slow])) == 1
    assert objections("batches", [*during, slow, back]) == objections("batches", [*during, back]) == []


def test_the_figures_of_a_step() -> None:
    tally = Tally(
        planned=100,
        unsent=20,
        statuses=Counter({202: 40, 429: 30, 503: 8, 500: 1, GONE: 1}),
        retry_after=Counter({1: 30, 5: 8}),
        accepted=40 * 500,
        accepted_ms=[10.0] * 39 + [50.0],
        seconds=4.0,
    )
    beside = Beside(Measured([3.0, 7.0], [2.0, 6.0], missing=1, refused=2), [1.0, 9.0], 123)
    step = step_of(Series("batches", 500, 400), 5.0, 50.0, 2.0, tally, beside)
    assert (step.offered_per_s, step.sent_per_s) == (25_000, 20_000)
    assert step.accepted_per_s == 5_000, "of all the time until the last answer"
    assert (step.refused_429_per_s, step.refused_503_per_s) == (3_750, 1_000)
    assert (step.p50_ms, step.p99_ms) == (10.0, 50.0)
    assert (step.alarm_p50_ms, step.alarm_woken_p99_ms, step.loop_p99_ms) == (2.0, 7.0, 9.0)
    assert (step.alarms_missing, step.alarms_refused, step.rss_mb) == (1, 2, 123)
    assert step.retry_after_s == (1, 5)
    assert step.others == {500: 1, GONE: 1}


# --- the slow disk

USUAL = SlowDisk(0, 2.0, 9.0, 1.0, 5.0, 3.0, 6.0, refused=0, missing=0)
SLOW = SlowDisk(500, 760.0, 1_000.0, 2.0, 9.0, 4.0, 8.0, refused=0, missing=0)


def test_a_slow_disk_that_slows_nothing_but_acks() -> None:
    assert objections_to_disk([USUAL, SLOW]) == []


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"ack_p50_ms": 499.0}, "before the commit"),
        ({"loop_p50_ms": 27.0}, "loop takes 27.0 ms"),
        ({"due_p50_ms": 250.0}, "due takes 250.0 ms"),
        ({"refused": 1}, "1 events refused"),
        ({"missing": 3}, "3 people not woken"),
    ],
)
def test_what_a_slow_disk_must_not_do(change: dict[str, Any], what: str) -> None:
    [told] = objections_to_disk([USUAL, replace(SLOW, **change)])
    assert what in told


def test_what_the_loop_may_wait_goes_by_the_delay() -> None:
    """At 50 ms a loop that waited for the disk would take 25 at the median."""
    short = replace(SLOW, fsync_ms=50, ack_p50_ms=76.0, loop_p50_ms=13.6)
    assert len(objections_to_disk([USUAL, short])) == 1
    assert objections_to_disk([USUAL, replace(short, loop_p50_ms=13.4)]) == []
