"""What of an event is a person's, and what does the log hold in its place? Pure: the vault is asked before and after.

Identifiers become pseudonyms. Values of a contact's properties are sealed under the contact's key. Of URLs the values of the query
become keyed digests, apart from campaign parameters and click ids, and so does a fragment that is no route; a referrer keeps its host alone; a title becomes a keyed digest. What URLs,
referrer and title said is sealed beside the event, under the key of the person that it names.
"""

from collections.abc import Callable, Mapping, Sequence
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
URLS = ("url", "target_url")
TEXTS = (*URLS, "referrer", "title")
OF_WORKSPACE = Name("w", "")
PROPERTY, BESIDE = "property", "event"  # what is sealed: a value of a property, or what stands beside an event

Place = tuple[dict[str, Any], str, Name]
"""Where an event names somebody: the object, its field, and the name."""


def _is_pseudonym(text: str) -> bool:
    return text.startswith("~") and PSEUDONYM.fullmatch(text) is not None


def places_in(event: dict[str, Any]) -> list[Place]:
    """Where an event names persons, contacts before the visitor; what is a pseudonym already is left out."""
    found: list[Place] = []
    if (told := event.get("contact")) is not None:
        _add_contact(told, found)
    if (told := event.get("into")) is not None:
        _add_contact(told, found)
    if told := event.get("contacts"):
        for contact in told:
            _add_contact(contact, found)
    if (visitor := event.get("visitor_id")) is not None and not _is_pseudonym(visitor):
        found.append((event, "visitor_id", Name("v", visitor)))
    return found


def _add_contact(contact: dict[str, Any], found: list[Place]) -> None:
    if (told := contact.get("id")) is not None and not _is_pseudonym(told):
        found.append((contact, "id", Name("c", told)))
    if (told := contact.get("email")) is not None and not _is_pseudonym(told):
        found.append((contact, "email", Name("e", normalised_email(told))))


def domains_of(event: Mapping[str, Any]) -> list[str]:
    """The domains of the workspace's own people that an event tells, as the rule compares them."""
    told = event["settings"].get("internal_domains") or ()
    return [
        domain if PSEUDONYM.fullmatch(domain) else normalised_host(domain.strip().removeprefix("@")) for domain in told
    ]


def other_names_in(event: Mapping[str, Any]) -> list[Name]:
    """What the vault must know beside the persons that an event names, before it can be sealed."""
    found: list[Name] = []
    if "settings" in event:
        found += [Name("d", domain) for domain in domains_of(event) if not PSEUDONYM.fullmatch(domain)]
    if event["type"] == "asset_registered":
        found += [Name("q", value) for field in ("url", "target_url") for value in values_in(event.get(field) or "")]
    if event.get("url") or event.get("target_url") or event.get("referrer") or event.get("title"):
        found.append(OF_WORKSPACE)
    return found


@dataclass(frozen=True, slots=True)
class Sealing:
    """What an event is sealed with: its persons by name, the digest that stands for a text, and what stands for a URL."""

    persons: Mapping[Name, Person]
    value: Callable[[str], str]
    url: Callable[[str], str]


def sealed(event: dict[str, Any], places: Sequence[Place], sealing: Sealing) -> dict[str, str] | None:
    """Seal an event in place. Returns what is kept beside it: `by`, who sealed it, and `sealed`; None if there is nothing.

    Its texts are sealed under the key of the first person at `places`, which are those of `places_in`.
    """
    persons = sealing.persons
    person = persons[places[0][2]] if places else None
    for holder, field, name in places:
        holder[field] = persons[name].pseudonym
    if properties := event.get("properties"):
        event["properties"] = {
            name: _sealed_property(name, value, person, sealing) for name, value in properties.items()
        }
    if "settings" in event and (domains := domains_of(event)):
        event["settings"]["internal_domains"] = [
            domain if PSEUDONYM.fullmatch(domain) else persons[Name("d", domain)].pseudonym for domain in domains
        ]
    said = _shortened(event, sealing)
    if not said or event["type"] == "asset_registered":
        return None
    by = person or persons[OF_WORKSPACE]
    return {"by": by.pseudonym, "sealed": by.key.seal(orjson.dumps(said), BESIDE)}


def _sealed_property(name: str, value: str | None, person: Person | None, sealing: Sealing) -> str | None:
    if not value or name in KEPT_PROPERTIES or SEALED_TEXT.fullmatch(value):
        return value
    if person is None:  # the contact is forgotten, or of another store
        return sealing.value(value)
    return f"~s{person.pseudonym.removeprefix('~')}:{person.key.seal(value.encode(), PROPERTY)}"


def _shortened(event: dict[str, Any], sealing: Sealing) -> dict[str, str]:
    """Replace what URLs, referrer and title say of a person; returns what they said, by field."""
    said = {}
    for field in URLS:
        if (told := event.get(field)) and (short := sealing.url(told)) != told:
            said[field], event[field] = told, short
    if (told := event.get("referrer")) and (short := reduced(told)) != told:
        said["referrer"], event["referrer"] = told, short
    if (told := event.get("title")) and not _is_pseudonym(told):
        said["title"], event["title"] = told, sealing.value(told)
    return said


def opened(beside: Mapping[str, str], key: PersonKey) -> dict[str, str]:
    """What was sealed beside an event, by field; empty if the key is not the one."""
    told = key.open(beside["sealed"], BESIDE)
    return {} if told is None else orjson.loads(told)
