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
    "officers",
    "plot",
    "ports",
    "postgres",
    "report",
    "running",
    "scene",
    "slow_disk",
    "slow_relay",
    "stage",
    "stamps",
}

folder = Path(__file__).parent
scripts = {path.stem: path for path in folder.glob("*.py") if path.stem not in NOT_SCRIPTS}
scripts |= {path.parent.name: path for path in folder.glob("*/__main__.py")}
for name, path in sorted(scripts.items()):
    told = (ast.get_docstring(ast.parse(path.read_text())) or "").partition("\n")[0]
    sys.stdout.write(f"python -m bench.{name:<8} {told}\n")
