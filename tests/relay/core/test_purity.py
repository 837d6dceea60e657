"""The core is pure: it is driven by `now`, decides, and returns values.

No clock, no chance, no I/O, no logging, no await; so every one of its decisions can be asked again and comes out the
same. The one exception is the nonce of a seal, which must be random.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

import relay.core

MODULES: Final = sorted(Path(relay.core.__file__).parent.glob("*.py"))
IMPURE: Final = {
    "asyncio", "logging", "multiprocessing", "os", "pathlib", "random", "secrets", "select", "shutil", "signal",
    "socket", "sqlite3", "ssl", "structlog", "subprocess", "sys", "tempfile", "threading", "time", "trio", "uuid",
}  # fmt: skip
NONCES: Final = ("seal.py", "os.urandom")
CLOCKS: Final = {"now", "utcnow", "today", "localtime", "current_time", "monotonic"}
DOORS: Final = {"open", "print", "input", "eval", "exec", "__import__"}


def imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def called(tree: ast.AST) -> Iterator[str]:
    """Every function that is called, as it is written."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_a_core_module_imports_nothing_that_reads_a_clock_rolls_dice_or_does_io(path: Path) -> None:
    found = {name.split(".")[0] for name in imported(ast.parse(path.read_text()))} & IMPURE
    assert found == ({"os"} if path.name == NONCES[0] else set())


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_a_core_module_imports_of_the_relay_only_the_core(path: Path) -> None:
    ours = [name for name in imported(ast.parse(path.read_text())) if name.split(".")[0] in ("relay", "schedules")]
    assert all(name.startswith("relay.core.") for name in ours)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_a_core_module_waits_for_nothing(path: Path) -> None:
    waits = (ast.AsyncFunctionDef, ast.AsyncFor, ast.AsyncWith, ast.Await)
    assert not [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, waits)]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_a_core_module_asks_no_clock_and_opens_nothing(path: Path) -> None:
    tree = ast.parse(path.read_text())
    asked = [name for name in called(tree) if "." in name and name.rpartition(".")[2] in CLOCKS]
    assert not [name for name in asked if not name.startswith(("self.", "draft."))]
    assert not set(called(tree)) & DOORS


def test_the_nonce_of_a_seal_is_all_that_the_core_takes_from_the_system() -> None:
    tree = ast.parse((Path(relay.core.__file__).parent / NONCES[0]).read_text())
    assert {name for name in called(tree) if name.startswith("os.")} == {NONCES[1]}


def test_every_module_of_the_core_is_looked_at() -> None:
    assert {"gate", "slots", "settling", "accepting", "fanout", "verdicts"} <= {path.stem for path in MODULES}
