"""Is this an event, and if not, what is wrong with it and where?

Bytes are decoded to a typed event in one pass. A refusal is a value too: a `Refusal` has the index, field, code and what was
expected, so that the valid events of a request are still accepted.
"""

import uuid
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

import msgspec

from shared.events.currencies import CURRENCIES
from shared.events.emails import is_plausible, normalised_email
from shared.events.instants import DAY_US, HOUR_US, to_micros, to_rfc3339
from shared.events.limits import (
    CLOCK_AHEAD_US_MAX,
    CLOCK_BEHIND_US_MAX,
    CLOSED_AT_MAX_US,
    COLLECT_AGE_DAYS_MAX,
    COUNT_MAX,
    EVENT_BYTES_MAX,
    EVENT_ID_CHARACTERS_MAX,
    FUTURE_HOURS_MAX,
    OCCURRED_AT_MIN_US,
    TEXT_CHARACTERS_MAX,
    UNMAPPED_ENVELOPE_BYTES_MAX,
)
from shared.events.money import is_exact
from shared.events.nobody import names_nobody
from shared.events.refusal import (
    UNDECODABLE,
    BadRequest,
    Code,
    Refusal,
    known_fields_only,
    not_for_collect,
    refusal_of,
)
from shared.events.registry import EVENT_TYPES, TOUCHES, KeyClass, name_of
from shared.events.split import Sent, read_request, split_request, with_sent_at
from shared.events.types import (
    MONEY_GOALS,
    CampaignCreated,
    Contact,
    ContactForgotten,
    Event,
    GoalMetric,
    UnmappedEvent,
    WorkspaceConfigured,
)
from shared.events.zones import zones

__all__ = [  # other modules that read requests import these from here
    "BadRequest", "KeyClass", "Refusal", "Sent", "read_request", "split_request", "with_sent_at",
]  # fmt: skip

COLLECT_PREFIX = "collect:"
BOUNDED = frozenset(  # types with a field that ingest bounds more tightly than the decoder
    cls for cls in EVENT_TYPES.values() if {"count", "currency", "settings"} & set(cls.__struct_fields__)
)
CACHED_NAMES = 16_384  # about 4 MB; a visitor or contact is mostly named again soon
SCHEMA_VERSION = 1
_UNMAPPED = f'{{"type":"{name_of(UnmappedEvent)}",'.encode()  # the beginning of every unmapped event that we write

_decode_event: Callable[[bytes], Event] = msgspec.json.Decoder(Event).decode
_decode_any = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


BACKFILL = "backfill"  # the `key_hint` of events that a backfill sent


class Record(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What the log stores of one event: the bytes as sent, and beside them the fields that the server added.

    `key_hint` says which access key sent it: the key's first characters, as `touchline keys list` shows them, or the name
    of a sender without a key, such as `BACKFILL`. `sealed` holds what a sealed store keeps of the event beside it: `by`, the pseudonym
    of the person under whose key it is, and `sealed`, the fields that the event holds in a shorter form.
    """

    v: int
    key: KeyClass
    received_at: int
    event: msgspec.Raw
    id: str | None = None
    occurred_at: int | None = None
    user_agent: str | None = None
    sealed: dict[str, str] | None = None
    key_hint: str | None = None


class Arrived(msgspec.Struct):
    """An event with everything that the rules need. `occurred_at_us` and `event_id` are always set.

    `as_of_us` is None where the event has no `as_of`, `key_hint` where the log does not record which key sent it, `sealed` where
    the record has nothing sealed beside the event.
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
    sealed: dict[str, str] | None = None


Check = Callable[[Event, bytes, KeyClass], tuple[str | None, str] | None]
"""A further check of an event: returns the field that is wrong and why, None if the event is valid."""


def accept(
    part: bytes | msgspec.Raw, index: int, key: KeyClass, received_at_us: int, user_agent: str | None,
    key_hint: str | None = None, check: Check | None = None, *,
    nobody: frozenset[str] = frozenset(), sent_at_us: int | None = None, live: bool = True, forgets: bool = False,
) -> Record | Refusal:  # fmt: skip
    """Decode and check one event. The record keeps its bytes as sent, and `key_hint` beside them.

    Any error in the bytes, whichever decoder finds it, refuses this event only. Who takes events
    from outside asks `shared.rules.acceptance`, which also checks what the rules read from an event's URLs.
    `nobody` are the workspace's own words that identify nobody, folded. `sent_at_us` is the request's `sent_at` for all its events.
    An event that is not `live` (of a backfill) is received later than it was sent, so its `sent_at` corrects no clock.
    `forgets` says that the store is sealed, so that a contact can be forgotten; else a `contact_forgotten` is refused.
    """
    raw = bytes(part)
    if len(raw) > EVENT_BYTES_MAX and not _keeps_a_message(raw):
        return Refusal(index, None, "too_large", None, f"{len(raw)} bytes; an event has {EVENT_BYTES_MAX} at most")
    try:
        event = _decode_event(raw)
    except UNDECODABLE as error:
        trimmed = _trimmed(raw, index, key, error)
        if isinstance(trimmed, Refusal):
            return trimmed
        event, raw = trimmed
    if b"\\" in raw and b"\\u0000" in raw and _holds_nul(_decode_any(raw)):
        return Refusal(index, event.id, "bad_value", None, "the character U+0000 is not allowed in text")
    if key == "collect" and (problem := not_for_collect(event)):
        return Refusal(index, event.id, "not_allowed_for_key", *problem)
    if type(event) is ContactForgotten and not forgets:
        return Refusal(index, event.id, "forgetting_not_supported", "type", FORGETTING)
    if refused := _bad_person(event, nobody):
        return Refusal(index, event.id, *refused)
    if check is not None and (problem := check(event, raw, key)):
        return Refusal(index, event.id, "bad_value", *problem)
    if type(event) in BOUNDED and (problem := _bad_value(event)):
        return Refusal(index, event.id, "bad_value", *problem)
    latest_us = received_at_us + FUTURE_HOURS_MAX * HOUR_US
    occurred_at, as_of = event.occurred_at, event.as_of
    if as_of is not None and not OCCURRED_AT_MIN_US <= (as_of_us := to_micros(as_of)) <= latest_us:
        return _out_of_bounds(index, event.id, "as_of", as_of_us, received_at_us)
    sent_us = occurred_at_us = None
    if occurred_at is not None:
        sent_us = occurred_at_us = to_micros(occurred_at)
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
    agent = None
    if user_agent and key == "collect" and (type(event) is UnmappedEvent or getattr(event, "user_agent", "") is None):
        agent = user_agent[:TEXT_CHARACTERS_MAX]
    return Record(
        SCHEMA_VERSION, key, received_at_us, msgspec.Raw(raw), None if event.id is not None else uuid7(received_at_us),
        _recorded_us(event, sent_us, occurred_at_us, received_at_us), agent, None, key_hint,
    )  # fmt: skip


def _keeps_a_message(raw: bytes) -> bool:
    """Whether it is an `unmapped_event` that exceeds the limit of an event only by the fields around its message."""
    return len(raw) <= EVENT_BYTES_MAX + UNMAPPED_ENVELOPE_BYTES_MAX and raw.startswith(_UNMAPPED)


def _trimmed(raw: bytes, index: int, key: KeyClass, error: Exception) -> tuple[Event, bytes] | Refusal:
    """An event of a collect key without the fields that its type does not have, and its bytes; else what is wrong."""
    refusal = refusal_of(index, raw, key, error)
    if key == "server" or refusal.code != "unknown_field":
        return refusal
    try:
        known = known_fields_only(raw)
        return _decode_event(known), known
    except UNDECODABLE as still:
        return refusal_of(index, raw, key, still)


def _recorded_us(event: Event, sent_us: int | None, corrected_us: int | None, received_at_us: int) -> int | None:
    """The instant that the record adds: the receipt's if the event has none, the corrected one if it differs; else None."""
    if sent_us is None:
        return received_at_us if event.as_of is None else None
    return corrected_us if corrected_us != sent_us else None


def _out_of_bounds(index: int, event_id: str | None, field: str, at_us: int, received_at_us: int) -> Refusal:
    """The refusal of an instant that is out of bounds: too early, or else too late."""
    if at_us < OCCURRED_AT_MIN_US:
        return Refusal(index, event_id, "bad_value", field, f"before {to_rfc3339(OCCURRED_AT_MIN_US)}")
    message = f"more than {FUTURE_HOURS_MAX} hours after its receipt at {to_rfc3339(received_at_us)}"
    return Refusal(index, event_id, "in_the_future", field, message)


def corrected(occurred_at_us: int, sent_at_us: int, received_at_us: int) -> int:
    """When it occurred by our clock, in microseconds since 1970, like all arguments (rule **clock**).

    A clock that seems right is believed: by one request, its error cannot be distinguished from the time that the request took. An event of a wrong
    clock happened as long before its receipt as it was before its sending. No event is dated after its receipt.
    """
    if -CLOCK_AHEAD_US_MAX <= received_at_us - sent_at_us <= CLOCK_BEHIND_US_MAX:
        return min(occurred_at_us, received_at_us)
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
        record.key_hint, record.sealed,
    )  # fmt: skip


class Sender(NamedTuple):
    """Which key sent a log record, and under which event id; None where the record does not contain it."""

    key: KeyClass
    key_hint: str | None
    event_id: str | None


class _Id(msgspec.Struct):
    id: str | None = None


_decode_id = msgspec.json.Decoder(_Id).decode


def sender_of(value: bytes) -> Sender:
    """Which key sent a log record, also if its event cannot be decoded."""
    try:
        record = _decode_record(value)
    except UNDECODABLE:
        return Sender("server", None, None)
    event_id = sent_id(record)
    if event_id is not None and record.key == "collect":
        event_id = COLLECT_PREFIX + event_id
    return Sender(
        record.key,
        record.key_hint,
        None if event_id is None else event_id[: len(COLLECT_PREFIX) + EVENT_ID_CHARACTERS_MAX],
    )


def sent_id(record: Record) -> str | None:
    """The id under which an event was sent, or which the server gave it; None if it cannot be read."""
    try:
        return record.id if record.id is not None else _decode_id(record.event).id
    except UNDECODABLE:
        return None


def upcast(version: int, raw: bytes) -> bytes:
    """Convert an event's bytes of an older schema version to the current one.

    There is one version so far; steps from v to v + 1 go here, so that the log never needs rewriting.
    """
    if version != SCHEMA_VERSION:
        raise msgspec.ValidationError(f"schema version {version} is unknown; this release reads {SCHEMA_VERSION}")
    return raw


def canonical(raw: bytes) -> bytes:
    """Canonical JSON of an event as sent, without `as_of` and `sent_at`: keys sorted, no white space, UTF-8 (rule **once**).

    So two events with the same content and another `as_of` or `sent_at` have the same canonical JSON.
    """
    fields = _decode_any(raw)
    if isinstance(fields, dict):
        fields.pop("as_of", None)
        fields.pop("sent_at", None)
    return msgspec.json.encode(fields, order="sorted")


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


FORGETTING = (
    "this store is not sealed, so it cannot forget contacts; the event changed nothing. It is kept as a dead letter. To forget the contact, stop "
    "the services, seal the store with `touchline privacy seal` (for `touchline up`: `--data DIR`), start them again, and retry the event with "
    "`touchline dead-letters retry`. A new store is sealed from its first event on if it is started with `touchline up --sealed`"
)


Wrong = tuple[Code, str, str]
"""Code, field and message."""


def _bad_person(event: Event, nobody: frozenset[str]) -> Wrong | None:
    """The error of a visitor or contact whose id identifies nobody, or whose e-mail address is not valid; None if there is none."""
    for field, bad in PERSONS[type(event)]:
        named = getattr(event, field)
        if named is not None and (wrong := bad(named, nobody)):
            code, within, message = wrong
            return code, field + within, message
    return None


@lru_cache(CACHED_NAMES)
def _bad_id(text: str, nobody: frozenset[str]) -> Wrong | None:
    """The error of an id; its field is relative to the field that holds the id."""
    return _nobody("", text) if names_nobody(text, nobody) else None


@lru_cache(CACHED_NAMES)
def _bad_contact(contact: Contact, nobody: frozenset[str]) -> Wrong | None:
    if contact.id is not None and names_nobody(contact.id, nobody):
        return _nobody(".id", contact.id)
    if contact.email is None:
        return None
    email = normalised_email(contact.email)
    if names_nobody(email, nobody):
        return _nobody(".email", contact.email)
    if is_plausible(email):
        return None
    return "bad_value", ".email", f"{contact.email!r} is not an e-mail address such as name@host.example"


def _bad_contacts(contacts: Sequence[Contact], nobody: frozenset[str]) -> Wrong | None:
    for n, contact in enumerate(contacts):
        if wrong := _bad_contact(contact, nobody):
            code, within, message = wrong
            return code, f"[{n}]{within}", message
    return None


def _nobody(field: str, text: str) -> Wrong:
    return (
        "names_nobody",
        field,
        f"{text!r} names nobody: whoever bears it would become one person; leave the field out",
    )


_BAD: dict[str, Callable[[Any, frozenset[str]], Wrong | None]] = {
    "visitor_id": _bad_id, "contact": _bad_contact, "into": _bad_contact, "contacts": _bad_contacts,
}  # fmt: skip
PERSONS = {  # by type: the fields that name visitors and contacts, each with its check
    cls: [(field, _BAD[field]) for field in _BAD if field in cls.__struct_fields__] for cls in EVENT_TYPES.values()
}


def _bad_goal(goals: Mapping[GoalMetric, str], currency: str | None) -> tuple[str, str] | None:
    """The goal that its metric cannot reach, and why: a count with decimals, or money with more decimals than its currency has."""
    for metric, goal in goals.items():
        if metric not in MONEY_GOALS:
            if not goal.isdecimal():
                return f"goals.{metric}", f"a count has no decimals, as {goal} has"
        elif currency in CURRENCIES and not is_exact(goal, currency):
            return f"goals.{metric}", f"{goal} has more decimals than {currency} has"
    return None


def _bad_value(event: Event) -> tuple[str, str] | None:
    """The field that is out of bounds though its type is right, and why. Events that are in the log already are not checked."""
    if getattr(event, "count", 1) > COUNT_MAX:
        return "count", f"from 1 to {COUNT_MAX}"
    if type(event) is WorkspaceConfigured:
        settings = event.settings
        if settings.time_zone is not None and settings.time_zone not in zones():
            return "settings.time_zone", f"{settings.time_zone!r} is not an IANA time zone"
        if settings.currency is not None and settings.currency not in CURRENCIES:
            return "settings.currency", f"{settings.currency} is not a currency of ISO 4217"
        return None
    closed_at = getattr(event, "closed_at", None)
    if closed_at is not None and not OCCURRED_AT_MIN_US <= to_micros(closed_at) <= CLOSED_AT_MAX_US:
        return "closed_at", f"from {to_rfc3339(OCCURRED_AT_MIN_US)} to {to_rfc3339(CLOSED_AT_MAX_US)}"
    currency = getattr(event, "currency", None)
    if isinstance(event, CampaignCreated) and (problem := _bad_goal(event.goals or {}, currency)):
        return problem
    if currency is None:
        return None
    if currency not in CURRENCIES:
        return "currency", f"{currency} is not a currency of ISO 4217"
    for name in ("amount", "budget"):
        amount = getattr(event, name, None)
        if amount is not None and not is_exact(amount, currency):
            return name, f"{amount} has more decimals than {currency} has"
    return None
