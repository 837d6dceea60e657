"""A machine that is one of several nodes on a database, and what stands before and between them.

Each process is assembled as relay/serving.py does it. It can be stopped from outside and go on later (scheduling.py):
it neither runs nor looks at a clock meanwhile. A supervisor starts the next one when it has ended.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import Final

import trio

from bench.simulation import scheduling
from bench.simulation.caller import Caller
from bench.simulation.calm import Calm
from bench.simulation.clock import Times
from bench.simulation.database import KEEPER, LOADER, READER, NodeStore, Server
from bench.simulation.judge import Judge
from bench.simulation.ledger import User
from bench.simulation.machine import Machine, Parts, Process
from bench.simulation.network import Listener, Network
from bench.simulation.providers import Providers
from bench.simulation.stations import Station
from bench.simulation.trace import Trace
from relay.config import Config
from relay.core.batch import Batch
from relay.core.partitions import part_of
from relay.core.pseudonym import Pseudonyms
from relay.loading import Household
from relay.neighbours import Post
from relay.service import Relay
from relay.sharing import Sharing
from relay.store.port import Loaded, StaleEpoch, StoreError

NEIGHBOURS: Final = "neighbours"
"""Name of the lines between nodes."""
AGAIN: Final = (0.5, 3.0)
"""Seconds after which a supervisor starts a process anew, one of these."""
HEALTHY: Final = 0.9
"""Share of the requests that a load balancer gives to a node that is known to be well, if there is one."""
COPIES: Final = (0.0, 40.0)
"""Seconds after which something is sent a second time, least and most."""


class NodeProcess(Process):
    """One life of a node."""

    def __init__(self, mount: NodeStore) -> None:
        super().__init__(mount)
        self.store = mount
        self.inner = Listener(self)
        """Where other nodes ask."""
        self.listener.is_open = False  # not yet
        self.task: trio.lowlevel.Task | None = None
        self.is_held = False
        self.has_joined = False


class Node(Machine):
    def __init__(
        self, name: str, config: Config, server: Server, network: Network, providers: Providers, judge: Judge,
        times: Times, trace: Trace, calm: Calm, rng: Random, parts: Parts,
    ) -> None:  # fmt: skip
        super().__init__(config, network, providers, Station(judge, times, name), trace, calm, rng, parts)
        self.name = name
        self._server = server
        self._judge = judge
        self._life: NodeProcess | None = None
        self.peers: Mapping[str, Node] = {}
        """All nodes, by their names."""
        self.copies = False
        """What is sent to other nodes comes a second time, later."""
        self._wanted = trio.Event()
        self._holds_for = 0.0
        """Seconds for which a trap stops it, instead of killing it."""

    @property
    def inner(self) -> Listener | None:
        return None if self._life is None else self._life.inner

    @property
    def is_well(self) -> bool:
        """As a load balancer sees it."""
        life = self._life
        return life is not None and life.listener.is_open and not life.is_held and not life.stop.is_set()

    @property
    def store(self) -> NodeStore | None:
        return None if self._life is None else self._life.store

    # --- its processes

    def _made(self) -> NodeProcess:
        self._down = self._rng.choice(AGAIN)
        self.station = Station(self._judge, self.times, f"{self.name} ")
        self._life = NodeProcess(self._parts.store(self._server, self.station, self.trip))
        return self._life

    async def _live(self, process: Process) -> None:
        """In a task of its own, that can be stopped with all that is below."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._live_alone, process)
        self._life = None

    async def _live_alone(self, process: Process) -> None:
        assert isinstance(process, NodeProcess)
        process.task = trio.lowlevel.current_task()
        await super()._live(process)

    async def _serve(self, process: Process) -> None:
        assert isinstance(process, NodeProcess)
        store, clock = process.store, self._parts.clock(self.times)
        household = Household(self._config.store.masters, self._config.tenants)
        keeper, joined = store.at(KEEPER), list[Loaded]()
        await keeper(lambda: joined.append(store.join(self.name)))
        process.has_joined = True
        epoch = household.fill(joined[0])
        self._trace.say(f"{self.name} is node {epoch}")
        tenure = self._parts.tenure(clock)
        sharing = Sharing(
            store, tenure, self._asking(process), (), keeper, store.at(LOADER), store.at(READER), store.listen
        )
        relay = self._parts.relay(
            self._config, store, clock, self._seams(process), (household, epoch), tenure.holds, sharing
        )
        assert relay.shared is not None
        assert relay.shared.door is not None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(relay.shared.door.run, [process.inner])
            await nursery.start(self._run, relay, process, nursery)
            process.listener.is_open = True
            nursery.start_soon(relay.door.run, [process.listener])
        if not store.is_dead:
            await store.execute(store.leave)
            self._trace.say(f"{self.name} has left")

    @staticmethod
    async def _run(
        relay: Relay, process: Process, nursery: trio.Nursery, *, task_status: trio.TaskStatus[object]
    ) -> None:
        await relay.run(process.stop, task_status=task_status)
        nursery.cancel_scope.cancel()

    def _may_end_by(self, errors: BaseExceptionGroup[BaseException]) -> bool:
        """The others have buried it, what it took for failed is written, or there is no database to begin with."""
        life = self._life
        assert life is not None
        self._trace.say(f"{self.name} ends by itself")
        if not life.has_joined:
            return errors.split(StoreError)[1] is None
        is_over = self.station.node not in self._server.lives or life.store.is_outdated
        return errors.split(StaleEpoch)[1] is None and is_over

    async def _stay_down(self, seconds: float) -> None:
        self._wanted = trio.Event()
        with trio.move_on_after(seconds):
            await self._wanted.wait()

    def come(self) -> None:
        """Do not stay down any longer."""
        self._wanted.set()

    # --- its neighbours

    def _asking(self, process: NodeProcess) -> Post:
        def caller(name: str) -> Caller:
            return Caller(
                self._network, lambda: self.peers[name].inner, Random(self._rng.getrandbits(64)), name=NEIGHBOURS,
                owner=process,
            )  # fmt: skip

        callers = {name: caller(name) for name in self.peers}  # its own, where a former life of it is asked

        async def ask(address: str, body: bytes) -> tuple[int, bytes]:
            answer = await callers[address].ask("POST", "/", {}, body)
            if answer is None:
                raise OSError
            if self.copies:
                self._server.nursery.start_soon(self._copy, address, body)
            return answer.status, answer.body

        return ask

    async def _copy(self, address: str, body: bytes) -> None:
        """Somebody between the nodes sends again what was answered."""
        await trio.sleep(self._rng.uniform(*COPIES))
        caller = Caller(
            self._network, lambda: self.peers[address].inner, Random(self._rng.getrandbits(64)), name=NEIGHBOURS
        )
        answer = await caller.ask("POST", "/", {}, body)
        self._trace.say(f"a copy to {address}: {answer.status if answer else 'no answer'}")
        if answer is not None and answer.status == 200:
            self._trace.fail("a message between nodes was taken twice")

    # --- what befalls it

    def hold(self) -> None:
        """Stop the process as it stands (SIGSTOP)."""
        life = self._life
        if life is not None and life.task is not None and not life.is_held and not life.store.is_dead:
            life.is_held = True
            life.store.hold()
            self.station.held_at = trio.current_time()
            scheduling.stop(life.task)

    def go_on(self) -> None:
        """(SIGCONT)"""
        life = self._life
        if life is not None and life.task is not None and life.is_held:
            life.is_held = False
            life.store.awake.set()
            scheduling.go_on(life.task)

    async def hold_for(self, seconds: float) -> None:
        self.hold()
        await trio.sleep(seconds)
        self.go_on()

    def set_hold(self, where: str, after: int, seconds: float) -> None:
        """As `set_trap`, but it goes on after so long. Besides: its lease was `renewed`, and it has not heard."""
        self.set_trap(where, after)
        self._holds_for = seconds

    def set_trap(self, where: str, after: int) -> None:
        super().set_trap(where, after)
        self._holds_for = 0.0

    def _sprung(self, where: str) -> None:
        if not self._holds_for:
            super()._sprung(where)
            return
        self._trace.fault(f"{self.name} is stopped when something is {where}")
        self._calm.disturb(self._holds_for)
        self._server.nursery.start_soon(self.hold_for, self._holds_for)

    def kill(self, down: float) -> None:
        super().kill(down)
        self.go_on()  # to its end: nobody sees any of it

    def _bury(self, process: Process, *, loses: bool) -> None:
        super()._bury(process, loses=loses)
        assert isinstance(process, NodeProcess)
        process.inner.is_open = False

    async def restart(self, down: float) -> None:
        """Let it drain, and end; return when the next process serves."""
        life = self._life
        if life is None:
            return
        self.stop(down)
        while self._life is life or not self.is_well:  # noqa: ASYNC110 (nobody tells)
            await trio.sleep(1.0)


class Owners:
    """Whose people are whose, by the word of the database."""

    server: Server

    def __init__(self, config: Config) -> None:
        masters, tenant = config.store.masters, config.tenants[0].name
        self._names = Pseudonyms(masters.keys[masters.first], tenant)
        self._parts: dict[str, int] = {}

    def until(self, station: Station, user: User) -> float:
        return self.server.until(station.node, self._part(user))

    def was_posted(self, user: User, since: float) -> bool:
        return self.server.was_posted(self._part(user), since)

    def may_write(self, station: Station, batch: Batch) -> bool:
        users = {user for user, _ in (*batch.slots, *batch.devices.values())} | batch.people.keys() | batch.rests.keys()
        return all(self.server.owners[part_of(user)] == station.node for user in users)

    def _part(self, user: User) -> int:
        if user.name not in self._parts:
            self._parts[user.name] = part_of(self._names.user(user.name))
        return self._parts[user.name]


class Cluster:
    """All nodes, and who stands before them."""

    def __init__(self, server: Server, nodes: Sequence[Node], rng: Random) -> None:
        self.server = server
        self.nodes = nodes
        self._rng = rng
        names = {node.name: node for node in nodes}
        for node in nodes:
            node.peers = names

    def door(self) -> Listener | None:
        """Where the load balancer sends the next request: now and then to a node that is stopped, or about to end."""
        doors = [node for node in self.nodes if node.door is not None and node.door.is_open]
        well = [node for node in doors if node.is_well]
        chosen = well if well and self._rng.random() < HEALTHY else doors
        return self._rng.choice(chosen).door if chosen else None
