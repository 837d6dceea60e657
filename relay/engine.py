"""What doors ask of the relay, answered from the working set and the journal (implements doors/port.py)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from relay.core import editing
from relay.core.devices import Registration
from relay.core.draft import Draft
from relay.core.errors import NotFound
from relay.core.events import Accepted, Event, Request
from relay.core.people import People, Person
from relay.core.private import DeviceKey, UserKey
from relay.core.records import Records
from relay.core.tenants import Tenant
from relay.doors.port import DeviceFacts, IfMatch, Registered, RestDocument, RestKept
from relay.journal import Journal


class RelayEngine:
    """The inside of the doors."""

    def __init__(self, journal: Journal, people: People, records: Mapping[str, Records]) -> None:
        self._journal = journal
        self._people = people
        self._records = records

    async def accept(self, tenant: Tenant, events: Sequence[Event], request: Request | None) -> Accepted:
        return await self._journal.accept(tenant, events, request)

    async def seen(self, tenant: Tenant, marks: Sequence[tuple[UserKey, float]]) -> None:
        await self._journal.seen(tenant, marks)

    async def put_device(self, tenant: Tenant, registration: Registration) -> Registered:
        created, evicted = await self._journal.edit(lambda draft: editing.put_device(draft, tenant, registration))
        return Registered(created, evicted)

    async def delete_device(self, tenant: Tenant, user: UserKey, device: DeviceKey) -> None:
        await self._journal.edit(lambda draft: editing.delete_device(draft, tenant, user, device))

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

        return await self._journal.edit(put)

    def rest(self, tenant: Tenant, user: UserKey) -> RestDocument:
        record = self._person(tenant, user).rest
        if record is None:
            raise NotFound("no rest document")
        return RestDocument(self._records[tenant.name].open_rest(user, record.sealed), record.version)

    async def delete_rest(self, tenant: Tenant, user: UserKey, if_match: IfMatch) -> None:
        await self._journal.edit(lambda draft: editing.delete_rest(draft, tenant, user, if_match))

    def _person(self, tenant: Tenant, user: UserKey) -> Person:
        person = self._people.by_key.get(user)
        if person is None or person.tenant is not tenant:
            raise NotFound("no such user")
        return person
