"""Fetching: what other nodes have posted for our people, put where it belongs (core/abroad.py)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from relay.core.accepting import merge_posted
from relay.core.batch import Fetched, Parting, Posted, PostKind
from relay.core.draft import Draft
from relay.core.settling import NOBODY, confirm, part, seen
from relay.core.tenants import Tenant


def fetch(draft: Draft, fetched: Sequence[Fetched]) -> int:
    """Take in what is ours, and note that it is; how many. What is of a partition that has gone is left for others.

    Of a tenant that is not configured any more nothing can be delivered, and nobody keeps its books.
    """
    taken = 0
    for partition, number, posted in fetched:
        if partition not in draft.people.owned:
            continue
        tenant = draft.people.tenants.get(posted.tenant)
        if tenant is not None:
            _KINDS[posted.kind](draft, tenant, posted)
        draft.batch.fetched.append((partition, number))
        taken += 1
    return taken


def _seen(draft: Draft, tenant: Tenant, posted: Posted) -> None:
    active = {posted.user: posted.until} if posted.until else NOBODY
    seen(draft, tenant, [(posted.user, posted.at)], active)


def _confirmed(draft: Draft, tenant: Tenant, posted: Posted) -> None:
    event_class = tenant.class_of(posted.event_class)
    confirm(draft, tenant, posted.user, event_class, posted.device, posted.at)


def _moved(draft: Draft, tenant: Tenant, posted: Posted) -> None:
    """The device that had the token loses it, if it still has it: as when both are of one node."""
    person = draft.find(posted.user)
    if person is None or person.tenant is not tenant or posted.device is None:
        return
    device = draft.devices_of(person).get(posted.device)
    if device is not None and device.token_hash == posted.token:
        part(draft, person, device, Parting.MOVED, "token_moved")


_KINDS: Final[dict[PostKind, Callable[[Draft, Tenant, Posted], None]]] = {
    PostKind.EVENT: merge_posted,
    PostKind.SEEN: _seen,
    PostKind.CONFIRMED: _confirmed,
    PostKind.MOVED: _moved,
}
