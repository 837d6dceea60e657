"""What doors ask of the relay, answered from the working set and the journal (implements doors/port.py)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Final

import structlog
import trio

from relay.changing import change_rest
from relay.core import admitting, editing, explaining, foretelling, receipts, settling, trying
from relay.core.abroad import Moved
from relay.core.admitting import Admission
from relay.core.batch import Bypass, Feedback
from relay.core.devices import Device, Registration
from relay.core.draft import Draft
from relay.core.editing import Replaced
from relay.core.errors import CursorExpired, Elsewhere, NotAdmitted, NotFound, Overloaded, RelayError, Unavailable
from relay.core.events import Accepted, Event, EventClass, Request
from relay.core.foretelling import Leaving
from relay.core.gate import RestTable
from relay.core.partitions import part_of
from relay.core.passes import OWN, Look, Pass, PassKind, Visit
from relay.core.people import People, Person
from relay.core.private import DeviceKey, PassKey, Private, ReceiptKey, TokenHash, UserKey
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
    PassFacts,
    Registered,
    RestChanged,
    RestDocument,
    RestFacts,
    RestKept,
    Told,
    TrialFacts,
)
from relay.journal import Journal
from relay.neighbours import Neighbours
from relay.trial_facts import trial_facts

MOST_BYPASSES: Final = 200
"""Records of what pierced somebody's rest; more are some a day, for three months."""
MOST_FEEDBACK: Final = 500
"""Devices of one answer."""
LOOK_EVERY: Final = 1.0
"""Seconds after which is looked whether another node has told something to the backend."""
MOST_VISITS: Final = 100
"""Of one answer."""
MOST_KEPT: Final = 100_000
"""Records of each kind in what an officer takes along: all there are, in practice."""
NOTED_AT_ONCE: Final = 250
"""Last uses of passes that one commit writes down: an event that comes meanwhile waits a few milliseconds."""

log = structlog.get_logger()
Lanes = Callable[[str, str], LaneCondition | None]
"""(tenant, app) → how its lane is; None when there is none."""


class RelayEngine:
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
        self._neighbours = neighbours
        self._journal = journal
        self._people = people
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

    # --- who may see it

    async def issue(self, tenant: Tenant, user: UserKey, kind: PassKind, secret: Private) -> None:
        key = self._pass_key(tenant, user, kind, secret)
        await self._journal.edit(tenant, lambda draft: admitting.issue(draft, tenant, user, kind, key), about=user)

    async def redeem(self, link: Private, given: Private, kind: PassKind = PassKind.TOKEN) -> None:
        found = self._shown(PassKind.LINK, link)
        if found is None:
            await self._search((PassKind.LINK,), link)
            raise NotAdmitted(PassKind.LINK)
        tenant, key, shown = found
        made = tenant.pseudonyms.pass_key(kind, given.reveal())
        await self._journal.edit(tenant, lambda draft: admitting.redeem(draft, key, made, kind), about=shown.user)

    async def begin(self, tenant: str, user: Private, session: Private) -> None:
        found = self._people.tenants.get(tenant)
        if found is None:
            raise NotAdmitted(PassKind.LINK)
        try:
            await self.issue(found, found.pseudonyms.user(user.reveal()), PassKind.SESSION, session)
        except NotFound:
            raise NotAdmitted(PassKind.LINK) from None

    async def end(self, tenant: Tenant, user: UserKey, kind: PassKind, key: PassKey | None = None) -> None:
        await self._journal.edit(tenant, lambda draft: admitting.end(draft, user, kind, key), about=user)

    def officer(self, token: Private, now: float) -> Officer | None:
        passes = self._people.passes
        for kind in OWN:
            found = self._shown(kind, token)
            if found is None:
                continue
            tenant, key, shown = found
            if passes.good(key, now) is None:
                return None
            passes.use(key, now)
            return Officer(tenant, shown.user, key, kind)
        return None

    async def search(self, token: Private) -> None:
        await self._search(OWN, token)

    async def _search(self, kinds: Sequence[PassKind], secret: Private) -> None:
        """Raises Elsewhere when a pass that is not known here is one at another node."""
        if self._neighbours is None:
            return
        tenants = self._people.tenants.values()
        keys = [tenant.pseudonyms.pass_key(kind, secret.reveal()) for tenant in tenants for kind in kinds]
        user = await self._neighbours.owner_of(keys)
        if user is not None and not self._people.owns(user):
            raise Elsewhere(user)

    def passes(self, officer: Officer, now: float) -> Sequence[PassFacts]:
        return [known for known in self._passes(officer.user, now, officer.token) if known.kind in OWN]

    def _passes(self, user: UserKey, now: float, asked_with: PassKey | None = None) -> list[PassFacts]:
        """Those that are good, newest first."""
        passes = self._people.passes
        facts = [
            PassFacts(known.kind, known.begun_at, passes.used_at(key), known.expires_at, key == asked_with)
            for key, known in passes.of(user).items()
            if passes.good(key, now) is not None
        ]
        return sorted(facts, key=lambda known: (-known.begun_at, -known.used_at))

    async def end_others(self, officer: Officer) -> None:
        await self._journal.edit(
            officer.tenant, lambda draft: admitting.end_others(draft, officer.user, officer.token), about=officer.user
        )

    async def note_uses(self) -> None:
        """Write down when passes were used last, some at a time. What cannot be written now is written next time."""
        by_tenant: dict[str, list[tuple[PassKey, float]]] = {}
        for key, at in self._people.passes.unnoted().items():
            person = self._people.by_key.get(self._people.passes.by_key[key].user)
            if person is not None:
                by_tenant.setdefault(person.tenant.name, []).append((key, at))
        with suppress(Overloaded, Unavailable):
            for name, uses in by_tenant.items():
                for start in range(0, len(uses), NOTED_AT_ONCE):
                    piece = dict(uses[start : start + NOTED_AT_ONCE])
                    await self._journal.edit(self._people.tenants[name], partial(admitting.note, uses=piece))

    async def visit(self, tenant: Tenant, user: UserKey, code: Private, key_id: str, look: Look) -> None:
        key = self._pass_key(tenant, user, PassKind.SUPPORT, code)
        admission = await self._journal.edit(
            tenant, lambda draft: admitting.visit(draft, tenant, user, key, key_id, look), about=user
        )
        if admission is Admission.ADMITTED:
            log.info("support_code_used", tenant=tenant.name, caller=key_id, what=look.value)
            return
        if admission is Admission.ENDED:
            log.warning("support_code_ended", tenant=tenant.name, caller=key_id)
        raise NotAdmitted(PassKind.SUPPORT)

    async def visits(self, user: UserKey) -> Sequence[Visit]:
        return await self._journal.visits(user, MOST_VISITS)

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

    def support_until(self, user: UserKey, now: float) -> float | None:
        codes = (known for known in self._people.passes.of(user).values() if known.kind is PassKind.SUPPORT)
        return next((code.expires_at for code in codes if now < code.expires_at), None)

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

    def _shown(self, kind: PassKind, secret: Private) -> tuple[Tenant, PassKey, Pass] | None:
        """The pass of a link, token or session. Whose it is does not stand in it, so that each tenant is tried."""
        for tenant in self._people.tenants.values():
            key = tenant.pseudonyms.pass_key(kind, secret.reveal())
            found = self._people.passes.by_key.get(key)
            if found is not None:
                return tenant, key, found
        return None

    def _pass_key(self, tenant: Tenant, user: UserKey, kind: PassKind, secret: Private) -> PassKey:
        """A code of eight digits is one for its person only."""
        return tenant.pseudonyms.pass_key(kind, secret.reveal(), user if kind is PassKind.SUPPORT else b"")

    def _person(self, tenant: Tenant, user: UserKey) -> Person:
        self._at_home(user)
        person = self._people.by_key.get(user)
        if person is None or person.tenant is not tenant:
            raise NotFound("no such user")
        return person
