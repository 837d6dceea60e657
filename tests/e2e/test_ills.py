"""The machine's ills, with real processes: they are told of, nothing is acknowledged falsely, and all gets well again.

Limits of a running process stand for the machine's: no file may grow, no descriptor or memory is left.
"""

from __future__ import annotations

import base64
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio

from tests.e2e.client import Client, NoAnswer, NotSent, client
from tests.e2e.installation import Installation, install, post, register
from tests.e2e.phones import POLL, Provider, Sightings, fake_apns, token
from tests.e2e.processes import PATIENCE, Child

pytestmark = pytest.mark.processes

PHONE = token(1)
EVENT = {"user": "anna"}


@contextmanager
def limited(relay: Child, what: int, most: int) -> Iterator[None]:
    """The process may have no more than so much of something, for the length of the block."""
    pid = relay.process.pid
    usual = resource.prlimit(pid, what)
    resource.prlimit(pid, what, (most, usual[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, what, usual)


async def readiness(relay: Installation) -> tuple[int, list[str]]:
    async with client(relay.ops) as operator:
        answer = await operator.ask("GET", "/readyz")
    return answer.status, answer.json()["reasons"]


async def becomes_ready(relay: Installation) -> None:
    with trio.fail_after(PATIENCE):
        while (await readiness(relay))[0] != 200:  # noqa: ASYNC110 (another process changes)
            await trio.sleep(POLL)


def put_up(folder: Path, apple: Provider) -> Installation:
    relay = install(folder)
    relay.configure(apple.port, apple.credentials)
    return relay


async def test_a_full_disk(tmp_path: Path) -> None:
    """Not a byte more fits: 503 with Retry-After and not ready; with room again all is well, and nothing is lost."""
    async with fake_apns(tmp_path / "apple") as apple:
        relay, seen = put_up(tmp_path, apple), Sightings(apple.journal)
        async with relay.serving() as process, relay.backend_client() as backend:
            await register(backend, "anna", PHONE)
            await post(backend, "anna")
            await seen.of(PHONE)
            size = (tmp_path / "relay.db-wal").stat().st_size
            with limited(process, resource.RLIMIT_FSIZE, size):
                refused = await backend.ask("POST", "/v1/events", EVENT, {"idempotency-key": "k-1"})
                assert (refused.status, refused.headers["retry-after"]) == (503, "5")
                assert await readiness(relay) == (503, ["store_fails"])
                moved = await backend.ask("PUT", "/v1/users/anna/devices/tablet", {"platform": "none"})
                assert moved.status == 503
                assert (await backend.ask("GET", "/v1/users/anna/devices/phone0")).status == 200
            await becomes_ready(relay)
            taken = await backend.ask("POST", "/v1/events", EVENT, {"idempotency-key": "k-1"})
            assert taken.status == 202
            await seen.of(PHONE, 2)
            assert (await backend.ask("GET", "/v1/users/anna/devices/tablet")).status == 404
            process.terminate()
            assert await process.ended() == 0


async def test_no_descriptors_left(tmp_path: Path) -> None:
    """Who is connected is answered, nobody else is let in; the log does not fill the next disk. Then all goes on."""
    async with fake_apns(tmp_path / "apple") as apple:
        relay, seen = put_up(tmp_path, apple), Sightings(apple.journal)
        async with relay.serving() as process, relay.backend_client() as backend:
            await register(backend, "anna", PHONE)
            with limited(process, resource.RLIMIT_NOFILE, _descriptors(process)):
                async with client(relay.door, relay.backend) as late:
                    with trio.move_on_after(1.5):
                        await late.ask("POST", "/v1/events", EVENT)
                        pytest.fail("it was let in")
                    await post(backend, "anna")
                    await seen.of(PHONE)
            async with client(relay.door, relay.backend) as late:
                await post(late, "anna")
            await becomes_ready(relay)
            said = [line for line in process.lines if "accept_failed" in line and "Too many open files" in line]
            assert len(said) == 1, process.lines
            assert not [line for line in process.lines if "Traceback" in line]
            process.terminate()
            assert await process.ended() == 0


async def test_no_memory_left(tmp_path: Path) -> None:
    """Large requests are refused or the process ends, in both cases without a false 202; the next life has it all."""
    async with fake_apns(tmp_path / "apple") as apple:
        relay, seen = put_up(tmp_path, apple), Sightings(apple.journal)
        acknowledged = 0
        async with relay.serving() as process, relay.backend_client() as backend:
            await register(backend, "anna", PHONE)
            with limited(process, resource.RLIMIT_AS, _memory(process)):
                for number in range(20):
                    acknowledged += await _is_taken(backend, number)
            status = process.process.poll()
            if status is None:
                await becomes_ready(relay)
                process.terminate()
                assert await process.ended() == 0
        async with relay.serving() as process, relay.backend_client() as backend:
            for number in range(20):
                assert await _is_taken(backend, number)
            await seen.of(PHONE)
        assert acknowledged < 20, "there was memory for all"


def _descriptors(process: Child) -> int:
    return len(list(Path(f"/proc/{process.process.pid}/fd").iterdir()))


def _memory(process: Child) -> int:
    pages = int(Path(f"/proc/{process.process.pid}/statm").read_text().split()[0])
    return pages * resource.getpagesize()


async def _is_taken(backend: Client, number: int) -> bool:
    body = {"users": ["anna", *(f"nobody-{number}-{other}" for other in range(24_000))]}
    try:
        answer = await backend.ask("POST", "/v1/events", body, {"idempotency-key": f"k-{number}"})
    except (NoAnswer, NotSent):
        return False
    assert answer.status in (202, 503), answer
    return answer.status == 202


# --- what is wrong before it starts


def another_key(relay: Installation) -> None:
    (relay.folder / "master").write_text(f"0:{base64.b64encode(bytes(32)).decode()}\n")


def no_key(relay: Installation) -> None:
    (relay.folder / "master").unlink()


def spoilt_file(relay: Installation) -> None:
    content = relay.database.read_bytes()
    relay.database.write_bytes(content[:100] + bytes(4000) + content[4100:])


def another_file(relay: Installation) -> None:
    relay.database.write_bytes(b"This is a letter, and no database." * 100)


@pytest.mark.parametrize(
    ("spoil", "code", "sentence"),
    [
        (another_key, 1, "the master key file does not hold the key this database is sealed with"),
        (no_key, 2, "store.key_file: cannot be read: No such file or directory"),
        (spoilt_file, 1, "the database file is damaged"),
        (another_file, 1, "the file is not a database"),
    ],
)
async def test_what_keeps_it_from_starting_is_said_in_one_line_and_mended_by_putting_it_back(
    tmp_path: Path, spoil: Callable[[Installation], None], code: int, sentence: str
) -> None:
    """Nothing is written by the attempt: with the right key or file again it goes on where it was."""
    async with fake_apns(tmp_path / "apple") as apple:
        relay, seen = put_up(tmp_path, apple), Sightings(apple.journal)
        async with relay.serving() as process, relay.backend_client() as backend:
            await register(backend, "anna", PHONE)
            process.terminate()
            assert await process.ended() == 0
        kept = {name: (tmp_path / name).read_bytes() for name in ("master", "relay.db")}
        spoil(relay)
        async with relay.starting() as process:
            assert await process.ended() == code
            (line,) = process.lines
            assert sentence in line
        for name, content in kept.items():
            (tmp_path / name).touch(0o600)
            (tmp_path / name).write_bytes(content)
        async with relay.serving(), relay.backend_client() as backend:
            await post(backend, "anna")
            await seen.of(PHONE)
