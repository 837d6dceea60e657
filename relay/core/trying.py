"""Trying: how a trial is begun. What it is, and what becomes of it, is in trials.py."""

from __future__ import annotations

from typing import Final

from relay.core.accepting import accept
from relay.core.draft import Draft
from relay.core.errors import NotFound
from relay.core.events import TEST, Authority, Event
from relay.core.private import UserKey
from relay.core.tenants import Tenant
from relay.core.trials import Trial

BY_HIMSELF: Final = "me"
"""In the record, where the id of an API key stands else: the officer's own token begins so."""
(_ROLE,) = TEST.roles
(_REASON,) = TEST.reasons


def begin(draft: Draft, tenant: Tenant, user: UserKey, recipients: bytes) -> float:
    """Wake all phones of somebody, by that person; return when. `recipients`: that person, sealed, for the record.

    Who has no phone is woken by nothing, and nothing is recorded. Raises NotFound.
    """
    person = draft.find(user)
    if person is None or person.tenant is not tenant or person is not draft.people.by_key.get(user):
        raise NotFound("no such user")  # who is created by this very batch has not asked
    phones = draft.phones_of(person)
    if phones:
        authority = Authority(BY_HIMSELF, _ROLE, _REASON, recipients)
        accept(draft, tenant, [Event(TEST, (user,), draft.now, authority=authority)], None)
    devices = sorted(draft.devices_of(person).values(), key=lambda device: (device.registered_at, device.key))
    keys = frozenset(phone.key for phone in phones)
    draft.trials.append(Trial(user, draft.now, draft.batch.generation, devices, keys))
    return draft.now
