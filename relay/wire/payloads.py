"""What the payloads of a server's frames say (RFC 9113, 6), or the error they deserve. Raises WireError."""

from __future__ import annotations

import struct

from relay.wire import frames
from relay.wire.errors import ErrorCode, WireError

Pairs = list[tuple[int, int]]


def unpadded(flags: int, payload: bytes) -> bytes:
    if not flags & frames.PADDED:
        return payload
    if not payload or payload[0] >= len(payload):
        raise WireError(ErrorCode.PROTOCOL_ERROR, "more padding than frame")
    return payload[1 : len(payload) - payload[0]]


def header_block(flags: int, payload: bytes) -> bytes:
    """The block, or its beginning, in HEADERS: without padding and priority."""
    payload = unpadded(flags, payload)
    if not flags & frames.PRIORITIZED:
        return payload
    if len(payload) < 5:
        raise WireError(ErrorCode.FRAME_SIZE_ERROR, "HEADERS too short for its priority")
    return payload[5:]


def reset_code(payload: bytes) -> int:
    if len(payload) != 4:
        raise WireError(ErrorCode.FRAME_SIZE_ERROR, "RST_STREAM of a wrong length")
    return int.from_bytes(payload, "big")


def settings(payload: bytes) -> Pairs:
    """In their order; one may come twice."""
    if len(payload) % 6:
        raise WireError(ErrorCode.FRAME_SIZE_ERROR, "SETTINGS of a wrong length")
    pairs: Pairs = [*struct.iter_unpack(">HI", payload)]
    for key, value in pairs:
        if key == frames.ENABLE_PUSH and value:
            raise WireError(ErrorCode.PROTOCOL_ERROR, "a server that wants to be pushed to")
        if key == frames.INITIAL_WINDOW_SIZE and value > frames.LARGEST_WINDOW:
            raise WireError(ErrorCode.FLOW_CONTROL_ERROR, "a window beyond 2^31-1")
        if key == frames.MAX_FRAME_SIZE and not 16_384 <= value < 2**24:
            raise WireError(ErrorCode.PROTOCOL_ERROR, "a frame size out of range")
    return pairs


def ping(payload: bytes) -> bytes:
    if len(payload) != 8:
        raise WireError(ErrorCode.FRAME_SIZE_ERROR, "PING of a wrong length")
    return payload


def goaway(payload: bytes) -> tuple[int, int, bytes]:
    """(last stream, error code, debug text)"""
    if len(payload) < 8:
        raise WireError(ErrorCode.FRAME_SIZE_ERROR, "GOAWAY of a wrong length")
    last, code = struct.unpack(">II", payload[:8])
    return last & frames.LAST_STREAM, code, payload[8:]


def increment(payload: bytes) -> int:
    """By how much a window grows; never 0."""
    if len(payload) != 4:
        raise WireError(ErrorCode.FRAME_SIZE_ERROR, "WINDOW_UPDATE of a wrong length")
    found = int.from_bytes(payload, "big") & frames.LARGEST_WINDOW
    if not found:
        raise WireError(ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE of nothing")
    return found
