"""`feierabend ARGUMENTS` in a process made ready beforehand: what it needs is imported, and it waits for a line.

So a round does not begin with half a second of imports, in which no kill could find anything; and the next relay is
made ready while this one works. `--launcher FILE`, before the arguments: a program to run in the place of the relay's.
"""

from __future__ import annotations

import runpy
import sys

import relay.cli
import relay.service


def main() -> None:
    launcher = ""
    if sys.argv[1] == "--launcher":
        launcher = sys.argv[2]
        del sys.argv[1:3]
    if not sys.stdin.readline():
        return
    if launcher:
        runpy.run_path(launcher, run_name="__main__")
    else:
        relay.cli.main()


if __name__ == "__main__":
    main()
