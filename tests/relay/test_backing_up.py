"""`feierabend backup`: a whole new file, or none; by the relay that runs, or without one."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path

import pytest
import trio

from relay import unix
from relay.backing_up import CannotBackUp, back_up
from relay.config import Config
from relay.doors.http1 import Limits, Request, Response, Server
from relay.doors.problems import problem, refusal
from relay.ops.copier import Copier
from relay.store.copying import Contents, beside, examine
from relay.store.files import lock
from relay.store.port import StoreError
from relay.store.schema import MIGRATIONS, VERSION
from relay.store.sqlite import SqliteStore
from tests.relay.node import Node, config_of
from tests.relay.store.test_sqlite import largest_file, sql
from tests.relay.world import NOON


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """Of a node that has run: two people are registered."""
    (tmp_path / "state").mkdir()
    with Node(tmp_path / "state") as node:
        node.register("anna")
        node.register("bert")
        node.rest("anna")
    return node.config


def files(folder: Path) -> set[str]:
    return {file.name for file in folder.iterdir() if file.is_file()}


BESIDE = {"relay.db", "relay.db.lock", "relay.db.erased"}

# --- while no relay runs


def test_a_backup_is_a_whole_private_file(config: Config, tmp_path: Path) -> None:
    target = tmp_path / "monday"
    contents = back_up(config, target, NOON)
    assert contents == Contents(NOON, VERSION, 2, target.stat().st_size)
    assert examine(target) == contents
    assert target.stat().st_mode & 0o777 == 0o600
    assert files(tmp_path) == {"monday"}
    assert {name for name in files(tmp_path / "state") if not name.endswith(("-shm", "-wal"))} == BESIDE


def test_nothing_is_overwritten(config: Config, tmp_path: Path) -> None:
    for name in ("monday", "tuesday.part"):
        (tmp_path / name).write_text("precious")
        with pytest.raises(CannotBackUp, match=f"{name}: is there already; nothing was written$"):
            back_up(config, tmp_path / name.removesuffix(".part"), NOON)
        assert (tmp_path / name).read_text() == "precious"
    (tmp_path / "link").symlink_to("nowhere")
    with pytest.raises(CannotBackUp):
        back_up(config, tmp_path / "link", NOON)


def test_where_there_is_no_database_none_is_made(tmp_path: Path) -> None:
    with pytest.raises(CannotBackUp, match=r"relay\.db: there is no database$"):
        back_up(config_of(tmp_path), tmp_path / "monday", NOON)
    assert files(tmp_path) == set()


def test_a_full_disk_leaves_nothing(config: Config, tmp_path: Path) -> None:
    with largest_file(10_000), pytest.raises(StoreError):
        back_up(config, tmp_path / "monday", NOON)
    assert files(tmp_path) == set()


def test_a_folder_that_is_not_there_is_named(config: Config, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        back_up(config, tmp_path / "nowhere" / "monday", NOON)
    assert str(caught.value.filename) == str(tmp_path / "nowhere" / "monday.part")


def test_a_damaged_database_makes_no_backup(config: Config, tmp_path: Path) -> None:
    with config.store.file.open("r+b") as file:
        file.seek(2 * 2048)
        file.write(bytes(20 * 2048))
    with pytest.raises((CannotBackUp, StoreError), match="damaged"):
        back_up(config, tmp_path / "monday", NOON)
    assert files(tmp_path) == set()


def test_an_older_database_stays_as_old_as_it_is(tmp_path: Path) -> None:
    config = config_of(tmp_path)
    SqliteStore(config.store.file, migrations=MIGRATIONS[:4]).close()
    assert back_up(config, tmp_path / "monday", NOON).version == 4
    assert sql(config.store.file, "PRAGMA user_version") == [(4,)]


# --- while one runs


@asynccontextmanager
async def serving(config: Config, server: Server) -> AsyncIterator[None]:
    assert config.control is not None
    async with trio.open_nursery() as nursery:
        await nursery.start(unix.serve, server, config.control)
        yield
        nursery.cancel_scope.cancel()


def control_of(config: Config) -> Server:
    """What the control socket of a relay does for a backup."""
    copier = Copier(config.store.file, lambda: NOON + 7, pause=0, spare=0)

    async def answer(request: Request) -> Response:
        assert (request.method, request.target) == (b"POST", b"/backup")
        return Response(200, b'{"at":%r}' % await copier.copy())

    return Server(answer, refusal, Limits())


@pytest.mark.processes
async def test_a_relay_that_runs_makes_the_copy(config: Config, tmp_path: Path) -> None:
    target = tmp_path / "monday"
    with closing(SqliteStore(config.store.file)):
        async with serving(config, control_of(config)):
            contents = await trio.to_thread.run_sync(back_up, config, target, NOON)
    assert (contents.at, contents.people) == (NOON + 7, 2)
    assert files(tmp_path) == {"monday"}
    assert target.stat().st_mode & 0o777 == 0o600
    assert not beside(config.store.file).exists()


@pytest.mark.processes
async def test_what_the_relay_says_is_passed_on(config: Config, tmp_path: Path) -> None:
    async def answer(_request: Request) -> Response:
        return problem("unavailable", "the disk is full")

    held = lock(config.store.file)
    async with serving(config, Server(answer, refusal, Limits())):
        with pytest.raises(CannotBackUp, match=r"^the disk is full$"):
            await trio.to_thread.run_sync(back_up, config, tmp_path / "monday", NOON)
    os.close(held)
    assert files(tmp_path) == set()


@pytest.mark.processes
async def test_a_copy_that_another_has_taken_is_missed(config: Config, tmp_path: Path) -> None:
    async def answer(_request: Request) -> Response:
        return Response(200, b'{"at":1}')

    held = lock(config.store.file)
    async with serving(config, Server(answer, refusal, Limits())):
        with pytest.raises(CannotBackUp, match=r"relay\.db\.copy: is gone; is another backup under way\?$"):
            await trio.to_thread.run_sync(back_up, config, tmp_path / "monday", NOON)
    os.close(held)
    assert files(tmp_path) == set()


def test_a_relay_that_does_not_answer_is_named(config: Config, tmp_path: Path) -> None:
    held = lock(config.store.file)
    for one in (config, replace(config, control=None)):
        with pytest.raises(CannotBackUp, match=r"but the database is in use$"):
            back_up(one, tmp_path / "monday", NOON)
    os.close(held)
    assert files(tmp_path) == set()


@pytest.mark.processes
async def test_a_full_disk_at_the_target_leaves_nothing_there_and_nothing_here(config: Config, tmp_path: Path) -> None:
    """The copy was made, and could not be taken away."""
    held = lock(config.store.file)

    async def answer(_request: Request) -> Response:
        os.rename(tmp_path / "copy", beside(config.store.file))
        return Response(200, b'{"at":1}')

    def limited() -> None:
        with largest_file(10_000):
            back_up(config, tmp_path / "monday", NOON)

    async with serving(config, Server(answer, refusal, Limits())):
        shutil.copyfile(config.store.file, tmp_path / "copy")
        with pytest.raises(OSError, match="File too large"):
            await trio.to_thread.run_sync(limited)
    os.close(held)
    assert files(tmp_path) == set()
    assert not beside(config.store.file).exists()
