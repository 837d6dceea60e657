"""Runs that can be repeated: trio's scheduler made deterministic, on a clock that only jumps.

The one file that touches what trio does not promise. Its scheduler shuffles the tasks of each turn on purpose; with
`_ALLOW_DETERMINISTIC_SCHEDULING` it sorts them first, and shuffles them by a generator that can be seeded (trio does so
for Hypothesis). So the order of tasks is one more thing that a seed decides, and that can be had again.

A part of the tasks can be stopped and go on later, as a process by SIGSTOP and SIGCONT: all below one task. They are
kept out of trio's queue of those who can run. Meanwhile time goes on, deadlines pass and events are set; nothing of it
is noticed before they go on, and then all at once.

What else could differ between two processes is the order of sets of bytes and strings: it hangs on the hash seed, which
`bench.simulate` fixes before anything is imported (`PYTHONHASHSEED`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from random import Random
from typing import Final, TypeVar

import trio
from trio._core import _run

T = TypeVar("T")
HASH_SEED: Final = "0"
"""Of all processes that simulate."""

STUCK: Final = 1_000
"""Turns without any deadline after which a run is given up."""


def chance(seed: int, part: str) -> Random:
    """The generator of one part of a run: what one part draws changes nothing for the others."""
    return Random(f"{seed}/{part}")


class JumpingClock(trio.abc.Clock):
    """Stands still while anybody has something to do, and then jumps to what is due next.

    As trio's MockClock with `autojump_threshold=0`, in half the turns: nobody but the tasks themselves can wake a task
    here, so when trio asks how long it may sleep, there is nothing to wait for.
    """

    def __init__(self) -> None:
        self._now = 0.0
        self._stuck = 0

    def start_clock(self) -> None:
        """It stands."""

    def current_time(self) -> float:
        return self._now

    def deadline_to_sleep_time(self, deadline: float) -> float:
        if deadline == float("inf"):  # trio itself is about to begin or to end; or nothing will ever happen again
            self._stuck += 1
            if self._stuck > STUCK:
                raise RuntimeError("everybody waits for ever")
            return 0.001
        self._now = max(self._now, deadline)
        return 0.0


class _Runnable(deque[trio.lowlevel.Task]):
    """trio's queue, without the tasks below those that are stopped."""

    def __init__(self) -> None:
        super().__init__()
        self.stopped: dict[trio.lowlevel.Task, list[trio.lowlevel.Task]] = {}

    def append(self, task: trio.lowlevel.Task, /) -> None:
        above = self._stopped_above(task) if self.stopped else None
        if above is None:
            super().append(task)
        else:
            self.stopped[above].append(task)

    def _stopped_above(self, task: trio.lowlevel.Task | None) -> trio.lowlevel.Task | None:
        while task is not None and task not in self.stopped:
            nursery = task.parent_nursery
            task = None if nursery is None else nursery.parent_task
        return task


def _runnable() -> _Runnable:
    runner = _run.GLOBAL_RUN_CONTEXT.runner
    if not isinstance(runner.runq, _Runnable):
        runner.runq, found = _Runnable(), runner.runq
        runner.runq.extend(found)
    assert isinstance(runner.runq, _Runnable)
    return runner.runq


def stop(task: trio.lowlevel.Task) -> None:
    """From the end of this turn on nothing below this task runs, until `go_on`. Not to be called from below it."""
    queue = _runnable()
    if task not in queue.stopped:
        queue.stopped[task] = []
        waiting = list(queue)
        queue.clear()
        for each in waiting:
            queue.append(each)


def go_on(task: trio.lowlevel.Task) -> None:
    """Whatever would have run meanwhile runs."""
    queue = _runnable()
    for each in queue.stopped.pop(task, ()):
        queue.append(each)


def run(main: Callable[[], Awaitable[T]], seed: int) -> T:
    """Run an async function in virtual time, in an order that follows from the seed."""
    before = _run._ALLOW_DETERMINISTIC_SCHEDULING, _run._r.getstate()
    _run._ALLOW_DETERMINISTIC_SCHEDULING = True  # type: ignore[misc]
    _run._r.seed(seed)
    try:
        return trio.run(main, clock=JumpingClock())
    finally:
        _run._ALLOW_DETERMINISTIC_SCHEDULING = before[0]  # type: ignore[misc]
        _run._r.setstate(before[1])
