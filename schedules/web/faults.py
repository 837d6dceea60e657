"""Faults of a document in an officer's words.

The reader of documents speaks to whoever wrote the JSON: a path, and "must be a date like 2026-12-21" (`reader.py`). An
officer has written no JSON but chosen a day in a control. So what is said of the way in which a value is written, or of
how many entries a list has, is said anew here; other sentences follow what they are about, as the form calls it: "The
end" must be later than the start. Paths are for programs: beside which control a fault stands, shapes.py knows, and
what no control shows is told without one.

Sentences of the reader are known by their English text, as messages of a catalogue are; so those that the relay sends
are known as well as those found here. Rejected: a number for each kind of fault, one more thing to keep in step.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from schedules import reader
from schedules.errors import Problem, Text
from schedules.rules import MAX_DEVICES
from schedules.web.fields import NO_DATE, NO_LAND, NO_TIME
from schedules.windows import MAX_SHIFTS

_SAID: Final[Mapping[str, Text]] = {
    reader.DAY.english: NO_DATE,
    reader.OCLOCK.english: NO_TIME,
    reader.MOMENT.english: Text("Please give a day and a time.", "Bitte Tag und Uhrzeit angeben."),
}
"""By the reader's sentence."""

_TOO_MANY: Final = Text("There are too many rules for one more.", "Es sind zu viele Regeln für eine weitere.")
_WHATEVER: Final[Mapping[str, Text]] = {
    "windows": _TOO_MANY,
    "overrides": _TOO_MANY,
    "devices": Text(
        f"No more than {MAX_DEVICES} devices can be set one by one.",
        f"Mehr als {MAX_DEVICES} Geräte lassen sich nicht einzeln einstellen.",
    ),
    "shifts": Text(f"There are more than {MAX_SHIFTS} shifts.", f"Es sind mehr als {MAX_SHIFTS} Schichten."),
    "swaps": Text("Too many days are swapped.", "Es sind zu viele Tage getauscht."),
    "land": NO_LAND,
    "rest": Text("Please choose what the rest is for.", "Bitte wählen, wofür die Ruhe ist."),
}
"""By the end of the path: all that a form can do wrong there."""

_TITLES: Final[Mapping[str, Text]] = {"until": Text("The end", "Das Ende")}
"""What the acts of one tap send, which have no form."""
_ELSEWHERE: Final = Text(
    "Nothing was saved, because a rule has a fault.", "Es wurde nichts gespeichert, weil eine Regel einen Fehler hat."
)


def beside(problem: Problem, title: Text) -> Text:
    """A fault for the control that shows it; `title` is what the control is about."""
    own = _SAID.get(problem.sentence) or _WHATEVER.get(_end(problem))
    return own or Text(f"{title.english} {problem.sentence}.", f"{title.german} {problem.german}.")


def alone(problem: Problem) -> Text:
    """A fault that no control shows."""
    end = _end(problem)
    return _WHATEVER.get(end) or (beside(problem, _TITLES[end]) if end in _TITLES else _ELSEWHERE)


def _end(problem: Problem) -> str:
    """The last part of the path: `days[3]` of `windows[0].days[3]`."""
    return problem.path.rpartition(".")[2]
