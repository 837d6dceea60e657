"""The reference store: dictionaries. What it does is what the port means; the other stores are compared with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import replace
from itertools import islice

from relay.core.batch import Batch, Bypass, Feedback
from relay.core.chain import UNKEYED, LinkKind, Notary
from relay.core.devices import Device, RestRecord
from relay.core.halts import Act
from relay.core.passes import Visit
from relay.core.private import DeviceKey, UserKey
from relay.store.filing import TABLES
from relay.store.memory_chain import MemoryChains
from relay.store.port import Changes, FeedbackRange, Loaded, Purged, StaleEpoch, StoreError, StoreStatistics

DAY = 86400.0


class MemoryStore:
    """Keeps everything until the process ends. `fail_next` makes the next commit fail with that error."""

    def __init__(self, notary: Notary = UNKEYED) -> None:
        self.evidence = MemoryChains(notary)
        self._state = Loaded()
        self._devices: dict[DeviceKey, tuple[UserKey, int, float, Device | None]] = {}
        self._rests: dict[UserKey, tuple[int, float, RestRecord | None]] = {}
        self._feedback: list[Feedback] = []
        self._feedback_purged: dict[str, int] = {}
        self.bypasses: list[Bypass] = []
        self._acts: list[Act] = []
        self._visits: list[Visit] = []
        self.commits = 0
        self.fail_next: StoreError | None = None

    def load(self, partition: int = 0) -> Loaded:
        state = self._state
        state.epoch += 1
        return replace(
            state,
            people=dict(state.people),
            devices={key: device for key, (_, _, _, device) in self._devices.items() if device is not None},
            rests={key: record for key, (_, _, record) in self._rests.items() if record is not None},
            slots={key: slot.copy() for key, slot in state.slots.items()},
            requests=dict(state.requests),
            receipts={key: copy(receipt) for key, receipt in state.receipts.items()},
            passes=dict(state.passes),
            accounts={key: copy(account) for key, account in state.accounts.items()},
            halts=dict(state.halts),
        )

    def commit(self, batch: Batch) -> None:
        if self.fail_next is not None:
            error, self.fail_next = self.fail_next, None
            raise error
        state = self._state
        if batch.epoch != state.epoch:
            raise StaleEpoch("another process has taken over this store")
        for user, person in batch.people.items():
            if person is None:
                state.people.pop(user, None)
            else:
                state.people[user] = person
        for key, slot in batch.slots.items():
            if slot is None:
                state.slots.pop(key, None)
            else:
                state.slots[key] = slot.copy()
                state.slots[key].tried = False
        for device_key, (user, device) in batch.devices.items():
            self._devices[device_key] = (user, batch.revision, batch.now, device)
        for user, record in batch.rests.items():
            self._rests[user] = (batch.revision, batch.now, record)
        state.requests.update(batch.requests)
        state.receipts.update({key: copy(receipt) for key, receipt in batch.receipts.items()})
        state.accounts.update({key: copy(account) for key, account in batch.accounts.items()})
        self.bypasses += batch.bypasses
        self._acts += batch.acts
        for number, halt in batch.halts.items():
            if halt is None:
                state.halts.pop(number, None)
            else:
                state.halts[number] = halt
        self._feedback += batch.feedback
        passes = state.passes | batch.passes
        state.passes = {key: known for key, known in passes.items() if known is not None}
        self._visits = [visit for visit in self._visits if visit.user not in batch.forgotten] + batch.visits
        if batch.is_on_record:
            self.evidence.add(batch)
        state.generation = max(state.generation, batch.generation)
        state.revision = max(state.revision, batch.revision)
        state.feedback_seq = max([state.feedback_seq, *(f.seq for f in batch.feedback)])
        self.commits += 1

    def changes(self, since: int) -> Changes:
        devices = {key: (user, device) for key, (user, rev, _, device) in self._devices.items() if rev > since}
        rests = {key: record for key, (rev, _, record) in self._rests.items() if rev > since}
        revisions = [rev for _, rev, _, _ in self._devices.values()] + [rev for rev, _, _ in self._rests.values()]
        return Changes(max([since, *revisions]), devices, rests)

    def purge(self, now: float, limit: int) -> Purged:
        requests = [k for k, r in self._state.requests.items() if r.at < now - DAY][:limit]
        for key in requests:
            del self._state.requests[key]
        receipts = [k for k, r in self._state.receipts.items() if r.at < now - DAY][:limit]
        for receipt in receipts:
            del self._state.receipts[receipt]
        bypasses = [i for i, b in enumerate(self.bypasses) if b.at < now - 90 * DAY][:limit]
        for index in reversed(bypasses):
            del self.bypasses[index]
        feedback = sorted((f for f in self._feedback if f.at < now - 30 * DAY), key=lambda f: (f.at, f.seq))[:limit]
        for record in feedback:
            self._feedback.remove(record)
            self._feedback_purged[record.tenant] = max(record.seq, self._feedback_purged.get(record.tenant, 0))
        acts = [i for i, a in enumerate(self._acts) if a.at < now - 400 * DAY][:limit]
        for index in reversed(acts):
            del self._acts[index]
        devices = [k for k, (_, _, at, d) in self._devices.items() if d is None and at < now - DAY][:limit]
        for device in devices:
            del self._devices[device]
        rests = [k for k, (_, at, r) in self._rests.items() if r is None and at < now - DAY][: limit - len(devices)]
        for user in rests:
            del self._rests[user]
        passes = [k for k, known in self._state.passes.items() if known.expires_at < now]
        passes = sorted(passes, key=lambda k: (self._state.passes[k].expires_at, k))[:limit]
        for expired in passes:
            del self._state.passes[expired]
        visits = sorted((v for v in self._visits if v.at < now - 90 * DAY), key=lambda v: (v.at, v.user, v.seq))[:limit]
        self._visits = [visit for visit in self._visits if visit not in visits]
        filed = {kind: self.evidence.purge(kind, table, now, limit) for kind, table in TABLES.items()}
        return Purged(
            len(requests), len(bypasses), len(feedback), len(devices) + len(rests), len(receipts), len(acts),
            len(passes), len(visits), filed[LinkKind.VISITS_ERASED],
        )  # fmt: skip

    def feedback(self, tenant: str, after: int, limit: int) -> Sequence[Feedback]:
        found = [f for f in self._feedback if f.tenant == tenant and f.seq > after]
        return sorted(found, key=lambda record: record.seq)[:limit]

    def feedback_range(self, tenant: str) -> FeedbackRange:
        return FeedbackRange(self._feedback_purged.get(tenant, 0), self._state.feedback_seq)

    def bypasses_of(self, tenant: str, wanted: Callable[[Bypass], bool], limit: int) -> Sequence[Bypass]:
        return list(islice((b for b in reversed(self.bypasses) if b.tenant == tenant and wanted(b)), limit))

    def acts(self, limit: int) -> Sequence[Act]:
        return list(islice(reversed(self._acts), limit))

    def visits(self, user: UserKey, limit: int) -> Sequence[Visit]:
        own = [visit for visit in self._visits if visit.user == user]
        return sorted(own, key=lambda visit: -visit.seq)[:limit]

    def idle(self) -> None:
        """Nothing to tidy."""

    def statistics(self) -> StoreStatistics:
        return StoreStatistics(self.commits, 0)

    def close(self) -> None:
        """Nothing to close."""
