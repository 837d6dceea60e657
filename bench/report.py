"""What every figure needs beside it: the machine, the versions, the disk, the commit."""

from __future__ import annotations

import json
import math
import os
import platform
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path


def surroundings(seed: int) -> dict[str, object]:
    """Facts that go with any figure."""
    return {
        "cpu": _cpu(),
        "cores": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "trio": version("trio"),
        "feierabend": version("feierabend"),
        "fsyncs_per_s": _fsyncs(),
        "commit": _commit(),
        "seed": seed,
    }


def percentile(values: Sequence[float], percent: float) -> float | None:
    """The smallest value that so many percent of all do not exceed (nearest rank); None when there are none."""
    if not values:
        return None
    return sorted(values)[max(0, math.ceil(percent / 100 * len(values)) - 1)]


def in_ms(values: Sequence[float], percent: float) -> float | None:
    """A percentile, rounded as figures are told."""
    found = percentile(values, percent)
    return None if found is None else round(found, 2)


def say(figures: dict[str, object], *, as_json: bool) -> None:
    """People read lines; programs read the last line, which is one JSON object."""
    for name, value in figures.items():
        sys.stdout.write(f"{name:>35}  {value}\n")
    if as_json:
        sys.stdout.write(json.dumps(figures) + "\n")
    sys.stdout.flush()


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _fsyncs() -> int:
    with tempfile.TemporaryFile() as file:
        began, count = time.perf_counter(), 0
        while time.perf_counter() - began < 0.3:
            file.write(bytes(4096))
            file.flush()
            os.fdatasync(file.fileno())
            count += 1
        return round(count / (time.perf_counter() - began))


def _commit() -> str:
    try:
        found = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return found.stdout.strip()
