"""`feierabend audit`: the chains of the record, for operators and works councils. It reads, also while they grow."""

from __future__ import annotations

import re
import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final

import click

from relay.cli_config import CONFIG, read_config
from relay.cli_telling import at, done

INSTALLATION: Final = "@installation"
"""How the chain is written that is no tenant's; no tenant can be called so."""
_TENANT: Final = "[a-z0-9][a-z0-9_-]{0,39}"
_HEAD: Final = re.compile(rf"({INSTALLATION}|{_TENANT}):([1-9]\d{{0,17}}):([0-9a-f]{{32,64}})")
JSON: Final = click.option("--json", "as_json", is_flag=True, help="One line of JSON.")


class _Head(click.ParamType[Any]):
    """tenant:number:hash, as `audit head` prints it."""

    name = "tenant:number:hash"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ANN401
        from relay.auditing import Noted

        found = _HEAD.fullmatch(str(value).strip().lower())
        if found is None:
            self.fail(
                "must be tenant:number:hash with at least 32 digits of the hash, as audit head prints it", param, ctx
            )
        tenant, number, chained = found.groups()
        return Noted("" if tenant == INSTALLATION else tenant, int(number), chained)


@click.group()
def audit() -> None:
    """Show whether the record of bypasses, holds and looks is whole."""


@audit.command()
@CONFIG
@JSON
def head(config_path: Path, *, as_json: bool) -> None:
    """Say the newest link of each chain: tenant:number:hash, to be written down and kept elsewhere."""
    from json import dumps

    config = read_config(config_path)
    links = done(lambda: _newest(config))
    if as_json:
        click.echo(dumps([_as_json(link) for link in links]))
        return
    for link in links:
        click.echo(f"{_named(link.tenant)}:{link.number}:{link.chained.hex()}  {_when(link)}")


@audit.command()
@CONFIG
@click.option("--head", "heads", type=_Head(), multiple=True, help="One that was noted; may be given several times.")
@JSON
def verify(config_path: Path, heads: tuple[Any, ...], *, as_json: bool) -> None:
    """Check links against each other, records against links, and noted heads against both; exit 1 if one is wrong."""
    from json import dumps

    from relay.auditing import counted

    config = read_config(config_path)
    tallies = done(lambda: _verified(config, heads))
    click.echo(dumps({_named(t): _tally_as_json(tally) for t, tally in tallies.items()}) if as_json else _told(tallies))
    sys.exit(1 if counted(tallies) else 0)


def _evidence(config: Any) -> AbstractContextManager[Any]:  # noqa: ANN401 (types are imported lazily)
    from relay.opening import driver
    from relay.store import sqlite_source

    place = config.store.postgresql
    if place is None:
        return sqlite_source.evidence(config.store.file)
    with driver():
        from relay.store import postgres_evidence
    return postgres_evidence.evidence(place.url, place.password)


def _newest(config: Any) -> Any:  # noqa: ANN401
    with _evidence(config) as evidence:
        return evidence.newest()


def _verified(config: Any, heads: tuple[Any, ...]) -> Any:  # noqa: ANN401
    from relay.auditing import verify
    from relay.clock import WallClock

    with _evidence(config) as evidence:
        return verify(evidence, config.store.masters.notary(), WallClock().now(), heads)


def _named(tenant: str) -> str:
    """What is no tenant's name was not written by the relay, and may be meant for the terminal."""
    if not tenant:
        return INSTALLATION
    return tenant if re.fullmatch(_TENANT, tenant) else ascii(tenant)


def _when(link: Any) -> str:  # noqa: ANN401
    """The first link of all says since when nothing is older: in a new store since ever."""
    return at(link.at / 1000) if link.at else "the beginning"


def _as_json(link: Any) -> dict[str, object]:  # noqa: ANN401
    return {
        "tenant": _named(link.tenant), "number": link.number, "at": link.at / 1000, "hash": link.chained.hex(),
    }  # fmt: skip


def _tally_as_json(tally: Any) -> dict[str, object]:  # noqa: ANN401
    faults = {
        str(fault): {"count": times, "links": tally.where[fault]} for fault, times in tally.faults.items() if times
    }
    return {
        "links": tally.links, "found": tally.found, "gone": tally.gone, "erased": tally.erased, "older": tally.older,
        "faults": faults,
    }  # fmt: skip


def _told(tallies: Any) -> str:  # noqa: ANN401
    from relay.auditing import counted, told

    lines = []
    for tenant, tally in tallies.items():
        lines.append(
            f"{_named(tenant)}: {tally.links} links; {tally.found} records found, {tally.gone} gone by retention, "
            f"{tally.erased} erased with their person, {tally.older} older than the chain"
        )
        lines += [f"  {line}" for line in told(tally)]
    faults = counted(tallies)
    return "\n".join([*lines, f"faults: {faults}" if faults else "no faults"])
