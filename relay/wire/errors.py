"""Errors of the wire: the peer broke the protocol, or the connection is gone."""

from __future__ import annotations

from enum import IntEnum

from relay.wire.answers import Received


class ErrorCode(IntEnum):
    """HTTP/2 error codes (RFC 9113, 7)."""

    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2
    FLOW_CONTROL_ERROR = 3
    SETTINGS_TIMEOUT = 4
    STREAM_CLOSED = 5
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION_ERROR = 9
    ENHANCE_YOUR_CALM = 11


class WireError(Exception):
    """The peer broke the protocol; send `Connection.close(code)` and drop the connection."""

    def __init__(self, code: ErrorCode, sentence: str) -> None:
        super().__init__(f"{code.name}: {sentence}")
        self.code = code
        self.received = Received()
        """What was learned from the frames before the bad one: those answers stand."""


class ConnectionLost(Exception):
    """The connection ended or could not be opened; `reason` is a word for logs and metrics."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
