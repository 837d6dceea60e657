"""`feierabend fake proxy`: the simulated HTTP proxy as a process of its own; it leads to other simulators only."""

from __future__ import annotations

import os
from pathlib import Path

import click
import trio

from relay.simulators.options import SECONDS, Simulator, host_option, port_option
from relay.simulators.processes import serving
from relay.simulators.proxy import FakeProxy, Fault, Faults, open_on_loopback

CREDENTIALS = "relay:fake-password"


@click.command(cls=Simulator)
@host_option
@port_option
@click.option(
    "--credentials",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for proxy-credentials, made anew at each start. Without it the proxy asks for none.",
)
@click.option("--status", type=click.IntRange(300, 599), help="Answer this to every good request, like 502.")
@click.option("--fault", type=click.Choice([*Fault]), help="Do this in the place of an answer.")
@click.option("--pace", type=SECONDS, default=0.0, help="Seconds between two bytes of an answer.")
@click.option("--extra", default="", help="Text that comes behind the head of an answer.")
def proxy(
    host: str, port: int, credentials: Path | None, status: int | None, fault: str | None, pace: float, extra: str
) -> None:
    """A strict HTTP proxy (CONNECT), for the way to the others; it leads nowhere but to loopback."""
    service = FakeProxy(open_on_loopback, CREDENTIALS if credentials else None)
    service.faults = Faults(status, Fault(fault) if fault else None, pace=pace, extra=os.fsencode(extra))
    said: dict[str, object] = {}
    if credentials is not None:
        said["credentials"] = str(_written(credentials))
    trio.run(serving, host, port, service.serve_stream, said, lambda: _totals(service))


def _written(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "proxy-credentials"
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
        opened.write(CREDENTIALS + "\n")
    return path


def _totals(service: FakeProxy) -> dict[str, object]:
    statuses = [asked.status for asked in service.asked]
    answered = {str(status): statuses.count(status) for status in sorted(set(statuses))}
    return {"requests": len(statuses), "answered": answered, "violations": dict(service.violations)}
