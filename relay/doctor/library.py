"""The vendor's library as shipped, for one request: aioapns for APNs, pyfcm for FCM. A program of its own.

    python -m relay.doctor.library < question.json        # one line of JSON comes out: an answer, or why there is none

The question comes by standard input, for there are keys in it, and arguments and environments can be read by others. It
knows nothing of the relay, so that it can disagree; its loop and its threads end with the process.

aioapns makes a provider token of its own for every connection, and Apple counts those of a team: a running relay could
be made to pause for 20 minutes by a second one. So it is handed ours (`bearer`), unless Apple has refused that.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import ssl
import sys
from collections.abc import Mapping
from typing import Any

Question = Mapping[str, Any]
Told = dict[str, object]
"""`status` and `body` of an answer; or `failed`, a word."""


def ask(question: Question) -> Told:
    """Send one request, and tell what came of it. Blocks as long as the library does."""
    try:
        return asyncio.run(_apns(question)) if question["provider"] == "apns" else _fcm(question)
    except Exception as error:  # whatever a library raises is its answer
        return {"failed": type(_first(error)).__name__}


def _first(error: BaseException) -> BaseException:
    """What it began with: pyfcm calls it invalid data when it gets no access token, whatever the reason."""
    before = error.__cause__ or error.__context__
    return error if before is None else _first(before)


async def _apns(question: Question) -> Told:
    from aioapns import APNs, NotificationRequest, PushType
    from aioapns.connection import APNsTLSClientProtocol, AuthorizationHeaderProvider

    class Bearer(AuthorizationHeaderProvider):
        def get_header(self) -> str:
            return str(question["bearer"])

    class Protocol(APNsTLSClientProtocol):
        APNS_SERVER = question["host"]
        APNS_PORT = question["port"]

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            if question["bearer"]:
                self.auth_provider = Bearer()
            super().connection_made(transport)

    context = ssl.create_default_context(cafile=question["ca_file"])
    context.set_alpn_protocols(["h2"])
    client: Any = APNs(
        key=question["key"], key_id=question["key_id"], team_id=question["team_id"], topic=question["topic"],
        ssl_context=context, max_connections=1, max_connection_attempts=1, err_func=_quiet,
    )  # fmt: skip
    client.pool.protocol_class = Protocol
    message = {"aps": {"alert": {"loc-key": "W"}, "mutable-content": 1}}
    request = NotificationRequest(question["token"], message, time_to_live=0, push_type=PushType.ALERT)
    try:
        result: Any = await client.send_notification(request)
    finally:
        for connection in list(client.pool.connections):
            connection.inactivity_timer.cancel()
            connection.transport.abort()
        for _ in range(3):
            await asyncio.sleep(0)  # it closes its sockets in the loop's next rounds
    body = "" if result.is_successful else json.dumps({"reason": result.description})
    return {"status": int(result.status), "body": body}


async def _quiet(*_: object) -> None:
    """It would log every refusal."""


def _fcm(question: Question) -> Told:
    from google.oauth2.service_account import Credentials
    from pyfcm import FCMNotification
    from requests.adapters import HTTPAdapter

    if question["ca_file"]:
        os.environ["REQUESTS_CA_BUNDLE"] = question["ca_file"]
    if question["proxy"]:  # google-auth reads it for the token; of this process, which nobody else sees
        os.environ["HTTPS_PROXY"] = question["proxy"]
    told: Told = {"failed": "NoAnswer"}

    def keep(response: Any, *_: object, **__: object) -> None:  # noqa: ANN401
        told.clear()
        told.update(status=response.status_code, body=response.text[:4096])

    scopes = ["https://www.googleapis.com/auth/firebase.messaging"]
    made: Any = Credentials
    credentials = made.from_service_account_info(question["account"], scopes=scopes)
    client: Any = FCMNotification(credentials=credentials, adapter=HTTPAdapter(max_retries=0))
    client.FCM_END_POINT_BASE = question["base"]
    client.requests_session.hooks["response"].append(keep)
    try:
        client.notify(
            fcm_token=question["token"], data_payload={"w": ""}, android_config={"priority": "HIGH", "ttl": "0s"},
            dry_run=True,
        )  # fmt: skip
    except Exception:
        if "failed" in told:
            raise
    return told


if __name__ == "__main__":
    logging.disable()  # it would log what it is told
    sys.stdout.write(json.dumps(ask(json.load(sys.stdin))) + "\n")
