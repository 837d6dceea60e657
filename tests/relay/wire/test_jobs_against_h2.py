"""Whole jobs against `h2`, which reads every byte: whatever a server's limits are and however they change, all leaves.

The state machine next door shows that no step is wrong. Here nothing may get stuck: a connection that could go on and
does not would be as bad as one that goes too far.
"""

from __future__ import annotations

from collections import Counter
from random import Random

import hypothesis
from hypothesis import given
from hypothesis import strategies as st

from relay.wire import Connection, Received, Request, Template
from tests.effort import examples
from tests.relay.wire import by_hand
from tests.relay.wire.by_hand import FRAME_SIZE, STREAMS, TABLE, WINDOW
from tests.relay.wire.h2_server import Server
from tests.relay.wire.scenes import VARYING, outcomes
from tests.relay.wire.test_connection_against_h2 import ANY_LENGTH, fields_of

TEMPLATE = Template(ANY_LENGTH, VARYING)
RELIEF = {STREAMS: 20, WINDOW: 70_000}

batches = st.lists(
    st.tuples(
        st.integers(1, 40), st.sampled_from([b"", b"{}", b"x" * 100, b"x" * 5000]), st.sampled_from([64, 1, 300])
    ),
    min_size=1,
    max_size=6,
)
some_settings = st.fixed_dictionaries(
    {},
    optional={
        STREAMS: st.sampled_from([0, 1, 2, 10, 100, 2**32 - 1]),
        WINDOW: st.sampled_from([0, 1, 100, 65_535, 2**31 - 1]),
        TABLE: st.sampled_from([0, 1, 200, 4096, 65_536]),
        FRAME_SIZE: st.sampled_from([16_384, 2**24 - 1]),
    },
)


def job(parts: list[tuple[int, bytes, int]]) -> list[Request]:
    """The batches one after the other: each its own body, length of token, and minute."""
    return [
        Request(f"{minute}/{number}", b"/3/device/" + b"%0*d" % (length, number), (b"bearer", b"17%08d" % minute), body)
        for minute, (count, body, length) in enumerate(parts)
        for number in range(count)
    ]


class Line:
    """A client and a server, and the bytes between them, which arrive in pieces."""

    def __init__(self, settings: dict[int, int], random: Random, *, obedient: bool = True) -> None:
        self.random = random
        self.server = Server(settings, obedient=obedient, disguise=random)
        self.client = Connection(TEMPLATE)
        self.news: list[Received] = []
        self.sent: dict[int, Request] = {}
        self.answered: set[int] = set()
        self._up = self.client.initiate()
        self._down = b""

    def take(self, wanted: list[Request]) -> int:
        """Send what may leave; the number of requests."""
        self._up += self.client.control()
        count, sent = self.client.take(wanted)
        for request, headers in zip(wanted[:count], by_hand.split(sent)[::2], strict=True):
            self.sent[headers.stream] = request
        self._up += sent
        return count

    def carry(self, *, whole: bool = False) -> None:
        """Some of the bytes under way arrive, or all, both ways."""
        for _ in range(3 if whole else 1):
            size = len(self._up) if whole else self.random.randint(0, len(self._up))
            chunk, self._up = self._up[:size], self._up[size:]
            self.server.receive(chunk)
            self._down += self.server.send()
            size = len(self._down) if whole else self.random.randint(0, len(self._down))
            chunk, self._down = self._down[:size], self._down[size:]
            self.news.append(self.client.receive(chunk))
            self._up += self.client.control()

    def answer(self, count: int, *, up_to: int = by_hand.GRACEFUL) -> None:
        """200 to so many of those that have arrived whole, in any order."""
        open_ = [stream for stream in self.server.bodies if stream not in self.answered and stream <= up_to]
        for stream in self.random.sample(open_, min(count, len(open_))):
            self.server.h2.send_headers(stream, [(b":status", b"200")], end_stream=True)
            self.answered.add(stream)

    def relieve(self) -> None:
        """Room and window enough for anything."""
        self.server.h2.increment_flow_control_window(100_000)
        if not self.server.unacknowledged:
            self.server.announce(RELIEF)

    def check(self) -> None:
        """What arrived is what was sent."""
        for stream, request in self.sent.items():
            assert self.server.headers[stream] == fields_of(request)
            assert self.server.bodies[stream] == request.body


@hypothesis.settings(max_examples=examples(80))
@given(
    parts=batches,
    initial=some_settings,
    changes=st.lists(some_settings, max_size=6),
    obedient=st.booleans(),
    seed=st.integers(0, 2**32),
)
def test_everything_leaves_whole_and_in_order_as_soon_as_the_server_has_room(
    parts: list[tuple[int, bytes, int]],
    initial: dict[int, int],
    changes: list[dict[int, int]],
    obedient: bool,
    seed: int,
) -> None:
    line, wanted = Line(initial, Random(seed), obedient=obedient), job(parts)
    left, changes = wanted, list(changes)
    for _ in range(2_000):
        if not left and not line.client.open_streams:
            break
        left = left[line.take(left) :]
        line.carry(whole=line.random.random() < 0.3)
        line.answer(line.random.choice([0, 1, 5, 100]))
        if changes and not line.server.unacknowledged and line.random.random() < 0.3:
            line.server.announce(changes.pop(0))
        elif not line.client.open_streams and not line.client.room():
            line.relieve()
    line.carry(whole=True)
    assert not left
    line.check()
    assert list(line.sent.values()) == wanted
    assert [*line.sent] == [*range(1, 2 * len(wanted), 2)]
    assert outcomes(line.news) == {request.tag: "accepted" for request in wanted}


@hypothesis.settings(max_examples=examples(60))
@given(size=st.integers(1, 70), body=st.integers(0, 3_000), credit=st.integers(500, 4_000), seed=st.integers(0, 2**32))
def test_a_server_that_gives_credit_by_the_spoonful_starves_us_and_loses_nothing(
    size: int, body: int, credit: int, seed: int
) -> None:
    """It is asked for whole bodies only; starved is who has nothing to wait for but credit."""
    line = Line({STREAMS: 100}, Random(seed))
    left = wanted = job([(size, b"x" * body, 64)])
    for _ in range(2_000):
        if not left and not line.client.open_streams:
            break
        left = left[line.take(left) :]
        line.carry(whole=True)
        line.answer(100)
        if line.client.is_starved:
            assert line.client.take(left) == (0, b"")
            assert line.server.h2.inbound_flow_control_window < max(1, body)
            line.server.h2.increment_flow_control_window(credit)
    line.carry(whole=True)
    line.check()
    assert outcomes(line.news) == {request.tag: "accepted" for request in wanted}


@hypothesis.settings(max_examples=examples(80))
@given(
    parts=batches,
    ends=st.lists(st.tuples(st.booleans(), st.floats(0, 1), st.floats(0, 1), st.booleans()), min_size=1, max_size=4),
    seed=st.integers(0, 2**32),
)
def test_what_a_goaway_disowns_was_never_processed_and_a_job_is_done_by_the_connections_after_it(
    parts: list[tuple[int, bytes, int]], ends: list[tuple[bool, float, float, bool]], seed: int
) -> None:
    """One GOAWAY or two, any last stream; what is not above it is answered, or a part. Then the connection ends."""
    random, wanted, left = Random(seed), job(parts), job(parts)
    processed: Counter[object] = Counter()
    doubtful: set[object] = set()
    for number in range(len(ends) + 1):
        line = Line({STREAMS: 100, WINDOW: 2**20}, random)
        is_last = number == len(ends)
        for _ in range(2_000 if is_last else random.randint(1, 6)):
            left = left[line.take(left) :]
            line.carry(whole=random.random() < 0.7)
            line.answer(random.choice([1, 5, 100]))
            if is_last:
                line.relieve()
                if not left and not line.client.open_streams:
                    break
        line.carry(whole=True)
        last = by_hand.GRACEFUL
        if not is_last:
            is_warned, share, answered, is_orderly = ends[number]
            arrived = sorted(line.server.bodies)
            last = max([0, *line.answered, *arrived[: round(share * len(arrived))]])
            if is_warned:
                line.server.by_hand(by_hand.goaway(by_hand.GRACEFUL))
                line.carry()
                left = left[line.take(left) :]
                line.carry(whole=True)
            line.server.by_hand(by_hand.goaway(last))
            line.answer(1000 if is_orderly else round(answered * len(arrived)), up_to=last)
            line.carry(whole=True)
            assert line.take(left) == 0
        told = outcomes(line.news)
        lost = set(line.client.lost())
        streams = {request.tag: stream for stream, request in line.sent.items()}
        assert set(told) | lost == set(streams)
        assert {tag for tag, word in told.items() if word == "unprocessed"} == {
            tag for tag, stream in streams.items() if stream > last
        }
        processed.update(tag for tag, stream in streams.items() if stream <= last)
        doubtful |= lost
        again = {tag for tag, word in told.items() if word == "unprocessed"} | lost
        left = [request for request in line.sent.values() if request.tag in again] + left
    assert not left
    assert set(processed) == {request.tag for request in wanted}
    assert {tag for tag, count in processed.items() if count > 1} <= doubtful
