"""Forms as they are sent."""

from __future__ import annotations

from urllib.parse import urlencode

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
    assert "canary" not in repr(Form([("label", "canary")]))
