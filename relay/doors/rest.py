"""PUT, GET and DELETE of a rest document: /v1/me/rest for its owner, /v1/users/{user}/rest for services.

A settings service writes with a key of the scope `rest` and reads nothing; support reads, with a code (support.py).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from relay.core.errors import Problem, Refused, TooLarge, Unconfirmed
from relay.core.private import Private
from relay.core.records import Records
from relay.core.tenants import Tenant
from relay.doors import decoding
from relay.doors.http1 import Response
from relay.doors.port import Engine, IfMatch
from relay.doors.router import Call, Handle
from schedules import RuleError, Rules, compile_table, policy
from schedules.errors import Problem as Fault
from schedules.errors import Text

LARGEST: Final = 65_536
"""Bytes of a rest document."""
_ETAG: Final = re.compile(rb'"(\d{1,18})"')
Validate = Callable[[Mapping[str, object]], Rules]
"""Raises RuleError with every fault."""
CONFIRM: Final = "confirm"
"""The parameter of the query, and the only value it takes."""
NEVER_REACHABLE: Final = "never-reachable"
_UNREACHABLE: Final = Text(
    f"the document leaves no reachable minute in the next {policy.LOOK} days; "
    f"if that is meant, repeat it with ?{CONFIRM}={NEVER_REACHABLE}",
    f"mit diesen Ruhezeiten sind Sie in den nächsten {policy.LOOK} Tagen keine Minute erreichbar; "
    f"wenn das so gemeint ist, bestätigen Sie es mit ?{CONFIRM}={NEVER_REACHABLE}",
)

AN_OBJECT: Final = Text("must be an object", "muss ein Objekt sein")


def put_rest(records: Callable[[Tenant], Records], validate: Validate) -> Handle:
    """Replace the document: 201 or 200 with its version as ETag; 422 lists every fault; 412 when it was changed.

    409 when it leaves no reachable minute for weeks, and that is not confirmed (R10): mostly a slip.
    """

    async def handle(call: Call, engine: Engine) -> Response:
        document = read_document(call)
        rules = read_rules(validate, document)
        check_reachable(call, rules, call.now)
        user = call.user
        sealed_id = records(call.tenant).seal_user(user, Private(call.ids[0])) if call.ids else None
        kept = await engine.put_rest(call.tenant, user, sealed_id, document, condition(call))
        return Response(201 if kept.created else 200, b'{"version":%d}' % kept.version, headers=etag(kept.version))

    return handle


def check_reachable(call: Call, rules: Rules, now: float) -> None:
    """Raises Unconfirmed, and Refused where something else is confirmed."""
    if not is_confirmed(call) and policy.is_never_reachable(compile_table(rules, now), now):
        raise Unconfirmed(NEVER_REACHABLE, _UNREACHABLE.english, _UNREACHABLE.german)


def read_document(call: Call) -> dict[str, object]:
    """The body as a document. Raises TooLarge, UnknownMedia, Malformed, Refused."""
    form = decoding.media(call.content_type)
    if len(call.body) > LARGEST:
        raise TooLarge(f"a rest document has at most {LARGEST} bytes")
    document = decoding.plain(form, call.body)
    if not isinstance(document, dict):
        raise Refused(Problem("document", AN_OBJECT.english, AN_OBJECT.german))
    return document


def read_rules(validate: Validate, document: Mapping[str, object]) -> Rules:
    """Raises Refused with every fault, in both languages."""
    try:
        return validate(document)
    except RuleError as error:
        raise refused(error) from None


def refused(error: RuleError) -> Refused:
    return Refused(*told(error.problems))


def told(problems: Iterable[Fault], named: Mapping[str, str] = MappingProxyType({})) -> list[Problem]:
    """Faults of rules as the door tells them. `named`: what a member is called here, where that is something else."""
    return [Problem(named.get(p.path, p.path), p.sentence, p.german) for p in problems]


async def get_rest(call: Call, engine: Engine) -> Response:
    found = engine.rest(call.tenant, call.user)
    if _is_known(call.header(b"if-none-match"), found.version):
        return Response(304, headers=etag(found.version))
    return Response(200, msgspec.json.encode(found.document), headers=etag(found.version))


async def delete_rest(call: Call, engine: Engine) -> Response:
    await engine.delete_rest(call.tenant, call.user, condition(call))
    return Response(204)


def is_confirmed(call: Call) -> bool:
    """Whether it is said that a plan without a reachable minute is meant. Raises Refused."""
    value = call.parameters.get(CONFIRM)
    if value not in (None, NEVER_REACHABLE):
        raise Refused(Problem(f"query.{CONFIRM}", f"must be {NEVER_REACHABLE}"))
    return value is not None


def etag(version: int | None) -> tuple[tuple[bytes, bytes], ...]:
    return () if version is None else ((b"etag", b'"%d"' % version),)


def condition(call: Call) -> IfMatch:
    """If-Match, or `If-None-Match: *`: the first document takes the place of none. Raises Refused for any other."""
    value, none = call.header(b"if-match"), call.header(b"if-none-match")
    if none:
        if none.strip() != b"*" or value:
            raise Refused(Problem("header.If-None-Match", "must be *, and without If-Match"))
        return "none"
    if not value:
        return None
    if value.strip() == b"*":
        return "*"
    version = _version(value)
    if version is None:
        raise Refused(Problem("header.If-Match", 'must be * or an ETag like "7"'))
    return version


def _is_known(value: bytes, version: int) -> bool:
    """If-None-Match of a GET: whether the client has this version. Of ETags that proxies have weakened, too."""
    return any(tag.strip() == b"*" or _version(tag.strip().removeprefix(b"W/")) == version for tag in value.split(b","))


def _version(value: bytes) -> int | None:
    match = _ETAG.fullmatch(value.strip())
    return int(match[1]) if match else None
