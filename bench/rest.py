"""What a rest table costs: to make, to ask, to keep; and what croniter would cost for each event instead.

    table_us              a table for 16 days, from a document that nobody had before: parsed expressions, windows and
                          zone are not remembered
    table_shared_us       the same where others have the same windows (presets), with leave of one's own on top
    lookup_us             one question to it: of one table, at instants of a fortnight
    lookup_cold_us        the same of all tables in turn, most of which are not in the processor's caches
    bytes_per_user        memory of a table with leave and acts of one's own, beside the document
    croniter_per_event_us one croniter made, and asked for the start before an instant: what each event would cost, and
                          it knows no end of the rest yet

Documents and instants are drawn by seed; medians of the runs.

    python -m bench.rest [--users 5000] [--runs 5] [--json]
"""

from __future__ import annotations

import argparse
import gc
import statistics
import time
import tracemalloc
from collections.abc import Callable, Sequence
from random import Random

from croniter import croniter

from bench.lives import PATTERNS, Document, WallClock, life
from bench.report import say, surroundings
from schedules import NoRest, RestTable, Rules, compile_table, cron, parse, table

YEAR = 2026
LOOKUPS = 20_000


def microseconds(act: Callable[[], object], count: int) -> float:
    """For one of `count` that `act` does."""
    gc.collect()
    began = time.perf_counter()
    act()
    return (time.perf_counter() - began) / count * 1e6


def forget() -> None:
    """What is shared by all tables."""
    cron.parse.cache_clear()
    table.occurrences.cache_clear()


def cold(documents: Sequence[Document], now: float) -> float:
    """Each read and compiled as if nobody had anything like it."""
    spent = 0.0
    for document in documents:
        forget()
        began = time.perf_counter()
        rules = parse(document)
        compile_table(rules, now)
        spent += time.perf_counter() - began
    return spent / len(documents) * 1e6


def bytes_per_user(rules: Sequence[Rules], now: float) -> float:
    """The windows are made before, as they are shared."""
    for each in rules:
        compile_table(each, now)
    gc.collect()
    tracemalloc.start()
    kept = [compile_table(each, now) for each in rules]
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return size / len(kept)


def asked(tables: Sequence[RestTable | NoRest], instants: Sequence[float]) -> Callable[[], None]:
    def ask() -> None:
        count = len(tables)
        for index, instant in enumerate(instants):
            tables[index % count].at(instant)

    return ask


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=5_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="last line: one JSON object")
    options = parser.parse_args()
    rng, clock = Random(options.seed), WallClock(YEAR)
    now = float(clock.opens(rng.randrange(100, 300) * 1440))
    resting = [pattern for pattern in PATTERNS if pattern != "no rules"]
    documents = [life(clock, rng, rng.choice(resting)).document for _ in range(options.users)]
    found: dict[str, list[float]] = {}
    for _ in range(options.runs):
        found.setdefault("table_us", []).append(cold(documents[:500], now))
        rules = [parse(document) for document in documents]
        for each in rules:
            compile_table(each, now)
        compiled = [compile_table(each, now) for each in rules]
        shared = microseconds(lambda mine=rules: [compile_table(each, now) for each in mine], len(rules))  # type: ignore[misc]
        found.setdefault("table_shared_us", []).append(shared)
        instants = [now + rng.random() * 14 * 86_400 for _ in range(LOOKUPS)]
        found.setdefault("lookup_us", []).append(microseconds(asked(compiled[:1], instants), LOOKUPS))
        found.setdefault("lookup_cold_us", []).append(microseconds(asked(compiled, instants), LOOKUPS))
        found.setdefault("croniter_per_event_us", []).append(
            microseconds(lambda: [croniter("0 22 * * 1-5", now).get_prev(float) for _ in range(500)], 500)
        )
    figures: dict[str, object] = {name: round(statistics.median(runs), 2) for name, runs in found.items()}
    figures["bytes_per_user"] = round(bytes_per_user(rules, now))
    say({"users": options.users, "runs": options.runs, **figures, **surroundings(options.seed)}, as_json=options.json)


if __name__ == "__main__":
    main()
