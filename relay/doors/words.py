"""Sentences of `explain`, in German and English, for people on a telephone.

Instants are said as by a clock on the wall: in findings that of `DEFAULT_ZONE`, whatever the person's rest document
says, for findings know nothing of it; in what is told of a rest that of its document.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from relay.core.explaining import Hindrance, Waiting
from relay.doors.port import RestFacts
from schedules import compile_table, explain, parse
from schedules.errors import Text
from schedules.rules import DEFAULT_ZONE
from schedules.walltime import Zone, zone

ALL_IS_WELL: Final = Text(
    "All is well as far as devices, lanes and store go.", "Geräte, Wege zu den Anbietern und Speicher sind in Ordnung."
)
NO_DEVICE: Final = Text("No device is registered.", "Es ist kein Gerät registriert.")
NO_PHONE: Final = Text(
    "None of the devices is one that can be woken.", "Keines der Geräte ist eines, das geweckt werden kann."
)
NO_APP: Final = Text(
    "{device}: its app {app} is not configured any more.", "{device}: Die App {app} ist nicht mehr eingerichtet."
)
STORE_FAILS: Final = Text(
    "The store cannot write now: nothing new is taken until it can.",
    "Der Speicher kann nicht schreiben: Bis dahin wird nichts Neues angenommen.",
)
LANES: Final[Mapping[str, Text]] = {
    "paused": Text("The lane of app {app} is down: {reason}.", "Der Weg der App {app} ist unterbrochen: {reason}."),
    "stopped": Text(
        "The lane of app {app} is stopped until somebody mends it: {reason}.",
        "Der Weg der App {app} steht, bis jemand ihn repariert: {reason}.",
    ),
}
"""By the state of a lane that is not up."""
_FAILING: Final = Text(
    "{device}: the last attempts failed ({count} in a row).", "{device}: Die letzten Versuche schlugen fehl ({count})."
)
_RETRIED: Final = Text(
    "{device}: the last attempts failed ({count} in a row); not tried again before {at}.",
    "{device}: Die letzten Versuche schlugen fehl ({count}); der nächste frühestens {at}.",
)

_NO_RULES: Final = Text("Reachable: there are no rules of rest.", "Erreichbar: Es gibt keine Ruheregeln.")
_UNREADABLE: Final = Text(
    "The rest document cannot be read; what was read last holds, and else rest without end.",
    "Die Ruheregeln sind nicht lesbar; es gilt, was zuletzt lesbar war, sonst Ruhe ohne Ende.",
)
_WAITING: Final = Text("{name}: {count} waiting since {since}; {why}.", "{name}: {count} warten seit {since}; {why}.")
_DUE: Final = {
    Hindrance.NOTHING: Text("about to leave", "geht gleich hinaus"),
    Hindrance.UNDER_WAY: Text("on the way to the provider", "auf dem Weg zum Anbieter"),
    Hindrance.REST: Text("kept back by the rest until {at}", "wegen der Ruhe erst {at}"),
    Hindrance.RELEASE: Text("leaves at {at}, a little after the rest", "geht {at} hinaus, kurz nach der Ruhe"),
    Hindrance.HOLD: Text("the phone was just woken, again at {at}", "gerade erst geweckt, wieder {at}"),
    Hindrance.READING: Text("being read elsewhere until {at}", "wird anderswo gelesen, bis {at}"),
    Hindrance.RENEWAL: Text("not confirmed, sent anew at {at}", "nicht bestätigt, erneut {at}"),
    Hindrance.HALT: Text("held back by an operator until {at}", "vom Betrieb zurückgehalten bis {at}"),
    Hindrance.RETRY: Text("an attempt failed, the next at {at}", "ein Versuch schlug fehl, der nächste {at}"),
}
_ENDLESS: Final = Text("kept back by a rest without end", "zurückgehalten von einer Ruhe ohne Ende")
_NEVER: Final = {
    Hindrance.HALT: Text("held back by the relay itself", "vom Relay selbst zurückgehalten"),
    Hindrance.NO_PHONE: Text("no phone is to be woken for it", "kein Telefon soll dafür geweckt werden"),
    Hindrance.EXPIRY: Text("is given up before it could leave", "verfällt, bevor es hinausgehen kann"),
}
"""Where there is no instant at which it leaves; else it is the rest that has no end."""


def failing(device: str, count: int, retry_at: float | None, now: float) -> Text:
    """Of a device whose wakeups are not taken."""
    if retry_at is None:
        return _FAILING.filled(device=device, count=count)
    return _filled(_RETRIED, device=device, count=count, at=_moment(zone(DEFAULT_ZONE), retry_at, now))


class RestTold:
    """Somebody's rest at an instant, in words."""

    def __init__(self, facts: RestFacts, now: float) -> None:
        self._rules = parse(facts.document) if facts.document is not None else None
        self._readable = facts.readable
        self._now = now
        self._zone = self._rules.zone if self._rules is not None else zone(DEFAULT_ZONE)

    def sentence(self) -> Text:
        """What holds now, until when, and why."""
        rules = self._rules
        if rules is None:
            return _NO_RULES if self._readable else _UNREADABLE
        table = compile_table(rules, self._now)
        english, german = (explain.sentence(rules, table, self._now, language) for language in ("en", "de"))
        return Text(f"{english}.", f"{german}.")

    def waiting(self, each: Waiting) -> Text:
        """What waits in one class, and for what."""
        if each.due is None:
            why = _NEVER.get(each.why, _ENDLESS)
        else:
            why = _filled(_DUE[each.why], at=_moment(self._zone, each.due, self._now))
        since = _moment(self._zone, each.since, self._now)
        return _filled(_WAITING, name=each.event_class, count=each.notices, since=since, why=why)


def _filled(text: Text, **values: object) -> Text:
    """A text in both languages, filled with values that are the same in both, or texts themselves."""
    english, german = (
        form.format(**{name: value[column] if isinstance(value, Text) else value for name, value in values.items()})
        for column, form in enumerate(text)
    )
    return Text(english, german)


def _moment(of: Zone, at: float, now: float) -> Text:
    english, german = (explain.moment(of, int(at), int(now), language) for language in ("en", "de"))
    return Text(english, german)
