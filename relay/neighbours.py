"""Neighbours: the other nodes, as this one asks them, and asks the store about their people.

What is for one person of another node is sent there as it came (`forward`): whoever has the person answers, checks the
key that was sent along, and its answer is handed on. So there is one way in which anything is done for a person, and it
does not matter to a client which node it has reached.

Nodes trust one another because they have the same master key. What goes between them is one POST, whose body is sealed
with a key that is made of it, for that direction; so there are no certificates to keep, and what a network between them
sees is lengths. It names the life of a node that it is for; what is older than half a minute, or has been seen
(taken or not), is refused there: nothing can be sent a second time, to the same node, to another, or to one that was
started anew.

While people are moving from one node to the other, or theirs has died and its partitions are not taken yet, `forward`
waits: a few seconds, as long as that lasts.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Generic, Protocol, TypeVar

import msgpack
import trio

from relay.clock import Clock
from relay.core.batch import Receipt, Remembered
from relay.core.devices import Device, Platform, Registration
from relay.core.editing import Replaced
from relay.core.errors import Elsewhere, RelayError, Unavailable
from relay.core.partitions import part_of
from relay.core.private import DeviceKey, PassKey, ReceiptKey, TokenHash, UserKey
from relay.core.seal import SealBroken, Seals
from relay.core.tenants import Tenant
from relay.doors.http1 import Request, Response
from relay.doors.problems import problem
from relay.journal import Executor
from relay.membership import Membership, Owner
from relay.store.port import SharedStore, StoreError

PATIENCE: Final = 8.0
"""Seconds for which a node that has somebody is waited for."""
AGAIN: Final = 0.1
"""Seconds between two attempts."""
FRESH: Final = 30.0
"""Seconds for which a message is good."""
REMEMBERED: Final = 200_000
"""Messages of that time that are known again."""
UNAVAILABLE: Final = 503
ASK: Final = b"node asks"
ANSWER: Final = b"node answers"

K = TypeVar("K")
T = TypeVar("T")
V = TypeVar("V")
Post = Callable[[str, bytes], Awaitable[tuple[int, bytes]]]
"""(address, body) → (status, body). Raises OSError when there is no answer."""
Here = Callable[[Request], Awaitable[Response]]
"""A door of this node that sends nothing on. Raises Elsewhere."""


class Engine(Protocol):
    async def put_devices_here(self, tenant: Tenant, listed: Mapping[UserKey, Sequence[Registration]]) -> Replaced: ...


@dataclass(slots=True, eq=False)
class _Question(Generic[K, V]):
    keys: Sequence[K]
    done: trio.Event = field(default_factory=trio.Event)
    found: dict[K, V] | None = None


class Together(Generic[K, V]):
    """Questions of many, asked of the store together: what came while the last answer was under way is the next one.

    As commits are made (relay/journal.py): one trip for each would be a thousand a second at most.
    """

    def __init__(self, look_up: Callable[[Sequence[K]], Mapping[K, V]], where: Executor) -> None:
        self._look_up = look_up
        self._where = where
        self._waiting: list[_Question[K, V]] = []
        self._wake = trio.Event()

    async def ask(self, keys: Sequence[K]) -> dict[K, V]:
        """Raises Unavailable."""
        question = _Question[K, V](keys)
        self._waiting.append(question)
        self._wake.set()
        await question.done.wait()
        if question.found is None:
            raise Unavailable(retry_after=5)
        return question.found

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        task_status.started()
        while True:
            await self._wake.wait()
            self._wake = trio.Event()
            waiting, self._waiting = self._waiting, []
            keys = list({key for each in waiting for key in each.keys})
            found: list[Mapping[K, V]] = []
            with suppress(StoreError):
                await self._where(partial(_append, found, self._look_up, keys))
            for each in waiting:
                each.found = {key: found[0][key] for key in each.keys} if found else None
                each.done.set()


def _append(found: list[Mapping[K, V]], look_up: Callable[[Sequence[K]], Mapping[K, V]], keys: Sequence[K]) -> None:
    found.append(look_up(keys))


class Neighbours:
    def __init__(
        self, membership: Membership, store: SharedStore, seals: Seals, clock: Clock, post: Post, reader: Executor
    ) -> None:
        self._membership = membership
        self._store = store
        self._seals = seals
        self._clock = clock
        self._post = post
        self._read = reader
        self._devices: Together[UserKey, Sequence[Device]] = Together(self._look_up, reader)
        self._requests: Together[bytes, Remembered | None] = Together(
            lambda keys: {key: store.remembered(key) for key in keys}, reader
        )

    def _look_up(self, users: Sequence[UserKey]) -> dict[UserKey, Sequence[Device]]:
        found = self._store.devices_of(users)
        return {user: found.get(user, ()) for user in users}

    # --- what the store knows of all

    async def devices_of(self, users: Sequence[UserKey]) -> dict[UserKey, Sequence[Device]]:
        """Of each of these people, perhaps none. Raises Unavailable."""
        return await self._devices.ask(users) if users else {}

    async def remembered(self, key: bytes) -> Remembered | None:
        return (await self._requests.ask([key]))[key]

    async def holders_of(self, tokens: Sequence[TokenHash]) -> Mapping[TokenHash, tuple[UserKey, DeviceKey]]:
        return await self._asked(partial(self._store.holders_of, tokens))

    async def owner_of(self, passes: Sequence[PassKey]) -> UserKey | None:
        return await self._asked(partial(self._store.owner_of, passes))

    async def receipt(self, key: ReceiptKey) -> Receipt | None:
        return await self._asked(partial(self._store.receipt, key))

    async def _asked(self, ask: Callable[[], T]) -> T:
        found: list[T] = []
        try:
            await self._read(lambda: found.append(ask()))
        except StoreError:
            raise Unavailable(retry_after=5) from None
        return found[0]

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Ask the store what doors want to know, until cancelled."""
        async with trio.open_nursery() as nursery:
            await nursery.start(self._devices.run)
            await nursery.start(self._requests.run)
            task_status.started()

    # --- what other nodes are asked

    async def forward(self, request: Request, user: UserKey, here: Here) -> Response:
        """The answer of whoever has this person; of `here`, if that is us by then."""
        headers = list(request.headers.items())
        message: list[object] = ["request", request.method, request.target, headers, request.body]
        with trio.move_on_after(PATIENCE):
            while True:
                answer = await self._ask(user, message)
                if answer is not None:
                    status, body, content_type, found = answer
                    return Response(status, body, content_type, tuple((name, value) for name, value in found))
                try:
                    return await here(request)
                except Elsewhere:
                    await trio.sleep(AGAIN)
        return problem(
            "unavailable", "the node that has this person does not answer", headers=((b"retry-after", b"2"),)
        )

    async def put_devices(self, tenant: Tenant, listed: Mapping[UserKey, Sequence[Registration]]) -> Replaced:
        """Of people of one partition that another node has. Raises Unavailable, Elsewhere when it is ours by then."""
        user = next(iter(listed))
        message: list[object] = [
            "devices",
            tenant.name,
            [[key, [_packed(r) for r in some]] for key, some in listed.items()],
        ]
        with trio.move_on_after(PATIENCE):
            while True:
                answer = await self._ask(user, message)
                if answer is not None:
                    return Replaced(*answer)
                if part_of(user) in self._membership.owned:
                    raise Elsewhere(user)
                await trio.sleep(AGAIN)
        raise Unavailable(retry_after=2)

    async def _ask(self, user: UserKey, message: Sequence[object]) -> list[Any] | None:
        """The answer of the node that has this person; None: nobody else has, or it has none to give now."""
        owner = self._membership.owner_of(user)
        if owner is None:
            return None
        sealed = self._seals.seal(ASK, msgpack.packb([owner.node, self._clock.now(), os.urandom(16), *message]))
        answer: list[Any] | None = None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._until_moved, user, owner, nursery.cancel_scope)
            try:
                status, body = await self._post(owner.address, sealed)
                if status == 200:
                    answer = msgpack.unpackb(self._seals.open(ANSWER + sealed[1:13], body))
            except (OSError, SealBroken):
                pass
            nursery.cancel_scope.cancel()
        return answer

    async def _until_moved(self, user: UserKey, owner: Owner, attempt: trio.CancelScope) -> None:
        """End an attempt when somebody else has this person: whoever was asked is dead, and can write nothing more."""
        while self._membership.owner_of(user) == owner:
            await self._membership.looked.wait()
        attempt.cancel()


class NodeDoor:
    """What other nodes ask this one, of that number. A handler for a server of its own.

    `failed` is told of what should not happen, and must not raise.
    """

    def __init__(
        self, node: int, seals: Seals, clock: Clock, here: Here, engine: Engine, tenants: Mapping[str, Tenant],
        failed: Callable[[BaseException], None],
    ) -> None:  # fmt: skip
        self._node = node
        self._failed = failed
        self._seals = seals
        self._clock = clock
        self._here = here
        self._engine = engine
        self._tenants = tenants
        self._seen: OrderedDict[bytes, float] = OrderedDict()
        self.is_leaving = False
        """What this node cannot do any more the next owner can."""

    async def __call__(self, request: Request) -> Response:
        """204: not ours, or not now; ask again."""
        try:
            node, at, nonce, kind, *content = msgpack.unpackb(self._seals.open(ASK, request.body))
        except (SealBroken, ValueError, TypeError):
            return problem("unauthorized")
        if node != self._node or not self._is_new(at, nonce):
            return problem("unauthorized")
        try:
            answer = await (self._request(*content) if kind == "request" else self._devices(*content))
        except RelayError:
            return Response(204)
        except Exception as error:  # the process boundary of one message: it may be of a node of another version
            self._failed(error)
            return problem("internal")
        return Response(200, self._seals.seal(ANSWER + request.body[1:13], msgpack.packb(answer)))

    def _is_new(self, at: float, nonce: bytes) -> bool:
        now, seen = self._clock.now(), self._seen
        while seen and (next(iter(seen.values())) < now - 2 * FRESH or len(seen) >= REMEMBERED):
            seen.popitem(last=False)
        is_new = nonce not in seen
        seen[nonce] = max(now, at)  # what comes from the future is refused, and not taken when that is there
        return is_new and abs(now - at) <= FRESH

    async def _request(
        self, method: bytes, target: bytes, headers: list[tuple[bytes, bytes]], body: bytes
    ) -> list[object]:
        found = Request(method, target, dict(headers), body)
        answer = await self._here(found)
        if answer.status == UNAVAILABLE and self.is_leaving:
            raise Unavailable(retry_after=1)
        return [answer.status, answer.body, answer.content_type, list(answer.headers)]

    async def _devices(self, tenant: str, listed: list[Any]) -> list[object]:
        known = self._tenants.get(tenant)
        if known is None:  # its configuration is newer than ours
            raise Unavailable(retry_after=5)
        unpacked = {UserKey(key): [_unpacked(r) for r in some] for key, some in listed}
        return list(await self._engine.put_devices_here(known, unpacked))


def _packed(r: Registration) -> list[object]:
    return [r.user, r.sealed_id, r.device, r.app, r.platform.value, r.token_hash, r.sealed]


def _unpacked(packed: list[Any]) -> Registration:
    user, sealed_id, device, app, platform, token_hash, sealed = packed
    return Registration(
        UserKey(user), sealed_id, DeviceKey(device), app, Platform(platform), TokenHash(token_hash), sealed
    )
