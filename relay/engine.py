"""What doors ask of the relay, answered from the working set and the journal (implements doors/port.py).

What is about links, tokens, sessions and support codes stands in admissions.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import trio

from relay.admissions import Admissions
from relay.changing import change_rest
from relay.core import editing, explaining, foretelling, receipts, settling, trying
from relay.core.abroad import Moved, post_confirmation
from relay.core.batch import Bypass, Feedback
from relay.core.devices import Device, Registration
from relay.core.draft import Draft
from relay.core.editing import Replaced
from relay.core.errors import CursorExpired, Elsewhere, NotFound, RelayError
from relay.core.events import Accepted, Event, EventClass, Request
from relay.core.foretelling import Leaving
from relay.core.gate import RestTable
from relay.core.partitions import part_of
from relay.core.people import People, Person
from relay.core.private import DeviceKey, ReceiptKey, TokenHash, UserKey
from relay.core.receipts import Totals
from relay.core.records import Records
from relay.core.seal import SealBroken
from relay.core.tables import Tables, Unreadable
from relay.core.tenants import Tenant
from relay.doors.port import (
    NOBODY,
    Change,
    Condition,
    DeviceCondition,
    DeviceFacts,
    IfMatch,
    Kept,
    LaneCondition,
    Officer,
    Parted,
    Registered,
    RestChanged,
    RestDocument,
    RestFacts,
    RestKept,
    Told,
    TraceFacts,
    TrialFacts,
)
from relay.journal import Journal
from relay.neighbours import Neighbours
from relay.trace_facts import needs_bypasses, trace_facts
from relay.trial_facts import trial_facts

MOST_BYPASSES: Final = 200
"""Records of what pierced somebody's rest; more are some a day, for three months."""
MOST_FEEDBACK: Final = 500
"""Devices of one answer."""
LOOK_EVERY: Final = 1.0
"""Seconds after which is looked whether another node has told something to the backend."""
MOST_KEPT: Final = 100_000
"""Records of each kind in what an officer takes along: all there are, in practice."""

Lanes = Callable[[str, str], LaneCondition | None]
"""(tenant, app) → how its lane is; None when there is none."""


class RelayEngine(Admissions):
    """The inside of the doors."""

    def __init__(
        self,
        journal: Journal,
        people: People,
        records: Mapping[str, Records],
        tables: Tables,
        lanes: Lanes,
        neighbours: Neighbours | None = None,
    ) -> None:
        """`neighbours`: the other nodes; None: there is none."""
        super().__init__(journal, people, neighbours)
        self._records = records
        self._tables = tables
        self._lanes = lanes
        self._draining = False
        self.unreadable_feedback = 0
        """Feedback that could not be told, because its ids do not open."""

    def knock(self, tenant: Tenant) -> None:
        self._journal.knock(tenant)

    async def accept(self, tenant: Tenant, events: Sequence[Event], request: Request | None) -> Accepted:
        if self._neighbours is None:
            return await self._journal.accept(tenant, events, request)
        return await self._accept(self._neighbours, tenant, events, request)

    async def _accept(
        self, neighbours: Neighbours, tenant: Tenant, events: Sequence[Event], request: Request | None
    ) -> Accepted:
        """What is for people of other nodes is posted for them (core/abroad.py)."""
        people = self._people
        if request is not None and request.key not in people.remembered:
            known = await neighbours.remembered(request.key)
            if known is not None:
                people.remembered[request.key] = known
        while True:
            strangers = {user for event in events for user in event.users if user not in people.by_key}
            abroad = await neighbours.devices_of([user for user in strangers if not people.owns(user)])
            try:
                return await self._journal.accept(tenant, events, request, abroad)
            except Moved:
                continue

    async def seen(
        self, tenant: Tenant, marks: Sequence[tuple[UserKey, float]], active: Mapping[UserKey, float] = NOBODY
    ) -> None:
        await self._journal.seen(tenant, marks, active)

    async def confirm(
        self, tenant: Tenant, user: UserKey, event_class: EventClass, device: DeviceKey | None, at: float
    ) -> None:
        confirm = settling.confirm if self._neighbours is None else post_confirmation
        await self._journal.edit(tenant, lambda draft: confirm(draft, tenant, user, event_class, device, at))

    async def feedback(self, tenant: Tenant, after: int | None, wait: float) -> Told:
        deadline = trio.current_time() + wait
        while True:
            told = self._journal.told(tenant)
            records, known = await self._journal.feedback(tenant, after or 0, MOST_FEEDBACK)
            if after is None:
                after = known.purged
            elif not known.purged <= after <= known.newest:
                raise CursorExpired(known.purged)
            if records:
                return Told(self._opened(tenant, records), records[-1].seq)
            if self._draining or trio.current_time() >= deadline:
                return Told((), after)
            look = deadline if self._neighbours is None else min(deadline, trio.current_time() + LOOK_EVERY)
            with trio.move_on_at(look):
                await told.wait()

    def drain(self) -> None:
        self._draining = True
        self._journal.hush()

    def _opened(self, tenant: Tenant, records: Sequence[Feedback]) -> list[Parted]:
        opened: list[Parted] = []
        for r in records:
            try:
                user, device = self._records[tenant.name].open_device_ids(r.user, r.device, r.sealed)
            except SealBroken:
                self.unreadable_feedback += 1
                continue
            opened.append(Parted(r.seq, user, device, r.parting, r.reason, r.at))
        return opened

    async def alarm(self, tenant: Tenant, receipt: ReceiptKey, now: float) -> Totals:
        together = None if self._neighbours is None else await self._neighbours.receipt(receipt)
        return receipts.totals(self._people, tenant, receipt, now, together)

    async def delete_user(self, tenant: Tenant, user: UserKey) -> None:
        await self._journal.edit(tenant, lambda draft: editing.delete_user(draft, tenant, user), about=user)

    async def put_device(self, tenant: Tenant, registration: Registration) -> Registered:
        self._at_home(registration.user)
        holders = await self._holders([registration.token_hash])

        def put(draft: Draft) -> tuple[bool, int]:
            return editing.put_device(draft, tenant, registration, holders)

        return Registered(*await self._journal.edit(tenant, put, about=registration.user))

    async def put_devices(self, tenant: Tenant, listed: Mapping[UserKey, Sequence[Registration]]) -> Replaced:
        """Of other nodes' people there, one partition after the other: all or none holds for each of them."""
        neighbours = self._neighbours
        done = Replaced(0, 0, 0)
        parts: dict[int | None, dict[UserKey, Sequence[Registration]]] = {}
        for user, registrations in listed.items():
            part = None if self._people.owns(user) else part_of(user)
            parts.setdefault(part, {})[user] = registrations
        for part, some in parts.items():
            try:
                if part is None or neighbours is None:
                    more = await self.put_devices_here(tenant, some)
                else:
                    more = await neighbours.put_devices(tenant, some)
            except Elsewhere:  # moved meanwhile
                more = await self.put_devices(tenant, some)
            done = Replaced(*map(sum, zip(done, more, strict=True)))
        return done

    async def put_devices_here(self, tenant: Tenant, listed: Mapping[UserKey, Sequence[Registration]]) -> Replaced:
        """Raises Elsewhere when one of them is another node's."""
        weight = 1 + sum(map(len, listed.values()))
        holders = await self._holders([r.token_hash for registrations in listed.values() for r in registrations])

        def put(draft: Draft) -> Replaced:
            for user in listed:
                if not draft.people.owns(user):
                    raise Elsewhere(user)
            return editing.put_devices(draft, tenant, listed, holders)

        return await self._journal.edit(tenant, put, weight=weight)

    async def _holders(self, tokens: Sequence[TokenHash]) -> editing.Holders:
        return editing.NOBODY if self._neighbours is None else await self._neighbours.holders_of(tokens)

    def _at_home(self, user: UserKey) -> None:
        """Raises Elsewhere."""
        if not self._people.owns(user):
            raise Elsewhere(user)

    async def delete_device(self, tenant: Tenant, user: UserKey, device: DeviceKey) -> None:
        await self._journal.edit(tenant, lambda draft: editing.delete_device(draft, tenant, user, device), about=user)

    def device(self, tenant: Tenant, user: UserKey, device: DeviceKey) -> DeviceFacts:
        found = self._person(tenant, user).devices.get(device)
        if found is None:
            raise NotFound("no such device")
        return DeviceFacts(found.app, found.platform, found.registered_at)

    async def put_rest(
        self, tenant: Tenant, user: UserKey, sealed_id: bytes | None, document: Mapping[str, object], if_match: IfMatch
    ) -> RestKept:
        sealed = self._records[tenant.name].seal_rest(user, document)

        def put(draft: Draft) -> RestKept:
            created = draft.rest(user) is None
            return RestKept(created, editing.put_rest(draft, tenant, user, sealed_id, sealed, if_match))

        return await self._journal.edit(tenant, put, about=user)

    def rest(self, tenant: Tenant, user: UserKey) -> RestDocument:
        record = self._person(tenant, user).rest
        if record is None:
            raise NotFound("no rest document")
        return RestDocument(self._records[tenant.name].open_rest(user, record.sealed), record.version)

    async def delete_rest(self, tenant: Tenant, user: UserKey, if_match: IfMatch) -> None:
        await self._journal.edit(tenant, lambda draft: editing.delete_rest(draft, tenant, user, if_match), about=user)

    async def bypasses(self, tenant: Tenant, user: UserKey) -> Sequence[Bypass]:
        return await self._bypasses(tenant, user, MOST_BYPASSES)

    async def _bypasses(self, tenant: Tenant, user: UserKey, most: int) -> Sequence[Bypass]:
        records = self._records[tenant.name]

        def is_about(record: Bypass) -> bool:
            """Asked where the store is read. What is not sealed with a key we have is about nobody any more."""
            try:
                return bool(record.sealed) and records.is_recipient(user, record.sealed)
            except SealBroken:
                return False

        return await self._journal.bypasses(tenant, is_about, most)

    # --- an officer's own test

    async def try_out(self, officer: Officer, now: float) -> float:
        trials, tenant, user = self._people.trials, officer.tenant, officer.user
        recipients = self._records[tenant.name].seal_recipients([user])
        trials.admit(user, now)
        try:
            return await self._journal.edit(
                tenant, lambda draft: trying.begin(draft, tenant, user, recipients), about=user
            )
        except RelayError:
            trials.forgive(user, now)
            raise

    def trial(self, officer: Officer, now: float) -> TrialFacts:
        trial = self._people.trials.of(officer.user, now)
        if trial is None:
            raise NotFound("no test within the hour")
        person = self._person(officer.tenant, officer.user)
        return trial_facts(person, trial, self._records[person.tenant.name], self._lanes, now)

    # --- what wakes the own devices, for a day

    def begin_trace(self, officer: Officer, now: float) -> None:
        self._people.traces.begin(self._person(officer.tenant, officer.user), now)

    def end_trace(self, officer: Officer) -> None:
        self._people.traces.end(self._person(officer.tenant, officer.user).key)

    async def trace(self, officer: Officer, now: float) -> TraceFacts | None:
        person = self._person(officer.tenant, officer.user)
        trace = self._people.traces.of(person, now)
        if trace is None:
            return None
        bypasses = await self.bypasses(person.tenant, person.key) if needs_bypasses(trace) else ()
        return trace_facts(person, trace, self._records[person.tenant.name], bypasses)

    def condition(self, tenant: Tenant, user: UserKey, now: float) -> Condition:
        self._at_home(user)
        person = self._people.by_key.get(user)
        found = person.devices.values() if person is not None and person.tenant is tenant else ()
        devices = sorted(
            (self._device_condition(tenant, user, device, now) for device in found),
            key=lambda device: (device.registered_at, device.device.reveal()),
        )
        apps = sorted({device.app for device in devices if device.can_be_woken})
        lanes = [lane for app in apps if (lane := self._lanes(tenant.name, app)) is not None]
        journal = self._journal.statistics()
        return Condition(devices, lanes, journal.healthy, journal.waiting)

    def _device_condition(self, tenant: Tenant, user: UserKey, device: Device, now: float) -> DeviceCondition:
        _, own_id = self._records[tenant.name].open_device_ids(user, device.key, device.sealed)
        return DeviceCondition(
            own_id, device.app, device.platform, device.registered_at, bool(tenant.phones((device,))), device.attempt,
            device.not_before if device.not_before > now else None,
        )  # fmt: skip

    def rest_facts(self, tenant: Tenant, user: UserKey, now: float) -> RestFacts:
        person = self._person(tenant, user)
        table = self._tables(person, now)
        waiting = explaining.waiting(person, now, table)
        if table is None or person.rest is None:
            return RestFacts(False, None, None, None, True, {}, waiting, None)
        rest = table.at(now)
        document = None
        if not isinstance(table, Unreadable):
            document = self._records[tenant.name].open_rest(user, person.rest.sealed)
        readable = document is not None
        return RestFacts(
            rest.resting, rest.until, rest.next_start, document, readable, table.wakes, waiting, person.rest.version
        )  # fmt: skip

    # --- an officer's own

    async def change_rest(self, tenant: Tenant, user: UserKey, change: Change, if_match: IfMatch) -> RestChanged:
        return await change_rest(self._journal, self._records[tenant.name], tenant, user, change, if_match)

    async def delete_own(self, tenant: Tenant, user: UserKey, if_match: IfMatch) -> None:
        await self._journal.edit(tenant, lambda draft: editing.delete_own(draft, tenant, user, if_match), about=user)
        self._people.trials.drop(user)
        self._people.traces.end(user)

    def wakes(self, tenant: Tenant, user: UserKey, now: float) -> Mapping[str, str]:
        self._at_home(user)
        person = self._people.by_key.get(user)
        table = self._tables(person, now) if person is not None and person.tenant is tenant else None
        return {} if table is None else table.wakes

    def effect(self, tenant: Tenant, user: UserKey, edited: RestTable | None, now: float) -> Sequence[Leaving]:
        person = self._person(tenant, user)
        table = self._tables(person, now)
        if edited is None:
            return foretelling.leaving(person, now, table)
        return foretelling.effect(person, now, table, edited, self._tables.wakes(person, edited))

    async def kept(self, tenant: Tenant, user: UserKey, now: float) -> Kept:
        person = self._person(tenant, user)
        own_id = self._records[tenant.name].open_user(user, person.sealed_id)
        visits = await self._journal.visits(user, MOST_KEPT)
        bypasses = await self._bypasses(tenant, user, MOST_KEPT)
        return Kept(own_id, self.condition(tenant, user, now).devices, self._passes(user, now), visits, bypasses)

    def _person(self, tenant: Tenant, user: UserKey) -> Person:
        self._at_home(user)
        person = self._people.by_key.get(user)
        if person is None or person.tenant is not tenant:
            raise NotFound("no such user")
        return person
