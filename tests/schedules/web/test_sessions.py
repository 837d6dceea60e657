"""The cookie and the token of forms."""

from __future__ import annotations

from dataclasses import replace

import pytest
from starlette.requests import Request
from starlette.responses import Response

from schedules.web import sessions
from schedules.web.port import Opened, Secret
from schedules.web.sessions import Sender
from tests.schedules.web.browser import BASE, SETTINGS

PLAIN = replace(SETTINGS, base_url="http://localhost:8081")


def asked(cookie: str) -> Request:
    return Request({"type": "http", "method": "GET", "path": "/", "headers": [(b"cookie", cookie.encode())]})


def test_the_cookie_is_for_this_host_and_not_for_scripts() -> None:
    response = Response()
    sessions.begin(response, Opened(Secret("me.secret"), 43_200), SETTINGS)
    told = response.headers["set-cookie"]
    assert told.startswith("__Host-feierabend=me.secret; ")
    for part in ("HttpOnly", "Secure", "SameSite=lax", "Path=/", "Max-Age=43200"):
        assert part in told
    assert "domain" not in told.lower()


def test_on_localhost_the_cookie_does_without_https() -> None:
    response = Response()
    sessions.begin(response, Opened(Secret("me.secret"), 43_200), PLAIN)
    told = response.headers["set-cookie"]
    assert told.startswith("feierabend=me.secret; ")
    assert "Secure" not in told


@pytest.mark.parametrize("value", ["", "x" * 201, '"a b"', "ä"])
def test_what_is_no_secret_is_none(value: str) -> None:
    assert sessions.shown(asked(f"__Host-feierabend={value}"), SETTINGS) is None


def test_the_cookie_of_another_name_is_not_ours() -> None:
    assert sessions.shown(asked("feierabend=me.x"), SETTINGS) is None
    assert sessions.shown(asked("__Host-feierabend=me.x"), PLAIN) is None
    assert sessions.shown(asked("a=b; __Host-feierabend=me.x"), SETTINGS) == Secret("me.x")


def test_a_token_of_forms_belongs_to_one_session_and_tells_nothing_of_it() -> None:
    anna, bert = Secret("me.anna"), Secret("me.bert")
    token = sessions.csrf(anna)
    assert sessions.is_csrf(anna, token)
    assert not sessions.is_csrf(bert, token)
    assert not sessions.is_csrf(anna, "")
    assert not sessions.is_csrf(anna, "ä")
    assert "anna" not in token


@pytest.mark.parametrize(
    ("headers", "sender"),
    [
        ({"sec-fetch-site": "same-origin"}, Sender.OURS),
        ({"sec-fetch-site": "none"}, Sender.OURS),
        ({"sec-fetch-site": "same-site"}, Sender.ELSEWHERE),
        ({"sec-fetch-site": "cross-site", "origin": BASE}, Sender.ELSEWHERE),
        ({"origin": BASE}, Sender.OURS),
        ({"origin": "http://ruhe.example"}, Sender.ELSEWHERE),
        ({"origin": "null"}, Sender.UNTOLD),
        ({}, Sender.UNTOLD),
    ],
)
def test_the_browsers_word_is_asked_first(headers: dict[str, str], sender: Sender) -> None:
    assert sessions.sender(headers, SETTINGS) is sender
