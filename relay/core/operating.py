"""What operators do to the running relay: hold back, and resume. Each act is recorded in its own commit."""

from __future__ import annotations

from typing import NamedTuple

from relay.core.draft import Draft
from relay.core.errors import NotFound
from relay.core.halts import Act, Halt


class Selection(NamedTuple):
    """Of what; None: of all."""

    tenant: str | None
    event_class: str | None
    app: str | None


def hold(draft: Draft, of: Selection, reason: str, by: str, until: float) -> Halt:
    """Let nothing of the selection leave before an instant. Halts that are over are forgotten with it."""
    draft.batch.generation += 1
    halt = Halt(draft.people.unique(draft.batch.generation), *of, reason, by, draft.now, until)
    for known in draft.people.halts.values():
        if known.until <= draft.now:
            draft.batch.halts[known.number] = None
    draft.batch.halts[halt.number] = halt
    draft.batch.acts.append(Act(draft.now, by, "hold", *of, reason, until))
    return halt


def resume(draft: Draft, of: Selection, reason: str, by: str) -> int:
    """End the halts of exactly this selection, all where it selects nothing; return how many. Raises NotFound.

    Number 0 is the relay's own (trust.py).
    """
    ended = [halt for halt in draft.people.halts.values() if draft.batch.halts.get(halt.number, halt) is not None]
    ended = [h for h in ended if h.number and h.until > draft.now and _is_of(h, of)]
    if not ended:
        raise NotFound("nothing is held that fits")
    draft.batch.generation += 1
    for halt in ended:
        draft.batch.halts[halt.number] = None
        draft.batch.acts.append(
            Act(draft.now, by, "resume", halt.tenant, halt.event_class, halt.app, reason, halt.until)
        )
    return len(ended)


def _is_of(halt: Halt, of: Selection) -> bool:
    return of == (None, None, None) or of == (halt.tenant, halt.event_class, halt.app)
