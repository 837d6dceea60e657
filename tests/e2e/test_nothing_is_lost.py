"""I1, I2 and I4 with real processes: what was acknowledged survives SIGKILL, rest is kept, the books balance.

A short run of `bench.crash`, whose judges look at more than the figures say: receipts and orders, the metrics against
the books, what is pending and why, that all answers are alike, that what is settled stays settled. And one with a relay
that has been spoilt, so that it is known that they can say no.
"""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from bench.crash.aims import SHARES
from bench.crash.shared.shares import SHARES as SHARED
from tests import effort

pytestmark = pytest.mark.processes

PLAYED = tuple(SHARES) if effort.is_thorough else ("work", "commit", "settle", "release")
EACH_ONCE = tuple(chain.from_iterable(("--only", aim) for aim in PLAYED))
SPOILT = '''
"""A relay that answers before the commit where there is no Idempotency-Key, knows no rest, and forgets the settled."""

import trio

import relay.store.sqlite
from relay.cli import main
from relay.core.events import Accepted
from relay.core.gate import Gate
from relay.journal import Journal

take, ask = Journal.accept, Gate.ask


async def take_later(journal, tenant, events, request):
    await trio.sleep(60)
    await take(journal, tenant, events, request)


async def accept(journal, tenant, events, request):
    if request is not None:
        return await take(journal, tenant, events, request)
    trio.lowlevel.spawn_system_task(take_later, journal, tenant, events, request)
    return Accepted(sum(len(event.users) for event in events), 0)


Journal.accept = accept
Gate.ask = lambda gate, table, *about: ask(gate, None, *about)
relay.store.sqlite.DELETE_SLOTS = "SELECT ?1, ?2"
main()
'''


SPOILT_NODE = '''
"""A node that believes for ever that its people are its own, and forgets what has been settled."""

import relay.store.postgres_statements as statements
from relay.cli import main
from relay.tenure import Tenure

Tenure.holds = lambda tenure: True
statements.DELETE["slot"] = "SELECT %s::bytea[]"
main()
'''


def crashed(*options: str, store: str = "sqlite") -> tuple[int, dict[str, Any], str]:
    """(exit code, figures, what was said)."""
    command = [sys.executable, "-m", "bench.crash", "--store", store, "--json", *options]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    assert ended.stdout, ended.stderr
    return ended.returncode, json.loads(ended.stdout.splitlines()[-1]), ended.stderr


def test_nothing_acknowledged_is_lost_over_many_kills() -> None:
    """Every acknowledged notice is woken for after it was posted, or booked otherwise, or pending because of a rest."""
    code, figures, told = crashed("--rounds", str(len(PLAYED)), "--crowd", "1000", *EACH_ONCE)
    assert (code, figures["faults"]) == (0, 0), told
    for name in ("lost", "forgotten", "in_rest_without_bypass", "duplicates_without_excuse", "repeated", "edits_lost"):
        assert figures[name] == 0
    assert figures["duplicates"] <= figures["duplicates_allowed"]
    assert figures["books_balance"] is True
    assert figures["acked"] > 500
    assert figures["edits"] > 20
    assert figures["kills"] == sum(figures["kills_by_phase"].values())
    assert figures["kills"] >= len(PLAYED), "and one more, but a drain may be over before the signal comes"
    assert figures["kills_aimed"] == {"enlist": 1, **dict.fromkeys(PLAYED, 1)}


@pytest.mark.thorough
def test_the_judges_can_say_no(tmp_path: Path) -> None:
    launcher = tmp_path / "spoilt.py"
    launcher.write_text(SPOILT)
    few = ("--rounds", "2", "--only", "work", "--only", "quiet", "--crowd", "1", "--patience", "3")
    code, figures, told = crashed(*few, "--launcher", str(launcher))
    assert code == 1
    assert figures["lost"] > 0, told
    assert figures["forgotten"] > 0, told
    assert figures["in_rest_without_bypass"] > 0, told
    assert figures["duplicates_without_excuse"] > 0, told
    assert figures["books_balance"] is False, told


@pytest.mark.thorough
@pytest.mark.needs("postgres")
def test_two_nodes_lose_nothing_when_one_is_stopped_for_longer_than_its_lease() -> None:
    code, figures, told = crashed("--rounds", "1", "--only", "pause", "--crowd", "100", store="postgres")
    assert_nothing_is_wrong(code, figures, told)
    assert (figures["takeovers"], figures["gone_on"], figures["kills"]) == (1, 0, 0)


@pytest.mark.thorough
@pytest.mark.needs("postgres")
def test_two_nodes_lose_nothing_whatever_is_done_to_one() -> None:
    code, figures, told = crashed("--rounds", str(sum(SHARED.values())), "--crowd", "1000", store="postgres")
    assert_nothing_is_wrong(code, figures, told)
    assert figures["kills_aimed"] == SHARED
    assert figures["kills"] == 10
    assert figures["takeovers"] >= figures["kills"]


def assert_nothing_is_wrong(code: int, figures: dict[str, Any], told: str) -> None:
    assert (code, figures["faults"]) == (0, 0), told
    for name in ("lost", "forgotten", "in_rest_without_bypass", "duplicates_without_excuse", "repeated", "edits_lost"):
        assert figures[name] == 0
    assert figures["duplicates"] <= figures["duplicates_allowed"]
    assert figures["books_balance"] is True


@pytest.mark.thorough
@pytest.mark.needs("postgres")
def test_the_judges_can_say_no_of_two_nodes_too(tmp_path: Path) -> None:
    launcher = tmp_path / "spoilt.py"
    launcher.write_text(SPOILT_NODE)
    few = ("--rounds", "1", "--only", "hole", "--crowd", "100", "--patience", "3", "--launcher", str(launcher))
    code, figures, told = crashed(*few, store="postgres")
    assert code == 1
    assert figures["in_rest_without_bypass"] > 0, told
    assert figures["duplicates_without_excuse"] > 0, told
    assert figures["books_balance"] is False, told
