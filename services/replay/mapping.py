"""Which events does a row of a table tell? A mapping says it: a TOML file, or one of those that come with Touchline.

```toml
about = "Contacts, as our CRM exports them"
zone = "Europe/Oslo"                      # of instants that say none; UTC without it
instants = ["%Y-%m-%d %H:%M"]             # how instants are written, besides RFC 3339

[[events]]                                # a row tells each of these
when = { "Status" = ["Active"] }          # only rows with one of these texts there, in any case
type = "contact_created"
id = "crm-contact-{Record ID}"            # {Column}; with a | between columns the first that is not empty
occurred_at = "{Create Date}"
contact = { id = "{Record ID}", email = "{Email}" }
properties = { city = "{?City}" }         # {?Column}: the file need not have it
```

What is empty is left out, and an event that lacks what it must have is refused. A text that is not just a column, such as the
`id` above, is empty if any of its columns is. `{ map = "{Stage}", to = { "won" = true } }` looks a text up, in any case;
`{ number = "{Amount}" }` reads `1,200.50` as `1200.50`; `{ each = "{Ids}", separator = ";", as = { id = "{item}" } }` makes a list.
"""

import datetime as dt
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import orjson

from shared.events.codec import Refusal
from shared.events.types import EVENT_TYPES

READY = files("services.replay") / "mappings"
PLACE = re.compile(r"\{(\??)([^{}]+)\}")
NUMBER = re.compile(r"-?\d{1,3}(,\d{3})+(\.\d+)?|-?\d+(\.\d+)?")
ITEM = "item"
KEYS = {"about", "zone", "instants", "events"}

Row = Mapping[str, str]


class BadMapping(Exception):
    """A mapping that cannot be used; it says what is wrong and where."""


class BadCell(Exception):
    """A value of a row that cannot be read. `field` is the event's."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True)
class TableMapping:
    """A mapping that was read and checked."""

    name: str
    about: str
    zone: ZoneInfo
    instants: Sequence[str]
    events: Sequence[Mapping[str, Any]]

    def check(self, columns: Iterable[str]) -> None:
        """Raise `BadMapping` if a table lacks a column that is asked for."""
        known = {*columns, ITEM}
        for event in self.events:
            for optional, place in _places(event):
                if not optional and not any(name in known for name in place.split("|")):
                    has = ", ".join(sorted(known - {ITEM}))
                    raise BadMapping(f"the mapping {self.name} asks for the column {place!r}; the file has {has}")

    def events_of(self, row: Row) -> list[bytes | Refusal]:
        """The events that a row tells, as JSON; or what of it cannot be read."""
        out: list[bytes | Refusal] = []
        for told in self.events:
            if not all(
                row.get(column, "").strip().casefold() in {text.casefold() for text in texts}
                for column, texts in told.get("when", {}).items()
            ):
                continue
            try:
                fields = {name: self._value(name, wanted, row) for name, wanted in told.items() if name != "when"}
            except BadCell as error:
                out.append(Refusal(0, None, "bad_value", error.field, str(error)))
            else:
                out.append(orjson.dumps({name: value for name, value in fields.items() if value is not None}))
        return out

    def _value(self, field: str, wanted: Any, row: Row) -> Any:
        """What a field of the event becomes; None if it is empty."""
        match wanted:
            case str() if field == "occurred_at":
                return self._instant(_text(wanted, row))
            case str():
                return _text(wanted, row)
            case {"map": str(template), "to": dict(to)}:
                return _looked_up(field, _text(template, row), to)
            case {"number": str(template)}:
                return _number(field, _text(template, row))
            case {"each": str(template), "as": item}:
                texts = (_text(template, row) or "").split(wanted.get("separator", ";"))
                made = [self._value(field, item, {**row, ITEM: text.strip()}) for text in texts if text.strip()]
                return made or None
            case dict():
                inner = {name: self._value(f"{field}.{name}", value, row) for name, value in wanted.items()}
                return {name: value for name, value in inner.items() if value is not None} or None
            case _:
                return wanted

    def _instant(self, text: str | None) -> str | None:
        if text is None:
            return None
        for form in ("", *self.instants):
            try:
                instant = dt.datetime.strptime(text, form) if form else dt.datetime.fromisoformat(text)  # noqa: DTZ007 - its zone follows
            except ValueError:
                continue
            return (instant if instant.tzinfo else instant.replace(tzinfo=self.zone)).isoformat()
        raise BadCell("occurred_at", f"{text!r} is no instant: neither RFC 3339 nor {' nor '.join(self.instants)}")


def _text(template: str, row: Row) -> str | None:
    """A template with the row's values; None if it is empty, or one of its columns is."""
    parts, at = [], 0
    for place in PLACE.finditer(template):
        value = next((v for name in place[2].split("|") if (v := row.get(name, "").strip())), None)
        if value is None:
            return None
        parts += [template[at : place.start()], value]
        at = place.end()
    return "".join([*parts, template[at:]]) or None


def _looked_up(field: str, text: str | None, to: Mapping[str, Any]) -> Any:
    if text is None:
        return None
    for name, value in to.items():
        if name.casefold() == text.casefold():
            return value
    raise BadCell(field, f"{text!r} is none of {', '.join(to)}")


def _number(field: str, text: str | None) -> str | None:
    if text is None:
        return None
    if not NUMBER.fullmatch(text):
        raise BadCell(field, f"{text!r} is no number such as 1200.50 or 1,200.50")
    return text.replace(",", "")


def _places(wanted: Any) -> Iterable[tuple[bool, str]]:
    """The columns that a mapping asks for: (may it be missing, its names)."""
    if isinstance(wanted, str):
        yield from ((bool(optional), names) for optional, names in PLACE.findall(wanted))
    elif isinstance(wanted, Mapping):
        for name, value in wanted.items():
            if name == "when":
                yield from ((False, column) for column in value)
            elif name != "to":
                yield from _places(value)


def ready_mappings() -> list[str]:
    """The names of the mappings that come with Touchline; every command asks for them, so none is read."""
    return sorted(file.name.removesuffix(".toml") for file in READY.iterdir() if file.name.endswith(".toml"))


def mapping(named: str, zone: str | None = None) -> TableMapping:
    """A mapping by the name of a ready one, or by its file; `zone` replaces its own. Raises `BadMapping`."""
    try:
        if named in ready_mappings():
            text = (READY / f"{named}.toml").read_text()
        elif Path(named).is_file():
            text = Path(named).read_text()
        else:
            raise BadMapping(f"there is no mapping {named!r}: neither a file nor one of {', '.join(ready_mappings())}")
        return _checked(named, tomllib.loads(text), zone)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadMapping(f"{named}: {error}") from error


def _checked(named: str, told: dict[str, Any], zone: str | None) -> TableMapping:
    if unknown := told.keys() - KEYS:
        raise BadMapping(f"{named}: {', '.join(sorted(unknown))}: a mapping has {', '.join(sorted(KEYS))}")
    events = told.get("events")
    if not isinstance(events, list) or not events:
        raise BadMapping(f"{named}: it tells no [[events]]")
    for n, event in enumerate(events, 1):
        cls = EVENT_TYPES.get(event.get("type", ""))
        if cls is None:
            raise BadMapping(f"{named}, event {n}: {event.get('type')!r} is no type of event")
        if odd := event.keys() - {*cls.__struct_fields__, "type", "when"}:
            raise BadMapping(f"{named}, event {n}: {event['type']} has no {', '.join(sorted(odd))}")
    try:
        found = ZoneInfo(zone or told.get("zone", "UTC"))
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise BadMapping(f"{named}: {zone or told.get('zone')!r} is no time zone") from error
    return TableMapping(named, told.get("about", ""), found, told.get("instants", []), events)
