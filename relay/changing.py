"""Changing a rest document: read, edited and sealed again in one commit.

A button says "off duty now", not "replace version 7": what it means depends on the document there is. So it is a
function from a document to the next one, and runs where the writer drafts the commit, behind all that was drafted
before it. Two presses at once both hold; nobody need repeat anything, and a condition (If-Match) is still one.

What it costs is paid by everybody who waits for that commit, hence its weight. And what it raises must not end the
writer, whose fault it is not: nothing is drafted yet when it runs, so the change is left out, and the request fails.

Rejected: reading before, and trying again on a conflict (the busiest loses, for ever perhaps).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol, TypeVar

from relay.core import editing
from relay.core.draft import Draft
from relay.core.errors import RelayError, UnreadableRest
from relay.core.private import UserKey
from relay.core.records import Records
from relay.core.seal import SealBroken
from relay.core.tenants import Tenant
from relay.doors.port import Change, IfMatch, RestChanged

WEIGHT: Final = 50
"""Recipients of an event that one change is about as much work as."""
T = TypeVar("T")


class Writer(Protocol):
    """The journal, as far as it is needed here."""

    async def edit(
        self, tenant: Tenant, draw: Callable[[Draft], T], *, about: UserKey | None = None, weight: int = 1
    ) -> T: ...


async def change_rest(
    writer: Writer, records: Records, tenant: Tenant, user: UserKey, change: Change, if_match: IfMatch
) -> RestChanged:
    """Raises NotFound, VersionConflict, UnreadableRest, Overloaded, Unavailable, and what `change` raises."""
    faults: list[Exception] = []

    def changed(now: float, sealed: bytes | None) -> bytes | None:
        try:
            document = {} if sealed is None else records.open_rest(user, sealed)
            edited = change(document, now)
            return None if edited is None else records.seal_rest(user, edited)
        except SealBroken:
            raise UnreadableRest from None
        except RelayError:
            raise
        except Exception as error:  # the writer goes on; the request does not
            faults.append(error)
            return None

    def draw(draft: Draft) -> RestChanged:
        version = editing.change_rest(draft, tenant, user, if_match, lambda sealed: changed(draft.now, sealed))
        return RestChanged(version, draft.now)

    done = await writer.edit(tenant, draw, about=user, weight=WEIGHT)
    if faults:
        raise faults[0]
    return done
