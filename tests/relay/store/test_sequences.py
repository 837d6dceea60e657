"""Random histories: after each step all stores hold what a few dictionaries say they must.

A step commits a batch, purges, tidies, or ends the process: the store then gets a new object on the same file.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from copy import deepcopy
from dataclasses import astuple, dataclass, field, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.postgres import emptied
from relay.core.batch import Batch, Bypass, Feedback, Parting, PersonRecord, Receipt, Remembered
from relay.core.books import Account
from relay.core.devices import Device, Platform, RestRecord
from relay.core.events import NEVER, Accepted
from relay.core.passes import Look, Pass, PassKind, Visit
from relay.core.private import DeviceKey, TokenHash, UserKey
from relay.core.slots import Order, Slot, Stub
from relay.store.memory import MemoryStore
from relay.store.port import FeedbackRange, Loaded, Purged, StaleEpoch, Store
from relay.store.postgres import PostgresStore
from relay.store.sqlite import SqliteStore
from tests.effort import examples
from tests.relay.store.batches import DAY, NOW, device_key, pass_key, receipt_key, user
from tests.relay.store.conftest import BypassRow, bypass_row, bypasses_at, bypasses_in

TENANTS = ("a", "ab")
CLASSES = ("message", "m", "alarm")
USERS = tuple(user(n) for n in range(3))
DEVICES = {device_key(n): USERS[n // 2] for n in range(6)}
"""A device belongs to one user for ever: its pseudonym is made of both."""

counters = st.one_of(st.integers(0, 5), st.integers(0, 2**63 - 1))
instants = st.one_of(st.sampled_from([0.0, NOW, NEVER]), st.floats(0, 2**40, allow_nan=False))
blobs = st.binary(max_size=40)

stubs = st.builds(Stub, st.integers(0, 3).map(receipt_key), counters, counters)
slots = st.builds(
    Slot, counters, counters, counters, counters, instants, instants, instants, instants, instants, st.just(False),
    st.dictionaries(st.sampled_from(sorted(DEVICES)), counters, max_size=3), instants,
    st.just(()) | st.lists(stubs, max_size=3).map(tuple),
    st.just({}) | st.dictionaries(st.sampled_from(sorted(DEVICES)), st.builds(Order, instants, instants), max_size=3),
)  # fmt: skip
people = st.builds(PersonRecord, st.sampled_from(TENANTS), blobs)
rests = st.builds(RestRecord, blobs, counters)
ends = st.sampled_from([0.0, NOW, NOW + 0.5, NOW + DAY, NOW + 30 * DAY])
passes = st.builds(Pass, st.sampled_from(PassKind), st.sampled_from(USERS), ends, st.integers(0, 5), ends)
accounts = st.builds(Account, *[counters] * 6)
steps_of_time = st.sampled_from([0.0, 0.5, 3600.0, DAY, 29 * DAY, 61 * DAY])


def devices(key: DeviceKey) -> st.SearchStrategy[tuple[UserKey, Device | None]]:
    owner = DEVICES[key]
    made = st.builds(
        Device, st.just(key), st.just(owner), st.sampled_from(["ios", "Ä", ""]), st.sampled_from(Platform),
        st.binary(min_size=16, max_size=16).map(TokenHash), blobs, instants, counters, instants,
    )  # fmt: skip
    return st.tuples(st.just(owner), st.none() | made)


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    """Instants, counters and sequence numbers are filled in when it is committed."""
    chosen = draw(st.sets(st.sampled_from(sorted(DEVICES)), max_size=3))
    keys = st.tuples(st.sampled_from(USERS), st.sampled_from(CLASSES))
    return Batch(
        NOW,
        slots=draw(st.dictionaries(keys, st.none() | slots, max_size=4)),
        people=draw(st.dictionaries(st.sampled_from(USERS), people, max_size=2)),
        devices={key: draw(devices(key)) for key in sorted(chosen)},
        rests=draw(st.dictionaries(st.sampled_from(USERS), st.none() | rests, max_size=2)),
        passes=draw(st.dictionaries(st.integers(0, 4).map(pass_key), st.none() | passes, max_size=3)),
        accounts=draw(
            st.dictionaries(st.tuples(st.sampled_from(TENANTS), st.sampled_from(CLASSES)), accounts, max_size=2)
        ),
    )


@dataclass(frozen=True)
class Commit:
    batch: Batch
    after: float
    """Seconds since the last step."""
    marks: tuple[int, int]
    """By how much generation and revision grow; a negative mark must change nothing."""
    requests: frozenset[int]
    receipts: frozenset[int]
    bypasses: int
    feedback: tuple[str, ...]
    visits: tuple[UserKey, ...]
    forgotten: frozenset[UserKey]


@dataclass(frozen=True)
class Purge:
    after: float
    limit: int


@dataclass(frozen=True)
class Restart:
    """The process ends and another takes the store."""


@dataclass(frozen=True)
class Tidy:
    """Nothing waits."""


@dataclass(frozen=True)
class Stale:
    """The process that was thought dead writes once more."""

    batch: Batch


commits = st.builds(
    Commit, batches(), steps_of_time, st.tuples(st.integers(-1, 3), st.integers(0, 2)),
    st.frozensets(st.integers(0, 3), max_size=2), st.frozensets(st.integers(0, 3), max_size=2), st.integers(0, 2),
    st.lists(st.sampled_from(TENANTS), max_size=2).map(tuple), st.lists(st.sampled_from(USERS), max_size=2).map(tuple),
    st.frozensets(st.sampled_from(USERS), max_size=1),
)  # fmt: skip
Step = Commit | Purge | Restart | Tidy | Stale
histories = st.lists(
    st.one_of(
        commits,
        commits,
        st.builds(Purge, steps_of_time, st.integers(0, 3)),
        st.builds(Restart),
        st.builds(Tidy),
        st.builds(Stale, batches()),
    ),
    max_size=12,
)


@dataclass
class Model:
    """The port in dictionaries; `changed` is when a device or rest was last written: (revision, instant)."""

    state: Loaded = field(default_factory=Loaded)
    devices: dict[DeviceKey, tuple[UserKey, Device | None]] = field(default_factory=dict)
    rests: dict[UserKey, RestRecord | None] = field(default_factory=dict)
    changed: dict[tuple[str, bytes], tuple[int, float]] = field(default_factory=dict)
    feedback: list[Feedback] = field(default_factory=list)
    purged: dict[str, int] = field(default_factory=dict)
    bypasses: list[BypassRow] = field(default_factory=list)
    visits: list[Visit] = field(default_factory=list)

    def commit(self, batch: Batch) -> None:
        state = self.state
        state.people = {k: p for k, p in (state.people | batch.people).items() if p is not None}
        state.slots = {k: s for k, s in (state.slots | batch.slots).items() if s is not None}
        state.requests.update(batch.requests)
        state.receipts.update(batch.receipts)
        state.accounts.update(batch.accounts)
        state.generation = max(state.generation, batch.generation)
        state.revision = max(state.revision, batch.revision)
        state.feedback_seq = max([state.feedback_seq, *(record.seq for record in batch.feedback)])
        self.devices.update(batch.devices)
        self.rests.update(batch.rests)
        stamp = (batch.revision, batch.now)
        self.changed.update({("device", key): stamp for key in batch.devices})
        self.changed.update({("rest", key): stamp for key in batch.rests})
        self.feedback += batch.feedback
        self.bypasses += [bypass_row(bypass) for bypass in batch.bypasses]
        state.passes = {k: known for k, known in (state.passes | batch.passes).items() if known is not None}
        self.visits = [visit for visit in self.visits if visit.user not in batch.forgotten] + batch.visits

    def loaded(self) -> Loaded:
        return replace(
            self.state,
            devices={key: device for key, (_, device) in self.devices.items() if device is not None},
            rests={key: record for key, record in self.rests.items() if record is not None},
        )

    def purge(self, now: float) -> None:
        """Without a limit."""
        self.state.requests = {k: known for k, known in self.state.requests.items() if known.at >= now - DAY}
        self.state.receipts = {k: receipt for k, receipt in self.state.receipts.items() if receipt.at >= now - DAY}
        for record in self.feedback:
            if record.at < now - 30 * DAY:
                self.purged[record.tenant] = max(record.seq, self.purged.get(record.tenant, 0))
        self.feedback = [record for record in self.feedback if record.at >= now - 30 * DAY]
        self.bypasses = [row for row in self.bypasses if row[2] >= now - 90 * DAY]
        self.visits = [visit for visit in self.visits if visit.at >= now - 90 * DAY]
        self.state.passes = {k: known for k, known in self.state.passes.items() if known.expires_at >= now}
        young = {key for key, (_, at) in self.changed.items() if at >= now - DAY}
        self.devices = {k: d for k, d in self.devices.items() if d[1] is not None or ("device", k) in young}
        self.rests = {k: r for k, r in self.rests.items() if r is not None or ("rest", k) in young}


class Pair:
    """The reference, another store and the model, on one clock."""

    def __init__(self, open_: Callable[[], Store], bypasses: Callable[[], list[BypassRow]]) -> None:
        self._open = open_
        self._bypasses = bypasses
        self.now = NOW
        self.memory = MemoryStore()
        self.other = open_()
        self.model = Model()
        self.numbers = 0
        self.epochs = {store: store.load().epoch for store in self.stores()}

    def move(self, open_: Callable[[], Store], bypasses: Callable[[], list[BypassRow]]) -> None:
        """What the other one held is in this one now."""
        self.epochs.pop(self.other)
        self._open, self._bypasses = open_, bypasses
        self.other = open_()

    def stores(self) -> tuple[Store, Store]:
        return self.memory, self.other

    def commit(self, step: Commit) -> None:
        batch, state = deepcopy(step.batch), self.model.state
        self.now += step.after
        batch.now = self.now
        batch.generation = max(0, state.generation + step.marks[0])
        batch.revision = state.revision + step.marks[1]
        if batch.devices or batch.rests:
            batch.revision = state.revision + 1
        for number in step.requests:
            answer = Accepted(self.numbers, number, receipt_key(number) if number % 2 else None)
            batch.requests[bytes((number,)) * 16] = Remembered(bytes(32), answer, self.now)
        for number in step.receipts:
            at = state.receipts.get(receipt_key(number), Receipt("a", self.now)).at
            batch.receipts[receipt_key(number)] = Receipt("a", at, self.numbers, number)
        for number in range(step.bypasses):
            batch.generation = state.generation + 1
            sealed = b"sealed" * number
            batch.bypasses.append(Bypass("a", "alarm", self.now, "key", "role", "reason", number, bool(number), sealed))
        batch.forgotten = set(step.forgotten)
        for person in step.visits:
            batch.generation = max(state.generation, batch.generation) + 1
            batch.visits.append(Visit(batch.generation, "a", person, self.now, "key", Look.REST))
        for tenant in step.feedback:
            self.numbers += 1
            batch.feedback.append(
                Feedback(
                    self.numbers, tenant, USERS[0], device_key(0), Parting.MOVED, "token_moved", self.now, b"sealed"
                )
            )
        for store in self.stores():
            batch.epoch = self.epochs[store]
            store.commit(deepcopy(batch))
        self.model.commit(deepcopy(batch))

    def purge(self, step: Purge) -> None:
        """Both remove as many; then, whatever the limit left, all that is due."""
        self.now += step.after
        counts = [store.purge(self.now, step.limit) for store in self.stores()]
        assert counts[0] == counts[1]
        assert max(astuple(counts[0])) <= step.limit
        for store in self.stores():
            store.purge(self.now, 10_000)
            assert store.purge(self.now, 10_000) == Purged()
        self.model.purge(self.now)

    def restart(self) -> None:
        self.other.close()
        self.epochs.pop(self.other)
        self.other = self._open()

    def stale(self, step: Stale) -> None:
        for store in self.stores():
            batch = deepcopy(step.batch)
            batch.epoch = store.load().epoch - 1
            with pytest.raises(StaleEpoch):
                store.commit(batch)

    def check(self) -> None:
        newest = self.model.state.revision
        for store in self.stores():
            loaded = store.load()
            self.epochs[store] = loaded.epoch
            assert replace(loaded, epoch=0) == self.model.loaded()
            for since in {0, newest - 1, newest}:
                self._check_changes(store, max(0, since))
            for tenant in TENANTS:
                expected = [record for record in self.model.feedback if record.tenant == tenant]
                assert list(store.feedback(tenant, 0, 1000)) == expected
                numbers = FeedbackRange(self.model.purged.get(tenant, 0), self.model.state.feedback_seq)
                assert store.feedback_range(tenant) == numbers
            for person in USERS:
                own = [visit for visit in self.model.visits if visit.user == person]
                assert list(store.visits(person, 1000)) == own[::-1]
                assert list(store.visits(person, 1)) == own[::-1][:1]
        assert [bypass_row(bypass) for bypass in self.memory.bypasses] == self.model.bypasses
        assert self._bypasses() == self.model.bypasses

    def _check_changes(self, store: Store, since: int) -> None:
        model, found = self.model, store.changes(since)
        recent = {key: revision for key, (revision, _) in model.changed.items() if revision > since}
        assert found.devices == {k: d for k, d in model.devices.items() if ("device", k) in recent}
        assert found.rests == {k: r for k, r in model.rests.items() if ("rest", k) in recent}
        known = {("device", key) for key in model.devices} | {("rest", key) for key in model.rests}
        assert found.revision == max([since, *(recent[key] for key in recent.keys() & known)])


@settings(max_examples=examples(40))
@given(histories)
def test_sqlite_holds_what_dictionaries_would(history: list[Step]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "relay.db"
        play(Pair(lambda: SqliteStore(path), lambda: bypasses_in(path)), history)


@settings(max_examples=examples(15))
@given(history=histories)
def test_postgres_holds_what_dictionaries_would(database: str, history: list[Step]) -> None:
    emptied(database)
    play(Pair(lambda: PostgresStore(database), lambda: bypasses_at(database)), history)


def play(pair: Pair, history: list[Step]) -> None:
    """And close the store."""
    steps(pair, history)
    pair.other.close()


def steps(pair: Pair, history: list[Step]) -> None:
    for step in history:
        match step:
            case Commit():
                pair.commit(step)
            case Purge():
                pair.purge(step)
            case Restart():
                pair.restart()
            case Tidy():
                pair.other.idle()
            case Stale():
                pair.stale(step)
        pair.check()
