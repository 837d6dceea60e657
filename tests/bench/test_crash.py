"""What `bench.crash` calls lost, in rest, repeated or out of balance: its judges, asked about made-up stories."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from bench.crash import books, judge, migrating
from bench.crash.aims import SHARES, drawn
from bench.crash.case import OVER, Case, Continued, Life
from bench.crash.leavings import Place, moved, torn_frames
from bench.crash.migrating import Migration
from bench.crash.people import Force, Kind, Officer, Phone
from bench.crash.plan import posting, resting
from bench.crash.record import Record
from bench.crash.shared import evidence
from bench.crash.shared.nodes import Process
from bench.crash.shared.trial import Disruption
from bench.crash.sightings import Seen, Sightings
from relay.core.books import Account
from relay.journal import SETTLE_CHUNK
from relay.store.schema import VERSION
from relay.store.sqlite import SqliteStore

ANNA, BERT = (("anna", "phone-0"), ("bert", "phone-0"))
END = float("inf")


class Story:
    """Anna is whoever the test is about, Bert somebody else. Lives end at 10, 20, …; all but the last by a kill."""

    def __init__(self, kind: Kind = Kind.OFTEN, phones: int = 1, lives: int = 2) -> None:
        devices = [tuple(Phone(f"phone-{n}", "ios", f"{name}{n}") for n in range(phones)) for name in ("anna", "bert")]
        self.people = {"anna": Officer("anna", kind, devices[0]), "bert": Officer("bert", Kind.ONCE, devices[1][:1])}
        self.lines: list[dict[str, Any]] = []
        self.seen: dict[str, list[Seen]] = {}
        self.lives = [
            Life(number=n, aim="work", ended=10.0 * (n + 1), fell="work" if n < lives - 1 else "") for n in range(lives)
        ]
        self.metrics: dict[str, float] = {}

    def asked(self, do: str, at: float, end: str = "acked", life: int = 0, **more: object) -> Story:
        number = len(self.lines) + 1
        said: dict[str, object] = {name: more.pop(name) for name in ("receipt", "body") if name in more}
        self.lines.append({"n": number, "t": at, "do": do, "life": life, "at": at, **more})
        self.lines.append({"n": number, "t": at + 0.1, "is": end, "life": life, **said})
        return self

    def posted(
        self,
        at: float,
        end: str = "acked",
        life: int = 0,
        *,
        name: str = "message",
        users: str = "anna",
        **more: object,
    ) -> Story:
        known: dict[str, object] = {member: more.pop(member) for member in ("ttl", "device") if member in more}
        event = {"class": name, "users": users.split(), **known}
        more.setdefault("body", f'{{"accepted":{len(users.split())},"unknown":0}}')
        return self.asked("post", at, end, life, events=[event], **more)

    def woken(self, t: float, life: int = 0, token: str = "anna0", node: int = 0) -> Story:
        self.seen.setdefault(token, []).append(Seen(t, life, node))
        return self

    def of_life(self, life: int = 0, **members: Any) -> Story:  # noqa: ANN401 (members of Life)
        self.lives[life] = replace(self.lives[life], **members)
        return self

    def left(self, life: int = 0, **content: Any) -> Story:  # noqa: ANN401 (members of Snapshot)
        """What the life left."""
        self.lives[life] = replace(self.lives[life], left=replace(self.lives[life].left, **content))
        return self

    def owing(self, *places: Place, life: int = 0) -> Story:
        return self.left(life, owed=dict.fromkeys(places, 1), due=dict.fromkeys(places, 0.0))

    @property
    def case(self) -> Case:
        record, sightings = Record(Path()), Sightings()
        record.take(self.lines)
        sightings.by_token = self.seen
        return Case(self.people, self.lives, record, sightings, self.metrics)

    def objections(self) -> list[str]:
        """All but those of the metrics, where the story has none."""
        if not any(life.aim == "finish" for life in self.lives):
            self.lives[-1] = replace(self.lives[-1], aim="finish")
        found = list(books.objections(self.case))
        return [told for told in found if self.metrics or not told.startswith("the metrics")]


def resting_until(end: float, kind: Kind = Kind.RESTING, *, start: float = 0) -> Story:
    """The last life ends at 20."""
    story = Story(kind).asked("rest", 0, user="anna", device="edit 0", spans=[[start, end]])
    for life in (0, 1):
        story.left(life, edits={"anna": "edit 0"})
    return story


# --- lost


@pytest.mark.parametrize(
    ("story", "lost"),
    [
        (Story().posted(1).woken(2), 0),
        (Story().posted(1), 1),
        (Story().posted(1, "unknown"), 0),
        (Story().posted(1, "refused"), 0),
        (Story().woken(0.5).posted(1), 1),
        (Story(phones=2).posted(1).woken(2), 1),
        (Story().posted(1, users="anna bert").woken(2), 1),
        (Story().posted(1, ttl=0.2), 0),
        (Story().posted(1).asked("seen", 2, "unknown", user="anna"), 0),
        (Story().posted(3).asked("seen", 2, user="anna"), 1),
        (Story().posted(1).asked("seen", 2, user="bert"), 1),
        (Story().posted(1, name="alarm").asked("seen", 2, user="anna"), 1),
        (Story(Kind.LEAVER).posted(1), 0),
        (resting_until(END).posted(1), 1),
        (resting_until(END).posted(1).left(1, pending={("anna", "message"): 1}), 0),
        (resting_until(END).posted(1).left(1, pending={("anna", "roster"): 1}), 1),
        (resting_until(19).posted(1).left(1, pending={("anna", "message"): 1}), 1),
        (resting_until(END, start=29).posted(1).left(1, pending={("anna", "message"): 1}), 0),
        (resting_until(END, start=31).posted(1).left(1, pending={("anna", "message"): 1}), 1),
        (resting_until(END).posted(1).left(1, pending={("anna", "message"): 1}, edits={"anna": "edit 1"}), 1),
        (resting_until(END, Kind.ALARMED).posted(1, name="alarm").left(1, pending={("anna", "alarm"): 1}), 1),
        (Story(Kind.MOVER, phones=2).posted(1).woken(2), 0),
        (Story(Kind.ORDERED, phones=2).posted(1, name="control", device="phone-1").woken(2, token="anna1"), 0),
        (Story(Kind.ORDERED, phones=2).posted(1, name="control").woken(2), 1),
        (Story(Kind.ORDERED).posted(1, name="control").asked("confirm", 2, user="anna"), 0),
        (Story(Kind.ORDERED).posted(1, name="control").asked("confirm", 2, user="anna", device="phone-1"), 1),
    ],
)
def test_who_is_lost(story: Story, lost: int) -> None:
    assert len(judge.lost(story.case)) == lost


def test_while_a_relay_runs_nobody_is_lost_who_may_rest() -> None:
    assert judge.lost(resting_until(END).posted(1).case, is_over=False) == []
    assert judge.lost(Story(Kind.OFTEN).posted(1).case, is_over=False) != []


# --- rest


@pytest.mark.parametrize(
    ("story", "found"),
    [
        (resting_until(END).woken(5), 1),
        (resting_until(4).woken(5), 0),
        (resting_until(END, Kind.FALLING_ASLEEP, start=6).woken(5), 0),
        (resting_until(END, Kind.FALLING_ASLEEP, start=5).woken(5), 1),
        (resting_until(END).posted(1).woken(5), 1),
        (resting_until(END).posted(1, name="alarm").woken(5), 0),
        (resting_until(END).posted(6, name="alarm").woken(5), 1),
        (resting_until(END).posted(1, name="alarm").woken(5).woken(6), 1),
        (resting_until(END).posted(1, name="alarm").woken(5).woken(12, 1).owing(ANNA), 0),
        (resting_until(END).posted(1, name="alarm").woken(5).woken(12, 1).owing(BERT), 1),
        (resting_until(END).asked("rest", 3, user="anna", device="edit 1", spans=[[0, 1]]).woken(5), 0),
        (resting_until(END, Kind.PLANNER).woken(5), 0),
        (resting_until(END, Kind.PLANNER).woken(12, 1), 1),
        (Story().asked("rest", 0, "unknown", user="anna", device="edit 1", spans=[[0, END]]).woken(12, 1), 0),
        (
            Story()
            .asked("rest", 0, "unknown", user="anna", device="edit 1", spans=[[0, END]])
            .left(edits={"anna": "edit 1"})
            .woken(12, 1),
            1,
        ),
    ],
)
def test_who_is_woken_in_rest(story: Story, found: int) -> None:
    """An edit that was not answered holds from the kill on, if the database has it."""
    assert len(judge.in_rest(story.case)) == found


# --- duplicates


def repeated_beside_an_event() -> Story:
    """A wakeup whose verdict was lost is repeated; the one for an event that came meanwhile is held, into a new life.

    The second life ends in order.
    """
    story = Story(lives=3).posted(1).woken(2).owing(ANNA).posted(11, life=1).woken(12, 1).owing(ANNA, life=1)
    story.lives[1] = replace(story.lives[1], fell="")
    return story.woken(22, 2)


def booked_and_still_owed() -> Story:
    """The second relay ended in order, and the database owes Anna what she was woken for in either life."""
    story = Story(lives=3).posted(1).woken(2).owing(ANNA).woken(12, 1).owing(ANNA, life=1).woken(22, 2)
    story.lives[1] = replace(story.lives[1], fell=OVER)
    return story


@pytest.mark.parametrize(
    ("story", "count", "allowed", "inexcusable", "repeated"),
    [
        (Story().posted(1).woken(2), 0, 0, 0, 0),
        (Story().posted(1).woken(2).woken(3), 1, 0, 1, 1),
        (Story().posted(1).posted(2).woken(3), 0, 0, 0, 0),
        (Story().posted(1).woken(2).owing(ANNA).woken(12, 1), 1, 1, 0, 0),
        (Story().posted(1).woken(2).woken(12, 1), 1, 0, 1, 1),
        (Story().posted(1).owing(ANNA).woken(12, 1), 0, 0, 0, 0),
        (Story().posted(1).posted(2).woken(3).owing(ANNA).woken(12, 1), 0, 1, 0, 0),
        (Story().posted(1).posted(2).woken(3).woken(12, 1), 1, 0, 1, 1),
        (Story().posted(1).woken(2).left(owed={ANNA: 1}).woken(12, 1), 1, 0, 1, 0),
        (Story(lives=3).posted(1).woken(2).owing(ANNA).owing(ANNA, life=1).woken(22, 2), 1, 1, 0, 0),
        (Story(lives=3).posted(1).woken(2).owing(ANNA).woken(12, 1).woken(22, 2), 2, 1, 1, 1),
        (booked_and_still_owed(), 2, 1, 1, 0),
        (repeated_beside_an_event(), 1, 1, 0, 0),
        (repeated_beside_an_event().left(1, owed={}, due={}), 1, 1, 1, 1),
        (repeated_beside_an_event().woken(23, 2), 2, 1, 0, 1),
        (Story().posted(1).woken(2).posted(11, life=1).woken(12, 1), 0, 0, 0, 0),
        (Story().posted(1, "refused").woken(2), 1, 0, 1, 1),
    ],
)
def test_duplicates_and_their_excuse(story: Story, count: int, allowed: int, inexcusable: int, repeated: int) -> None:
    """An excuse is a verdict that was not in the database when the relay was killed."""
    case = story.case
    assert sum(more for _, _, more in judge.duplicates(case)) == count
    assert sum(judge.allowed(case, life) for life in case.lives) == allowed
    assert len(judge.without_excuse(case)) == inexcusable
    assert len(judge.repeated(case)) == repeated


@pytest.mark.parametrize(("aim", "fell"), [("quiet", "checkpoint"), ("drain", OVER)])
def test_nothing_may_be_repeated_when_everything_was_booked(aim: str, fell: str) -> None:
    """The relay had been idle, or had ended in order."""
    story = Story().posted(1).woken(2).owing(ANNA).woken(12, 1)
    story.lives[0] = replace(story.lives[0], aim=aim, fell=fell)
    assert judge.allowed(story.case, story.lives[0]) == 0
    assert len(judge.without_excuse(story.case)) == 1


def test_no_more_may_be_repeated_than_was_in_flight_and_in_one_batch() -> None:
    people = [Officer(f"{n}", Kind.CROWD, (Phone("phone-0", "desk", f"{n}"),)) for n in range(SETTLE_CHUNK + 300)]
    story = Story().owing(*((officer.name, "phone-0") for officer in people))
    story.people = {officer.name: officer for officer in people}
    for officer in people:
        story.woken(2, token=officer.name)
    story.lives[0] = replace(story.lives[0], unanswered=7)
    assert judge.allowed(story.case, story.lives[0]) == SETTLE_CHUNK + 207


def test_a_new_token_may_be_woken_for_what_is_open() -> None:
    story = Story(Kind.MOVER, phones=2).posted(1).woken(2).woken(2, token="anna1")
    moved_to = story.asked("device", 3, user="anna", device="phone-1", token="new").woken(4, token="new")
    assert judge.duplicates(moved_to.case) == []
    assert len(judge.duplicates(moved_to.woken(5, token="new").woken(6, token="new").case)) == 1


# --- several nodes


@pytest.mark.parametrize(
    ("doubtful", "allowed", "inexcusable", "repeated"), [({ANNA}, 1, 0, 0), ({BERT}, 1, 1, 1), (set(), 0, 1, 1)]
)
def test_of_several_nodes_what_is_lost_is_repeated_in_the_same_life(
    doubtful: set[Place], allowed: int, inexcusable: int, repeated: int
) -> None:
    story = Story().posted(1).woken(2).woken(6, node=1).of_life(fell="", doubtful=frozenset(doubtful))
    case = story.case
    assert [count for _, _, count in judge.duplicates(case)] == [1]
    assert judge.allowed(case, case.lives[0]) == allowed
    assert (len(judge.without_excuse(case)), len(judge.repeated(case))) == (inexcusable, repeated)
    assert len(judge.repeated(story.woken(7, node=1).case)) == 1, "one wakeup is excused, and no second"


@pytest.mark.parametrize(("doubtful", "found"), [({ANNA}, 0), ({BERT}, 1), (set(), 1)])
def test_of_several_nodes_an_alarm_may_ring_twice_where_its_verdict_is_lost(doubtful: set[Place], found: int) -> None:
    story = resting_until(END).posted(11, life=1, name="alarm").woken(12, 1).woken(16, 1, node=1)
    assert len(judge.in_rest(story.of_life(1, doubtful=frozenset(doubtful)).case)) == found


@pytest.mark.parametrize(("node", "t", "released"), [(0, 5.5, 1), (0, 4.5, 0), (0, 7, 0), (1, 5.5, 0)])
def test_only_the_process_that_was_stopped_may_release_a_write(node: int, t: float, released: int) -> None:
    story = resting_until(END).woken(t, node=node).of_life(continued=Continued(0, 5.0, 6.0))
    assert len(judge.in_rest(story.case)) == 1 - released
    assert sum(judge.released(story.case).values()) == released


def disrupted(kind: str = "work", **members: Any) -> Disruption:  # noqa: ANN401 (members of Disruption)
    """The first node, at 4; another process runs there from 6 on."""
    process = Process(0, 1, Path(), 0, 0.0)
    return Disruption(
        **{"kind": kind, "life": 0, "at": 4.0, "process": process, "epoch": 1, "had": frozenset({"anna"}),
           "next_start": 6.0, **members}
    )  # fmt: skip


@pytest.mark.parametrize(
    ("story", "disruption", "is_doubtful"),
    [
        (Story().woken(3), disrupted(due={ANNA: 2.0}), True),
        (Story().woken(1), disrupted(due={ANNA: 2.0}), False),
        (Story().woken(3, node=1), disrupted(due={ANNA: 2.0}), False),
        (Story().woken(7), disrupted(due={ANNA: 2.0}), False),
        (Story().woken(3), disrupted(due={ANNA: 2.0}, had=frozenset({"bert"})), False),
        (Story().woken(3), disrupted(), False),
        (Story().woken(5), disrupted(), False),
        (Story().woken(5), disrupted("hole"), True),
        (Story().woken(5), disrupted("pause"), True),
        (Story().woken(3), disrupted("hole"), False),
    ],
)
def test_whose_verdict_a_disruption_may_lose(story: Story, disruption: Disruption, is_doubtful: bool) -> None:
    """Woken by that process after what the database still owes; or, where that was away, at any time afterwards."""
    assert evidence.doubtful(story.case, disruption) == ({ANNA} if is_doubtful else set())


@pytest.mark.parametrize(
    ("story", "disruption", "seconds"),
    [
        (Story().woken(5).woken(7), disrupted(), 3),
        (Story().woken(3, node=1).woken(8, node=1), disrupted(), 4),
        (Story().woken(5, node=1, token="bert0"), disrupted(), None),
        (Story().asked("rest", 5, user="anna"), disrupted(), 1.1),
        (Story().asked("rest", 3.95, user="anna"), disrupted(), None),
        (Story().asked("rest", 5, "unknown", user="anna"), disrupted(), None),
        (Story().woken(7), disrupted(went_on=True), None),
    ],
)
def test_how_long_adopting_takes(story: Story, disruption: Disruption, seconds: float | None) -> None:
    """Until somebody whom the node had is woken by another process, or an edit is answered that was asked later."""
    assert evidence.adopted_within(story.case, disruption) == (seconds if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize("version", migrating.OLD)
def test_what_an_old_file_should_hold_afterwards_is_what_it_then_holds(
    version: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrating, "RECORDS", 2)
    monkeypatch.setattr(migrating, "RECORD", 100)
    path = tmp_path / "old.db"
    expected = migrating.write(path, version, [["f" * 64]], Random(1))
    SqliteStore(path).close()
    with closing(sqlite3.connect(path)) as db:
        bodies = [body for (body,) in db.execute("SELECT body FROM bypass_recipients ORDER BY key")]
    assert hashlib.sha256(b"".join(bodies)).hexdigest() == expected


STARTED = '{"event": "relay_started"}\n'
AWAY = "feierabend: the database cannot be reached, or does not let us in\n"


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        (STARTED + "feierabend: another process has taken over this store\n", True),
        (AWAY, True),
        (STARTED + AWAY, False),
        ('{"event": "commit_failed", "why": "another process has taken over this store"}\nKeyError: 1\n', False),
        ("", False),
    ],
)
def test_a_node_may_end_by_itself_where_its_last_words_say_why(tmp_path: Path, log: str, expected: bool) -> None:
    (tmp_path / "log").write_text(log)
    assert Process(0, 1, tmp_path / "log", 0, 0.0).has_explained_itself is expected


# --- the database


def sound(*, message: Account, **more: object) -> dict[str, Any]:
    return {"accounts": {"message": message}, **more}


@pytest.mark.parametrize(
    ("accepted", "forgotten", "objections"),
    [((1, 1), 0, 0), ((0, 0), 1, 3), ((0, 1), 1, 3), ((2, 2), 0, 3)],
)
def test_what_was_acknowledged_is_in_the_books(accepted: tuple[int, int], forgotten: int, objections: int) -> None:
    """Of either life: since the beginning, and in the life itself."""
    story = Story().posted(1).woken(2)
    for life, count in enumerate(accepted):
        story.left(life, **sound(message=Account(accepted=count, woken=count)))
    told = [told for told in story.objections() if "are accepted" in told]
    assert (books.forgotten(story.case), len(told)) == (forgotten, objections)


def fitting(kind: Kind = Kind.OFTEN) -> Story:
    """One event, taken in the first life, for which Anna is woken."""
    account = Account(accepted=1, woken=1)
    return Story(kind).posted(1).woken(2).left(0, **sound(message=account)).left(1, **sound(message=account))


def test_nothing_is_objected_to_where_all_is_well() -> None:
    assert fitting().objections() == []


@pytest.mark.parametrize(
    ("spoilt", "told"),
    [
        ({"is_sound": False}, "damaged"),
        ({"imbalances": ("message: 1 by the books, 0 in slots",)}, "do not balance"),
        ({"pending": {("anna", "message"): 1}}, "pending"),
        ({"accounts": {"message": Account(accepted=1, undeliverable=1)}}, "could not be delivered"),
        ({"accounts": {"message": Account(accepted=1, expired=1)}}, "have expired"),
        ({"accounts": {"message": Account(accepted=1, cancelled=1)}}, "were cancelled"),
    ],
)
def test_what_is_objected_to(spoilt: dict[str, Any], told: str) -> None:
    objections = fitting().left(1, **spoilt).objections()
    assert len(objections) == 1
    assert told in objections[0]


def test_who_always_rests_has_everything_pending() -> None:
    account = Account(accepted=1)
    story = resting_until(END).posted(1)
    for life in (0, 1):
        story.left(life, **sound(message=account, pending={("anna", "message"): 1}))
    assert story.objections() == []
    assert ["pending" in told for told in story.left(0, pending={}).objections()] == [True]


@pytest.mark.parametrize(
    ("end", "left", "lost"),
    [
        ("acked", "edit 2", 0),
        ("acked", "edit 1", 1),
        ("unknown", "edit 1", 0),
        ("unknown", "edit 2", 0),
        ("unknown", "edit 0", 1),
        ("refused", "edit 1", 0),
        ("refused", "edit 2", 1),
    ],
)
def test_edits_that_do_not_hold(end: str, left: str, lost: int) -> None:
    """The last one that was acknowledged holds, or one after it that was not answered."""
    story = Story(Kind.PLANNER).asked("rest", 1, user="anna", device="edit 1", spans=[])
    story.asked("rest", 2, end, user="anna", device="edit 2", spans=[]).left(edits={"anna": left})
    assert len(books.lost_edits(story.case)) == lost


@pytest.mark.parametrize(("token", "left", "lost"), [("t", "t", 0), ("t", "u", 1), (None, None, 0), (None, "u", 1)])
def test_devices_that_do_not_hold(token: str | None, left: str | None, lost: int) -> None:
    story = Story(Kind.MOVER, lives=3).left(tokens={("anna", "phone-1"): "u"})
    story.asked("device", 11, life=1, user="anna", device="phone-1", token=token)
    story.left(1, tokens={("anna", "phone-1"): left} if left else {})
    assert len(books.lost_edits(story.case)) == lost


@pytest.mark.parametrize(
    ("receipts", "objections"),
    [({"r": (1, 1)}, 0), ({"r": (1, 0)}, 1), ({"r": (1, 2)}, 1), ({}, 3)],
)
def test_receipts(receipts: dict[str, tuple[int, int]], objections: int) -> None:
    """They are there after every kill, and say in the end that everything was handed over."""
    story = Story().posted(1, name="alarm", receipt="r").woken(2)
    for life in (0, 1):
        story.left(life, accounts={"alarm": Account(accepted=1, woken=1)}, receipts=receipts)
    assert len(story.objections()) == min(objections, 2)


@pytest.mark.parametrize(
    ("body", "receipt", "name", "objections"),
    [
        ('{"accepted":1,"unknown":0}', "", "message", 0),
        ('{"accepted":0,"unknown":1}', "", "message", 1),
        ('{"unknown":0,"accepted":1}', "", "message", 1),
        ('{"accepted":1,"unknown":0}', "r", "message", 1),
        ('{"accepted":1,"unknown":0}', "", "alarm", 1),
    ],
)
def test_answers_are_all_alike(body: str, receipt: str, name: str, objections: int) -> None:
    story = Story().posted(1, name=name, body=body, receipt=receipt).woken(2)
    for life in (0, 1):
        story.left(life, accounts={name: Account(accepted=1, woken=1)}, receipts={"r": (1, 1)})
    told = [told for told in story.objections() if "receipt says" not in told]
    assert len(told) == objections


@pytest.mark.parametrize(
    ("story", "objections"),
    [
        (Story(Kind.ORDERED).posted(1, name="control").left(1, orders={ANNA: 1.0}), 0),
        (Story(Kind.ORDERED).posted(1, name="control"), 1),
        (Story(Kind.ORDERED).posted(1, "unknown", name="control"), 0),
        (Story(Kind.ORDERED).posted(1, name="control").asked("confirm", 2, user="anna"), 0),
        (Story(Kind.ORDERED).posted(1, name="control").asked("confirm", 0.5, user="anna"), 1),
        (Story(Kind.ORDERED).posted(1, name="control").asked("confirm", 2, user="anna").left(1, orders={ANNA: 1.0}), 1),
        (
            Story(Kind.ORDERED).posted(1, name="control").asked("confirm", 2, "unknown", user="anna")
            .left(1, orders={ANNA: 1.0}),
            0,
        ),
    ],
)  # fmt: skip
def test_orders_are_kept_until_they_are_confirmed(story: Story, objections: int) -> None:
    told = [told for told in story.objections() if told.startswith("an order")]
    assert len(told) == objections


def test_the_metrics_tell_what_the_books_say() -> None:
    story = fitting()
    told = dict.fromkeys(("woken", "merged", "cancelled", "expired", "undeliverable"), 0.0) | {"accepted": 1.0}
    story.metrics = {f'feierabend_notices_total{{class="message",fate="{fate}"}}': n for fate, n in told.items()}
    assert story.objections() == []
    story.metrics['feierabend_notices_total{class="message",fate="accepted"}'] = 2.0
    assert story.objections() == ["the metrics say 2.0 message accepted, the books 1"]


# --- where a kill fell


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Path]:
    """With a log that holds three commits, and is open."""
    path = tmp_path / "relay.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA wal_autocheckpoint = 0")
        for number in range(3):
            db.execute(f"CREATE TABLE t{number} (x)")
        yield path


def test_what_the_index_says_of_a_move(database: Path) -> None:
    """A reader keeps the second half of the log where it is."""
    assert moved(database) == (0, 0)
    with closing(sqlite3.connect(database, isolation_level=None)) as reader, closing(sqlite3.connect(database)) as db:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM t0").fetchall()
        db.execute("CREATE TABLE later (x)")
        _, logged, copied = db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        assert moved(database) == (copied, copied)
        assert 0 < copied < logged
    assert moved(database.with_name("none")) == (0, 0)


def test_pages_of_no_finished_commit(database: Path, tmp_path: Path) -> None:
    log = Path(f"{database}-wal").read_bytes()
    page = int.from_bytes(log[8:12], "big") + 24
    assert torn_frames(database) == 0
    assert torn_frames(tmp_path / "none") == 0
    pages = (len(log) - 32) // page
    last = log[32 + (pages - 1) * page :]
    torn = last[:4] + bytes(4) + last[8:]
    for tail, expected in ((torn, 1), (torn * 2, 2), (torn + last, 0), (torn[:100], 0), (bytes(page), 0)):
        copy = tmp_path / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        copy.mkdir()
        Path(f"{copy / 'relay.db'}-wal").write_bytes(log + tail)
        assert torn_frames(copy / "relay.db") == expected


@pytest.mark.parametrize(
    ("version", "killed_at", "torn", "is_ready", "fell", "allowed"),
    [
        (1, 3, 0, False, "migrate", 0),
        (3, 3, 5, False, "migrate", 0),
        (3, 3, 0, False, "start", 120),
        (3, VERSION, 0, True, "work", 120),
    ],
)
def test_where_a_kill_fell_on_an_older_file(
    version: int, killed_at: int, torn: int, is_ready: bool, fell: str, allowed: int
) -> None:
    migration = Migration(version, killed_at, torn, is_ready, 0, 0, ())
    assert (migration.fell, migration.allowed) == (fell, allowed)
    assert migration.objections == ()
    assert len(replace(migration, lost=1, duplicates=allowed + 1, faults=("damaged",)).objections) == 3


# --- what is played


def test_every_aim_has_its_share_of_rounds() -> None:
    rounds = sum(SHARES.values())
    aims = drawn(2 * rounds + 3, Random(1))
    assert len(aims) == 2 * rounds + 3
    assert all(share * 2 <= aims.count(aim) <= share * 3 for aim, share in SHARES.items())
    assert drawn(2 * rounds + 3, Random(1)) == aims != drawn(2 * rounds + 3, Random(2))
    assert drawn(3, Random(1), ["work"]) == ["work"] * 3


def test_a_repeated_request_has_the_same_body() -> None:
    officers = Force(1, crowd=2).crowd
    for ask in (posting([("message", officers)]), posting([("message", officers), ("roster", officers[:1])])):
        ask.at = 5.0
        assert ask.body() == ask.body() != ask.content
    assert resting(officers[0], 3, (0, 86400)).noted()["device"] == "edit 3"


def test_half_a_line_of_the_record_waits_for_its_rest(tmp_path: Path) -> None:
    path = tmp_path / "record.jsonl"
    record = Record(path)
    path.write_text('{"n":1,"t":1.0,"do":"seen","life":0,"user":"anna"}\n{"n":1,"t":2')
    record.look()
    assert [(a.number, a.in_life(0), a.in_life(1)) for a in record.asked.values()] == [(1, "unknown", None)]
    with path.open("a") as file:
        file.write('.0,"is":"acked","life":0}\n')
    record.look()
    assert (record.asked[1].in_life(0), record.answered) == ("acked", 1)
