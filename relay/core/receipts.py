"""Receipts: what became of the alarms of one request, in totals.

Theory of operation. A request that holds alarms is answered with a receipt, whose record is a few counters and no
names. The unit is the notice of the books, one event for one recipient; who is named twice counts twice. An alarm's
slot carries *stubs*: "my notices number 4 to 6 stand on this receipt". The numbers are the slot's own (`total`), and
notices are booked in their order; so whatever books some of them credits exactly the receipts behind them (`credit`),
in the same commit. Merged alarms count for both requests, and nothing is counted twice, however often a provider is
asked. Slots of other classes have no stubs and do nothing for this.

    handed_over   a provider accepted a wakeup for it, for one of the phones
    no_device     no such user or no phone at accept, or the last phone or the user went before one was handed over
    failing       it expired, or every phone refused it; or it is open, and a phone of the recipient is in back-off
    pending       open, and nothing has happened yet

What has ended is counted in the record, and does not change: a wakeup accepted after its notice expired books nothing,
here as in the books. What is open is the remainder, so that they always add up; whether it fails is told from the
working set when somebody asks, for back-off comes and goes. Records live for a day (`REQUEST_LIFE`), like the
remembered 202, so a repeated request is answered with a receipt that can be asked for.

A crash: record, slots with their stubs and the remembered 202 are written by the accept's own commit, each ending by
the commit that books it. So a receipt that was answered is there after a restart, with the totals of the last commit; a
wakeup whose verdict was lost is pending, is sent again, and counts once.

Rejected: the recipients in the record, with the outcome of each (a row of 400 kB to rewrite with every batch, and a
list of people with their fates where totals are enough); an index from receipts to slots (23,000 entries to keep in
step, to spare a look at everybody that takes milliseconds and is taken only while something is open).

Rest does not show in it (L2): alarms pierce rest, so none of the totals, nor the time at which they change, depends on
it. Back-off belongs to the phone and may come from an earlier wakeup: `failing` says that a phone was hard to reach.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from relay.core.batch import Receipt
from relay.core.draft import Draft
from relay.core.errors import NotFound
from relay.core.people import REQUEST_LIFE, People
from relay.core.private import ReceiptKey
from relay.core.slots import Slot, Stub
from relay.core.tenants import Tenant


class Outcome(StrEnum):
    """How an alarm's notice ends; the counter of `Receipt` that grows."""

    HANDED_OVER = "handed_over"
    NO_DEVICE = "no_device"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Totals:
    """What a receipt tells; the four parts add up to `recipients`."""

    recipients: int
    handed_over: int
    no_device: int
    failing: int
    pending: int


def issue(draft: Draft, tenant: Tenant) -> ReceiptKey:
    """Make the receipt of a request, before its first alarm is taken."""
    key = tenant.pseudonyms.receipt(draft.people.unique(draft.batch.generation), draft.now)
    draft.batch.receipts[key] = Receipt(tenant.name, draft.now)
    return key


def enter(draft: Draft, key: ReceiptKey, recipients: int, taken: int) -> None:
    """An alarm for so many recipients was taken; the others have nothing to wake."""
    receipt = draft.receipt(key)
    if receipt is not None:
        receipt.recipients += recipients
        receipt.no_device += recipients - taken


def attach(draft: Draft, slot: Slot, key: ReceiptKey, count: int = 1) -> None:
    """The newest notices of the slot stand on this receipt. Stubs whose receipt is forgotten go: nobody can ask."""
    first, last = slot.total - count + 1, slot.total
    stubs = slot.stubs
    if not stubs:
        slot.stubs = (Stub(key, first, last),)
        return
    if stubs[-1].receipt == key and stubs[-1].last == first - 1:
        slot.stubs = (*stubs[:-1], stubs[-1]._replace(last=last))
        return
    kept = (s for s in stubs if s.receipt in draft.batch.receipts or s.receipt in draft.people.receipts)
    slot.stubs = (*kept, Stub(key, first, last))


def credit(draft: Draft, slot: Slot, up_to: int, outcome: Outcome) -> None:
    """Credit the receipts of what is pending up to a number. To be called before that is booked."""
    stubs = slot.stubs
    if not stubs:
        return
    for stub in stubs:
        newly = _overlap(stub, slot.booked, up_to)
        if newly and (receipt := draft.receipt(stub.receipt)) is not None:
            setattr(receipt, outcome, getattr(receipt, outcome) + newly)
    slot.stubs = tuple(stub for stub in stubs if stub.last > up_to) if stubs[-1].last > up_to else ()


def totals(people: People, tenant: Tenant, key: ReceiptKey, now: float, together: Receipt | None = None) -> Totals:
    """What has become of the alarms, as of the last commit. Raises NotFound, for another tenant's receipt too.

    While something is open everybody's phones are looked at: 0.1 µs a person. `together`: what all nodes know of it;
    which phones are hard to reach is told of this node's people.
    """
    receipt = together or people.receipts.get(key)
    if receipt is None or receipt.tenant != tenant.name or receipt.at + REQUEST_LIFE <= now:
        raise NotFound("no such receipt")
    struggling = _struggling(people, key) if receipt.open else 0
    return Totals(
        receipt.recipients, receipt.handed_over, receipt.no_device, receipt.failed + struggling,
        receipt.open - struggling,
    )  # fmt: skip


def _struggling(people: People, key: ReceiptKey) -> int:
    """Open notices of a receipt for people with a phone in back-off; those are few, and looked for first."""
    found = 0
    for person in people.by_key.values():
        for phone in person.phones:
            if phone.attempt:
                found += sum(_open(slot, key) for slot in person.slots.values() if slot.stubs)
                break
    return found


def _open(slot: Slot, key: ReceiptKey) -> int:
    """Notices of the slot that are pending, and stand on this receipt."""
    return sum(_overlap(stub, slot.booked, slot.total) for stub in slot.stubs if stub.receipt == key)


def _overlap(stub: Stub, booked: int, up_to: int) -> int:
    """Notices of a stub that are numbered above `booked`, and not above `up_to`."""
    return max(0, min(stub.last, up_to) - max(stub.first - 1, booked))
