"""Is this an event, and if not, what is wrong with it and where?

Bytes become a typed event in one pass. What is refused is a value too: a `Refusal` names index, field, code and what was
expected, so that a request keeps whatever was good in it.
"""

import re
import uuid
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeVar

import msgspec

from shared.events.emails import is_plausible, normalised_email
from shared.events.instants import DAY_US, HOUR_US, to_micros, to_rfc3339
from shared.events.limits import (
    COLLECT_AGE_DAYS_MAX,
    EVENT_BYTES_MAX,
    EVENTS_PER_REQUEST_MAX,
    FUTURE_HOURS_MAX,
    OCCURRED_AT_MIN_US,
)
from shared.events.money import is_exact
from shared.events.nobody import names_nobody
from shared.events.types import COLLECT_TYPES, EVENT_TYPES, Contact, ContactForgotten, Event, Instant, Touch

KeyClass = Literal["server", "collect"]
Code = Literal[
    "not_json", "unknown_type", "unknown_field", "missing_field", "wrong_type", "bad_value", "too_large",
    "in_the_future", "too_old", "not_allowed_for_key", "names_nobody", "forgetting_not_supported",
]  # fmt: skip
COLLECT_PREFIX = "collect:"
TOUCHES = frozenset(cls for cls in EVENT_TYPES.values() if issubclass(cls, Touch))  # isinstance of a struct is slow
SCHEMA_VERSION = 1

_decode_event: Callable[[bytes], Event] = msgspec.json.Decoder(Event).decode
_decode_any = msgspec.json.Decoder().decode
_decode_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_instant = msgspec.json.Decoder(Instant).decode
_decode_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Refusal:
    """One event that was not accepted, as the wire tells it. `index` counts from 0 in the request."""

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

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Record(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the log keeps of one event: as it was sent, and beside it what the server filled in.

    `key_hint` tells which access key sent it: the key's first characters, as `touchline keys list` shows them, or the name
    of what sent it without a key, such as `backfill`. `sealed` is room for a personal part that is encrypted under a
    contact's key.
    """

    v: int
    key: KeyClass
    received_at: int
    event: msgspec.Raw
    id: str | None = None
    occurred_at: int | None = None
    user_agent: str | None = None
    sealed: msgspec.Raw | None = None
    key_hint: str | None = None


class Arrived(msgspec.Struct):
    """An event with everything that the rules may ask of it. `occurred_at_us` and `event_id` are always known.

    `as_of_us` is None where the event has no `as_of`, `key_hint` where the log does not tell which key sent it.
    """

    event: Event
    event_id: str
    occurred_at_us: int
    received_at_us: int
    key: KeyClass
    raw: bytes
    user_agent: str | None = None
    offset: int = -1
    is_touch: bool = False
    as_of_us: int | None = None
    key_hint: str | None = None


class Sent(NamedTuple):
    """The events of a request, still undecoded, and the sender's clock when it sent them, if the request says it once for all."""

    parts: list[bytes | msgspec.Raw]
    sent_at_us: int | None


def split_request(body: bytes, *, ndjson: bool) -> list[bytes | msgspec.Raw]:
    """The events of `read_request`."""
    return read_request(body, ndjson=ndjson).parts


def read_request(body: bytes, *, ndjson: bool) -> Sent:
    """The events of a request body: one object, an array, `{"sent_at"?: ..., "events": [...]}`, or NDJSON lines.

    Raises `BadRequest` where the body is none of these, holds too many events, or `sent_at` is no instant.
    """
    parts: Sequence[bytes | msgspec.Raw]
    sent_at_us = None
    if ndjson:
        parts = [line for line in body.splitlines() if line.strip()]
    else:
        start = body.lstrip()[:1]
        try:
            if start == b"[":
                parts = _decode_list(body)
            elif start == b"{":
                outer = _decode_object(body)
                if "events" in outer and "type" not in outer:
                    parts, sent_at_us = _decode_list(outer["events"]), _sent_at_us(outer.get("sent_at"))
                else:
                    parts = [body]
            else:
                raise BadRequest("not_json", "the body must be a JSON object, an array of events, or NDJSON")
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise BadRequest("not_json", f"the body is not valid JSON: {error}") from error
    if not parts:
        raise BadRequest("no_events", "the body holds no event")
    if len(parts) > EVENTS_PER_REQUEST_MAX:
        raise BadRequest("too_many_events", f"{len(parts)} events; a request takes {EVENTS_PER_REQUEST_MAX} at most")
    return Sent(list(parts), sent_at_us)


def with_sent_at(part: bytes | msgspec.Raw, sent_at_us: int | None) -> bytes:
    """An event as it is kept when it is refused: with what its request said of `sent_at`, so that it can be tried again."""
    raw = bytes(part)
    if sent_at_us is None or b'"sent_at"' in raw:
        return raw
    try:
        return _encode({**_decode_object(raw), "sent_at": to_rfc3339(sent_at_us)})
    except (msgspec.DecodeError, UnicodeDecodeError):
        return raw  # no JSON object: it is kept as it came


def _sent_at_us(told: msgspec.Raw | None) -> int | None:
    if told is None or told == b"null":
        return None
    try:
        return to_micros(_decode_instant(told))
    except msgspec.DecodeError as error:
        raise BadRequest(
            "bad_value", f"`sent_at` of the request must be an RFC 3339 instant with zone: {error}"
        ) from error


def accept(
    part: bytes | msgspec.Raw, index: int, key: KeyClass, received_at_us: int, user_agent: str | None,
    key_hint: str | None = None, *, nobody: Collection[str] = (), sent_at_us: int | None = None, live: bool = True,
) -> Record | Refusal:  # fmt: skip
    """Decode and check one event as ingest does. The record keeps its bytes as sent, and `key_hint` beside them.

    `nobody` are the workspace's own words that name nobody, folded. `sent_at_us` is what the request says of all its events.
    An event that is not `live` was not received when it was sent (a backfill's), so its `sent_at` corrects nothing.
    """
    raw = bytes(part)
    if len(raw) > EVENT_BYTES_MAX:
        return Refusal(index, None, "too_large", None, f"{len(raw)} bytes; an event has {EVENT_BYTES_MAX} at most")
    try:
        event = _decode_event(raw)
        if b"\\u0000" in raw and _holds_nul(_decode_any(raw)):
            return Refusal(index, event.id, "bad_value", None, "the character U+0000 is not allowed in text")
    except UnicodeDecodeError as error:
        return Refusal(index, None, "not_json", None, f"JSON is UTF-8: {error}")
    except msgspec.DecodeError as error:
        refusal = _refusal(index, raw, error)
        if key == "server" or refusal.code != "unknown_field":
            return refusal
        return accept(
            _known_fields_only(raw), index, key, received_at_us, user_agent, key_hint,
            nobody=nobody, sent_at_us=sent_at_us, live=live,
        )  # fmt: skip
    tag = str(event.__struct_config__.tag)
    if key == "collect" and (problem := _not_for_collect(event, tag)):
        return Refusal(index, event.id, "not_allowed_for_key", problem[0], problem[1])
    if type(event) is ContactForgotten:
        return Refusal(index, event.id, "forgetting_not_supported", "type", FORGETTING)
    if refused := _bad_person(event, nobody):
        return Refusal(index, event.id, *refused)
    if problem := _bad_money(event):
        return Refusal(index, event.id, "bad_value", *problem)
    latest_us = received_at_us + FUTURE_HOURS_MAX * HOUR_US
    occurred_at, as_of = event.occurred_at, event.as_of
    if as_of is not None and not OCCURRED_AT_MIN_US <= (as_of_us := to_micros(as_of)) <= latest_us:
        return _out_of_bounds(index, event.id, "as_of", as_of_us, received_at_us)
    told_us = occurred_at_us = None
    if occurred_at is not None:
        told_us = occurred_at_us = to_micros(occurred_at)
        if event.sent_at is not None:
            sent_at_us = to_micros(event.sent_at)
        if live and sent_at_us is not None:
            occurred_at_us = corrected(occurred_at_us, sent_at_us, received_at_us)
        if not OCCURRED_AT_MIN_US <= occurred_at_us <= latest_us:
            return _out_of_bounds(index, event.id, "occurred_at", occurred_at_us, received_at_us)
        if key == "collect" and occurred_at_us < received_at_us - COLLECT_AGE_DAYS_MAX * DAY_US:
            return Refusal(
                index, event.id, "too_old", "occurred_at",
                f"more than {COLLECT_AGE_DAYS_MAX} days before its receipt at {to_rfc3339(received_at_us)}",
            )  # fmt: skip
    return Record(
        v=SCHEMA_VERSION,
        key=key,
        received_at=received_at_us,
        event=msgspec.Raw(raw),
        id=None if event.id is not None else uuid7(received_at_us),
        occurred_at=_recorded_us(event, told_us, occurred_at_us, received_at_us),
        user_agent=user_agent if key == "collect" and getattr(event, "user_agent", "") is None else None,
        key_hint=key_hint,
    )


def _recorded_us(event: Event, told_us: int | None, corrected_us: int | None, received_at_us: int) -> int | None:
    """The instant that the record adds: the receipt's where the event says none, the corrected one where it differs."""
    if told_us is None:
        return received_at_us if event.as_of is None else None
    return corrected_us if corrected_us != told_us else None


def _out_of_bounds(index: int, event_id: str | None, field: str, at_us: int, received_at_us: int) -> Refusal:
    """Why an instant of an event cannot be right: it is too early, or else too late."""
    if at_us < OCCURRED_AT_MIN_US:
        return Refusal(index, event_id, "bad_value", field, f"before {to_rfc3339(OCCURRED_AT_MIN_US)}")
    said = f"more than {FUTURE_HOURS_MAX} hours after its receipt at {to_rfc3339(received_at_us)}"
    return Refusal(index, event_id, "in_the_future", field, said)


def corrected(occurred_at_us: int, sent_at_us: int, received_at_us: int) -> int:
    """When it happened by our clock: as long before its receipt as it was, by the sender's, before it was sent (rule **clock**).

    Nothing happens after its receipt: what the sender says happened after it was sent, happened when it was received.
    """
    return received_at_us - max(0, sent_at_us - occurred_at_us)


AnyArrived = TypeVar("AnyArrived", bound=Arrived)

_encode_record = msgspec.json.Encoder().encode
_decode_record = msgspec.json.Decoder(Record).decode


def encode_record(record: Record) -> bytes:
    """The log's bytes of one record: one line of JSON."""
    return _encode_record(record)


def decode_record(value: bytes, offset: int = -1, kind: type[AnyArrived] = Arrived) -> AnyArrived:  # type: ignore[assignment]
    """The event of a log record, as a kind of `Arrived`. Raises `msgspec.DecodeError` where it does not hold one."""
    record = _decode_record(value)
    raw = bytes(record.event)
    event = _decode_event(upcast(record.v, raw))
    at_us = record.occurred_at
    as_of_us = None if event.as_of is None else to_micros(event.as_of)
    if at_us is None:
        at_us = as_of_us if event.occurred_at is None else to_micros(event.occurred_at)
        if at_us is None:
            raise msgspec.ValidationError("`occurred_at` is neither in the event nor in its record")
    event_id = record.id if record.id is not None else event.id
    if event_id is None:
        raise msgspec.ValidationError("`id` is neither in the event nor in its record")
    if record.key == "collect":
        event_id = COLLECT_PREFIX + event_id
    user_agent = record.user_agent or getattr(event, "user_agent", None)
    return kind(
        event, event_id, at_us, record.received_at, record.key, raw, user_agent, offset, type(event) in TOUCHES, as_of_us,
        record.key_hint,
    )  # fmt: skip


def key_hint_of(value: bytes) -> str | None:
    """Which key sent a log record whose event may be unreadable; None where the record does not tell it."""
    try:
        return _decode_record(value).key_hint
    except msgspec.DecodeError:
        return None


def upcast(version: int, raw: bytes) -> bytes:
    """Bring an event's bytes of an older schema version to the present one.

    There is one version so far; a step from v to v + 1 goes here, so that the log never needs rewriting.
    """
    if version != SCHEMA_VERSION:
        raise msgspec.ValidationError(f"schema version {version} is unknown; this release reads {SCHEMA_VERSION}")
    return raw


def canonical(raw: bytes) -> bytes:
    """Canonical JSON of an event as sent, without `as_of` and `sent_at`: keys sorted, no white space, UTF-8 (rule **once**).

    So two events that say the same at different times, or that are sent again, have the same canonical JSON.
    """
    said = _decode_any(raw)
    if isinstance(said, dict):
        said.pop("as_of", None)
        said.pop("sent_at", None)
    return msgspec.json.encode(said, order="sorted")


def event_type(event: Event) -> str:
    """The wire's name of the event's type."""
    return str(event.__struct_config__.tag)


def encode_event(event: Event) -> bytes:
    """The event's JSON, without absent fields."""
    return _encode(event)


def decode_event(raw: bytes) -> Event:
    """A stored event's JSON, typed."""
    return _decode_event(raw)


def uuid7(at_us: int) -> str:
    """A UUID version 7 (RFC 9562): ordered by time, so that neighbours in time are neighbours in an index."""
    milliseconds, rest = divmod(at_us, 1000)
    random = uuid.uuid4().int
    value = (milliseconds & (2**48 - 1)) << 80 | 0x7 << 76 | (rest * 4096 // 1000) << 64 | 0b10 << 62
    return str(uuid.UUID(int=value | random & (2**62 - 1)))


def _holds_nul(value: object) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any(_holds_nul(k) or _holds_nul(v) for k, v in value.items())
    return isinstance(value, list) and any(_holds_nul(v) for v in value)


def _not_for_collect(event: Event, tag: str) -> tuple[str | None, str] | None:
    if tag not in COLLECT_TYPES:
        return "type", f"a collect key may send {', '.join(sorted(COLLECT_TYPES))}"
    contact = getattr(event, "contact", None)
    if contact is not None and contact.id is not None:
        return "contact.id", "a collect key names contacts by email alone"
    if event.as_of is not None:
        return "as_of", "a collect key tells what happens now; only a server key may replace what was told before"
    return None


FORGETTING = (
    "contacts cannot be forgotten yet, and a contact that was told to be must not stay readable; the event changed nothing. "
    "It is kept as a dead letter: retry it with `touchline dead-letters retry` once a release forgets"
)


def contacts_of(event: Any) -> Iterator[tuple[str, Contact]]:
    """Every contact object of an event, with the name of its field."""
    for name in ("contact", "into"):
        contact = getattr(event, name, None)
        if contact is not None:
            yield name, contact
    for n, contact in enumerate(getattr(event, "contacts", ())):
        yield f"contacts[{n}]", contact


def _bad_person(event: Any, nobody: Collection[str]) -> tuple[Code, str, str] | None:
    """Code, field and message where a visitor or contact is named by what names nobody, or by what can be no e-mail."""
    visitor_id = getattr(event, "visitor_id", None)
    if visitor_id is not None and names_nobody(visitor_id, nobody):
        return _nobody("visitor_id", visitor_id)
    for field, contact in contacts_of(event):
        if contact.id is not None and names_nobody(contact.id, nobody):
            return _nobody(f"{field}.id", contact.id)
        if contact.email is not None:
            email = normalised_email(contact.email)
            if names_nobody(email, nobody):
                return _nobody(f"{field}.email", contact.email)
            if not is_plausible(email):
                return (
                    "bad_value",
                    f"{field}.email",
                    f"{contact.email!r} is no e-mail address such as name@host.example",
                )
    return None


def _nobody(field: str, text: str) -> tuple[Code, str, str]:
    return (
        "names_nobody",
        field,
        f"{text!r} names nobody: whoever bears it would become one person; leave the field out",
    )


def _bad_money(event: Event) -> tuple[str, str] | None:
    currency = getattr(event, "currency", None)
    if currency is None:
        return None
    for name in ("amount", "budget"):
        amount = getattr(event, name, None)
        if amount is not None and not is_exact(amount, currency):
            return name, f"{amount} has more decimals than {currency} has"
    return None


def _known_fields_only(raw: bytes) -> bytes:
    """The event without fields that its type does not have, in its contact object too (collect keys)."""
    fields = _decode_object(raw)
    cls = EVENT_TYPES[_decode_any(fields["type"])]
    kept: dict[str, object] = {k: v for k, v in fields.items() if k in cls.__struct_fields__ or k == "type"}
    if "contact" in kept:
        contact = _decode_any(fields["contact"])
        if isinstance(contact, dict):
            kept["contact"] = {k: v for k, v in contact.items() if k in ("id", "email")}
    return _encode(kept)


_PATH = re.compile(r" - at `\$\.?(?P<path>[^`]*)`$")
_UNKNOWN = re.compile(r"unknown field `(?P<name>[^`]*)`")
_MISSING = re.compile(r"missing required field `(?P<name>[^`]*)`")


def _refusal(index: int, raw: bytes, error: msgspec.DecodeError) -> Refusal:
    text = str(error)
    event_id = None
    try:
        sent = _decode_any(raw)
    except msgspec.DecodeError:
        return Refusal(index, None, "not_json", None, text)
    if isinstance(sent, dict) and isinstance(sent.get("id"), str):
        event_id = sent["id"]
    path = m["path"] if (m := _PATH.search(text)) else ""
    said = _PATH.sub("", text)
    inner = (_UNKNOWN.search(said) or _MISSING.search(said)) if said.startswith("Object ") else None
    field = ".".join(x for x in (path, inner["name"] if inner else "") if x) or None
    code: Code
    if _UNKNOWN.search(said):
        code = "unknown_field"
    elif _MISSING.search(said):
        code = "missing_field"
    elif said.startswith("Invalid value") and field in ("type", "", None):
        code, field = "unknown_type", "type"
    elif said.startswith("Expected") and ", got" in said and not re.search(r"length|matching|>=|<=", said):
        code = "wrong_type"
    else:
        code = "bad_value"
    return Refusal(index, event_id, code, field, said)
