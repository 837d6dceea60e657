"""The door as a process: what it is handed in addresses stands in nothing that it says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Final

import httpx
import pytest
import trio

from tests.e2e.processes import PATIENCE, ROOT

pytestmark = pytest.mark.processes
CANARY: Final = "canary-9f3b7c1d5e"
BASE: Final = "http://localhost:8081"
OIDC: Final = {"tenant": "example", "name": "Dienstkonto", "issuer": "http://127.0.0.1:9", "client_id": "feierabend"}


async def test_no_address_with_a_secret_is_logged(tmp_path: Path) -> None:
    """Nobody answers behind it, neither relay nor provider: that is when most is logged."""
    settings = {
        "socket": str(tmp_path / "door.sock"), "listen": ["127.0.0.1:0"], "base_url": BASE,
        "oidc": [{**OIDC, "client_secret": CANARY}],
    }  # fmt: skip
    process = await trio.lowlevel.open_process(
        [sys.executable, "-m", "schedules.web"], cwd=ROOT,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    said = b""
    try:
        with trio.fail_after(PATIENCE):
            await process.stdin.send_all(json.dumps(settings).encode() + b"\n")
            while b"\n" not in said and (part := await process.stdout.receive_some()) != b"":
                said += part
            print(said.decode())
            ready = next(json.loads(line) for line in said.splitlines() if b"ready" in line)
            await _ask(f"http://{ready['listen'][0]}")
            await process.stdin.aclose()  # whoever started it is gone
            async for part in process.stdout:
                said += part
            assert await process.wait() == 0
    finally:
        process.kill()
        await trio.aclose_forcefully(process.stdout)
        await process.wait()
    assert b'"login_refused"' in said
    assert CANARY.encode() not in said


async def _ask(url: str) -> None:
    headers = {"host": "localhost:8081", "sec-fetch-site": "same-origin"}
    form = headers | {"content-type": "application/x-www-form-urlencoded"}
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=PATIENCE) as client:
        assert (await client.get(f"/link/{CANARY}")).status_code == 200
        answer = await client.post(f"/link/{CANARY}", headers=form)
        assert (answer.status_code, CANARY in answer.text) == (503, False)
        answer = await client.get(f"/login/callback?code={CANARY}&state={CANARY}")
        assert (answer.status_code, CANARY in answer.text) == (403, False)
        answer = await client.get(f"/link/{CANARY}/x")
        assert (answer.status_code, CANARY in answer.text) == (404, False)
        answer = await client.get(f"/link/{CANARY}", headers={"host": "evil.example"})
        assert (answer.status_code, CANARY in answer.text) == (421, False)
        page = (await client.get("/de/login")).text
        address = page.split('class="main" href="')[1].split('"')[0]
        assert (await client.get(address, headers={"cookie": f"feierabend={CANARY}"})).status_code == 503
