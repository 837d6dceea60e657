"""Accepting: events become pending notices.

One generation per event, one slot per recipient and class. Whether a person rests is asked here once, to give a new
slot its first due instant; nothing of it shows in the answer (L2).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from relay.core.abroad import Abroad, at_home, post_event
from relay.core.batch import Bypass, Posted, Receipt, Remembered
from relay.core.draft import Draft
from relay.core.errors import IdempotencyMismatch
from relay.core.events import HOUR, NEVER, Accepted, Authority, Event, EventClass, Request
from relay.core.gate import Deferred
from relay.core.orders import addressed, give
from relay.core.people import REQUEST_LIFE, Person
from relay.core.private import ReceiptKey, UserKey
from relay.core.receipts import attach, enter, issue
from relay.core.slots import RETENTION, Slot
from relay.core.tenants import Tenant

COMPILED: Final = 100
"""Rests that one commit compiles. Each may take 240 µs; an event for everybody soon after the start needed seconds. A
slot that did without has no jitter on the disk: after a restart in the minutes of a release it does not wait for it."""


def accept(
    draft: Draft, tenant: Tenant, events: Sequence[Event], request: Request | None, abroad: Abroad | None = None
) -> Accepted:
    """Take events, or repeat the answer of the request that did. Raises IdempotencyMismatch.

    `abroad`: devices of recipients whom another node has; None: there is no other. Raises Moved for one who is not
    among them and not here.
    """
    if request is not None and (before := _remembered(draft, request)) is not None:
        return before
    if abroad is not None:
        at_home(draft, (user for event in events for user in event.users), abroad)
    accepted = unknown = 0
    receipt: ReceiptKey | None = None
    for event in events:
        if event.event_class.pierces and not event.event_class.is_trial:
            receipt = receipt or issue(draft, tenant)
            taken = _take(draft, tenant, event, receipt, abroad)
            enter(draft, receipt, len(event.users), taken)
        else:
            taken = _take(draft, tenant, event, None, abroad)
        if taken:
            draft.account((tenant.name, event.event_class.name)).accepted += taken
        accepted += taken
        unknown += len(event.users) - taken
        if event.authority is not None:
            _record_bypass(draft, tenant, event, event.authority)
    answer = Accepted(accepted, unknown, receipt)
    if request is not None:
        draft.batch.requests[request.key] = Remembered(request.body, answer, draft.now)
    return answer


def _remembered(draft: Draft, request: Request) -> Accepted | None:
    known = draft.batch.requests.get(request.key) or draft.people.remembered.get(request.key)
    if known is None or known.at + REQUEST_LIFE <= draft.now:
        return None
    if known.body != request.body:
        raise IdempotencyMismatch("the Idempotency-Key was used with another body")
    return known.answer


def _take(
    draft: Draft, tenant: Tenant, event: Event, receipt: ReceiptKey | None = None, abroad: Abroad | None = None
) -> int:
    """Add one event to the slots of its recipients; return how many notices have a device to wake.

    `receipt`: on which those of an alarm stand. One more notice for a slot that waits, and that no device has heard of,
    makes nothing due earlier: who is deferred or held is not worked out anew for it. Who stands among the recipients
    several times is looked at once.
    """
    name = event.event_class.name
    draft.batch.generation += 1
    generation = draft.batch.generation
    by_key = draft.people.by_key
    taken = 0
    for key, count in _counted(event.users).items():
        person = by_key.get(key)
        if person is None and abroad is not None:
            taken += sum(post_event(draft, tenant, event, key, receipt, abroad) for _ in range(count))
            continue
        if person is None or not person.phones or person.tenant is not tenant:
            continue
        if event.device is not None and not addressed(event, person.phones):
            continue
        slot = draft.slot(person, name)
        before = 0 if slot is None else slot.generation
        if slot is None:
            due, reachable = _first_due(draft, person, event.event_class)
            slot = Slot(generation, generation, 1, 0, draft.now, event.at, reachable, event.expires_at, due)
            draft.put_slot(person, name, slot)
            if count > 1:
                _merge(draft, person, slot, event, generation, count - 1)
        else:
            if slot.done or slot.total == slot.booked or event.event_class.pierces or person.wake_at == NEVER:
                draft.touch(person)
            _merge(draft, person, slot, event, generation, count)
        if event.event_class.renewal:
            give(slot, event, person.phones, before, draft.now)
        if receipt is not None:
            attach(draft, slot, receipt, count)
        taken += count
    return taken


def _counted(users: Sequence[UserKey]) -> Mapping[UserKey, int]:
    """How often each stands there, in the order in which they first do."""
    return Counter(users) if len(users) > 1 else dict.fromkeys(users, 1)


def merge_posted(draft: Draft, tenant: Tenant, posted: Posted) -> None:
    """Take an event that another node has accepted, and has counted; one that nobody can be woken for ends here."""
    event_class = tenant.class_of(posted.event_class)
    if posted.receipt is not None and draft.receipt(posted.receipt) is None:
        draft.batch.receipts[posted.receipt] = Receipt(tenant.name, draft.now)
    event = Event(event_class, (posted.user,), posted.at, posted.until, None, posted.device)
    if not _take(draft, tenant, event, posted.receipt):
        draft.account((tenant.name, event_class.name)).undeliverable += 1
        if posted.receipt is not None and (receipt := draft.receipt(posted.receipt)) is not None:
            receipt.no_device += 1


def _merge(draft: Draft, person: Person, slot: Slot, event: Event, generation: int, count: int) -> None:
    """An event for a slot that has nothing pending starts it anew, but keeps who is still owed what came before."""
    if slot.total == slot.booked:
        due, reachable = _first_due(draft, person, event.event_class)
        slot.merge(generation, event.at, event.expires_at, reachable)
        slot.first_at = draft.now
        slot.due_at, slot.reachable_at = due, reachable
        count -= 1
    if count:
        slot.merge(generation, event.at, event.expires_at, _reachable(draft, slot, event.event_class), count)


def _reachable(draft: Draft, slot: Slot, event_class: EventClass) -> float:
    """When the user could first be woken for one more notice. Where it is not known the gate is about to be asked."""
    if event_class.pierces:
        return draft.now
    return slot.due_at if slot.due_at > draft.now else draft.now + RETENTION


def _first_due(draft: Draft, person: Person, event_class: EventClass) -> tuple[float, float]:
    """(when a new slot is due, from when its deadline counts).

    Beyond the first `COMPILED` people whose rest has to be compiled, the slot is due now: the dispatcher asks the gate
    then, a few people at a time.
    """
    now = draft.now
    if event_class.pierces:
        return now, now
    if not person.is_compiled(now):
        if draft.compiled == COMPILED:
            return now, now + RETENTION
        draft.compiled += 1
    decision = person.tenant.gate.ask(draft.tables(person, now), person.key, event_class, now)
    due = decision.until if isinstance(decision, Deferred) else now
    return due, due


def _record_bypass(draft: Draft, tenant: Tenant, event: Event, authority: Authority) -> None:
    name = event.event_class.name
    key = (tenant.name, name, authority.role)
    in_batch = [b.at for b in draft.batch.bypasses if (b.tenant, b.event_class, b.role) == key]
    earlier = [*draft.people.bypasses.get(key, ()), *in_batch]
    recent = sum(1 for at in earlier if at > draft.now - HOUR)
    draft.batch.bypasses.append(
        Bypass(
            tenant.name, name, draft.now, authority.key_id, authority.role, authority.reason, len(event.users),
            recent >= event.event_class.rate_per_hour, authority.recipients,
        )
    )  # fmt: skip
