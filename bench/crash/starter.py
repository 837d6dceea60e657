"""Starts relays: a process that has imported all that a relay needs, and forks for each.

So a start takes a tenth of a second instead of one, of which nine tenths would be imports, in which no kill could find
anything. What is forked has no threads and no event loop yet; from there on it is `feierabend serve`, with a process,
files and sockets of its own.

Commands are JSON lines, answered with one each, one after the other:

    {"start": ["serve", "--config", …], "log": "…", "launcher": null}   → the process id; its output goes to the log
    {"poll": 123}                                                        → the exit code, or null while it runs
    {"wait": 123}                                                        → the exit code, once it has ended

`launcher`: a Python file to run in the place of the relay's own program. At the end of the input the starter ends, and
whatever it has started with it.
"""

from __future__ import annotations

import json
import os
import runpy
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn

import relay.cli
import relay.service

READY = relay.service.__name__
"""Said first."""


def started(arguments: Sequence[str], log: str, launcher: str | None) -> int:
    """The process id of a new relay."""
    pid = os.fork()
    if not pid:
        _be_relay(arguments, log, launcher)
    return pid


def _be_relay(arguments: Sequence[str], log: str, launcher: str | None) -> NoReturn:
    signal.set_wakeup_fd(-1)  # a supervisor's, which is told of the end of its children
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    nothing, said = os.open(os.devnull, os.O_RDONLY), os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(nothing, 0)
    os.dup2(said, 1)
    os.dup2(said, 2)
    sys.argv = ["feierabend", *arguments]
    code: object = 1
    try:
        if launcher is None:
            relay.cli.main()
        else:
            runpy.run_path(launcher, run_name="__main__")
    except SystemExit as end:
        code = end.code
    except BaseException:
        sys.excepthook(*sys.exc_info())
    sys.stderr.flush()
    os._exit(code if isinstance(code, int) else 1 if code else 0)


def ended(pid: int, options: int) -> int | None:
    """The exit code, negative for a signal; None when it has not ended."""
    found, status = os.waitpid(pid, options)
    return os.waitstatus_to_exitcode(status) if found else None


def main() -> None:
    _say(READY)
    running: set[int] = set()
    for line in sys.stdin:
        command = json.loads(line)
        if "start" in command:
            pid = started(command["start"], command["log"], command["launcher"])
            running.add(pid)
            _say(pid)
            continue
        pid = command.get("poll") or command["wait"]
        code = ended(pid, os.WNOHANG if "poll" in command else 0)
        if code is not None:
            running.remove(pid)
        _say(code)
    for pid in running:
        os.kill(pid, signal.SIGKILL)


def _say(what: object) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
