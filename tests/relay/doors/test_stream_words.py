"""What is said over a stream, as bytes: cut anywhere it is the same; what is not MessagePack, or too long, is told."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.doors.decoding import an_id
from relay.doors.reading import EventBody
from relay.doors.stream_words import (
    LONGEST_MESSAGE,
    Broken,
    Frames,
    events_of,
    faults_of,
    id_faults,
    ids_are_good,
    read_hello,
    read_message,
)

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


def cut(data: bytes, places: Sequence[int]) -> list[bytes]:
    """Pieces of bytes, cut at these places."""
    edges = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[a:b] for a, b in itertools.pairwise(edges)]


@given(st.lists(VALUES, min_size=1, max_size=5), st.lists(st.integers(0, 10_000), max_size=30))
def test_objects_come_out_as_they_went_in_wherever_the_bytes_are_cut(values: list[object], places: list[int]) -> None:
    frames, found = Frames(LONGEST_MESSAGE), []
    sent = [msgpack.packb(value) for value in values]
    for piece in cut(b"".join(sent), places):
        frames.feed(piece)
        while (data := frames.next()) is not None:
            found.append(data)
    assert found == sent
    assert frames.kept == 0


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=10))
def test_any_bytes_are_objects_or_are_refused_and_never_kept_beyond_the_limit(data: bytes, places: list[int]) -> None:
    frames = Frames(64)
    for piece in cut(data, places):
        frames.feed(piece)
        try:
            while (found := frames.next()) is not None:
                read_message(found, None)
        except Broken:
            return
        assert frames.kept <= 64


def test_a_byte_that_begins_nothing_is_told() -> None:
    frames = Frames(64)
    frames.feed(msgpack.packb([1]) + b"\xc1")
    assert frames.next() == msgpack.packb([1])
    with pytest.raises(Broken) as caught:
        frames.next()
    assert json.loads(caught.value.problem.body)["detail"] == "this is not MessagePack"


@pytest.mark.parametrize("bomb", [b"\x91" * 2_000, b"\x81\xa1a" * 2_000], ids=["lists", "maps"])
def test_nesting_without_end_is_refused(bomb: bytes) -> None:
    frames = Frames(LONGEST_MESSAGE)
    frames.feed(bomb)
    with pytest.raises(Broken):
        frames.next()


@pytest.mark.parametrize("complete", [False, True])
def test_a_message_may_be_so_long_and_not_longer(complete: bool) -> None:
    text = msgpack.packb("a" * 90)
    frames = Frames(len(text) - (0 if complete else 1))
    frames.feed(text)
    if complete:
        assert frames.next() == text
        return
    with pytest.raises(Broken) as caught:
        frames.next()
    assert caught.value.problem.status == 413


def test_what_claims_to_be_large_is_not_believed() -> None:
    """Four thousand million items, none of which has come."""
    frames = Frames(64)
    frames.feed(b"\xdd\xff\xff\xff\xff" + b"\xc0" * 59)
    assert frames.next() is None
    frames.feed(b"\xc0")
    with pytest.raises(Broken):
        frames.next()


@pytest.mark.parametrize(
    "hello",
    [[], {}, {"stream": 1}, {"key": "a.b"}, {"stream": "1", "key": "a.b"}, {"stream": 2, "key": "a.b"},
     {"stream": 1, "key": b"a.b"}, {"stream": 1, "key": "a.b", "more": 1}],
)  # fmt: skip
def test_a_stream_begins_with_a_hello(hello: object) -> None:
    with pytest.raises(Broken) as caught:
        read_hello(msgpack.packb(hello))
    assert caught.value.problem.status == 400


def test_a_hello_shows_the_key() -> None:
    assert read_hello(msgpack.packb({"stream": 1, "key": "backend.secret"})) == "backend.secret"


@pytest.mark.parametrize(
    "message",
    [1, "text", None, {}, [], [1], ["1", []], [1.0, ["a"]], [-1, ["a"]], [True, ["a"]], [None, ["a"]], [2**63, ["a"]]],
)
def test_what_is_no_message_ends_the_stream(message: object) -> None:
    with pytest.raises(Broken):
        read_message(msgpack.packb(message), None)


@pytest.mark.parametrize(
    ("last", "number", "good"), [(None, 7, True), (None, 0, True), (7, 8, True), (7, 9, False), (7, 7, False)]
)
def test_messages_are_numbered_one_after_the_other(last: int | None, number: int, good: bool) -> None:
    data = msgpack.packb([number, ["a"]])
    if good:
        assert read_message(data, last)[0] == number
        return
    with pytest.raises(Broken):
        read_message(data, last)


def test_a_message_has_ids_and_events_and_perhaps_a_key() -> None:
    data = msgpack.packb([3, ["anna", {"user": "bert", "class": "roster"}], "k"])
    number, message = read_message(data, 2)
    assert message is not None
    assert (number, message.idempotency_key) == (3, "k")
    assert message.events[0] == "anna"
    assert isinstance(message.events[1], EventBody)
    assert events_of(data) == msgpack.packb(["anna", {"user": "bert", "class": "roster"}])


@pytest.mark.parametrize(
    ("message", "paths"),
    [
        ([1, "anna"], ["events"]),
        ([1, {"user": "anna"}], ["events"]),
        ([1, [7]], ["events[0]"]),
        ([1, ["anna", None, {"user": 1}]], ["events[1]", "events[2].user"]),
        ([1, [{"usr": "anna"}]], ["events[0].usr"]),
        ([1, [{"users": ["a", ""]}]], ["events[0].users[1]"]),
        ([1, ["anna"], 7], ["idempotency_key"]),
        ([1, ["anna"], "k", 1], ["message"]),
        ([1, [7], 7, 7], ["events[0]", "idempotency_key", "message"]),
    ],
)
def test_what_is_wrong_in_form_is_named_by_its_path(message: object, paths: list[str]) -> None:
    data = msgpack.packb(message)
    assert read_message(data, 0) == (1, None)
    assert [problem.path for problem in faults_of(data)] == paths


def test_a_text_that_is_none_is_a_fault_with_a_number() -> None:
    """Bytes that are no UTF-8 where a text should be."""
    data = b"\x92\x01\x91\xa2\xff\xfe"
    assert read_message(data, 0) == (1, None)
    assert [problem.path for problem in faults_of(data)] == ["events"]


@given(st.lists(st.text(max_size=300) | st.sampled_from(["", "a" * 256, "a" * 257, "\x00", "\x7f", "\n", "a\n", "ä"])))
def test_ids_asked_all_at_once_are_as_good_as_one_by_one(ids: list[str]) -> None:
    if not ids:
        return
    assert ids_are_good(ids) == (not [each for each in ids if an_id(each)])
    assert ids_are_good(ids) == (not id_faults(ids))
