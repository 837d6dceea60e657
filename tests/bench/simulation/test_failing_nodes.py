"""The simulation of two nodes can fail: with a part that breaks what holds between them, the judge says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from bench.simulation.database import NodeStore
from bench.simulation.machine import Parts
from bench.simulation.run import simulate
from bench.simulation.storms import copies, cut_off, held
from bench.simulation.weather import suspended
from relay.core.batch import Batch
from relay.core.private import UserKey
from relay.doors.http1 import Request, Response
from relay.neighbours import Here, Neighbours
from relay.service import Relay
from relay.tenure import Tenure
from tests.bench.simulation.test_failing import Hurried

SEEDS = range(1, 9)


def failures(parts: Parts, expected: Sequence[str]) -> dict[str, int]:
    """Of the first seeds, up to one that finds as much as was expected, or of all: and where each was found."""
    found: dict[str, int] = {}
    for seed in SEEDS:
        for sentence in simulate(seed, parts, nodes=2).failures:
            found.setdefault(sentence, seed)
        if any(sentence.startswith(some) for sentence in found for some in expected):
            break
    return found


class Eternal(Tenure):
    """Believes for ever that its people are its own."""

    def holds(self) -> bool:
        return True


class Silent(Tenure):
    """Tells nobody that it goes on, unless somebody had looked while it was over."""

    def renewed(self, asked_at: float, clock_then: float) -> None:
        self._count_from(asked_at, clock_then)


class Unfenced(NodeStore):
    """Writes whatever happened to its epoch."""

    def commit(self, batch: Batch) -> None:
        life = self.database.lives.get(self._node)
        if life is None:
            joined = self.database.join("nowhere")
            self.database.lives[self._node] = self.database.lives.pop(joined)
        super().commit(batch)
        if life is None:
            self.database.lives.pop(self._node)


class Deaf(Relay):
    """Says that an edit is made, and does not send it on to the node that has its person."""

    def _add_doors(self, neighbours: Neighbours | None) -> None:
        assert neighbours is not None

        async def forward(request: Request, user: UserKey, here: Here) -> Response:
            if request.method == b"PUT" and request.target.endswith(b"/rest"):
                return Response(200, b"{}", b"application/json", ())
            return await forwarded(request, user, here)

        forwarded = neighbours.forward
        neighbours.forward = forward  # type: ignore[method-assign]
        super()._add_doors(neighbours)


class Forgetting(NodeStore):
    """Fetches what was posted, and loses it."""

    def commit(self, batch: Batch) -> None:
        super().commit(replace(batch, slots={}) if batch.fetched else batch)


class Gullible(Relay):
    """Takes whatever another node has said, however often."""

    def _add_doors(self, neighbours: Neighbours | None) -> None:
        super()._add_doors(neighbours)
        assert self.shared is not None
        assert self.shared._asked is not None
        vars(self.shared._asked)["_is_new"] = lambda _at, _nonce: True


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (Parts(tenure=Eternal, faults=[cut_off]), ["somebody was woken by a node", "somebody was woken in rest"]),
        (Parts(tenure=Silent, faults=[suspended]), ["a notice of the class", "an order was not sent anew"]),
        (Parts(store=Unfenced, faults=[held, cut_off]), ["a node has written about somebody whom it does not have"]),
        (Parts(relay=Deaf), ["the relay knows another plan than was handed in", "somebody was woken in rest"]),
        (Parts(store=Forgetting), ["the books do not balance"]),
        (Parts(relay=Gullible, faults=[copies]), ["a message between nodes was taken twice"]),
        (Parts(relay=Hurried), ["somebody was not rung in time", "the books call more notices expired than can be"]),
    ],
    ids=[
        "tenure without end", "goes on in silence", "writes when buried", "sends no edit on", "loses what was posted",
        "takes copies", "gives alarms up",
    ],
)  # fmt: skip
def test_a_broken_part_is_noticed(parts: Parts, expected: Sequence[str]) -> None:
    found = failures(parts, expected)
    assert any(sentence.startswith(some) for sentence in found for some in expected), found
