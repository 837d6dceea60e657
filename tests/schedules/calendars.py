"""Duty rosters as programs write them, and a short way to write more."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from schedules.roster import Duty
from schedules.walltime import zone

BERLIN: Final = zone("Europe/Berlin")
NOW: Final = datetime(2026, 11, 25, 20, 40, tzinfo=UTC).timestamp()
"""Wednesday, 21:40 in Berlin."""
TODAY: Final = 20_782
_EPOCH: Final = datetime(1970, 1, 1)


def calendar(*events: str, head: str = "") -> bytes:
    """A file of events, each as its lines without BEGIN and END."""
    body = "".join(f"BEGIN:VEVENT\n{event.strip()}\nEND:VEVENT\n" for event in events)
    return f"BEGIN:VCALENDAR\nVERSION:2.0\n{head}{body}END:VCALENDAR\n".replace("\n", "\r\n").encode()


def event(start: str, end: str, *lines: str, zone: str = "Europe/Berlin") -> str:
    """`start` and `end` as in a file, in a zone."""
    return "\n".join([f"DTSTART;TZID={zone}:{start}", f"DTEND;TZID={zone}:{end}", *lines])


def told(duty: Duty) -> str:
    """2026-11-26 06:00 to 14:00 Früh"""
    start, end = (_EPOCH + timedelta(seconds=wall) for wall in duty[:2])
    return f"{start:%Y-%m-%d %H:%M} to {end:%H:%M}" + (f" {duty.name}" if duty.name else "")


BERLIN_AS_WRITTEN: Final = """\
BEGIN:VTIMEZONE
TZID:Europe/Berlin
X-LIC-LOCATION:Europe/Berlin
BEGIN:DAYLIGHT
TZOFFSETFROM:+0100
TZOFFSETTO:+0200
TZNAME:CEST
DTSTART:19700329T020000
RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU
END:DAYLIGHT
BEGIN:STANDARD
TZOFFSETFROM:+0200
TZOFFSETTO:+0100
TZNAME:CET
DTSTART:19701025T030000
RRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU
END:STANDARD
END:VTIMEZONE
"""

ROSTER_SYSTEM: Final = calendar(
    event("20261125T060000", "20261125T143000", "UID:4711-1@dienstplan", "SUMMARY:F", "LOCATION:PI Hannover",
          "DESCRIPTION:Streife\\, Wagen 3\\nmit Müller", "CATEGORIES:Dienst"),
    event("20261126T133000", "20261126T220000", "UID:4711-2@dienstplan", "SUMMARY:S",
          "BEGIN:VALARM\nACTION:DISPLAY\nDESCRIPTION:Dienst\nSUMMARY:Wecker\nDURATION:PT15M\nTRIGGER:-PT1H\nEND:VALARM"),
    event("20261127T213000", "20261128T063000", "UID:4711-3@dienstplan", "SUMMARY:N"),
    event("20261128T213000", "20261129T063000", "UID:4711-4@dienstplan", "SUMMARY:N"),
    "UID:4711-5@dienstplan\nDTSTART;VALUE=DATE:20261130\nDTEND;VALUE=DATE:20261202\nSUMMARY:Ausgleichstag",
    event("20261203T080000", "20261203T160000", "UID:4711-6@dienstplan", "SUMMARY:Fortbildung",
          "STATUS:CANCELLED"),
    event("20261204T060000", "20261204T143000", "UID:4711-7@dienstplan", "SUMMARY:F"),
    head="PRODID:-//Dienstplan GmbH//SP-Expert 8.2//DE\nMETHOD:PUBLISH\n" + BERLIN_AS_WRITTEN,
)  # fmt: skip
"""A month's export with the zone written out, a reminder in a duty, an all-day entry and one that was called off."""

OUTLOOK: Final = calendar(
    event("20261102T070000", "20261102T153000", "UID:040000008200E00074C5B7101A82E008", "SEQUENCE:0", "CLASS:PUBLIC",
          "RRULE:FREQ=WEEKLY;INTERVAL=1;BYDAY=MO,TU,WE,TH;WKST=MO", "SUMMARY;LANGUAGE=de:Tagdienst",
          "EXDATE;TZID=W. Europe Standard Time:20261126T070000,20261207T070000", "TRANSP:OPAQUE",
          "X-MICROSOFT-CDO-BUSYSTATUS:BUSY", zone="W. Europe Standard Time"),
    event("20261201T120000", "20261201T200000", "UID:040000008200E00074C5B7101A82E008", "SEQUENCE:1",
          "RECURRENCE-ID;TZID=W. Europe Standard Time:20261201T070000", "SUMMARY;LANGUAGE=de:Tagdienst",
          zone="W. Europe Standard Time"),
    event("20261208T090000", "20261208T100000", "SUMMARY;LANGUAGE=de:Zahnarzt", "TRANSP:TRANSPARENT",
          "X-MICROSOFT-CDO-BUSYSTATUS:FREE", zone="W. Europe Standard Time"),
    head="PRODID:-//Microsoft Corporation//Outlook 16.0 MIMEDIR//EN\nMETHOD:PUBLISH\nX-MS-OLK-FORCEINSPECTOROPEN:TRUE\n"
    + BERLIN_AS_WRITTEN.replace("TZID:Europe/Berlin\nX-LIC-LOCATION:Europe/Berlin", "TZID:W. Europe Standard Time"),
)  # fmt: skip
"""A series with days left out, one day moved, and what is no duty."""

GOOGLE: Final = calendar(
    "DTSTART:20261126T050000Z\nDTEND:20261126T130000Z\nDTSTAMP:20261120T101010Z\nUID:a1@google.com\nSUMMARY:Frühdienst\n"
    "STATUS:CONFIRMED\nTRANSP:OPAQUE\nSEQUENCE:0",
    event("20261120T220000", "20261121T060000", "RRULE:FREQ=DAILY;INTERVAL=4;UNTIL=20261206T225959Z",
          "UID:b2@google.com", "SUMMARY:Nachtdienst", "EXDATE;TZID=Europe/Berlin:20261202T220000"),
    head="PRODID:-//Google Inc//Google Calendar 70.9054//EN\nCALSCALE:GREGORIAN\nX-WR-CALNAME:Dienst\n"
    "X-WR-TIMEZONE:Europe/Berlin\n" + BERLIN_AS_WRITTEN,
)  # fmt: skip
"""Single events in UTC, a series in its zone with an end in UTC."""
