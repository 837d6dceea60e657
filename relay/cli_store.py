"""`feierabend store`: the commands for whoever looks after the store; and what `check` says of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import click

from relay.cli_config import CONFIG, read_config
from relay.cli_telling import at, done, fail, size

PATIENCE: Final = 2.0
"""Seconds after which a command says how far it is, and between two such lines."""


@click.group()
def store() -> None:
    """Look after the store: its schema in PostgreSQL, its figures, and the way from SQLite to there."""


@store.command()
@CONFIG
def migrate(config_path: Path) -> None:
    """Bring the schema in PostgreSQL to the newest version; make it where there is none."""
    from relay.opening import driver

    config = read_config(config_path)
    place = config.store.postgresql
    if place is None:
        click.echo("a SQLite file is brought to the newest version when the relay opens it; nothing to do")
        return

    def work() -> tuple[int, int]:
        with driver():
            from relay.store.postgres_migrating import migrate
            from relay.store.postgres_schema import VERSION
        return VERSION - migrate(place.url, place.password, config.store.masters.notary()), VERSION

    before, now = done(work)
    if before == now:
        click.echo(f"{place}: has version {now}, the newest; nothing to do")
    else:
        click.echo(f"{place}: from version {before} to {now}" if before else f"{place}: made, version {now}")


@store.command()
@CONFIG
@click.option("--json", "as_json", is_flag=True, help="One line of JSON.")
def stats(config_path: Path, *, as_json: bool) -> None:
    """Say how many records there are of each kind, how large it is, whose, and how long the longest wait lasts.

    Also while the relay serves.
    """
    from json import dumps

    from relay.clock import WallClock

    config = read_config(config_path)
    found = done(lambda: _figures(config, WallClock().now()))
    if as_json:
        click.echo(dumps(asdict(found)))
    else:
        click.echo("\n".join(_told(found, config)))


def _figures(config: Any, now: float) -> Any:  # noqa: ANN401 (types are imported lazily)
    from relay.opening import driver
    from relay.store import sqlite_source

    place = config.store.postgresql
    if place is None:
        return sqlite_source.figures(config.store.file, now)
    with driver():
        from relay.store import postgres_figures
    return postgres_figures.figures(place.url, place.password, now)


def _told(found: Any, config: Any) -> list[str]:  # noqa: ANN401 (types are imported lazily)
    place = f"PostgreSQL {found.program} at {config.store.postgresql}" if found.churn is not None else config.store.file
    lines = [f"{place}: version {found.version}, {size(found.size)}"]
    if found.in_use is not None:
        lines.append(f"epoch {found.epoch}, {'in use' if found.in_use else 'not in use'}")
    for owner in found.owners:
        state = "ended, or dead" if owner.until is None else f"serves, by a lease until {at(owner.until)}"
        lines.append(f"epoch {owner.epoch}, since {at(owner.began)}: {state}")
    lines.append("nothing waits" if found.longest_wait is None else f"the longest wait: {found.longest_wait:.0f} s")
    churn = found.churn or {}
    for kind, count in found.rows.items():
        more = ""
        if kind in churn:
            vacuumed = "never" if churn[kind].vacuumed is None else at(churn[kind].vacuumed)
            more = f"   dead {churn[kind].dead}, vacuumed {vacuumed}"
        lines.append(f"  {kind:17} {count:>10}{more}")
    return lines


@store.command()
@CONFIG
@click.argument("file", metavar="SOURCE.db", type=click.Path(path_type=Path))
def copy(config_path: Path, file: Path) -> None:
    """Copy all of SOURCE.db, a SQLite database that no relay uses, into PostgreSQL, which must be migrated and empty.

    All or nothing, and SOURCE.db stays as it is. Nothing but alarms and orders leaves until `feierabend resume`, for
    seven days at most.
    """
    from relay.clock import WallClock
    from relay.moving import copy as move

    config = read_config(config_path)
    place = config.store.postgresql
    if place is None:
        fail("store.postgresql: is missing in the configuration; it says where to copy to")
    clock = WallClock()
    moved = done(lambda: move(config, place, file, clock.now(), _progress(clock.now)))
    click.echo(f"copied: {sum(moved.rows.values())} records of {moved.rows['person']} people; {file} is as it was")
    click.echo(f"held until {at(moved.held_until)}: only alarms and orders leave before `feierabend resume`")


def _progress(now: Callable[[], float]) -> Callable[[int, int], None]:
    """Says on standard error how far something is, every two seconds."""
    last = now()

    def told(count: int, of: int) -> None:
        nonlocal last
        if now() - last >= PATIENCE:
            last = now()
            click.echo(f"{count} of {of} records", err=True)

    return told


def checked(config: Any) -> tuple[list[str], list[str]]:  # noqa: ANN401 (the type is imported lazily)
    """What `check` says of the store, and what it warns of."""
    place = config.store.postgresql
    return ([], _about_the_disk(config.store)) if place is None else _about_the_server(place)


def _about_the_disk(store: Any) -> list[str]:  # noqa: ANN401
    try:
        devices = {os.stat(path).st_dev for path in (store.file.parent, store.key_file)}
    except OSError as error:
        return [f"store: {error.filename}: {error.strerror}"]
    if len(devices) == 1:
        return ["store.key_file: lies on the device of the database; a stolen disk would hold both"]
    return []


def _about_the_server(place: Any) -> tuple[list[str], list[str]]:  # noqa: ANN401
    from relay.opening import driver
    from relay.store.port import StoreError

    warnings = []
    if not place.is_sure:
        warnings.append("store.postgresql: has no sslmode=verify-full; somebody on the way could pretend to be it")
    try:
        with driver():
            from relay.store.postgres_figures import server
            from relay.store.postgres_schema import VERSION
        found = server(place.url, place.password)
    except StoreError as error:
        return [], [*warnings, f"store.postgresql: {place}: {error}"]
    line = f"PostgreSQL {found.program} at {place}: version {found.schema or 0} of {VERSION}, synchronous_commit "
    if found.schema is None or found.schema < VERSION:
        warnings.append("store.postgresql: is not of this program's version; run feierabend store migrate")
    elif found.schema > VERSION:
        warnings.append("store.postgresql: is of a newer version than this program")
    if not found.is_durable:
        warnings.append("store.postgresql: has synchronous_commit off; what is acknowledged could be lost")
    return [line + found.synchronous_commit], warnings
