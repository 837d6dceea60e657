"""Requests that are made until there is an answer, by the table in the README."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from random import Random
from typing import Final
from urllib.parse import quote

import trio

from bench.simulation.caller import Answer, Caller
from bench.simulation.clock import Clocks
from bench.simulation.trace import Trace

AGAIN: Final = (0.5, 20.0)
"""Seconds before a request is repeated, first and at most."""
REMEMBERED: Final = 20 * 3600.0
"""Seconds of true time for which the relay remembers an Idempotency-Key, or a receipt, whatever its clock says."""


def _nothing() -> None:
    """Repeating it changes nothing."""


class Asker:
    """Asks with API keys, by their names."""

    def __init__(self, caller: Caller, clocks: Clocks, trace: Trace, rng: Random, keys: Mapping[str, str]) -> None:
        self._caller = caller
        self._clocks = clocks
        self._trace = trace
        self._rng = rng
        self._keys = keys
        self.open = 0
        """Requests without an answer yet."""
        self.hurries = False
        """Nothing goes wrong any more: ask again soon."""

    async def insist(
        self, method: str, target: str, content: object = None, *, key: str = "backend", once: str | None = None,
        repeats: Callable[[], None] = _nothing, token: str | None = None,
    ) -> tuple[Answer, int]:  # fmt: skip
        """Ask until there is an answer; return it, and how often it was asked.

        `once`: an Idempotency-Key. `repeats`: told of each repetition that may count once more. `token`: an officer's.
        """
        headers = {"Authorization": f"Bearer {token or self._keys[key]}", "Content-Type": "application/json"}
        if once is not None:
            headers["Idempotency-Key"] = once
        body = b"" if content is None else json.dumps(content).encode()
        wait, began, attempts = AGAIN[0], self._clocks.true(), 0
        self.open += 1
        try:
            while True:
                attempts += 1
                answer = await self._caller.ask(method, target, headers, body)
                self._trace.say(f"{method} {target} {answer.status if answer else 'no answer'}")
                if answer is not None and answer.status not in (429, 503):
                    if answer.status >= 500:
                        self._trace.fail(f"a request was answered {answer.status}", f"{method} {target}")
                    return answer, attempts
                if once is None or self._clocks.true() - began > REMEMBERED:
                    repeats()
                await trio.sleep(wait * (0.5 + self._rng.random() / 2))
                wait = AGAIN[0] if self.hurries else min(wait * 2, AGAIN[1])
        finally:
            self.open -= 1

    async def token(self, user: str) -> str | None:
        """A token of a user; None when the relay does not know the user. A link whose answer is lost is used up."""
        while True:
            answer, _ = await self.insist("POST", f"/v1/users/{quote(user)}/link", key="rest")
            if answer.status == 404:
                return None
            answer, _ = await self.insist("POST", "/v1/me/token", {"link": answer.content["link"]})
            if answer.status == 201:
                return str(answer.content["token"])
            self.expect(answer, 403)

    def expect(self, answer: Answer, *statuses: int) -> bool:
        """Whether it is one of these answers; any other one cannot be right."""
        if answer.status not in statuses:
            self._trace.fail(f"a request was answered {answer.status} where that cannot be", answer.body.decode())
        return answer.status in statuses
