"""What is sealed of an event, and what answers make of it: without a database."""

import asyncio
import base64
import hashlib
import json
import os
import re
from collections.abc import Callable, Collection
from typing import Any

import pytest

from shared.events.codec import Record, decode_record
from shared.rules.referrer import reduced, source_host
from shared.sealing.fields import Sealing, sealed
from shared.sealing.forget import words
from shared.sealing.keys import BadMasterKey, MasterKey, PersonKey, new_pseudonym, written
from shared.sealing.names import ANY, PSEUDONYM, Name
from shared.sealing.record import RecordByField, personal_fields_of, with_changes
from shared.sealing.reveal import pseudonyms_in, replaced, revealed_csv, revealed_json
from shared.sealing.urls import values_in, without_values
from shared.sealing.vault import KnownPersons, Person

SEED = bytes(16)


class OneContact:
    """A vault that knows one contact."""

    def __init__(self, pseudonym: str, name: str) -> None:
        self.name_of = {pseudonym: (name, PersonKey(SEED))}

    async def names(self, _: str, pseudonyms: Collection[str]) -> dict[str, Any]:
        return {p: self.name_of[p] for p in pseudonyms if p in self.name_of}


def digest_of(text: str) -> str:
    return f"~q{written(hashlib.sha256(text.encode()).digest()[:15])}"


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://a.example/p?utm_campaign=x&gclid=1&tl_via=b", "https://a.example/p?utm_campaign=x&gclid=1&tl_via=b"),
        ("https://a.example/p?email=k%40x.no&utm_source=y", "https://a.example/p?email=<k@x.no>&utm_source=y"),
        ("https://a.example/p?a=b;utm_medium=z#/r?q=s", "https://a.example/p?a=<b>;utm_medium=z#/r?q=<s>"),
        ("https://a.example/p?empty=&blank=%20", "https://a.example/p?empty=&blank=%20"),
        ("https://a.example/p#kari%20nordmann", "https://a.example/p#<kari nordmann>"),
        ("https://a.example/p#!/route/1", "https://a.example/p#!/route/1"),
        ("https://a.example/p#:~:text=Kari", "https://a.example/p#:~:text=<Kari>"),
        ("https://a.example/p#utm_campaign=x&who=k", "https://a.example/p#utm_campaign=x&who=<k>"),
        ("https://a.example/p?kari%40x.no", "https://a.example/p?<kari@x.no>"),
        ("https://a.example/p?a=b&kari+x&&c=d;kari", "https://a.example/p?a=<b>&<kari+x>&&c=<d>;<kari>"),
        (
            "https://a.example/p?utm_source=a;b&utm_medium=c;d=e;f",
            "https://a.example/p?utm_source=a;b&utm_medium=c;d=<e>;<f>",
        ),
        ("https://a.example/p#/r?kari&x=1", "https://a.example/p#/r?<kari>&x=<1>"),
        ("https://a.example/p#token&kari;x", "https://a.example/p#<token>&<kari>;<x>"),
        ("https://kari:s%40crt@a.example:81/@kari?x@y", "https://<kari:s@crt>@a.example:81/@kari?<x@y>"),
        ("//kari@a.example", "//<kari>@a.example"),
        ("mailto:kari@a.example", "<mailto:kari>@a.example"),
        ("kari:x@a.example/p?", "<kari:x>@a.example/p?"),
        ("/p/@kari", "/p/@kari"),
        ("https://a.example/~q" + "a" * 24 + "@x", "https://a.example/~q" + "a" * 24 + "@x"),
        ("https://a.example/p?~q" + "a" * 24, "https://a.example/p?~q" + "a" * 24),
    ],
)
def test_what_no_rule_reads_of_query_and_fragment_leaves_a_url(url: str, kept: str) -> None:
    assert without_values(url, lambda text: f"<{text}>") == kept
    assert sorted(values_in(url)) == sorted(re.findall("<([^>]*)>", kept))
    stored = without_values(url, digest_of)
    assert without_values(stored, digest_of) == stored  # what is sealed stays as it is


@pytest.mark.parametrize(
    ("referrer", "short"),
    [
        ("https://www.google.com/search?q=kari", "https://www.google.com/"),
        ("https://kari:secret@facebook.com/kari?x=1#y", "https://facebook.com/"),
        ("https://www.google.com/amp/s/blog.example.com/x?y=1", "https://www.google.com/amp/s/blog.example.com/x"),
        ("https://translate.google.com/translate?u=https://blog.example.com/k", "https://translate.google.com/?u=https://blog.example.com/"),
        ("android-app://com.linkedin.android/kari", "android-app://com.linkedin.android"),
        ("kari was here", ""),
    ],
)  # fmt: skip
def test_a_referrer_is_reduced_to_what_the_rule_reads(referrer: str, short: str) -> None:
    assert reduced(referrer) == short
    assert source_host("shop.example.com", short) == source_host("shop.example.com", referrer)
    assert source_host("blog.example.com", short) == source_host("blog.example.com", referrer)


def test_a_sealed_text_is_opened_by_its_key_and_label_alone() -> None:
    key = PersonKey(SEED)
    sealed = key.seal("Tromsø".encode(), "property")
    assert sealed == PersonKey(SEED).seal("Tromsø".encode(), "property")
    assert key.open(sealed, "property") == "Tromsø".encode()
    assert key.open(sealed, "event") is None
    assert PersonKey(os.urandom(16)).open(sealed, "property") is None
    assert key.open("A", "property") is None


def test_a_wrapped_name_is_bound_to_its_pseudonym() -> None:
    master = MasterKey(os.urandom(32))
    sealed = master.wrap(SEED, "kari@example.no", "w\0~e1")
    assert master.unwrap(sealed, "w\0~e1") == (SEED, "kari@example.no")
    with pytest.raises(BadMasterKey):
        master.unwrap(sealed, "w\0~e2")


def test_digests_differ_by_workspace_and_kind() -> None:
    master = MasterKey(os.urandom(32))
    assert len({master.digest(ws, kind, "x") for ws in ("a", "b") for kind in ("c", "v")}) == 4


def test_json_names_people_with_its_escapes() -> None:
    pseudonym = f"~c{new_pseudonym()}"
    vault: Any = OneContact(pseudonym, 'Kari "K" Ø')
    result = PersonKey(SEED).seal(b"in\n2", "property")
    sealed = f"~s{pseudonym[1:]}:{result}"
    body = f'{{"contact":"{pseudonym}","city":"{sealed}"}}'.encode()
    assert asyncio.run(revealed_json(vault, "w", body)) == '{"contact":"Kari \\"K\\" Ø","city":"in\\n2"}'.encode()


def test_a_table_names_people_with_its_quotes() -> None:
    pseudonym = f"~c{new_pseudonym()}"
    vault: Any = OneContact(pseudonym, 'Nordmann, "Kari"')
    result = asyncio.run(revealed_csv(vault, "w", f"contact,n\r\n{pseudonym},1\r\n".encode()))
    assert result == b'contact,n\r\n"Nordmann, ""Kari""",1\r\n'


def test_what_was_sealed_for_a_forgotten_contact_is_said_to_be_forgotten() -> None:
    text = f"~sc{new_pseudonym()}:{PersonKey(SEED).seal(b'x', 'property')}"
    assert replaced(text, {}, str) == "(forgotten)"


def test_pseudonyms_are_found_in_texts() -> None:
    digest = MasterKey(SEED * 2).digest("w", "d", "example.no")
    email = f"~e{new_pseudonym()}@{digest}.sealed"
    assert PSEUDONYM.fullmatch(email)
    assert pseudonyms_in([f"says {email}, and ~c{'a' * 24}."]) == {email, f"~c{'a' * 24}"}
    assert ANY.search("kari@example.no ~note ~c1") is None


def test_dead_letters_are_searched_for_whole_words() -> None:
    naming = words({"7", "Kari@Example.no"})
    assert naming.search('{"id":"7"}')
    assert naming.search("from kari@example.no.")
    assert not naming.search('{"id":"17","at":"2024-07-01","n":7.5,"e":"okari@example.no"}'.replace("7.5", "75"))


HEAD = '{"v":1,"key":"server","received_at":1767000000000000,"event":'
EVENTS = {"type": "form_submitted", "id": "form-kari-1", "visitor_id": "v-kari", "asset_id": "f", "contact": {"id": "7", "email": "Kari@nordmann.example"},
        "occurred_at": "2024-02-01T10:05:00Z"}  # fmt: skip
PAGE = {"type": "page_visited", "id": "p-1", "visitor_id": "v-kari", "url": "https://a.example/?who=kari&gclid=1",
        "referrer": "https://f.example/kari?x", "title": "Hello Kari", "occurred_at": "2024-02-01T10:05:00Z"}  # fmt: skip


def pseudonym_of(name: Name) -> str:
    """The same pseudonym for a name each time, unlike those of the vault."""
    letters = hashlib.sha256(repr(name).encode()).hexdigest()[:24].translate(str.maketrans("0189", "ghij"))
    return f"~e{letters}@{'a' * 24}.sealed" if name.kind == "e" else f"~{name.kind}{letters}"


def sealed_value(value: bytes) -> bytes:
    """The record sealed."""
    persons = KnownPersons(lambda name: Person(pseudonym_of(name), PersonKey(SEED)))

    def digest(text: str) -> str:
        return pseudonym_of(Name("q", text))

    changed = sealed(personal_fields_of(value), Sealing(persons, digest, lambda url: without_values(url, digest)))
    return value if changed is None else with_changes(value, changed)


@pytest.mark.parametrize("event", [EVENTS, PAGE])
@pytest.mark.parametrize(
    "spelled",
    [
        lambda event: json.dumps(event, separators=(",", ":")),
        json.dumps,
        lambda event: json.dumps(event, indent=1),
        lambda event: json.dumps(dict(reversed(event.items())), separators=(",", ":")),
        lambda event: json.dumps(event, separators=(",", ":")).replace("kari", "k\\u0061ri"),
        lambda event: json.dumps(event, separators=(",", ":")).replace("visitor_id", "visitor\\u005fid"),
        lambda event: json.dumps(event).replace("{", '{"visitor_id": "another-kari",', 1),
        lambda event: json.dumps(event, separators=(",", ":")).replace("{", '{"visitor_id":"v-kari",', 1),
        lambda event: json.dumps(event, separators=(",", ":")).replace("{", '{"visitor\\u005fid":"v-kari",', 1),
        lambda event: json.dumps(event, separators=(",", ":")).replace('"7"', '"form-kari-1"'),
    ],
)
def test_however_an_event_is_spelled_its_record_names_nobody_and_keeps_all_else(
    event: dict[str, Any], spelled: Callable[[dict[str, Any]], str]
) -> None:
    sent = spelled(event)
    value = sealed_value(f'{HEAD}{sent},"key_hint":"k"}}'.encode())
    stored = json.loads(decode_record(value).raw)
    kept = {field for field in event if field not in ("visitor_id", "contact", "url", "referrer", "title")}
    assert {field: stored[field] for field in kept} == {field: json.loads(sent)[field] for field in kept}
    assert list(stored) == list(json.loads(sent))
    for text in (value.decode(), json.dumps(stored)):
        assert re.findall("kari|nordmann", text.replace("form-kari-1", ""), re.IGNORECASE) == []
    assert sealed_value(value) == value


def test_a_property_with_the_name_of_a_field_stays_a_property() -> None:
    sent = '{"type":"contact_updated","id":"1","contact":{"id":"7"},"properties":{"contact":"{\\"id\\":\\"7\\"}","visitor_id":"v"}}'
    stored = json.loads(decode_record(sealed_value(f'{HEAD}{sent},"occurred_at":1}}'.encode())).raw)
    assert {name: value[:2] for name, value in stored["properties"].items()} == {"contact": "~s", "visitor_id": "~s"}
    assert PSEUDONYM.fullmatch(stored["contact"]["id"])


@pytest.mark.parametrize("spelled", ["{}", " {}", "{}\n"])
def test_numbers_of_a_sealed_event_keep_their_digits(spelled: str) -> None:
    sent = '{"type":"deal_created","id":"1","deal_id":"d","contacts":[{"id":"7"}],"amount":123456789012345678.10}'
    value = sealed_value(f'{HEAD}{spelled.replace("{}", sent)},"occurred_at":1}}'.encode())
    assert b'"amount":123456789012345678.10' in value
    assert b'"7"' not in value


def test_a_record_by_field_has_the_fields_of_a_record() -> None:
    assert RecordByField.__struct_fields__ == Record.__struct_fields__
    assert RecordByField.__struct_defaults__ == Record.__struct_defaults__


def test_a_digest_is_written_as_base32() -> None:
    for digest in (bytes(15), b"\xff" * 15, os.urandom(15)):
        assert written(digest) == base64.b32encode(digest).decode().lower()


def test_a_person_is_asked_of_the_vault_once() -> None:
    met = []

    def person(name: Name) -> Person:
        met.append(name)
        known[name] = Person("~c", PersonKey(SEED))
        return known[name]

    known = KnownPersons(person)
    assert known[Name("c", "7")] is known[Name("c", "7")]
    assert met == [Name("c", "7")]
