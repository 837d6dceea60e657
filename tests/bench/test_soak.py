"""What `bench.soak` objects to, and whether its mixture is as steady as it says."""

from __future__ import annotations

import json
import random
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from bench import mixture
from bench.door import Answer
from bench.mixture import KINDS, Crowd, Post, portion
from bench.soak import ONE_COMMIT, Record, Sample, objections, tenth
from relay.store.sqlite import LARGEST_WAL

MS = 1_000_000
USUAL = Sample(rss_mb=100.0, descriptors=20, tasks=40, database_bytes=1000, wal_bytes=LARGEST_WAL)


def samples(**last: Any) -> list[Sample]:  # noqa: ANN401 (members of a sample)
    """A hundred: the first tenth while it warms up, the last one as said."""
    return [replace(USUAL, rss_mb=60.0)] * 10 + [USUAL] * 80 + [replace(USUAL, **last)] * 10


def test_a_soak_in_which_all_is_well() -> None:
    assert objections(samples(), {}) == []
    assert objections(samples(rss_mb=113.0, descriptors=37, tasks=92), {}) == []


@pytest.mark.parametrize(
    ("last", "what"),
    [
        ({"rss_mb": 113.1}, "rss_mb has grown from 100 to 113.1"),
        ({"descriptors": 37.1}, "descriptors has grown from 20 to 37.1"),
        ({"tasks": 92.1}, "tasks has grown from 40 to 92.1"),
        ({"wal_bytes": LARGEST_WAL + ONE_COMMIT + 1}, "the log of the database had"),
    ],
)
def test_what_has_grown_is_said(last: dict[str, Any], what: str) -> None:
    [told] = objections(samples(**last), {})
    assert what in told


def test_what_is_remembered_for_a_day_may_grow() -> None:
    """Memory only, and a kilobyte for each alarm of eight tenths of the time."""
    assert objections(samples(rss_mb=121.0), {}, alarms=10_000) == []
    assert len(objections(samples(rss_mb=121.1), {}, alarms=10_000)) == 1
    assert len(objections(samples(tasks=93), {}, alarms=10_000)) == 1


def test_one_sample_that_stands_out_is_no_growth_but_a_log_too_large_is_one_whenever_it_was() -> None:
    found = samples()
    found[95] = replace(USUAL, rss_mb=500.0)
    assert objections(found, {}) == []
    found[30] = replace(USUAL, wal_bytes=2 * LARGEST_WAL)
    assert len(objections(found, {})) == 1


def test_an_answer_that_there_should_not_be_is_said() -> None:
    posts = [Post("events", 1 * MS, b""), Post("deletions", 2 * MS, b""), Post("rests", 3 * MS, b"")]
    record = Record()
    record.note(posts, [Answer(503, 4 * MS), Answer(404, 5 * MS), Answer(422, 6 * MS)], 0, 10)
    assert record.wrong == {"events: 503": 1, "rests: 422": 1}
    assert len(objections(samples(), record.wrong)) == 2


def test_latencies_are_kept_of_the_first_and_the_last_tenth() -> None:
    record, posts = Record(), [Post("events", 1 * MS, b"")]
    for number in range(20):
        record.note(posts, [Answer(202, (1 + number) * MS)], number, 20)
    assert record.first == {"events": [0.0, 1.0]}
    assert record.last == {"events": [18.0, 19.0]}
    assert record.posted == {"events": 20}


@pytest.mark.parametrize("count", [2, 3, 10, 12, 99, 1000])
def test_no_tenth_is_empty(count: int) -> None:
    every = [replace(USUAL, tasks=number) for number in range(count)]
    assert all(tenth(every, number) for number in range(10))
    assert tenth(every, 9)[-1] is every[-1]
    if count >= 10:
        assert [sample for number in range(10) for sample in tenth(every, number)] == every


def test_a_portion_is_everything_at_its_rate_in_the_order_of_instants() -> None:
    posts = portion(Crowd(1000, random.Random(1), 1e9), 7, 5.0)
    assert Counter(post.kind for post in posts) == {name: round(5 * kind.rate) for name, kind in KINDS.items()}
    instants = [post.instant for post in posts]
    assert instants == sorted(instants)
    assert instants[0] == 7
    assert instants[-1] < 7 + 5e9


def test_the_same_seed_means_the_same_people() -> None:
    first, second = (portion(Crowd(1000, random.Random(3), 1e9), 0, 1.0) for _ in range(2))
    assert [p.request for p in first if p.kind != "alarms"] == [p.request for p in second if p.kind != "alarms"]


def test_a_rest_has_begun_and_ends_within_a_minute() -> None:
    for seed in range(20):
        body = mixture.rest(Crowd(1000, random.Random(seed), 1_700_000_000.0)).partition(b"\r\n\r\n")[2]
        [window] = json.loads(body)["windows"]
        assert window["start"] == "2023-11-14T21:13:20+00:00"
        assert "2023-11-14T22:13:25+00:00" <= window["end"] <= "2023-11-14T22:14:20+00:00"
