"""What comes in over one stream, gathered for the next commit. No I/O.

Messages without an Idempotency-Key that come while a commit is under way become one group: one operation of the
journal, and one answer. So an event costs its share of a list, and no call of its own. Nobody tells the events of a
group apart, and many for one person are one look at that person. A message that is wrong is left out, and is named
before the answer that covers its number.

A message with a key is an operation of its own, for only so it can be recognised when it is repeated; one with alarms
overtakes what waits, as over HTTP. The answer of its group waits for it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from relay.core.errors import Problem, Refused, RelayError, TooManyRecipients
from relay.core.events import Accepted, Event, Request
from relay.core.records import Records
from relay.doors import problems
from relay.doors.http1 import Response
from relay.doors.keys import ApiKey
from relay.doors.reading import MOST_RECIPIENTS, PLAIN, EventBody, Reading, identity, plain_class
from relay.doors.router import Forbidden
from relay.doors.stream_words import Answer, Message, events_of, faults_of, id_faults, ids_are_good, read_message

PEOPLE: Final = 22_000
"""People from which on a group takes no further message. Its commit costs by people, not by events, and whoever comes
meanwhile waits for its end, alarms too; it is to be no longer than that of one large request of HTTP. At 12,000 an
event costs nearly twice as much, and an alarm waits for two thirds as long (bench.ingest)."""
RECIPIENTS: Final = 60_000
"""The same for recipients: several events for one person are nearly free, but reading them is not."""
_KEY: Final = "idempotency_key"


@dataclass(slots=True, repr=False)
class Group:
    """Messages that are answered together. `users`: of events that say nothing but whom they are for."""

    answer: Answer = field(default_factory=Answer)
    messages: int = 0
    recipients: int = 0
    users: Counter[str] = field(default_factory=Counter)
    events: list[Event] = field(default_factory=list)
    at: float = 0.0
    """When the newest of them came: who has read an older one, has not read this one."""
    keyed: int = 0
    """Messages with keys among them that are not committed yet."""

    others: int = 0
    """Recipients of other events."""

    @property
    def is_full(self) -> bool:
        return self.recipients >= RECIPIENTS or len(self.users) + self.others >= PEOPLE

    def credit(self, taken: Accepted) -> None:
        self.answer.accepted += taken.accepted
        self.answer.unknown += taken.unknown


@dataclass(slots=True, repr=False)
class Keyed:
    """A message that is an operation of its own."""

    group: Group
    number: int
    events: list[Event]
    request: Request

    def taken(self, taken: Accepted) -> None:
        self.group.keyed -= 1
        self.group.credit(taken)
        if taken.receipt is not None:
            self.group.answer.receipts[self.number] = taken.receipt.hex()

    def refused(self, error: RelayError) -> None:
        self.group.keyed -= 1
        self.group.answer.refused[self.number] = answer_to(error)


class Intake:
    """Of one stream. `records`: of the key's tenant; `now`: a clock, in UTC seconds."""

    def __init__(self, key: ApiKey, records: Records, now: Callable[[], float]) -> None:
        self._key = key
        self._records = records
        self._now = now
        self._last: int | None = None
        self.group = Group()
        """What has been gathered since the last one was handed over."""

    def hand_over(self) -> Group:
        group, self.group = self.group, Group()
        return group

    def take(self, data: bytes) -> Keyed | None:
        """Take a message into the group; one that has a key is to be committed by itself. Raises Broken."""
        self._last, message = number, _ = read_message(data, self._last)
        group = self.group
        group.messages += 1
        group.answer.number = number
        try:
            if message is None:
                raise Refused(*faults_of(data))
            return self._read(number, message, data)
        except (RelayError, Forbidden) as error:
            group.answer.refused[number] = answer_to(error)
            return None

    def _read(self, number: int, message: Message, data: bytes) -> Keyed | None:
        """Raises Refused, TooManyRecipients, Forbidden; then nothing of it was taken."""
        events, key, now, group = message.events, message.idempotency_key, self._now(), self.group
        if not events:
            raise Refused(Problem("events", "must not be empty"))
        users = [item for item in events if isinstance(item, str)]
        if users and not ids_are_good(users):
            raise Refused(*id_faults(events))
        if key is None and len(users) == len(events) and plain_class(self._key.tenant, PLAIN) is not None:
            if len(users) > MOST_RECIPIENTS:
                raise TooManyRecipients(MOST_RECIPIENTS)
            group.users.update(users)
            group.recipients += len(users)
            group.at = now
            return None
        request = None if key is None else identity(self._key, key.encode(), events_of(data), _KEY)
        reading = Reading(self._key, self._records, now, _KEY if key is None else None)
        bodies = (EventBody(item) if isinstance(item, str) else item for item in events)
        read = reading.read((body, f"events[{index}].") for index, body in enumerate(bodies))
        reading.refuse()
        recipients = sum(len(event.users) for event in read)
        group.recipients += recipients
        group.others += recipients
        if request is None:
            group.events += read
            return None
        group.keyed += 1
        return Keyed(group, number, read, request)

    def events_of(self, group: Group) -> list[Event]:
        """What a group has for its own operation.

        In the order of the pseudonyms, as which people lie in memory and in the database: neighbours are touched
        together, which takes a fifth off all that follows.
        """
        if not group.users:
            return group.events
        tenant = self._key.tenant
        pseudonym = tenant.pseudonyms.user
        counts = sorted((pseudonym(user), count) for user, count in group.users.items())
        users = [user for user, count in counts for _ in range(count)]
        return [Event(tenant.classes[PLAIN], users, group.at), *group.events]


def answer_to(error: RelayError | Forbidden) -> Response:
    """The problem that HTTP would answer with."""
    if isinstance(error, Forbidden):
        return problems.problem("forbidden", str(error))
    answer = problems.of(error)
    if answer is None:
        raise error
    return answer
