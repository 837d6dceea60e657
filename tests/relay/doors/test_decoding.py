"""Bodies into typed values: strict, the same in JSON and MessagePack, and every fault named."""

from __future__ import annotations

import json
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.core.errors import Refused
from relay.doors import decoding, devices, events
from relay.doors.decoding import Body, Malformed, UnknownMedia
from tests.relay.doors.http_client import JSON, MSGPACK, PACK

BODIES: list[Body[Any]] = [events._EVENTS, events._SEENS, devices._BODY]


@pytest.mark.parametrize(
    ("content_type", "form"),
    [
        (b"application/json", "json"),
        (b"Application/JSON; charset=utf-8", "json"),
        (b" application/json ;x", "json"),
        (b"application/msgpack", "msgpack"),
        (b"application/x-msgpack", "msgpack"),
        (b"application/vnd.msgpack", "msgpack"),
    ],
)
def test_known_media(content_type: bytes, form: str) -> None:
    assert decoding.media(content_type) == form


@pytest.mark.parametrize(
    "content_type",
    [b"", b"text/plain", b"application/jsonx", b"application/problem+json", b"json", b"application/xml",
     b"\xff", b"application/json, application/json"],
)  # fmt: skip
def test_unknown_media(content_type: bytes) -> None:
    with pytest.raises(UnknownMedia):
        decoding.media(content_type)


NOT_JSON = [
    b"", b" ", b"{", b"{]", b"user", b"{'user':'a'}", b'{"user":"a"}x', b'{"user":"a",}', b"\xff\xfe",
    b"\xef\xbb\xbf{}",
    b'{"user":"\xff"}', b'{"user":"\\ud800"}', b'{"at":NaN}', b'{"at":Infinity}', b'{"at":01}', b"[" * 100_000,
    b'{"user":' + b"[" * 100_000, b'{"x":' * 50_000, b'{"at":' + b"9" * 5_000 + b"}", b'{"at":1e999}',
]  # fmt: skip
NOT_MSGPACK = [
    b"", b"\xc1", b"\x81", b"\x81\xa4user", b"\x81\xa4user\xa2a", b"\x81\xa4user\xa1\xff", b"\xdd\xff\xff\xff\xff",
    b"\xdf\xff\xff\xff\xff", b"\xdb\xff\xff\xff\xff", b"\x91" * 100_000, b"\x80\x80", b"\xc7\xff\x01",
]  # fmt: skip


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize(
    ("form", "content"), [(JSON, c) for c in NOT_JSON] + [(MSGPACK, c) for c in NOT_MSGPACK], ids=lambda v: str(v)[:24]
)
def test_faults_of_grammar_have_no_path(body: Body[Any], form: str, content: bytes) -> None:
    """Also when they are deep or claim to be huge: neither the stack nor the memory is at stake."""
    with pytest.raises(Malformed):
        body.decode(form.encode(), content)


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("value", [None, True, 1, 1.5, "text", [], [{}], [["user", "a"]]])
@pytest.mark.parametrize("form", [JSON, MSGPACK])
def test_what_is_no_object_is_refused(body: Body[Any], value: object, form: str) -> None:
    with pytest.raises(Refused) as caught:
        body.decode(form.encode(), PACK[form](value))
    assert [(p.path, p.sentence) for p in caught.value.problems] == [("body", "must be an object")]


@pytest.mark.parametrize(
    "value",
    ["", "x" * 257, "a\nb", "a\n", "\n", "a\x00", "\x7f", "a\t", 5, True, ["a"], {"a": "b"}],
)
@pytest.mark.parametrize("form", [JSON, MSGPACK])
def test_what_is_no_id(value: object, form: str) -> None:
    """A line end at the end counts as well as one in the middle."""
    assert decoding.an_id(value) is not None
    with pytest.raises(Refused) as caught:
        events._EVENTS.decode(form.encode(), PACK[form]({"user": value}))
    assert [p.path for p in caught.value.problems] == ["user"]


@pytest.mark.parametrize("value", ["a", "x" * 256, "ä" * 256, "日本", "a b", "a/b", "..", "%00", "\u00a0", "😀" * 256])
def test_what_is_an_id(value: str) -> None:
    assert decoding.an_id(value) is None
    for form in (JSON, MSGPACK):
        assert events._EVENTS.decode(form.encode(), PACK[form]({"user": value})).user == value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-24T21:55:00Z", 1795557300.0),
        ("2026-11-24T22:55:00+01:00", 1795557300.0),
        ("2026-11-24T21:55:00.5+00:00", 1795557300.5),
        ("1970-01-01T00:00:00Z", 0.0),
        ("2026-11-24T21:55:00", None),
        ("2026-11-24", None),
        ("21:55", None),
        ("", None),
        ("now", None),
        ("2026-02-30T00:00:00Z", None),
        ("2026-11-24T21:55:00+99:99", None),
        ("٢٠٢٦-11-24T21:55:00Z", None),
    ],
)
def test_instants_in_words_need_a_zone(text: str, expected: float | None) -> None:
    assert decoding.seconds(text) == expected


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"])
def test_the_ends_of_the_calendar_raise_nothing(text: str) -> None:
    found = decoding.seconds(text)
    assert found is None or abs(found) > 6e10


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_numbers_without_a_value_are_no_instants(value: float) -> None:
    assert decoding.seconds(value) is None
    assert decoding.an_instant(value) is not None
    assert decoding.a_duration(value) is not None


@pytest.mark.parametrize("value", [10**400, -(10**400)])
@pytest.mark.parametrize("name", ["at", "ttl"])
def test_integers_beyond_all_floats_are_a_fault_of_their_field(name: str, value: int) -> None:
    with pytest.raises(Refused) as caught:
        events._EVENTS.decode(JSON.encode(), json.dumps({"user": "a", name: value}).encode())
    assert [p.path for p in caught.value.problems] == [name]


@pytest.mark.parametrize(
    ("value", "paths"),
    [
        ({"user": "a", "colour": 1, "at": "x", "ttl": "1"}, ["colour", "at", "ttl"]),
        ({"user": "a", "class": 5, "role": [], "reason": {}}, ["class", "role", "reason"]),
        ({"users": ["a", "", 5, "b"]}, ["users[1]", "users[2]"]),
        ({"users": {"a": 1}}, ["users"]),
        ({"users": "a"}, ["users"]),
        ({"events": [{"user": "a"}, {"user": 1}, 5, {"users": [[]], "x": 1}]},
         ["events[1].user", "events[2]", "events[3].x", "events[3].users[0]"]),
        ({"events": [{"at": True}], "x": 1}, ["x", "events[0].at"]),
        ({"events": [{"user": 5}], "user": "a", "ttl": 5}, ["ttl", "user", "events[0].user"]),
        ({"events": "x"}, ["events"]),
        ({"user": "a", "events": [[]]}, ["user", "events[0]"]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("form", [JSON, MSGPACK])
def test_every_faulty_path_of_events_is_listed(value: object, paths: list[str], form: str) -> None:
    with pytest.raises(Refused) as caught:
        events._EVENTS.decode(form.encode(), PACK[form](value))
    assert [p.path for p in caught.value.problems] == paths


@pytest.mark.parametrize(
    ("value", "paths"),
    [
        ({"at": 5, "user": 5}, ["user"]),
        ({"at": [], "x": 1}, ["user", "at", "x"]),
        ({"seen": [{"at": 5}, {"user": "a", "x": 1}, {"user": None}]}, ["seen[0].user", "seen[1].x", "seen[2].user"]),
        ({"seen": [{}], "user": "a", "x": 1}, ["user", "x", "seen[0].user"]),
        ({"seen": {}}, ["seen"]),
    ],
)
@pytest.mark.parametrize("form", [JSON, MSGPACK])
def test_every_faulty_path_of_seen_is_listed(value: object, paths: list[str], form: str) -> None:
    with pytest.raises(Refused) as caught:
        events._SEENS.decode(form.encode(), PACK[form](value))
    assert [p.path for p in caught.value.problems] == paths


@pytest.mark.parametrize("name", ["Kanarienvogel Hansi", "x" * 41, "a.b", "", "1a", "ä-ö", "a\nb"])
@pytest.mark.parametrize("form", [JSON, MSGPACK])
def test_a_name_that_may_be_content_is_not_repeated(name: str, form: str) -> None:
    """A client that sends {user: …} the wrong way round would find its user id in our error, and in its log."""
    with pytest.raises(Refused) as caught:
        events._EVENTS.decode(form.encode(), PACK[form]({name: 1}))
    assert [p.path for p in caught.value.problems] == ["(other)"]
    assert name not in caught.value.problems[0].sentence or len(name) < 2


@pytest.mark.parametrize(
    "content",
    [
        msgpack.packb({1: 2}),
        msgpack.packb({b"user": "a"}),
        msgpack.packb({None: 1}),
        msgpack.packb({"user": b"a"}),
        msgpack.packb({"user": msgpack.ExtType(5, b"x")}),
        msgpack.packb({"user": "a", "at": msgpack.Timestamp(5)}),
        msgpack.packb({"user": "a", "ttl": msgpack.Timestamp(5)}),
        b"\x81\x92\x01\x02\x03",
    ],
)
def test_what_only_msgpack_can_say_is_refused_with_a_path(content: bytes) -> None:
    with pytest.raises(Refused) as caught:
        events._EVENTS.decode(MSGPACK.encode(), content)
    assert caught.value.problems[0].path in {"(other)", "user", "at", "ttl"}


def test_a_list_of_faults_ends_at_a_hundred() -> None:
    with pytest.raises(Refused) as caught:
        events._EVENTS.decode(JSON.encode(), PACK[JSON]({"events": [{"user": 5}] * 25_000}))
    assert [p.path for p in caught.value.problems] == [f"events[{index}].user" for index in range(100)]


def test_bodies_do_not_show_what_they_hold() -> None:
    shown = repr(events._EVENTS.decode(JSON.encode(), b'{"events":[{"user":"hansi"}]}'))
    assert "hansi" not in shown


# --- the table of checks and the typed decoder agree

NAMES = st.sampled_from(
    ["user", "users", "class", "at", "ttl", "role", "reason", "events", "seen", "platform", "token"]
)
VALUES = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(allow_nan=False, allow_infinity=False),
        st.text(max_size=5), st.sampled_from(["a", "2026-11-24T21:55:00Z", "alarm", ""]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.one_of(NAMES, st.text(max_size=3)), inner, max_size=4)
    ),
    max_leaves=12,
)  # fmt: skip


@given(st.sampled_from(BODIES), VALUES)
@settings(max_examples=250)
def test_what_is_refused_is_refused_with_reasons_and_the_same_in_both_forms(body: Body[Any], value: object) -> None:
    """The typed decoder says whether, the table of checks says why. What goes together is for the handlers to say."""
    seen = []
    for form in (JSON, MSGPACK):
        try:
            content = PACK[form](value)
        except OverflowError:  # an integer that MessagePack cannot hold
            continue
        try:
            decoded: object = body.decode(form.encode(), content)
        except Refused as error:
            seen.append([(p.path, p.sentence) for p in error.problems])
        else:
            known = {p.sentence for p in body._check(value)}
            assert body is events._SEENS or known <= {"does not go together with events"}
            seen.append([(name, repr(getattr(decoded, name))) for name in type(decoded).__annotations__])
    assert seen[1:] in ([], seen[:1])
    assert all(found for found in seen)
    assert "is not what is expected here" not in repr(seen)


@given(st.sampled_from(BODIES), st.sampled_from([JSON, MSGPACK]), st.binary(max_size=60))
@settings(max_examples=200)
def test_no_bytes_raise_anything_else(body: Body[Any], form: str, content: bytes) -> None:
    try:
        body.decode(form.encode(), content)
    except (Malformed, Refused):
        pass
