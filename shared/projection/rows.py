"""What does an event become in the tables? Names become keys, URLs addresses and values; nothing is decided here."""

import re
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from hashlib import blake2b
from typing import Any, NamedTuple
from urllib.parse import urlencode

import msgspec

from shared.events import types as e
from shared.events.codec import BACKFILL, Arrived, canonical, decode_record
from shared.events.registry import BY_STRUCT, EVENT_TYPES, ID_FIELDS, Entity, Key, KeyKind
from shared.rules.excluded_traffic import FLAGGED_INTERNAL, FLAGGED_MACHINE, flagged, traffic_class
from shared.rules.influence import TouchType
from shared.rules.keys import (
    Identifier,
    agent_key,
    asset_key,
    campaign_key,
    deal_key,
    event_key,
    identifiers,
    page_key,
    unmapped_key,
    utm_key,
    visitor_key,
)
from shared.rules.order import Order
from shared.rules.page import BY_PATH, CACHED_URLS, AddressRules, address_of, parse
from shared.rules.session import named_source
from shared.rules.settings import NOTHING_SET, UrlRules
from shared.rules.tracking_url import link_of
from shared.rules.utm import decoded, normalised

UTM_FIELDS = ("utm_source", "utm_medium", "utm_campaign", "utm_term", "utm_content")
SETTINGS_SUBJECT = 0  # of the workspace's own entity events: its settings and models

_TYPE = {EVENT_TYPES[type_.wire]: type_ for type_ in TouchType}  # joining a list has two types; the event decides which
_MERGING = frozenset(cls for cls, one in BY_STRUCT.items() if one.merges_contacts)
_IDENTIFYING = frozenset(cls for cls, one in BY_STRUCT.items() if one.identifies_visitor)
_NAMING_SEVERAL = frozenset(cls for cls, one in BY_STRUCT.items() if "contacts" in one.contact_fields)
_FOLLOWING_ADDRESSES = frozenset(cls for cls, one in BY_STRUCT.items() if one.follows_addresses)


class Prepared(Arrived):
    """An event of the log with what is worked out of it alone, before the database is asked anything.

    Its keys are those of a workspace that has set nothing; `suit_touch` and `suit_entity_event` make them those of its settings. `reading` is the key of
    the utm value of its URL and that of the same value decoded once more, if that is another.
    """

    key128: bytes = b""
    sent_hash: int = 0
    row: "TouchRow | None" = None
    about: "EntityEvent | None" = None
    reading: "tuple[int, int] | None" = None
    mention: "IdentifierMention | None" = None

    @property
    def late_us(self) -> int:
        """How long after it happened it was received."""
        return self.received_at_us - self.occurred_at_us

    @property
    def is_punctual(self) -> bool:
        """Whether its lateness says how late events come (rule **settled**): what has an `as_of`, and what a backfill sends, comes
        when a file is sent.
        """
        return self.as_of_us is None and self.key_hint != BACKFILL

    @property
    def place(self) -> int:
        """Where its row is found: the touch's person, the entity event's subject."""
        if self.row is not None:
            return self.row.person
        assert self.about is not None
        return self.about.subject


class TouchRow(msgspec.Struct, array_like=True, gc=False):
    """A row of `touch`, in the order of its columns."""

    ws: int
    person: int
    occurred_at_us: int
    event_id: str
    type: int
    traffic_class: int
    flags: int
    agent: int | None
    by_visitor: bool
    session_is_new: bool | None
    count: int
    asset_or_page_key: int | None
    via: int | None
    utm: int | None
    source: int | None
    session: int | None
    session_at_us: int | None
    asset_id: str | None
    via_asset_id: str | None
    url: str | None
    referrer: str | None
    utm_told: str | None
    kind: str | None

    @property
    def order(self) -> Order:
        """Its place among all events."""
        return Order(self.occurred_at_us, self.event_id)


class IdentifierMention(NamedTuple):
    """An event names contacts: each contact object as its identifiers, and the visitor that it identifies as the first."""

    contacts: tuple[tuple[Identifier, ...], ...]
    visitor: int | None
    merge: bool


class EntityEvent(NamedTuple):
    """What an event that is no touch is about; `leads_to` is the link that a registered asset is (rule **tracking url**)."""

    subject: int
    object: int | None
    leads_to: int | None = None


class UnstorableValue(Exception):
    """An event holds a value that no row can hold. Ingest refuses it today; an older log may hold one."""


_HIDDEN_NUL = re.compile(rb"%(?:25)*00")  # of a URL, whose query is decoded


def prepared(value: bytes, offset: int) -> Prepared:
    """The event of a log record, with its row and keys; its workspace and its session are still open.

    Raises one of `UNDECODABLE` where the record does not hold one, and `UnstorableValue`.
    """
    arrived = decode_record(value, offset, Prepared)
    arrived.key128, arrived.sent_hash = event_key(arrived.event_id), sent_hash(arrived)
    arrived.mention = identifier_mention(arrived.event)
    if arrived.is_touch:
        arrived.row = touch_row(arrived)
        arrived.reading = reading_of(arrived.row)
    else:
        arrived.about = entity_event(arrived.event)
    if (b"\\" in value and b"\\u0000" in value) or (b"%" in value and _HIDDEN_NUL.search(value)):
        _check_texts(arrived)
    return arrived


def reading_of(row: TouchRow) -> tuple[int, int] | None:
    """The keys of a touch's utm value as it stands and decoded once more; None if there is nothing to decode."""
    if row.url is None or ("%" not in row.url and not row.utm_told):
        return None
    value = parse(row.url, row.utm_told or "").campaign
    again = decoded(value)
    return None if again is None else (utm_key(value), utm_key(again))


def suit_entity_event(arrived: Iterable[Prepared], rules: AddressRules) -> None:
    """Give registered addresses the keys that a workspace's settings give them."""
    for a in arrived:
        if type(a.event) in _FOLLOWING_ADDRESSES:
            a.about = entity_event(a.event, rules)


def suit_touch(row: TouchRow, rules: UrlRules) -> None:
    """Give a page visit the keys that a workspace's settings give it; any other touch stays as it is."""
    if row.type == TouchType.PAGE_VISITED and row.url is not None:
        row.asset_or_page_key, row.via, row.source = keys_of_visit(
            row.url, row.utm_told or "", row.referrer, row.asset_id, row.via_asset_id, rules
        )


def keys_of_visit(
    url: str, utm_told: str, referrer: str | None, asset_id: str | None, via_asset_id: str | None, rules: UrlRules
) -> tuple[int, int | None, int | None]:
    """What a page visit is of, what it came by, and the source that it names; each None if it is none."""
    page, link, source = _keys_of_url(url, utm_told, referrer, rules)
    asset_or_page_key = page if asset_id is None else asset_key(asset_id)
    via = link if via_asset_id is None else asset_key(via_asset_id)
    return asset_or_page_key, via, source


@lru_cache(CACHED_URLS)
def _keys_of_url(url: str, utm_told: str, referrer: str | None, rules: UrlRules) -> tuple[int, int | None, int | None]:
    """The keys of a URL's address and of the link that it is, and the source that it and its referrer name."""
    page = parse(url, utm_told)
    address = page.address if rules.addresses == BY_PATH else address_of(url, rules.addresses)
    return page_key(address), link_of(page, address), named_source(page, referrer, rules.referrers)


def _check_texts(arrived: Prepared) -> None:
    """Raise `UnstorableValue` for a text with U+0000, which PostgreSQL cannot keep."""
    row = () if arrived.row is None else msgspec.structs.astuple(arrived.row)
    texts = [arrived.event_id, arrived.user_agent, *row, *_texts(msgspec.to_builtins(arrived.event))]
    if any(isinstance(text, str) and "\0" in text for text in texts):
        raise UnstorableValue("a text of the event, or one in its URL, holds the character U+0000")


def _texts(part: Any) -> Iterator[str]:
    """All texts of an event, the names of its properties among them."""
    if isinstance(part, str):
        yield part
    elif isinstance(part, dict):
        for name, value in part.items():
            yield name
            yield from _texts(value)
    elif isinstance(part, list):
        for value in part:
            yield from _texts(value)


def agents_of(arrived: Iterable[Prepared]) -> dict[int, str]:
    """The user agents of touches, by key: of every touch that ever came, whatever became of it."""
    return {
        a.row.agent: a.user_agent
        for a in arrived
        if a.row is not None and a.row.agent is not None and a.user_agent is not None
    }


def touch_row(arrived: Arrived) -> TouchRow:
    """The row of a touch. Its workspace (0) and its session are still open, and its traffic class says only what the event says of itself."""
    event: Any = arrived.event
    via_asset_id = referrer = utm_told = asset_or_page_key = via = utm = source = kind = None
    visitor_id: str | None
    url: str | None
    count = 1
    if type(event) is e.PageVisited:
        type_ = TouchType.PAGE_VISITED
        visitor_id, contact, url, asset_id, referrer = (
            event.visitor_id, event.contact, event.url, event.asset_id, event.referrer,
        )  # fmt: skip
        utm_told = _utm_told(event)
        page = parse(event.url, utm_told or "")
        via_asset_id = event.via_asset_id or page.via_asset_id
        asset_or_page_key, via, source = keys_of_visit(
            url, utm_told or "", referrer, asset_id, via_asset_id, NOTHING_SET
        )
        utm = utm_key(page.campaign) if page.campaign else None
    else:
        visitor_id, contact = getattr(event, "visitor_id", None), getattr(event, "contact", None)
        url, asset_id = getattr(event, "url", None), getattr(event, "asset_id", None)
        kind, count = getattr(event, "kind", None), getattr(event, "count", 1)
        if type(event) is e.ListJoined:
            type_ = TouchType.LIST_JOINED_STATIC if event.list_type == "static" else TouchType.LIST_JOINED_ACTIVE
        else:
            type_ = _TYPE[type(event)]
        if asset_id is not None:
            asset_or_page_key = asset_key(asset_id)
    if visitor_id is not None:
        person = visitor_key(visitor_id)
    elif contact is not None:
        person = identifiers(contact)[0].key
    else:
        person = NOBODY
    flags = flagged(event.machine, event.internal) if event.machine or event.internal else 0
    return TouchRow(
        0, person, arrived.occurred_at_us, arrived.event_id, type_, _CLASSES[flags], flags,
        None if arrived.user_agent is None else agent_key(arrived.user_agent), visitor_id is not None, None, count, asset_or_page_key,
        via, utm, source, None, None, asset_id, via_asset_id, url,
        referrer, utm_told, kind,
    )  # fmt: skip


def _utm_told(event: e.PageVisited) -> str | None:
    """The utm fields beside the URL, as a query; None if there are none."""
    if not (event.utm_campaign or event.utm_source or event.utm_medium or event.utm_term or event.utm_content):
        return None
    return urlencode([(name, value) for name in UTM_FIELDS if (value := getattr(event, name))])


_CLASSES = [
    traffic_class(flags, False, False) for flags in range((FLAGGED_MACHINE | FLAGGED_INTERNAL) + 1)
]  # by what it says of itself


NOBODY = 0  # the person of a touch that names neither visitor nor contact


def identifier_mention(event: Any) -> IdentifierMention | None:
    """The contacts that an event names, None if it names none. One that asks to forget a contact names nobody (rule **forgotten**)."""
    cls = type(event)
    if cls is e.ContactForgotten:
        return None
    if cls in _MERGING:
        return IdentifierMention((identifiers(event.contact), identifiers(event.into)), None, True)
    if cls in _NAMING_SEVERAL:
        return IdentifierMention(tuple(identifiers(c) for c in event.contacts), None, False) if event.contacts else None
    contact = getattr(event, "contact", None)
    if contact is None:
        return None
    visitor_id = getattr(event, "visitor_id", None)
    return IdentifierMention((identifiers(contact),), None if visitor_id is None else visitor_key(visitor_id), False)


def identified_visitor(event: Any) -> int | None:
    """The key of the visitor whose contact an entity event names; None if it names none."""
    return visitor_key(event.visitor_id) if type(event) in _IDENTIFYING else None


def _utm_key(value: str) -> int | None:
    """The key of a campaign's utm value, None if it has none once normalised."""
    known = normalised(value)
    return utm_key(known) if known else None


def _link_key(url: str, rules: AddressRules) -> int | None:
    return link_of(parse(url, ""), address_of(url, rules))


_SUBJECT: dict[Entity, Callable[..., int]] = {
    "campaign": campaign_key, "asset": asset_key, "deal": deal_key, "contact": lambda contact: identifiers(contact)[0].key,
    "workspace": lambda: SETTINGS_SUBJECT, "unmapped": unmapped_key,
}  # fmt: skip
"""The key of each entity, made of its `ID_FIELDS`."""

_KEY: dict[KeyKind, Callable[..., int | None]] = {
    "campaign": campaign_key, "asset": asset_key, "deal": deal_key, "contact": _SUBJECT["contact"], "utm": _utm_key,
}  # fmt: skip
_KEY_OF_URL: dict[KeyKind, Callable[[str, AddressRules], int | None]] = {
    "page": lambda url, rules: page_key(address_of(url, rules)), "link": _link_key,
}  # fmt: skip
"""The second key of each kind, made of one field; those of URLs follow the workspace's rules of addresses."""


def entity_event(event: e.Event, rules: AddressRules = BY_PATH) -> EntityEvent:
    """What an entity event is about, by the registry of event types."""
    declared = BY_STRUCT[type(event)]
    subject = _SUBJECT[declared.entity](*(getattr(event, field) for field in ID_FIELDS[declared.entity]))
    return EntityEvent(
        subject, _second_key(event, declared.object_key, rules), _second_key(event, declared.leads_to_key, rules)
    )


def _second_key(event: e.Event, key: Key | None, rules: AddressRules) -> int | None:
    """A second key of an event's row; None if it has none, or if the event leaves out what it is made of."""
    if key is None or (value := getattr(event, key.field)) is None:
        return None
    if key.kind in _KEY_OF_URL:
        return _KEY_OF_URL[key.kind](value, rules)
    return _KEY[key.kind](value)


def sent_hash(arrived: Arrived) -> int:
    """64 bits of the bytes as sent; of an event with `as_of` or `sent_at`, of its canonical JSON, which leaves both out."""
    sent = arrived.raw
    if arrived.as_of_us is not None or arrived.event.sent_at is not None:
        sent = canonical(sent)
    return int.from_bytes(blake2b(sent, digest_size=8).digest(), "little", signed=True)
