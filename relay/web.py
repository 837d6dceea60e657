"""The officers' door as a second process: started, listened to, started again, ended.

The page is a convenience, wakeups are the purpose. So it lives in a process of its own (`schedules.web`), which holds
no key and no device token, asks the relay over a Unix socket, and stands back when the processor is short. Whatever
becomes of it, the relay goes on: when it dies it is started again, later each time; when it does not end it is killed.

    relay ──settings, one line──▶ stdin          ended by SIGTERM, and by the end of its standard input:
          ◀──events, JSON lines── stdout         then the relay is gone
          ◀──what Python says──── stderr         only the kind of an error and its place are told

Its settings hold a client's secret: no argument, no environment. It inherits no descriptor, and of the environment only
what a Python program needs to find its modules and certificates. It leads a session of its own, so that Ctrl-C at a
terminal reaches the relay alone, which ends it in its turn. Of what it says on its standard output events become lines
of the relay's log, with `part="web"`, a hundred a minute at most; what is more, or no event, is counted and not shown.

Rejected: the same process (a page that loops would hold up an alarm), a service of its own (two things to install, and
two versions to mix), passing listening sockets (a restart of the door needs nothing from the relay).
"""

from __future__ import annotations

import builtins
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from typing import Final

import structlog
import trio

COMMAND: Final = (sys.executable, "-P", "-m", "schedules.web")
"""`-P`: what lies in the folder where the relay was started is no module of ours."""
ENVIRONMENT: Final = (
    "PATH", "PYTHONPATH", "PYTHONHOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR",
    "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy",
)  # fmt: skip
"""What is handed on: where modules and certificates are, and the way out to an identity provider."""
PAUSES: Final = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Seconds before the next start, the first of them after the first death."""
STEADY: Final = 60.0
"""Seconds after which a process that was ready is forgiven the deaths before it."""
PATIENCE: Final = 30.0
"""Seconds within which a process must say that it is ready."""
NICENESS: Final = 5
"""How far it stands back when the processor is short (nice)."""
LINGER: Final = 1.0
"""Seconds for which what it has said is read when it has ended."""
LONGEST: Final = 16 * 1024
"""Bytes of a line; a longer one is none."""
PIECE: Final = 4096
"""Bytes read at a time: what lines are in them is looked at without a pause."""
MOST: Final = 100
"""Lines that are told of in `WHILE` seconds, and one that is no event; the others are counted."""
WHILE: Final = 60.0
LAST_WORDS: Final = 4096
"""Bytes of standard error that are looked at when it has died."""

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,40}")
_LEVELS: Final = frozenset({"debug", "info", "warning", "error", "critical"})
_OURS: Final = frozenset({"event", "level", "at", "part", "self", "method_name", "exc_info", "stack_info"})
"""Not its to say: what the log makes itself, and names that a call of it has already."""
_FRAME: Final = re.compile(rb'  File "(?:[^"\n]*/)?([\w.<>-]+)", line (\d+)')
_KIND: Final = re.compile(rb"([A-Za-z_]\w{0,60}(?:\.[A-Za-z_]\w{0,60})*)(?::|$)")

log = structlog.get_logger()


class Web:
    """Keeps one process running. `settings` is what it is told, and shown to nobody else."""

    def __init__(
        self, settings: Mapping[str, object], grace: float, command: Sequence[str] = COMMAND,
        pauses: Sequence[float] = PAUSES,
    ) -> None:  # fmt: skip
        """`grace`: seconds from SIGTERM until it is killed."""
        self._line = json.dumps(settings).encode() + b"\n"
        self._grace = grace
        self._command = [*command]
        self._pauses = pauses
        self._draining = trio.Event()
        self._ready = trio.Event()
        """Of the process that runs now."""
        self._deaths = 0
        """In a row."""

    @property
    def is_up(self) -> bool:
        """It runs, and has said that it is ready."""
        return self._ready.is_set()

    async def wait_ready(self) -> None:
        """Return when it is ready for the first time, or again."""
        await self._ready.wait()

    def drain(self) -> None:
        """It is to end, and not to be started again; `run` returns then."""
        self._draining.set()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keep it running until `drain`. Whoever waits for the start does not wait for the process."""
        task_status.started()
        while not self._draining.is_set():
            began = trio.current_time()
            try:
                process = await self._start()
            except OSError as error:
                self._died(began, reason=error.strerror or type(error).__name__)
            else:
                await self._live(process, began)
            with trio.move_on_after(self._pauses[min(max(self._deaths, 1), len(self._pauses)) - 1]):
                await self._draining.wait()

    async def _start(self) -> trio.Process:
        """Raises OSError."""
        environment = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
        process = await trio.lowlevel.open_process(
            self._command,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=environment | {"PYTHONUNBUFFERED": "1"}, start_new_session=True, close_fds=True,
        )  # fmt: skip
        with suppress(OSError):  # it may have ended already
            os.setpriority(os.PRIO_PROCESS, process.pid, NICENESS)
        return process

    async def _live(self, process: trio.Process, began: float) -> None:
        """From its start to its end; return when it is over, and all it has said is read."""
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        last_words = bytearray()
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_tell, process.stdin, self._line)
                nursery.start_soon(self._end_in_time, process)
                nursery.start_soon(self._expect, process)
                async with trio.open_nursery() as reading:
                    reading.start_soon(self._listen, process.stdout)
                    reading.start_soon(_keep_end, process.stderr, last_words)
                    await process.wait()
                    reading.cancel_scope.deadline = trio.current_time() + LINGER
                nursery.cancel_scope.cancel()
        finally:
            was_up = self.is_up
            if was_up:  # whoever waits since before the first start waits on
                self._ready = trio.Event()
            with trio.CancelScope(shield=True):  # it is killed: neither takes time
                process.kill()
                await process.wait()
                for stream in (process.stdin, process.stdout, process.stderr):
                    await trio.aclose_forcefully(stream)
        if self._draining.is_set():
            log.info("web_ended", code=process.returncode)
            return
        if was_up and trio.current_time() - began >= STEADY:
            self._deaths = 0
        self._died(began, code=process.returncode, **_failure(last_words))

    def _died(self, began: float, **facts: str | int | None) -> None:
        self._deaths += 1
        pause = self._pauses[min(self._deaths, len(self._pauses)) - 1]
        log.error("web_died", lived=round(trio.current_time() - began, 1), again_in=pause, **facts)

    async def _expect(self, process: trio.Process) -> None:
        """Kill it when it does not become ready."""
        with trio.move_on_after(PATIENCE):
            await self._ready.wait()
            return
        log.error("web_not_ready", seconds=PATIENCE)
        process.kill()

    async def _end_in_time(self, process: trio.Process) -> None:
        await self._draining.wait()
        process.send_signal(signal.SIGTERM)
        await trio.sleep(self._grace)
        log.warning("web_killed", seconds=self._grace)
        process.kill()

    async def _listen(self, stream: trio.abc.ReceiveStream) -> None:
        heard = _Heard()
        async for line in _lines(stream):
            if heard.tell(line, trio.current_time()) == "ready":
                self._ready.set()
        heard.tell_of_the_others()


class _Heard:
    """Tells the log what the process says, in moderation: the log stays readable, and the relay awake."""

    __slots__ = ("_began", "_others", "_strange", "_told")

    def __init__(self) -> None:
        self._began = float("-inf")
        self._told = self._strange = self._others = 0

    def tell(self, line: bytes, now: float) -> str | None:
        """The name of an event; None for a line that is none."""
        if now - self._began >= WHILE:
            self.tell_of_the_others()
            self._began, self._told, self._strange = now, 0, 0
        said = _event(line)
        if said is None:
            self._strange += 1
            if self._strange == 1:
                log.warning("web_said_no_event", size=len(line))
            else:
                self._others += 1
            return None
        level, name, facts = said
        self._told += 1
        if self._told <= MOST:
            getattr(log, level)(name, part="web", **facts)
        else:
            self._others += 1
        return name

    def tell_of_the_others(self) -> None:
        if self._others:
            log.warning("web_said_more", count=self._others)
            self._others = 0


async def _tell(stdin: trio.abc.SendStream, line: bytes) -> None:
    """Its standard input stays open: that it ends means that we are gone."""
    with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        await stdin.send_all(line)


async def _keep_end(stream: trio.abc.ReceiveStream, kept: bytearray) -> None:
    async for data in stream:
        kept += data
        del kept[:-LAST_WORDS]


async def _lines(stream: trio.abc.ReceiveStream) -> AsyncIterator[bytes]:
    """Whole lines; of one that is too long only the end, which is no event."""
    rest = b""
    while data := await stream.receive_some(PIECE):
        *lines, rest = (rest + bytes(data)).split(b"\n")
        rest = rest[-LONGEST:]
        for line in lines:
            yield line
    if rest:
        yield rest


def _event(line: bytes) -> tuple[str, str, dict[str, object]] | None:
    """(level, event, fields) of a line; None when it is none. What is private by its name the log hides."""
    try:
        content = json.loads(line) if len(line) < LONGEST else None
    except (ValueError, RecursionError):
        return None
    if not isinstance(content, dict):
        return None
    name, level = content.get("event"), content.get("level", "info")
    if not isinstance(name, str) or not _NAME.fullmatch(name) or not isinstance(level, str) or level not in _LEVELS:
        return None
    facts = {key: _plain(value) for key, value in content.items() if key not in _OURS and _NAME.fullmatch(key)}
    return level, name, facts


def _plain(value: object) -> object:
    """A list of texts as one; the log hides what is not plain."""
    is_texts = isinstance(value, list) and all(isinstance(item, str) for item in value)
    return ", ".join(value) if is_texts and isinstance(value, list) else value


def _failure(last_words: bytes | bytearray) -> dict[str, str]:
    """Kind and place of the error that ended it; never its text, which may hold content.

    The kind stands in the first line that is not indented behind the last frame; lines after it are of the text. What
    goes wrong while it serves the process says itself, as an event.
    """
    lines = bytes(last_words).split(b"\n")
    frames = [(number, found) for number, line in enumerate(lines) if (found := _FRAME.match(line))]
    if not frames:
        return {}
    at, frame = frames[-1]
    behind = next((line for line in lines[at + 1 :] if not line.startswith(b" ")), b"")
    kind = _KIND.match(behind)
    if kind is None or not _is_kind(kind[1].decode()):
        return {}
    return {"kind": kind[1].decode(), "place": f"{frame[1].decode()}:{frame[2].decode()}"}


def _is_kind(name: str) -> bool:
    """A class of errors: of Python, or of a module."""
    found = getattr(builtins, name, None)
    return "." in name or (isinstance(found, type) and issubclass(found, BaseException))
