"""How commands say what came of them: one line where something failed, instants and sizes as people read them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import NoReturn, TypeVar

import click

T = TypeVar("T")


def done(work: Callable[[], T], *but: type[Exception]) -> T:
    """What comes of it; else says what is wrong in one line and exits with 1. `but`: is for the caller."""
    from relay.core.errors import RelayError

    try:
        return work()
    except but:
        raise
    except RelayError as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror or error))


def fail(sentence: str) -> NoReturn:
    click.echo(f"feierabend: {sentence}", err=True)
    sys.exit(1)


def at(instant: float | None) -> str:
    """What is beyond all calendars was not written by the relay, and is no more known than what is not there."""
    try:
        known = None if instant is None else datetime.fromtimestamp(instant, UTC)
    except (ValueError, OverflowError, OSError):
        known = None
    return "an unknown instant" if known is None else known.isoformat(timespec="seconds")


def size(count: int) -> str:
    return f"{count / 1_000_000:.1f} MB"
