"""Which of our events do HubSpot's properties, associations and merges become, in webhooks and in imports of its history?

HubSpot describes its webhooks at https://developers.hubspot.com/docs/api/webhooks and their signature at
https://developers.hubspot.com/docs/api/webhooks/validating-requests. The record ID is our id of a contact or a deal.

`contact_property`, `deal_property`, `campaign_property` and `association` map one change in HubSpot to our events, without ids,
which the caller adds. An empty tuple: the change is known and becomes no event; None: it is not mapped. They raise `BadValue`
where a value is not valid for its property. `read` maps one event of a webhook.
"""

import base64
import datetime as dt
import hashlib
import hmac
import re
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

import msgspec

from shared.events.currencies import CURRENCIES
from shared.events.instants import to_rfc3339
from shared.events.limits import EVENT_ID_CHARACTERS_MAX
from shared.events.refusal import UNDECODABLE, Code
from shared.events.registry import KeyClass
from shared.producers.message import Message, Unmapped, Unreadable
from shared.rules.settings import Producers

PRODUCER = "hubspot"

# HubSpot's own limit on the age of a signature. It also holds for one from the future, because clocks differ both ways.
CLOCK_MS_MAX = 5 * 60 * 1000
AMOUNT_CHARACTERS_MAX = 64  # far more than the digits of any amount
EXPONENT_MAX = 30  # "1E+9999999" is a number of ten megabytes
PARTS_MAX = 250  # ids or e-mails in one statement: HubSpot takes part in 250 merges of a record at most
ID_DIGITS_MAX = 19  # of HubSpot's numbers, which have 64 bits
NAME_CHARACTERS_MAX = 200  # of what messages are called; HubSpot's property names have 100 at most
NAMELESS = "(no type)"  # what messages are called that do not say what happened
# The end of the id under which an unmapped message is kept. It is longer than `:250`, the number of the last event of a message.
KEPT = ":unmapped"
OCCURRED_MS_MAX = 253_402_300_799_999  # the year 9999

CONTACT_NAMES = {  # those that Touchline itself, or the mapping of HubSpot's CSV exports, knows by another name
    "firstname": "first_name", "lastname": "last_name", "lifecyclestage": "lifecycle_stage", "hs_lead_status": "lead_status",
    "hs_analytics_source": "original_source",
}  # fmt: skip
CONTACT_SAYS_NOTHING = frozenset({"hs_object_id", "lastmodifieddate", "hs_lastmodifieddate"})
DEAL_SAYS_NOTHING = frozenset({"hs_object_id", "hs_createdate", "hs_lastmodifieddate"})
CAMPAIGN_TEXTS = {"hs_name": "name", "hs_utm": "utm_campaign", "hs_owner": "owner", "hs_notes": "notes"}
CAMPAIGN_DATES = {"hs_start_date": "starts_on", "hs_end_date": "ends_on"}

OBJECT_TYPES = {"0-1": "contact", "0-2": "company", "0-3": "deal"}
"""HubSpot's object type ids that are read here, by the name that the older subscription types have."""

ASSOCIATION_TYPE_IDS = frozenset({3, 4})  # HubSpot's own, without a label: deal to contact, contact to deal
CONTACT_AND_DEAL = frozenset({("contact", "deal"), ("deal", "contact")})

Event = dict[str, Any]
Meaning = tuple[Event, ...] | None

_encode = msgspec.json.Encoder().encode
_decode_fields = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal).decode
_decode_raws = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_DIGITS = re.compile(rf"[0-9]{{1,{ID_DIGITS_MAX}}}\Z", re.ASCII)
_URI_DECODED = {  # the characters that HubSpot decodes before it signs an address, and no others
    "%3A": ":", "%2F": "/", "%3F": "?", "%40": "@", "%21": "!", "%24": "$", "%27": "'", "%28": "(", "%29": ")", "%2A": "*",
    "%2C": ",", "%3B": ";",
}  # fmt: skip
_URI_ENCODED = re.compile("|".join(_URI_DECODED), re.IGNORECASE)


class BadValue(ValueError):
    """A value that is not valid for its field. `field` is its place in the message, the text says what was expected."""

    def __init__(self, field: str, message: str, code: Code = "bad_value") -> None:
        super().__init__(message)
        self.field, self.code = field, code


class Stages(NamedTuple):
    """The deal stages, by internal name, in which a deal is won or lost; any other is open."""

    won: Sequence[str] = ("closedwon",)
    lost: Sequence[str] = ("closedlost",)

    @classmethod
    def of(cls, producers: Producers) -> "Stages":
        """The stages that a workspace has set."""
        return cls(producers.won_stages, producers.lost_stages)


def signature_v3(secret: str, method: str, uri: str, body: bytes, timestamp: str) -> str:
    """HubSpot's signature of a request, version 3: base64 of the HMAC-SHA256 of method, decoded address, body and timestamp."""
    decoded = _URI_ENCODED.sub(lambda found: _URI_DECODED[found[0].upper()], uri)
    mac = hmac.new(secret.encode(), f"{method}{decoded}".encode(), hashlib.sha256)
    mac.update(body)
    mac.update(timestamp.encode())
    return base64.b64encode(mac.digest()).decode()


def is_signed(signature: str, secret: str, method: str, uri: str, body: bytes, timestamp: str) -> bool:
    """Whether the signature is right for the request; compared in constant time."""
    return hmac.compare_digest(
        signature_v3(secret, method, uri, body, timestamp).encode(), signature.encode("utf-8", "surrogateescape")
    )


def is_timely(timestamp: str, now_ms: int) -> bool | None:
    """Whether a request was signed at most five minutes ago, and not more than five minutes from now; None: no timestamp."""
    if not _DIGITS.match(timestamp):
        return None
    return abs(now_ms - int(timestamp)) <= CLOCK_MS_MAX


def contact_property(contact: str, name: str, value: str | None, at: str) -> Meaning:
    """What it means that a contact's property has this value since `at` (RFC 3339). Nothing about a contact is unmapped.

    An e-mail, also an additional one, is linked with the contact's id for good. Other properties are kept under HubSpot's
    internal name, but for those of `CONTACT_NAMES`.
    """
    who, text = {"id": contact}, value or ""
    if name in CONTACT_SAYS_NOTHING:
        return ()
    if name == "email":
        return _each("contact_updated", at, "contact", [{**who, "email": text}] if text.strip() else [])
    if name == "hs_additional_emails":
        return _each("contact_updated", at, "contact", [{**who, "email": email} for email in _list(text)])
    if name == "hs_merged_object_ids":
        return contacts_merged(_list(text), contact, at)
    if name == "hs_calculated_merged_vids":  # id:instant;id:instant
        return contacts_merged([each.partition(":")[0] for each in _list(text)], contact, at)
    if name == "salesforcecampaignids":
        joined = {"type": "salesforce_campaign_joined", "occurred_at": at, "contact": who, "source": "sync"}
        return tuple({**joined, "salesforce_campaign_id": each} for each in _list(text))
    if name == "createdate":
        return ({"type": "contact_created", "occurred_at": instant(text), "contact": who},) if text else ()
    properties = {CONTACT_NAMES.get(name, name): value or None}
    return ({"type": "contact_updated", "occurred_at": at, "contact": who, "properties": properties},)


def contacts_merged(merged: Sequence[str], into: str, at: str) -> tuple[Event, ...]:
    """The events for contacts that were merged. A contact merged into itself gives none."""
    return tuple(
        {"type": "contact_merged", "occurred_at": at, "contact": {"id": each}, "into": {"id": into}}
        for each in dict.fromkeys(merged)
        if each != into
    )


def deal_property(deal: str, name: str, value: str | None, at: str, stages: Stages) -> Meaning:
    """What it means that a deal's property has this value since `at` (RFC 3339); None for what says nothing of a deal here.

    The deal's stage says whether it is won, lost or open. HubSpot's calculated `hs_is_closed…` say it too, for whoever has
    stages that are not named in the settings: each only where it is certain, for a deal that is no longer won may be lost.
    """
    text = (value or "").strip()
    says = {"occurred_at": at, "deal_id": deal}
    updated, closed, reopened = ({"type": f"deal_{what}", **says} for what in ("updated", "closed", "reopened"))
    if name in DEAL_SAYS_NOTHING:
        return ()
    if name == "amount":
        return ({**updated, "amount": amount(text) if text else "0"},)
    if name == "hs_is_closed_won":
        return ({**closed, "won": True},) if _yes(text) else ()
    if name == "hs_is_closed_lost":
        return ({**closed, "won": False},) if _yes(text) else ()
    if name == "hs_is_closed":
        return () if not text or _yes(text) else (reopened,)
    if name not in ("dealname", "deal_currency_code", "dealstage", "createdate", "closedate"):
        return None
    if not text:
        return ()
    if name == "dealname":
        return ({**updated, "name": text},)
    if name == "deal_currency_code":
        if text.upper() not in CURRENCIES:
            raise BadValue("propertyValue", f"{text[:40]!r} is not a currency of ISO 4217")
        return ({**updated, "currency": text.upper()},)
    if name == "createdate":
        return ({**says, "type": "deal_created", "occurred_at": instant(text)},)
    if name == "closedate":  # of an open deal it is what is expected; it counts once the deal is closed
        return ({**updated, "closed_at": instant(text)},)
    if text in stages.won or text in stages.lost:
        return ({**closed, "won": text in stages.won},)
    return (reopened,)


def deal_presence(portal: str, deal: str, at: str, *, deleted: bool) -> Event:
    """What it means that a deal was deleted, or restored, with its id.

    `deal_deleted` is final, but HubSpot's deletion is not. So both events have the same id, and the latest counts (rule
    **once**), in whatever order they arrive.
    """
    return {
        "type": "deal_deleted" if deleted else "deal_updated", "id": f"{PRODUCER}:{portal}:deal:{deal}:presence",
        "occurred_at": at, "as_of": at, "deal_id": deal,
    }  # fmt: skip


def association(contact: str, deal: str, at: str, *, removed: bool) -> Event:
    """What it means that a contact was associated with a deal, or is no longer."""
    kind = "deal_contact_dissociated" if removed else "deal_contact_associated"
    return {"type": kind, "occurred_at": at, "deal_id": deal, "contact": {"id": contact}}


def campaign_property(campaign: str, name: str, value: str | None, at: str) -> Meaning:
    """What it means that a campaign's property has this value since `at`; None for what says nothing of a campaign here."""
    text = (value or "").strip()
    updated = {"type": "campaign_updated", "occurred_at": at, "campaign_id": campaign}
    if name not in (*CAMPAIGN_TEXTS, *CAMPAIGN_DATES, "hs_budget_items_sum_amount", "hs_currency_code"):
        return None
    if not text:
        return ()
    if name in CAMPAIGN_TEXTS:
        return ({**updated, CAMPAIGN_TEXTS[name]: text},)
    if name in CAMPAIGN_DATES:
        return ({**updated, CAMPAIGN_DATES[name]: instant(text)[: len("2026-11-25")]},)
    if name == "hs_currency_code":
        return ({**updated, "currency": text.upper()},)
    return ({**updated, "budget": amount(text)},)


def amount(text: str) -> str:
    """A number of HubSpot as our events have amounts, exactly: `"1.2E3"` is `"1200"`, `"99.50000"` is `"99.5"`. Raises `BadValue`."""
    try:
        number = Decimal(text) if len(text) <= AMOUNT_CHARACTERS_MAX else Decimal("NaN")
    except InvalidOperation:
        number = Decimal("NaN")
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int) or abs(number.adjusted()) > EXPONENT_MAX or abs(exponent) > AMOUNT_CHARACTERS_MAX:
        raise BadValue("propertyValue", f"{text[:AMOUNT_CHARACTERS_MAX]!r} is not an amount such as 1200.50")
    plain = f"{number:f}"
    return plain.rstrip("0").rstrip(".") if "." in plain else plain


def instant(text: str) -> str:
    """An instant of HubSpot in RFC 3339: milliseconds since 1970, RFC 3339, or a date (its beginning in UTC). Raises `BadValue`."""
    wrong = BadValue("propertyValue", f"{text[:40]!r} is not an instant: milliseconds since 1970, or RFC 3339")
    if _DIGITS.match(text):
        if int(text) > OCCURRED_MS_MAX:
            raise wrong
        return to_rfc3339(int(text) * 1000)
    try:
        at = dt.datetime.fromisoformat(text)
        return (at if at.tzinfo else at.replace(tzinfo=dt.UTC)).astimezone(dt.UTC).isoformat()
    except (ValueError, OverflowError) as error:
        raise wrong from error


def _each(kind: str, at: str, field: str, values: Sequence[Any]) -> tuple[Event, ...]:
    return tuple({"type": kind, "occurred_at": at, field: value} for value in values)


def _list(text: str) -> list[str]:
    """The entries of one of HubSpot's lists in a text, which semicolons part."""
    entries = [entry.strip() for entry in text.split(";") if entry.strip()]
    if len(entries) > PARTS_MAX:
        raise BadValue("propertyValue", f"{len(entries)} entries; {PARTS_MAX} are taken at most", "too_large")
    return entries


def _yes(text: str) -> bool:
    if text.lower() not in ("true", "false", ""):
        raise BadValue("propertyValue", f"{text[:40]!r} is neither true nor false")
    return text.lower() == "true"


def portal_of(raw: bytes) -> str | None:
    """The portal (account) that an event of a webhook names; None if it names none. It is not verified by this."""
    try:
        return _number(_decode_fields(raw), "portalId")
    except (BadValue, *UNDECODABLE):
        return None


def read(raw: bytes, stages: Stages) -> Message:
    """Read one event of a webhook. Never raises: for bad JSON and bad fields the message is `Unreadable`."""
    try:
        notification = _decode_fields(raw)
    except UNDECODABLE as error:
        return Message(
            NAMELESS, raw, Unreadable("not_json", None, f"an event is a JSON object: {error}"[:NAME_CHARACTERS_MAX])
        )
    name = NAMELESS
    try:
        kind = _kind(notification)
        name = _name(notification)
        return _meant(raw, notification, kind, name, stages)
    except BadValue as wrong:
        return Message(name, raw, Unreadable(wrong.code, wrong.field, str(wrong)))


def read_again(sent: bytes, producers: Producers, _key: KeyClass, _received_us: int) -> Message:
    """Read a stored event of a webhook again, with the deal stages that the workspace has set now."""
    return read(sent, Stages.of(producers))


def is_mapped(_name: str, _producers: Producers) -> bool:
    """Of events that no release has read so far: a setting maps none of them."""
    return False


class _Kind(NamedTuple):
    """What an event is about (`contact`, `deal`, or an object type that is not read here), and what happened to it."""

    about: str
    happened: str


def _kind(notification: Event) -> _Kind:
    """By `subscriptionType`, or `eventType` as older documents have it; the generic `object.…` say the type beside it."""
    about, _, happened = _subscription(notification).partition(".")
    if about == "object":
        field = "fromObjectTypeId" if happened == "associationChange" else "objectTypeId"
        about = _text(notification, field) or ""
        about = OBJECT_TYPES.get(about, about)
    return _Kind(about, happened)


def _subscription(notification: Event) -> str:
    kind = _text(notification, "subscriptionType") or _text(notification, "eventType")
    if not kind:
        raise BadValue(
            "subscriptionType", "the message does not say what happened, such as contact.creation", "missing_field"
        )
    return kind


def _name(notification: Event) -> str:
    """What such messages are called: the subscription's type, a generic one's object type, and the property's name."""
    parts = [_subscription(notification), notification.get("objectTypeId"), notification.get("propertyName")]
    name = ":".join(part for part in parts if isinstance(part, str) and part)[:NAME_CHARACTERS_MAX]
    return name.replace("\0", "\N{REPLACEMENT CHARACTER}")


def _meant(raw: bytes, notification: Event, kind: _Kind, name: str, stages: Stages) -> Message:
    """The message with what it means. Raises `BadValue`."""
    portal = _required(notification, "portalId")
    occurred_ms = int(_required(notification, "occurredAt"))
    if occurred_ms > OCCURRED_MS_MAX:
        raise BadValue("occurredAt", f"{occurred_ms} is not an instant in milliseconds since 1970")
    at = to_rfc3339(occurred_ms * 1000)
    if kind.happened == "associationChange":
        meant = _association_change(notification, kind, at)
    elif kind.about == "contact":
        meant = _contact_event(notification, kind.happened, at)
    elif kind.about == "deal":
        meant = _deal_event(notification, kind.happened, at, portal, stages)
    else:
        meant = None
    event_id = _event_id(notification, kind, portal, occurred_ms)
    if meant is None:
        return Message(name, _without_attempt(raw), Unmapped(event_id + KEPT, at))
    return Message(
        name, raw, tuple({"id": f"{event_id}:{n}" if n else event_id, **event} for n, event in enumerate(meant))
    )


def _contact_event(notification: Event, happened: str, at: str) -> Meaning:
    """What happened to a contact; its deletion and its restoration change nothing of what it did."""
    if happened == "merge":
        merged, into = _merged(notification)
        return contacts_merged(merged, into, at)
    contact = _required(notification, "objectId")
    if happened == "creation":
        return ({"type": "contact_created", "occurred_at": at, "contact": {"id": contact}},)
    if happened == "propertyChange":
        return contact_property(contact, _property(notification), _value(notification), at)
    if happened == "privacyDeletion":
        return ({"type": "contact_forgotten", "occurred_at": at, "contact": {"id": contact}},)
    return () if happened in ("deletion", "restore") else None


def _deal_event(notification: Event, happened: str, at: str, portal: str, stages: Stages) -> Meaning:
    """What happened to a deal. A merged deal is gone; what is left of it is the one that it was merged into."""
    if happened == "merge":
        merged, into = _merged(notification)
        gone = tuple(deal_presence(portal, deal, at, deleted=True) for deal in merged if deal != into)
        return ({"type": "deal_updated", "occurred_at": at, "deal_id": into}, *gone)  # it may be older than the merge
    deal = _required(notification, "objectId")
    if happened == "creation":
        return ({"type": "deal_created", "occurred_at": at, "deal_id": deal},)
    if happened == "propertyChange":
        return deal_property(deal, _property(notification), _value(notification), at, stages)
    if happened in ("deletion", "restore"):
        return (deal_presence(portal, deal, at, deleted=happened == "deletion"),)
    return None


def _association_change(notification: Event, kind: _Kind, at: str) -> Meaning:
    """A contact joined or left a deal, as sent by either side; a label is added beside an association, and says nothing here."""
    association_type = _text(notification, "associationType")
    if association_type:
        first, _, second = association_type.lower().partition("_to_")
    else:
        second = _text(notification, "toObjectTypeId") or ""
        first, second = kind.about, OBJECT_TYPES.get(second, second)
    if (first, second) not in CONTACT_AND_DEAL:
        return None
    ids = {first: _required(notification, "fromObjectId"), second: _required(notification, "toObjectId")}
    removed = notification.get("associationRemoved")
    if not isinstance(removed, bool):
        raise BadValue(
            "associationRemoved", "true or false is expected", "missing_field" if removed is None else "wrong_type"
        )
    if (
        notification.get("associationTypeId") is not None
        and int(_required(notification, "associationTypeId")) not in ASSOCIATION_TYPE_IDS
    ):
        return ()
    return (association(ids["contact"], ids["deal"], at, removed=removed),)


def _merged(notification: Event) -> tuple[list[str], str]:
    """The records that were merged, the primary one among them, and the one that they are now."""
    ids = notification.get("mergedObjectIds")
    if not isinstance(ids, list):
        raise BadValue("mergedObjectIds", "a list of ids is expected", "missing_field" if ids is None else "wrong_type")
    if len(ids) > PARTS_MAX:
        raise BadValue("mergedObjectIds", f"{len(ids)} ids; {PARTS_MAX} are taken at most", "too_large")
    merged = [_required({"mergedObjectIds": each}, "mergedObjectIds") for each in ids]
    primary = _number(notification, "primaryObjectId")
    into = _number(notification, "newObjectId") or primary
    if into is None:
        raise BadValue("newObjectId", "the message has neither newObjectId nor primaryObjectId", "missing_field")
    return list(dict.fromkeys([*([primary] if primary else []), *merged])), into


def _event_id(notification: Event, kind: _Kind, portal: str, occurred_ms: int) -> str:
    """The id that every attempt to send an event gets, and no other event.

    HubSpot's `eventId` alone is not unique. Of a deal's changes at one instant `dealstage` comes before `hs_is_closed…`,
    which knows better (rule **order**).
    """
    what = _text(notification, "propertyName") or ":".join(
        filter(None, (kind.happened, _text(notification, "associationType")))
    )
    ends = [_number(notification, field) for field in ("fromObjectId", "toObjectId")]
    ids = [
        _number(notification, "objectId")
        or _number(notification, "newObjectId")
        or _number(notification, "primaryObjectId"),
        *ends,
    ]
    record = "-".join(each for each in ids if each)
    removed = "-" if notification.get("associationRemoved") is True else ""
    event, subscription = (_mark(notification, field) for field in ("eventId", "subscriptionId"))
    begin, end = f"{PRODUCER}:{portal}:{kind.about}:{record}:{occurred_ms}:", f"{removed}{what}:{subscription}:{event}"
    if len(begin) + len(end) + len(KEPT) <= EVENT_ID_CHARACTERS_MAX:
        return begin + end
    return f"{PRODUCER}:{portal}:{hashlib.sha256((begin + end).encode()).hexdigest()}"


def _without_attempt(raw: bytes) -> bytes:
    """The event without the number of its delivery attempt, so that all attempts are the same event."""
    notification = _decode_raws(raw)
    notification.pop("attemptNumber", None)
    return _encode(notification)


def _property(notification: Event) -> str:
    name = _text(notification, "propertyName")
    if not name:
        raise BadValue("propertyName", "the message does not name the property that changed", "missing_field")
    return name


def _value(notification: Event) -> str | None:
    """The property's new value as text; None where it has none any more."""
    value = notification.get("propertyValue")
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, Decimal)):
        return str(Decimal(value))
    raise BadValue("propertyValue", "a text is expected", "wrong_type")


def _text(notification: Event, field: str) -> str | None:
    value = notification.get(field)
    if value is None or isinstance(value, str):
        return value
    raise BadValue(field, "a text is expected", "wrong_type")


def _mark(notification: Event, field: str) -> str:
    """A value that is only used to distinguish events."""
    value = notification.get(field)
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise BadValue(field, "a whole number is expected", "wrong_type")
    return str(value)


def _number(notification: Event, field: str) -> str | None:
    """One of HubSpot's numbers in digits, whether it was sent as a number or as a text."""
    value = notification.get(field)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise BadValue(field, "a whole number is expected", "wrong_type")
    if isinstance(value, int):
        if not 0 <= value < 10**ID_DIGITS_MAX:
            raise BadValue(field, f"a number of {ID_DIGITS_MAX} digits at most is expected")
        return str(value)
    if not _DIGITS.match(value):
        raise BadValue(field, f"a number of {ID_DIGITS_MAX} digits at most is expected")
    return str(int(value))


def _required(notification: Event, field: str) -> str:
    value = _number(notification, field)
    if value is None:
        raise BadValue(field, f"{field} is missing", "missing_field")
    return value
