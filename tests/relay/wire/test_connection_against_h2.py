"""Our connection against `h2`: a server that accepts every byte of ours, and a client that reads the same answers.

The state machine plays both ends with the bytes between them cut anywhere. At the end every request taken has reached
the server as it was meant, and has exactly the outcome that the server's frames give it.
"""

from __future__ import annotations

from random import Random
from typing import Final, NamedTuple

import h2.config
import h2.connection
import h2.events
import h2.settings
import hypothesis
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from relay.wire import Connection, Received, Request, Template
from tests.effort import examples
from tests.relay.wire import by_hand
from tests.relay.wire.by_hand import STREAMS, TABLE, WINDOW
from tests.relay.wire.h2_server import Server
from tests.relay.wire.scenes import CONSTANT, VARYING, outcomes

Fields = list[tuple[bytes, bytes]]
EXTRA: Final[list[Fields]] = [
    [],
    [(b"apns-id", b"eabeae54-14a8-11e5-b60b-1697f925ec7b")],
    [(b"content-type", b"application/json"), (b"apns-id", b"x")],
]
ANY_LENGTH: Final = [field for field in CONSTANT if field[0] != b"content-length"]
"""`h2` compares the length of a body with what the headers say."""
setting_changes = st.one_of(
    st.tuples(st.just(STREAMS), st.sampled_from([10, 50, 1000, 2, 1, 0])),
    st.tuples(st.just(WINDOW), st.sampled_from([65_535, 2**20, 20, 0])),
    st.tuples(st.just(TABLE), st.sampled_from([0, 1, 100, 4096, 65_536])),
)
bodies = st.sampled_from([b"", b"{}", b'{"say":"nothing"}', b"x" * 3000])


def fields_of(request: Request) -> Fields:
    pseudo = [field for field in ANY_LENGTH if field[0].startswith(b":")]
    regular = [field for field in ANY_LENGTH if not field[0].startswith(b":")]
    return [*pseudo, (b":path", request.path), *regular, *zip(VARYING, request.varying, strict=True)]


class Exchange(RuleBasedStateMachine):
    """Both ends of one connection, and the server's own record of what it told whom."""

    @initialize(
        changes=st.lists(setting_changes, max_size=3),
        obedient=st.booleans(),
        seed=st.integers(0, 2**32),
        is_proven=st.sampled_from([True, True, True, False]),
    )
    def connect(self, changes: list[tuple[int, int]], obedient: bool, seed: int, is_proven: bool) -> None:
        self.server = Server({STREAMS: 50} | dict(changes), obedient=obedient, disguise=Random(seed))
        self.client = Connection(Template(ANY_LENGTH, VARYING))
        self.up = self.client.initiate()
        self.down = self.server.send()
        self.taken: dict[int, Request] = {}
        self.news: list[Received] = []
        self.cancelled: set[object] = set()
        self.statuses: dict[int, int] = {}
        self.answers: dict[int, bytes] = {}
        """Bodies of answers begun."""
        self.ended: set[int] = set()
        self.resets: dict[int, int] = {}
        self.last_stream = by_hand.GRACEFUL
        self.pings = 0
        self.is_sound = True
        if is_proven:
            self.deliver_everything()
            self.take(count=1, body=b"", minute=0)
            self.deliver_everything()
            for stream in self.unanswered():
                self.answer(stream, 200, EXTRA[1], ends=True)
            self.deliver_everything()

    # --- the client's side

    @rule(count=st.integers(1, 30), body=bodies, minute=st.integers(0, 2), delivered=st.booleans())
    def send(self, count: int, body: bytes, minute: int, delivered: bool) -> None:
        self.take(count, body, minute)
        if delivered:
            self.deliver_everything()

    def take(self, count: int, body: bytes, minute: int) -> None:
        self.up += self.client.control()
        first = len(self.taken)
        offered = [
            Request(f"wakeup {number}", b"/3/device/%064x" % number, (b"bearer %d" % minute, b"17%08d" % minute), body)
            for number in range(first, first + count)
        ]
        taken, sent = self.client.take(offered)
        assert len(sent) <= 16_384
        for request, headers in zip(offered[:taken], by_hand.split(sent)[::2], strict=True):
            self.taken[headers.stream] = request
        self.up += sent

    @rule(share=st.floats(0, 1))
    def deliver_down(self, share: float) -> None:
        self.down += self.server.send()
        size = round(len(self.down) * share)
        chunk, self.down = self.down[:size], self.down[size:]
        self.is_sound = False
        self.news.append(self.client.receive(chunk))
        self.is_sound = True
        self.up += self.client.control()

    @precondition(lambda self: self.client.waiting())
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        tags = data.draw(st.lists(st.sampled_from(self.client.waiting()), max_size=3, unique=True))
        received = self.client.cancel(tags)
        assert received is not None
        self.news.append(received)
        self.cancelled |= set(tags)

    # --- the server's side

    @rule(share=st.floats(0, 1))
    def deliver_up(self, share: float) -> None:
        size = round(len(self.up) * share)
        chunk, self.up = self.up[:size], self.up[size:]
        self.is_sound = False
        self.server.receive(chunk)
        self.is_sound = True

    @rule()
    def deliver_everything(self) -> None:
        self.deliver_up(1)
        self.deliver_down(1)

    def unanswered(self) -> list[int]:
        """Streams the server may begin to answer."""
        gone = self.server.cancelled | self.resets.keys() | self.statuses.keys()
        return [stream for stream in self.server.headers if stream not in gone and stream <= self.last_stream]

    def unended(self) -> list[int]:
        """Streams whose answer has begun."""
        gone = self.server.cancelled | self.resets.keys() | self.ended
        return [stream for stream in self.statuses if stream not in gone]

    def answer(self, stream: int, status: int, extra: Fields, *, ends: bool) -> None:
        self.server.h2.send_headers(stream, [(b":status", b"%d" % status), *extra], end_stream=ends)
        self.statuses[stream] = status
        if ends:
            self.ended.add(stream)
        else:
            self.answers[stream] = b""

    @precondition(lambda self: self.unanswered())
    @rule(
        data=st.data(),
        count=st.integers(1, 20),
        extra=st.sampled_from(EXTRA),
        errors=st.sampled_from([[], [b'{"reason":', b"", b'"Unregistered"}'], [b"x" * 4000, b"y" * 4000]]),
        delivered=st.booleans(),
    )
    def answer_many(self, data: st.DataObject, count: int, extra: Fields, errors: list[bytes], delivered: bool) -> None:
        """200 without a body to several at once, and an error with a body to one."""
        first, *others = data.draw(st.permutations(self.unanswered()))[:count]
        self.answer(first, 410 if errors else 200, extra, ends=not errors)
        for stream in others:
            self.answer(stream, 200, extra, ends=True)
        for number, part in enumerate(errors, start=1):
            self.go_on(first, part, ends=number == len(errors))
        if delivered:
            self.deliver_everything()

    @precondition(lambda self: self.unanswered())
    @rule(data=st.data(), status=st.sampled_from([410, 200, 400, 503, 103]), extra=st.sampled_from(EXTRA))
    def begin_answer(self, data: st.DataObject, status: int, extra: Fields) -> None:
        stream = data.draw(st.sampled_from(self.unanswered()))
        if status == 103:
            self.server.h2.send_headers(stream, [(b":status", b"103"), *extra])
        else:
            self.answer(stream, status, extra, ends=False)

    def go_on(self, stream: int, part: bytes, *, ends: bool) -> None:
        self.server.h2.send_data(stream, part, end_stream=ends)
        self.answers[stream] += part
        if ends:
            self.ended.add(stream)

    @precondition(lambda self: self.unended())
    @rule(data=st.data(), part=st.sampled_from([b'{"reason":"Unregistered"}', b"", b"x" * 3000]), ends=st.booleans())
    def body(self, data: st.DataObject, part: bytes, ends: bool) -> None:
        self.go_on(data.draw(st.sampled_from(self.unended())), part, ends=ends)

    @precondition(lambda self: self.unended())
    @rule(data=st.data())
    def trailers(self, data: st.DataObject) -> None:
        stream = data.draw(st.sampled_from(self.unended()))
        self.server.h2.send_headers(stream, [(b"grpc-status", b"0")], end_stream=True)
        self.ended.add(stream)

    @precondition(lambda self: self.unanswered() or self.unended())
    @rule(data=st.data(), code=st.sampled_from([7, 0, 1, 2, 5, 8, 11]))
    def reset(self, data: st.DataObject, code: int) -> None:
        stream = data.draw(st.sampled_from(self.unanswered() + self.unended()))
        self.server.h2.reset_stream(stream, code)
        self.resets[stream] = code

    @rule(data=st.data(), kind=st.sampled_from(["settings", "credit", "ping", "late reset"]))
    def talk(self, data: st.DataObject, kind: str) -> None:
        if kind == "settings" and not self.server.unacknowledged:
            self.server.announce(dict(data.draw(st.lists(setting_changes, min_size=1, max_size=2))))
        elif kind == "credit":
            self.server.h2.increment_flow_control_window(data.draw(st.sampled_from([1, 3000, 100_000])))
        elif kind == "ping":
            self.server.h2.ping(b"ping%04d" % self.pings)
            self.pings += 1
        elif self.ended:
            stream = data.draw(st.sampled_from(sorted(self.ended)))
            self.server.by_hand(by_hand.rst(stream, data.draw(st.sampled_from([0, 5, 7]))))

    @precondition(lambda self: len(self.ended) > 10)
    @rule(data=st.data(), code=st.sampled_from([0, 7]))
    def goaway(self, data: st.DataObject, code: int) -> None:
        """At first or again: never above an earlier one, never below a stream that was answered or reset."""
        answered = max([0, *self.statuses, *self.resets])
        possible = [stream for stream in (by_hand.GRACEFUL, *self.server.headers) if stream >= answered]
        last = data.draw(st.sampled_from([stream for stream in possible if stream <= self.last_stream]))
        self.last_stream = last
        self.server.by_hand(by_hand.goaway(last, code, b'{"reason":"Shutdown"}'))

    # --- the end

    def teardown(self) -> None:
        if not getattr(self, "is_sound", False):
            return
        for _ in range(3):  # the last words of one side have an answer, and that has none
            self.deliver_everything()
        for stream, request in self.taken.items():
            assert self.server.headers[stream] == fields_of(request)
            assert self.server.bodies.get(stream, request.body) == request.body
        found = outcomes(self.news, self.client.lost())
        assert set(found) == {request.tag for request in self.taken.values()}
        for stream, request in self.taken.items():
            if request.tag not in self.cancelled:
                assert found[request.tag] == self.expected(stream)
        self.check_answers()
        self.check_pongs()

    def expected(self, stream: int) -> str:
        status, code = self.statuses.get(stream), self.resets.get(stream)
        if status == 200:
            return "accepted"
        if status is not None:
            return f"answered {status}" if code is not None or stream in self.ended else "lost"
        if code is not None:
            return "unprocessed" if code == 7 else f"unknown reset_{code}"
        return "unprocessed" if stream > self.last_stream else "lost"

    def check_answers(self) -> None:
        bodies = {self.taken[stream].tag: body for stream, body in self.answers.items()}
        for answer in (answer for received in self.news for answer in received.answers):
            if answer.tag not in self.cancelled:
                assert answer.body == bodies.get(answer.tag, b"")[:4096]

    def check_pongs(self) -> None:
        assert self.server.pongs == [b"ping%04d" % number for number in range(self.pings)]


TestExchange = Exchange.TestCase
TestExchange.settings = hypothesis.settings(
    max_examples=examples(80), stateful_step_count=50, report_multiple_bugs=False
)


class Told(NamedTuple):
    """What a client has learned about one stream."""

    status: int | None = None
    body: bytes = b""
    ended: bool = False
    reset: int | None = None


def h2_client() -> h2.connection.H2Connection:
    """`h2` as a client with our windows. It keeps a full table, so it reads obedient and disobedient servers alike."""
    client = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding=None))
    client.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 2**31 - 1})
    client.initiate_connection()
    return client


def learn(told: dict[int, Told], events: list[h2.events.Event]) -> None:
    for event in events:
        stream = getattr(event, "stream_id", None) or 0
        known = told.get(stream, Told())
        if isinstance(event, h2.events.ResponseReceived):
            told[stream] = known._replace(status=int(dict(event.headers or ())[b":status"]))
        elif isinstance(event, h2.events.DataReceived):
            told[stream] = known._replace(body=known.body + (event.data or b""))
        elif isinstance(event, h2.events.StreamEnded):
            told[stream] = known._replace(ended=True)
        elif isinstance(event, h2.events.StreamReset):
            told[stream] = known._replace(reset=int(event.error_code or 0))


def meaning(told: Told) -> str:
    if told.status == 200:
        return "accepted"
    if told.status is not None:
        return f"answered {told.status}" if told.ended or told.reset is not None else "lost"
    if told.reset is not None:
        return "unprocessed" if told.reset == 7 else f"unknown reset_{told.reset}"
    return "lost"


parts = st.lists(st.sampled_from([b"", b'{"reason":"Gone"}', b"x" * 3000]), max_size=3)
endings = st.sampled_from(["end", "trailers", "reset", "open"])
scripts = st.lists(
    st.tuples(
        st.sampled_from([[], [100], [103, 103]]),
        st.sampled_from([200, 200, 410, 429, 500, None]),
        st.sampled_from(EXTRA),
        parts,
        endings,
        st.sampled_from([0, 2, 7, 8]),
    ),
    min_size=1,
    max_size=8,
)


@hypothesis.settings(max_examples=examples(60))
@given(scripts=scripts, obedient=st.booleans(), seed=st.integers(0, 2**32))
def test_h2_as_a_client_reads_the_same_answers_in_the_same_bytes(
    scripts: list[tuple[list[int], int | None, Fields, list[bytes], str, int]], obedient: bool, seed: int
) -> None:
    random = Random(seed)
    server = Server({STREAMS: 100}, obedient=obedient, disguise=random)
    ours, theirs = Connection(Template(ANY_LENGTH, VARYING)), h2_client()
    wanted = [Request(stream, b"/", (b"bearer", b"17"), b"{}") for stream in range(1, 2 * len(scripts) + 3, 2)]
    news: list[Received] = []
    told: dict[int, Told] = {}

    def deliver() -> None:
        sent = server.send()
        learn(told, theirs.receive_data(sent))
        cut = random.randint(0, len(sent))
        news.extend([ours.receive(sent[:cut]), ours.receive(sent[cut:])])
        server.receive(ours.control())

    def open_some() -> None:
        count, sent = ours.take(wanted[ours.open_streams + len(told) :])
        for _ in range(count):
            theirs.send_headers(theirs.get_next_available_stream_id(), fields_of(wanted[0]), end_stream=True)
        server.receive(sent)

    server.receive(ours.initiate())
    deliver()
    open_some()
    server.h2.send_headers(1, [(b":status", b"200")], end_stream=True)
    deliver()
    open_some()
    for stream, (interim, status, extra, body, ending, code) in enumerate(scripts, start=1):
        play(server, 2 * stream + 1, interim, status, extra, body, ending, code)
        if random.random() < 0.5:
            deliver()
    deliver()
    assert len(server.headers) == len(wanted)
    assert outcomes(news, ours.lost()) == {
        request.tag: meaning(told.get(stream_of(request), Told())) for request in wanted
    }
    for answer in (answer for received in news for answer in received.answers):
        assert isinstance(answer.tag, int)
        assert answer.body == told[answer.tag].body[:4096]


def stream_of(request: Request) -> int:
    """The tag of a request is its stream."""
    assert isinstance(request.tag, int)
    return request.tag


def play(
    server: Server,
    stream: int,
    interim: list[int],
    status: int | None,
    extra: Fields,
    body: list[bytes],
    ending: str,
    code: int,
) -> None:
    """One answer, from its interim ones to its end."""
    for early in interim:
        server.h2.send_headers(stream, [(b":status", b"%d" % early)])
    if status is not None:
        bare = not body and ending == "end"
        server.h2.send_headers(stream, [(b":status", b"%d" % status), *extra], end_stream=bare)
        for number, part in enumerate(body, start=1):
            server.h2.send_data(stream, part, end_stream=ending == "end" and number == len(body))
        if ending == "trailers":
            server.h2.send_headers(stream, [(b"grpc-status", b"0")], end_stream=True)
    if ending == "reset":
        server.h2.reset_stream(stream, code)
