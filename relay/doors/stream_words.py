"""What is said over a stream, in both directions, as bytes: no I/O, no clock, no engine.

MessagePack objects, one after the other. The client begins:

    {"stream": 1, "key": "id.secret"}         hello; answered by the like, or by a refusal
    [number, events]                           take these; `number` is one more than the last, the first is free
    [number, events, idempotency_key]          with alarms, or whatever must count once

`events` is a list. An item is a user id, which is an event of the class `message` for that user, or a map with the
members of an event of POST /v1/events. The relay answers:

    {"stream": 1, "most": 25000, "ahead": …}   how many recipients a message may have, and how many are read ahead
    [number, accepted, unknown]                all messages up to this one are dealt with; counts since the last such
    [number, accepted, unknown, {n: receipt}]  and messages with alarms among them have receipts
    [number, {"status": 422, …}]               nothing of this message was taken; a problem as over HTTP
    ["wait", seconds, why]                     nothing is read for now: `overloaded`, or `unavailable`
    {"refused": 401, …}                        a problem; the stream ends

msgpack finds where an object ends, without making anything of it; msgspec reads it by its type, as it reads bodies of
HTTP. So a hostile message costs no more than its bytes, and what is wrong in it is named by the same paths.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

import msgpack
import msgspec

from relay.core.errors import Problem
from relay.doors import decoding
from relay.doors.decoding import LONGEST_ID, Silent, check_list
from relay.doors.http1 import Response
from relay.doors.problems import problem
from relay.doors.reading import EventBody, event_problems, id_problems

VERSION: Final = 1
LONGEST_HELLO: Final = 1024
"""Bytes; more is not kept of somebody who has shown no key."""
LONGEST_MESSAGE: Final = 4 * 2**20
"""Bytes, as of a body of HTTP."""
_HIGHEST: Final = 2**63 - 1
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")

T = TypeVar("T")


class Broken(Exception):
    """The stream cannot go on. `problem`: what to tell the client."""

    def __init__(self, problem: Response) -> None:
        super().__init__(problem.status)
        self.problem = problem


class Hello(Silent):
    stream: int
    key: str


class Message(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """Texts among the events are checked by `ids_are_good`: by their type it would be most of the work of reading."""

    number: int
    events: list[str | EventBody]
    idempotency_key: str | None = None

    def __repr__(self) -> str:
        return f"<Message {self.number}>"


class _Envelope(msgspec.Struct, array_like=True):
    number: int
    events: msgspec.Raw


class Frames:
    """Cuts received bytes into objects. Keeps one that is not complete, up to `most` bytes."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._buffer = bytearray()
        self._unpacker = msgpack.Unpacker(max_buffer_size=0)  # bounded here
        self._begin = 0
        """Where the buffer begins, counted from the first byte ever received."""

    @property
    def kept(self) -> int:
        """Bytes of what is not complete, or not asked for yet."""
        return len(self._buffer)

    def feed(self, data: bytes) -> None:
        self._buffer += data
        self._unpacker.feed(data)

    def next(self) -> bytes | None:
        """The next complete object. Raises Broken when there can be none."""
        try:
            self._unpacker.skip()
        except msgpack.OutOfData:
            if len(self._buffer) > self.most:
                raise Broken(problem("too-large", f"at most {self.most} bytes in a message")) from None
            return None
        except ValueError:  # a byte that begins nothing, or nesting without end
            raise Broken(problem("malformed", "this is not MessagePack")) from None
        end: int = self._unpacker.tell()
        length = end - self._begin
        if length > self.most:
            raise Broken(problem("too-large", f"at most {self.most} bytes in a message"))
        found = bytes(self._buffer[:length])
        del self._buffer[:length]
        self._begin = end
        return found


class _Decoder(Generic[T]):
    def __init__(self, kind: type[T]) -> None:
        self._decode = msgspec.msgpack.Decoder(kind).decode

    def __call__(self, data: bytes) -> T | None:
        """None when it is something else."""
        try:
            return self._decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None


_HELLO: Final = _Decoder(Hello)
_MESSAGE: Final = _Decoder(Message)
_ENVELOPE: Final = _Decoder(_Envelope)


def read_hello(data: bytes) -> str:
    """The key. Raises Broken."""
    hello = _HELLO(data)
    if hello is None:
        raise Broken(problem("malformed", 'a stream begins with {"stream": 1, "key": "id.secret"}'))
    if hello.stream != VERSION:
        raise Broken(problem("malformed", f"version {VERSION} of the stream is spoken here"))
    return hello.key


def read_message(data: bytes, last: int | None) -> tuple[int, Message | None]:
    """Its number, and what it holds; None when that is not right in form (`faults_of`). Raises Broken.

    `last`: number of the message before; None: there was none.
    """
    message = _MESSAGE(data)
    numbered = message or _ENVELOPE(data)
    if numbered is None:
        raise Broken(problem("malformed", "a message is [number, events] or [number, events, idempotency_key]"))
    number = numbered.number
    if not 0 <= number <= _HIGHEST or (last is not None and number != last + 1):
        wanted = "0 or more" if last is None else str(last + 1)
        raise Broken(problem("malformed", f"the number of this message must be {wanted}"))
    return number, message


def events_of(data: bytes) -> bytes:
    """The list of events as it was sent: what tells a repeated message from another one with the same key."""
    envelope = _ENVELOPE(data)
    assert envelope is not None
    return bytes(envelope.events)


def ids_are_good(ids: Sequence[str]) -> bool:
    """What `decoding.an_id` says of each, asked of all at once: a tenth of the time."""
    lengths = list(map(len, ids))
    return min(lengths) > 0 and max(lengths) <= LONGEST_ID and _CONTROL.search("".join(ids)) is None


def id_faults(items: Sequence[object]) -> list[Problem]:
    """The same of the texts among these items, one by one."""
    return check_list([*items], "events", _item_problems)[: decoding.MOST_PROBLEMS]


def _item_problems(value: object, path: str) -> list[Problem]:
    if isinstance(value, str):
        return id_problems(value, path)
    if isinstance(value, EventBody):
        return []
    if not isinstance(value, dict):
        return [Problem(path, "must be a user's id, or an event")]
    return event_problems(value, path)


def faults_of(data: bytes) -> list[Problem]:
    """What is wrong with the form of something that is a list and begins with a number."""
    try:
        _, events, *more = msgspec.msgpack.decode(data)
    except (ValueError, UnicodeDecodeError, RecursionError):
        return [Problem("events", "cannot be read")]
    found = check_list(events, "events", _item_problems)
    if more and not isinstance(more[0], str | None):
        found.append(Problem("idempotency_key", "must be a text"))
    if len(more) > 1:
        found.append(Problem("message", "has at most three parts"))
    return found[: decoding.MOST_PROBLEMS] or [Problem("events", "is not what is expected here")]


# --- answers

_pack: Final = msgspec.msgpack.Encoder().encode


def welcome(most: int, ahead: int) -> bytes:
    return _pack({"stream": VERSION, "most": most, "ahead": ahead})


def refused(response: Response) -> bytes:
    """The last word."""
    told = _told(response)
    return _pack({"refused": response.status, **told})


def wait(seconds: float, why: str) -> bytes:
    return _pack(["wait", seconds, why])


@dataclass(slots=True, repr=False)
class Answer:
    """What is said of the messages up to `number`: those of them that were refused first, one by one."""

    number: int = 0
    accepted: int = 0
    unknown: int = 0
    receipts: dict[int, str] = field(default_factory=dict)
    refused: dict[int, Response] = field(default_factory=dict)

    def packed(self) -> bytes:
        return b"".join(self._parts())

    def _parts(self) -> Iterator[bytes]:
        for number in sorted(self.refused):
            yield _pack([number, _told(self.refused[number])])
        receipts = [self.receipts] if self.receipts else []
        yield _pack([self.number, self.accepted, self.unknown, *receipts])


def _told(response: Response) -> Mapping[str, object]:
    """A problem as HTTP tells it."""
    told: Mapping[str, object] = msgspec.json.decode(response.body)
    return told
