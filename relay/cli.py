"""The command line. Imports inside commands keep `--help` quick, and the simulators out of `serve`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import IO, Any, NoReturn

import click

from relay import cli_audit, cli_backup, cli_doctor, cli_operate, cli_store
from relay.cli_config import CONFIG, proxies, read_config, stream_warnings, web_warnings

WALL_TIME = click.DateTime(["%Y-%m-%dT%H:%M"])
KEY_VARIABLE = "FEIERABEND_KEY"
LOG_LINES = 50
"""Of the relay's log that the demo shows when something went wrong."""


class _Fakes(click.Group):
    """The simulators' commands, imported only when one of them is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return _simulators().list_commands(ctx)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return _simulators().get_command(ctx, cmd_name)


def _simulators() -> click.Group:
    from relay.simulators.commands import fake

    return fake


@click.group()
@click.version_option(package_name="feierabend")
def main() -> None:
    """Feierabend: a push relay that lets people rest."""


@main.group(cls=_Fakes)
def fake() -> None:
    """Simulated providers, for development and measurement."""


@main.command()
@CONFIG
def serve(config_path: Path) -> None:
    """Run the relay until SIGTERM; then drain and exit."""
    import trio

    from relay import process, serving
    from relay.clock import WallClock
    from relay.ops import logs

    config = read_config(config_path)
    clock = WallClock()
    logs.configure(clock.now)
    process.prepare()

    async def run() -> None:
        stop = trio.Event()
        async with trio.open_nursery() as signals:
            await signals.start(process.watch_signals, stop)
            async with trio.open_nursery() as relay:
                await relay.start(serving.run, config, clock, stop)
                process.settle()
            signals.cancel_scope.cancel()

    _run(run)


@main.command()
@CONFIG
def check(config_path: Path) -> None:
    """Check the configuration; exit 0 when it is good, 1 with warnings, 2 when it cannot be used."""
    from schedules import TZDATA

    config = read_config(config_path)
    click.echo(f"time zone data {TZDATA}, {len(config.tenants)} tenants")
    lines, warnings = cli_store.checked(config)
    for line in [*lines, *proxies(config)]:
        click.echo(line)
    warnings += _warnings(config)
    for warning in warnings:
        click.echo(f"warning: {warning}")
    sys.exit(1 if warnings else 0)


@main.command()
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@click.option("--systemd", is_flag=True, help="Make a systemd unit too, for a service that sees nothing but its own.")
def init(folder: Path, *, systemd: bool) -> None:
    """Begin: write an example configuration that explains itself, a master key and two API keys into a folder."""
    from relay import init as installation

    try:
        made = installation.init(folder, Path(sys.executable) if systemd else None)
    except installation.CannotInit as error:
        raise click.ClickException(str(error)) from None
    except OSError as error:
        raise click.ClickException(f"{error.filename}: {error.strerror}") from None
    click.echo("\n".join(installation.told(folder, made)))


for command in (cli_operate.hold, cli_operate.resume, cli_operate.holds, cli_backup.backup, cli_backup.restore):
    main.add_command(command)
main.add_command(cli_store.store)
main.add_command(cli_audit.audit)
main.add_command(cli_doctor.doctor)


@main.group()
def key() -> None:
    """Make keys."""


@key.command("new")
@click.option("--id", "key_id", required=True, help="Name of the key: letters, digits, - and _.")
@click.option("--scopes", required=True, help="Comma-separated: events, alarms, devices, rest, support, admin.")
def key_new(key_id: str, scopes: str) -> None:
    """Make an API key: shown once, and the lines for the configuration."""
    from relay.doors.keys import KEY_ID, Scope, new_key

    names = [name.strip() for name in scopes.split(",")]
    if not KEY_ID.fullmatch(key_id):
        raise click.BadParameter("must be 1 to 40 letters, digits, - or _", param_hint="--id")
    if not set(names) <= set(Scope):
        raise click.BadParameter(f"must name only {', '.join(Scope)}", param_hint="--scopes")
    if {Scope.EVENTS, Scope.REST} <= set(names):
        raise click.BadParameter("may not hold both events and rest", param_hint="--scopes")
    handed_out, digest = new_key(key_id)
    listed = ", ".join(f'"{name}"' for name in names)
    click.echo(f"# for the client; not shown again:\n{handed_out}\n")
    click.echo(f'# for the configuration:\n[[tenants.keys]]\nid = "{key_id}"\nsha256 = "{digest}"\nscopes = [{listed}]')


@key.command("master")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def key_master(file: Path) -> None:
    """Make a master key file, or append a new key to it: the first names people, the last seals records."""
    from relay.config_reader import master_line, read_masters

    try:
        known = read_masters(file).keys if file.exists() else {}
        key_id = max(known, default=-1) + 1
        if key_id > 255:
            raise ValueError("holds a key with the id 255; no more fit")
        line = master_line(key_id)
        unfinished = bool(known) and not file.read_bytes().endswith(b"\n")
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "w") as opened:
            opened.write("\n" + line if unfinished else line)
    except OSError as error:
        raise click.ClickException(f"{file}: {error.strerror}") from None
    except ValueError as error:
        raise click.ClickException(f"{file}: {error}") from None
    click.echo(f"key {key_id} written to {file}")


@main.command()
@click.option("--at", help="Set the relay's clock to this time of today in Europe/Berlin, like 21:55.")
@click.option("--port", default=8080, show_default=True, help="Port of the event door; 0: any free one.")
@click.option("--once", is_flag=True, help="Post one event, wait for its wakeups, and exit; to try an installation.")
def dev(at: str | None, port: int, once: bool) -> None:
    """Try it: relay, simulated Apple and simulated Google in one process, with a throw-away configuration."""
    from relay import process
    from relay.clock import WallClock
    from relay.simulators import dev as development

    try:
        offset = development.offset(at, WallClock().now()) if at is not None else 0.0
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--at") from None
    process.prepare()
    _run(lambda: development.run(offset, port, once=once))


@main.command()
@click.option("--quick", is_flag=True, help="A smaller force: 2,000 officers.")
@click.option("--officers", type=click.IntRange(100, 1_000_000), help="Size of the force.  [default: 23000]")
@click.option("--seed", default=1, show_default=True, help="Force and night follow from it.")
@click.option("--json", "as_json", is_flag=True, help="The last line is the result as JSON.")
@click.option("--web", is_flag=True, help="Then leave the officers' page open on localhost, with a sample officer.")
def demo(officers: int | None, seed: int, *, quick: bool, as_json: bool, web: bool) -> None:
    """See it: the night of a police force in a minute, on a stepped clock, with simulated providers.

    Exits with 1 when somebody was woken in rest without a bypass, anything was lost, or the books do not balance.
    """
    from collections import deque
    from dataclasses import asdict
    from json import dumps

    from relay import process
    from relay.simulators.demo import page, show, view

    lines: deque[str] = deque(maxlen=LOG_LINES)
    size = officers or (show.FEW if quick else show.OFFICERS)
    shown = view.view()
    process.prepare()
    report = _run(lambda: show.run(size, seed, shown, lines.append))
    if report is None:
        sys.exit(130)
    if web and report.is_good:
        _run(lambda: page.leave_open(click.echo, lines.append))
    if as_json:
        click.echo(dumps(asdict(report)))
    if not report.is_good:
        click.echo("\n".join(lines), err=True)
        sys.exit(1)


@main.command()
@click.argument("user")
@click.option("--url", default="http://127.0.0.1:8080", show_default=True, help="The relay's door.")
@click.option("--code", help='The support code that the person has read out, like "1234 5678".')
@click.option("--lang", "language", type=click.Choice(["de", "en"]), default="de", show_default=True)
@click.option("--key-file", type=click.File(), help="Holds the API key, of the scope support.")
def explain(user: str, url: str, code: str | None, language: str, key_file: IO[str] | None) -> None:
    """Say why the phones of USER do not ring: devices, lanes, store; with a code that USER has read out the rest too.

    The API key is taken from --key-file or from the environment variable FEIERABEND_KEY. It is no option, because every
    user of this machine can see the options of a running command, and a key is good for long; a code is not.
    """
    from relay.client import NO_ANSWER, Client, RelayFailure

    key = (key_file.read() if key_file is not None else os.environ.get(KEY_VARIABLE, "")).strip()
    if not key.isascii() or not key.isprintable() or not key:
        _fail(f"no API key: name a file by --key-file, or set {KEY_VARIABLE}")
    try:
        with Client(url, key) as relay:
            explanation = relay.explain(user, code)
    except RelayFailure as error:
        _fail(str(error))
    except UnicodeError:
        _fail("the user or the code holds what is no text")
    except NO_ANSWER as error:
        _fail(f"no answer from {url} ({type(error).__name__})")
    click.echo("\n".join(explanation.sentences(language)))


@main.command()
@click.argument("file", metavar="RULES.json", type=click.File("rb"))
@click.option("--from", "begin", type=WALL_TIME, help="In the document's zone, like 2026-11-24T00:00.  [default: now]")
@click.option("--to", "end", type=WALL_TIME, help="Likewise, at most 400 days later.  [default: 14 days later]")
@click.option("--lang", "language", type=click.Choice(["de", "en"]), default="de", show_default=True)
def simulate(file: IO[bytes], begin: datetime | None, end: datetime | None, language: str) -> None:
    """Read a rest document (- for standard input) and say what it means: at the start, and day by day."""
    from relay.clock import WallClock
    from schedules.policy import report
    from schedules.walltime import wall_of

    rules = _rules(file, language)
    if any(moment is not None and not 2000 <= moment.year < 2200 for moment in (begin, end)):
        raise click.BadParameter("must lie in the years 2000 to 2199", param_hint=["--from", "--to"])
    zone = rules.zone
    first = int(WallClock().now()) if begin is None else zone.opens(wall_of(begin))
    last = zone.opens(zone.wall(first) + 14 * 86_400) if end is None else zone.closes(wall_of(end))
    if not first < last or zone.wall(last) - zone.wall(first) > 400 * 86_400:
        raise click.BadParameter("must be later than --from, and by at most 400 days", param_hint="--to")
    click.echo("\n".join(report(rules, first, last, language)))


def _rules(file: IO[bytes], language: str) -> Any:  # noqa: ANN401 (the type is imported lazily)
    from json import loads

    from schedules import RuleError, parse

    try:
        document = loads(file.read().decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise click.BadParameter(f"is no JSON in UTF-8: {error}", param_hint="RULES.json") from None
    try:
        return parse(document)
    except RuleError as error:
        for problem in error.problems:
            click.echo(f"{problem.path}: {problem.german if language == 'de' else problem.sentence}", err=True)
        sys.exit(2)


def _warnings(config: Any) -> Iterator[str]:  # noqa: ANN401 (the type is imported lazily)
    """What works, and is perhaps not meant."""
    for address in config.ops:
        if address.host not in ("127.0.0.1", "::1", "localhost"):
            yield f"ops.listen: {address} is not loopback; metrics are for operators only"
    yield from stream_warnings(config)
    yield from web_warnings(config)
    for i, tenant in enumerate(config.tenants):
        for j, app in enumerate(tenant.apps):
            for name in ("endpoint", "ca_file"):
                if getattr(app, name) is not None:
                    yield f"tenants[{i}].apps[{j}].{name}: is overridden; wakeups do not go to the provider's address"
            if getattr(app, "token_uri_is_overridden", False):
                yield f"tenants[{i}].apps[{j}].token_uri: is overridden; access tokens do not come from Google"
        for event_class in tenant.classes:
            named = [bool(event_class.roles), bool(event_class.reasons)]
            is_unused = event_class.renewal and not any(named)  # orders are there for who wants to give them
            if event_class.needs_authority and not all(named) and not is_unused:
                yield f"tenants[{i}].classes: {event_class.name} has no roles or reasons, so nobody can send it"


def _fail(sentence: str) -> NoReturn:
    click.echo(f"feierabend: {sentence}", err=True)
    sys.exit(1)


def _run(main_task: Callable[[], Any]) -> Any:  # noqa: ANN401 (what the task returns)
    """Run trio; return what the task does. Say what failed in one line, unless it is a fault of the program."""
    import trio

    from relay.client import RelayFailure
    from relay.core.errors import RelayError

    try:
        return trio.run(main_task)
    except* (RelayError, RelayFailure, OSError) as group:
        errors: list[BaseException] = list(group.exceptions)
        while errors and isinstance(errors[0], BaseExceptionGroup):
            errors = list(errors[0].exceptions)
        _fail(str(errors[0]))
    except* MemoryError:
        _fail("there is no memory left; what was acknowledged goes on after the next start")
