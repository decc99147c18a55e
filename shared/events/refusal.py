"""Why is an event refused? Turns a decoder's error into a code, a field and a message; also checks what a collect key may send.

This is slow code, used only for events that could not be decoded.
"""

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, get_args, get_type_hints

import msgspec

from shared.events.limits import EVENT_ID_CHARACTERS_MAX, FIELD_SHOWN_CHARACTERS_MAX, MESSAGE_CHARACTERS_MAX
from shared.events.registry import COLLECT_TYPES, EVENT_TYPES, KeyClass
from shared.events.types import PATTERNS, AssetType, Event

Code = Literal[
    "not_json", "unknown_type", "unknown_field", "missing_field", "wrong_type", "bad_value", "too_large",
    "in_the_future", "too_old", "not_allowed_for_key", "names_nobody", "forgetting_not_supported",
    "no_events", "too_many_events", "bad_encoding",
    "too_many_visitors", "too_many_contacts", "too_many_assets", "too_many_pages", "too_many_utm_values",
]  # fmt: skip

UNDECODABLE = (msgspec.DecodeError, ValueError, ArithmeticError, RecursionError)
"""The errors of a decoder for bytes that are not an event: bad JSON, bad UTF-8, a value out of range, too deep nesting."""

_decode_any = msgspec.json.Decoder().decode
_decode_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
_encode = msgspec.json.Encoder().encode
_COLLECT_MAY = f"a collect key may send {', '.join(sorted(COLLECT_TYPES))}"


@dataclass(frozen=True, slots=True)
class Refusal:
    """An event that was not accepted, as the answer shows it. `index` counts from 0 in the request."""

    index: int
    id: str | None
    code: Code
    field: str | None
    message: str

    @property
    def detail(self) -> str:
        """The message, and the field that it is about."""
        return f"{self.field}: {self.message}" if self.field else self.message


class BadRequest(Exception):
    """The request as a whole cannot be read. `code` is stable, the message says what was expected."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code: Code = code


def refusal_of(index: int, raw: bytes, key: KeyClass, error: Exception) -> Refusal:
    """The refusal of bytes that could not be decoded. It first checks whether the key may send the type, then the fields."""
    if isinstance(error, RecursionError):
        return Refusal(index, None, "not_json", None, "nested too deeply")
    try:
        sent = _decode_any(raw)
    except RecursionError:
        return Refusal(index, None, "not_json", None, "nested too deeply")
    except UnicodeDecodeError as broken:
        return Refusal(index, None, "not_json", None, f"JSON is UTF-8: {_not_utf8(raw) or broken}")
    except UNDECODABLE as broken:
        return Refusal(index, None, "not_json", None, cut(str(broken), MESSAGE_CHARACTERS_MAX))
    event_id = None
    if isinstance(sent, dict) and isinstance(sent.get("id"), str):
        event_id = cut(sent["id"], EVENT_ID_CHARACTERS_MAX)
    if key == "collect" and isinstance(sent, dict):
        tag = sent.get("type")
        if isinstance(tag, str) and tag in EVENT_TYPES and tag not in COLLECT_TYPES:
            return Refusal(index, event_id, "not_allowed_for_key", "type", _COLLECT_MAY)
    code, field, message = _parsed(str(error))
    return Refusal(
        index, event_id, code, None if field is None else cut(field, FIELD_SHOWN_CHARACTERS_MAX),
        cut(message, MESSAGE_CHARACTERS_MAX),
    )  # fmt: skip


def _not_utf8(raw: bytes) -> str | None:
    """The first byte that is not UTF-8, and where it is; a decoder's own error counts from the text that it is in."""
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        return f"byte {error.start} is {error.object[error.start]:#04x}: {error.reason}"
    return None


_PATH = re.compile(r" - at (`key` in )?`\$\.?(?P<path>[^`]*)`\Z")
_UNKNOWN = re.compile(r"\AObject contains unknown field `(?P<name>.*)`\Z", re.DOTALL)
_MISSING = re.compile(r"\AObject missing required field `(?P<name>.*)`\Z", re.DOTALL)
_BOUNDS = re.compile(r"length|matching|>=|<=")
_INSTANT = 'Expected an instant with its time zone, such as "2026-03-01T12:00:00Z"'
_IN_WORDS = {
    **{f"Expected `str` matching regex {pattern!r}": f"Expected: {says}" for pattern, says in PATTERNS.items()},
    "Invalid RFC3339 encoded date": 'Expected a date, such as "2026-03-01"',
    "Invalid RFC3339 encoded datetime": _INSTANT,
    "Expected `datetime` with a timezone component": _INSTANT,
}
"""Texts that replace those of msgspec that only a Python programmer understands."""


def _parsed(text: str) -> tuple[Code, str | None, str]:
    """Code, field and message for an error text of msgspec, in which the sender's own words come last, in back-ticks."""
    path = m["path"] if (m := _PATH.search(text)) else ""
    message = _PATH.sub("", text)
    unknown, missing = _UNKNOWN.match(message), _MISSING.match(message)
    inner = unknown or missing
    field = ".".join(x for x in (path, inner["name"] if inner else "") if x) or None
    if unknown:
        return "unknown_field", field, message
    if missing:
        return "missing_field", field, message
    if message.startswith("Invalid value") and field in ("type", None):
        return "unknown_type", "type", message
    if message.startswith("Expected") and ", got" in message and not _BOUNDS.search(message):
        return "wrong_type", field, message
    if field == "asset_type" and message.startswith("Invalid enum value"):
        return "bad_value", field, f"{message}; there are {', '.join(get_args(AssetType))}"
    return "bad_value", field, _IN_WORDS.get(message, message)


def not_for_collect(event: Event) -> tuple[str | None, str] | None:
    """The field for which a collect key may not send an event, and why; None if it may."""
    if event.__struct_config__.tag not in COLLECT_TYPES:
        return "type", _COLLECT_MAY
    contact = getattr(event, "contact", None)
    if contact is not None and contact.id is not None:
        return "contact.id", "a collect key names contacts by email alone"
    if event.as_of is not None:
        return (
            "as_of",
            "events of a collect key happen now; only a server key may replace an earlier version of an event",
        )
    return None


def known_fields_only(raw: bytes) -> bytes:
    """The event without fields that its type does not have, nor those within it (collect keys). Raises one of `UNDECODABLE`."""
    if raw.count(b'"type"') > 1 or b"\\u00" in raw:
        fields = json.loads(raw, object_pairs_hook=list)
        if sum(name == "type" for name, _ in fields) > 1:
            raise ValueError("Invalid value: `type` is given more than once")
    tag = _decode_any(_decode_object(raw)["type"])
    return bytes(_known(msgspec.Raw(raw), EVENT_TYPES[tag]))


def _known(raw: msgspec.Raw, cls: type[Any]) -> msgspec.Raw:
    """An object with only the fields of its struct. Any other value is unchanged, and the decoder refuses it."""
    if bytes(raw).lstrip()[:1] != b"{":
        return raw
    nested = _structs_in(cls)  # type: ignore[arg-type]  # a class can be hashed
    kept = {
        name: _known_within(value, nested[name]) if name in nested else value
        for name, value in _decode_object(raw).items()
        if name in cls.__struct_fields__ or name == cls.__struct_config__.tag_field
    }
    return msgspec.Raw(_encode(kept))


def _known_within(raw: msgspec.Raw, cls: type[Any]) -> msgspec.Raw:
    if bytes(raw).lstrip()[:1] == b"[":
        return msgspec.Raw(_encode([_known(each, cls) for each in _decode_list(raw)]))
    return _known(raw, cls)


@lru_cache(128)
def _structs_in(cls: type[Any]) -> dict[str, type[Any]]:
    """The fields of a struct that hold structs, or lists of them."""
    found = {}
    for name, hint in get_type_hints(cls).items():
        for kind in (hint, *get_args(hint), *(a for arg in get_args(hint) for a in get_args(arg))):
            if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
                found[name] = kind
    return found


def cut(text: str, characters_max: int) -> str:
    """The text, or its beginning with a mark that it was cut."""
    return text if len(text) <= characters_max else text[: characters_max - 1] + "…"
