"""GET and POST /v1/me/rest/preview: the days to come, by the document that is stored or by one that is not yet.

With it comes the effect on what waits (core/foretelling.py): a page can say, before anything is saved, that three
notices would leave at once. There are no side effects, and no confirmation is asked for; it tells whether one will be.

Days are dates of the document's zone, the first one that of now. Their spans cover them whole, to be painted; the
sentence of the first begins now, to be read.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from relay.core.errors import Problem, Refused
from relay.core.foretelling import Leaving
from relay.doors import explain, own, rest
from relay.doors.http1 import Response
from relay.doors.port import Engine
from relay.doors.router import Call
from schedules import Rules, compile_table, parse, policy
from schedules.days import MOST, Day, days
from schedules.errors import Text
from schedules.explain import Table, day_lines

DAYS: Final = "days"
USUAL: Final = 14
_WHOLE: Final = re.compile(r"[1-9][0-9]?", re.ASCII)
_COUNT: Final = Text(f"must be a whole number from 1 to {MOST}", f"muss eine ganze Zahl von 1 bis {MOST} sein")


async def get_preview(call: Call, engine: Engine) -> Response:
    count = _count(call)
    rules = own.stored(engine.rest_facts(call.tenant, call.user, call.now))
    return _answer(rules, call.now, count, engine.effect(call.tenant, call.user, None, call.now))


async def post_preview(call: Call, engine: Engine) -> Response:
    """Of the document in the body. 422 lists every fault, as for PUT."""
    count = _count(call)
    rules = rest.read_rules(parse, rest.read_document(call))
    effect = engine.effect(call.tenant, call.user, compile_table(rules, call.now), call.now)
    return _answer(rules, call.now, count, effect)


def _count(call: Call) -> int:
    """Raises Refused."""
    value = call.parameters.get(DAYS, str(USUAL))
    if not _WHOLE.fullmatch(value) or int(value) > MOST:
        raise Refused(Problem(f"query.{DAYS}", _COUNT.english, _COUNT.german))
    return int(value)


def _answer(rules: Rules, now: float, count: int, effect: Sequence[Leaving]) -> Response:
    table = compile_table(rules, now, max(count, policy.LOOK) + 1)
    resting, until, next_start = table.at(now)
    content = {
        "timezone": rules.zone.name,
        "now": now,
        "resting": resting,
        "until": until,
        "next_start": next_start,
        "days": _days(rules, table, now, count),
        "hints": [
            explain.said(Text(*(policy.hint(short, rules, language) for language in ("en", "de"))))
            for short in policy.short_rests(rules, now, count)
        ],
        "never_reachable": policy.is_never_reachable(table, now),
        "effect": {
            "waiting": sum(each.notices for each in effect),
            "leaves": [
                {
                    "class": each.event_class,
                    "notices": each.notices,
                    "due_before": each.before,
                    "due_after": each.after,
                }
                for each in effect
            ],
        },
    }
    return Response(200, msgspec.json.encode(content))


def _days(rules: Rules, table: Table, now: float, count: int) -> list[dict[str, Any]]:
    told = days(rules, now, count)
    first, last = int(now // 1), told[-1].end
    english, german = (day_lines(rules, table, first, last, language) for language in ("en", "de"))
    return [_day(day, Text(*lines)) for day, *lines in zip(told, english, german, strict=True)]


def _day(day: Day, sentence: Text) -> dict[str, Any]:
    return {
        "date": day.date.isoformat(),
        "spans": [
            {"start": piece.start, "end": piece.end, "resting": piece.resting, "reasons": piece.reasons}
            for piece in day.pieces
        ],
        "sentence": explain.said(sentence),
    }
