"""What do the messages of mail senders have in common? An address, an instant, and places that may name the marketing email.

Each sender's reading gives a message's name and the event that it becomes; it raises `Wrong` for a field that is missing or bad.
"""

import datetime as dt
import re
from collections.abc import Callable, Mapping
from hashlib import sha256
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec

from shared.events.instants import SECOND_US, to_micros, to_rfc3339
from shared.events.limits import MESSAGE_CHARACTERS_MAX, TEXT_CHARACTERS_MAX, WEBHOOK_MESSAGES_MAX
from shared.events.refusal import UNDECODABLE, BadRequest, Code, cut
from shared.events.split import array_elements
from shared.producers.message import EventJson, Message, Unmapped, Unreadable
from shared.rules.settings import Producers

NAMELESS = "(unreadable)"  # by this messages are counted that do not say what they are
NAME = re.compile(r"[A-Za-z0-9_. -]{1,64}\Z")
ID = re.compile(r"[\x21-\x7e]{1,100}\Z")  # what a sender calls an event; SendGrid says 100 characters
DIGEST_CHARACTERS = 40  # 160 bits: no two messages have one by chance
SECONDS_MAX = 253_402_300_799  # 9999-12-31T23:59:59Z, the last that RFC 3339 can express
SECONDS_TEXT = re.compile(r"[0-9]{1,12}(\.[0-9]{1,9})?\Z")

_decode = msgspec.json.Decoder(dict[str, Any]).decode
_encode = msgspec.json.Encoder().encode


class Wrong(Exception):
    """A message lacks a field, or has a bad value. `field` is its place, the message says what was expected."""

    def __init__(self, code: Code, field: str | None, message: str) -> None:
        super().__init__(message)
        self.code: Code = code
        self.field = field


KEPT = "unmapped_event"


class Reading(NamedTuple):
    """The content of a message: its event id, which is the same in every delivery, its instant if it has one, and its event.

    `type` is the type of our event: `KEPT` if there is none but the message is stored, None if the message is ignored.
    """

    id: str
    occurred_at: str | None
    type: str | None
    fields: EventJson = MappingProxyType({})
    assets: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    """What may name the marketing email, by place: `category`, `campaign`, and `argument:NAME` of each argument."""


class Format(NamedTuple):
    """How a sender's message is read: what the sender calls it, and what a message of this name says (raises `Wrong`)."""

    name: Callable[[Mapping[str, Any]], str]
    read: Callable[[Mapping[str, Any], str], Reading]


def messages(body: bytes, form: Format, asset_from: tuple[str, ...]) -> list[Message]:
    """The messages of a body: an array of them, or one. A body that cannot be split is one unreadable message.

    Raises `BadRequest` (`too_many_events`) where there are more than `WEBHOOK_MESSAGES_MAX`.
    """
    try:
        parts = array_elements(body, WEBHOOK_MESSAGES_MAX)
    except BadRequest as error:
        if error.code == "too_many_events":
            raise
        return [Message(NAMELESS, body, Unreadable(error.code, None, str(error)))]
    return [message(bytes(part), form, asset_from) for part in parts]


def message(raw: bytes, form: Format, asset_from: tuple[str, ...]) -> Message:
    """One message as sent, and what it means."""
    try:
        fields = _decode(raw)
    except UNDECODABLE as error:
        code: Code = "wrong_type" if isinstance(error, msgspec.ValidationError) else "not_json"
        problem = cut(f"a message is a JSON object: {error}", MESSAGE_CHARACTERS_MAX)
        return Message(NAMELESS, raw, Unreadable(code, None, problem))
    return one(fields, form, asset_from, raw)


def one(message: Mapping[str, Any], form: Format, asset_from: tuple[str, ...], raw: bytes | None = None) -> Message:
    """One message that is JSON, and what it means; `raw` is the message as sent, if it came as bytes."""
    sent = _encode(message) if raw is None else raw
    name = form.name(message)
    try:
        return Message(name, sent, _means(form.read(message, name), asset_from))
    except Wrong as wrong:
        return Message(name, sent, Unreadable(wrong.code, wrong.field, str(wrong)))


def _means(reading: Reading, asset_from: tuple[str, ...]) -> tuple[EventJson, ...] | Unmapped:
    if reading.type is None:
        return ()
    asset_id = asset_of(reading.assets, asset_from)
    if reading.type == KEPT or asset_id is None:
        return Unmapped(f"{reading.id}:unmapped", reading.occurred_at)
    event = {"type": reading.type, "id": reading.id, "occurred_at": reading.occurred_at, "asset_id": asset_id}
    return ({**event, **reading.fields},)


def may_be_mapped(type_: str | None, asset_from: tuple[str, ...]) -> bool:
    """Whether messages that once were unmapped may be mapped now: whether one is depends on what it says, not on its name alone."""
    return type_ not in (None, KEPT) and asset_from != Producers().mail_asset_from


def asset_of(assets: Mapping[str, tuple[str, ...]], asset_from: tuple[str, ...]) -> str | None:
    """The marketing email's id: the first that the places name, in their order; None if none of them does."""
    for place in asset_from:
        kind, _, prefix = place.partition(":")
        begins = prefix if kind == "category" else ""
        for text in assets.get(kind if begins else place, ()):
            if text.startswith(begins) and (asset_id := text.removeprefix(begins).strip()):
                return asset_id
    return None


def name_of(message: Mapping[str, Any], field: str) -> str:
    """What the message calls itself, if that can be a name."""
    name = message.get(field)
    return name if isinstance(name, str) and NAME.match(name) else NAMELESS


def event_id(producer: str, *parts: object) -> str:
    """The id of an event: what its sender calls it, or, where that cannot be one or is several things, a digest of it."""
    if len(parts) == 1 and isinstance(parts[0], str) and ID.match(parts[0]):
        return f"{producer}:{parts[0]}"
    return f"{producer}:{sha256(msgspec.json.encode(parts, order='sorted')).hexdigest()[:DIGEST_CHARACTERS]}"


def text_of(message: Mapping[str, Any], field: str) -> str | None:
    """A text that may be absent, null or empty; then None. Raises `Wrong` where it is something else."""
    value = message.get(field)
    if value is not None and not isinstance(value, str):
        raise Wrong("wrong_type", field, f"`{field}` must be a text")
    return value or None


def object_of(message: Mapping[str, Any], field: str) -> Mapping[str, Any]:
    """An object that may be absent or null; then an empty one. Raises `Wrong` where it is something else."""
    value = message.get(field)
    if value is not None and not isinstance(value, dict):
        raise Wrong("wrong_type", field, f"`{field}` must be an object")
    return value or {}


def needed(message: Mapping[str, Any], field: str) -> str:
    """A text that must be there. Raises `Wrong`."""
    value = text_of(message, field)
    if value is None:
        raise Wrong("missing_field", field, f"the message needs `{field}`")
    return value


def texts(value: object) -> tuple[str, ...]:
    """A text, a number or a list of them, as texts; what is none of these names nothing."""
    values = value if isinstance(value, list) else [value]
    return tuple(str(each) for each in values if isinstance(each, (str, int)) and not isinstance(each, bool))


def arguments(*beside: object) -> dict[str, tuple[str, ...]]:
    """The places of what a sender's customer put beside an email. What is no object names nothing: an empty one may be a list."""
    return {
        f"argument:{name}": texts(value)
        for group in beside
        if isinstance(group, Mapping)
        for name, value in group.items()
    }


def from_seconds(message: Mapping[str, Any]) -> str:
    """The instant in `timestamp`: seconds since 1970, whole or with decimals, a number or a text. Raises `Wrong`."""
    field = "timestamp"
    value = message.get(field)
    if value is None:
        raise Wrong("missing_field", field, f"the message needs `{field}`")
    if isinstance(value, str) and SECONDS_TEXT.match(value):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise Wrong("wrong_type", field, f"`{field}` must be seconds since 1970-01-01T00:00:00Z")
    if not 0 <= value <= SECONDS_MAX:
        raise Wrong("bad_value", field, f"`{field}` must be seconds from 1970 to 9999")
    return to_rfc3339(round(value * SECOND_US))


def from_iso(message: Mapping[str, Any], field: str) -> str:
    """The instant of an ISO 8601 text with zone; what is smaller than a microsecond is cut. Raises `Wrong`."""
    text = needed(message, field)
    try:
        instant = dt.datetime.fromisoformat(text)
        if instant.tzinfo is not None:
            return to_rfc3339(to_micros(instant))
    except (ValueError, OverflowError):
        pass
    raise Wrong("bad_value", field, f"`{field}` must be an ISO 8601 instant with its zone")


def agent_of(user_agent: str | None) -> dict[str, str]:
    """The user agent as an event has it, if there is one."""
    return {"user_agent": user_agent[:TEXT_CHARACTERS_MAX]} if user_agent else {}


def url_of(url: str | None) -> dict[str, str]:
    """The link as an event has it, if the message has one."""
    return {"url": url} if url else {}
