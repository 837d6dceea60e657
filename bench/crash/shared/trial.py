"""Many lives of two nodes at one database. A life is a tenure: from one take-over to the next.

Whoever serves, ends: killed, stopped, cut off, or because the server does; the other one takes over, and what ended is
started again and stands by. At each take-over what is in the database is read before anybody may go on from there
(database.py), and from then on what the new node is asked, and what its providers see, belongs to a new life. Each node
has providers of its own, so that it is known who has woken whom when both are running.

What goes wrong when is the business of aims.py; what came of it that of the judges (bench/crash/judge.py, books.py).
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from random import Random

from bench.crash.case import Life
from bench.crash.installation import PATIENCE, Installation
from bench.crash.leavings import Reader
from bench.crash.people import Force
from bench.crash.record import Record
from bench.crash.relays import Helper
from bench.crash.shared.aims import AIMS
from bench.crash.shared.client import SharedClient
from bench.crash.shared.database import Database, Rows, loaded
from bench.crash.shared.nodes import Nodes, Process
from bench.crash.sightings import Sightings

LOOK = 0.005
"""Seconds between two looks."""
LOCKS = 0.02
"""And at the locks in the database."""
SURE = 0.2
"""Seconds of a lease that do not pass between a look at it and the next statement."""
PAUSE = 0.05
"""And while everything is worked off."""
TEXT_OF_DOUBT = "the store must be read anew"
"""In the last line of a relay that ends because it does not know what the database has."""


@dataclass(slots=True, kw_only=True)
class Disruption:
    """What was done to whoever serves."""

    kind: str
    at: float
    """UTC seconds."""
    was_cut: bool = False
    """It lives, and has no database."""


@dataclass(frozen=True, slots=True)
class TakeOver:
    """`seconds`: from what was done to one node to the first wakeup or 202 of the other."""

    life: int
    kind: str
    seconds: float


@dataclass(slots=True)
class SharedTrial:
    """`patience`: seconds without any wakeup after which what is still owed is taken for lost."""

    installations: Sequence[Installation]
    database: Database
    nodes: Nodes
    ways: Helper
    force: Force
    client: SharedClient
    sightings: Sightings
    rng: Random
    patience: float
    began: float = field(default_factory=time.time)
    lives: list[Life] = field(default_factory=list)
    """Those that are over."""
    serving: Process | None = None
    """The one of the life that goes on, if there is one."""
    disruption: Disruption | None = None
    aim: str = ""
    disruptions: list[tuple[int, Disruption]] = field(default_factory=list)
    """(life that a take-over began, why), one for each."""
    unplanned: int = 0
    """Take-overs that nothing of ours has brought about."""
    gone_on: int = 0
    """How often whoever served went on in spite of all."""
    metrics: dict[str, float] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    working: int = -1
    """The round of whose load the client has been told; it goes on until it is to rest."""
    commit_seconds: float = 0.1
    start_seconds: float = 0.3
    """From a take-over to readiness, as measured last."""
    reader: Reader = field(init=False)
    _began: float = 0.0
    """The life that goes on."""
    _looked_at: float = 0.0
    _is_down: bool = False
    _counted: dict[int, int] = field(default_factory=dict)
    """Node → what its providers have not seen answered, up to its last life."""
    _life_of: dict[int, int] = field(default_factory=dict)
    """Node → its last life."""

    def __post_init__(self) -> None:
        self.reader = Reader(self.force.everybody())

    @property
    def record(self) -> Record:
        return self.client.record

    @property
    def number(self) -> int:
        """Of the life that goes on, or comes next."""
        return len(self.lives)

    @property
    def other(self) -> Process:
        """The last process of the node that does not serve."""
        assert self.serving is not None
        return self.nodes.now[1 - self.serving.node]

    # --- looking

    def until(self, satisfied: Callable[[], bool], pause: float = LOOK) -> bool:
        """Look again and again, with patience, at everything; what does not come is judged afterwards."""
        deadline = time.monotonic() + PATIENCE
        while not (is_so := satisfied()) and time.monotonic() < deadline:
            self.tick()
            time.sleep(pause)
        return is_so

    def tick(self) -> None:
        """Take in what has happened, and let in who wants to take over."""
        self.nodes.look()
        self.client.look()
        now = time.monotonic()
        if self._is_down or now - self._looked_at < LOCKS:
            return
        self._looked_at = now
        node = self.database.waiting()
        if node is None or self.database.is_written():
            return
        epoch, left = self.database.tenure()
        if left < SURE:
            self._hand_over(node, epoch)
            return
        self.database.let_pass()  # two have asked at the same time: it will see that it is too late
        if self.database.tenure()[0] != epoch:
            raise SystemExit("somebody has taken over unnoticed")

    def wait(self) -> None:
        """Until the client has done what it was told."""
        if not self.until(lambda: self.client.is_done):
            raise SystemExit("the client does not come to an end")

    def look(self) -> None:
        """At the record, and at the providers of all nodes."""
        self.record.look()
        for node, life in self._life_of.items():
            self.sightings.look(life, node)

    # --- lives

    def _hand_over(self, node: int, epoch: int) -> None:
        """One life is over, and the next begins; unless whoever was late with its lease has just renewed it."""
        self.nodes.look()
        found, at = self._left()
        next_one = self.number + (self.serving is not None)
        self.client.begin(next_one, node, self._until_client)
        self.database.let_pass()
        if self.database.tenure()[0] == epoch:
            return
        if self.serving is not None:
            self._end(self._why(), found, at)
        self.serving, self._life_of[node], self._began = self.nodes.now[node], next_one, time.time()

    def _until_client(self, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not holds():
            if time.monotonic() > deadline:
                raise SystemExit("the client does not answer")
            time.sleep(LOOK / 5)

    def _why(self) -> Disruption:
        found, self.disruption = self.disruption, None
        if found is None:
            self.unplanned += 1
            found = Disruption(kind="unplanned", at=time.time(), was_cut=True)
        self.disruptions.append((self.number + 1, found))
        return found

    def _left(self) -> tuple[Rows, float]:
        """What the database has now, and what the providers have seen until now, belongs to the life that goes on."""
        if self.serving is not None and self.serving.is_over:
            self.installations[self.serving.node].providers.wait_until_left()
        self.look()
        return self.database.rows(), time.time()

    def _end(self, why: Disruption, found: Rows, at: float, *, is_sound: bool = True) -> None:
        """One life is over."""
        assert self.serving is not None
        life = Life(
            number=self.number, aim=self.aim, ended=at, fell=why.kind, began=self._began, was_cut=why.was_cut,
            left=self.reader.of(loaded(found), at, is_sound=is_sound), unanswered=self._unanswered(self.serving.node),
        )  # fmt: skip
        self.lives.append(life)

    def _unanswered(self, node: int) -> int:
        journals = self.installations[node].providers.journals().values()
        before = self._counted.get(node, 0)
        self._counted[node] = sum(journal["unanswered"] for journal in journals)
        return self._counted[node] - before

    def rest(self) -> None:
        """The client asks nothing any more."""
        self.client.tell(do="rest")
        self.wait()

    def settle_accounts(self, node: int, life: int) -> None:
        """Of a node that lived on when its life was over, and is dead now."""
        self.installations[node].providers.wait_until_left()
        self.look()
        self.amend(life, unanswered=self.lives[life].unanswered + self._unanswered(node))

    def amend(self, number: int, **changes: object) -> None:
        """What becomes known of a life only later."""
        self.lives[number] = replace(self.lives[number], **changes)  # type: ignore[arg-type]  # of Life's fields

    # --- what is done to whoever serves

    def disrupt(self, kind: str, number: signal.Signals | None = None, *, was_cut: bool = False) -> Process:
        """Note it, and send the signal. Returns whom it hit."""
        assert self.serving is not None
        self.tick()
        hit = self.serving
        self.disruption = Disruption(kind=kind, at=time.time(), was_cut=was_cut)
        if number is not None:
            hit.send(number)
        return hit

    def way(self, node: int, be: str) -> None:
        """To the database, from now on."""
        self.ways.tell(way=node, be=be)
        self.ways.hear()

    def crash_server(self) -> None:
        self._is_down = True
        self.database.crash()
        for node in self.nodes.now:
            self.way(node, "refuse")

    def start_server(self) -> None:
        """Nobody is let in before the gate is shut again."""
        self.database.start()
        if not self.database.is_sound():
            self.faults.append(f"life {self.number}: the database is damaged after its restart")
        for node in self.nodes.now:
            self.way(node, "open")
        self._is_down = False

    def taken_over(self, before: int) -> bool:
        """Until another life than this has begun, and whoever lives it is ready."""

        def is_taken() -> bool:
            return self.number > before and self.serving is not None and (self.serving.is_ready or self.serving.is_over)

        if not self.until(is_taken):
            self.faults.append(f"life {before}: nobody has taken over")
            return False
        return True

    def wait_until_ended(self, process: Process) -> None:
        """It must end by itself, for another one has taken over."""
        if not self.until(lambda: process.is_over):
            self.faults.append(f"a node that was replaced in life {self.number - 1} goes on")

    def round(self, number: int, aim: str) -> None:
        """`aim`: of AIMS."""
        self.steady()
        self.aim = aim
        AIMS[aim](self, number)
        self.rest()

    def steady(self) -> None:
        """One is ready, and the other one stands by."""

        def is_steady() -> bool:
            if self.serving is None or len(self.nodes.now) < len(self.installations):
                return False
            both = (self.serving, self.other)
            return self.serving.is_ready and self.other.stands_by and not any(each.is_over for each in both)

        if not self.until(is_steady):
            logs = "\n".join(each.log.read_text()[-1500:] for each in self.nodes.now.values())
            raise SystemExit(f"the nodes do not come up:\n{logs}")
        self.start_seconds = 0.3

    # --- first and last

    def enlist(self) -> None:
        self.steady()
        self.client.tell(do="enlist", began=self.began)
        self.wait()

    def finish(self, missing: Callable[[], Sequence[object]]) -> None:
        """Repeat what may be repeated, wait for what is owed, and stop in order: the other one goes on."""
        self.aim = "finish"
        self.steady()
        for do in ("repeat", "farewell"):
            self.client.tell(do=do)
            self.wait()
        self.wait_for(missing)
        self.wait_until_quiet()
        assert self.serving is not None
        self.metrics = self.serving.metrics()
        before, last = self.number, self.serving
        self.nodes.let(last.node)
        self.disrupt("", signal.SIGTERM)
        self.taken_over(before)
        self._ended_in_order(last)

    def once_more(self) -> None:
        """What is settled stays settled: after another take-over only something new wakes anybody."""
        self.aim = "once more"
        self.client.tell(do="witness")
        self.wait()
        tokens = [phone.token for phone in self.force.witness.phones]
        self.wait_for(lambda: [token for token in tokens if not self.sightings.of(token)])
        self.wait_until_quiet()
        assert self.serving is not None
        self.nodes.let(self.serving.node)
        self.serving.send(signal.SIGTERM)
        self._ended_in_order(self.serving)
        self._end(Disruption(kind="", at=time.time()), *self._left(), is_sound=self.database.is_sound())

    def _ended_in_order(self, process: Process) -> None:
        self.until(lambda: process.is_over)
        if process.code != 0:
            self.faults.append(f"life {self.number}: ended with {process.code} when told to stop")

    def judge_ends(self) -> None:
        """Whoever ended without us had to: replaced, or in doubt of what the database has."""
        for process in self.nodes.fallen():
            said = process.log.read_text()
            if "taken over" not in said and TEXT_OF_DOUBT not in said and "cannot be reached" not in said:
                self.faults.append(f"a node ended by itself with {process.code}: {said[-500:]}")

    # --- waiting

    def wait_for(self, missing: Callable[[], Sequence[object]]) -> None:
        """Until nothing is missing; or nothing has come for so long that nothing will."""
        moved_at, count = time.monotonic(), -1
        while time.monotonic() - moved_at < self.patience:
            self.tick()
            self.look()
            if not missing():
                return
            if self.sightings.count != count:
                moved_at, count = time.monotonic(), self.sightings.count
            time.sleep(PAUSE)

    def wait_until_quiet(self) -> None:
        """Until everything is booked; as for a single relay something is asked whose answer comes after that."""

        def is_quiet() -> bool:
            return self.serving is not None and self.serving.is_quiet()

        self.until(is_quiet, PAUSE)
        self.client.tell(do="nothing")
        self.wait()
        self.until(is_quiet, PAUSE)

    def take_overs(self) -> list[TakeOver]:
        """Those by another node than the one that something was done to, as soon as they are seen."""
        found = []
        for life, why in self.disruptions:
            seen = [s.t for times in self.sightings.by_token.values() for s in times if s.life == life and s.t > why.at]
            first = min([*seen, self.record.first.get(life, float("inf"))])
            if why.kind not in ("", "unplanned", "database") and first < float("inf"):
                found.append(TakeOver(life, why.kind, first - why.at))
        return found
