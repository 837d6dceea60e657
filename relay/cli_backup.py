"""Commands for backups: make one, also while the relay serves, and put one in the place of the database."""

from __future__ import annotations

from pathlib import Path

import click

from relay.cli_config import CONFIG, read_config
from relay.cli_telling import at, done, fail, size


@click.command()
@CONFIG
@click.argument("file", metavar="DEST", type=click.Path(path_type=Path))
def backup(config_path: Path, file: Path) -> None:
    """Write a backup of the database to DEST, a new file; also while the relay serves."""
    from relay.backing_up import back_up
    from relay.clock import WallClock

    config = read_config(config_path)
    made = done(lambda: back_up(config, file, WallClock().now()))
    click.echo(f"{file}: {made.people} people, as of {at(made.at)}, version {made.version}, {size(made.size)}")


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
        restored = done(
            lambda: put_back(config, file, WallClock().now(), whatever_was_erased=whatever_was_erased), UnknownErasures
        )
    except UnknownErasures as error:
        name = f"{config.store.file.name}.erased"
        fail(f"{error}: put {name} beside the database, or restore it all the same by --whatever-was-erased")
    made = restored.contents
    click.echo(f"restored: {made.people} people, as of {at(made.at)}; erased since, and again: {restored.erased_again}")
    if restored.aside is not None:
        click.echo(f"the former database is {restored.aside}")
    click.echo(f"held until {at(restored.held_until)}: only alarms and orders leave before `feierabend resume`")
