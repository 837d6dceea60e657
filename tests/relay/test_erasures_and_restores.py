"""Random lives of a database: nobody who was erased since a backup is there after its restore, nobody else is missing.

People come, sign in, rest, get something and are erased, wholly or in part; backups are made; commits fail, processes
die between the two files, months pass, and backups are restored, one after the other, also of a line of events that
another restore has ended. What must be there is kept in sets of facts beside it.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.core.erasing import Erased
from relay.core.events import DAY
from relay.core.passes import LIVES, PassKind
from relay.restoring import UnknownErasures
from relay.store.erasures import LIFE
from relay.store.port import StoreError
from tests.effort import examples
from tests.relay.node import DEVICES, Fact, Node
from tests.relay.store.test_sqlite import sql

USERS: Final = ("anna", "bert", "carl")
Step = tuple[str, ...]

BEGIN: Final[list[Step]] = [
    ("register", "anna", "phone"), ("register", "anna", "tablet"), ("rest", "anna"), ("sign in", "anna", "a"),
    ("register", "bert", "phone"), ("erase", "bert"), ("register", "bert", "tablet"),
    ("post", "anna"), ("post", "bert"), ("back up",),
]  # fmt: skip
user = st.sampled_from(USERS)
steps = st.one_of(
    st.tuples(st.just("register"), user, st.sampled_from(DEVICES)),
    st.tuples(st.just("rest"), user),
    st.tuples(st.just("sign in"), user, st.sampled_from("ab")),
    st.tuples(st.just("post"), user),
    st.tuples(st.just("erase"), user),
    st.tuples(st.just("erase"), user),
    st.tuples(st.just("erase"), user, st.sampled_from(["phone", "tablet", "rest", "a", "b"])),
    st.tuples(st.just("fail"), user),
    st.tuples(st.just("cut off"), user),
    st.tuples(st.just("cut off"), user, st.just("and restore")),
    st.tuples(st.just("reopen")),
    st.tuples(st.just("back up")),
    st.tuples(st.just("restore"), st.sampled_from("001")),
    st.tuples(st.just("restore"), st.sampled_from("001")),
    st.tuples(st.just("put by hand"), st.sampled_from("001")),
    st.tuples(st.just("time"), st.sampled_from(["1", "20", "36"])),
)


@dataclass
class Line:
    """What the database must hold, and every erasure that was acknowledged, oldest first, whatever became of it."""

    facts: set[Fact] = field(default_factory=set)
    erased: list[tuple[float, Fact]] = field(default_factory=list)
    forgotten: int = 0
    """So many of the first erasures are known no more."""
    backups: list[tuple[set[Fact], int]] = field(default_factory=list)
    """What each holds, and how many erasures came before it."""

    def erase(self, fact: Fact, now: float) -> None:
        self.erased.append((now, fact))
        self.facts -= self.of(fact)

    def of(self, erased: Fact) -> set[Fact]:
        """What goes with it."""
        return {fact for fact in self.facts if fact[: len(erased)] == erased or erased == ("person", fact[1])}

    def back_up(self) -> None:
        self.backups.append((set(self.facts), len(self.erased)))

    def is_known_since(self, number: int) -> bool:
        return self.forgotten <= self.backups[number][1]

    def go_back(self, number: int) -> None:
        self.facts, since = set(self.backups[number][0]), self.backups[number][1]
        for _, fact in self.erased[max(since, self.forgotten) :]:
            self.facts -= self.of(fact)

    def purge(self, now: float) -> None:
        while self.forgotten < len(self.erased) and self.erased[self.forgotten][0] < now - LIFE:
            self.forgotten += 1


def fact_of(step: Step) -> Fact:
    """What an erasing step erases."""
    _, name, *part = step
    if not part:
        return ("person", name)
    if part[0] in DEVICES:
        return ("device", name, part[0])
    return ("rest", name) if part[0] == "rest" else ("pass", name, part[0])


class Life:
    """A node and its line."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.line = Line()
        self.acts: dict[str, Callable[[Step], None]] = {
            "register": self.register, "rest": self.rest, "sign in": self.sign_in, "post": self.post,
            "erase": self.erase, "fail": self.fail, "cut off": self.cut_off, "reopen": lambda _: self.node.reopen(),
            "back up": self.back_up, "restore": self.restore, "put by hand": self.put_by_hand, "time": self.pass_time,
        }  # fmt: skip

    def play(self, step: Step) -> None:
        self.node.now += 1
        self.acts[step[0]](step)
        assert self.node.facts() == self.line.facts

    def knows(self, name: str) -> bool:
        return ("person", name) in self.line.facts

    def register(self, step: Step) -> None:
        _, name, device = step
        self.node.register(name, device)
        self.line.facts |= {("person", name), ("device", name, device)}

    def rest(self, step: Step) -> None:
        self.node.rest(step[1])
        self.line.facts |= {("person", step[1]), ("rest", step[1])}

    def sign_in(self, step: Step) -> None:
        _, name, secret = step
        if self.knows(name):
            self.node.sign_in(name, secret)
            self.line.facts -= self.line.of(("pass", name, secret))
            self.line.facts.add(("pass", name, secret, f"{self.node.now + LIVES[PassKind.TOKEN]:.0f}"))

    def post(self, step: Step) -> None:
        if self.knows(step[1]):
            self.node.post(step[1])

    def erase(self, step: Step) -> None:
        fact = fact_of(step)
        if self.line.of(fact):
            self._erase(fact)
            self.line.erase(fact, self.node.now)

    def _erase(self, fact: Fact) -> None:
        node = self.node
        match fact:
            case ("person", name):
                node.forget(name)
            case ("device", name, device):
                node.unregister(name, device)
            case ("rest", name):
                node.no_rest(name)
            case ("pass", name, secret):
                node.sign_out(name, secret)

    def fail(self, step: Step) -> None:
        """The commit fails after the erasure was written down."""
        if self.knows(step[1]):
            when = "BEFORE UPDATE ON meta WHEN NEW.name = 'erased'"
            sql(self.node.database, f"CREATE TRIGGER broken {when} BEGIN SELECT RAISE(ABORT, 'broken'); END")
            with pytest.raises(StoreError):
                self.node.forget(step[1])
            sql(self.node.database, "DROP TRIGGER broken")

    def cut_off(self, step: Step) -> None:
        """The process dies between the two files; the next one, or a restore, finds them so."""
        self.node.store._erasures.add(Erased(users=frozenset({self.node.key(step[1])})), self.node.now)
        if len(step) == 3 and self.line.is_known_since(0):
            self.restore(("restore", "0"))
        else:
            self.node.reopen()

    def back_up(self, _step: Step) -> None:
        self.node.back_up(str(len(self.line.backups)))
        self.line.back_up()

    def restore(self, step: Step) -> None:
        if int(step[1]) >= len(self.line.backups):
            return
        if not self.line.is_known_since(int(step[1])):
            with pytest.raises(UnknownErasures):
                self.node.restore(step[1])
        self.node.restore(step[1], whatever_was_erased=not self.line.is_known_since(int(step[1])))
        self.line.go_back(int(step[1]))
        halts = self.node.household.people.halts.values()
        assert [halt.by for halt in halts if halt.at == self.node.now] == ["restore"]

    def put_by_hand(self, step: Step) -> None:
        """Somebody copies a backup over the database."""
        if int(step[1]) < len(self.line.backups):
            self.node.close()
            shutil.copyfile(self.node.backup(step[1]), self.node.database)
            self.node.open()
            self.line.go_back(int(step[1]))

    def pass_time(self, step: Step) -> None:
        self.node.now += int(step[1]) * DAY
        self.node.store.purge(self.node.now, 1_000)
        self.node.household.people.forget(self.node.now)
        self.line.purge(self.node.now)
        self.line.facts = {fact for fact in self.line.facts if fact[0] != "pass" or float(fact[3]) > self.node.now}


@settings(max_examples=examples(60))
@given(st.lists(steps, max_size=12))
def test_nobody_erased_is_there_and_nobody_else_is_missing(life: list[Step]) -> None:
    with tempfile.TemporaryDirectory() as folder, Node(Path(folder)) as node:
        played = Life(node)
        for step in BEGIN + life:
            played.play(step)
