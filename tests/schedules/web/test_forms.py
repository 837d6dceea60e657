"""Forms as they are sent."""

from __future__ import annotations

from urllib.parse import urlencode

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schedules.web import forms
from schedules.web.forms import BadForm, Form

names = st.text(max_size=5)


@given(st.lists(st.tuples(names, names), max_size=20))
def test_what_a_browser_sends_is_what_is_read(fields: list[tuple[str, str]]) -> None:
    assert forms.read(urlencode(fields).encode()).fields == fields


@given(st.binary(max_size=50))
def test_anything_else_is_a_bad_form_and_no_other_error(body: bytes) -> None:
    try:
        assert isinstance(forms.read(body), Form)
    except BadForm:
        pass


@pytest.mark.parametrize(
    ("text", "number"),
    [("7", 7), (" 7 ", 7), ("", None), ("-1", None), ("1.5", None), ("٣", None), ("9" * 19, None), ("x", None)],
)
def test_a_number_is_of_digits(text: str, number: int | None) -> None:
    assert Form([("n", text)]).number("n") == number


def test_of_several_values_the_last_one_counts() -> None:
    form = Form([("a", "1"), ("b", "x"), ("a", "2")])
    assert form.text("a") == "2"
    assert form.text("c", "none") == "none"
    assert "b" in form
    assert "c" not in form


def test_nothing_of_it_is_printed() -> None:
    assert "canary" not in repr(Form([("label", "canary")], {"canary": b"canary"}))


# --- in parts


def in_parts(fields: dict[str, str], files: dict[str, bytes]) -> tuple[bytes, str]:
    """As another program writes them, and the content type."""
    asked = httpx.Request("POST", "http://x", data=fields, files={"ä none": ("none.ics", b""), **files})
    return asked.read(), asked.headers["content-type"]


plain = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters='"\\%'), min_size=1, max_size=5)


@given(st.dictionaries(plain, st.text(max_size=20)), st.dictionaries(plain, st.binary(max_size=50)))
def test_parts_are_read_as_another_program_writes_them(fields: dict[str, str], files: dict[str, bytes]) -> None:
    form = forms.read_parts(*in_parts(fields, files))
    assert dict(form.fields) == fields
    assert {name: content for name, content in form.files.items() if name != "ä none"} == files


BROWSERS = {
    "Chromium": b'------WebKitFormBoundaryzPFZ\r\nContent-Disposition: form-data; name="a%22b"\r\n\r\n1\r\n2\r\n'
    b'------WebKitFormBoundaryzPFZ\r\nContent-Disposition: form-data; name="file"; filename="Dienst; x=1.ics"\r\n'
    b"Content-Type: text/calendar\r\n\r\nBEGIN:VCALENDAR\r\n\r\n------WebKitFormBoundaryzPFZ--\r\n",
    "Firefox": b'------geckoformboundary7f\r\nContent-Disposition: form-data; name="a%22b"\r\n\r\n1\r\n2\r\n'
    b'------geckoformboundary7f\r\nContent-Disposition: form-data; name="file"; filename="dienst.ics"\r\n'
    b"Content-Type: text/calendar\r\n\r\nBEGIN:VCALENDAR\r\n\r\n------geckoformboundary7f--\r\n",
}


@pytest.mark.parametrize("browser", BROWSERS)
def test_parts_as_browsers_write_them(browser: str) -> None:
    boundary = BROWSERS[browser].partition(b"\r\n")[0][2:].decode()
    form = forms.read_parts(BROWSERS[browser], f"multipart/form-data; boundary={boundary}")
    assert form.fields == [('a"b', "1\r\n2")]
    assert form.files == {"file": b"BEGIN:VCALENDAR\r\n"}


PART = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n'


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (PART + b"--x--\r\n", "multipart/form-data"),
        (PART + b"--x--\r\n", "multipart/form-data; boundary=y"),
        (PART + b"--x--\r\n", "multipart/form-data; boundary="),
        (PART, "multipart/form-data; boundary=x"),
        (b"before\r\n" + PART + b"--x--\r\n", "multipart/form-data; boundary=x"),
        (PART + b"--x--\r\nafter", "multipart/form-data; boundary=x"),
        (PART.replace(b"name", b"nome") + b"--x--", "multipart/form-data; boundary=x"),
        (PART.replace(b"\r\n\r\n", b"\r\n") + b"--x--", "multipart/form-data; boundary=x"),
        (PART.replace(b"1", b"\xff") + b"--x--", "multipart/form-data; boundary=x"),
        (PART * (forms.MOST_FIELDS + 1) + b"--x--", "multipart/form-data; boundary=x"),
        (b"", "multipart/form-data; boundary=x"),
    ],
)
def test_what_no_browser_writes_is_a_bad_form(body: bytes, content_type: str) -> None:
    with pytest.raises(BadForm):
        forms.read_parts(body, content_type)


def test_as_many_parts_as_fields() -> None:
    body = PART * forms.MOST_FIELDS + b"--x--"
    assert len(forms.read_parts(body, 'multipart/form-data; boundary="x"').fields) == forms.MOST_FIELDS


@given(st.binary(max_size=80) | st.lists(st.sampled_from([PART, b"--x", b"--x--", b"\r\n", b"\r\n\r\n"])).map(b"".join))
def test_any_parts_are_a_form_or_a_bad_one(body: bytes) -> None:
    try:
        forms.read_parts(body, "multipart/form-data; boundary=x")
    except BadForm:
        pass
