"""Logs: JSON on a pipe, readable on a terminal, nothing private in either, and never a reason to stop."""

from __future__ import annotations

import errno
import io
import json
import os
import sys
from collections.abc import Callable, Iterator

import pytest
import structlog

from relay.core.breaker import State
from relay.core.events import DEFAULT_CLASSES
from relay.core.private import Private
from relay.ops import logs
from relay.ops.logs import HIDDEN

NOON = 1_795_608_000.25


@pytest.fixture
def log() -> Iterator[structlog.BoundLogger]:
    """A logger as the relay's modules have one, configured as `serve` does it."""
    logs.configure(lambda: NOON)
    yield structlog.get_logger()
    structlog.reset_defaults()


def test_a_line_is_one_json_object_with_time_level_and_event(
    log: structlog.BoundLogger, capsys: pytest.CaptureFixture[str]
) -> None:
    """The time is the relay's clock in UTC, so that a simulated night reads like one."""
    log.warning("lane_paused", app="ios", reason="TooMany\nRequests", count=3, share=0.5, first=None, last=True)
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    assert json.loads(line) == {
        "at": "2026-11-25T12:00:00.250+00:00",
        "level": "warning",
        "event": "lane_paused",
        "app": "ios",
        "reason": "TooMany\nRequests",
        "count": 3,
        "share": 0.5,
        "first": None,
        "last": True,
    }


def test_lines_can_be_kept_instead_of_written(capsys: pytest.CaptureFixture[str]) -> None:
    """For a view that they would disturb."""
    kept: list[str] = []
    logs.configure(lambda: NOON, kept.append)
    structlog.get_logger().warning("lane_paused", user="u1")
    structlog.reset_defaults()
    assert capsys.readouterr() == ("", "")
    assert [json.loads(line) for line in kept] == [
        {"at": "2026-11-25T12:00:00.250+00:00", "level": "warning", "event": "lane_paused", "user": HIDDEN}
    ]


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error", "critical"])
def test_every_level_is_written(log: structlog.BoundLogger, capsys: pytest.CaptureFixture[str], level: str) -> None:
    getattr(log, level)("happened")
    assert json.loads(capsys.readouterr().err)["level"] == level


def test_on_a_terminal_a_line_is_key_and_value(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    logs.configure(lambda: NOON)
    structlog.get_logger().info("relay_started", people=3, token="abc")
    structlog.reset_defaults()
    start = "at='2026-11-25T12:00:00.250+00:00' level='info' event='relay_started'"
    assert terminal.getvalue() == f"{start} people=3 token='{HIDDEN}'\n"


@pytest.mark.parametrize(
    "name",
    [
        "user", "users", "device", "token", "rest", "rules", "document", "secret", "key",
        "user_id", "device_id", "token_hash", "rest_document", "api_key", "old_token", "Token", "USER_KEY",
    ],
)  # fmt: skip
def test_what_has_a_private_name_is_hidden(
    log: structlog.BoundLogger, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    log.info("happened", **{name: "canary"})
    assert json.loads(capsys.readouterr().err)[name] == HIDDEN


@pytest.mark.parametrize(
    "name", ["app", "reason", "count", "records", "people", "tzdata", "held", "interest", "monkey", "caller", "what"]
)
def test_what_operators_need_is_shown(
    log: structlog.BoundLogger, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    log.info("happened", **{name: "plain"})
    assert json.loads(capsys.readouterr().err)[name] == "plain"


@pytest.mark.parametrize(
    "value",
    [b"canary", ["canary"], {"canary": 1}, ("canary",), Private("canary"), ValueError("canary"), DEFAULT_CLASSES[0]],
    ids=lambda value: type(value).__name__,
)
def test_what_is_not_plain_is_hidden(
    log: structlog.BoundLogger, capsys: pytest.CaptureFixture[str], value: object
) -> None:
    """An object may show anything when it is printed."""
    log.info("happened", what=value)
    assert json.loads(capsys.readouterr().err)["what"] == HIDDEN


def test_a_name_from_a_list_of_ours_is_plain(log: structlog.BoundLogger, capsys: pytest.CaptureFixture[str]) -> None:
    log.info("happened", state=State.OPEN)
    assert json.loads(capsys.readouterr().err)["state"] == "open"


def test_an_exception_is_no_event(log: structlog.BoundLogger, capsys: pytest.CaptureFixture[str]) -> None:
    """Its text may hold content."""
    log.error(ValueError("canary"))
    assert "canary" not in capsys.readouterr().err


class Full(io.StringIO):
    """A file on a full disk."""

    def flush(self) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class Stuck(Full):
    def write(self, _text: str) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))


@pytest.mark.parametrize("make", [Full, Stuck])
def test_a_log_that_cannot_be_written_costs_the_line_only(
    monkeypatch: pytest.MonkeyPatch, make: Callable[[], io.StringIO]
) -> None:
    monkeypatch.setattr(sys, "stderr", make())
    logs.configure(lambda: NOON)
    structlog.get_logger().info("happened")
    structlog.reset_defaults()


def test_when_the_reader_of_the_log_is_gone_later_lines_go_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing is left over that would make the exit fail."""
    reader, writer = os.pipe()
    with open(writer, "w") as pipe:
        monkeypatch.setattr(sys, "stderr", pipe)
        logs.configure(lambda: NOON)
        log = structlog.get_logger()
        log.info("read")
        assert b"read" in os.read(reader, 1000)
        os.close(reader)
        log.info("lost")
        log.info("lost_too")
        pipe.flush()
        structlog.reset_defaults()
