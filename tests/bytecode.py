"""What the many processes of a run compile is kept for the run, where Python is told to keep nothing.

Images of containers often set PYTHONDONTWRITEBYTECODE. Then each process compiles the relay anew, for some 0.3 s of
CPU. So those that are started find, and leave, what is compiled in a folder of this run.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from dataclasses import dataclass

NOT_KEPT = "PYTHONDONTWRITEBYTECODE"
PLACE = "PYTHONPYCACHEPREFIX"


@dataclass(slots=True)
class Kept:
    """`folder`: none where Python keeps it anyway."""

    folder: str | None = None

    def end(self) -> None:
        if self.folder is not None:
            os.environ[NOT_KEPT] = "1"
            del os.environ[PLACE]
            shutil.rmtree(self.folder, ignore_errors=True)


def kept() -> Kept:
    """For processes that are started from now on, also the workers of this run."""
    if not sys.dont_write_bytecode or NOT_KEPT not in os.environ:
        return Kept()
    del os.environ[NOT_KEPT]
    os.environ[PLACE] = tempfile.mkdtemp(prefix="feierabend-bytecode-")
    return Kept(os.environ[PLACE])
