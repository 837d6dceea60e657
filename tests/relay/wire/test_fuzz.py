"""Bytes nobody meant: only WireError comes out, nothing hangs, nothing grows, and every request has one outcome.

What is judged, and the mutations, are those of `python -m bench.fuzz`, which runs for as long as one likes.
"""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.corpus import CORPUS, STREAMS, TEMPLATE, Conversation, conversations, request
from bench.fuzz import MUTATIONS, Mutation, attempt, kept, play, split
from relay.wire import Connection
from tests.relay.wire import by_hand
from tests.relay.wire.by_hand import END_HEADERS, OK, OK_OBEDIENT, status

TOLD = conversations(1)


@pytest.mark.parametrize("number", range(CORPUS))
def test_what_h2_said_is_understood_whole_and_byte_by_byte(number: int) -> None:
    told = TOLD[number]
    assert play([told.opening, told.rest]) is None
    assert play([told.opening, *(told.rest[at : at + 1] for at in range(len(told.rest)))]) is None


def test_the_corpus_has_frames_of_every_kind_a_server_may_send() -> None:
    kinds = {frame[3] for told in TOLD for frame in split(told.opening + told.rest)}
    assert kinds == {0, 1, 3, 4, 6, 7, 8, 9}


@settings(max_examples=200)
@given(
    told=st.sampled_from(TOLD),
    changes=st.lists(st.tuples(st.sampled_from(MUTATIONS), st.integers(0, 2**32)), max_size=4),
    from_the_start=st.booleans(),
    cuts=st.lists(st.floats(0, 1), max_size=4),
)
def test_what_h2_said_and_was_damaged_is_an_error_or_an_answer(
    told: Conversation, changes: list[tuple[Mutation, int]], from_the_start: bool, cuts: list[float]
) -> None:
    opening, sent = (b"", told.opening + told.rest) if from_the_start else (told.opening, told.rest)
    for change, seed in changes:
        sent = change(sent, Random(seed))
    places = sorted(round(cut * len(sent)) for cut in cuts)
    chunks = [sent[start:end] for start, end in zip([0, *places], [*places, len(sent)], strict=True)]
    assert play([opening, *chunks]) is None


@settings(max_examples=200)
@given(chunks=st.lists(st.binary(max_size=60), max_size=6), is_greeted=st.booleans())
def test_noise_is_an_error_or_not_yet_a_frame(chunks: list[bytes], is_greeted: bool) -> None:
    assert play([*([TOLD[0].opening] if is_greeted else []), *chunks]) is None


@pytest.mark.parametrize("hundred", range(5))
def test_some_hundred_inputs_of_the_long_runner(hundred: int) -> None:
    for number in range(100 * hundred, 100 * (hundred + 1)):
        assert attempt(TOLD, Random(f"1/{number}")) is None, number


@pytest.mark.parametrize("first_block", [OK, OK_OBEDIENT], ids=["full", "trust"])
def test_a_connection_that_has_carried_thousands_keeps_nothing_of_them(first_block: bytes) -> None:
    """With bodies, errors, interim answers and entries for a table, in turn."""
    connection = Connection(TEMPLATE, streams=STREAMS)
    connection.receive(by_hand.settings({by_hand.WINDOW: 2**20}) + by_hand.window_update(0, 2**30))
    connection.take([request(0)])
    connection.receive(by_hand.headers(1, first_block))
    connection.control()
    entry = b"" if first_block == OK_OBEDIENT else b"\x40\x07apns-id\x04%04d"
    stream = 3
    for number in range(0, 5_000, STREAMS):
        count, _ = connection.take([request(n) for n in range(number, number + STREAMS)])
        assert count == STREAMS
        sent = b""
        for _ in range(count):
            tail = entry % (stream % 10_000) if entry else b""
            if stream % 3 == 0:
                sent += by_hand.headers(stream, status(103), END_HEADERS)
            if stream % 5 == 0:
                sent += by_hand.headers(stream, status(410) + tail, END_HEADERS) + by_hand.data(stream, b"x" * 5000)
            else:
                sent += by_hand.headers(stream, OK + tail)
            stream += 2
        for start in range(0, len(sent), 1000):
            connection.receive(sent[start : start + 1000])
        connection.control()
        assert (connection.open_streams, kept(connection)) == (0, 0)
