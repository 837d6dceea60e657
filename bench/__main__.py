"""`python -m bench`: which scripts there are, each with its first line."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

NOT_SCRIPTS = {
    "__init__",
    "__main__",
    "contest",
    "corpus",
    "door",
    "flood",
    "lives",
    "mixes",
    "mixture",
    "report",
    "running",
    "scene",
    "slow_disk",
    "slow_relay",
    "stage",
    "stamps",
}

for path in sorted(Path(__file__).parent.glob("*.py")):
    if path.stem not in NOT_SCRIPTS:
        told = (ast.get_docstring(ast.parse(path.read_text())) or "").partition("\n")[0]
        sys.stdout.write(f"python -m bench.{path.stem:<8} {told}\n")
