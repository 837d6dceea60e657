"""What doors ask of the relay, answered from the working set and the journal (implements doors/port.py)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import trio

from relay.core import editing, receipts, settling
from relay.core.batch import Feedback
from relay.core.devices import Registration
from relay.core.draft import Draft
from relay.core.editing import Replaced
from relay.core.errors import CursorExpired, NotFound
from relay.core.events import Accepted, Event, EventClass, Request
from relay.core.people import People, Person
from relay.core.private import DeviceKey, ReceiptKey, UserKey
from relay.core.receipts import Totals
from relay.core.records import Records
from relay.core.seal import SealBroken
from relay.core.tenants import Tenant
from relay.doors.port import NOBODY, DeviceFacts, IfMatch, Parted, Registered, RestDocument, RestKept, Told
from relay.journal import Journal

MOST_FEEDBACK: Final = 500
"""Devices of one answer."""


class RelayEngine:
    """The inside of the doors."""

    def __init__(self, journal: Journal, people: People, records: Mapping[str, Records]) -> None:
        self._journal = journal
        self._people = people
        self._records = records
        self._draining = False
        self.unreadable_feedback = 0
        """Feedback that could not be told, because its ids do not open."""

    def knock(self, tenant: Tenant) -> None:
        self._journal.knock(tenant)

    async def accept(self, tenant: Tenant, events: Sequence[Event], request: Request | None) -> Accepted:
        return await self._journal.accept(tenant, events, request)

    async def seen(
        self, tenant: Tenant, marks: Sequence[tuple[UserKey, float]], active: Mapping[UserKey, float] = NOBODY
    ) -> None:
        await self._journal.seen(tenant, marks, active)

    async def confirm(
        self, tenant: Tenant, user: UserKey, event_class: EventClass, device: DeviceKey | None, at: float
    ) -> None:
        await self._journal.edit(tenant, lambda draft: settling.confirm(draft, tenant, user, event_class, device, at))

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
            with trio.move_on_at(deadline):
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

    def alarm(self, tenant: Tenant, receipt: ReceiptKey, now: float) -> Totals:
        return receipts.totals(self._people, tenant, receipt, now)

    async def delete_user(self, tenant: Tenant, user: UserKey) -> None:
        await self._journal.edit(tenant, lambda draft: editing.delete_user(draft, tenant, user))

    async def put_device(self, tenant: Tenant, registration: Registration) -> Registered:
        def put(draft: Draft) -> tuple[bool, int]:
            return editing.put_device(draft, tenant, registration)

        return Registered(*await self._journal.edit(tenant, put))

    async def put_devices(self, tenant: Tenant, listed: Mapping[UserKey, Sequence[Registration]]) -> Replaced:
        weight = 1 + sum(map(len, listed.values()))
        return await self._journal.edit(tenant, lambda draft: editing.put_devices(draft, tenant, listed), weight=weight)

    async def delete_device(self, tenant: Tenant, user: UserKey, device: DeviceKey) -> None:
        await self._journal.edit(tenant, lambda draft: editing.delete_device(draft, tenant, user, device))

    def device(self, tenant: Tenant, user: UserKey, device: DeviceKey) -> DeviceFacts:
        found = self._person(tenant, user).devices.get(device)
        if found is None:
            raise NotFound("no such device")
        return DeviceFacts(found.app, found.platform, found.registered_at)

    async def put_rest(
        self, tenant: Tenant, user: UserKey, sealed_id: bytes, document: Mapping[str, object], if_match: IfMatch
    ) -> RestKept:
        sealed = self._records[tenant.name].seal_rest(user, document)

        def put(draft: Draft) -> RestKept:
            created = draft.rest(user) is None
            return RestKept(created, editing.put_rest(draft, tenant, user, sealed_id, sealed, if_match))

        return await self._journal.edit(tenant, put)

    def rest(self, tenant: Tenant, user: UserKey) -> RestDocument:
        record = self._person(tenant, user).rest
        if record is None:
            raise NotFound("no rest document")
        return RestDocument(self._records[tenant.name].open_rest(user, record.sealed), record.version)

    async def delete_rest(self, tenant: Tenant, user: UserKey, if_match: IfMatch) -> None:
        await self._journal.edit(tenant, lambda draft: editing.delete_rest(draft, tenant, user, if_match))

    def _person(self, tenant: Tenant, user: UserKey) -> Person:
        person = self._people.by_key.get(user)
        if person is None or person.tenant is not tenant:
            raise NotFound("no such user")
        return person
