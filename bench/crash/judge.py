"""Was anybody lost, woken in rest, or woken too often? Judged from the client's record and the providers' journals.

lost: a notice, acknowledged, for a phone that was not woken after it was posted, where nothing explains that: it had a
life of its own, it was read, the order was confirmed, the phone was given back, or it waits because of a rest.

in_rest_without_bypass: a wakeup in a rest that the script had set, and that was acknowledged, unless an alarm or an
order stands behind it. Of an edit that begins a rest at once the first ten seconds are left out, for what had left
before; of an announced one nothing, for the relay stops ten seconds earlier.

duplicates: wakeups of a phone beyond the events for it, counted from life to life. What a phone may be woken for in a
life is what may have been taken in it, and what is left over from the one before: events for which it was not woken
yet, but never more than there are slots in the database that owe it a wakeup.

duplicates_allowed: a wakeup may be repeated when its verdict was not in the database as the relay died. By evidence
these are, for each kill, the phones that a provider had woken in that life and to which the database still owes what is
due. By the rule they are at most what was in flight and one batch of verdicts: what the strict fakes had accepted and
not seen answered, the streams of the sink, and the largest batch of the journal. The smaller of both is allowed; and
nothing where the relay had been idle for a second. A duplicate of a phone that is not among them has no excuse, and
neither has a wakeup of one to which the database owed nothing (`repeated`), whatever the sums are.

Where nodes share a database a life is a round, which ends when all is quiet, and a verdict that is lost is repeated in
the same life. `doubtful` are the phones that the node in question had woken, and to which the database owed what was
due when that had just been done to it. One that is stopped is as one that is killed. One that is cut off from the
database goes on sending what is due until its tenure is over, and books none of it: all of that is doubtful too, and
the evidence alone decides. Of a node that drains, or goes on after all, nothing is.

released: wakeups of a process that had been stopped and buried, after it ran again. It asks whether its tenure holds
last thing before the bytes; stopped between that and the write, it releases this one write: so many at most.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from bench.crash.case import PIERCING, Case, Life
from bench.crash.installation import SINK_CONNECTIONS, SINK_STREAMS
from bench.crash.leavings import Place
from bench.crash.people import ALWAYS_RESTING, Kind, Officer, Phone
from bench.crash.record import Asked, Event
from bench.crash.sightings import ROUNDING, Seen
from relay.journal import SETTLE_CHUNK
from relay.lanes.session import PER_WRITE

GRACE = 10.0
"""Seconds after an edit that begins a rest at once, for what had left before."""
MARGIN = 10.0
"""Seconds before an announced rest in which nothing is sent any more."""
MAY_WAIT = frozenset({*ALWAYS_RESTING, Kind.FALLING_ASLEEP, Kind.PLANNER, Kind.TURNING, Kind.REVIVED})
"""Whose events may wait for the end of a rest that lies beyond the run."""

RELEASED = PER_WRITE
"""Wakeups that one write has at most."""

Span = tuple[float, float]


def lost(case: Case, *, is_over: bool = True) -> list[tuple[Asked, Officer, Phone]]:
    """`is_over`: no relay is running, so that what waits for a rest can be told from what is lost."""
    found = []
    for post in case.posts:
        if not post.acked:
            continue
        for user, event in post.notices():
            officer = case.people[user]
            found += [
                (post, officer, phone)
                for phone in _owed(officer, event)
                if not case.sightings.since(phone.token, post.sent_at)
                and not _ended(case, officer, phone, post, event)
                and not _waits(case, officer, phone, event, is_over=is_over)
            ]
    return found


def _owed(officer: Officer, event: Event) -> tuple[Phone, ...]:
    """Phones that must be woken. One that changes its token or goes is left out."""
    if event.device is not None:
        return tuple(phone for phone in officer.phones if phone.device == event.device)
    return officer.phones[:1] if officer.kind in (Kind.MOVER, Kind.REVIVED) else officer.phones


def _waits(case: Case, officer: Officer, phone: Phone, event: Event, *, is_over: bool) -> bool:
    """For the end of a rest. Nothing is pending any more where another phone was woken before that rest."""
    if event.event_class in PIERCING or officer.kind not in MAY_WAIT:
        return False
    last = case.last if is_over else None
    return last is None or (
        ((officer.name, event.event_class) in last.pending or (officer.name, phone.device) in last.owed)
        and rests_at_the_end(case, officer)
    )


def _ended(case: Case, officer: Officer, phone: Phone, post: Asked, event: Event) -> bool:
    """It may have ended without a wakeup."""
    if event.ttl is not None or officer.kind is Kind.LEAVER:
        return True
    if event.event_class == "control":
        return any(c.at >= post.at and c.device in (None, phone.device) for c in case.asked_of(officer, "confirm"))
    return event.event_class not in PIERCING and any(s.at >= post.at for s in case.asked_of(officer, "seen"))


# --- rest


def rests_at_the_end(case: Case, officer: Officer) -> bool:
    """By the document that the database has then; or a rest is about to begin."""
    at, label = case.lives[-1].ended, case.last.edits.get(officer.name)
    spans = (span for edit in case.asked_of(officer, "rest") if edit.device == label for span in edit.spans)
    return any(start - MARGIN <= at < end for start, end in spans)


def in_rest(case: Case) -> list[tuple[Officer, Phone, float]]:
    """Wakeups in rest that no alarm and no order stands behind."""
    found = []
    for officer in case.people.values():
        spans = list(rests(case, officer))
        for phone in officer.phones if spans else ():
            times = [
                seen.t
                for token in case.tokens_of(officer, phone)
                for seen in case.sightings.of(token)
                if any(s <= seen.t < e for s, e in spans) and not _is_released(case, seen)
            ]
            bypasses = [post.sent_at for post, event in case.events(officer) if event.event_class in PIERCING]
            place = officer.name, phone.device
            again = [life.ended for life in case.lives if place in life.left.due]
            again += [case.lives[life.number - 1].ended for life in case.lives if place in life.doubtful]
            found += [
                (officer, phone, t)
                for count, t in enumerate(sorted(times), 1)
                if count > sum(at <= t + ROUNDING for at in bypasses) + sum(at <= t for at in again)
            ]
    return found


def _is_released(case: Case, seen: Seen) -> bool:
    ran = case.lives[seen.life].continued
    return ran is not None and seen.node == ran.node and ran.since - ROUNDING <= seen.t < ran.until


def released(case: Case) -> dict[int, int]:
    """Life → how many wakeups left when it ran again; only those in which some did."""
    seen = (seen for times in case.sightings.by_token.values() for seen in times if _is_released(case, seen))
    return dict(Counter(each.life for each in seen))


def rests(case: Case, officer: Officer) -> Iterator[Span]:
    """When somebody rests for certain."""
    edits = case.asked_of(officer, "rest")
    for index, edit in enumerate(edits):
        until = edits[index + 1].sent_at if index + 1 < len(edits) else float("inf")
        since = _in_force(case, edit)
        if since is not None:
            grace = GRACE if officer.kind is Kind.PLANNER else 0.0
            yield from ((max(start, since + grace), min(end, until)) for start, end in edit.spans)


def _in_force(case: Case, edit: Asked) -> float | None:
    """Since when a document holds; of one that was not answered the database tells whether it was taken."""
    if edit.acked:
        return edit.ended_at
    life = case.lives[edit.lives[-1]]
    return life.ended if life.left.edits.get(edit.user) == edit.device else None


# --- duplicates


def duplicates(case: Case) -> list[tuple[Life, Place, int]]:
    """(life, phone, wakeups) for which there was nothing left."""
    found = []
    for place, woken in case.woken.items():
        taken, left = case.taken[place[0]], 0
        for life in case.lives:
            beyond = woken[life.number] - left - taken[life.number]
            if beyond > 0:
                found.append((life, place, beyond))
            left = min(max(0, -beyond), life.left.owed.get(place, 0))
    return found


def unbooked(case: Case, life: Life) -> set[Place]:
    """Phones that were woken in a life that was killed, after the event for which the database still owes it."""
    if life.was_quiet:
        return set()
    woken = case.woken_last[life.number]
    return {place for place, since in life.left.due.items() if place in woken and woken[place] >= since - ROUNDING}


def allowed(case: Case, life: Life) -> int:
    """How many wakeups may be repeated because of a kill."""
    batch = life.unanswered + life.batches * (SINK_STREAMS * SINK_CONNECTIONS + SETTLE_CHUNK)
    count = len(unbooked(case, life) | life.doubtful)
    return count if life.was_cut else min(count, batch)


def without_excuse(case: Case) -> list[tuple[Life, Place]]:
    """Duplicates of phones whose verdict was not lost by a kill before.

    An excuse lasts until a duplicate has used it, while the database owes the phone something. Not until the next
    wakeup: a repeat after an event has come looks like the wakeup for that, whose own then comes a life later.
    """
    found = duplicates(case)
    again = {(life.number, place) for life, place, _ in found}
    excused: list[set[Place]] = [set()]
    for life in case.lives:
        excused[-1] |= life.doubtful
        unused = {place for place in excused[-1] & life.left.due.keys() if (life.number, place) not in again}
        excused.append(unbooked(case, life) | unused)
    return [(life, place) for life, place, _ in found if place not in excused[life.number]]


def repeated(case: Case) -> list[tuple[Life, Place]]:
    """Phones that were woken in a life more often than the database owed at its start, and the client asked for."""
    found = []
    for place, woken in case.woken.items():
        for number, count in woken.items():
            owed = case.lives[number - 1].left.owed.get(place, 0) if number else 0
            if count > owed + case.taken[place[0]][number] + (place in case.lives[number].doubtful):
                found.append((case.lives[number], place))
    return found
