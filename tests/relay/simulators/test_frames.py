"""Cutting a client's bytes into frames, wherever they are split, and whatever they are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

import h2.connection
import trio
from hyperframe.frame import Frame, GoAwayFrame, PingFrame, SettingsFrame
from hypothesis import example, given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from relay.simulators import frames
from relay.simulators.frames import Splitter
from relay.simulators.journal import Entry
from tests.relay.simulators.h2_client import PREFACE, Client, connected
from tests.relay.simulators.wakeups import BODY, START, fake_apns, wakeup


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


FRAMES = st.builds(frame, st.integers(0, 255), st.integers(0, 255), st.integers(0, 2**31 - 1), st.binary(max_size=40))
ANY_BYTES = st.one_of(
    st.binary(max_size=200),
    st.lists(FRAMES, max_size=8).map(b"".join),
    st.lists(
        st.builds(frame, st.integers(0, 9), st.integers(0, 0x3F), st.integers(0, 3), st.binary(max_size=12)),
        max_size=12,
    ).map(b"".join),
)
"""From nonsense to frames that are nearly right."""


def chunks(data: bytes, cuts: Iterable[int]) -> list[bytes]:
    """`data` cut at these places, each taken modulo its length; empty pieces are left out."""
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[a:b] for a, b in pairwise(places) if a < b]


CUTS = st.lists(st.integers(0, 10_000), max_size=12)


@given(given=st.lists(FRAMES, max_size=6), rest=st.binary(max_size=8), cuts=CUTS)
def test_frames_come_out_whole_wherever_they_are_split(given: list[bytes], rest: bytes, cuts: list[int]) -> None:
    splitter = Splitter()
    pieces = [piece for chunk in chunks(PREFACE + b"".join(given) + rest, cuts) for piece in splitter.split(chunk)]
    assert b"".join(piece for piece, is_frame in pieces if not is_frame) == PREFACE
    assert [piece for piece, is_frame in pieces if is_frame] == given


def test_a_frame_of_the_largest_size_is_whole_and_a_larger_one_is_not_waited_for() -> None:
    splitter = Splitter()
    largest = frame(0, 0, 1, bytes(16_384))
    assert list(splitter.split(PREFACE + largest)) == [(PREFACE, False), (largest, True)]
    beginning = frame(0, 0, 1, bytes(16_385))[:9]
    assert list(splitter.split(beginning)) == [(beginning, False)]


def test_the_preface_is_handed_on_as_it_comes() -> None:
    """So that `h2` can refuse what is none, however short."""
    splitter = Splitter()
    assert list(splitter.split(b"GET")) == [(b"GET", False)]


def parsed(data: bytes) -> Frame:
    found, length = Frame.parse_frame_header(memoryview(data[:9]))
    assert length == len(data) - 9
    found.parse_body(memoryview(data[9:]))
    return found


def test_frames_are_written_as_others_read_them() -> None:
    written = parsed(frames.settings({3: 1000, 4: 2**31 - 1}))
    assert isinstance(written, SettingsFrame)
    assert written.settings == {3: 1000, 4: 2**31 - 1}
    assert (set(written.flags), written.stream_id) == (set(), 0)
    ping = parsed(frames.ping(b"8 bytes."))
    assert isinstance(ping, PingFrame)
    assert (ping.opaque_data, set(ping.flags)) == (b"8 bytes.", set())
    goaway = parsed(frames.goaway(2**31 - 1, b"why", code=7))
    assert isinstance(goaway, GoAwayFrame)
    assert (goaway.last_stream_id, goaway.error_code, goaway.additional_data) == (2**31 - 1, 7, b"why")


def spoken(chunks: Sequence[bytes]) -> tuple[list[Entry], dict[str, int], bytes]:
    """Say this to a fake: its journal, the breaches, and the first bytes of what it says."""

    async def main() -> tuple[list[Entry], dict[str, int], bytes]:
        fake = fake_apns()
        heard = b""
        async with connected(fake, started=False) as client:
            for chunk in chunks:
                await client.send(chunk)
                await trio.testing.wait_all_tasks_blocked()
                if not fake.connections:
                    break
            with trio.move_on_after(1):
                heard = bytes(await client.stream.receive_some())
        return fake.journal.entries, dict(fake.journal.violations), heard

    return trio.run(main, clock=MockClock(autojump_threshold=0))


def session() -> bytes:
    """What a client says that has three requests, one of them bad, and that cancels a fourth."""
    here, _ = trio.testing.memory_stream_pair()
    client = Client(here)
    client.h2.initiate_connection()
    client.request(wakeup(), BODY)
    client.request(wakeup(apns_topic=None), BODY)
    client.request(wakeup(apns_push_type="background", apns_priority="5"), BODY)
    client.h2.reset_stream(client.request(wakeup(), b"{", ended=False))
    return client.h2.data_to_send()


SESSION = session()
WHOLE = spoken([SESSION])


@settings(max_examples=40)
@given(cuts=CUTS)
@example(cuts=list(range(len(SESSION))))
def test_requests_are_understood_wherever_their_bytes_are_split(cuts: list[int]) -> None:
    entries, violations, _ = spoken(chunks(SESSION, cuts))
    assert entries == WHOLE[0]
    assert [entry.status for entry in entries] == [200, 400, 200]
    assert [entry.t for entry in entries] == [START] * 3
    assert violations == WHOLE[1] == {}


@settings(max_examples=150)
@given(data=ANY_BYTES, cuts=CUTS)
@example(data=frame(1, 0x0D, 1, b""), cuts=[])
@example(data=frame(1, 0x05, 1, b"\x40"), cuts=[])
@example(data=frame(1, 0x25, 1, b"\x00"), cuts=[])
@example(data=frame(8, 0, 0, b"\x7f\xff\xff\xff"), cuts=[])
@example(data=b"\xff" * 9, cuts=[])
def test_whatever_a_client_says_is_its_own_trouble(data: bytes, cuts: list[int]) -> None:
    """The fake goes on, or ends this connection; it never fails."""
    start = PREFACE + frame(4, 0, 0, b"")
    spoken([start, *chunks(data, cuts)])
    spoken([data])


def test_a_client_that_never_speaks_is_greeted_and_no_more() -> None:
    entries, violations, heard = spoken([])
    assert (entries, violations) == ([], {})
    connection = h2.connection.H2Connection()
    connection.initiate_connection()
    assert len(connection.receive_data(heard)) == 1
