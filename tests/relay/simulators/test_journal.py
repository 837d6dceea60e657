"""What a simulator remembers of what it saw."""

from __future__ import annotations

import hashlib
import io
import json

import trio
from trio.testing import MockClock

from relay.simulators.journal import Entry, Journal
from tests.relay.simulators.h2_client import connected
from tests.relay.simulators.wakeups import BODY, DEVICE, START, TOKEN, fake_apns, wakeup


def entry(token: str = DEVICE, status: int = 200, reason: str = "", t: float = START) -> Entry:
    return Entry(
        t=t, connection=1, stream=3, token=token, status=status, reason=reason,
        headers=((b"apns-topic", b"a"), (b"apns-expiration", b"300"), (b"apns-topic", b"b"), (b"x", b"\xff")),
        forms=("incremental", "never", "indexed", "without"), block_bytes=9, body=b"{}",
    )  # fmt: skip


def filled(journal: Journal) -> Journal:
    journal.add(entry(t=START))
    journal.add(entry("cd", t=START + 1))
    journal.add(entry(t=START + 2))
    journal.add(entry(status=410, reason="Unregistered", t=START + 3))
    journal.violate("priority_sent")
    journal.violate("priority_sent")
    journal.violate("push_enabled")
    journal.connections += 1
    return journal


def test_it_keeps_every_request_and_counts() -> None:
    journal = filled(Journal())
    assert [(seen.token, seen.status) for seen in journal.entries] == [
        (DEVICE, 200), ("cd", 200), (DEVICE, 200), (DEVICE, 410),
    ]  # fmt: skip
    assert journal.violations == {"priority_sent": 2, "push_enabled": 1}
    assert journal.by_status == {200: 3, 410: 1}


def test_per_token_it_counts_what_was_accepted_and_knows_the_last_time() -> None:
    journal = filled(Journal())
    assert journal.by_token == {DEVICE: 2, "cd": 1}
    assert journal.last_at == {DEVICE: START + 2, "cd": START + 1}


def test_counting_only_forgets_requests_and_counts_the_same() -> None:
    counting, full = filled(Journal(counting_only=True)), filled(Journal())
    assert counting.entries == []
    assert counting.totals() == full.totals()
    assert (counting.by_token, counting.last_at) == (full.by_token, full.last_at)


def test_the_totals_are_json_in_a_fixed_order() -> None:
    journal = filled(Journal())
    journal.add(entry(status=400, reason="BadTopic"))
    assert json.loads(json.dumps(journal.totals())) == {
        "requests": 5,
        "by_status": {"200": 3, "400": 1, "410": 1},
        "violations": {"priority_sent": 2, "push_enabled": 1},
        "connections": 1,
        "tokens": 2,
        "unanswered": 0,
    }
    assert list(json.loads(json.dumps(journal.totals()))["by_status"]) == ["200", "400", "410"]


def test_the_value_of_a_field_is_that_of_its_first_occurrence() -> None:
    assert entry().value(b"apns-topic") == b"a"
    assert entry().value(b"apns-id") == b""


def test_each_request_is_written_as_a_line_of_json_also_when_only_counting() -> None:
    for counting_only in (False, True):
        out = io.StringIO()
        filled(Journal(counting_only=counting_only, sink=out))
        lines = out.getvalue().splitlines()
        assert len(lines) == 4
        assert json.loads(lines[3]) == {
            "t": START + 3,
            "connection": 1,
            "stream": 3,
            "token": DEVICE,
            "status": 410,
            "reason": "Unregistered",
            "expiration": "300",
            "notes": [],
            "fields": [
                ["apns-topic", "a", "incremental"],
                ["apns-expiration", "300", "never"],
                ["apns-topic", "b", "indexed"],
                ["x", "\xff", "without"],
            ],
            "block_bytes": 9,
            "body_sha256": hashlib.sha256(b"{}").hexdigest(),
        }


class Flushed(io.StringIO):
    """Knows what would be in the file."""

    written = ""

    def flush(self) -> None:
        self.written = self.getvalue()


async def test_lines_are_in_the_file_before_the_next_bytes_are_read(autojump_clock: MockClock) -> None:
    """Whoever watches the file sees a wakeup when it has come, not when a buffer is full."""
    fake = fake_apns()
    out = fake.journal.sink = Flushed()
    async with connected(fake) as client:
        for count in (1, 2):
            assert (await client.ask(wakeup(), BODY)).status == 200
            await trio.testing.wait_all_tasks_blocked()
            assert out.written.count("\n") == count
    fields = json.loads(out.written.splitlines()[0])["fields"]
    assert [":path", f"/3/device/{DEVICE}", "never"] in fields
    assert ["authorization", f"bearer {TOKEN}", "never"] in fields
