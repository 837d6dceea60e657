"""The recording client, told of two nodes. A thread reads what it says, so that one can look elsewhere meanwhile."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Sequence
from typing import Any, Final

from bench.crash.installation import Installation
from bench.crash.record import Record
from bench.crash.relays import Helper

ROUND: Final = 7.0
"""Seconds of a round, about, as people.py has them of a single relay."""


class SharedClient(Helper):
    def __init__(self, installations: Sequence[Installation], rounds: int, crowd: int, seed: int) -> None:
        path = installations[0].folder.parent / "record.jsonl"
        settings = {
            "rounds": rounds, "crowd": crowd, "seed": seed, "pace": ROUND, "keys": installations[0].keys,
            "ports": [each.door for each in installations], "ops": [each.ops for each in installations],
            "record": str(path),
        }  # fmt: skip
        super().__init__("bench.crash.backend", json.dumps(settings))
        self.record = Record(path)
        assert super().hear()["ready"]
        self._said: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._open = 0
        self._sent: list[int] = []
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        try:
            while True:
                self._said.put(super().hear())
        except (SystemExit, ValueError):
            self._said.put(None)

    def tell(self, **command: object) -> None:
        super().tell(**command)
        self._open += command["do"] not in ("life", "rest")

    def look(self) -> None:
        """Take in what it has said."""
        while not self._said.empty():
            said = self._said.get()
            if said is None:
                raise SystemExit("the client has ended")
            self._open -= "ended" in said
            self._sent += [said["sent"]] if "sent" in said else []

    @property
    def is_done(self) -> bool:
        """All that it was told is."""
        self.look()
        return not self._open

    @property
    def sent(self) -> Sequence[int]:
        """To which nodes large posts have left so far."""
        self.look()
        return self._sent
