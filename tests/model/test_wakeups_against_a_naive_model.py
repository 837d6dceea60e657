"""The real core against a naive model, over everything that can happen to a wakeup.

Events of classes that pierce all rest, some, or none; read marks; edits of rest in all its language, and of devices;
time; departures in any order; verdicts of every kind, several in one commit, late or never; commits that fail; crashes.
After every step memory, what the store would load, and the model must agree, and I1, I2 and I4 must hold. At the end
everybody is made reachable, and nothing may stay pending.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import datetime
from typing import Final

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from relay.core.events import NEVER
from tests.effort import examples
from tests.model.documents import DOCUMENTS, NIGHTLY, SEASONS, WAKES, Document, composed
from tests.model.naive import User
from tests.model.play import COMMITTED, DISPATCHED, LEFT, PEOPLE, REFUSED, WAITING, Play, a_tenant
from tests.model.walls import DAY, HOUR

STORIES: Final = (
    "", "read", "read event", "read alarm event", "event", "event event", "event read", "alarm", "token",
    "token event", "refresh", "refresh event", "removal", "removal token", "removal token event", "reinstalled",
    "read event refresh", "rest", "rest event", "never", "never event", "never follow removal",
)  # fmt: skip
"""What may happen to a user whose wakeup is in the air."""
SEQUELS: Final = ("", "", "read", "event", "token", "refresh", "reinstalled", "removal", "rest")
"""What may happen to one whose wakeup has just been answered, while another is still in the air."""

documents = st.one_of(composed(), composed(), st.sampled_from(DOCUMENTS))
first_documents = st.one_of(
    st.none(), st.builds(lambda wakes: replace(NIGHTLY, wakes=wakes), st.sampled_from(WAKES)), composed()
)
"""None: that of the season."""
who = st.sampled_from([0, 0, 0, 1, 2, 2, 2, 3])
names = st.sampled_from(["message", "message", "alarm", "duty", "callout", "duty", "roster", "callout"])
far = st.sampled_from([LEFT, LEFT, LEFT, DISPATCHED, DISPATCHED, COMMITTED, WAITING, REFUSED])
when = st.sampled_from(["not at all", "before", "then", "then"])
picks = st.lists(st.integers(0, 11), max_size=6)
offsets = st.sampled_from([-10.5, -10.0, -9.5, -0.5, 0.0, 0.5, 299.0])
weather = st.sampled_from([(False, False), (True, False), (True, False), (True, True), (True, True)])
"""Whether the dispatcher runs while time passes, and whether providers answer."""


class Wakeups(RuleBasedStateMachine):
    play: Play

    @initialize(
        jitter=st.sampled_from([0.0, 300.0]),
        evict=st.booleans(),
        posts_seen=st.booleans(),
        phones=st.lists(st.sampled_from([1, 2, 2, 3]), min_size=len(PEOPLE), max_size=len(PEOPLE)),
        documents=st.lists(first_documents, min_size=len(PEOPLE), max_size=len(PEOPLE)),
        season=st.sampled_from(SEASONS),
    )
    def begin(
        self,
        jitter: float,
        evict: bool,
        posts_seen: bool,
        phones: list[int],
        documents: list[Document | None],
        season: tuple[str, Document | None],
    ) -> None:
        city = a_tenant("city", posts_seen=True, jitter=jitter, evict=True, limit=3)
        county = a_tenant("county", posts_seen=posts_seen, jitter=300.0 - jitter, evict=evict, limit=2)
        self.play = Play({"city": city, "county": county}, datetime.fromisoformat(season[0]).timestamp())
        for index, (count, document) in enumerate(zip(phones, documents, strict=True)):
            for device in range(count):
                self.play.register(index, device, _own(index, device), COMMITTED)
            self._put(index, document or season[1], COMMITTED)

    # --- what comes in

    @rule(index=who, name=names, far=far)
    def one_event(self, index: int, name: str, far: int) -> None:
        self.play.event((index,), name, 0.0, NEVER, far)

    @rule(
        index=who,
        others=st.sampled_from([(), (), (0,), (1, 1), (2, 3), (0, 1, 2, 3)]),
        name=names,
        ago=st.sampled_from([0.0, 5.0, 3600.0, 9e5]),
        ttl=st.sampled_from([NEVER, 20.0, 400.0, 5000.0, 1e5]),
        far=far,
    )
    def event(self, index: int, others: tuple[int, ...], name: str, ago: float, ttl: float, far: int) -> None:
        """Any event, for one or for several; some of another tenant, some twice."""
        self.play.event((index, *others), name, ago, ttl, far)

    @rule(index=who, ago=st.sampled_from([0.0, 0.0, 4.0, 6.0, 4000.0]), far=far)
    def read(self, index: int, ago: float, far: int) -> None:
        self.play.read(index, ago, far)

    @rule(index=who, document=documents, far=far, name=names, when=when, picks=picks)
    def rest(self, index: int, document: Document | None, far: int, name: str, when: str, picks: list[int]) -> None:
        """A document is put, or deleted. An event comes then, or before, and is caught on its way."""
        if when == "before":
            self.play.event((index,), name, 0.0, NEVER, DISPATCHED)
        self._put(index, document, far)
        if when == "then":
            self.play.event((index,), name, 0.0, NEVER, DISPATCHED)
        self._leave(picks)

    def _put(self, index: int, document: Document | None, far: int) -> None:
        self.play.rest(index, None if document is None else document.put_at(int(self.play.now)), far)

    @rule(
        index=who,
        device=st.integers(0, 3),
        token=st.sampled_from(["own", "own", "another", "somebody's", "none", "removed"]),
        far=far,
    )
    def device(self, index: int, device: int, token: str, far: int) -> None:
        """Registered anew or refreshed, with a token of its own, of the next device or of somebody else; or removed."""
        tokens = {"own": _own(index, device), "another": _own(index, device + 1), "somebody's": _own(index + 1, device)}
        if token == "removed":
            self.play.unregister(index, device, far)
        else:
            self.play.register(index, device, tokens.get(token), far)

    # --- time

    @rule(
        seconds=st.sampled_from([0.5, 5.0, 15.0, 70.0, 400.0, 2000.0, 8.0 * HOUR, 1.5 * DAY, 8.0 * DAY, 36.0 * DAY]),
        weather=weather,
        crashes=st.sampled_from([False, False, False, True]),
    )
    def pass_time(self, seconds: float, weather: tuple[bool, bool], crashes: bool) -> None:
        if crashes:
            self.play.crash()
        self.play.live_until(self.play.now + seconds, dispatches=weather[0], provides=weather[1])

    @rule(
        index=who,
        what=st.sampled_from(["rest", "rest", "deadline", "hold", "back-off"]),
        offset=offsets,
        weather=weather,
        name=names,
        when=when,
        picks=picks,
    )
    def go_to_an_edge(
        self, index: int, what: str, offset: float, weather: tuple[bool, bool], name: str, when: str, picks: list[int]
    ) -> None:
        """To an instant at which something changes for a user, or about it.

        An event comes just then, or before, and is caught on its way; and some of what is queued may leave.
        """
        if when == "before":
            self.play.event((index,), name, 0.0, NEVER, DISPATCHED)
        user = self.play.user(index)
        edges = [edge + offset for edge in self._edges(user, what)] if user is not None else []
        coming = [edge for edge in edges if edge > self.play.now]
        if coming:
            self.play.live_until(min(coming), dispatches=weather[0], provides=weather[1])
            if when == "then":
                self.play.event((index,), name, 0.0, NEVER, COMMITTED)
            self._leave(picks)

    def _edges(self, user: User, what: str) -> list[float]:
        now = self.play.now
        match what:
            case "rest":
                return [float(edge) for edge in user.rules.whole.changes(now, now + 40 * DAY)]
            case "deadline":
                patience = [user.patience(line, now) for line in user.lines.values()]
                return [instant for instant in patience if instant < NEVER]
            case "hold":
                return [user.held_until]
            case _:
                return [phone.not_before for phone in user.phones.values()]

    # --- the relay at work

    @rule(picks=picks, stays=st.sampled_from([False, False, False, True]))
    def leave(self, picks: list[int], stays: bool) -> None:
        """The dispatcher runs, and some of what is queued leaves, in any order; or is looked at and stays."""
        self.play.dispatch()
        self._leave(picks, stays=stays)

    def _leave(self, picks: list[int], *, stays: bool = False) -> None:
        queue = self.play.shell.queue
        for pick in picks:
            if queue:
                self.play.leave(queue[pick % len(queue)], stays=stays)

    @precondition(lambda self: self.play.shell.air)
    @rule(
        picks=picks,
        what=st.sampled_from(
            [
                "took", "took", "took", "later", "lost", "not processed", "give up",
                "dead", "dead from before", "dead since it is registered",
            ]
        ),
        noise=st.sampled_from([0.0, 0.5, 0.999]),
        far=far,
    )  # fmt: skip
    def answer(self, picks: list[int], what: str, noise: float, far: int) -> None:
        air = self.play.shell.air
        for pick in picks or [0]:
            if air:
                self.play.answer(air[pick % len(air)], what, noise)
        self.play.get(far)

    @precondition(lambda self: self.play.shell.air)
    @rule(
        pick=st.integers(0, len(DOCUMENTS) - 1),
        before=st.sampled_from(STORIES),
        what=st.sampled_from(
            ["took", "took", "later", "not processed", "give up", "dead", "dead since it is registered"]
        ),
        after=st.sampled_from(SEQUELS),
        far=far,
    )
    def answer_late(self, pick: int, before: str, what: str, after: str, far: int) -> None:
        """Things happen to a user whose wakeup is in the air; then its verdict comes, and more things happen."""
        play = self.play
        flight = play.shell.air[pick % len(play.shell.air)]
        index = next(i for i in range(len(PEOPLE)) if play.person(i)[1] == flight.person.key)
        names = flight.person.tenant.pseudonyms
        device = next(d for d in range(4) if names.device(PEOPLE[index][1], f"device{d}") == flight.device.key)
        token = next(t for t in range(20) if names.token("ios", f"token{t}") == flight.device.token_hash)
        self._tell(before, index, device, token, pick, far)
        if flight in play.shell.air:
            play.answer(flight, what, 0.0)
        play.get(far)
        self._tell(after, index, device, token, pick, far)

    def _tell(self, story: str, index: int, device: int, token: int, pick: int, far: int) -> None:
        play = self.play
        for event in story.split():
            match event:
                case "read":
                    play.read(index, 0.0, COMMITTED)
                case "event" | "alarm":
                    play.event((index,), "message" if event == "event" else "alarm", 0.0, NEVER, far)
                case "token":
                    play.register(index, device, (token + 1) % 20, COMMITTED)
                case "refresh":
                    play.register(index, device, token, COMMITTED)
                case "reinstalled":
                    play.register(index, (device + 1) % 4, token, COMMITTED)
                case "removal":
                    play.unregister(index, device, COMMITTED)
                case "rest":
                    self._put(index, DOCUMENTS[pick], COMMITTED)
                case "never":
                    others = tuple("follow" if other == device else "never" for other in range(4))
                    self._put(index, Document(wakes=others), COMMITTED)
                case "follow":
                    self._put(index, Document(), WAITING)

    @precondition(lambda self: self.play.shell.has_work)
    @rule(fails=st.sampled_from([False, False, False, True]), picks=picks, dispatches=st.booleans())
    def commit(self, fails: bool, picks: list[int], dispatches: bool) -> None:
        """Commit what waits. While the store writes, the dispatcher may run, and wakeups may leave."""

        def meanwhile() -> None:
            if dispatches:
                self.play.shell.dispatch()
            self._leave(picks)

        self.play.commit(fails=fails, meanwhile=meanwhile)

    # --- what must hold

    @invariant()
    def all_agree(self) -> None:
        self.play.check()

    def teardown(self) -> None:
        if hasattr(self, "play") and sys.exc_info()[0] is None:
            self.play.end()


def _own(index: int, device: int) -> int:
    return 4 * (index % len(PEOPLE)) + device % 4


TestWakeups = Wakeups.TestCase
TestWakeups.settings = settings(max_examples=examples(180), stateful_step_count=50)
