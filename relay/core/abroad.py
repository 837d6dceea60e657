"""Abroad: people whom another node has in memory, and what is posted for them.

Theory of operation. Any node takes events. What is for its own people goes into their slots; the rest is *posted*: rows
of the same commit, which the owners fetch, put into slots, and delete in the commit that does so (core/fetching.py). So
a 202 means the same everywhere, durable and taken once, and a node that is down keeps nobody from posting for its
people: whoever takes its partitions finds the rows.

The node that takes an event answers for it: it looks up who has a device, counts `accepted`, gives the receipt, writes
the record of a bypass. The owner books what becomes of it, and counts nothing as accepted again. A notice whose person
or last phone has gone in between is undeliverable. Read marks are posted too, and the news that a token was registered
for somebody else's device. Confirmations always are, also for people of the node itself: an order that another node
took before may not have been fetched yet, and would come after its own confirmation and be sent anew for weeks. A
message that overtakes its read mark so costs one wakeup, which is not worth a row for each mark.

Rejected: forwarding events to the owner (nobody takes them while it is down, and an event for people of two nodes would
be two commits), and writing slots of people whom another node has in memory (its memory would be wrong).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from relay.core.batch import Posted, PostKind
from relay.core.devices import Device
from relay.core.draft import Draft
from relay.core.errors import RelayError
from relay.core.events import Event, EventClass
from relay.core.orders import addressed
from relay.core.private import DeviceKey, ReceiptKey, UserKey
from relay.core.tenants import Tenant

Abroad = Mapping[UserKey, Sequence[Device]]
"""Devices of people whom another node has, as they were a moment ago; of those who have none, none."""


class Moved(RelayError):
    """Somebody was here when it was looked up who is abroad, and is not any more. Look again."""


def at_home(draft: Draft, users: Iterable[UserKey], abroad: Abroad) -> None:
    """Raises Moved for one who is neither abroad nor of this node."""
    people = draft.people
    for user in users:
        if user not in abroad and user not in people.by_key and not people.owns(user):
            raise Moved


def post_event(
    draft: Draft, tenant: Tenant, event: Event, user: UserKey, receipt: ReceiptKey | None, abroad: Abroad
) -> int:
    """Post an event to the node that has its recipient; 0 if there is nothing to wake, else 1."""
    phones = tenant.phones(abroad.get(user, ()))
    if not phones or (event.device is not None and not addressed(event, phones)):
        return 0
    draft.batch.posted.append(
        Posted(
            PostKind.EVENT, tenant.name, user, event.event_class.name, event.at, event.expires_at, event.device, receipt
        )
    )
    return 1


def post_confirmation(
    draft: Draft, tenant: Tenant, user: UserKey, event_class: EventClass, device: DeviceKey | None, at: float
) -> None:
    """Whoever has the user takes it after every order that was taken before it."""
    draft.batch.posted.append(Posted(PostKind.CONFIRMED, tenant.name, user, event_class.name, at, device=device))
