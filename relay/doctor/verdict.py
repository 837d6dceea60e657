"""Whose fault it is, from what our wire and the vendor's library were answered. Pure.

    ours               the library's        what follows
    good               whatever             all is well; a difference is told, and is the library's
    bad answer         the same             credentials, topic, token: the operator's to mend
    bad answer         another              our wire is to blame
    none, on the wire  an answer            likewise
    none               none either          network, proxy, TLS, provider: the operator's, or patience
    none, before that  an answer            network, proxy, TLS, Google's tokens: the library trusts others, goes
                                            elsewhere, or has tried more than once
    bad or none        could not be asked   what ours says, on its own

Two exceptions. A provider in trouble answers one and not the next: then the two cannot be compared. And a clock that is
wrong: our provider token is up to 39 minutes old, so that a running relay may show the same one, and the library's may
be fresh; one can be called expired and the other not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from relay.doctor import words
from relay.doctor.second import Second
from relay.doctor.steps import Examined
from relay.doctor.words import Blame, Reading

WELL, MEND, OURS = 0, 1, 2
"""Exit codes: all is well; the operator has something to mend; our wire is to blame, or nothing could be tried."""
ON_THE_WIRE: Final = ("settings", "answer")
"""Steps that our own HTTP/2 takes."""


@dataclass(frozen=True, slots=True)
class Conclusion:
    blame: Blame
    says: str
    code: int


REPORT: Final = "please report it with these lines"


def conclude(ours: Examined, second: Second, *, is_made_up: bool) -> Conclusion:
    """`is_made_up`: the device token was no real one, so that nobody expects it to be known."""
    reading = ours.reading
    if reading is None:
        if second.reading is not None and ours.failed_at in ON_THE_WIRE:
            return _differ(f"came to no answer ({ours.says})", second)
        blame = Blame.PROVIDER if ours.blame is Blame.WIRE and second.is_asked else ours.blame
        return _concluded(blame, f"{ours.says}.{_beside(ours, second)}")
    if reading.is_good and (is_made_up or reading.status == 200):
        what = "the request is taken" if reading.status == 200 else f"only the made-up device is unknown ({reading})"
        return Conclusion(Blame.NOBODY, f"All is well: {what}.{_beside(ours, second)}", WELL)
    blame, says = words.of_answer(reading)
    if second.reading == reading and blame is Blame.WIRE:
        blame = Blame.PROVIDER
    elif _can_be_compared(blame, second.reading) and second.reading != reading and not reading.is_good:
        return _differ(f"was answered {reading}", second)
    return _concluded(blame, f"{reading}: {says}.{_beside(ours, second)}")


def _can_be_compared(blame: Blame, theirs: Reading | None) -> bool:
    """`blame`: of our answer."""
    is_in_trouble = theirs is not None and words.of_answer(theirs)[0] is Blame.PROVIDER
    return theirs is not None and not is_in_trouble and blame not in (Blame.CLOCK, Blame.PROVIDER)


def _concluded(blame: Blame, says: str) -> Conclusion:
    return Conclusion(blame, says, OURS if blame is Blame.WIRE else MEND)


def _differ(what: str, second: Second) -> Conclusion:
    says = f"Our wire is to blame: it {what}, and {second.name} was answered {second.reading}; {REPORT}."
    return Conclusion(Blame.WIRE, says, OURS)


def _beside(ours: Examined, second: Second) -> str:
    """What the library has to say to that."""
    if not second.is_asked:
        return f" There is no second opinion of {second.name}: {second.failed}."
    if second.reading is None:
        return f" {second.name} came to no answer{'' if ours.reading else ' either'} ({second.failed})."
    if second.reading == ours.reading:
        return f" {second.name} is answered the same."
    return f" {second.name} was answered otherwise: {second.reading}."
