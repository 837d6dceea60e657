"""A fake FCM (HTTP v1): strict where Google is, and stricter where a client can be wrong unnoticed.

What is wrong with a message is told by fcm_rules.py, what with a device by fcm_devices.py, how it is said by
fcm_answer.py, conduct of a sender by fcm_conduct.py; the connection itself is h2_connection.py or, for clients without
HTTP/2, http1_connection.py. A stream too many brings GOAWAY, as do too many PINGs and three minutes without a request.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from email.utils import formatdate
from enum import StrEnum
from random import Random
from typing import Final

import trio

from relay.simulators import fcm_answer
from relay.simulators.fcm_answer import NOT_A_TOKEN, Answer
from relay.simulators.fcm_conduct import PEAK, RAMP, Ramp, SendConduct, reason
from relay.simulators.fcm_devices import Bucket, FcmRegistry
from relay.simulators.fcm_faults import ANSWERS
from relay.simulators.fcm_rules import Send, read
from relay.simulators.h2_server import Server
from relay.simulators.h2_service import Limits, Reply, Request
from relay.simulators.injections import DropHow, Injections
from relay.simulators.journal import Entry, Journal

STREAMS: Final = 100
HEADER_LIST: Final = 16_384
WINDOW: Final = 1_048_576
IDLE: Final = 180.0
PING_APART: Final = 300.0
"""Seconds (gRPC's default for PINGs without data)."""
LIMITS: Final = Limits(
    settings={4: WINDOW, 6: HEADER_LIST},
    header_list=HEADER_LIST,
    stream_window=WINDOW,
    connection_window=WINDOW,
    excess=b"exceeded_max_concurrent_streams",
    idle=IDLE,
    ping_apart=PING_APART,
    ping_strikes=2,
    is_path_secret=False,
    speaks_http1=True,
)
"""As observed at Google: window, header list size; a WINDOW_UPDATE makes the connection's window the same."""
A_MINUTE: Final = 600_000
"""Messages of a project."""
WAIT: Final = 60
"""Seconds of a Retry-After."""

_PATH: Final = re.compile(r"/v1/projects/([^/]+)/messages:send")
_JSON: Final = re.compile(r"application/json\s*(?:;\s*charset=\"?utf-8\"?)?", re.IGNORECASE)
_MESSAGES: Final = {
    "INVALID_ARGUMENT": (400, NOT_A_TOKEN),
    "SENDER_ID_MISMATCH": (403, "SenderId mismatch"),
    "UNREGISTERED": (404, "Requested entity was not found."),
}


class RetryAfter(StrEnum):
    """What a 429 says about when to come again."""

    NONE = "none"
    SECONDS = "seconds"
    DATE = "date"


class FakeFcm:
    """The service of one project: shared by all of its connections. `now`: UTC seconds.

    `is_token_good`: whether an access token may be used (token, now). `a_minute`: quota of the project.
    """

    def __init__(
        self,
        project: str,
        is_token_good: Callable[[str, float], bool],
        now: Callable[[], float],
        *,
        streams: int = STREAMS,
        a_minute: int = A_MINUTE,
        retry_after: RetryAfter = RetryAfter.NONE,
        journal: Journal | None = None,
        seed: int = 0,
    ) -> None:
        self.now = now
        self.streams = streams
        self.retry_after = retry_after
        self.journal = journal or Journal()
        self.limits = LIMITS
        self.injections: Injections[Answer] = Injections(Random(seed))
        self.registry = FcmRegistry()
        self.accepting = True
        """False: connections are closed at once."""
        self.is_permitted = True
        """False: the account lacks the right to send."""
        self._project = project
        self._is_token_good = is_token_good
        self._bucket = Bucket(a_minute, a_minute / 60)
        self._conduct = SendConduct(self.journal.violate)
        self._ramp: Ramp | None = None
        self._sent = 0
        self.server = Server(self)

    async def serve_stream(self, stream: trio.abc.Stream) -> None:
        """Serve one connection until it ends; `stream` is closed afterwards."""
        await self.server.serve_stream(stream)

    async def serve_http1_stream(self, stream: trio.abc.Stream) -> None:
        """The same by HTTP/1.1, where no TLS tells which of the two is meant."""
        await self.server.serve_stream(stream, "http/1.1")

    def session(self) -> FakeFcm:
        """All connections are alike."""
        return self

    @property
    def connections(self) -> int:
        return self.server.connections

    async def goaway(self, debug: bytes = b"", *, graceful: bool = True, code: int = 0) -> None:
        """GOAWAY on every connection: graceful announces first and names the last stream after that."""
        await self.server.goaway(debug, graceful=graceful, code=code)

    async def set_streams(self, streams: int) -> None:
        """Announce another stream limit on every connection."""
        self.streams = streams
        await self.server.announce(streams)

    def cut(self, how: DropHow = DropHow.FIN) -> None:
        """Cut every connection without a word."""
        self.server.cut(how)

    def begin_bulk(self, peak: float = PEAK, seconds: float = RAMP) -> None:
        """What comes from now on is a bulk send: it may grow evenly to `peak` requests a second within `seconds`."""
        self._ramp = Ramp(self.journal.violate, peak, seconds)

    def end_bulk(self) -> None:
        """What comes from now on is no bulk send."""
        self._ramp = None

    def handle(self, request: Request) -> Reply:
        now, token = self.now(), _token(request.body)
        if self._ramp is not None:
            self._ramp.see(now)
        if token:
            self._conduct.see(token, request.body, now)
        answer = self.injections.answers.pop(0) if self.injections.answers else self._judge(request, now)
        self._conduct.answered(token, request.body, answer, now)
        self.journal.add(
            Entry(
                t=now, connection=request.connection, stream=request.stream, token=token, status=answer.status,
                reason=reason(answer), headers=request.headers, forms=request.forms, block_bytes=request.block_bytes,
                body=request.body,
            )
        )  # fmt: skip
        return Reply(answer.fields, answer.body, token, int(answer.status >= 400))

    def _judge(self, request: Request, now: float) -> Answer:
        """What Google would answer. A message that is accepted is on its way to the phone afterwards."""
        if (refusal := self._envelope(request, now)) is not None:
            return refusal
        message = read(request.body)
        if isinstance(message, list):
            return fcm_answer.bad_request(message)
        is_for_device = message.target in ("token", "fid")
        if is_for_device and self.injections.is_gone(message.token):
            self.registry.unregistered.add(message.token)
        if is_for_device and (code := self.registry.check(message.token, now)):
            status, text = _MESSAGES[code]
            return fcm_answer.fcm_error(status, code, text)
        if name := self.injections.drawn(now):
            injected = ANSWERS[name](now)
            if injected.status == 200:
                self._accept(message, now, is_for_device=is_for_device)
            return injected
        if message.validate_only:  # F-07
            return fcm_answer.accepted(f"projects/{self._project}/messages/fake_message_id")
        if is_for_device and (used_up := self.registry.exhausted(message, now)):
            return self._exhausted("device", used_up, now)
        return self._accept(message, now, is_for_device=is_for_device)

    def _accept(self, message: Send, now: float, *, is_for_device: bool) -> Answer:
        if is_for_device:
            self.registry.deliver(message, now)
        self._sent += 1
        return fcm_answer.accepted(f"projects/{self._project}/messages/0:{int(now * 1e6)}%{self._sent:016x}")

    def _envelope(self, request: Request, now: float) -> Answer | None:
        """Everything around the message: F-01, and the quota of the project."""
        fields = {name.decode("latin-1"): value.decode("latin-1") for name, value in reversed(request.headers)}
        path = _PATH.fullmatch(fields.get(":path", ""))
        if path is None or path[1] != self._project or fields.get(":method") != "POST":
            return fcm_answer.plain(404, "Requested entity was not found.")
        scheme, _, bearer = fields.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not bearer:
            return fcm_answer.plain(401, "Request is missing required authentication credential.")
        if not self._is_token_good(bearer, now):
            return fcm_answer.token_expired()
        if not self.is_permitted:
            return fcm_answer.plain(403, "Permission 'cloudmessaging.messages.create' denied on resource.")
        if not self._bucket.take(now):
            return self._exhausted(f"project:{self._project}", "Message rate per minute", now)
        if not _JSON.fullmatch(fields.get("content-type", "")):
            return fcm_answer.bad_request([("", "Invalid JSON payload received. Content type is not JSON.")])
        return None

    def _exhausted(self, subject: str, what: str, now: float) -> Answer:
        values = {
            RetryAfter.NONE: "",
            RetryAfter.SECONDS: str(WAIT),
            RetryAfter.DATE: formatdate(now + WAIT, usegmt=True),
        }
        return fcm_answer.quota_exceeded(subject, f"Quota exceeded: {what}.", values[self.retry_after])


def _token(body: bytes) -> str:
    """Whom a request is for, also if there is something wrong with it; empty when that cannot be told."""
    try:
        message = json.loads(body)["message"]
        token = message.get("token") or message.get("fid")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return ""
    return token if isinstance(token, str) else ""
