"""What do messages of Segment's API say in our events? One reading for what arrives, for dead letters and for unmapped events.

The calls are page, screen, identify, alias, group and track; what a track event becomes stands in `segment.toml`, and a workspace
changes that by its settings. See docs/wire.md, "Segment".
"""

import datetime as dt
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from hashlib import sha256
from importlib.resources import files
from typing import Any
from urllib.parse import quote

import msgspec

from shared.events.emails import is_plausible, normalised_email
from shared.events.instants import MINUTE_US, from_micros, to_micros, to_rfc3339
from shared.events.limits import SEGMENT_CALL_BYTES_MAX, TEXT_CHARACTERS_MAX, URL_CHARACTERS_MAX
from shared.events.mapped import Missing, bad_event, fields_of, folded_name, plain
from shared.events.nobody import names_nobody
from shared.events.refusal import UNDECODABLE, Code
from shared.events.registry import COLLECT_TYPES, EVENT_TYPES, REGISTRY, KeyClass
from shared.events.types import MappedEvent
from shared.producers.message import EventJson, Message, Unmapped, Unreadable
from shared.rules.settings import Producers

PRODUCER = "segment"
MESSAGE_ID_CHARACTERS_MAX = 100  # as Segment has it; a longer one is replaced by its digest
NAME_CHARACTERS_MAX = 256  # of an event, where it is counted and listed
MILLISECONDS_FROM = 10**11  # a number from here on is of milliseconds, before it of seconds: the year 5138, or 1973
NUMBER_MAX = 10**15  # of an instant given as a number: the year 33658 in milliseconds
UNREADABLE = "(unreadable)"
CALLS = ("track", "page", "screen", "identify", "alias", "group")

_decode = msgspec.json.Decoder(float_hook=Decimal).decode


def _published() -> dict[str, tuple[MappedEvent, ...]]:
    mapping = tomllib.loads(files(__package__ or "shared.producers").joinpath("segment.toml").read_text("utf-8"))
    table: dict[str, tuple[MappedEvent, ...]] = {}
    for row in mapping["mapping"]:
        events = msgspec.convert(row["events"], tuple[MappedEvent, ...])
        for mapped in events:
            if problem := bad_event(mapped):
                raise ValueError(f"segment.toml, {row['names'][0]}: {problem[0]}: {problem[1]}")
        table |= {folded_name(name): events for name in row["names"]}
    return table


PUBLISHED: Mapping[str, tuple[MappedEvent, ...]] = _published()
"""What track events become by default, by their `folded_name`."""


def mapping_of(name: str, producers: Producers) -> tuple[MappedEvent, ...] | None:
    """What a track event becomes, None if no mapping takes it."""
    folded = folded_name(name)
    own = producers.segment_events.get(folded)
    return PUBLISHED.get(folded) if own is None else own


def is_mapped(name: str, producers: Producers) -> bool:
    """Whether messages that are counted by this name are mapped now."""
    return name in CALLS or mapping_of(name, producers) is not None


class _Refused(Exception):
    """The message is not valid, or a key of its class may not send it."""

    def __init__(self, code: Code, field: str | None, message: str) -> None:
        super().__init__(message)
        self.code, self.field = code, field


def read(sent: bytes, producers: Producers, key: KeyClass, received_us: int) -> Message:
    """Read one message: a JSON object with `type`, `messageId` and the fields that its batch gives for all messages. Never raises.

    `key` is the class of the key that sent it, `received_us` when it was received.
    """
    try:
        fields = _decode(sent)
    except UNDECODABLE as error:
        text = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        return Message(UNREADABLE, sent, Unreadable("not_json", None, text))
    if not isinstance(fields, dict):
        return Message(UNREADABLE, sent, Unreadable("wrong_type", None, "a message is a JSON object"))
    one = _Segment(fields, producers, key, received_us)
    try:
        return Message(one.name, sent, one.means())
    except _Refused as refused:
        name = UNREADABLE if one.call is None else one.name_if_any
        return Message(name, sent, Unreadable(refused.code, refused.field, str(refused), one.id))
    except Missing as missing:
        what = f"the mapping of {one.name!r} needs {missing.places}"
        return Message(one.name, sent, Unreadable("missing_field", missing.places.split("|")[0], what, one.id))


def not_too_large(message: Message, sent_bytes: int) -> Message:
    """The message, or that it is refused: it was sent in more bytes than a message may have, what its batch says for all aside."""
    if sent_bytes <= SEGMENT_CALL_BYTES_MAX:
        return message
    means, detail = message.means, f"{sent_bytes:,} bytes; a message has {SEGMENT_CALL_BYTES_MAX:,} at most"
    known = str(means[0].get("id") or "") or None if isinstance(means, tuple) and means else None
    return Message(message.name, message.sent, Unreadable("too_large", None, detail, known))


@dataclass
class _Segment:
    """One message, and what it can be asked."""

    fields: dict[str, Any]
    producers: Producers
    key: KeyClass
    received_us: int

    @cached_property
    def call(self) -> str | None:
        """Which call it is; None if none that there is."""
        call_type = self.fields.get("type")
        return call_type.lower() if isinstance(call_type, str) and call_type.lower() in CALLS else None

    @property
    def name_if_any(self) -> str:
        """What it is counted by: the name of a track event, else the call."""
        event = self.fields.get("event")
        if self.call == "track" and isinstance(event, str) and event.strip():
            name = event.strip().replace("\0", "\N{REPLACEMENT CHARACTER}")[:NAME_CHARACTERS_MAX]
            return f"track: {name}" if name in CALLS else name
        return self.call or UNREADABLE

    @property
    def name(self) -> str:
        """As `name_if_any`. Raises `_Refused` if it has none."""
        if "type" not in self.fields:
            raise _Refused("missing_field", "type", f"`type` is one of {', '.join(CALLS)}")
        if self.call is None:
            raise _Refused(
                "unknown_type",
                "type",
                f"{str(self.fields['type'])[:100]!r} is not a call; these are: {', '.join(CALLS)}",
            )
        event = self.fields.get("event")
        if self.call == "track" and not (isinstance(event, str) and event.strip()):
            code: Code = "missing_field" if event in (None, "") else "wrong_type"
            raise _Refused(code, "event", "a track call names its event, as text")
        return self.name_if_any

    @cached_property
    def id(self) -> str | None:
        """The id of the first event that it becomes; others add `:2`, `:3`. None where it has no id."""
        message_id = _text(self.fields.get("messageId"))
        if message_id is None:
            return None
        if len(message_id) > MESSAGE_ID_CHARACTERS_MAX:
            message_id = sha256(message_id.encode()).hexdigest()
        return f"{PRODUCER}:{message_id}"

    def means(self) -> tuple[EventJson, ...] | Unmapped:
        """Our events, or `Unmapped`. Raises `_Refused` or `Missing`."""
        assert self.name
        if self.call == "track":
            mapping = mapping_of(str(self.fields["event"]), self.producers)
            if mapping is None:
                instants = self._instants()
                return Unmapped(self.id and f"{self.id}:unmapped", instants.get("occurred_at"), instants.get("sent_at"))
            events = [event for mapped in mapping if (event := self._mapped(mapped)) is not None]
        else:
            events = getattr(self, f"_{self.call}")()
        last = len(events) - 1
        return tuple(self._enveloped(n, last - n, event) for n, event in enumerate(events))

    def _enveloped(self, n: int, before_us: int, event: dict[str, Any]) -> EventJson:
        """The event with its id and instant: so many microseconds before the message's, for what it becomes happens in order.

        A deal that is created and won by one message has its contacts before it closes.
        """
        made = {"type": event["type"], **self._instants(before_us), **event}
        if self.id is not None:
            made["id"] = self.id if n == 0 else f"{self.id}:{n + 1}"
        return made

    def _instants(self, before_us: int = 0) -> dict[str, str]:
        """`occurred_at` and `sent_at`: what the rule **clock** takes. Without `sentAt` nothing lies after the receipt."""
        field = "originalTimestamp" if self.fields.get("originalTimestamp") is not None else "timestamp"
        value = self.fields.get(field)
        if value in (None, ""):
            # The receipt's instant, or so long before it by any clock: then what is sent again says the same.
            return {"occurred_at": to_rfc3339(0), "sent_at": to_rfc3339(before_us)} if before_us else {}
        occurred_us = _instant(value)
        if occurred_us is None:
            raise _Refused("bad_value", field, f"{str(value)[:100]!r} is not an instant of ISO 8601")
        sent_us = _instant(self.fields.get("sentAt"))
        if sent_us is None:
            return {"occurred_at": to_rfc3339(min(occurred_us, self.received_us) - before_us)}
        return {"occurred_at": to_rfc3339(min(occurred_us, sent_us) - before_us), "sent_at": to_rfc3339(sent_us)}

    # Where something stands in a message.

    def _at(self, *paths: str) -> str | None:
        """The first of some places that holds a text, a number or a truth value, as text."""
        for path in paths:
            found: Any = self.fields
            for part in path.split("."):
                found = found.get(part) if isinstance(found, dict) else None
            if (text := _text(found)) is not None:
                return text
        return None

    def _object(self, path: str) -> dict[str, Any]:
        found: Any = self.fields
        for part in path.split("."):
            found = found.get(part) if isinstance(found, dict) else None
        return found if isinstance(found, dict) else {}

    # Who it is about.

    @cached_property
    def user_id(self) -> str | None:
        """`userId`, unless it names nobody."""
        return _somebody(self._at("userId"))

    @cached_property
    def visitor_id(self) -> str | None:
        """`anonymousId`, else `userId`: a server may know its users alone."""
        return _somebody(self._at("anonymousId")) or self.user_id

    @cached_property
    def email(self) -> str | None:
        """The person's address, of the traits or where the `userId` is one."""
        for text in (
            self._at("traits.email") if self.call == "identify" else None,
            self._at("context.traits.email"),
            self.user_id,
        ):
            if (address := _address(text)) is not None:
                return address
        return None

    @cached_property
    def contact(self) -> dict[str, str] | None:
        """The contact as this key may name it; None if by nothing."""
        return self._named(self.user_id, self.email)

    def _named(self, contact_id: str | None, email: str | None) -> dict[str, str] | None:
        if contact_id is not None and email is not None and normalised_email(contact_id) == normalised_email(email):
            contact_id = None
        names = {"id": contact_id if self.key == "server" else None, "email": email}
        return {name: value for name, value in names.items() if value is not None} or None

    def _may_not(self, field: str) -> _Refused:
        return _Refused(
            "not_allowed_for_key",
            field,
            "a collect key names contacts by email alone: send `traits.email`, or use a server key",
        )

    # The calls.

    def _page(self) -> list[dict[str, Any]]:
        url = self._page_url()
        if url is None:
            raise _Refused(
                "missing_field",
                "properties.url",
                "a page call must name its page: `properties.url` or `context.page.url`",
            )
        return [self._visit(url)]

    def _screen(self) -> list[dict[str, Any]]:
        url = self._at("properties.url")
        if url is None:
            screen = self._at("name", "properties.name", "context.screen.name")
            if screen is None:
                raise _Refused("missing_field", "name", "a screen call names its screen")
            app = self._at("context.app.namespace", "context.app.name") or "app"
            url = f"app://{quote(app, safe='.-_')}/{quote(screen, safe='.-_/')}"
        return [self._visit(url)]

    def _visit(self, url: str) -> dict[str, Any]:
        if self.visitor_id is None:
            raise _Refused("missing_field", "anonymousId", "`anonymousId` or `userId` says whose visit it was")
        return {"type": "page_visited", **self._filled("page_visited"), "url": url}

    def _page_url(self) -> str | None:
        url = self._at("properties.url", "context.page.url", "properties.path", "context.page.path")
        search = self._at("properties.search", "context.page.search")
        if url is not None and search is not None and "?" not in url and len(search) > 1:
            before, hash_, fragment = url.partition("#")
            url = f"{before}?{search.removeprefix('?')}{hash_}{fragment}"
        return url

    def _identify(self) -> list[dict[str, Any]]:
        traits = self._object("traits") or self._object("context.traits")
        if self.contact is None:
            if self.user_id is not None:
                raise self._may_not("userId")
            return []  # traits of an unknown visitor: they say nothing of a contact
        identified = {"type": "contact_identified", "visitor_id": self.visitor_id, "contact": self.contact}
        if self.key == "collect":
            if self.visitor_id is None:
                raise _Refused("missing_field", "anonymousId", "`anonymousId` says which visitor the contact is")
            return [identified]
        properties = _properties(traits)
        updated = {"type": "contact_updated", "contact": self.contact} | (
            {"properties": properties} if properties else {}
        )
        if self.visitor_id is None:
            return [updated]
        return [identified, updated] if properties else [identified]

    def _alias(self) -> list[dict[str, Any]]:
        """`previousId` may be a visitor's or a contact's id: the message does not say which, so both become this contact's."""
        previous = self._at("previousId")
        if previous is None:
            raise _Refused("missing_field", "previousId", "an alias call must have a `previousId`")
        if self.user_id is None:
            raise _Refused("missing_field", "userId", "an alias call must have a `userId`")
        if self.key == "collect":
            raise self._may_not("userId")
        if previous == self.user_id:
            return []
        into = _contact_of(self.user_id)
        return [
            {"type": "contact_identified", "visitor_id": previous, "contact": into},
            {"type": "contact_merged", "contact": _contact_of(previous), "into": into},
        ]

    def _group(self) -> list[dict[str, Any]]:
        group = self._at("groupId")
        if group is None:
            raise _Refused("missing_field", "groupId", "a group call must have a `groupId`")
        if self.user_id is None:
            return []  # a company's own traits, or an unknown visitor's: they say nothing of a contact
        if self.key == "collect":
            raise self._may_not("userId")
        properties = {"group_id": group, "company": self._at("traits.name") or group}
        return [{"type": "contact_updated", "contact": self.contact, "properties": properties}]

    # What a table says, and what is filled in beside it.

    def _mapped(self, mapped: MappedEvent) -> dict[str, Any] | None:
        kind, fields = mapped.type, fields_of(mapped, self.fields)
        own = fields.get("contact")
        filled = self._filled(kind)
        if isinstance(own, dict):
            contact = self._named(_somebody(own.get("id")) or self.user_id, _address(own.get("email")) or self.email)
            fields = (
                {**fields, "contact": contact}
                if contact
                else {name: value for name, value in fields.items() if name != "contact"}
            )
        event = {name: value for name, value in {"type": kind, **filled, **fields}.items() if value is not None}
        if self.key == "collect" and kind in ("contact_created", "contact_updated"):
            if "contact" not in event and self.user_id is not None:
                raise self._may_not("userId")
            event = {"type": "contact_identified", "visitor_id": self.visitor_id, "contact": event.get("contact")}
        if self.key == "collect" and event["type"] not in COLLECT_TYPES:
            raise _Refused(
                "not_allowed_for_key", "event", f"it becomes {kind}, which a collect key may not send: use a server key"
            )
        return {name: value for name, value in event.items() if value is not None}

    def _filled(self, kind: str) -> dict[str, Any]:
        """What the message says of fields that the type has, whatever the table says of others."""
        campaign = {
            "utm_campaign": "name",
            "utm_source": "source",
            "utm_medium": "medium",
            "utm_term": "term",
            "utm_content": "content",
        }
        known: dict[str, Any] = {
            "visitor_id": self.visitor_id,
            "contact": self.contact,
            "contacts": None if self.contact is None else [self.contact],
            "url": _cut(self._page_url(), URL_CHARACTERS_MAX) if kind not in _OF_NO_PAGE else None,
            "referrer": _cut(self._at("properties.referrer", "context.page.referrer"), URL_CHARACTERS_MAX),
            "title": _cut(self._at("properties.title", "context.page.title", "name"), TEXT_CHARACTERS_MAX),
            "user_agent": _cut(self._at("context.userAgent"), TEXT_CHARACTERS_MAX),
            "machine": True if self._at("context.isBot", "context.bot") == "true" else None,
            **{
                field: _cut(self._at(f"context.campaign.{name}"), TEXT_CHARACTERS_MAX)
                for field, name in campaign.items()
            },
        }
        fields = EVENT_TYPES[kind].__struct_fields__
        return {name: value for name, value in known.items() if value is not None and name in fields}


_OF_NO_PAGE = frozenset(name for name, one in REGISTRY.items() if one.url == "target")
"""Types whose `url` is a link's, or an asset's own: not the page on which it happened."""


def _contact_of(name: str) -> dict[str, str]:
    """A contact by the one identifier that an alias names."""
    return {"email": name} if _address(name) else {"id": name}


def _text(value: Any) -> str | None:
    """A text, number or truth value as text; None if there is none, or it is blank."""
    if isinstance(value, (str, bool, int, float, Decimal)):
        return plain(value).strip() or None
    return None


def _somebody(name: str | None) -> str | None:
    return None if name is None or names_nobody(name) else name


def _address(text: str | None) -> str | None:
    """An e-mail address that can be somebody's; None if it is none."""
    if text is None or not is_plausible(email := normalised_email(text)) or names_nobody(email):
        return None
    return text


def _cut(text: str | None, characters_max: int) -> str | None:
    return None if text is None else text[:characters_max]


def _properties(traits: Mapping[str, Any]) -> dict[str, str | None]:
    """A contact's properties: traits as text, those within an object as `address.city`. Lists are left out, and the email."""
    texts: dict[str, str | None] = {}
    for name, value in traits.items():
        within = (
            {f"{name}.{inner}": each for inner, each in value.items()} if isinstance(value, dict) else {name: value}
        )
        for path, each in within.items():
            if path != "email" and (each is None or isinstance(each, (str, bool, int, float, Decimal))):
                texts[path] = None if each is None else plain(each)
    return texts


def _instant(value: object) -> int | None:
    """Microseconds of an instant: ISO 8601, in UTC where it has no zone; or a number of seconds or milliseconds. None if it is none."""
    try:
        if isinstance(value, str) and not (value.strip().isdecimal() and len(value.strip()) > 8):
            at = dt.datetime.fromisoformat(value.strip())
            at_us = to_micros(at if at.tzinfo else at.replace(tzinfo=dt.UTC))
        elif (
            isinstance(value, (str, int, Decimal))
            and not isinstance(value, bool)
            and abs(number := Decimal(value)) < NUMBER_MAX
        ):
            at_us = int(number * (1_000 if abs(number) >= MILLISECONDS_FROM else 1_000_000))
        else:
            return None
        from_micros(at_us - MINUTE_US)  # with some room within the years that an instant can have
    except (ValueError, ArithmeticError):
        return None
    return at_us
