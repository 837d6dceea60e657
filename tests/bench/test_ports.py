"""Ports for servers: nobody gets one that another has, or that somebody listens on."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

from bench import ports

pytestmark = pytest.mark.sockets

MANY = 50


def test_none_is_given_twice() -> None:
    given = [ports.free_port() for _ in range(MANY)]
    assert len(set(given)) == MANY
    assert all(ports.FIRST <= port <= ports.LAST for port in given)


def test_where_somebody_listens_is_none() -> None:
    taken = ports.free_port()
    with socket.create_server(("127.0.0.1", taken)):
        assert taken not in {ports.free_port() for _ in range(ports.BLOCK)}


@pytest.mark.processes
def test_another_process_gets_others() -> None:
    """Also while the ports of the first have not been used yet."""
    ours = {ports.free_port() for _ in range(MANY)}
    draw = f"from bench.ports import free_port; print(*(free_port() for _ in range({MANY})))"
    drawn = subprocess.run([sys.executable, "-c", draw], capture_output=True, text=True, check=True).stdout
    assert ours.isdisjoint(map(int, drawn.split()))


def test_a_child_that_was_forked_has_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = {ports.free_port() for _ in range(MANY)}
    monkeypatch.setattr(os, "getpid", lambda: -1)
    assert ours.isdisjoint({ports.free_port() for _ in range(MANY)})


def test_when_all_are_leased_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "_STARTS", range(0))
    monkeypatch.setattr(ports, "_leased", {})
    with pytest.raises(RuntimeError, match="leased"):
        ports.free_port()
