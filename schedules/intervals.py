"""Half-open intervals `[start, end)` in whole seconds: union, difference, clipping. Lists sorted by start (R1, R8)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

Interval = tuple[int, int]


def merge(intervals: Iterable[Interval]) -> list[Interval]:
    """Union; touching intervals become one (R8), empty ones vanish (R5)."""
    merged: list[Interval] = []
    for start, end in sorted(intervals):
        if end <= start:
            continue
        if merged and start <= merged[-1][1]:
            if end > merged[-1][1]:
                merged[-1] = (merged[-1][0], end)
        else:
            merged.append((start, end))
    return merged


def subtract(whole: Sequence[Interval], holes: Sequence[Interval]) -> list[Interval]:
    """`whole` without `holes`; both merged."""
    left: list[Interval] = []
    for start, end in whole:
        for hole_start, hole_end in holes:
            if hole_end <= start:
                continue
            if hole_start >= end:
                break
            if hole_start > start:
                left.append((start, hole_start))
            start = max(start, hole_end)
        if start < end:
            left.append((start, end))
    return left
