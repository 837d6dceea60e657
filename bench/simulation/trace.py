"""What happened in a run, in order. Its digest shows that two runs were the same, its lines tell why one failed."""

from __future__ import annotations

from hashlib import blake2b

import trio


class Trace:
    """Lines with virtual seconds since the start. Names are those of the simulation; nothing random is in it."""

    def __init__(self) -> None:
        self._hash = blake2b(digest_size=8)
        self._zero = trio.current_time()
        self.lines: list[str] = []
        self.faults = 0
        self.failures: list[str] = []
        """What must not be, as sentences without names, each once."""

    def say(self, line: str) -> None:
        told = f"{trio.current_time() - self._zero:.6f} {line}"
        self._hash.update(told.encode() + b"\n")
        self.lines.append(told)

    def fault(self, line: str) -> None:
        """Something was made to go wrong."""
        self.faults += 1
        self.say(f"fault: {line}")

    def fail(self, sentence: str, about: str = "") -> None:
        """A promise was broken. `about`: whom it concerns, for the trace only."""
        self.say(f"FAILURE: {sentence} {about}")
        if sentence not in self.failures:
            self.failures.append(sentence)

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()
