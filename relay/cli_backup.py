"""Commands for backups: make one, also while the relay serves, and put one in the place of the database."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn, TypeVar

import click

from relay.cli_config import CONFIG, read_config

T = TypeVar("T")


@click.command()
@CONFIG
@click.argument("file", metavar="DEST", type=click.Path(path_type=Path))
def backup(config_path: Path, file: Path) -> None:
    """Write a backup of the database to DEST, a new file; also while the relay serves."""
    from relay.backing_up import back_up
    from relay.clock import WallClock

    config = read_config(config_path)
    made = _done(lambda: back_up(config, file, WallClock().now()))
    click.echo(f"{file}: {made.people} people, as of {_at(made.at)}, version {made.version}, {_size(made.size)}")


@click.command()
@CONFIG
@click.argument("file", metavar="BACKUP", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--whatever-was-erased",
    is_flag=True,
    help="Also where it is not known who was erased since, and must be again.",
)
def restore(config_path: Path, file: Path, *, whatever_was_erased: bool) -> None:
    """Put BACKUP in the place of the database, while no relay runs. What was erased since is erased again.

    Nothing but alarms and orders leaves until `feierabend resume`, for seven days at most.
    """
    from relay.clock import WallClock
    from relay.restoring import UnknownErasures
    from relay.restoring import restore as put_back

    config = read_config(config_path)
    try:
        done = _done(
            lambda: put_back(config, file, WallClock().now(), whatever_was_erased=whatever_was_erased), UnknownErasures
        )
    except UnknownErasures as error:
        name = f"{config.store.file.name}.erased"
        _fail(f"{error}: put {name} beside the database, or restore it all the same by --whatever-was-erased")
    made = done.contents
    click.echo(f"restored: {made.people} people, as of {_at(made.at)}; erased since, and again: {done.erased_again}")
    if done.aside is not None:
        click.echo(f"the former database is {done.aside}")
    click.echo(f"held until {_at(done.held_until)}: only alarms and orders leave before `feierabend resume`")


def _done(work: Callable[[], T], *but: type[Exception]) -> T:
    """What comes of it; else says what is wrong in one line and exits with 1. `but`: is for the caller."""
    from relay.core.errors import RelayError

    try:
        return work()
    except but:
        raise
    except RelayError as error:
        _fail(str(error))
    except OSError as error:
        _fail(f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror or error))


def _fail(sentence: str) -> NoReturn:
    click.echo(f"feierabend: {sentence}", err=True)
    sys.exit(1)


def _at(instant: float | None) -> str:
    return (
        "an unknown instant" if instant is None else datetime.fromtimestamp(instant, UTC).isoformat(timespec="seconds")
    )


def _size(count: int) -> str:
    return f"{count / 1_000_000:.1f} MB"
