"""`feierabend fake proxy`: the simulated HTTP proxy as a process of its own; it leads to other simulators only."""

from __future__ import annotations

import os
from pathlib import Path

import click
import trio

from relay.simulators.processes import serving
from relay.simulators.proxy import FakeProxy, Fault, Faults, is_loopback, open_on_loopback

CREDENTIALS = "relay:fake-password"


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Loopback address to listen on.")
@click.option("--port", default=0, show_default=True, help="0: any free port.")
@click.option(
    "--credentials",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for proxy-credentials, made anew at each start. Without it the proxy asks for none.",
)
@click.option("--status", type=click.IntRange(300, 599), help="Answer this to every good request, like 502.")
@click.option("--fault", type=click.Choice([*Fault]), help="Do this in the place of an answer.")
@click.option("--pace", default=0.0, help="Seconds between two bytes of an answer.")
@click.option("--extra", default="", help="Text that comes behind the head of an answer.")
def proxy(
    host: str, port: int, credentials: Path | None, status: int | None, fault: str | None, pace: float, extra: str
) -> None:
    """A strict HTTP proxy (CONNECT), for the way to the others; it leads nowhere but to loopback."""
    if not is_loopback(host):
        raise click.BadParameter("must be a loopback address, like 127.0.0.1", param_hint="--host")
    service = FakeProxy(open_on_loopback, CREDENTIALS if credentials else None)
    service.faults = Faults(status, Fault(fault) if fault else None, pace=pace, extra=extra.encode())
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
