"""One way to write a document: the same meaning, however it was written, and nothing that says nothing."""

from __future__ import annotations

import copy
import json
import traceback
from collections.abc import Callable, Mapping
from random import Random
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schedules import RuleError, parse, windows
from schedules import canonical as module
from schedules.canonical import canonical, encoded
from schedules.cron import parse as parse_cron
from tests.schedules.documents import Document, Entry, documents, examples, places

CANARY = "Kanarienvogel Frau Muster, Ostfriesland 4711"

WEEKLY: Entry = {"kind": "weekly", "start": "22:00", "end": "06:00"}
CRON: Entry = {"kind": "cron", "start": "0 22 * * *", "duration_minutes": 480}
CYCLE: Entry = {
    "kind": "cycle", "anchor": "2026-01-05", "days": ["F", "-"], "shifts": {"F": {"start": "06:00", "end": "14:00"}},
}  # fmt: skip
HOLIDAYS: Entry = {"kind": "holidays", "land": "NI"}
ONCE: Entry = {"kind": "once", "start": "2026-12-21T00:00", "end": "2027-01-04T00:00"}
DATES: Entry = {"kind": "dates", "from": "2026-12-21", "to": "2027-01-03"}
REST: Entry = {"kind": "rest", "start": "2026-11-24T15:10Z", "end": "2026-11-24T16:30Z"}
REACHABLE: Entry = {"kind": "reachable", "start": "2026-11-24T18:00", "end": "2026-11-25T08:00"}


# --- properties

NAMES = st.sampled_from(("", "", "Dienst", "Nächte \U0001f319", 'a "quoted"\nline', "\ud800"))
TEXTS = st.fixed_dictionaries({}, optional={"label": NAMES, "id": NAMES})
DEVICES = st.dictionaries(
    st.sampled_from(("phone", "Tablet", "ä")), st.sampled_from(("follow", "never", "always")), max_size=3
)


@st.composite
def told(draw: st.DrawFn) -> Document:
    """A document with everything there is: those of `documents` have neither texts nor devices."""
    document = draw(places().flatmap(documents))
    for name in ("windows", "overrides"):
        document = {**document, name: [{**entry, **draw(TEXTS)} for entry in entries(document, name)]}
    devices = {device: {"wake": wake} for device, wake in draw(DEVICES).items()}
    return {**document, "devices": devices} if draw(st.booleans()) else document


def entries(document: Mapping[str, object], name: str) -> list[Entry]:
    found = document.get(name, [])
    assert isinstance(found, list)
    return found


def shuffled(value: object, random: Random) -> object:
    """The same with the members of all objects in another order; of lists nothing is moved."""
    if isinstance(value, list):
        return [shuffled(item, random) for item in value]
    if isinstance(value, dict):
        return {name: shuffled(value[name], random) for name in random.sample(list(value), len(value))}
    return value


@examples(0.7)
@given(told())
def test_the_canonical_document_means_the_same(document: Document) -> None:
    """Windows, overrides, kinds, labels, classes and devices; ids, which mean nothing, are kept too."""
    before = copy.deepcopy(document)
    written = canonical(document)
    assert parse(written) == parse(document)
    assert parse(written).wakes == parse(document).wakes
    for name in ("windows", "overrides"):
        for old, new in zip(entries(document, name), entries(written, name), strict=True):
            assert new["kind"] == old["kind"]
            assert new.get("id", "") == old.get("id", "")
    assert document == before


@examples(0.5)
@given(told())
def test_what_is_canonical_stays_as_it_is(document: Document) -> None:
    """To the order of members, which bytes show and == does not."""
    written = canonical(document)
    assert json.dumps(canonical(written)) == json.dumps(written)
    assert encoded(written) == encoded(document)
    assert json.loads(encoded(document)) == written


@examples(0.5)
@given(told(), st.randoms(use_true_random=False))
def test_the_order_of_members_does_not_matter(document: Document, random: Random) -> None:
    assert encoded(shuffled(document, random)) == encoded(document)  # type: ignore[arg-type]


def _again(name: str, write: Callable[[str], object]) -> Callable[[Entry, Random], Entry]:
    return lambda entry, _: {**entry, name: write(str(entry[name]))} if name in entry else entry


def _mixed(name: str) -> Callable[[Entry, Random], Entry]:
    def mix(entry: Entry, random: Random) -> Entry:
        values = entry.get(name)
        return {**entry, name: random.sample(values, len(values))} if isinstance(values, list) else entry

    return mix


def _seconds(text: str) -> str:
    return f"{text[:16]}:00{text[16:]}" if len(text) in (16, 17) else text.replace("Z", "-00:00")


def _aloud(text: str) -> str:
    """A cron text with leading zeros, and with Sunday as 7 where it stands alone."""
    minute, hour, *days, weekday = text.split()
    return " ".join([f"{int(minute):02}", f"{int(hour):02}", *days, "7" if weekday == "0" else weekday]) + " "


_SAID: Mapping[str, Entry] = {
    "weekly": {"rest": "night", "days": [1, 2, 3, 4, 5, 6, 7]}, "cron": {"rest": "night"},
    "cycle": {"rest": "free", "swaps": [], "lead_minutes": 0, "lag_minutes": 0},
    "holidays": {"rest": "free", "start": "00:00", "end": "24:00"},
    "once": {"rest": "leave"}, "dates": {"rest": "leave"}, "rest": {}, "reachable": {},
}  # fmt: skip


def respelled(document: Document, random: Random) -> Document:
    """The same meaning, said with many words and in any order."""
    changes: dict[str, list[Callable[[Entry, Random], Entry]]] = {
        "weekly": [_mixed("days"), _again("end", lambda text: "00:00" if text == "24:00" else text)],
        "cron": [_again("start", _aloud)],
        "cycle": [_mixed("swaps")],
        "once": [_again("start", _seconds), _again("end", _seconds)],
    }
    changes["rest"] = changes["reachable"] = [_mixed("classes"), *changes["once"]]
    found: Document = {"timezone": "Europe/Berlin", "windows": [], "overrides": [], "devices": {}, **document}
    for name in ("windows", "overrides"):
        spelled = []
        for entry in entries(found, name):
            kind = str(entry["kind"])
            said: Entry = {**_SAID[kind], "id": "", "label": "", **entry}
            for change in changes.get(kind, ()):
                said = change(said, random)
            spelled.append(said)
        found[name] = spelled
    devices = found["devices"]
    assert isinstance(devices, dict)
    found["devices"] = {**devices, "a device that follows": {"wake": "follow"}}
    shuffled_document = shuffled(found, random)
    assert isinstance(shuffled_document, dict)
    return shuffled_document


@examples(0.7)
@given(told(), st.randoms(use_true_random=False))
def test_however_it_is_said_it_is_written_in_one_way(document: Document, random: Random) -> None:
    assert encoded(respelled(document, random)) == encoded(document)


# --- members


def test_a_document_in_full() -> None:
    """Written by hand: the order of members, and bytes as they leave the house."""
    document: Document = {
        "devices": {"tablet": {"wake": "never"}, "phone": {"wake": "follow"}, "pager": {"wake": "always"}},
        "overrides": [{"label": "Übung", "id": "7", "classes": ["roster", "alarm", "roster"], **REST}],
        "windows": [
            {"id": "1", "label": "N", "rest": "sick", "days": [7, 1], "end": "00:00", "start": "20:00",
             "kind": "weekly"},
            {"to": "2027-12-31", "lag_minutes": 30, "lead_minutes": 15, "from": "2026-01-01",
             "swaps": [{"shift": "-", "date": "2026-12-24"}, {"shift": "F", "date": "2026-03-01"}],
             "shifts": {"S": {"end": "00:00", "start": "14:00"}, "F": {"end": "06:00", "start": "06:00"}},
             "days": ["S", "F", "-"], "anchor": "2026-01-05", "kind": "cycle"},
        ],
    }  # fmt: skip
    assert encoded(document).decode() == (
        '{"timezone":"Europe/Berlin","windows":['
        '{"kind":"weekly","start":"20:00","end":"24:00","days":[1,7],"rest":"sick","label":"N","id":"1"},'
        '{"kind":"cycle","anchor":"2026-01-05","days":["S","F","-"],'
        '"shifts":{"F":{"start":"06:00","end":"06:00"},"S":{"start":"14:00","end":"24:00"}},'
        '"swaps":[{"date":"2026-03-01","shift":"F"},{"date":"2026-12-24","shift":"-"}],'
        '"lead_minutes":15,"lag_minutes":30,"from":"2026-01-01","to":"2027-12-31"}],'
        '"overrides":[{"kind":"rest","start":"2026-11-24T15:10Z","end":"2026-11-24T16:30Z",'
        '"classes":["alarm","roster"],"label":"Übung","id":"7"}],'
        '"devices":{"pager":{"wake":"always"},"tablet":{"wake":"never"}}}'
    )


@pytest.mark.parametrize(
    ("document", "written"),
    [
        ({}, {}),
        ({"windows": [], "overrides": [], "devices": {}}, {}),
        ({"windows": (), "overrides": ()}, {}),
        ({"devices": {"phone": {"wake": "follow"}}}, {}),
        ({"windows": [DATES, ONCE, DATES]}, {"windows": [DATES, ONCE, DATES]}),
        ({"overrides": [REST, REACHABLE, REST]}, {"overrides": [REST, REACHABLE, REST]}),
        ({"timezone": "UTC"}, {"timezone": "UTC"}),
    ],
)
def test_only_the_zone_is_always_written(document: Document, written: Document) -> None:
    assert canonical(document) == {"timezone": "Europe/Berlin", **written}


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (WEEKLY, {"rest": "night"}),
        (WEEKLY, {"days": [7, 6, 5, 4, 3, 2, 1]}),
        (WEEKLY, {"label": "", "id": ""}),
        (CRON, {"rest": "night"}),
        (CYCLE, {"rest": "free"}),
        (CYCLE, {"lead_minutes": 0}),
        (CYCLE, {"lag_minutes": 0}),
        (CYCLE, {"swaps": []}),
        (HOLIDAYS, {"rest": "free"}),
        (HOLIDAYS, {"start": "00:00"}),
        (HOLIDAYS, {"end": "24:00"}),
        (ONCE, {"rest": "leave"}),
        (DATES, {"rest": "leave"}),
    ],
)
def test_what_is_meant_anyway_is_not_said(entry: Entry, said: Entry) -> None:
    assert canonical({"windows": [entry | said]}) == {"timezone": "Europe/Berlin", "windows": [entry]}


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (WEEKLY, {"rest": "free"}),
        (WEEKLY, {"days": [1, 2, 3, 4, 5, 6]}),
        (WEEKLY, {"label": " ", "id": "0"}),
        (CRON, {"rest": "leave"}),
        (CYCLE, {"rest": "night"}),
        (CYCLE, {"lead_minutes": 1, "lag_minutes": 2}),
        (CYCLE, {"from": "2026-01-01"}),
        (CYCLE, {"shifts": {"F": {"start": "00:00", "end": "24:00"}, "unused": {"start": "00:00", "end": "01:00"}}}),
        (HOLIDAYS, {"start": "17:00"}),
        (HOLIDAYS, {"end": "17:00"}),
        (ONCE, {"rest": "sick"}),
        (DATES, {"rest": "free"}),
    ],
)
def test_whatever_else_is_said_is_kept(entry: Entry, said: Entry) -> None:
    assert canonical({"windows": [entry | said]}) == {"timezone": "Europe/Berlin", "windows": [entry | said]}


def test_midnight_as_an_end_is_24_00() -> None:
    """22:00-00:00 and 22:00-24:00 are the same two hours; the whole day cannot end at 00:00 in a window."""
    for entry in (WEEKLY, HOLIDAYS | {"start": "22:00"}):
        early, late = ({"windows": [entry | {"end": end}]} for end in ("00:00", "24:00"))
        assert parse(early) == parse(late)
        assert encoded(early) == encoded(late)
    assert canonical({"windows": [WEEKLY | {"end": "00:00"}]})["windows"] == [WEEKLY | {"end": "24:00"}]
    assert canonical({"windows": [WEEKLY | {"start": "00:00"}]})["windows"] == [WEEKLY | {"start": "00:00"}]


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("2026-12-21T18:00", "2026-12-21T18:00"),
        ("2026-12-21T18:00:00", "2026-12-21T18:00"),
        ("2026-12-21T18:00:30", "2026-12-21T18:00:30"),
        ("2026-12-21T00:00", "2026-12-21T00:00"),
        ("2026-12-21T00:00:00", "2026-12-21T00:00"),
        ("2026-12-21T18:00Z", "2026-12-21T18:00Z"),
        ("2026-12-21T18:00:00Z", "2026-12-21T18:00Z"),
        ("2026-12-21T18:00:07Z", "2026-12-21T18:00:07Z"),
        ("2026-12-21T18:00+00:00", "2026-12-21T18:00Z"),
        ("2026-12-21T18:00-00:00", "2026-12-21T18:00Z"),
        ("2026-12-21T18:00:00-00:00", "2026-12-21T18:00Z"),
        ("2026-12-21T18:00:01+00:00", "2026-12-21T18:00:01Z"),
        ("2026-12-21T18:00+01:00", "2026-12-21T18:00+01:00"),
        ("2026-12-21T18:00:00-10:00", "2026-12-21T18:00-10:00"),
        ("2026-12-21T18:00:00+10:00", "2026-12-21T18:00+10:00"),
        ("2026-12-21T18:00:00+00:30", "2026-12-21T18:00+00:30"),
        ("2026-12-21T18:00:59+13:45", "2026-12-21T18:00:59+13:45"),
    ],
)
def test_a_moment_has_no_idle_seconds_and_one_way_to_say_utc(text: str, written: str) -> None:
    """Other offsets stay: 18:00+01:00 is 17:00Z, and says by which clock."""
    before, after = ({"overrides": [REACHABLE | {"start": "2026-01-01T00:00", "end": end}]} for end in (text, written))
    assert canonical(before)["overrides"] == canonical(after)["overrides"] == after["overrides"]
    assert parse(before) == parse(after)


# --- cron


@pytest.mark.parametrize(
    ("text", "written"),
    [
        (" 0 22 * * *  ", "0 22 * * *"),
        ("00 07 01 02 03", "0 7 1 2 3"),
        ("0 0 * * 7", "0 0 * * 0"),
        ("0 0 * * 7,0,6", "0 0 * * 0,6"),
        ("0 0 * * 6-7", "0 0 * * 0,6"),
        ("0 0 3,1,1 * *", "0 0 1,3 * *"),
        ("0 0 3,1,2 * *", "0 0 1-3 * *"),
        ("0 0 1-2 * *", "0 0 1,2 * *"),
        ("0 0 1-5,3-9,20 * *", "0 0 1-9,20 * *"),
        ("0 0 * 12,11,10,1 *", "0 0 * 1,10-12 *"),
        ("0 0 * 1-12 *", "0 0 * * *"),
        ("0 0 * * 1-7", "0 0 * * *"),
        ("0 0 1-31 * 1", "0 0 1-31 * 1"),
        ("0 0 5 * 3-2", "0 0 5 * 0-6"),
        ("0 0 * * 5,6,0,1", "0 0 * * 5-1"),
        ("0 0 * * 6,0,1,3", "0 0 * * 3,6-1"),
        ("0 0 * * 0-2,4-6", "0 0 * * 4-2"),
        (
            "0 0 1,3,5,7,9,11,13,15,17,19,21,23,25,27,29,31 1,3,5,7,9,11 5-1",
            "0 0 1,3,5,7,9,11,13,15,17,19,21,23,25,27,29,31 1,3,5,7,9,11 5-1",
        ),
    ],
)
def test_a_cron_text_is_written_from_its_value(text: str, written: str) -> None:
    assert canonical({"windows": [CRON | {"start": text}]})["windows"] == [CRON | {"start": written}]


def field(low: int, high: int) -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    part = number.map(str) | number.map("{:02}".format) | st.builds("{}-{}".format, number, number)
    return st.just("*") | st.just(f"{low}-{high}") | st.lists(part, min_size=1, max_size=9).map(",".join)


def readable(text: str) -> bool:
    try:
        return parse_cron(text) is not None
    except ValueError:
        return False


@examples(1)
@given(st.builds("{} {} {}".format, field(1, 31), field(1, 12), field(0, 7)).map("5 07 {}".format).filter(readable))
def test_a_cron_text_is_never_longer_than_it_was_and_has_the_same_starts(text: str) -> None:
    """Else a document at the limit of 64 characters would have no canonical form."""
    (entry,) = entries(canonical({"windows": [CRON | {"start": text}]}), "windows")
    written = str(entry["start"])
    assert parse_cron(written) == parse_cron(text)
    assert len(written) <= len(text)


# --- the rest


def test_every_kind_that_parse_reads_can_be_written() -> None:
    """A new kind, or a new member, needs its line here too."""
    forms = module._WINDOWS
    assert list(forms) == list(windows.FORMS)
    for kind, form in windows.FORMS.items():
        names = [member.name for member in forms[kind]]
        assert sorted(names) == sorted({*form.required, *form.optional, "kind", "rest", "label", "id"})
        assert names[0] == "kind"
        assert names[-3:] == ["rest", "label", "id"]
        silent = {member.name: member.silent for member in forms[kind] if member.silent is not None}
        assert silent["rest"] == form.default
        assert not form.required & silent.keys()


def test_documents_of_other_types_become_plain_ones() -> None:
    document = MappingProxyType({"windows": (MappingProxyType(WEEKLY | {"days": (2, 1)}),)})
    written = canonical(document)
    assert written["windows"] == [WEEKLY | {"days": [1, 2]}]
    assert type(entries(written, "windows")[0]) is dict


def test_texts_are_written_as_they_are() -> None:
    label = 'ä\n"\\\U0001f319\u2028'
    text = encoded({"windows": [DATES | {"label": label}]})
    assert 'ä\\n\\"\\\\\U0001f319\u2028'.encode() in text
    assert entries(json.loads(text), "windows")[0]["label"] == label


def test_half_a_surrogate_pair_is_escaped_since_it_has_no_utf_8() -> None:
    """JSON lets it through, and an error would repeat the label."""
    halved, spelled = ({"windows": [DATES | {"label": label}]} for label in ("\ud83d", "\\ud83d"))
    assert rb'"label":"\ud83d"' in encoded(halved)
    assert rb'"label":"\\ud83d"' in encoded(spelled)
    assert json.loads(encoded(halved)) == canonical(halved)


FAULTY: list[object] = [
    None, [], CANARY, {CANARY: 1}, {"timezone": CANARY}, {"windows": CANARY}, {"windows": [{"kind": CANARY}]},
    {"windows": [WEEKLY | {"days": [CANARY]}]}, {"windows": [CRON | {"start": CANARY}]},
    {"windows": [CRON | {"duration_minutes": "4711"}]}, {"windows": [DATES | {"to": CANARY, "label": CANARY}]},
    {"windows": [CYCLE | {"days": [CANARY]}]}, {"windows": [CYCLE | {"swaps": [{"date": CANARY, "shift": CANARY}]}]},
    {"overrides": [REST | {"classes": CANARY}]}, {"overrides": [REST | {"end": CANARY}]},
    {"devices": {CANARY: {"wake": CANARY}}}, {"windows": [DATES | {"label": 4711}], "devices": [CANARY]},
]  # fmt: skip


@pytest.mark.parametrize("document", FAULTY)
@pytest.mark.parametrize("write", [canonical, encoded])
def test_faults_are_those_of_parse_and_repeat_no_value(document: object, write: Callable[[object], object]) -> None:
    with pytest.raises(RuleError) as parsed:
        parse(document)  # type: ignore[arg-type]
    with pytest.raises(RuleError) as caught:
        write(document)
    assert caught.value.problems == parsed.value.problems
    for text in (str(caught.value), repr(caught.value), *traceback.format_exception(caught.value)):
        assert "Kanarien" not in text
        assert "4711" not in text
