"""Commands for who operates a running relay: hold back, resume, and see what is held. They talk to its socket."""

from __future__ import annotations

import getpass
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click

from relay.cli_config import CONFIG, read_config

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class _Duration(click.ParamType[float]):
    """30m, 2h, 1d: seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:  # noqa: ANN401
        found = re.fullmatch(r"(\d{1,6})([smhd])", str(value))
        if found is None:
            self.fail("must be a number and a unit, like 90s, 30m, 2h or 1d", param, ctx)
        return int(found[1]) * _UNITS[found[2]]


TENANT = click.option("--tenant", help="Only of this tenant.")
CLASS = click.option("--class", "event_class", help="Only of this class; needed for one that pierces rest.")
LANE = click.option("--lane", help="Only by the lane of this app.")
REASON = click.option("--reason", required=True, help="For the record: one line.")


@click.command()
@CONFIG
@REASON
@click.option("--for", "seconds", type=_Duration(), required=True, help="90s, 30m, 2h; at most 7d.")
@TENANT
@CLASS
@LANE
def hold(config_path: Path, reason: str, seconds: float, tenant: str, event_class: str, lane: str) -> None:
    """Let nothing leave for a while; events are accepted and wait. Alarms pass, unless --class names them."""
    of = _selected(tenant, event_class, lane)
    held = _ask(config_path, "POST", "/holds", {**of, "reason": reason, "by": _login(), "seconds": seconds})
    click.echo(f"held: {_named(held)}, until {_at(held['until'])}")


@click.command()
@CONFIG
@REASON
@TENANT
@CLASS
@LANE
def resume(config_path: Path, reason: str, tenant: str, event_class: str, lane: str) -> None:
    """End what was held for exactly this selection, or everything."""
    of = _selected(tenant, event_class, lane)
    done = _ask(config_path, "POST", "/resume", {**of, "reason": reason, "by": _login()})
    click.echo(f"{done['ended']} ended; what waits leaves now")


@click.command()
@CONFIG
def holds(config_path: Path) -> None:
    """What is held now, and what was done lately, newest first."""
    told = _ask(config_path, "GET", "/holds")
    for halt in told["holds"] or []:
        click.echo(f"held: {_named(halt)}, until {_at(halt['until'])}, by {halt['by']}: {halt['reason']}")
    if not told["holds"]:
        click.echo("nothing is held")
    for act in told["acts"]:
        named = _named({**act, "class": act["event_class"], "lane": act["app"]})
        click.echo(f"{_at(act['at'])}  {act['what']:6}  {named}  by {act['by']}: {act['reason']}")


def _selected(tenant: str | None, event_class: str | None, lane: str | None) -> dict[str, str]:
    given = {"tenant": tenant, "class": event_class, "lane": lane}
    return {name: value for name, value in given.items() if value is not None}


def _named(of: dict[str, Any]) -> str:
    parts = [f"{name} {of[name]}" for name in ("tenant", "class", "lane") if of[name] is not None]
    return ", ".join(parts) or "everything but alarms and orders"


def _at(instant: float) -> str:
    return datetime.fromtimestamp(instant, UTC).isoformat(timespec="seconds")


def _login() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


def _ask(config_path: Path, method: str, target: str, body: object = None) -> Any:  # noqa: ANN401 (JSON)
    """What the running relay answers; else says what is wrong in one line and exits with 1."""
    from relay import unix

    socket = read_config(config_path).control
    try:
        status, answer = unix.ask(socket, method, target, body)
    except OSError as error:
        raise click.ClickException(f"{socket}: {error.strerror or error}; is the relay running?") from None
    if status >= 300:
        for fault in answer.get("errors", []):
            click.echo(f"{fault['path']}: {fault['sentence']}", err=True)
        if not answer.get("errors"):
            click.echo(f"feierabend: {_TOLD.get(status, answer.get('detail') or answer.get('title'))}", err=True)
        sys.exit(1)
    return answer


_TOLD: Final = {404: "nothing is held that fits; see feierabend holds"}
