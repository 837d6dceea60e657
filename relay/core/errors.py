"""What the relay refuses, and why. Each class holds the data its answer needs; none holds an id, a token or a rule."""

from __future__ import annotations

from dataclasses import dataclass

from relay.core.passes import PassKind
from relay.core.private import UserKey


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault of an input: where (`events[3].user`), and a sentence that says what is wrong there."""

    path: str
    sentence: str
    german: str = ""
    """The same in German, where the input is somebody's own; else empty."""


class RelayError(Exception):
    """Root of all errors the relay raises on purpose."""


class Refused(RelayError):
    """The input cannot be taken as it is; nothing of it was applied."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__("; ".join(f"{p.path}: {p.sentence}" for p in problems))
        self.problems = problems


class TooManyRecipients(RelayError):
    """More recipients in one request, or for one piercing class, than the limit allows."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"more than {limit} recipients in one request")
        self.limit = limit


class TooLarge(RelayError):
    """More bytes than are taken of this kind."""


class NotFound(RelayError):
    """The named thing does not exist (any more)."""


class Elsewhere(RelayError):
    """Another node has this person in memory, or is about to. Ask there."""

    def __init__(self, user: UserKey) -> None:
        super().__init__("another node answers for this person")
        self.user = user


class NotAdmitted(RelayError):
    """A link or a support code that is not good, or not any more. Which of the two it is, is told; why, is not."""

    def __init__(self, kind: PassKind) -> None:
        super().__init__(f"the {kind.value} is not valid")
        self.kind = kind


class UnreadableRest(RelayError):
    """The rest document that is kept cannot be read, so nothing in it can be changed; it can be replaced."""

    def __init__(self) -> None:
        super().__init__("the rest document that is kept cannot be read")


class EndlessRest(RelayError):
    """What was to last until the end of the current rest, where none is known."""

    def __init__(self) -> None:
        super().__init__("the rest has no end")


class Unconfirmed(RelayError):
    """By the document nobody could be reached for weeks, and that this is meant has not been said (R10)."""

    def __init__(self, confirm: str, sentence: str, german: str) -> None:
        super().__init__(sentence)
        self.confirm = confirm
        """What says that it is meant."""
        self.german = german


class CursorExpired(RelayError):
    """A cursor of the feedback that cannot be gone on from. `restart` is one from which nothing kept is missed."""

    def __init__(self, restart: int) -> None:
        super().__init__("what follows this cursor is not known any more: compare all devices, and go on from restart")
        self.restart = restart


class VersionConflict(RelayError):
    """If-Match names another version than the stored one; or there is one where by If-None-Match there must be none."""

    def __init__(self, current: int | None) -> None:
        super().__init__("the document was changed by somebody else meanwhile")
        self.current = current


class IdempotencyMismatch(RelayError):
    """The Idempotency-Key was used within 24 h with another body."""


class DeviceLimitReached(RelayError):
    """The user has as many devices as the tenant allows, and the configuration says to refuse more."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"this user already has {limit} devices")
        self.limit = limit


class Overloaded(RelayError):
    """Too much is waiting; nothing of the request was taken. `retry_after` in whole seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__("too much is waiting")
        self.retry_after = retry_after


class TooOften(RelayError):
    """Somebody asks for more of something than anybody may have in a while. `retry_after` in whole seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__("this was asked for too often")
        self.retry_after = retry_after


class TooManyTraces(RelayError):
    """As many people as may have a trace at a time have one. `retry_after` in whole seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__("as many others have this on as is possible at a time")
        self.retry_after = retry_after


class CannotListen(RelayError):
    """An address of the configuration cannot be listened on."""

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(f"cannot listen on {address}: {reason}")


class Unavailable(RelayError):
    """The store cannot commit now; nothing of the request was taken. `retry_after` in whole seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__("the store cannot commit now")
        self.retry_after = retry_after
