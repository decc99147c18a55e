"""What of an event is a person's, and what does the log hold in its place? Pure: the vault is asked before and after.

Identifiers become pseudonyms. Values of a contact's properties are sealed under the contact's key. Of URLs the values of the query
become keyed digests, apart from campaign parameters and click ids; a referrer keeps its host alone; a title becomes a keyed digest. What URLs,
referrer and title said is sealed beside the event, under the key of the person that it names.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from shared.events.emails import normalised_email, normalised_host
from shared.rules.contact import SALESFORCE_PROPERTY
from shared.rules.referrer import reduced
from shared.sealing.addresses import values_in
from shared.sealing.keys import PersonKey
from shared.sealing.names import PSEUDONYM, SEALED_TEXT, Name
from shared.sealing.vault import Person

KEPT_PROPERTIES = frozenset({SALESFORCE_PROPERTY})  # rule **contact** compares it with the ids of campaigns
TEXTS = ("url", "target_url", "referrer", "title")
OF_WORKSPACE = Name("w", "")
PROPERTY, BESIDE = "property", "event"  # what is sealed: a value of a property, or what stands beside an event

_ALREADY = PSEUDONYM


def contacts_of(event: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The contact objects of an event."""
    if (told := event.get("contact")) is not None:
        yield told
    if (told := event.get("into")) is not None:
        yield told
    if told := event.get("contacts"):
        yield from told


def identifiers_of(contact: Mapping[str, Any]) -> Iterator[tuple[str, Name]]:
    """The fields of a contact object that are still plain, each with the name that it holds."""
    if (told := contact.get("id")) is not None and not _ALREADY.fullmatch(told):
        yield "id", Name("c", told)
    if (told := contact.get("email")) is not None and not _ALREADY.fullmatch(told):
        yield "email", Name("e", normalised_email(told))


def domains_of(event: Mapping[str, Any]) -> list[str]:
    """The domains of the workspace's own people that an event tells, as the rule compares them."""
    if "settings" not in event:
        return []
    told = event["settings"].get("internal_domains") or ()
    return [
        domain if _ALREADY.fullmatch(domain) else normalised_host(domain.strip().removeprefix("@")) for domain in told
    ]


def names_in(event: Mapping[str, Any]) -> Iterator[Name]:
    """Every name that the vault must know before an event can be sealed."""
    visitor = event.get("visitor_id")
    if visitor is not None and not _ALREADY.fullmatch(visitor):
        yield Name("v", visitor)
    for contact in contacts_of(event):
        for _, name in identifiers_of(contact):
            yield name
    if "settings" in event:
        yield from (Name("d", domain) for domain in domains_of(event) if not _ALREADY.fullmatch(domain))
    if event["type"] == "asset_registered":
        yield from (Name("q", value) for field in ("url", "target_url") for value in values_in(event.get(field) or ""))
    if any(event.get(field) for field in TEXTS):
        yield OF_WORKSPACE


@dataclass(frozen=True, slots=True)
class Sealing:
    """What an event is sealed with: its persons by name, the digest that stands for a text, and what stands for a URL."""

    persons: Mapping[Name, Person]
    value: Callable[[str], str]
    url: Callable[[str], str]


def sealed(event: dict[str, Any], sealing: Sealing) -> dict[str, str] | None:
    """Seal an event in place. Returns what is kept beside it: `by`, who sealed it, and `sealed`; None if there is nothing."""
    person = _person(event, sealing)
    for contact in contacts_of(event):
        for field, name in list(identifiers_of(contact)):
            contact[field] = sealing.persons[name].pseudonym
    if (visitor := event.get("visitor_id")) is not None and not _ALREADY.fullmatch(visitor):
        event["visitor_id"] = sealing.persons[Name("v", visitor)].pseudonym
    if event.get("properties"):
        event["properties"] = {
            name: _sealed_property(name, value, person, sealing) for name, value in event["properties"].items()
        }
    if domains := domains_of(event):
        event["settings"]["internal_domains"] = [
            domain if _ALREADY.fullmatch(domain) else sealing.persons[Name("d", domain)].pseudonym for domain in domains
        ]
    return _texts(event, person or sealing.persons.get(OF_WORKSPACE), sealing)


def _person(event: Mapping[str, Any], sealing: Sealing) -> Person | None:
    """Under whose key an event's texts are sealed: the contact's that it names first, else the visitor's; None: nobody's."""
    for contact in contacts_of(event):
        for _, name in identifiers_of(contact):
            return sealing.persons[name]
    visitor = event.get("visitor_id")
    return None if visitor is None else sealing.persons.get(Name("v", visitor))


def _sealed_property(name: str, value: str | None, person: Person | None, sealing: Sealing) -> str | None:
    if not value or name in KEPT_PROPERTIES or SEALED_TEXT.fullmatch(value):
        return value
    if person is None:  # the contact is forgotten, or of another store
        return sealing.value(value)
    return f"~s{person.pseudonym.removeprefix('~')}:{person.key.seal(value.encode(), PROPERTY)}"


def _texts(event: dict[str, Any], person: Person | None, sealing: Sealing) -> dict[str, str] | None:
    """Replace what URLs, referrer and title say of a person; what they said is sealed under the person's key."""
    said = {}
    for field in TEXTS:
        if not (told := event.get(field)):
            continue
        if field == "referrer":
            short = reduced(told)
        elif field == "title":
            short = told if _ALREADY.fullmatch(told) else sealing.value(told)
        else:
            short = sealing.url(told)
        if short != told:
            said[field], event[field] = told, short
    if not said or person is None or event["type"] == "asset_registered":
        return None
    return {"by": person.pseudonym, "sealed": person.key.seal(orjson.dumps(said), BESIDE)}


def opened(beside: Mapping[str, str], key: PersonKey) -> dict[str, str]:
    """What was sealed beside an event, by field; empty if the key is not the one."""
    told = key.open(beside["sealed"], BESIDE)
    return {} if told is None else orjson.loads(told)
