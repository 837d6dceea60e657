"""What the simulators' commands have in common: where they listen, and how they say what the system refuses."""

from __future__ import annotations

import math
from typing import Any, Final

import click

from relay.simulators.addresses import is_loopback

_Value = str | tuple[str, ...]


def loopback(_: click.Context, __: click.Parameter, value: _Value) -> _Value:
    """Simulators accept anything from anybody, so they listen on loopback only."""
    for host in (value,) if isinstance(value, str) else value:
        if not is_loopback(host):
            raise click.BadParameter("must be a loopback address, like 127.0.0.1")
    return value


class _Pause(click.FloatRange):
    """A length of time, up to an hour. Not a number lies within every range of click's."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:  # noqa: ANN401
        found = super().convert(value, param, ctx)
        if math.isnan(found):
            self.fail("is no number", param, ctx)
        return float(found)


SECONDS: Final = _Pause(0, 3600)
MILLISECONDS: Final = _Pause(0, 3_600_000)
PORT: Final = click.IntRange(0, 65_535)
host_option = click.option(
    "--host", default="127.0.0.1", show_default=True, callback=loopback, help="Loopback address to listen on."
)
port_option = click.option("--port", type=PORT, default=0, show_default=True, help="0: any free port.")


class Simulator(click.Command):
    """Says in one line what the system refuses: a port that is taken, a folder that cannot be written."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 (as click has it)
        try:
            return super().invoke(ctx)
        except (OSError, BaseExceptionGroup) as error:
            refused = _refusal(error)
            if refused is None:
                raise
        where = f"{refused.filename}: " if refused.filename else ""
        raise click.ClickException(f"{where}{refused.strerror or refused}")


def _refusal(error: BaseException) -> OSError | None:
    """The one fault of the system's; None when there are others too."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error if isinstance(error, OSError) else None
