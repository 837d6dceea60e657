"""`feierabend demo` as a process: what it prints, and how it ends."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.processes

COMMAND = [sys.executable, "-m", "relay", "demo"]


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the process puts its temporary files."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert tempfile.gettempdir() != str(tmp_path)  # ours is known already
    return tmp_path


def test_a_demo_prints_plain_lines_and_at_last_its_result(scratch: Path) -> None:
    done = subprocess.run([*COMMAND, "--officers", "300", "--json"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    *lines, last = done.stdout.splitlines()
    result = json.loads(last)
    assert list(result) == [
        "users", "devices", "events", "wakeups", "deferred", "merged", "alarms", "in_rest_without_bypass", "lost",
        "books_balance", "force_seconds", "seconds",
    ]  # fmt: skip
    assert (result["users"], result["alarms"]) == (300, 20)
    assert (result["in_rest_without_bypass"], result["lost"], result["books_balance"]) == (0, 0, True)
    for name in ("devices", "events", "wakeups", "deferred", "merged", "force_seconds", "seconds"):
        assert result[name] > 0, name
    assert "\x1b" not in done.stdout
    half_hours = [line for line in lines if line[2:3] == ":"]
    assert (len(half_hours), half_hours[-1][:5]) == (20, "07:00")
    assert lines[-1].startswith("0 woken in rest without a bypass, 0 lost, books balance")
    assert not list(scratch.glob("feierabend-demo-*"))


def test_a_relay_that_wakes_people_in_rest_fails_the_demo(scratch: Path) -> None:
    tampered = (
        "from relay.core.tables import Tables; Tables.__call__ = lambda *_: None; from relay.cli import main; main()"
    )
    command = [sys.executable, "-c", tampered, "demo", "--officers", "100", "--json"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert json.loads(done.stdout.splitlines()[-1])["in_rest_without_bypass"] > 0
    assert '"relay_started"' in done.stderr


def test_ctrl_c_ends_a_demo_without_a_word(scratch: Path) -> None:
    process = subprocess.Popen(
        [*COMMAND, "--officers", "3000"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    while not process.stdout.readline().startswith("21:30"):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, said = process.communicate()
    assert (process.returncode, said) == (130, "")
    assert not list(scratch.glob("feierabend-demo-*"))
