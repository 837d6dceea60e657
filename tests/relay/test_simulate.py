"""`feierabend simulate`: what a document means, in both languages, and one clear error for everything else."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from relay.cli import main
from relay.clock import WallClock

NIGHT: dict[str, object] = {"kind": "weekly", "start": "22:00", "end": "06:00"}
DUTIES = {"L": {"start": "14:00", "end": "22:00"}, "E": {"start": "06:00", "end": "14:00"}}
SHIFTS: dict[str, object] = {"kind": "cycle", "anchor": "2026-11-24", "days": ["L", "E", "-"], "shifts": DUTIES}
FROM = ("--from", "2026-11-24T00:00")


def simulate(rules: str | bytes | Path, *options: str) -> Result:
    """Of a file, or of what comes through standard input."""
    name, given = (str(rules), None) if isinstance(rules, Path) else ("-", rules)
    return CliRunner().invoke(main, ["simulate", name, *options], input=given)


def document(*windows: object, **more: object) -> str:
    return json.dumps({"windows": [*windows], **more})


def refused(result: Result) -> str:
    assert (result.exit_code, result.stdout) == (2, ""), result.output
    return result.stderr


def test_a_document_is_told_for_fourteen_days() -> None:
    result = simulate(document(NIGHT), *FROM)
    assert (result.exit_code, result.stderr) == (0, "")
    first, *days = result.stdout.splitlines()
    assert first == "Ruhe bis heute 06:00 wegen: Nachtruhe [Europe/Berlin]"
    assert len(days) == 14
    assert days[0] == "Di 24.11. 06:00-22:00 erreichbar"
    assert days[-1] == "Mo 7.12. 06:00-22:00 erreichbar"


@pytest.mark.parametrize(("start", "last"), [("2026-03-20", "Do 2.4."), ("2026-10-20", "Mo 2.11.")])
def test_fourteen_days_are_fourteen_also_when_the_clock_is_changed(start: str, last: str) -> None:
    days = simulate(document(NIGHT), "--from", f"{start}T00:00").stdout.splitlines()[1:]
    assert len(days) == 14
    assert days[-1] == f"{last} 06:00-22:00 erreichbar"


def test_it_is_told_in_english_when_asked() -> None:
    result = simulate(document(NIGHT), *FROM, "--to", "2026-11-25T00:00", "--lang", "en")
    assert result.stdout == (
        "Rest until today 06:00 because of: night rest [Europe/Berlin]\nTue 24 Nov 06:00-22:00 reachable\n"
    )


def test_hints_and_the_confirmation_follow_the_days() -> None:
    result = simulate(document(SHIFTS), *FROM, "--to", "2026-11-26T00:00")
    assert result.stdout.splitlines()[-1] == "Zwischen Di 24.11. 22:00 und Mi 25.11. 06:00 liegen 8 h (unter 11 h)."
    away = simulate(document({"kind": "dates", "from": "2026-11-01", "to": "2027-02-28"}), *FROM, "--lang", "en")
    assert away.stdout.splitlines()[-1] == "In the next 35 days you are not reachable for a single minute."


def test_a_file_is_read_too_with_or_without_a_byte_order_mark(tmp_path: Path) -> None:
    file = tmp_path / "rules.json"
    text = document({**NIGHT, "label": "Schläfchen"})
    for content in (text.encode(), b"\xef\xbb\xbf" + json.dumps(json.loads(text), ensure_ascii=False).encode()):
        file.write_bytes(content)
        assert simulate(file, *FROM).stdout.startswith("Ruhe bis heute 06:00 wegen: Schläfchen [")


def test_without_a_start_it_is_now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WallClock, "now", lambda _: 1_795_518_000.9)  # 24 November 2026, 12:00:00.9 in Berlin
    assert simulate(document(NIGHT)).stdout.splitlines()[:2] == [
        "Erreichbar, nächste Ruhe heute 22:00 [Europe/Berlin]",
        "Di 24.11. 12:00-22:00 erreichbar",
    ]
    assert len(simulate(document(NIGHT)).stdout.splitlines()) == 1 + 15


def test_times_are_those_of_the_documents_zone() -> None:
    text = document(NIGHT, timezone="Asia/Tokyo")
    first, *days = simulate(text, "--from", "2026-11-24T23:00", "--to", "2026-11-25T00:00").stdout.splitlines()
    assert first == "Ruhe bis morgen 06:00 wegen: Nachtruhe [Asia/Tokyo]"
    assert days == ["Di 24.11. 23:00-24:00 Ruhe"]


def test_a_start_that_exists_twice_is_the_first_and_an_end_the_second() -> None:
    """R3, R4."""
    text = document({"kind": "once", "start": "2026-10-25T00:00Z", "end": "2026-10-25T00:45Z"})
    twice = "2026-10-25T02:30"
    result = simulate(text, "--from", twice, "--to", twice)
    assert result.stdout.startswith("Ruhe bis heute 02:45 wegen: Urlaub [")


def test_400_days_are_told_and_no_more() -> None:
    """By the calendar, so that the change of the clock takes no day away."""
    for start, end in (("2026-01-01", "2027-02-05"), ("2026-06-01", "2027-07-06"), ("2026-07-01", "2027-08-05")):
        days = simulate(document(NIGHT), "--from", f"{start}T00:00", "--to", f"{end}T00:00").stdout.splitlines()[1:]
        assert len(days) == 400
        longer = simulate(document(NIGHT), "--from", f"{start}T00:00", "--to", f"{end}T00:01")
        assert "Invalid value for --to: must be later than --from, and by at most 400 days" in refused(longer)


@pytest.mark.parametrize("end", ["2026-11-24T00:00", "2026-11-23T23:59", "2025-11-25T00:00"])
def test_an_end_that_is_not_later_is_refused(end: str) -> None:
    assert "Invalid value for --to: must be later than --from" in refused(simulate(document(), *FROM, "--to", end))


@pytest.mark.parametrize("time", ["24.11.2026", "2026-11-24", "2026-11-24T24:00", "2026-02-30T00:00", "now", ""])
@pytest.mark.parametrize("option", ["--from", "--to"])
def test_what_is_no_time_is_refused(option: str, time: str) -> None:
    assert f"Invalid value for '{option}'" in refused(simulate(document(), option, time))


@pytest.mark.parametrize("time", ["1999-12-31T23:59", "2200-01-01T00:00", "0001-01-01T00:00", "9999-12-31T23:59"])
@pytest.mark.parametrize("option", ["--from", "--to"])
def test_other_centuries_are_refused(option: str, time: str) -> None:
    assert "must lie in the years 2000 to 2199" in refused(simulate(document(), option, time))


def test_the_ends_of_the_years_are_told() -> None:
    for start in ("2000-01-01T00:00", "2199-12-31T23:59"):
        assert simulate(document(NIGHT, {"kind": "holidays", "land": "NI"}), "--from", start).exit_code == 0


BAD = json.dumps({"windows": [{"kind": "weekly", "start": "22:00"}], "colour": "secret"})


def test_every_fault_is_told_in_the_language_asked() -> None:
    assert sorted(refused(simulate(BAD)).splitlines()) == [
        "colour: ist hier nicht bekannt; bekannt sind devices, overrides, timezone, windows",
        "windows[0].end: fehlt",
    ]
    assert sorted(refused(simulate(BAD, "--lang", "en")).splitlines()) == [
        "colour: is not known here; known are devices, overrides, timezone, windows",
        "windows[0].end: is missing",
    ]


@pytest.mark.parametrize("content", ["[]", "null", '"text"', "3"])
def test_what_is_no_object_is_a_fault(content: str) -> None:
    assert refused(simulate(content)) == "document: muss ein Objekt sein\n"


@pytest.mark.parametrize("content", [b"", b"{", b"{'a': 1}", b'{"a": "\xff"}', b"\xff\xfe{\x00}\x00", b"[" * 100_000])
def test_what_is_no_json_is_refused_in_a_sentence(content: bytes) -> None:
    assert re.search(r"\nError: Invalid value for RULES.json: is no JSON in UTF-8: .+\n$", refused(simulate(content)))


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    for path in (tmp_path / "missing.json", tmp_path):
        assert str(path) in refused(simulate(path))


def test_other_languages_are_refused() -> None:
    assert "Invalid value for '--lang'" in refused(simulate(document(), "--lang", "fr"))


def test_a_label_cannot_write_on_the_terminal() -> None:
    result = simulate(document({**NIGHT, "label": "a\x1b[2J\r\nb\ud800"}), *FROM, "--to", "2026-11-25T00:00")
    assert result.exit_code == 0
    assert result.stdout.splitlines()[0] == "Ruhe bis heute 06:00 wegen: a [2J b [Europe/Berlin]"


def test_the_command_explains_itself() -> None:
    result = CliRunner().invoke(main, ["simulate", "--help"])
    assert result.exit_code == 0
    assert all(word in result.stdout for word in ("RULES.json", "--from", "--to", "--lang", "[default: de]"))
