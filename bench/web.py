"""What the officers' door costs: a page for one officer, pages for 500, and what these leave of the pace of events.

**One officer.** The main page, once after the other, from the request's first byte to the answer's last; the officer
has a rhythm, leave and a time on call. `page_kb`: the page with its style sheet, script and icon, uncompressed.

**Events, alone and beside 500 officers.** As in latency.py: single POSTs at a fixed rate, measured from the instant
at which each was to be posted until its wakeup is at the provider; first alone, then beside a neighbour, then while 500
officers use the page without a pause (officers.py), every fifth time saving; for other people each time, since the
first ones may still be held. `pages_per_s` is what the door does meanwhile, and so what it can do.

The relay has core 0 for itself. The door's process and the officers share core 1 with the sink and with this script,
and run only when these two have nothing to do there (SCHED_IDLE): else what is measured would be how long they wait for
a processor to take the time on. Two cores of a machine share more than that (memory, caches, often one real core), so
there is a control: the neighbour is a loop of Python on core 1 that stands back likewise, and asks nothing of anybody.
What officers add to what it does is what the pages cost the relay. On a machine of its own the page would do more.

    python -m bench.web [--officers 500] [--rate 1000] [--seconds 20] [--users 23000] [--json]
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

import httpx
import trio

from bench import latency, stage
from bench.officers import Page
from bench.ports import free_port
from bench.report import in_ms, say, surroundings
from bench.scene import OTHERS_CPU, Scene, scene
from relay.doors.keys import digest_of

SETTINGS_SECRET: Final = "settings-secret"
SETTINGS: Final = f"settings.{SETTINGS_SECRET}"
VIEWS: Final = 200
"""Of one officer, after as many as a tenth to warm up."""
FILES: Final = re.compile(rb'(?:href|src)="(/static/[^"]+)"')
START_SECONDS: Final = 60


def configuration(port: int) -> str:
    return f"""
[[tenants.keys]]
id = "settings"
sha256 = "{digest_of(SETTINGS_SECRET.encode()).hex()}"
scopes = ["rest"]
[web]
listen = ["127.0.0.1:{port}"]
base_url = "http://127.0.0.1:{port}"
"""


def document() -> dict[str, object]:
    """A plan such as people have: a rhythm since the summer, leave next week, an evening on call."""
    today = date.today()
    call = today + timedelta(days=3)
    shifts = {
        "Früh": {"start": "06:00", "end": "14:00"},
        "Spät": {"start": "14:00", "end": "22:00"},
        "Nacht": {"start": "22:00", "end": "06:00"},
    }
    return {
        "windows": [
            {"kind": "cycle", "anchor": "2026-01-05", "days": ["Früh", "Spät", "Nacht", "-", "-"], "shifts": shifts,
             "lead_minutes": 30, "lag_minutes": 30},
            {"kind": "dates", "from": str(today + timedelta(days=7)), "to": str(today + timedelta(days=14))},
        ],
        "overrides": [{"kind": "reachable", "start": f"{call}T18:00", "end": f"{call}T22:00", "label": "on call"}],
    }  # fmt: skip


# --- the door


def pin_door(relay: int, port: int) -> int:
    """Wait until the door answers, and move its process out of the relay's way; its process id."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(f"http://127.0.0.1:{port}/de/login").status_code == 200:
                break
        time.sleep(0.05)
    else:
        raise SystemExit("the officers' door did not become ready")
    # A child stands with the thread that has started it.
    listed = [path.read_text().split() for path in Path(f"/proc/{relay}/task").glob("*/children")]
    (door,) = [int(child) for children in listed for child in children]
    for task in Path(f"/proc/{door}/task").iterdir():
        stand_back(int(task.name))
    return door


def stand_back(task: int) -> None:
    """Onto the other core, behind whoever measures there."""
    os.sched_setaffinity(task, {OTHERS_CPU})
    os.sched_setscheduler(task, os.SCHED_IDLE, os.sched_param(0))


def link(relay: str, user: str) -> str:
    """A fresh one, for somebody whose plan is `document`."""
    headers = {"authorization": f"Bearer {SETTINGS}"}
    httpx.put(f"{relay}/v1/users/{user}/rest", json=document(), headers=headers).raise_for_status()
    answer = httpx.post(f"{relay}/v1/users/{user}/link", headers=headers).raise_for_status()
    secret: str = answer.json()["link"]
    return secret


# --- one officer


async def views(port: int, secret: str) -> tuple[list[float], int]:
    """(milliseconds of each view, bytes of the page and its files)."""
    page = Page("127.0.0.1", port)
    await page.sign_in(secret)
    found: list[float] = []
    html = b""
    for number in range(VIEWS + VIEWS // 10):
        began = time.perf_counter()
        status, _, html = await page.ask("GET", "/de/")
        took = (time.perf_counter() - began) * 1e3
        if status != 200:
            raise SystemExit(f"the main page answers {status}")
        if number >= VIEWS // 10:
            found.append(took)
    files = [len((await page.ask("GET", path.decode()))[2]) for path in sorted(set(FILES.findall(html)))]
    await page.aclose()
    return found, len(html) + sum(files)


# --- many


@contextlib.contextmanager
def neighbour() -> Iterator[None]:
    """Somebody who keeps the door's core as busy, for the length of the block, and asks nothing of the relay."""
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as process:
        stand_back(process.pid)
        try:
            yield
        finally:
            process.kill()


@contextlib.contextmanager
def officers(port: int, links: list[str]) -> Iterator[dict[str, Any]]:
    """They use the page for the length of the block; afterwards the mapping holds what they have measured."""
    command = [sys.executable, "-m", "bench.officers"]
    found: dict[str, Any] = {}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        stand_back(process.pid)
        try:
            process.stdin.write(json.dumps({"door": port, "links": links}) + "\n")
            process.stdin.flush()
            if process.stdout.readline() != "running\n":
                raise SystemExit("the officers did not get in")
            yield found
            process.stdin.close()
            found |= json.loads(process.stdout.readline())
        except BaseException:
            process.kill()
            raise


def resident_mb(process: int) -> int:
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 2**20


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--officers", type=int, default=500)
    parser.add_argument("--rate", type=float, default=1000.0, help="events per second")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--users", type=int, default=23_000)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="last line: one JSON object")
    # A relay that runs already has officers of its own, in whose name nothing is saved here.
    parser.set_defaults(url=None, key=None, ops=None)
    options = parser.parse_args()
    if told := latency.objection(options.rate, options.seconds, options.users):
        parser.error(told)
    return options


def measured(place: Scene, port: int, options: argparse.Namespace) -> dict[str, object]:
    assert place.node.pid is not None
    door = pin_door(place.node.pid, port)
    at_page = [stage.user_id(3 * options.users + number) for number in range(options.officers)]
    alone, weight = trio.run(views, port, link(place.node.url, at_page[0]))
    quiet = latency.events(place, options)
    with neighbour():
        beside = latency.events(place, options, options.users)
    with officers(port, [link(place.node.url, user) for user in at_page]) as together:
        busy = latency.events(place, options, 2 * options.users)
        used = resident_mb(door)
    return {
        "rate": options.rate,
        "seconds": options.seconds,
        "users": options.users,
        "officers": options.officers,
        "first_view_p50_ms": in_ms(alone, 50),
        "first_view_p99_ms": in_ms(alone, 99),
        "page_kb": round(weight / 1000, 1),
        "pages_per_s": round(len(together["pages"]) / together["seconds"], 1),
        "page_p50_ms": in_ms(together["pages"], 50),
        "page_p99_ms": in_ms(together["pages"], 99),
        "saved": together["saved"],
        "pages_refused": together["refused"],
        "event_p50_ms": in_ms(quiet.arrived, 50),
        "event_p99_ms": in_ms(quiet.arrived, 99),
        "event_p50_ms_with_neighbour": in_ms(beside.arrived, 50),
        "event_p99_ms_with_neighbour": in_ms(beside.arrived, 99),
        "event_p50_ms_with_officers": in_ms(busy.arrived, 50),
        "event_p99_ms_with_officers": in_ms(busy.arrived, 99),
        "missing": sum(each.missing for each in (quiet, beside, busy)),
        "refused": sum(each.refused for each in (quiet, beside, busy)),
        "rss_mb": place.node.rss_mb(),
        "door_rss_mb": used,
    }


def main() -> None:
    options = arguments()
    port = free_port()
    phones = [1] * (3 * options.users + options.officers)
    with scene(options, phones, options.seed, stamps=True, dead_every=0, more=configuration(port)) as place:
        figures = measured(place, port, options)
    say({**figures, **surroundings(options.seed)}, as_json=options.json)


if __name__ == "__main__":
    main()
