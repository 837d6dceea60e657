"""POST and GET /v1/me/test: an officer wakes his own phones, and is told what became of it at each of them.

In words, and with what to do: a page and an app show them as they are. Instants in them are as by the clock on the wall
of `DEFAULT_ZONE`; the numbers beside them are UTC seconds.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Final

import msgspec

from relay.core.devices import Platform
from relay.doors.explain import said as explained
from relay.doors.http1 import Response
from relay.doors.port import DeviceTrial, Engine, TrialState, TrialWhy
from relay.doors.router import Call
from schedules import explain
from schedules.errors import Text
from schedules.rules import DEFAULT_ZONE
from schedules.walltime import zone

ID_BYTES: Final = 8
PROVIDERS: Final[Mapping[Platform, str]] = {Platform.APNS: "Apple", Platform.FCM: "Google"}

_HANDED_OVER: Final = Text(
    "Handed over to {provider}, {at}. If the phone does not ring, see whether it has signal and shows notifications.",
    "An {provider} übergeben, {at}. Klingelt das Telefon nicht, prüfen Sie, ob es Empfang hat und Mitteilungen zeigt.",
)
_PC: Final = Text(
    "A computer: it has nothing to wake it by. Nothing to do.",
    "Ein Computer: Er kann nicht geweckt werden. Nichts zu tun.",
)
_NO_APP: Final = Text(
    "The app {app} is not set up here any more. Install the current app and sign in there.",
    "Die App {app} ist hier nicht mehr eingerichtet. Installieren Sie die aktuelle App und melden Sie sich dort an.",
)
DEAD: Final = Text(
    "{provider} does not know this phone any more; it was removed here. Open the app on it.",
    "{provider} kennt dieses Telefon nicht mehr; es wurde hier entfernt. Öffnen Sie dort die App.",
)
_PENDING: Final = Text(
    "On its way to {provider}. Look again in a moment.",
    "Unterwegs zu {provider}. Sehen Sie gleich noch einmal nach.",
)
_HALT: Final = Text(
    "Held back by the operators of this service. Nothing to do; they let it go within ten minutes, or it is given up.",
    "Vom Betrieb dieses Dienstes zurückgehalten. Nichts zu tun; nach zehn Minuten wird es aufgegeben.",
)
LATER: Final = Text(
    "{provider} did not take it now ({reason}). Nothing to do; it is tried again.",
    "{provider} hat es gerade nicht angenommen ({reason}). Nichts zu tun; es wird erneut versucht.",
)
LATER_AT: Final = Text(
    "{provider} did not take it now ({reason}). Nothing to do; it is tried again {at}.",
    "{provider} hat es gerade nicht angenommen ({reason}). Nichts zu tun; es wird erneut versucht, {at}.",
)
FAILING: Final[Mapping[TrialWhy, Text]] = {
    TrialWhy.LATER: LATER,
    TrialWhy.REFUSED: Text(
        "{provider} does not take it ({reason}). Please tell the help desk.",
        "{provider} nimmt es nicht an ({reason}). Bitte melden Sie es der technischen Hilfe.",
    ),
    TrialWhy.PAUSED: Text(
        "The way to {provider} is interrupted ({reason}). Nothing to do; it is tried again.",
        "Der Weg zu {provider} ist unterbrochen ({reason}). Nichts zu tun; es wird erneut versucht.",
    ),
    TrialWhy.STOPPED: Text(
        "The way to {provider} is closed until somebody mends it ({reason}). Please tell the help desk.",
        "Der Weg zu {provider} steht, bis jemand ihn repariert ({reason}). Bitte melden Sie es der technischen Hilfe.",
    ),
    TrialWhy.BACK_OFF: Text(
        "The last attempts at this phone failed. Nothing to do; it is tried again.",
        "Die letzten Versuche bei diesem Telefon schlugen fehl. Nichts zu tun; es wird erneut versucht.",
    ),
    TrialWhy.EXPIRED: Text(
        "Given up after ten minutes. Test again; if that fails too, please tell the help desk.",
        "Nach zehn Minuten aufgegeben. Testen Sie erneut; hilft das nicht, melden Sie es bitte der technischen Hilfe.",
    ),
}
_STATES: Final[Mapping[TrialState, Text]] = {
    TrialState.HANDED_OVER: _HANDED_OVER,
    TrialState.PENDING: _PENDING,
    TrialState.NO_APP: _NO_APP,
    TrialState.DEAD: DEAD,
    TrialState.PC: _PC,
}


async def post_test(call: Call, engine: Engine) -> Response:
    """Wake all of the officer's phones. What became of it is asked for by GET."""
    at = await engine.try_out(call.officer, call.now)
    return Response(202, msgspec.json.encode({"id": secrets.token_hex(ID_BYTES), "at": at}))


async def get_test(call: Call, engine: Engine) -> Response:
    facts = engine.trial(call.officer, call.now)
    return Response(
        200, msgspec.json.encode({"at": facts.at, "devices": [_told(device, call.now) for device in facts.devices]})
    )


def _told(trial: DeviceTrial, now: float) -> dict[str, object]:
    sentence = said(trial, now)
    return {
        "device": trial.device.reveal(),
        "platform": trial.platform.value,
        "app": trial.app,
        "state": trial.state.value,
        "provider": PROVIDERS[trial.platform].lower() if trial.platform in PROVIDERS else None,
        "at": trial.at,
        "why": trial.why.value,
        "reason": trial.reason,
        "retry_at": trial.retry_at,
        "sentence": explained(sentence),
    }


def said(trial: DeviceTrial, now: float) -> Text:
    """What became of it, and what to do."""
    form, at = _STATES.get(trial.state, _PENDING), trial.at
    if trial.state is TrialState.FAILING:
        form, at = FAILING[trial.why], trial.retry_at
        if form is LATER and at is not None:
            form = LATER_AT
    elif trial.why is TrialWhy.HALT:
        form = _HALT
    words = {"provider": PROVIDERS.get(trial.platform, ""), "app": trial.app, "reason": trial.reason}
    english, german = (
        text.format(**words, at="" if at is None else explain.moment(zone(DEFAULT_ZONE), int(at), int(now), language))
        for text, language in ((form.english, "en"), (form.german, "de"))
    )
    return Text(english, german)
