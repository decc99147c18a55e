"""How does a message of an outside producer become our events by a table? The language of such a table, checked before it is used.

A field's value is a constant, or a text with places in braces: `{properties.form_id}` is the message's value at this path,
`{properties.form_id|properties.form}` the first of both that it has. A text that is only one place keeps the type of the
message's value; any other text gives a text. If the message has no value for a place, the message is refused; with a question
mark, as in `{?properties.page_url}`, the field is left out instead. Objects and lists hold further values. null leaves out a field
that would be filled in otherwise.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Context, Decimal, InvalidOperation
from functools import lru_cache
from typing import Any, get_type_hints

import msgspec

from shared.events.limits import MAPPED_DEPTH_MAX, TEMPLATE_CHARACTERS_MAX
from shared.events.registry import EVENT_TYPES, UNMAPPABLE
from shared.events.types import Contact, MappedEvent, SegmentField

ENVELOPE = ("id", "occurred_at", "as_of", "sent_at")  # taken from the message, never from the table
FILLED_IN = frozenset({"visitor_id", "contact", "url"})
"""Fields that an event must have and that the producer's reading fills in where the table does not."""

CONTACT_FIELDS = ("id", "email")
DOUBLE_DIGITS = 15  # of a JSON number: so many decimal digits a double keeps; what lies behind them is its own noise
EXPONENT_MAX = 30  # of a number that is written out as text
_PLACE = re.compile(r"\{(\??)([^{}]*)\}")
_SEPARATORS = re.compile(r"[\s_-]+")
_CACHED_TEMPLATES = 4_096  # of all workspaces' tables


def folded_name(name: str) -> str:
    """The name of an event as it is compared: `Order Completed`, `order completed` and `order_completed` are equal."""
    return _SEPARATORS.sub(" ", name).strip().casefold()


class BadTemplate(ValueError):
    """A text of a table that is not a valid template; the message says why."""


class Missing(Exception):
    """The message lacks a value that a field needs. `places` are the paths that were tried."""

    def __init__(self, places: str) -> None:
        super().__init__(places)
        self.places = places


@dataclass(frozen=True, slots=True)
class Place:
    """The first of `paths` at which the message has a value. `optional`: the field is left out if it has none."""

    paths: tuple[tuple[str, ...], ...]
    optional: bool
    source: str

    def value(self, message: Any) -> Any:
        """The message's value; None if there is none, or it is an empty text, an object or a list."""
        for path in self.paths:
            found = message
            for key in path:
                if isinstance(found, Mapping):
                    found = found.get(key)
                elif isinstance(found, list) and key.isdecimal() and len(key) < 6:
                    found = found[int(key)] if int(key) < len(found) else None
                else:
                    found = None
                    break
            if isinstance(found, str):
                found = found.strip() or None
            if found is not None and not isinstance(found, (Mapping, list)):
                return found
        return None


@lru_cache(_CACHED_TEMPLATES)
def template(text: str) -> tuple[str | Place, ...]:
    """The parts of a text. Raises `BadTemplate`."""
    if len(text) > TEMPLATE_CHARACTERS_MAX:
        raise BadTemplate(f"a text of a mapping has {TEMPLATE_CHARACTERS_MAX} characters at most")
    parts: list[str | Place] = []
    at = 0
    for found in _PLACE.finditer(text):
        parts += [text[at : found.start()]] if at < found.start() else []
        paths = tuple(tuple(path.strip().split(".")) for path in found[2].split("|"))
        if not all(all(path) for path in paths):
            raise BadTemplate(
                f"{found[0]!r} names nothing: a place reads {{properties.form_id}} or {{?properties.form_id}}"
            )
        parts.append(Place(paths, found[1] == "?", found[2]))
        at = found.end()
    parts += [text[at:]] if at < len(text) else []
    if any(isinstance(part, str) and ("{" in part or "}" in part) for part in parts):
        raise BadTemplate(f"{text!r} has a brace without its other one")
    return tuple(parts)


class _Absent:
    """A field that is left out."""


ABSENT = _Absent()


def value_of(given: Any, message: Any) -> Any:
    """The value of a field for a message: JSON, or `ABSENT`. Raises `Missing`."""
    if isinstance(given, str):
        return _text_of(given, message)
    if isinstance(given, Mapping):
        values = {name: value_of(each, message) for name, each in given.items()}
        return {name: value for name, value in values.items() if value is not ABSENT} or ABSENT
    if isinstance(given, list):
        return [value for each in given if (value := value_of(each, message)) is not ABSENT] or ABSENT
    return ABSENT if given is None else given


def _text_of(text: str, message: Any) -> Any:
    values: list[Any] = []
    for part in template(text):
        if isinstance(part, str):
            values.append(part)
            continue
        value = part.value(message)
        if value is None:
            if part.optional:
                return ABSENT
            raise Missing(part.source)
        values.append(value)
    return values[0] if len(values) == 1 else "".join(map(plain, values))


def plain(value: Any) -> str:
    """A text, number or truth value of JSON as text; a number without an exponent, and without a double's rounding errors."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (Decimal, float)):
        number = value if isinstance(value, Decimal) else Decimal(repr(value))
        if not number.is_finite() or abs(number.adjusted()) > EXPONENT_MAX:
            return str(number)
        return f"{Context(prec=DOUBLE_DIGITS).create_decimal(number).normalize():f}"
    if isinstance(value, int):
        return str(value) if abs(value) < 10**EXPONENT_MAX else f"{Decimal(value):e}"
    return str(value)


def _amount(value: Any) -> str:
    """An amount of money as a decimal string, if it can be read; else the value unchanged, which the codec refuses."""
    text = plain(value)
    try:
        number = Decimal(text.replace(",", "") if isinstance(value, str) else text)
    except InvalidOperation:
        return text
    if not number.is_finite() or abs(number.adjusted()) > EXPONENT_MAX:
        return text
    written = f"{number:f}"
    return written.rstrip("0").rstrip(".") if "." in written else written


def _truth(value: Any) -> Any:
    return {"true": True, "false": False}.get(str(value).lower(), value)


def _count(value: Any) -> Any:
    text = plain(value)
    return int(text) if text.isdecimal() and len(text) <= DOUBLE_DIGITS else value


_KINDS: Mapping[str, Callable[[Any], Any]] = {
    "amount": _amount, "budget": _amount, "currency": lambda value: plain(value).strip().upper(),
    "won": _truth, "machine": _truth, "internal": _truth, "count": _count, "on": lambda value: plain(value)[:10],
}  # fmt: skip


def fields_of(mapped: MappedEvent, message: Any) -> dict[str, Any]:
    """The fields that a table gives an event for a message, None where it leaves a field out. Raises `Missing`."""
    fields: dict[str, Any] = {}
    for name, given in mapped.fields.items():
        value = value_of(given, message)
        if value is ABSENT:
            if given is None:
                fields[name] = None
            continue
        fields[name] = _KINDS.get(name, _as_text)(value)
    return fields


def _as_text(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _as_text(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_as_text(each) for each in value]
    return plain(value)


def bad_mapping(mappings: SegmentField) -> tuple[str, str] | None:
    """The place in the settings that cannot be used, and why; None if all can."""
    for name, events in (mappings.events or {}).items():
        for n, mapped in enumerate(events or ()):
            if problem := bad_event(mapped):
                return f"events[{name[:100]!r}][{n}].{problem[0]}", problem[1]
    return None


def bad_event(mapped: MappedEvent) -> tuple[str, str] | None:
    """The part of a mapped event that cannot be used, and why; None if there is none."""
    cls = EVENT_TYPES.get(mapped.type)
    if cls is None or mapped.type in UNMAPPABLE:
        among = ", ".join(sorted(set(EVENT_TYPES) - UNMAPPABLE))
        return "type", f"{mapped.type!r} is not a type that a message can become; these are: {among}"
    names = [name for name in cls.__struct_fields__ if name not in ENVELOPE]
    for name, value in mapped.fields.items():
        if name not in names:
            return f"fields.{name[:100]}", f"{mapped.type} has no such field; it has {', '.join(names)}"
        if problem := _bad_value(value, 0):
            return f"fields.{name}", problem
        if problem := _bad_contact(name, value) or _bad_constant(cls, name, value):
            return f"fields.{name}", problem
    needed = {field.encode_name for field in msgspec.structs.fields(cls) if field.required}
    if lacking := sorted(needed - set(mapped.fields) - FILLED_IN):
        return "fields", f"{mapped.type} needs {', '.join(lacking)}"
    return None


def _bad_value(value: Any, depth: int) -> str | None:
    if depth > MAPPED_DEPTH_MAX:
        return f"nested more than {MAPPED_DEPTH_MAX} deep"
    if isinstance(value, str):
        try:
            template(value)
        except BadTemplate as error:
            return str(error)
        return None
    within: Iterator[Any] = iter(
        value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    )
    return next((problem for each in within if (problem := _bad_value(each, depth + 1))), None)


def _bad_contact(name: str, value: Any) -> str | None:
    """Why an object cannot name a contact."""
    if name not in ("contact", "into", "contacts") or value is None:
        return None
    if name == "contacts" and not isinstance(value, list):
        return 'a list of contacts, such as [{"email": "{properties.email}"}]'
    for contact in value if name == "contacts" else [value]:
        if not isinstance(contact, dict) or not contact or not set(contact) <= set(CONTACT_FIELDS):
            return 'a contact is {"id": …}, {"email": …} or both'
    return None


@lru_cache(64)
def _hints(cls: type[Any]) -> dict[str, Any]:
    return get_type_hints(cls, include_extras=True)


def _bad_constant(cls: type[Any], name: str, value: Any) -> str | None:
    """Why a value without places is not valid for the field; None if it is."""
    if value is None or _has_places(value):
        return None
    try:
        msgspec.convert(_KINDS.get(name, _as_text)(value), _hints(cls)[name])  # type: ignore[arg-type]  # a class can be hashed
    except msgspec.ValidationError as error:
        return str(error)
    return None


def _has_places(value: Any) -> bool:
    if isinstance(value, str):
        return any(isinstance(part, Place) for part in template(value))
    if isinstance(value, dict):
        return any(map(_has_places, value.values()))
    return isinstance(value, list) and any(map(_has_places, value))


assert set(CONTACT_FIELDS) == set(Contact.__struct_fields__)
