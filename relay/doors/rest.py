"""PUT, GET and DELETE of a rest document: /v1/me/rest for its owner, /v1/users/{user}/rest for services.

A settings service writes with a key of the scope `rest` and reads nothing; support reads, with a code (support.py).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from relay.core.errors import Problem, Refused
from relay.core.private import Private
from relay.core.records import Records
from relay.core.tenants import Tenant
from relay.doors import decoding, problems
from relay.doors.http1 import Response
from relay.doors.port import Engine, IfMatch
from relay.doors.router import Call, Handle
from schedules import RuleError, Rules, compile_table, policy

LARGEST: Final = 65_536
"""Bytes of a rest document."""
_ETAG: Final = re.compile(rb'"(\d{1,18})"')
Validate = Callable[[Mapping[str, object]], Rules]
"""Raises RuleError with every fault."""
CONFIRM: Final = "confirm"
"""The parameter of the query, and the only value it takes."""
NEVER_REACHABLE: Final = "never-reachable"
_UNREACHABLE: Final = (
    f"the document leaves no reachable minute in the next {policy.LOOK} days; "
    f"if that is meant, repeat it with ?{CONFIRM}={NEVER_REACHABLE}"
)


def put_rest(records: Callable[[Tenant], Records], validate: Validate) -> Handle:
    """Replace the document: 201 or 200 with its version as ETag; 422 lists every fault; 412 when it was changed.

    409 when it leaves no reachable minute for weeks, and that is not confirmed (R10): mostly a slip.
    """

    async def handle(call: Call, engine: Engine) -> Response:
        form = decoding.media(call.content_type)
        if len(call.body) > LARGEST:
            return problems.problem("too-large", f"a rest document has at most {LARGEST} bytes")
        document = decoding.plain(form, call.body)
        if not isinstance(document, dict):
            raise Refused(Problem("document", "must be an object"))
        try:
            rules = validate(document)
        except RuleError as error:
            raise Refused(*(Problem(p.path, p.sentence) for p in error.problems)) from None
        if not _is_confirmed(call) and policy.is_never_reachable(compile_table(rules, call.now), call.now):
            return problems.problem("confirmation", _UNREACHABLE, confirm=NEVER_REACHABLE)
        user = call.user
        sealed_id = records(call.tenant).seal_user(user, Private(call.ids[0])) if call.ids else None
        kept = await engine.put_rest(call.tenant, user, sealed_id, document, _condition(call))
        return Response(201 if kept.created else 200, b'{"version":%d}' % kept.version, headers=_etag(kept.version))

    return handle


async def get_rest(call: Call, engine: Engine) -> Response:
    found = engine.rest(call.tenant, call.user)
    if _is_known(call.header(b"if-none-match"), found.version):
        return Response(304, headers=_etag(found.version))
    return Response(200, msgspec.json.encode(found.document), headers=_etag(found.version))


async def delete_rest(call: Call, engine: Engine) -> Response:
    await engine.delete_rest(call.tenant, call.user, _condition(call))
    return Response(204)


def _is_confirmed(call: Call) -> bool:
    value = call.parameters.get(CONFIRM)
    if value not in (None, NEVER_REACHABLE):
        raise Refused(Problem(f"query.{CONFIRM}", f"must be {NEVER_REACHABLE}"))
    return value is not None


def _etag(version: int) -> tuple[tuple[bytes, bytes], ...]:
    return ((b"etag", b'"%d"' % version),)


def _condition(call: Call) -> IfMatch:
    """If-Match. Raises Refused for one that is no ETag of ours."""
    value = call.header(b"if-match")
    if not value:
        return None
    if value.strip() == b"*":
        return "*"
    version = _version(value)
    if version is None:
        raise Refused(Problem("header.If-Match", 'must be * or an ETag like "7"'))
    return version


def _is_known(value: bytes, version: int) -> bool:
    """If-None-Match: whether the client has this version. Proxies weaken ETags, so W/ counts (RFC 9110, 13.1.2)."""
    return any(tag.strip() == b"*" or _version(tag.strip().removeprefix(b"W/")) == version for tag in value.split(b","))


def _version(value: bytes) -> int | None:
    match = _ETAG.fullmatch(value.strip())
    return int(match[1]) if match else None
