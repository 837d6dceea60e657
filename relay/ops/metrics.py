"""Metrics, collected when asked for: parts have `statistics()`, and nothing is counted twice.

What depends on who rests is summed over all tenants and rounded down to steps of 20, what waits as well as what became
of it: a gauge that falls by one at 06:00, or a counter that rises by one, would say that somebody's night is over. The
exact books are in the store.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from relay.core.books import ACCOUNTS
from relay.core.overdue import Oldest
from relay.core.people import People
from relay.core.sampling import Sample
from relay.core.tables import Tables
from relay.doors.http1 import Server
from relay.journal import JournalStatistics
from relay.lanes.lane import LaneStatistics
from relay.store.port import StoreStatistics

STEP: Final = 20
"""Rest-dependent counts are told in steps of so many people."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the figures come from."""

    people: People
    lanes: Callable[[], Sequence[LaneStatistics]]
    journal: Callable[[], JournalStatistics]
    store: Callable[[], StoreStatistics]
    door: Server
    tables: Tables
    feedback_lost: Callable[[], int]
    """Devices that could not be told of, because their ids do not open."""
    sample: Sample
    tasks: Callable[[], int]
    """Tasks of the event loop."""
    streams: Callable[[], int | None] = lambda: None
    """How many are open; None: there is no stream door."""
    web: Callable[[], bool | None] = lambda: None
    """Whether the officers' door is up; None: there is none."""
    nodes: Callable[[], tuple[int, int] | None] = lambda: None
    """(how many there are, partitions of this one); None: the store is a file."""


def exposition(sources: Sources, oldest: Oldest) -> bytes:
    """The metrics in Prometheus' text format. `oldest`: what should have left and has not (core/overdue.py)."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Relay(sources, oldest))
    return generate_latest(registry)


def coarse(count: int) -> int:
    return count // STEP * STEP


class _Relay(Collector):
    def __init__(self, sources: Sources, oldest: Oldest) -> None:
        self._sources = sources
        self._oldest = oldest

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        yield from self._books()
        yield from self._lanes()
        yield from self._inside()

    def _books(self) -> Iterator[Metric]:
        notices = CounterMetricFamily("feierabend_notices", "Notices by class and fate", labels=["class", "fate"])
        sums: dict[tuple[str, str], int] = {}
        for (_tenant, event_class), account in self._sources.people.books.accounts.items():
            for fate in ACCOUNTS:
                sums[(event_class, fate)] = sums.get((event_class, fate), 0) + getattr(account, fate)
        for (name, fate), value in sorted(sums.items()):
            notices.add_metric([name, fate], value if fate == "accepted" else coarse(value))
        yield notices
        pending = sum(account.pending for account in self._sources.people.books.accounts.values())
        yield GaugeMetricFamily("feierabend_notices_pending", "Pending notices, in steps of 20", value=coarse(pending))

    def _lanes(self) -> Iterator[Metric]:
        """By the app's name: tenants that use the same name are told as a sum, and up when all of them are."""
        gauges = {
            "queued": GaugeMetricFamily("feierabend_lane_queued", "Wakeups queued", labels=["app"]),
            "in_flight": GaugeMetricFamily("feierabend_lane_in_flight", "Wakeups without answer", labels=["app"]),
            "connections": GaugeMetricFamily("feierabend_lane_connections", "Open connections", labels=["app"]),
        }
        clock = GaugeMetricFamily(
            "feierabend_clock_error_seconds", "Our clock is ahead of the provider's; 0 within a minute", labels=["app"]
        )
        up = GaugeMetricFamily("feierabend_lane_up", "1 when the lane may send", labels=["app"])
        answers = CounterMetricFamily("feierabend_lane_answers", "Answers by reason", labels=["app", "reason"])
        by_app: dict[str, list[LaneStatistics]] = {}
        for lane in self._sources.lanes():
            by_app.setdefault(lane.app, []).append(lane)
        for app, lanes in sorted(by_app.items()):
            for name, gauge in gauges.items():
                gauge.add_metric([app], sum(getattr(lane, name) for lane in lanes))
            clock.add_metric([app], max((lane.clock_error for lane in lanes), key=abs))
            up.add_metric([app], float(all(lane.state == "closed" for lane in lanes)))
            reasons = Counter({"accepted": coarse(sum(lane.accepted for lane in lanes))})
            for lane in lanes:
                reasons.update(lane.answers)
            for reason, count in sorted(reasons.items()):
                answers.add_metric([app, reason], count)
        yield from (*gauges.values(), clock, up, answers)
        yield self._overdue(by_app)

    def _overdue(self, apps: Iterable[str]) -> Metric:
        """Every lane with every class, also with 0: what is not there cannot be paged on.

        In steps of 20 s: what is due since the end of somebody's rest does not tell when that was.
        """
        gauge = GaugeMetricFamily(
            "feierabend_oldest_due_unsent_seconds", "Since when the oldest due wakeup waits", labels=["app", "class"]
        )
        classes = {name for tenant in self._sources.people.tenants.values() for name in tenant.classes}
        for app in sorted(apps):
            for name in sorted(classes):
                gauge.add_metric([app, name], coarse(int(self._oldest.get((app, name), 0.0))))
        return gauge

    def _inside(self) -> Iterator[Metric]:
        journal, store = self._sources.journal(), self._sources.store()
        yield CounterMetricFamily("feierabend_commits", "Commits of the store", value=journal.commits)
        yield GaugeMetricFamily("feierabend_commit_waiting", "Recipients waiting for a commit", value=journal.waiting)
        yield GaugeMetricFamily("feierabend_verdicts_waiting", "Verdicts waiting for a commit", value=journal.unsettled)
        yield GaugeMetricFamily("feierabend_store_wal_bytes", "Size of the write-ahead log", value=store.wal_bytes)
        yield GaugeMetricFamily("feierabend_people", "People known", value=coarse(len(self._sources.people.by_key)))
        yield CounterMetricFamily(
            "feierabend_rest_unreadable", "Rest documents that could not be read", value=self._sources.tables.unreadable
        )
        yield CounterMetricFamily(
            "feierabend_rest_checked", "Wakeups asked about a second time", value=coarse(self._sources.sample.checked)
        )
        yield CounterMetricFamily(
            "feierabend_rest_violations", "Of those, wakeups in rest", value=self._sources.sample.violations
        )
        yield CounterMetricFamily(
            "feierabend_feedback_unreadable", "Devices that could not be told of", value=self._sources.feedback_lost()
        )
        yield GaugeMetricFamily("feierabend_door_connections", "Open connections", value=self._sources.door.connections)
        yield GaugeMetricFamily("feierabend_tasks", "Tasks of the event loop", value=self._sources.tasks())
        streams = self._sources.streams()
        if streams is not None:
            yield GaugeMetricFamily("feierabend_streams", "Open streams of events", value=streams)
        web = self._sources.web()
        if web is not None:
            yield GaugeMetricFamily("feierabend_web_up", "1 when the officers' door is ready", value=float(web))
        nodes = self._sources.nodes()
        if nodes is not None:
            count, parts = nodes
            yield GaugeMetricFamily("feierabend_nodes", "Nodes that share the database and are alive", value=count)
            yield GaugeMetricFamily("feierabend_partitions", "Of 64, those whose people this node has", value=parts)
        requests = CounterMetricFamily("feierabend_door_answers", "Answers by status", labels=["status"])
        for status, count in sorted(self._sources.door.answered.items()):
            requests.add_metric([str(status)], count)
        yield requests
