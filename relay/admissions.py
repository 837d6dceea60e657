"""Who may see an officer's own: links, tokens, sessions and support codes, given, known again and ended.

The part of what doors ask (doors/port.py) that is about secrets, and about nobody's rest; the rest of it is engine.py.
A secret that is not known here may be one at another node, for whose it is does not stand in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Final

import structlog

from relay.core import admitting
from relay.core.admitting import Admission
from relay.core.errors import Elsewhere, NotAdmitted, NotFound, Overloaded, Unavailable
from relay.core.passes import OWN, Look, Pass, PassKind, Visit
from relay.core.people import People
from relay.core.private import PassKey, Private, UserKey
from relay.core.tenants import Tenant
from relay.doors.port import Officer, PassFacts
from relay.journal import Journal
from relay.neighbours import Neighbours

MOST_VISITS: Final = 100
"""Of one answer."""
NOTED_AT_ONCE: Final = 250
"""Last uses of passes that one commit writes down: an event that comes meanwhile waits a few milliseconds."""

log = structlog.get_logger()


class Admissions:
    def __init__(self, journal: Journal, people: People, neighbours: Neighbours | None) -> None:
        """`neighbours`: the other nodes; None: there is none."""
        self._journal = journal
        self._people = people
        self._neighbours = neighbours

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
        """Raises Elsewhere when a pass that is not known here is one all the same.

        Mostly at another node; it may also have come to this one while the database was asked, or this one has lost its
        people and has not heard of it.
        """
        if self._neighbours is None:
            return
        tenants = self._people.tenants.values()
        keys = [tenant.pseudonyms.pass_key(kind, secret.reveal()) for tenant in tenants for kind in kinds]
        known = self._people.passes.by_key
        if any(key in known for key in keys):
            return  # and good for nothing any more
        user = await self._neighbours.owner_of(keys)
        if user is not None:
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

    def support_until(self, user: UserKey, now: float) -> float | None:
        codes = (known for known in self._people.passes.of(user).values() if known.kind is PassKind.SUPPORT)
        return next((code.expires_at for code in codes if now < code.expires_at), None)

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
