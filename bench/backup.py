"""What a backup costs a relay that serves, and how long a backup and a restore take.

23,000 people with three phones each, who all rest, so that events are written and nothing leaves. Single events are
posted at a fixed rate (an open loop, door.py), each acknowledged after its commit, meanwhile backups are made one after
the other by `feierabend backup`, as an operator would. Those events are compared that were due during a backup, from
the start of the command to its end, and those due while none was made. Then the relay is stopped and the last backup is
restored by `feierabend restore`.

    python -m bench.backup [--rate 500] [--seconds 30] [--users 23000] [--json]
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from bench import door, stage
from bench.ports import free_port
from bench.report import in_ms, say, surroundings
from bench.scene import RELAY_CPU, pinned

WARM = 2.0
"""Seconds of events before the first backup, which are left out but for the last one, and after the last backup."""
APART = 1.0
"""Seconds between two backups."""
LEAD = 100_000_000
"""Nanoseconds between the making of a plan and its first instant."""


@dataclass(frozen=True, slots=True)
class Backup:
    """Nanoseconds of CLOCK_MONOTONIC."""

    began: int
    ended: int
    file: Path


def tomorrow(_number: int) -> float:
    return time.time() + stage.DAY


def feierabend(folder: Path, command: str, file: Path) -> None:
    arguments = [sys.executable, "-m", "relay", command, "--config", str(folder / "relay.toml"), str(file)]
    ended = subprocess.run(arguments, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise SystemExit(f"{command} failed: {ended.stderr}")


def back_up(folder: Path, until: int) -> list[Backup]:
    """One backup after the other."""
    made: list[Backup] = []
    time.sleep(WARM)
    while time.monotonic_ns() < until - WARM * 1e9:
        file = folder / f"backup-{len(made)}"
        began = time.monotonic_ns()
        feierabend(folder, "backup", file)
        made.append(Backup(began, time.monotonic_ns(), file))
        time.sleep(APART)
    return made


def measured(folder: Path, options: argparse.Namespace) -> dict[str, object]:
    database = folder / "backup.db"
    tokens = stage.new_tokens([3] * options.users, random.Random(options.seed))
    stage.fill(database, tokens, rest_end=tomorrow)
    with stage.node(folder, database, free_port(), stage_ca(folder), cpu=RELAY_CPU, sends=False) as node:
        count = round(options.rate * options.seconds)
        posts = [door.request(node.key, {"user": stage.user_id(number % options.users)}) for number in range(count)]
        start = time.monotonic_ns() + LEAD
        instants = door.schedule(options.rate, options.seconds, start)
        with ThreadPoolExecutor(1) as aside:
            backups = aside.submit(back_up, folder, instants[-1])
            answers = door.play(door.address(node.url), posts, instants, options.connections)
            made = backups.result()
    warm = round(options.rate * WARM / 2)
    instants, answers = instants[warm:], answers[warm:]
    took = [(answer.at - instant) / 1e6 for instant, answer in zip(instants, answers, strict=True)]
    during = [any(backup.began <= instant <= backup.ended for backup in made) for instant in instants]
    quiet = [ms for ms, is_during in zip(took, during, strict=True) if not is_during]
    busy = [ms for ms, is_during in zip(took, during, strict=True) if is_during]
    began = time.monotonic_ns()
    feierabend(folder, "restore", made[-1].file)
    return {
        "backups": len(made),
        "backup_s": round(sum(backup.ended - backup.began for backup in made) / len(made) / 1e9, 2),
        "backup_mb": round(made[-1].file.stat().st_size / 1e6, 1),
        "restore_s": round((time.monotonic_ns() - began) / 1e9, 2),
        "events_during": len(busy),
        **{f"ack_{part}_ms": in_ms(quiet, percent) for part, percent in PARTS.items()},
        **{f"ack_{part}_ms_during": in_ms(busy, percent) for part, percent in PARTS.items()},
        "refused": sum(answer.status != 202 for answer in answers),
    }


PARTS = {"p50": 50, "p99": 99, "most": 100}


def stage_ca(folder: Path) -> Path:
    """Certificates of a provider that is not there."""
    with stage.sink(folder) as (_, ca):
        return ca


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=500.0, help="events per second")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--users", type=int, default=23_000)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="last line: one JSON object")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, pinned():
        figures = {"rate": options.rate, "users": options.users, **measured(Path(name), options)}
    say({**figures, **surroundings(options.seed)}, as_json=options.json)


if __name__ == "__main__":
    main()
