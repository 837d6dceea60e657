"""Frames against `hyperframe`, which reads them as a peer would."""

from __future__ import annotations

import hyperframe.frame
import pytest
from hyperframe.frame import Frame

from relay.wire import frames


def parsed(sent: bytes) -> Frame:
    frame, length = Frame.parse_frame_header(memoryview(sent[:9]))
    assert length == len(sent) - 9
    frame.parse_body(memoryview(sent[9:]))
    return frame


def test_settings_are_read_as_they_were_meant() -> None:
    frame = parsed(frames.settings({frames.HEADER_TABLE_SIZE: 0, frames.INITIAL_WINDOW_SIZE: 2**31 - 1}))
    assert isinstance(frame, hyperframe.frame.SettingsFrame)
    assert frame.settings == {1: 0, 4: 2**31 - 1}
    assert frame.stream_id == 0
    assert "ACK" not in frame.flags


@pytest.mark.parametrize("increment", [1, 65_535, 2**31 - 1])
def test_a_window_update_is_read_as_it_was_meant(increment: int) -> None:
    frame = parsed(frames.window_update(5, increment))
    assert isinstance(frame, hyperframe.frame.WindowUpdateFrame)
    assert (frame.stream_id, frame.window_increment) == (5, increment)


@pytest.mark.parametrize("stream", [1, 2**31 - 1])
def test_a_reset_is_read_as_it_was_meant(stream: int) -> None:
    frame = parsed(frames.rst_stream(stream, 8))
    assert isinstance(frame, hyperframe.frame.RstStreamFrame)
    assert (frame.stream_id, frame.error_code) == (stream, 8)


def test_a_goaway_is_read_as_it_was_meant() -> None:
    frame = parsed(frames.goaway(0, 9))
    assert isinstance(frame, hyperframe.frame.GoAwayFrame)
    assert (frame.last_stream_id, frame.error_code, frame.additional_data) == (0, 9, b"")


@pytest.mark.parametrize("length", [0, 1, 255, 256, 16_384, 65_536, 2**24 - 1])
def test_a_frame_states_its_length_in_three_bytes(length: int) -> None:
    sent = frames.frame(frames.DATA, frames.END_STREAM, 7, bytes(length))
    frame, stated = Frame.parse_frame_header(memoryview(sent[:9]))
    assert (stated, len(sent), frame.stream_id) == (length, length + 9, 7)
    assert set(frame.flags) == {"END_STREAM"}


def test_the_preface_is_the_one_of_the_rfc() -> None:
    """RFC 9113, 3.4."""
    assert frames.PREFACE.hex() == "505249202a20485454502f322e300d0a0d0a534d0d0a0d0a"
