"""What the judge forgives is as narrow as the fault that provokes it."""

from __future__ import annotations

from random import Random

import trio
from trio.testing import MockClock

from bench.simulation.calm import Calm
from bench.simulation.clock import Clocks, Times, TrueTime
from bench.simulation.conduct import YOUNG
from bench.simulation.force import KINDS
from bench.simulation.frames import Departure
from bench.simulation.judge import Judge
from bench.simulation.ledger import Answered, Ledger, Notice, User
from bench.simulation.pace import ALONE
from bench.simulation.rests import DAY, REACHABLE, Override, Plan
from bench.simulation.stations import Alone, Station
from bench.simulation.trace import Trace

TOKEN = "f" * 64
HOUR = 3600.0


class Lost(Alone):
    """A node that lost everybody, and when (trio's clock); and whether there was post for them since."""

    def __init__(self, at: float, *, posted: bool = False) -> None:
        self._at = at
        self._posted = posted

    def was_posted(self, _user: User, _since: float) -> bool:
        return self._posted

    def until(self, _station: Station, _user: User) -> float:
        return self._at


class Scene:
    """One user with a phone; nothing has happened."""

    def __init__(self, registry: Alone | None = None) -> None:
        self.world = TrueTime(1_795_000_000.0)
        self.times = Times(self.world, Random(1))
        self.trace = Trace()
        self.ledger = Ledger(["u0"])
        self.user = self.ledger.users["u0"]
        self.register()
        clocks = Clocks([self.times])
        self.judge = Judge(
            self.ledger, clocks, self.trace, Calm(), lambda: None, ALONE, echoes=False, registry=registry
        )
        self.conduct = self.judge.conduct
        self.station = Station(self.judge, self.times)

    def register(self) -> None:
        self.ledger.may_have(self.user, {"phone": TOKEN})
        self.ledger.has(self.user, {"phone": TOKEN})

    def posted(self, name: str) -> Notice:
        notice = self.ledger.post(self.user, KINDS[name], self.world.now(), None, None)
        self.ledger.take(notice)
        return notice

    async def refused(self, *, is_dead: bool) -> None:
        """A wakeup is, and the relay hears of it; a second passes before that, and another one after it."""
        await trio.sleep(1.0)
        refusal = Departure("ios", 1, 1, TOKEN, trio.current_time(), trio.current_time())
        self.conduct.refused(refusal, is_dead=is_dead)
        self.conduct.heard(refusal)
        await trio.sleep(1.0)

    def leaves(self, called: float) -> list[str]:
        """What is wrong with a wakeup whose write began then, and ends now."""
        self.judge.departed(Departure("ios", 1, 1, TOKEN, called, trio.current_time()), self.station)
        return self.trace.failures


async def test_whoever_asks_again_is_forgiven_where_the_phone_was_registered_anew_and_for_no_other_edit(
    autojump_clock: MockClock,
) -> None:
    for is_registered in (False, True):
        scene = Scene()
        await scene.refused(is_dead=True)
        scene.ledger.rests(scene.user, REACHABLE)
        if is_registered:
            scene.register()
        again = Departure("ios", 1, 3, TOKEN, trio.current_time(), trio.current_time())
        scene.conduct.objected("ios", "retry_of_refused", trio.current_time(), again)
        assert scene.trace.failures == ([] if is_registered else ["ios objects: retry_of_refused"])


async def test_an_alarm_of_a_node_that_has_lost_somebody_does_not_know_what_the_next_one_was_told(
    autojump_clock: MockClock,
) -> None:
    for is_lost in (False, True):
        scene = Scene(Lost(trio.current_time() + 1.5) if is_lost else None)
        scene.posted("alarm")
        await scene.refused(is_dead=False)
        again = Departure("ios", 2, 1, TOKEN, trio.current_time(), trio.current_time())
        scene.judge.departed(again, scene.station)
        scene.judge.objected("ios", 2, 1, "retry_too_soon_after_5xx", trio.current_time())
        assert scene.trace.failures == ([] if is_lost else ["ios objects: retry_too_soon_after_5xx"])


async def test_a_process_that_ended_later_is_no_reason_to_have_asked_again(autojump_clock: MockClock) -> None:
    scene = Scene()
    await scene.refused(is_dead=True)
    again = Departure("ios", 1, 3, TOKEN, trio.current_time(), trio.current_time())
    await trio.sleep(1.0)
    scene.conduct.ended()
    scene.conduct.objected("ios", "retry_of_refused", again.called, again)
    assert scene.trace.failures == ["ios objects: retry_of_refused"]


async def test_a_process_that_begins_may_fetch_a_token_and_one_that_has_run_for_long_not_a_second(
    autojump_clock: MockClock,
) -> None:
    scene = Scene()
    scene.conduct.ended()
    scene.conduct.objected("oauth", "token_refreshed_too_often", trio.current_time() + YOUNG)
    assert scene.trace.failures == []
    scene.conduct.objected("oauth", "token_refreshed_too_often", trio.current_time() + YOUNG + 1.0)
    assert scene.trace.failures == ["oauth objects: token_refreshed_too_often"]


async def test_a_process_that_is_stopped_within_a_write_may_end_it_in_a_rest_that_has_begun(
    autojump_clock: MockClock,
) -> None:
    scene = Scene()
    scene.posted("message")
    first = int(scene.world.now()) + 100
    scene.ledger.rests(scene.user, Plan({}, rests=(Override((first, first + DAY)),)))
    await trio.sleep(80.0)
    called = trio.current_time()
    scene.station.held_at = called + 1.0
    await trio.sleep(60.0)
    assert scene.leaves(called) == []


async def test_it_may_not_begin_one_in_rest_nor_for_nothing(autojump_clock: MockClock) -> None:
    for is_pending in (False, True):
        scene = Scene()
        if is_pending:
            scene.posted("message")
        first = int(scene.world.now())
        scene.ledger.rests(scene.user, Plan({}, rests=(Override((first, first + DAY)),)))
        await trio.sleep(1.0)
        called = scene.station.held_at = trio.current_time()
        await trio.sleep(60.0)
        assert len(scene.leaves(called)) == 1


async def test_who_has_lost_somebody_may_ring_for_an_alarm_that_was_taken_and_came_before_while_it_lives(
    autojump_clock: MockClock,
) -> None:
    for lost, leap, state, expected in (
        (1.0, 0.0, Answered.TAKEN, 0),
        (-1.0, 0.0, Answered.TAKEN, 1),
        (1.0, HOUR + 1.0, Answered.TAKEN, 1),
        (1.0, HOUR + 1.0, Answered.UNKNOWN, 0),  # it may have been taken just now
        (1.0, 0.0, Answered.REFUSED, 1),
    ):
        scene = Scene(Lost(trio.current_time() + lost))
        alarm = scene.posted("alarm")
        alarm.state = state
        if state is not Answered.UNKNOWN:
            alarm.answered = alarm.written
        scene.posted("message")
        await trio.sleep(2.0)
        scene.world.leap(leap)
        assert len(scene.leaves(trio.current_time())) == expected


async def test_an_alarm_that_one_node_posted_for_another_is_as_old_as_it_was_fetched(autojump_clock: MockClock) -> None:
    """The machine may sleep in between; by then it has its whole life before it."""
    for posted, expected in ((True, 0), (False, 1)):
        scene = Scene(Lost(trio.current_time() + 1.0, posted=posted))
        alarm = scene.posted("alarm")
        alarm.answered = alarm.written
        await trio.sleep(2.0)
        scene.world.leap(HOUR + 1.0)
        assert len(scene.leaves(trio.current_time())) == expected


async def test_an_alarm_is_over_only_where_something_was_in_the_way_all_its_life(autojump_clock: MockClock) -> None:
    for late, expected in ((0.0, ["a notice of the class alarm was lost"]), (ALONE.settles, [])):
        scene = Scene()
        notice = scene.posted("alarm")
        scene.world.leap(late + 1.0)
        scene.judge.well()
        scene.world.leap(2 * HOUR)
        scene.judge.finish()
        assert [sentence for sentence in scene.trace.failures if "lost" in sentence] == expected
        assert ("over" in notice.excuses) == (not expected)


def test_a_span_may_seem_shorter_by_as_much_as_clocks_were_ever_apart() -> None:
    async def main() -> None:
        world = TrueTime(0.0)
        one, other = Times(world, Random(1)), Times(world, Random(2))
        clocks = Clocks([one, other])
        assert clocks.spread == 0.0
        one.step(7.0)
        one.step(-5.0)
        other.step(-10.0)
        other.set_right()
        assert clocks.spread == 17.0
        one.drift(0.5)
        world.leap(100.0)
        assert 62.0 <= clocks.spread < 62.1

    trio.run(main)
