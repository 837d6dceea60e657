"""Against a relay that runs already: never one that sends to somebody who is no simulator."""

from __future__ import annotations

import argparse
import json
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import trustme

from bench import running, stage
from relay.simulators.certificates import Authority

Provider = dict[str, str]


@contextmanager
def provider(context: ssl.SSLContext) -> Iterator[str]:
    """A TLS server that completes handshakes and reads; it must never read anything. Its address."""
    listener, heard = socket.create_server(("127.0.0.1", 0)), []

    def serve() -> None:
        while True:
            try:
                plain, _ = listener.accept()
            except OSError:
                return
            try:
                with plain, context.wrap_socket(plain, server_side=True) as stream:
                    heard.append(stream.recv(100))
            except OSError:
                heard.append(b"")

    thread = threading.Thread(target=serve)
    thread.start()
    yield f"127.0.0.1:{listener.getsockname()[1]}"
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()
    assert not any(heard), "something was sent"


@contextmanager
def ops(*providers: Provider) -> Iterator[str]:
    """The ops port of a relay with these providers."""

    class Telling(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = json.dumps({"providers": providers}).encode()
            self.send_response(200 if self.path == "/providers" else 404)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Telling) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def google() -> ssl.SSLContext:
    """What is no simulator."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


def asked(url: str = "http://127.0.0.1:1", key: str = "k", ops: str = "http://127.0.0.1:1") -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    running.add_options(parser)
    return parser.parse_args(["--url", url, "--key", key, "--ops", ops])


@pytest.mark.sockets
def test_a_relay_that_sends_to_simulators_is_used() -> None:
    simulator = Authority().server_context()
    with provider(simulator) as first, provider(simulator) as second:
        phones = {"tenant": "t", "app": "android", "provider": "fcm", "address": first, "token_address": second}
        pads = {"tenant": "t", "app": "ios", "provider": "apns", "address": first}
        with ops(phones, pads) as told:
            node = running.node(asked(ops=told))
    assert node is not None
    assert (node.app, node.pid) == ("ios", None)


@pytest.mark.sockets
@pytest.mark.parametrize("at", ["address", "token_address"])
def test_one_address_that_is_no_simulator_is_enough_to_refuse(at: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Among many that are; and it is told which."""
    with provider(Authority().server_context()) as good, provider(google()) as bad:
        android = {"tenant": "t", "app": "android", "provider": "fcm", "address": good, "token_address": good, at: bad}
        ios = {"tenant": "t", "app": "ios", "provider": "apns", "address": good}
        with ops(ios, android) as told, pytest.raises(SystemExit) as exit_:
            running.node(asked(ops=told))
    assert exit_.value.code == 2
    assert f"app android: {bad} speaks TLS, and does not agree" in (said := capsys.readouterr().err)
    assert good not in said


@pytest.mark.sockets
def test_a_proxy_in_between_is_enough_to_refuse(capsys: pytest.CaptureFixture[str]) -> None:
    """What answers here may not be what answers there."""
    with provider(Authority().server_context()) as good, pytest.raises(SystemExit):
        running.refuse_unless_simulators([{"app": "ios", "address": good, "proxy": "proxy.example:3128"}])
    assert "app ios: proxy.example:3128 is a proxy" in capsys.readouterr().err


@pytest.mark.sockets
def test_the_deadline_for_somebody_who_says_nothing_is_ours(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "PATIENCE", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as listener, pytest.raises(SystemExit):
        running.refuse_unless_simulators([{"app": "ios", "address": f"127.0.0.1:{listener.getsockname()[1]}"}])
    assert "does not answer within" in capsys.readouterr().err


@pytest.mark.parametrize("address", ["", "host", "host:", "host:x"])
def test_what_is_no_address_is_refused(address: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        running.refuse_unless_simulators([{"app": "ios", "address": address}])
    assert "is no address" in capsys.readouterr().err


@pytest.mark.sockets
def test_a_relay_that_does_not_tell_where_it_sends_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        running.node(asked(ops="http://127.0.0.1:1"))
    assert exit_.value.code == 2
    assert "does not tell where the relay sends" in capsys.readouterr().err


def test_the_options_go_together(capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    running.add_options(parser)
    assert running.node(parser.parse_args([])) is None
    for given in (["--url", "http://x"], ["--url", "http://x", "--key", "k"], ["--ops", "http://x"]):
        with pytest.raises(SystemExit) as exit_:
            running.node(parser.parse_args(given))
        assert exit_.value.code == 2
    with pytest.raises(SystemExit):
        running.node(asked(url="https://x"))
    assert "must be http://host:port" in capsys.readouterr().err


@pytest.mark.processes
@pytest.mark.parametrize("script", ["ingest", "force", "latency"])
def test_a_script_exits_with_2_and_has_sent_nothing(script: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    stamps = tmp_path_factory.mktemp("sink") / "stamps"
    stamps.touch()
    more = ["--stamps", str(stamps)] if script == "latency" else []
    with (
        provider(google()) as bad,
        ops({"tenant": "t", "app": "ios", "provider": "apns", "address": bad}) as told,
        socket.create_server(("127.0.0.1", 0)) as door,
    ):
        url = f"http://127.0.0.1:{door.getsockname()[1]}"
        command = [sys.executable, "-m", f"bench.{script}", "--url", url, "--key", "k", "--ops", told, *more]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        door.setblocking(False)
        with pytest.raises(BlockingIOError):
            door.accept()
    assert ended.returncode == 2, ended.stderr
    assert bad in ended.stderr


@pytest.mark.processes
def test_a_key_that_the_relay_does_not_know_ends_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the relay's own words, and without an attempt to delete what was never registered."""
    database = tmp_path / "relay.db"
    stage.fill(database, [])
    with stage.sink(tmp_path) as (port, ca), stage.node(tmp_path, database, port, ca) as node:
        stranger = replace(node, key="backend.wrong")
        with pytest.raises(SystemExit) as exit_, running.registered(stranger, [["ab" * 32]]):
            pytest.fail("nobody may begin")
    assert exit_.value.code == 2
    assert "did not take the users: 401" in (said := capsys.readouterr().err)
    assert "left behind" not in said
