"""Several whole relays on one database, in virtual time and memory.

    async with nodes(2) as n:
        await n.register("anna")
        await n.ask(n.living[1], "POST", "/v1/events", {"user": "anna"})
        await n.pass_time(1)
        assert n.rang("anna") == [0.0]

Everything is the real part: relay/service.py assembles each of them, as relay/serving.py does it. The database is the
reference (relay/store/memory_nodes.py); each way to it takes time, can be cut, hang, and lose an answer, and so can the
ways between nodes. Each has an APNs of its own, so that it is known who has woken whom. A node can be stopped: whatever
it does is done when it goes on.

What must hold at every commit is looked at in every commit: the books of all nodes together balance with all slots and
all that is posted. And at every departure: nobody is woken who rests by a document that is in force, and nobody but by
the node that the database says has them.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any, Final

import trio

from relay.clock import TrioClock
from relay.config import AnyAppConfig, Config, KeyConfig
from relay.core.batch import PostKind
from relay.core.events import DAY
from relay.core.partitions import PARTITIONS, part_of
from relay.core.private import UserKey
from relay.doors.http1 import Request, Response
from relay.doors.keys import Scope
from relay.journal import Executor
from relay.loading import Household
from relay.post_office import LOOK_EVERY
from relay.service import Relay, Seams
from relay.sharing import Sharing
from relay.simulators.apns import FakeApns
from relay.simulators.provider_token import TeamKey
from relay.store.memory_nodes import MemoryDatabase, MemoryNode
from relay.store.port import StaleEpoch, StoreError
from relay.tenure import Tenure
from tests.relay.world import (
    APP,
    KEY_ID,
    NOON,
    TEAM_ID,
    TENANT,
    TOPIC,
    Network,
    app,
    configuration,
    rest_between,
    signing_key,
    tenant,
    token_of,
)

SECRET: Final = "s" * 43
KEYS: Final = {
    "backend": frozenset({Scope.EVENTS, Scope.ALARMS, Scope.DEVICES}),
    "settings": frozenset({Scope.REST}),
    "admin": frozenset({Scope.EVENTS, Scope.ADMIN}),
}
WRITER: Final = "writer"
SILENCE: Final = 4.0
"""Seconds after which a connection that says nothing is given up."""
QUICK: Final = (0.0, 0.004)
"""Seconds of a way, least and most."""
LONGEST: Final = 700.0
"""Seconds within which everything has left that may: two of the longest holds, and a bit."""
LATE: Final = 15.0
"""Seconds after its end within which a request without a good answer may still have an effect."""
REACHABLE: Final[Mapping[str, object]] = {"windows": []}
RESTING: Final = rest_between(NOON - DAY, NOON + 2 * DAY)
_TOKEN: Final = re.compile(rb"/3/device/([0-9a-f]{64})")


class Way:
    """Between a node and the database, or from one node to another."""

    def __init__(self, rng: Random) -> None:
        self.seconds = QUICK
        self._rng = rng
        self._state = "open"
        self._changed = trio.Event()

    def set(self, state: str) -> None:
        """`open`, `cut` or `silent`."""
        self._state = state
        changed, self._changed = self._changed, trio.Event()
        changed.set()

    async def is_passed(self) -> bool:
        """Whether one message has come through."""
        await trio.sleep(self._rng.uniform(*self.seconds))
        if self._state == "silent":
            with trio.move_on_after(SILENCE):
                await self._changed.wait()
        return self._state == "open"


class Line(trio.abc.Stream):
    """The node's end of a connection to Apple: what is written while it is stopped leaves when it goes on."""

    def __init__(self, node: Node, inner: trio.abc.Stream) -> None:
        self._node = node
        self._inner = inner

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        called = trio.current_time()
        await self._node.awake.wait()
        for token in _TOKEN.findall(data):
            self._node.nodes.departed(self._node, token.decode(), called)
        await self._inner.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._node.awake.wait()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        data = await self._inner.receive_some(max_bytes)
        await self._node.awake.wait()
        return data

    async def aclose(self) -> None:
        await self._inner.aclose()


class Node:
    """One process."""

    def __init__(self, nodes: Nodes, number: int) -> None:
        self.nodes = nodes
        self.number = number
        self.name = f"node{number}"
        self.store = MemoryNode(nodes.database)
        self.way = Way(nodes.rng)
        self.awake = trio.Event()
        self.awake.set()
        self.stop = trio.Event()
        self.ended = trio.Event()
        self.scope = trio.CancelScope()
        self.fake = nodes.apple()
        self.relay: Relay | None = None
        self.tenure: Tenure | None = None
        self.is_draining = False
        """Nobody asks any more."""
        self.asking: dict[str, float] = {}
        """Seconds that questions to the store take on their way there, besides; by executor."""
        self.answering: dict[str, float] = {}
        """The same of their answers."""
        self.intercept: Callable[[Node, bytes], Awaitable[tuple[int, bytes]]] | None = None
        """Gets what this node asks another one."""
        self.loses_next_answer = False
        """The next commit is taken for failed."""
        self._open = 0
        """Requests that are being answered."""
        self._posted = trio.Event()
        self.store.on_post = self._call

    def __repr__(self) -> str:
        return self.name

    @property
    def serves(self) -> bool:
        return self.relay is not None and not self.is_draining and not self.ended.is_set()

    @property
    def believes(self) -> bool:
        """Whether it takes its people for its own, and has no doubt."""
        is_over = self.tenure is None or not self.tenure.holds() or self.ended.is_set()
        return not is_over and not self.store.is_outdated

    @property
    def owned(self) -> frozenset[int]:
        return frozenset() if self.relay is None else self.relay.people.owned

    @property
    def people(self) -> Collection[UserKey]:
        return () if self.relay is None else self.relay.people.by_key

    async def run(self, *, task_status: trio.TaskStatus[None]) -> None:
        """As relay/serving.py does it."""
        try:
            with self.scope:
                await self._run(task_status)
        except* StaleEpoch:
            self.nodes.say(f"{self} was buried")
        finally:
            self.ended.set()

    async def _run(self, task_status: trio.TaskStatus[None]) -> None:
        nodes = self.nodes
        household = Household(nodes.config.store.masters, nodes.config.tenants)
        epoch = household.fill(self.store.join(self.name))
        tenure = self.tenure = Tenure(nodes.clock)
        sharing = Sharing(
            self.store, tenure, self._post, (), self.executor("keeper"), self.executor("loader"),
            self.executor("reader"), self._listen,
        )  # fmt: skip
        network = Network(nodes.nursery, {APP: self.fake.serve_stream})

        def connect(app: AnyAppConfig) -> Callable[..., Any]:
            async def dial(address: str, port: int) -> trio.abc.Stream:
                await self.awake.wait()
                return Line(self, await network.connect(app)(address, port))

            return dial

        seams = Seams(
            executor=self.executor(WRITER),
            connect=connect,
            resolve=network.resolve,
            rng=Random(nodes.rng.random()),
        )
        self.relay = Relay(nodes.config, self.store, nodes.clock, seams, (household, epoch), tenure.holds, sharing)

        task_status.started()
        await self.relay.run(self.stop)
        self.store.leave()
        nodes.say(f"{self} has left")

    # --- its ways

    def executor(self, name: str) -> Executor:
        lock = trio.Lock()

        async def run(work: Callable[[], None]) -> None:
            async with lock:
                await self._through(work, name)

        return run

    async def _through(self, work: Callable[[], None], name: str) -> None:
        """What fails on the way there fails inside the store; an answer that is lost may be one to a commit."""
        await trio.sleep(self.asking.get(name, 0.0))
        await self.awake.wait()
        before = self.store.statistics().commits
        self.store.is_away = not await self.way.is_passed()
        try:
            work()
        finally:
            self.store.is_away = False
        has_committed = self.store.statistics().commits > before
        if has_committed:
            self.nodes.committed()
        await trio.sleep(self.answering.get(name, 0.0))
        is_answered = await self.way.is_passed()
        await self.awake.wait()
        if has_committed and self.loses_next_answer:
            is_answered = self.loses_next_answer = False
        if is_answered:
            return
        if has_committed:
            self.store.is_outdated = True
        if has_committed or not (name == WRITER or work == self.store.retire):
            raise StoreError("the database cannot be reached")

    async def _listen(self, wait: Callable[[], None]) -> None:
        """As a thread that waits for a notification: it comes, or it does not."""
        self._posted = trio.Event()
        if not self.store.is_called:
            with trio.move_on_after(LOOK_EVERY):
                await self._posted.wait()
        await self.awake.wait()
        if self.store.is_called:
            wait()

    def _call(self) -> None:
        self._posted.set()

    async def _post(self, address: str, body: bytes) -> tuple[int, bytes]:
        await self.awake.wait()
        other = self.nodes.by_name[address]
        return await (self.intercept or self.post)(other, body)

    async def post(self, other: Node, body: bytes) -> tuple[int, bytes]:
        """Ask another node. Raises OSError."""
        way = self.nodes.way(self, other)
        request = Request(b"POST", b"/", {}, body)
        is_asked = await way.is_passed()
        answer = await other.answer(lambda relay: relay.shared and relay.shared.door, request) if is_asked else None
        is_answered = await way.is_passed()
        await self.awake.wait()
        if answer is None or not is_answered:
            raise OSError("no answer")
        return answer.status, answer.body

    async def answer(self, door: Callable[[Relay], Any], request: Request) -> Response | None:
        """None: the process ended before it answered."""
        if self.relay is None or self.ended.is_set():
            return None
        answer: Response | None = None
        self._open += 1
        async with trio.open_nursery() as nursery:

            async def until_ended() -> None:
                await self.ended.wait()
                nursery.cancel_scope.cancel()

            nursery.start_soon(until_ended)
            await self.awake.wait()
            answer = await door(self.relay).handler(request)
            await self.awake.wait()
            nursery.cancel_scope.cancel()
        self._open -= 1
        return answer

    # --- what befalls it

    async def drain(self) -> None:
        """What is being answered is (doors/http1.py), and then it ends."""
        self.is_draining = True
        while self._open:  # noqa: ASYNC110 (nobody tells)
            await trio.sleep(0.01)
        self.stop.set()

    def kill(self) -> None:
        self.scope.cancel()

    def pause(self) -> None:
        if self.awake.is_set():
            self.awake = trio.Event()

    def go_on(self) -> None:
        self.awake.set()


@dataclass
class User:
    name: str
    key: UserKey
    lock: trio.Lock = field(default_factory=trio.Lock)
    """One edit at a time."""
    may_rest: list[bool] = field(default_factory=lambda: [False])
    """What may be in force: one, when the last edit was answered well."""
    doubts: list[tuple[float, bool]] = field(default_factory=list)
    """Edits without a good answer: when they ended, and what they said."""
    notices: list[Notice] = field(default_factory=list)
    rang: list[float] = field(default_factory=list)
    """When a wakeup left, by trio's clock."""


@dataclass
class Notice:
    name: str
    posted: float
    status: int | None = None
    seen: bool = False


class Nodes:
    """All of them, who asks them, and who judges them."""

    def __init__(self, nursery: trio.Nursery, users: Sequence[str], seed: int) -> None:
        self.nursery = nursery
        self.rng = Random(seed)
        self.clock = TrioClock(NOON)
        self.database = MemoryDatabase(self.clock.now)
        keys = tuple(KeyConfig(n, hashlib.sha256(SECRET.encode()).digest(), scopes) for n, scopes in KEYS.items())
        self.config: Config = configuration(replace(tenant(app()), keys=keys), grace=5.0)
        self.all: list[Node] = []
        self.by_name: dict[str, Node] = {}
        self.faults = 0
        self.told: list[str] = []
        self.statuses: list[int | None] = []
        self.receipts: dict[str, int] = {}
        """Receipt → notices."""
        self.accepted: dict[str, int] = {}
        self._ways: dict[tuple[str, str], Way] = {}
        self._owned: list[dict[int, float]] = [{} for _ in range(PARTITIONS)]
        """By partition: node → when it was seen last as its owner."""
        self._numbers = 0
        pseudonyms = Household(self.config.store.masters, self.config.tenants).tenants[TENANT].pseudonyms
        self.users = {name: User(name, pseudonyms.user(name)) for name in users}
        self._of_token = {token_of(name): user for name, user in self.users.items()}

    def say(self, what: str) -> None:
        self.told.append(f"{trio.current_time():8.3f} {what}")

    def apple(self) -> FakeApns:
        key = TeamKey(team_id=TEAM_ID, key_id=KEY_ID, public_pem=signing_key()[1])
        return FakeApns({KEY_ID: key}, {TOPIC}, self.clock.now)

    def way(self, one: Node, other: Node) -> Way:
        return self._ways.setdefault((one.name, other.name), Way(self.rng))

    @property
    def living(self) -> list[Node]:
        return [node for node in self.all if node.serves]

    async def start(self) -> Node:
        node = Node(self, len(self.all) + 1)
        self.all.append(node)
        self.by_name[node.name] = node
        await self.nursery.start(node.run)
        return node

    async def pass_time(self, seconds: float) -> None:
        await trio.sleep(seconds)

    def of(self, node: Node) -> list[str]:
        """Users whom this node has."""
        return [name for name, user in self.users.items() if part_of(user.key) in node.owned]

    # --- what is asked

    async def ask(
        self, node: Node, method: str, path: str, body: object = None, *, key: str = "backend", once: str = ""
    ) -> Response | None:
        """As a client of this node, or of another one if this is not open any more. None: no answer."""
        if not node.serves and self.living:
            node = self.rng.choice(self.living)
        headers = {b"authorization": f"Bearer {key}.{SECRET}".encode(), b"content-type": b"application/json"}
        if once:
            headers[b"idempotency-key"] = once.encode()
        content = b"" if body is None else json.dumps(body).encode()
        answer = await node.answer(lambda relay: relay.door, Request(method.encode(), path.encode(), headers, content))
        self.statuses.append(None if answer is None else answer.status)
        self.say(
            f"{node}: {method} {path} -> {self.statuses[-1]}"
            + ("" if answer is None or answer.status < 300 else f" {answer.body!r}")
        )
        return answer

    async def register(self, user: str) -> None:
        body = {"platform": "apns", "app": APP, "token": token_of(user)}
        answer = await self.ask(self.living[0], "PUT", f"/v1/users/{user}/devices/phone", body)
        assert answer is not None
        assert answer.status == 201

    async def post(self, node: Node, user: str) -> None:
        notice = Notice("message", trio.current_time())
        self.users[user].notices.append(notice)
        answer = await self.ask(node, "POST", "/v1/events", {"user": user})
        if answer is not None:
            notice.status = answer.status
            assert answer.status in (202, 503), answer.body
            if answer.status == 202:
                assert json.loads(answer.body) == {"accepted": 1, "unknown": 0}
                self.accepted["message"] = self.accepted.get("message", 0) + 1

    async def alarm(self, node: Node, *users: str) -> None:
        """Asked again, at whatever node, until it is answered."""
        notices = [Notice("alarm", trio.current_time()) for _ in users]
        for user, notice in zip(users, notices, strict=True):
            self.users[user].notices.append(notice)
        self._numbers += 1
        once = f"alarm-{self._numbers}-of-this-test"
        body = {"users": list(users), "class": "alarm", "role": "dispatch", "reason": "incident"}
        for _ in range(100):
            answer = await self.ask(node, "POST", "/v1/events", body, once=once) if node.serves else None
            if answer is not None and answer.status == 202:
                content = json.loads(answer.body)
                assert content["accepted"] == len(users)
                self.accepted["alarm"] = self.accepted.get("alarm", 0) + len(users)
                self.receipts[content["receipt"]] = len(users)
                for notice in notices:
                    notice.status = 202
                return
            assert answer is None or answer.status == 503, answer.body
            await trio.sleep(0.5)
            node = self.rng.choice(self.living or [node])

    async def seen(self, node: Node, user: str) -> None:
        answer = await self.ask(node, "POST", "/v1/seen", {"user": user})
        for notice in self.users[user].notices:
            notice.seen = True
        assert answer is None or answer.status in (202, 503), answer.body

    async def set_rest(self, node: Node, user: str, rests: bool) -> bool:
        """Rest for ever, or none. Whether it was answered well."""
        of = self.users[user]
        async with of.lock:
            began = trio.current_time()
            of.may_rest.append(rests)
            document = RESTING if rests else REACHABLE
            answer = await self.ask(node, "PUT", f"/v1/users/{user}/rest", document, key="settings")
            if answer is None or answer.status == 503:
                of.doubts.append((trio.current_time(), rests))
                return False
            assert answer.status in (200, 201), answer.body
            of.doubts = [(at, what) for at, what in of.doubts if at + LATE > began]
            of.may_rest = [rests, *(what for _, what in of.doubts)]
            return True

    # --- what is seen

    def rang(self, user: str) -> list[float]:
        return [round(at, 3) for at in self.users[user].rang]

    def departed(self, node: Node, token: str, called: float) -> None:
        user, now = self._of_token[token], trio.current_time()
        self.say(f"{node} wakes {user.name}")
        user.rang.append(called)
        if called < now:
            return  # it was stopped within a write: bounded by the size of one, and counted as one
        alarms = [notice for notice in user.notices if notice.name == "alarm"]
        if any(notice.posted > now - 60 for notice in alarms):
            return
        assert not all(user.may_rest), f"{user.name} is woken in rest"
        part = part_of(user.key)
        owner = self.database.owners[part]
        was_owner = self._owned[part].get(node.relay.people.node if node.relay else 0, -1.0)
        assert was_owner == now or (node.relay and owner == node.relay.people.node), f"{user.name} is not of {node}"

    def committed(self) -> None:
        """What must hold at every commit."""
        self.look()
        pending: dict[tuple[str, str], int] = {}
        known = self.database.snapshot()
        for (_, name), slot in known.slots.items():
            pending[TENANT, name] = pending.get((TENANT, name), 0) + slot.n
        for _, _, posted in self.database.inbox:
            if posted.kind is PostKind.EVENT:
                key = (posted.tenant, posted.event_class)
                pending[key] = pending.get(key, 0) + 1
        booked = {key: account.pending for key, account in self.database.books().items()}
        assert {k: n for k, n in booked.items() if n} == {k: n for k, n in pending.items() if n}

    def look(self) -> None:
        """Who owns what, and who believes it."""
        now = trio.current_time()
        for part, owner in enumerate(self.database.owners):
            if owner is not None:
                self._owned[part][owner] = now
        believing = [node for node in self.all if node.believes]
        for node in believing:
            assert all(part_of(user) in node.owned for user in node.people)
            for other in believing:
                assert other is node or not node.owned & other.owned, f"{node} and {other} have the same people"

    # --- the end

    def mend(self) -> None:
        """All ways are open again, and quick."""
        for way in (*self._ways.values(), *(node.way for node in self.all)):
            way.seconds = QUICK
            way.set("open")

    async def heal(self) -> None:
        """Everything is well again."""
        self.mend()
        for node in self.all:
            node.go_on()
        await trio.sleep(8)
        if not self.living:
            await self.start()
        await trio.sleep(8)
        assert self.living

    async def finish(self) -> None:
        await self.heal()
        node = self.living[-1]
        for user in self.users:
            assert await self.set_rest(node, user, False)
            assert await self.set_rest(node, user, False)
        with trio.move_on_after(LONGEST):
            while self.database.inbox or self.database.snapshot().slots:  # noqa: ASYNC110 (nobody tells)
                await trio.sleep(5)
        await trio.sleep(5)
        self.judge()

    def judge(self) -> None:
        database = self.database
        assert database.inbox == []
        assert database.snapshot().slots == {}
        assert None not in database.owners
        counts = [len(node.owned) for node in self.living]
        assert sum(counts) == PARTITIONS
        assert max(counts) - min(counts) <= 1
        books = {name: account for (_, name), account in database.books().items()}
        for name, accepted in self.accepted.items():
            notices = [n for user in self.users.values() for n in user.notices if n.name == name]
            unknown = sum(notice.status != 202 for notice in notices)
            assert accepted <= books[name].accepted <= accepted + unknown, name
            assert books[name].pending == 0
        for user in self.users.values():
            for notice in user.notices:
                if notice.status == 202 and not (notice.seen and notice.name == "message"):
                    assert any(at >= notice.posted for at in user.rang), f"{user.name} was not woken"
            assert len(user.rang) <= len(user.notices) + self.faults, f"{user.name} was woken too often"
        for node in self.all:
            assert not node.fake.journal.violations, node.fake.journal.violations

    async def judge_receipts(self) -> None:
        for receipt, count in self.receipts.items():
            answer = await self.ask(self.living[0], "GET", f"/v1/alarms/{receipt}")
            assert answer is not None
            found = json.loads(answer.body)
            assert found == {"recipients": count, "handed_over": count, "no_device": 0, "failing": 0, "pending": 0}


@asynccontextmanager
async def nodes(count: int, *users: str, seed: int = 1) -> AsyncIterator[Nodes]:
    """So many that share the people evenly, all of whom are registered."""
    async with trio.open_nursery() as nursery:
        made = Nodes(nursery, users or ("anna", "bert"), seed)
        for _ in range(count):
            await made.start()
            await trio.sleep(2)
        for user in made.users:
            await made.register(user)
        await trio.sleep(3)
        made.told.clear()
        made.statuses.clear()
        try:
            yield made
        except BaseException as error:
            error.add_note("\n".join(made.told))
            raise
        nursery.cancel_scope.cancel()
