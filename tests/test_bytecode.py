"""Compiled once in a run: by processes that are told to keep nothing too."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import bytecode

TOLD = "import sys; print(sys.dont_write_bytecode, sys.pycache_prefix)"


def told() -> str:
    return subprocess.run([sys.executable, "-c", TOLD], capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.processes
def test_where_nothing_is_kept_it_is_kept_for_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(bytecode.NOT_KEPT, "1")
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.delenv(bytecode.PLACE, raising=False)
    kept = bytecode.kept()
    assert kept.folder is not None
    assert told() == f"False {kept.folder}"
    kept.end()
    assert not Path(kept.folder).exists()
    assert told() == "True None"


def test_where_it_is_kept_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    before = dict(os.environ)
    kept = bytecode.kept()
    kept.end()
    assert kept.folder is None
    assert os.environ == before
