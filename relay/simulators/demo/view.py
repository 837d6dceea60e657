"""What a demo shows while it runs: a live view on a terminal, plain lines elsewhere. Times are those of the force."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from typing import Final, Protocol

import trio
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from relay.simulators.demo.ledger import FIVE_MINUTES, Ledger
from relay.simulators.demo.report import Report
from relay.simulators.world import AHEAD, BEGINS, ENDS

HALF_AN_HOUR: Final = 1800.0
REFRESH: Final = 0.2
"""Seconds between two pictures; each costs a few milliseconds."""
BARS: Final = " ▁▂▃▄▅▆▇█"
ROW: Final = 60
"""Columns of the curve, each five minutes."""


class View(Protocol):
    def running(self) -> AbstractContextManager[object]:
        """Entered while the demo runs."""

    def say(self, line: str) -> None:
        """Something that happens once."""

    def show(self, t: float, ledger: Ledger) -> None:
        """The night has come to `t`."""

    def end(self, report: Report) -> None: ...


def view() -> View:
    """What suits standard output: a terminal that can draw, or anything else."""
    console = Console()
    can_draw = console.is_terminal and not console.is_dumb_terminal and console.encoding.startswith("utf")
    return LiveView(console) if can_draw else PlainView(console)


def counters(ledger: Ledger) -> dict[str, int]:
    """What is counted, by name as shown."""
    return {
        "events": ledger.events,
        "deferred": ledger.deferred,
        "merged": ledger.merged,
        "woken": ledger.wakeups,
        "alarms": ledger.alarms,
        "in rest without bypass": ledger.in_rest_without_bypass,
    }


def clock_of(t: float) -> str:
    return f"{datetime.fromtimestamp(t + AHEAD, UTC):%H:%M}"


def summary(report: Report) -> str:
    return (
        f"The force: {report.users:,} officers, {report.devices:,} phones woken in {report.force_seconds:.1f} s.\n"
        f"{report.verdict} ({report.seconds:.0f} s in all)"
    )


class PlainView:
    """One line each half hour of the night."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._next = BEGINS + HALF_AN_HOUR

    def running(self) -> AbstractContextManager[object]:
        return nullcontext()

    def say(self, line: str) -> None:
        self._console.print(line, highlight=False, soft_wrap=True)

    def show(self, t: float, ledger: Ledger) -> None:
        while t >= self._next:
            figures = ", ".join(f"{name} {value:,}" for name, value in counters(ledger).items())
            self.say(f"{clock_of(self._next)}  {figures}")
            self._next += HALF_AN_HOUR

    def end(self, report: Report) -> None:
        self.say(summary(report))


class LiveView:
    """A picture that is drawn anew a few times a second: clock, counters, the curve of wakeups."""

    def __init__(self, console: Console) -> None:
        self._live = Live(console=console, auto_refresh=False)
        self._lines: list[str] = []
        self._picture: list[Text] = []
        self._due = 0.0

    def running(self) -> AbstractContextManager[object]:
        return self._live

    def say(self, line: str) -> None:
        self._lines.append(line)
        self._draw()

    def show(self, t: float, ledger: Ledger) -> None:
        now = trio.current_time()
        if now < self._due and t < ENDS:
            return
        self._due = now + REFRESH
        self._picture = [
            Text(f"\n  {clock_of(t)}", style="bold"),
            *(_counter(name, value) for name, value in counters(ledger).items()),
            Text("\n  wakeups, each column five minutes", style="dim"),
            *curve(ledger.curve),
        ]
        self._draw()

    def end(self, report: Report) -> None:
        self._picture.append(Text("\n" + summary(report), style="bold green" if report.is_good else "bold red"))
        self._draw()

    def _draw(self) -> None:
        self._live.update(Group(*(Text(line) for line in self._lines), *self._picture), refresh=True)


def _counter(name: str, value: int) -> Text:
    is_bad = name == "in rest without bypass" and value
    return Text(f"  {name:<24}{value:>10,}", style="bold red" if is_bad else "")


def curve(by_five_minutes: Mapping[int, int]) -> list[Text]:
    """The night in two rows, to one scale; what is released after 06:00 stands near the end of the second."""
    columns = int((ENDS - BEGINS) // FIVE_MINUTES)
    highest = max(by_five_minutes.values(), default=0)
    rows: list[Text] = []
    for first in range(0, columns, ROW):
        bars = "".join(_bar(by_five_minutes.get(i, 0), highest) for i in range(first, min(first + ROW, columns)))
        rows.append(Text(f"  {clock_of(BEGINS + first * FIVE_MINUTES)} {bars}"))
    rows[-1].append(f" {clock_of(ENDS)}   highest {highest:,}", style="dim")
    return rows


def _bar(value: int, highest: int) -> str:
    """Anything at all is visible."""
    return BARS[0] if not value else BARS[max(1, value * (len(BARS) - 1) // highest)]
