"""What is sealed of an event, and what answers make of it: without a database."""

import asyncio
import os
from collections.abc import Collection
from typing import Any

import pytest

from shared.rules.referrer import reduced, source_host
from shared.sealing.addresses import without_values
from shared.sealing.forget import words
from shared.sealing.keys import BadMasterKey, MasterKey, PersonKey, new_pseudonym
from shared.sealing.names import ANY, PSEUDONYM
from shared.sealing.reveal import pseudonyms_in, replaced, revealed_csv, revealed_json

SEED = bytes(16)


class Known:
    """A vault that knows one contact."""

    def __init__(self, pseudonym: str, name: str) -> None:
        self.told = {pseudonym: (name, PersonKey(SEED))}

    async def names(self, _: str, pseudonyms: Collection[str]) -> dict[str, Any]:
        return {p: self.told[p] for p in pseudonyms if p in self.told}


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
    ],
)
def test_what_no_rule_reads_of_query_and_fragment_leaves_a_url(url: str, kept: str) -> None:
    assert without_values(url, lambda text: f"<{text}>") == kept


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
    vault: Any = Known(pseudonym, 'Kari "K" Ø')
    told = PersonKey(SEED).seal(b"in\n2", "property")
    sealed = f"~s{pseudonym[1:]}:{told}"
    body = f'{{"contact":"{pseudonym}","city":"{sealed}"}}'.encode()
    assert asyncio.run(revealed_json(vault, "w", body)) == '{"contact":"Kari \\"K\\" Ø","city":"in\\n2"}'.encode()


def test_a_table_names_people_with_its_quotes() -> None:
    pseudonym = f"~c{new_pseudonym()}"
    vault: Any = Known(pseudonym, 'Nordmann, "Kari"')
    told = asyncio.run(revealed_csv(vault, "w", f"contact,n\r\n{pseudonym},1\r\n".encode()))
    assert told == b'contact,n\r\n"Nordmann, ""Kari""",1\r\n'


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
