"""Admitting: how passes are issued, changed for one another, tried and ended. What they are is in passes.py.

Secrets are made and hashed outside; here are their keys only. Each function refuses before it changes anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from enum import Enum

from relay.core.draft import Draft
from relay.core.errors import NotAdmitted, NotFound
from relay.core.passes import LIVES, MOST, OWN, TRIES, Look, Pass, PassKind, Visit
from relay.core.private import PassKey, UserKey
from relay.core.tenants import Tenant


class Admission(Enum):
    """What became of a support code that was shown."""

    ADMITTED = "admitted"
    REFUSED = "refused"
    ENDED = "ended"
    """Refused, and that was the last wrong try: the right code is none any more."""


def issue(draft: Draft, tenant: Tenant, user: UserKey, kind: PassKind, key: PassKey) -> None:
    """Give somebody a pass. Raises NotFound for a person the relay does not know."""
    person = draft.find(user)
    if person is None or person.tenant is not tenant:
        raise NotFound("no such user")
    _put(draft, user, kind, key)


def redeem(draft: Draft, link: PassKey, given: PassKey, kind: PassKind = PassKind.TOKEN) -> None:
    """Use up a link for another pass. Raises NotAdmitted, the same for one that is used, expired or never was."""
    shown = draft.pass_by(link)
    if shown is None or shown.kind is not PassKind.LINK or shown.expires_at <= draft.now:
        raise NotAdmitted(PassKind.LINK)
    draft.put_pass(link, None)
    _put(draft, shown.user, kind, given)


def end(draft: Draft, user: UserKey, kind: PassKind, key: PassKey | None = None) -> None:
    """End passes of a kind: the one with this key, or all. It is no error if there is none."""
    for known, found in draft.passes_of(user).items():
        if found.kind is kind and key in (None, known):
            draft.put_pass(known, None)


def end_others(draft: Draft, user: UserKey, kept: PassKey) -> None:
    """End all of somebody's tokens and sessions but one."""
    for known, found in draft.passes_of(user).items():
        if found.kind in OWN and known != kept:
            draft.put_pass(known, None)


def note(draft: Draft, uses: Mapping[PassKey, float]) -> None:
    """Write down when passes were used last. One that has ended meanwhile stays so."""
    for key, at in uses.items():
        known = draft.pass_by(key)
        if known is not None and at > known.noted:
            draft.put_pass(key, replace(known, noted=at))


def visit(draft: Draft, tenant: Tenant, user: UserKey, code: PassKey, key_id: str, what: Look) -> Admission:
    """Look at somebody's rest with a support code. What is admitted leaves a record; a wrong code is counted.

    Who has no valid code, or is not known, is refused like a wrong one.
    """
    person = draft.find(user)
    if person is None or person.tenant is not tenant:
        return Admission.REFUSED
    for key, found in draft.passes_of(user).items():
        if found.kind is not PassKind.SUPPORT or found.expires_at <= draft.now:
            continue
        if key == code:
            draft.batch.generation += 1
            draft.batch.visits.append(Visit(draft.batch.generation, tenant.name, user, draft.now, key_id, what))
            return Admission.ADMITTED
        is_last = found.tries + 1 >= TRIES
        draft.put_pass(key, None if is_last else replace(found, tries=found.tries + 1))
        return Admission.ENDED if is_last else Admission.REFUSED
    return Admission.REFUSED


def _put(draft: Draft, user: UserKey, kind: PassKind, key: PassKey) -> None:
    """Where a person would have too many passes of this kind, those that are not good any more end, then the oldest."""
    own = [
        (_is_good(draft, known, found), found.expires_at, known)
        for known, found in draft.passes_of(user).items()
        if found.kind is kind
    ]
    for *_, known in sorted(own)[: max(0, len(own) + 1 - MOST[kind])]:
        draft.put_pass(known, None)
    draft.put_pass(key, Pass(kind, user, draft.now + LIVES[kind]))


def _is_good(draft: Draft, key: PassKey, found: Pass) -> bool:
    """What this batch has touched was given or used just now."""
    touched = key in draft.batch.passes and found.expires_at > draft.now
    return touched or draft.people.passes.good(key, draft.now) is not None
