"""What is the key of this name? Rows refer to persons, assets and values by a signed 64-bit digest of their name.

Each kind has its own keys: a contact `x` and an asset `x` have different keys.
"""

from functools import lru_cache
from hashlib import blake2b

from shared.events.emails import normalised_email
from shared.events.types import Contact

CACHED_NAMES = 65_536  # about 10 MB; an hour's visitors, assets and pages of a busy workspace


def _key(kind: bytes, name: str) -> int:
    return int.from_bytes(blake2b(name.encode(), digest_size=8, person=kind).digest(), "little", signed=True)


@lru_cache(CACHED_NAMES)
def visitor_key(visitor_id: str) -> int:
    """Of a visitor."""
    return _key(b"visitor", visitor_id)


@lru_cache(CACHED_NAMES)
def asset_key(asset_id: str) -> int:
    """Of an asset, whether it was touched or led to the touch."""
    return _key(b"asset", asset_id)


@lru_cache(CACHED_NAMES)
def page_key(address: str) -> int:
    """Of a page's normalised address."""
    return _key(b"page", address)


@lru_cache(CACHED_NAMES)
def link_key(link: tuple[str, ...]) -> int:
    """Of a link: the address that it leads to, and its five utm values."""
    return _key(b"link", "\x1f".join(link))


@lru_cache(CACHED_NAMES)
def utm_key(value: str) -> int:
    """Of a normalised `utm_campaign` value."""
    return _key(b"utm", value)


@lru_cache(CACHED_NAMES)
def agent_key(user_agent: str) -> int:
    """Of a user agent."""
    return _key(b"agent", user_agent)


@lru_cache(CACHED_NAMES)
def source_key(source: tuple[str, ...]) -> int:
    """Of a session's source."""
    return _key(b"source", "\x1f".join(source))


def session_key(event_id: str) -> int:
    """Of the session that begins with this event."""
    return _key(b"session", event_id)


def campaign_key(campaign_id: str) -> int:
    """Of a campaign."""
    return _key(b"campaign", campaign_id)


def deal_key(deal_id: str) -> int:
    """Of a deal."""
    return _key(b"deal", deal_id)


def unmapped_key(producer: str, name: str) -> int:
    """Of unmapped messages of a producer, by their name."""
    return _key(b"unmapped", f"{producer}\x1f{name}")


def event_key(event_id: str) -> bytes:
    """Of an event id, in 128 bits: it decides whether an event is new, so it must not collide."""
    return blake2b(event_id.encode(), digest_size=16).digest()


class Identifier(tuple[bool, str]):
    """One name of a contact: (is it an email, the normalised text)."""

    __slots__ = ()

    @property
    def is_email(self) -> bool:
        """Whether it is an email address."""
        return self[0]

    @property
    def text(self) -> str:
        """The id as sent, or the email as `normalised_email` gives it."""
        return self[1]

    @property
    def key(self) -> int:
        """Its 64-bit key."""
        return _identifier_key(self[0], self[1])


@lru_cache(CACHED_NAMES)
def _identifier_key(is_email: bool, text: str) -> int:
    return _key(b"email" if is_email else b"contact", text)


@lru_cache(CACHED_NAMES)
def identifiers(contact: Contact) -> tuple[Identifier, ...]:
    """The identifiers that a contact object names; the `id`, if any, comes first (rule **contact**)."""
    named = []
    if contact.id is not None:
        named.append(Identifier((False, contact.id)))
    if contact.email is not None:
        named.append(Identifier((True, normalised_email(contact.email))))
    return tuple(named)


def answers() -> tuple[object, ...]:
    """The result of every function of this file for fixed names. Stored rows hold such keys, so it is part of their shape."""
    text = "Blå c++"
    named = identifiers(Contact(id=text, email=" Kari@Example.no"))
    return (
        visitor_key(text), asset_key(text), page_key(text), link_key((text, "b")), utm_key(text), agent_key(text),
        source_key((text, "b")), session_key(text), campaign_key(text), deal_key(text), unmapped_key(text, "b"),
        event_key(text).hex(), *((each.is_email, each.text, each.key) for each in named),
    )  # fmt: skip
