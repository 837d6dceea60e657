"""Many rounds of two nodes that share a database. A life, to the judges, is a round: all that both do in it.

In each round something is done to one node, or to both; the other one must adopt its people by itself, and what ended
is started again and gets its share back. The round is over when both have their half and all is quiet; then what is in
the database is read. It is read also at the very instant of each disruption: what it owed then may be repeated. Each
node has providers of its own, so that it is known who has woken whom.

What goes wrong when is the business of aims.py; what it excuses that of evidence.py, what came of it that of the judges
(bench/crash/judge.py, books.py).
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from bench.crash.case import Life
from bench.crash.installation import PATIENCE, Installation
from bench.crash.leavings import Place, Reader, Snapshot
from bench.crash.people import Force
from bench.crash.record import Record
from bench.crash.relays import Helper
from bench.crash.shared.aims import AIMS
from bench.crash.shared.client import SharedClient
from bench.crash.shared.database import Database, Rows, loaded, posted
from bench.crash.shared.nodes import Nodes, Process
from bench.crash.sightings import Sightings
from relay.core.partitions import PARTITIONS

LOOK = 0.005
"""Seconds between two looks."""
PAUSE = 0.05
"""And while everything is worked off, or nodes come up."""
SOON = 0.1
"""Seconds from the end of a process to the next one, if nothing else is wanted."""
NEVER = float("inf")


@dataclass(slots=True, kw_only=True)
class Disruption:
    """What was done to a node. Instants in UTC seconds."""

    kind: str
    life: int
    at: float
    process: Process
    epoch: int
    had: frozenset[str]
    """People that were in its memory."""
    due: Mapping[Place, float] = field(default_factory=dict)
    """What the database owed just afterwards, and since when."""
    continued: float = NEVER
    """Of one that was stopped."""
    went_on: bool = False
    """It kept its people, or let them go in order."""
    next_start: float = NEVER
    """Of another process in its place."""

    @property
    def was_cut(self) -> bool:
        """It lived, and had no database."""
        return self.kind in ("refuse", "hole", "database")


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
    disruptions: list[Disruption] = field(default_factory=list)
    metrics: dict[str, float] = field(default_factory=dict)
    """None: each node has its own."""
    faults: list[str] = field(default_factory=list)
    is_working: bool = False
    """The client has been told of the load of this round, which goes on until it is to rest."""
    commit_seconds: float = 0.1
    reader: Reader = field(init=False)
    _counted: int = 0
    """What all providers have not seen answered, up to the last life."""

    def __post_init__(self) -> None:
        self.reader = Reader(self.force.everybody())

    @property
    def record(self) -> Record:
        return self.client.record

    @property
    def number(self) -> int:
        """Of the life that goes on."""
        return len(self.lives)

    # --- looking

    def until(self, satisfied: Callable[[], bool], pause: float = LOOK) -> bool:
        """Look again and again, with patience, at everything; what does not come is judged afterwards."""
        deadline = time.monotonic() + PATIENCE
        while not (is_so := satisfied()) and time.monotonic() < deadline:
            self.nodes.look()
            self.client.look()
            time.sleep(pause)
        return is_so

    def wait(self) -> None:
        """Until the client has done what it was told."""
        if not self.until(lambda: self.client.is_done):
            raise SystemExit("the client does not come to an end")

    def look(self) -> None:
        """At the record, and at the providers of all nodes."""
        self.record.look()
        self.sightings.look(self.number)

    # --- rounds

    def round(self, number: int, aim: str) -> None:
        """`aim`: of AIMS."""
        self.client.tell(do="life", life=self.number)
        self.nodes.pause(SOON)
        AIMS[aim](self, number)
        self.rest()
        self._end(aim)

    def rest(self) -> None:
        """The client asks nothing any more."""
        self.client.tell(do="rest")
        self.is_working = False
        self.wait()

    def steady(self, *without: Process) -> None:
        """Until both nodes have their half, or one has everything; and all is quiet: two looks find the same."""

        def is_quiet() -> bool:
            mine = [each for each in self.nodes.now.values() if each not in without]
            share = PARTITIONS // len(mine) if mine else 0
            return bool(mine) and all(each.is_ready and not each.is_over and each.is_quiet(share) for each in mine)

        def is_all_quiet() -> bool:
            return is_quiet() and self.database.is_fetched() and not self.database.is_written() and is_quiet()

        if len(self.nodes.now) < len(self.installations):
            self.until(lambda: len(self.nodes.now) == len(self.installations))
        if not self.until(is_all_quiet, PAUSE):
            logs = "\n".join(each.log.read_text()[-1500:] for each in self.nodes.now.values())
            raise SystemExit(f"the nodes do not come to rest:\n{logs}")

    def _end(self, aim: str, *gone: Process, is_sound: bool = True) -> None:
        """One life is over: nothing is disturbed any more, and what is in the database is read."""
        while True:
            self.steady(*gone)
            unanswered = self._unanswered()
            self.look()
            seen = self.sightings.count
            found, at = self.database.rows(), time.time()
            self._unanswered()  # they write down what they have
            self.look()
            if self.sightings.count == seen:
                break
        left = self._left(found, at, is_sound=is_sound)
        self.lives.append(Life(number=self.number, aim=aim, ended=at, left=left, unanswered=unanswered - self._counted))
        self._counted = unanswered

    def _left(self, found: Rows, at: float, *, is_sound: bool = True) -> Snapshot:
        left = self.reader.of(loaded(found), at, is_sound=is_sound, posted=posted(found))
        self.faults += [f"in life {self.number} the books do not balance: {told}" for told in left.imbalances]
        return left

    def _unanswered(self) -> int:
        every = [journal for each in self.installations for journal in each.providers.journals().values()]
        return sum(journal["unanswered"] for journal in every)

    # --- what is done to a node

    def disrupt(self, kind: str, node: int, number: signal.Signals | None = None) -> Disruption:
        """Note it, and send the signal."""
        self.nodes.look()
        process = self.nodes.now[node]
        epoch, parts = self.database.node(self.installations[node].nodes_address)
        had = self.reader.people_of(parts)
        made = Disruption(kind=kind, life=self.number, at=time.time(), process=process, epoch=epoch, had=had)
        self.disruptions.append(made)
        if number is not None:
            process.send(number)
            self.owed_after(made)
        return made

    def owed_after(self, *disrupted: Disruption) -> None:
        """Note what the database owes when that has just been done."""
        found, at = self.database.rows(), time.time()
        due = self._left(found, at).due
        for each in disrupted:
            each.due = due

    def way(self, node: int, be: str) -> None:
        """To the database, from now on."""
        self.ways.tell(way=node, be=be)
        self.ways.hear()

    def crash_server(self) -> None:
        self.database.crash()
        for node in self.nodes.now:
            self.way(node, "refuse")

    def start_server(self, *disrupted: Disruption) -> None:
        """What it has is read before anybody may go on from there."""
        self.database.cluster.start()
        if not self.database.is_sound():
            self.faults.append(f"life {self.number}: the database is damaged after its restart")
        self.owed_after(*disrupted)
        for node in self.nodes.now:
            self.way(node, "open")

    def adopted(self, disrupted: Disruption) -> bool:
        """Until others have all that it had."""
        if not self.until(lambda: self.database.is_buried(disrupted.epoch)):
            self.faults.append(f"life {self.number}: nobody has adopted what a node had ({disrupted.kind})")
            return False
        return True

    def wait_until_ended(self, process: Process) -> None:
        if not self.until(lambda: process.is_over):
            self.faults.append(f"a node that should have ended in life {self.number} goes on")
            process.send(signal.SIGKILL)

    # --- first and last

    def enlist(self) -> None:
        self.steady()
        self.client.tell(do="enlist", began=self.began)
        self.wait()
        self._end("enlist")

    def finish(self, missing: Callable[[], Sequence[object]]) -> None:
        """Repeat what may be repeated, and wait for what is owed.

        Before that everybody comes to another process, in order, one node after the other: what a node holds back for
        minutes, because somebody was woken often and has not looked, it knows by heart only.
        """
        self.client.tell(do="life", life=self.number)
        self.nodes.pause(SOON)
        for node in range(len(self.installations)):
            process = self.nodes.now[node]
            process.send(signal.SIGTERM)
            self.wait_until_ended(process)
            self.until(lambda: self.nodes.now[node] is not process)  # noqa: B023 (called here)
            self.steady()
        for do in ("repeat", "farewell"):
            self.client.tell(do=do)
            self.wait()
        self.wait_for(missing)
        self._end("finish")

    def once_more(self) -> None:
        """What is settled stays settled: when one has handed all over, only something new wakes anybody."""
        self.client.tell(do="life", life=self.number)
        first, last = self.nodes.now[0], self.nodes.now[1]
        self._let(first)
        self.client.tell(do="witness")
        self.wait()
        tokens = [phone.token for phone in self.force.witness.phones]
        self.wait_for(lambda: [token for token in tokens if not self.sightings.of(token)])
        self._end("once more", first, is_sound=self.database.is_sound())
        self._let(last)

    def _let(self, process: Process) -> None:
        """Stop it in order, for good."""
        self.nodes.let(process.node)
        process.send(signal.SIGTERM)
        self.wait_until_ended(process)

    def judge_ends(self) -> None:
        """Whoever was told to stop has done so in order; whoever ended without us had to."""
        for process in self.nodes.every:
            if not process.is_over or (process.is_doomed and not process.is_drained):
                continue
            said = process.log.read_text()
            if process.is_drained and process.code != 0:
                self.faults.append(f"a node ended with {process.code} when told to stop: {said[-500:]}")
            elif not process.is_drained and not process.has_explained_itself:
                self.faults.append(f"a node ended by itself with {process.code}: {said[-500:]}")

    def wait_for(self, missing: Callable[[], Sequence[object]]) -> None:
        """Until nothing is missing; or nothing has come for so long that nothing will."""
        moved_at, count = time.monotonic(), -1
        while time.monotonic() - moved_at < self.patience:
            self.nodes.look()
            self.client.look()
            self.look()
            if not missing():
                return
            if self.sightings.count != count:
                moved_at, count = time.monotonic(), self.sightings.count
            time.sleep(PAUSE)
