"""The second opinion: a question for the vendor's library, asked in a process of its own within a deadline."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

import trio

from relay.config import AnyAppConfig, FcmAppConfig
from relay.core.verdicts import Action
from relay.doctor.words import Reading
from relay.lanes.provider import Provider
from relay.lanes.proxy import Proxy, authority
from relay.ways import address_of
from relay.wire import Answer

COMMAND: Final = (sys.executable, "-P", "-m", "relay.doctor.library")
"""`-P`: what lies in the folder where the doctor was called is no module of ours, and would be handed the keys."""
PATIENCE: Final = 25.0
"""Seconds for the library's process, its start included."""
_DETOURS: Final = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
"""Variables by which a library would go another way than we do."""
LIBRARIES: Final = {"apns": "aioapns", "fcm": "pyfcm"}

Ask = Callable[[Mapping[str, Any]], Awaitable[Mapping[str, object]]]
"""A question as library.py takes it → what it tells."""


@dataclass(frozen=True, slots=True)
class Second:
    """Of the library `name`: what it was answered, or a word why it was not."""

    name: str
    reading: Reading | None = None
    failed: str = ""
    is_asked: bool = True
    """False: it cannot go where we go."""

    def __str__(self) -> str:
        return str(self.reading or self.failed)


async def in_a_process(question: Mapping[str, Any]) -> Mapping[str, object]:
    """Ask library.py. Tells `failed` when it comes to no end, or ends otherwise than it should."""
    env = {name: value for name, value in os.environ.items() if name.lower() not in _DETOURS}
    with trio.move_on_after(PATIENCE):
        done = await trio.run_process(
            COMMAND, stdin=json.dumps(question).encode(), capture_stdout=True, capture_stderr=True, check=False,
            env=env,
        )  # fmt: skip
        try:
            told = json.loads(done.stdout.splitlines()[-1])
        except (ValueError, IndexError):
            return {"failed": "no_result"}
        return told if isinstance(told, dict) else {"failed": "no_result"}
    return {"failed": "no_answer"}


async def opinion(
    app: AnyAppConfig, token: str, bearer: bytes, proxy: Proxy | None, read: Provider, now: float, ask: Ask
) -> Second:
    """What the vendor's library is answered. `bearer`: our provider token for it; empty: it makes its own.

    aioapns has no credentials for a proxy, and asks for a tunnel in a form that strict ones refuse: what came of that
    would say nothing of our way.
    """
    name = LIBRARIES["fcm" if isinstance(app, FcmAppConfig) else "apns"]
    if proxy is not None and not isinstance(app, FcmAppConfig):
        return Second(name, failed="it is not asked through a proxy", is_asked=False)
    told = await ask(question(app, token, bearer, proxy))
    status, body = told.get("status"), told.get("body")
    if not isinstance(status, int) or not isinstance(body, str):
        return Second(name, failed=str(told.get("failed", "no_result")))
    if status == 200:
        return Second(name, Reading(200, "", Action.ACCEPTED))
    judgement = read.judge(Answer(None, status, body.encode()), now)
    return Second(name, Reading(status, judgement.reason, judgement.verdict.action))


def question(app: AnyAppConfig, token: str, bearer: bytes, proxy: Proxy | None) -> dict[str, object]:
    host, port = address_of(app)
    common: dict[str, object] = {"token": token, "ca_file": str(app.ca_file) if app.ca_file else None}
    if not isinstance(app, FcmAppConfig):
        key = {"key": app.key.decode(), "key_id": app.key_id, "team_id": app.team_id, "topic": app.topic}
        return {**common, **key, "provider": "apns", "host": host, "port": port, "bearer": bearer.decode()}
    account = app.account
    told = {
        "project_id": account.project_id,
        "client_email": account.client_email,
        "private_key": account.private_key,
        "private_key_id": account.private_key_id,
        "token_uri": account.token_uri,
    }
    base = f"https://{authority(host, port)}/v1/projects"
    return {**common, "provider": "fcm", "account": told, "base": base, "proxy": proxy and _url(proxy)}


def _url(proxy: Proxy) -> str:
    login = proxy.login
    user = f"{quote(login[0], safe='')}:{quote(login[1], safe='')}@" if login else ""
    return f"http://{user}{proxy.authority}"
