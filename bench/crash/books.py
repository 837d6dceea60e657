"""Does the database say what the client knows? Judged after every kill, from what the next start would load.

The file is sound. The books balance. What was acknowledged is in them, and nothing else but what may have been taken
without an answer: class by class, and for those who always rest person by person. The last edit that was acknowledged
holds, or one after it that was not answered. In the end receipts say that everything was handed over, orders that
nobody has confirmed are open, and pending is only what waits for a rest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from bench.crash.case import PIERCING, Case, Life
from bench.crash.judge import rests_at_the_end
from bench.crash.leavings import Snapshot
from bench.crash.people import Kind, Officer
from bench.crash.record import Asked, Event
from relay.core.books import ACCOUNTS, Account
from relay.ops.metrics import coarse

CLASSES = ("message", "roster", "alarm", "control")
Wanted = Callable[[Officer, Event], bool]
PLAIN = '{"accepted":1,"unknown":0}'
"""What a post for one person is answered, receipts apart."""


def objections(case: Case) -> Iterator[str]:
    """A sentence for everything that does not fit."""
    expected = Expected(case)
    for life in case.lives:
        for sentence in (
            *_file(life.left),
            *_taken(case, life, expected),
            *_resting(case, life),
            *_receipts_there(case, life),
        ):
            yield f"life {life.number} ({life.aim}, {life.fell or 'in order'}): {sentence}"
    yield from lost_edits(case)
    yield from _answers(case)
    yield from _ends(case)
    yield from _pending(case)
    yield from _receipts(case)
    yield from _orders(case)
    yield from _metrics(case)


class Expected:
    """How many notices of each class are in the books: at least, and at most."""

    def __init__(self, case: Case) -> None:
        self._new: dict[tuple[str, int], list[int]] = {}
        self._first: dict[tuple[str, int], list[int]] = {}
        for post in case.posts:
            lives = [life for life in sorted(set(post.lives)) if post.may_be_taken_in(life)]
            acked = [life for life in lives if post.in_life(life) == "acked"]
            for name, count in Counter(event.event_class for _, event in post.notices()).items():
                for life in lives:
                    _add(self._new, (name, life), count * (acked == [life] and life == post.lives[0]), count)
                if acked:
                    _add(self._first, (name, acked[0]), count, 0)
                if lives:
                    _add(self._first, (name, lives[0]), 0, count)

    def new(self, name: str, life: int) -> range:
        """Taken in a life. What was left from an earlier one may have been counted there."""
        least, most = self._new.get((name, life), (0, 0))
        return range(least, most + 1)

    def until(self, name: str, life: int) -> range:
        """Taken until the end of a life."""
        some = [counts for (of, first), counts in self._first.items() if of == name and first <= life]
        return range(sum(least for least, _ in some), sum(most for _, most in some) + 1)


def _add(counts: dict[tuple[str, int], list[int]], key: tuple[str, int], least: int, most: int) -> None:
    found = counts.setdefault(key, [0, 0])
    found[0] += least
    found[1] += most


def notices(case: Case, name: str, wanted: Wanted) -> range:
    """How many notices of some sort may have been taken in the whole run."""
    least = most = 0
    for post in case.posts:
        if post.may_be_taken:
            count = sum(1 for user, e in post.notices() if e.event_class == name and wanted(case.people[user], e))
            least += count * post.acked
            most += count
    return range(least, most + 1)


def _file(left: Snapshot) -> Iterator[str]:
    if not left.is_sound:
        yield "the database finds itself damaged"
    yield from (f"the books do not balance: {told}" for told in left.imbalances)


def _taken(case: Case, life: Life, expected: Expected) -> Iterator[str]:
    """What is accepted, since the beginning and in this life."""
    for name in CLASSES:
        accepted = _accepted(life.left, name)
        new = accepted - _before(case, life, name)
        for told, wanted in ((accepted, expected.until(name, life.number)), (new, expected.new(name, life.number))):
            if told not in wanted:
                yield f"{told} of class {name} are accepted, not {wanted.start} to {wanted.stop - 1}"


def _accepted(left: Snapshot, name: str) -> int:
    return left.accounts.get(name, Account()).accepted


def _before(case: Case, life: Life, name: str) -> int:
    return _accepted(case.lives[life.number - 1].left, name) if life.number else 0


def _resting(case: Case, life: Life) -> Iterator[str]:
    """Whoever always rests has everything pending."""
    for officer in case.of(Kind.RESTING, Kind.ALARMED):
        for name in ("message", "roster"):
            expected = notices_of(case, officer, name, life.number)
            pending = life.left.pending.get((officer.name, name), 0)
            if pending not in expected:
                yield f"{officer.name} has {pending} of class {name} pending, not {expected}"


def forgotten(case: Case) -> int:
    """Notices that were acknowledged in a life, and are not in what it has left."""
    expected = Expected(case)
    return sum(
        max(0, expected.new(name, life.number).start - _accepted(life.left, name) + _before(case, life, name))
        for life in case.lives
        for name in CLASSES
    )


def notices_of(case: Case, officer: Officer, name: str, until: int) -> range:
    """How many notices for somebody may have been taken until the end of a life."""
    least = most = 0
    for post, event in case.by_user.get(officer.name, ()):
        ends = {post.in_life(number) for number in post.lives if number <= until}
        if event.event_class == name:
            least += "acked" in ends
            most += bool(ends & {"acked", "unknown"})
    return range(least, most + 1)


def _receipts_there(case: Case, life: Life) -> Iterator[str]:
    given = {post.receipt for post in case.alarms if post.in_life(life.number) == "acked"}
    if missing := given - life.left.receipts.keys():
        yield f"{len(missing)} receipts that were answered are not there"


# --- edits


def lost_edits(case: Case) -> list[str]:
    """Edits that were acknowledged and do not hold."""
    return [
        f"life {life.number} ({life.aim}, {life.fell or 'in order'}): {told}"
        for life in case.lives
        for told in (*_lost_rests(case, life), *_lost_devices(case, life))
    ]


def _lost_rests(case: Case, life: Life) -> Iterator[str]:
    for user, edits in case.edits.items():
        mine = [(edit, edit.device) for edit in edits if edit.do == "rest" and life.number in edit.lives]
        before = case.lives[life.number - 1].left.edits.get(user) if life.number else None
        if mine and life.left.edits.get(user) not in _possible(before, mine, life):
            yield f"the rest of {user} is not what was answered"


def _lost_devices(case: Case, life: Life) -> Iterator[str]:
    for user, edits in case.edits.items():
        devices = {edit.device for edit in edits if edit.do == "device" and life.number in edit.lives}
        for device in devices:
            place = user, device or ""
            mine = [(edit, edit.token) for edit in edits if edit.device == device and life.number in edit.lives]
            before = case.lives[life.number - 1].left.tokens.get(place) if life.number else None
            if life.left.tokens.get(place) not in _possible(before, mine, life):
                yield f"a device of {user} is not what was answered"


def _possible(before: str | None, edits: Sequence[tuple[Asked, str | None]], life: Life) -> set[str | None]:
    """What may hold at the end of a life, in which these were asked for one after the other."""
    possible = {before}
    for edit, value in edits:
        end = edit.in_life(life.number)
        if end == "acked":
            possible = {value}
        elif end == "unknown":
            possible.add(value)
    return possible


# --- the end


def _answers(case: Case) -> Iterator[str]:
    """They do not tell whether anybody rests; and none is wrong."""
    for asked in case.record.asked.values():
        if "wrong" in asked.ends.values():
            yield f"answered wrongly: {asked.body}"
    for post in case.posts:
        if not post.acked:
            continue
        count = sum(len(event.users) for event in post.events)
        expected = PLAIN.replace("1", str(count))
        if post.body != expected:
            yield f"a post for {count} was answered {post.body}"
        if bool(post.receipt) is not any(event.event_class in PIERCING for event in post.events):
            yield "a receipt was given for what is no alarm, or none for one"


def _ends(case: Case) -> Iterator[str]:
    """Everything ended in a way that the client can explain."""
    for name, account in case.last.accounts.items():
        leaving = notices(case, name, lambda officer, _: officer.kind is Kind.LEAVER)
        mortal = notices(case, name, lambda _, event: event.ttl is not None).stop
        readers = {user for user, edits in case.edits.items() if any(e.do == _CANCELS.get(name) for e in edits)}
        read = sum(
            notices_of(case, officer, name, case.lives[-1].number).stop - 1
            for officer in case.people.values() if officer.name in readers
        )  # fmt: skip
        if account.undeliverable not in leaving:
            yield f"{account.undeliverable} of class {name} could not be delivered, not {leaving}"
        if account.expired >= mortal:
            yield f"{account.expired} of class {name} have expired, of {mortal - 1} that could"
        if account.cancelled > read:
            yield f"{account.cancelled} of class {name} were cancelled, of {read} that could"


_CANCELS = {"message": "seen", "roster": "seen", "control": "confirm"}


def _pending(case: Case) -> Iterator[str]:
    """Only who rests has anything pending, and nothing that pierces."""
    for (user, name), count in case.last.pending.items():
        if name in PIERCING or not rests_at_the_end(case, case.people[user]):
            yield f"{user} still has {count} of class {name} pending"


def _receipts(case: Case) -> Iterator[str]:
    """However often the relay was killed between an alarm's 202, its wakeup and the verdict."""
    for post in case.alarms:
        count = sum(len(event.users) for event in post.events if event.event_class in PIERCING)
        told = case.last.receipts.get(post.receipt)
        if told != (count, count):
            yield f"a receipt says {told}, not that all {count} were handed over"


def _orders(case: Case) -> Iterator[str]:
    """What nobody has confirmed is open; what was confirmed after all of it is not."""
    for officer in case.of(Kind.ORDERED):
        for phone in officer.phones:
            orders = [
                post for post, event in case.events(officer)
                if event.event_class == "control" and event.device in (None, phone.device)
            ]  # fmt: skip
            confirmed = [c for c in case.asked_of(officer, "confirm") if c.device in (None, phone.device)]
            is_open = (officer.name, phone.device) in case.last.orders
            newest = max((post.at for post in orders if post.acked), default=None)
            if newest is not None and not is_open and all(c.at < newest for c in confirmed):
                yield f"an order for {officer.name} is forgotten: {_history(orders, confirmed, newest)}"
            if is_open and any(
                c.acked and all(post.acked and post.ended_at < c.sent_at for post in orders) for c in confirmed
            ):
                yield f"an order for {officer.name} is open that was confirmed"


def _history(orders: Sequence[Asked], confirmed: Sequence[Asked], newest: float) -> str:
    """Milliseconds before and after the newest order of what was asked close to it; of each: said, sent, ended, how."""
    told = [
        f"{asked.do} {asked.number} of {round(1e3 * (asked.at - newest))} "
        f"({round(1e3 * (asked.sent_at - newest))} to {round(1e3 * (asked.ended_at - newest))}: {asked.ends})"
        for asked in sorted([*orders, *confirmed], key=lambda asked: asked.at)
        if asked.at > newest - 10
    ]
    return ", ".join(told)


def _metrics(case: Case) -> Iterator[str]:
    """When everything owed had come they told what the database then had."""
    if not case.metrics:
        return  # each of several nodes tells its own
    final = next(life.left for life in reversed(case.lives) if life.aim == "finish")
    for name, account in final.accounts.items():
        for fate in ACCOUNTS:
            told = case.metrics.get(f'feierabend_notices_total{{class="{name}",fate="{fate}"}}')
            exact = getattr(account, fate)
            if told != (exact if fate == "accepted" else coarse(exact)):
                yield f"the metrics say {told} {name} {fate}, the books {exact}"
