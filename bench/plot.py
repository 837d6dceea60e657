"""A plot of curves as SVG, by hand: panels side by side, both axes logarithmic, what was measured and what could be.

Only what these curves need: no library draws less than it brings along. Pure: numbers in, text out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 260, 280
"""Of a panel."""
LEFT, TOP, GAP, BOTTOM = 64, 56, 28, 48
INK, FAINT = "#1c2733", "#d5dbe1"
COLOURS: Final = ("#1b6ca8", "#2a9d5c", "#c9820a", "#c2452d", "#7a3e9d", "#5b6470")


@dataclass(frozen=True, slots=True)
class Curve:
    """`points`: (x, measured, limit); a limit of None is none."""

    name: str
    points: Sequence[tuple[float, float, float | None]]


@dataclass(frozen=True, slots=True)
class Panel:
    title: str
    curves: Sequence[Curve]


def svg(title: str, x_label: str, y_label: str, panels: Sequence[Panel]) -> str:
    """All panels on the same axes. What is 0 or less has no place on them, and is left out."""
    points = [point for panel in panels for curve in panel.curves for point in curve.points]
    across = _Axis([x for x, _, _ in points], LEFT, LEFT + WIDTH)
    up = _Axis([y for _, y, _ in points], TOP + HEIGHT, TOP)
    width = LEFT + len(panels) * (WIDTH + GAP)
    height = TOP + HEIGHT + BOTTOM + 20
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'font-family="system-ui, sans-serif" font-size="11" fill="{INK}">',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        f'<clipPath id="panel"><rect x="{LEFT - 3}" y="{TOP - 3}" width="{WIDTH + 6}" height="{HEIGHT + 6}"/>'
        "</clipPath>",
        _text(LEFT, 20, title, size=14),
        f'<text transform="translate(14 {TOP + HEIGHT / 2}) rotate(-90)" text-anchor="middle">{escape(y_label)}</text>',
        _text(LEFT + WIDTH * len(panels) / 2, TOP + HEIGHT + 34, x_label, anchor="middle"),
    ]
    for number, panel in enumerate(panels):
        inner = _panel(panel, across, up, has_scale=number == 0)
        parts.append(f'<g transform="translate({number * (WIDTH + GAP)} 0)">{inner}</g>')
    parts.append(_legend([curve.name for curve in panels[0].curves] if panels else [], height - 10))
    return "\n".join([*parts, "</svg>", ""])


class _Axis:
    """Logarithmic, from a power of ten to another."""

    def __init__(self, values: Sequence[float], begin: float, end: float) -> None:
        positive = [value for value in values if value > 0] or [1.0]
        self._low = math.floor(math.log10(min(positive)))
        self._high = max(math.ceil(math.log10(max(positive))), self._low + 1)
        self._begin, self._end = begin, end

    def at(self, value: float) -> float:
        """What lies beyond the axis lies outside the panel, which is clipped there."""
        part = (math.log10(value) - self._low) / (self._high - self._low)
        return round(self._begin + part * (self._end - self._begin), 1)

    @property
    def ticks(self) -> list[float]:
        return [10.0**power for power in range(self._low, self._high + 1)]


def _panel(panel: Panel, across: _Axis, up: _Axis, *, has_scale: bool) -> str:
    parts = [_text(LEFT, TOP - 8, panel.title, size=12)]
    for tick in across.ticks:
        parts.append(_line([(across.at(tick), TOP), (across.at(tick), TOP + HEIGHT)], FAINT))
        parts.append(_text(across.at(tick), TOP + HEIGHT + 14, f"{tick:,.0f}", anchor="middle"))
    for tick in up.ticks:
        parts.append(_line([(LEFT, up.at(tick)), (LEFT + WIDTH, up.at(tick))], FAINT))
        if has_scale:
            parts.append(_text(LEFT - 6, up.at(tick) + 4, f"{tick:,.0f}", anchor="end"))
    parts.append('<g clip-path="url(#panel)">')
    for number, curve in enumerate(panel.curves):
        colour = COLOURS[number % len(COLOURS)]
        seen = [(across.at(x), up.at(y)) for x, y, _ in curve.points if x > 0 and y > 0]
        could = [(across.at(x), up.at(limit)) for x, _, limit in curve.points if x > 0 and limit]
        parts += [_line(could, colour, "4 3"), _line(seen, colour)]
        parts += [f'<circle cx="{x}" cy="{y}" r="2.5" fill="{colour}"/>' for x, y in seen]
    return "".join([*parts, "</g>"])


def _legend(names: Sequence[str], y: float) -> str:
    parts = []
    for number, name in enumerate(names):
        x = LEFT + number * 110
        parts.append(_line([(x, y - 4), (x + 18, y - 4)], COLOURS[number % len(COLOURS)]))
        parts.append(_text(x + 24, y, name))
    x = LEFT + len(names) * 110
    return "".join([*parts, _line([(x, y - 4), (x + 18, y - 4)], INK, "4 3"), _text(x + 24, y, "Little's law")])


def _line(points: Sequence[tuple[float, float]], colour: str, dashes: str = "") -> str:
    if len(points) < 2:
        return ""
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    listed = " ".join(f"{x:g},{y:g}" for x, y in points)
    return f'<polyline points="{listed}" fill="none" stroke="{colour}" stroke-width="1.5"{dashed}/>'


def _text(x: float, y: float, words: str, *, anchor: str = "start", size: int = 11) -> str:
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" font-size="{size}">{escape(words)}</text>'
