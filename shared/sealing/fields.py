"""Which fields of an event are personal, and what does the log hold in their place? Pure: the caller looks pseudonyms up before.

Identifiers become pseudonyms. Values of a contact's properties are sealed (encrypted) with the contact's key. In URLs, the values of the
query become keyed digests, except campaign parameters and click ids, and so does a fragment that is no route. A referrer keeps only its
host. A title becomes a keyed digest. The original URLs, referrer and title are sealed beside the event, with the key of the person that it names.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import msgspec

from shared.events.emails import normalised_email, normalised_host
from shared.rules.contact import SALESFORCE_PROPERTY
from shared.rules.referrer import reduced
from shared.sealing.keys import PersonKey
from shared.sealing.names import PSEUDONYM, SEALED_TEXT, Name
from shared.sealing.urls import may_have_values, values_in
from shared.sealing.vault import Person

KEPT_PROPERTIES = frozenset({SALESFORCE_PROPERTY})  # rule **contact** compares it with the ids of campaigns
TEXTS = ("url", "target_url", "referrer", "title")
OF_WORKSPACE = Name("w", "")
PROPERTY, BESIDE = "property", "event"  # what is sealed: a value of a property, or what stands beside an event
SETTINGS = b'"settings"'
REGISTERED = (
    "asset_registered"  # the values of its URLs are the workspace's own: the vault has them, so that they can be shown
)

_encode = msgspec.json.Encoder().encode
_decode_texts = msgspec.json.Decoder(dict[str, str]).decode


class NamedContact(msgspec.Struct, omit_defaults=True, gc=False):
    """A contact as an event names it."""

    id: str | None = None
    email: str | None = None


class PersonalSettings(msgspec.Struct, gc=False):
    """The settings that name somebody."""

    internal_domains: list[str] | None = None


class PersonalFields(msgspec.Struct, gc=False):
    """The fields of an event that may be personal; the others are not decoded."""

    type: str
    visitor_id: str | None = None
    contact: NamedContact | None = None
    into: NamedContact | None = None
    contacts: list[NamedContact] | None = None
    properties: dict[str, str | None] | None = None
    url: str | None = None
    target_url: str | None = None
    referrer: str | None = None
    title: str | None = None
    settings: PersonalSettings | None = None


class Sealing(NamedTuple):
    """What events of a workspace are sealed with: the persons that are known, the digest that stands for a text, and what stands for a URL."""

    persons: Mapping[Name, Person]
    value: Callable[[str], str]
    url: Callable[[str], str]


Change = tuple[bytes, bytes, bytes]
"""The name of a field of an event, and its value as it was sent and as it is stored; each as JSON."""


class Sealed(msgspec.Struct, gc=False):
    """What the log holds of an event: which of its fields change.

    `beside` is what is kept beside the event: `by`, who sealed it, and `sealed`, what its shortened texts said; None if there is nothing.
    Of `settings`, only the setting `internal_domains` changes.
    """

    changes: list[Change]
    beside: dict[str, str] | None


def sealed(fields: PersonalFields, sealing: Sealing) -> Sealed | None:
    """Seal an event; None if nothing changes: it names nobody, or it is sealed already.

    Its texts are sealed under the key of the first person that it names, contacts before the visitor, else under the workspace's.
    """
    persons, value, url = sealing
    changes: list[Change] = []
    by: Person | None = None
    if (contact := fields.contact) is not None:
        by = _seal_contact(b'"contact"', contact, persons, changes)
    if (contact := fields.into) is not None:
        into = _seal_contact(b'"into"', contact, persons, changes)
        by = by or into
    if fields.contacts:
        by = _seal_contacts(fields.contacts, persons, changes)
    if (visitor := fields.visitor_id) is not None and not (visitor.startswith("~") and _is_pseudonym(visitor)):
        person = persons["v", visitor]  # type: ignore[index]  # a plain tuple is equal to a `Name`, and made in less time
        changes.append((b'"visitor_id"', _encode(visitor), _encode(person.pseudonym)))
        by = by or person
    if fields.properties:
        _seal_properties(fields.properties, by, value, changes)
    if (settings := fields.settings) is not None and settings.internal_domains:
        _seal_settings(settings, persons, changes)
    short: dict[str, str] | None = None
    text: str | None
    if (text := fields.url) is not None and may_have_values(text) and (stored := url(text)) != text:
        changes.append((b'"url"', _encode(text), _encode(stored)))
        short = {"url": text}
    if (text := fields.target_url) is not None and (stored := url(text)) != text:
        changes.append((b'"target_url"', _encode(text), _encode(stored)))
        short = {**(short or {}), "target_url": text}
    if (text := fields.referrer) and (stored := reduced(text)) != text:
        changes.append((b'"referrer"', _encode(text), _encode(stored)))
        short = {**(short or {}), "referrer": text}
    if (text := fields.title) and not _is_pseudonym(text):
        changes.append((b'"title"', _encode(text), _encode(value(text))))
        short = {**(short or {}), "title": text}
    if short is None:
        return Sealed(changes, None) if changes else None
    if fields.type == REGISTERED:
        for name in _values_of(fields):
            persons[name]
    by = by or persons[OF_WORKSPACE]
    return Sealed(changes, {"by": by.pseudonym, "sealed": by.key.seal(_encode(short), BESIDE)})


def names_of(fields: PersonalFields) -> list[Name]:
    """The names of the contact that an event is about; what is a pseudonym already is left out."""
    found: list[Name] = []
    if (contact := fields.contact) is not None:
        if contact.id is not None and not _is_pseudonym(contact.id):
            found.append(Name("c", contact.id))
        if contact.email is not None and not _is_pseudonym(contact.email):
            found.append(Name("e", normalised_email(contact.email)))
    return found


def _is_pseudonym(text: str) -> bool:
    return text.startswith("~") and PSEUDONYM.fullmatch(text) is not None


def _seal_contact(
    field: bytes, contact: NamedContact, persons: Mapping[Name, Person], changes: list[Change]
) -> Person | None:
    """Add what changes of a contact; returns its first name's person, None if it has pseudonyms already."""
    stored, by = _sealed_contact(contact, persons)
    if by is not None:
        changes.append((field, _encode(contact), _encode(stored)))
    return by


def _seal_contacts(
    contacts: list[NamedContact], persons: Mapping[Name, Person], changes: list[Change]
) -> Person | None:
    all_stored = [_sealed_contact(contact, persons) for contact in contacts]
    by = next((by for _, by in all_stored if by is not None), None)
    if by is not None:
        changes.append((b'"contacts"', _encode(contacts), _encode([stored for stored, _ in all_stored])))
    return by


def _sealed_contact(contact: NamedContact, persons: Mapping[Name, Person]) -> tuple[NamedContact, Person | None]:
    """A contact by its pseudonyms, and the person of its first name."""
    contact_id, email = contact.id, contact.email
    by = None
    if contact_id is not None and not _is_pseudonym(contact_id):
        by = persons["c", contact_id]  # type: ignore[index]
        contact_id = by.pseudonym
    if email is not None and not _is_pseudonym(email):
        person = persons["e", normalised_email(email)]  # type: ignore[index]
        email, by = person.pseudonym, by or person
    return NamedContact(contact_id, email), by


def _seal_properties(
    properties: dict[str, str | None],
    by: Person | None,
    digest: Callable[[str], str],
    changes: list[Change],
) -> None:
    stored = {name: _sealed_property(name, value, by, digest) for name, value in properties.items()}
    if stored != properties:
        changes.append((b'"properties"', _encode(properties), _encode(stored)))


def _sealed_property(name: str, value: str | None, by: Person | None, digest: Callable[[str], str]) -> str | None:
    if not value or name in KEPT_PROPERTIES or SEALED_TEXT.fullmatch(value):
        return value
    if by is None:  # the contact is forgotten, or of another store
        return digest(value)
    return f"~s{by.pseudonym.removeprefix('~')}:{by.key.seal(value.encode(), PROPERTY)}"


def _seal_settings(settings: PersonalSettings, persons: Mapping[Name, Person], changes: list[Change]) -> None:
    stored = [d if PSEUDONYM.fullmatch(d) else persons[Name("d", d)].pseudonym for d in _domains_of(settings)]
    if stored != settings.internal_domains:
        changes.append((SETTINGS, _encode(settings.internal_domains), _encode(stored)))


def _values_of(fields: PersonalFields) -> list[Name]:
    """The values that digests stand for in the URLs of a registered asset, so that its URL can be shown."""
    return [Name("q", value) for url in (fields.url, fields.target_url) for value in values_in(url or "")]


def _domains_of(settings: PersonalSettings) -> list[str]:
    """The domains of the workspace's own people, as the rule compares them."""
    return [
        domain if PSEUDONYM.fullmatch(domain) else normalised_host(domain.strip().removeprefix("@"))
        for domain in settings.internal_domains or ()
    ]


def opened(beside: Mapping[str, str], key: PersonKey) -> dict[str, str]:
    """What was sealed beside an event, by field; empty if the key is not the one."""
    content = key.open(beside["sealed"], BESIDE)
    return {} if content is None else _decode_texts(content)
