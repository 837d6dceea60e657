"""The officers' door as a process: told, listened to, started again, ended; small programs stand in for it.

What a program does it says in events, and nothing here sleeps: a test waits for a line of the log.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncIterator, Iterator, MutableMapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import structlog
import trio
from hypothesis import given
from hypothesis import strategies as st

from relay import service, unix, web
from relay.clock import TrioClock
from relay.config import WebConfig
from relay.journal import inline
from relay.service import Seams
from relay.store.memory import MemoryStore
from relay.web import PAUSES, Web
from tests.e2e.processes import PATIENCE
from tests.relay.world import NOON, configuration, tenant

pytestmark = pytest.mark.processes

SETTINGS = {"socket": "/run/s", "oidc": [{"client_secret": "canary"}]}
READ = "import json, os, signal, sys; told = sys.stdin.readline()\n"
SAY = "def say(event, **facts): print(json.dumps({'event': event, **facts}), flush=True)\n"
READY = READ + SAY + "say('ready', listen=['127.0.0.1:1'])\n"
STAY = READY + "sys.stdin.read()\n"


class Lines:
    """The relay's log."""

    def __init__(self) -> None:
        self.all: list[dict[str, Any]] = []
        self._news = trio.Event()

    def take(self, _logger: object, level: str, event: MutableMapping[str, Any]) -> str:
        self.all.append({**event, "level": level})
        self._news.set()
        raise structlog.DropEvent

    async def until(self, name: str, count: int = 1) -> dict[str, Any]:
        """The last of so many lines of a name."""
        with trio.fail_after(PATIENCE):
            while True:
                found = [line for line in self.all if line["event"] == name]
                if len(found) >= count:
                    return found[count - 1]
                self._news = trio.Event()
                await self._news.wait()

    def names(self) -> list[str]:
        return [line["event"] for line in self.all]


@pytest.fixture
def lines() -> Iterator[Lines]:
    kept = Lines()
    structlog.configure(processors=[kept.take])
    yield kept
    structlog.reset_defaults()


@asynccontextmanager
async def running(
    program: str, *, grace: float = PATIENCE, pauses: tuple[float, ...] = (0.0,), command: tuple[str, ...] = ()
) -> AsyncIterator[Web]:
    kept = Web(SETTINGS, grace, command or (sys.executable, "-c", program), pauses)
    async with trio.open_nursery() as nursery:
        await nursery.start(kept.run)
        yield kept
        kept.drain()


async def test_it_is_told_its_settings_and_is_ended_in_its_turn(lines: Lines) -> None:
    program = READY + (
        "import threading\n"
        "def end(*_): say('ending'); os._exit(0)\n"
        "signal.signal(signal.SIGTERM, end)\n"
        "say('told', same=json.loads(told) == {'socket': '/run/s', 'oidc': [{'client_secret': 'canary'}]})\n"
        "sys.stdin.read(); say('alone')\n"
    )
    async with running(program) as kept:
        assert (await lines.until("told"))["same"] is True
        with trio.fail_after(PATIENCE):
            await kept.wait_ready()
    assert lines.names() == ["ready", "told", "ending", "web_ended"]
    assert lines.all[0] == {"event": "ready", "part": "web", "listen": "127.0.0.1:1", "level": "info"}
    assert lines.all[-1]["code"] == 0
    assert not kept.is_up
    assert "canary" not in repr(lines.all)


async def test_its_standard_input_ends_when_whoever_started_it_is_gone(lines: Lines, tmp_path: Path) -> None:
    """Killed, and not drained: here the task is cancelled before a signal could be sent."""
    program = READ + SAY + (
        "if os.fork() == 0:\n"
        "    sys.stdin.read()\n"
        "    open(sys.argv[1], 'w').write('gone')\n"
        "else:\n"
        "    say('ready'); os.wait()\n"
    )  # fmt: skip
    heard = tmp_path / "heard"
    os.mkfifo(heard)
    async with trio.open_nursery() as nursery:
        kept = Web(SETTINGS, PATIENCE, (sys.executable, "-c", program, str(heard)), (0.0,))
        await nursery.start(kept.run)
        await lines.until("ready")
        nursery.cancel_scope.cancel()
    with trio.fail_after(PATIENCE):
        assert await trio.to_thread.run_sync(heard.read_text, abandon_on_cancel=True) == "gone"


async def test_it_gets_little_of_the_environment_no_descriptor_and_stands_back(
    lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEIERABEND_KEY", "canary")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "/run/credentials")
    monkeypatch.setenv("SSL_CERT_FILE", "/etc/ca.pem")
    inherited = os.open(os.devnull, os.O_RDONLY)
    os.set_inheritable(inherited, True)
    program = STAY.replace(
        "sys.stdin.read()",
        "say('seen', names=sorted(os.environ), open=sorted(os.listdir('/proc/self/fd')), nice=os.nice(0),\n"
        "    leads=os.getsid(0) == os.getpid(), arguments=sys.argv)\nsys.stdin.read()",
    )
    try:
        async with running(program):
            seen = await lines.until("seen")
    finally:
        os.close(inherited)
    names = set(seen["names"].split(", "))
    assert names <= {*web.ENVIRONMENT, "PYTHONUNBUFFERED", "LC_CTYPE"}
    assert {"SSL_CERT_FILE", "PYTHONUNBUFFERED"} <= names
    assert set(seen["open"].split(", ")) <= {"0", "1", "2", "3"}, "the fourth reads the folder"
    assert (seen["leads"], seen["nice"]) == (True, os.nice(0) + web.NICENESS)


async def test_when_it_dies_it_is_started_again_and_the_error_is_told_without_its_text(lines: Lines) -> None:
    program = READY + "def fall(): raise ValueError('canary')\nfall()\n"
    async with running(program) as kept:
        died = await lines.until("web_died", 3)
        assert not kept.is_up or lines.names()[-1] == "ready"
    assert (died["level"], died["code"], died["kind"], died["place"]) == ("error", 1, "ValueError", "<string>:4")
    assert "canary" not in repr(lines.all)
    assert lines.names()[:4] == ["ready", "web_died", "ready", "web_died"]


async def test_an_end_that_nobody_asked_for_is_a_death_too(lines: Lines) -> None:
    async with running(READY):
        died = await lines.until("web_died", 2)
    assert (died["code"], "kind" in died) == (0, False)


async def test_a_command_that_cannot_be_started_is_tried_again(lines: Lines) -> None:
    async with running("", command=("/nowhere/python",)):
        died = await lines.until("web_died", 2)
    assert died["reason"] == "No such file or directory"


async def test_each_death_in_a_row_is_followed_by_a_longer_pause(lines: Lines) -> None:
    async with running("raise SystemExit(3)", pauses=(0.0, 0.01, 0.02)):
        await lines.until("web_died", 5)
    assert [line["again_in"] for line in lines.all if line["event"] == "web_died"][:5] == [0.0, 0.01, 0.02, 0.02, 0.02]
    assert list(PAUSES) == sorted(PAUSES)


async def test_one_that_was_well_for_a_while_is_forgiven(lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "STEADY", 0.0)
    async with running(READY, pauses=(0.0, 0.01)):
        await lines.until("web_died", 3)
    assert {line["again_in"] for line in lines.all if line["event"] == "web_died"} == {0.0}


async def test_one_that_does_not_become_ready_is_killed(lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "PATIENCE", 0.05)
    async with running(READ + "sys.stdin.read()\n"):
        await lines.until("web_not_ready")
        assert (await lines.until("web_died"))["code"] == -9


async def test_one_that_does_not_end_is_killed_when_the_grace_is_over(lines: Lines) -> None:
    program = READ + SAY + "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nsay('ready')\nsys.stdin.read()\n"
    async with running(program, grace=0.05):
        await lines.until("ready")
    assert lines.names() == ["ready", "web_killed", "web_ended"]
    assert lines.all[-1]["code"] == -9


async def test_a_pause_ends_with_the_relay(lines: Lines) -> None:
    async with running("raise SystemExit(3)", pauses=(10 * PATIENCE,)):
        await lines.until("web_died")
    assert lines.names() == ["web_died"]


async def test_what_is_no_event_is_counted_and_shown_to_nobody(lines: Lines) -> None:
    program = READ + SAY + (
        "for line in ('canary', '[\"canary\"]', '{\"event\": \"Canary!\"}', '{\"canary\": 1}', '9' * 5000):\n"
        "    print(line)\n"
        "say('x' * 20000)\n"
        "say('page_failed', level='error', kind='KeyError', at=5, user='hidden by the log', who={'canary': 1})\n"
        "say('ready'); sys.stdin.read()\n"
    )  # fmt: skip
    async with running(program):
        await lines.until("ready")
    assert lines.names() == ["web_said_no_event", "page_failed", "ready", "web_said_more", "web_ended"]
    assert "canary" not in repr(lines.all[0])
    assert lines.all[3]["count"] == 5
    failed = lines.all[1]
    assert (failed["level"], failed["kind"], failed["part"], "at" in failed) == ("error", "KeyError", "web", False)
    assert failed["who"] == {"canary": 1}, "not plain: the log hides it (test_logs.py)"


async def test_what_is_said_without_an_end_of_line_is_heard_too(lines: Lines) -> None:
    program = READY + "sys.stdout.write(json.dumps({'event': 'last'})); sys.stdout.flush()\n"
    async with running(program):
        await lines.until("web_died")
    assert "last" in lines.names()


NAMES = st.sampled_from(["event", "level", "at", "part", "self", "method_name", "exc_info", "stack_info", "kind"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text() | st.sampled_from(["ready", "info", "error"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
EVENTS = st.dictionaries(NAMES | st.from_regex(r"[a-z_]{1,8}", fullmatch=True), VALUES, max_size=6).map(
    lambda said: json.dumps({"event": "x", **said}).encode()
)


@given(st.lists(EVENTS | st.binary(max_size=200) | VALUES.map(json.dumps).map(str.encode), max_size=5))
def test_no_line_is_too_strange(said: list[bytes]) -> None:
    kept = Lines()
    structlog.configure(processors=[kept.take])
    heard = web._Heard()
    for number, line in enumerate(said):
        heard.tell(line, float(number))
        assert web._failure(line) == {}
    structlog.reset_defaults()
    assert all(line["event"] for line in kept.all)


async def test_a_process_that_raves_floods_nobody(lines: Lines) -> None:
    """Half a million lines are a second's work for it, and for the log five lines."""
    program = READY + (
        "os.write(1, (json.dumps({'event': 'again'}) + '\\n').encode() * 1000 + b'\\n' * 300_000)\n"
        "say('enough'); say('ready')\n"
    )
    async with running(program):
        await lines.until("web_died")
    told = lines.names()[: lines.names().index("web_died")]
    assert len(told) == web.MOST + 2, "with the first that is no event, and how many there were besides"
    assert lines.all[web.MOST + 1]["count"] == 901 + 1 + 299_999 + 1


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        ("raise ValueError('a\\nanna4711')", "ValueError"),
        ("raise type('Own', (Exception,), {})('anna4711: b')", None),
        ("raise ExceptionGroup('anna4711', [ValueError('anna4711')])", None),
        ("raise json.JSONDecodeError('anna4711', '', 0)", "json.decoder.JSONDecodeError"),
        ("sys.exit('anna4711')", None),
    ],
)
async def test_of_an_error_its_kind_is_told_and_nothing_of_its_text(
    lines: Lines, raised: str, kind: str | None
) -> None:
    async with running(READY + raised):
        died = await lines.until("web_died")
    assert died.get("kind") == kind
    assert "anna4711" not in repr(lines.all)


async def test_who_waits_since_before_the_first_death_is_told_of_the_second_start(lines: Lines, tmp_path: Path) -> None:
    once = tmp_path / "once"
    program = READ + SAY + (
        "import pathlib\n"
        f"if not pathlib.Path({str(once)!r}).exists():\n"
        f"    pathlib.Path({str(once)!r}).touch(); sys.exit(1)\n"
        "say('ready'); sys.stdin.read()\n"
    )  # fmt: skip
    async with running(program) as kept:
        with trio.fail_after(PATIENCE):
            await kept.wait_ready()
    assert lines.names() == ["web_died", "ready", "web_ended"]


async def test_what_lies_in_the_folder_of_the_start_is_no_module_of_ours(
    lines: Lines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "trio.py").write_text("raise SystemExit(77)")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    async with running("", command=web.COMMAND):
        died = await lines.until("web_died")
    assert lines.names()[0] == "settings_rejected"
    assert died["code"] == 1


# --- in the relay


async def test_the_relay_starts_it_serves_it_and_goes_on_when_it_dies(lines: Lines, tmp_path: Path) -> None:
    """The socket is there before the process, and after it; what is not written is the relay's business alone."""
    program = READY + (
        "import socket\n"
        "asking = socket.socket(socket.AF_UNIX); asking.connect(json.loads(told)['socket'])\n"
        "asking.sendall(b'GET /v1/openapi.json HTTP/1.1\\r\\nhost: relay\\r\\n\\r\\n')\n"
        "say('answered', status=asking.recv(12).decode())\n"
        "def end(*_): asking.close(); asking2 = socket.socket(socket.AF_UNIX);"
        " asking2.connect(json.loads(told)['socket']); say('still_there'); os._exit(0)\n"
        "signal.signal(signal.SIGTERM, end)\n"
        "say('serving')\n"
        "sys.stdin.read()\n"
    )
    config = WebConfig(
        listen=(), base_url="http://localhost", oidc=(), socket=tmp_path / "door.sock",
        trusted_proxies=(), login_attempts=30,
    )  # fmt: skip
    seams = Seams(executor=inline, web=(sys.executable, "-c", program))
    relay = service.Relay(
        replace(configuration(tenant(), grace=PATIENCE), web=config), MemoryStore(), TrioClock(NOON), seams
    )
    stop = trio.Event()
    async with trio.open_nursery() as nursery:
        await nursery.start(relay.run, stop)
        assert (await lines.until("answered"))["status"] == "HTTP/1.1 200"
        await lines.until("serving")
        assert relay.web is not None
        assert relay.web.is_up
        stop.set()
    assert [name for name in lines.names() if name != "lane_paused"] == [
        "relay_started", "ready", "answered", "serving", "drain_began", "still_there", "web_ended", "relay_stopped",
    ]  # fmt: skip
    assert not config.socket.exists()
    assert json.loads(relay.web._line)["grace_seconds"] == pytest.approx(PATIENCE * service.WEB)
    with pytest.raises(FileNotFoundError):
        unix.ask(config.socket, "GET", "/")
