"""Before people read an answer or an export, pseudonyms and sealed texts in it are replaced by what they stand for.

What belongs to a forgotten contact stays as it is: its names are deleted.
"""

import csv
import io
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any
from urllib.parse import quote

import orjson

from shared.events.codec import Arrived
from shared.events.emails import normalised_email
from shared.sealing.fields import PROPERTY, TEXTS, opened
from shared.sealing.keys import PersonKey
from shared.sealing.names import ANY, PSEUDONYM, Name
from shared.sealing.vault import Vault

IN_VALUES = "/:@!$'()*,"  # these need no encoding in a value of a URL
FORGOTTEN_TEXT = "(forgotten)"  # in place of a sealed text whose key is destroyed

NamesByPseudonym = Mapping[str, tuple[str, PersonKey]]


async def revealed(vault: Vault | None, workspace: str, body: Any) -> Any:
    """A value of JSON with names in place of pseudonyms, as people read it. Raises `LogUnavailable`."""
    if vault is None:
        return body
    return orjson.loads(await revealed_json(vault, workspace, orjson.dumps(body)))


async def revealed_json(vault: Vault, workspace: str, body: bytes) -> bytes:
    """JSON with names in place of pseudonyms. Raises `LogUnavailable`."""
    text = body.decode()
    known = await vault.names(workspace, pseudonyms_in([text]))
    return (
        replaced(text, known, lambda name: orjson.dumps(name).decode()[1:-1]).encode()
        if known or "~s" in text
        else body
    )


async def revealed_url(vault: Vault | None, workspace: str, url: str) -> str:
    """The URL of an asset with what was sent in place of digests. Raises `LogUnavailable`."""
    if vault is None:
        return url
    return replaced(url, await vault.names(workspace, pseudonyms_in([url])), str)


async def revealed_csv(vault: Vault, workspace: str, body: bytes) -> bytes:
    """A table of comma-separated values with names in place of pseudonyms. Raises `LogUnavailable`."""
    text = body.decode()
    known = await vault.names(workspace, pseudonyms_in([text]))
    if not known and "~s" not in text:
        return body
    out = io.StringIO(newline="")
    end = "\r\n" if "\r\n" in text else "\n"
    writer = csv.writer(out, lineterminator=end)
    for row in csv.reader(io.StringIO(text, newline="")):
        writer.writerow([replaced(cell, known, str) for cell in row])
    return out.getvalue().encode()


def pseudonyms_in(texts: Collection[str]) -> set[str]:
    """The pseudonyms in some texts, those under whose keys texts are sealed among them."""
    found = set()
    for text in texts:
        if "~" in text or ".sealed" in text:
            found |= {_by(match) for match in ANY.finditer(text)}
    return found


def _by(match: "re.Match[str]") -> str:
    return match[0] if match["by"] is None else f"~{match['by']}"


def replaced(text: str, known: NamesByPseudonym, written: Callable[[str], str]) -> str:
    """A text with names in place of the pseudonyms that are known; `written` writes a name as the text's language asks."""

    def name(match: "re.Match[str]") -> str:
        person = known.get(_by(match))
        if match["by"] is None:
            return match[0] if person is None else written(_in_place(match[0], person[0]))
        if person is None or (opened := person[1].open(match["sealed"], PROPERTY)) is None:
            return FORGOTTEN_TEXT
        return written(opened.decode())

    return ANY.sub(name, text)


def _in_place(pseudonym: str, text: str) -> str:
    """A name as it stands where the pseudonym stands: a value of a URL is decoded in the vault, and encoded in the URL."""
    return quote(text, safe=IN_VALUES) if pseudonym.startswith("~q") else text


async def pseudonyms_of(vault: Vault | None, workspace: str, name: str) -> list[str]:
    """By which names rows know a contact that a request names: its pseudonym, if the vault has one, before the name itself."""
    if vault is None or PSEUDONYM.fullmatch(name):
        return [name]
    found = await vault.known(workspace, [Name("c", name), Name("e", normalised_email(name))])
    return found[:1] or [name]


async def as_sent(vault: Vault, workspace: str, arrived: Collection[Arrived]) -> list[bytes]:
    """The events of some records as they were sent, as far as their contacts are not forgotten. Raises `LogUnavailable`."""
    texts = [each.raw.decode() for each in arrived]
    beside = {i: each.sealed for i, each in enumerate(arrived) if each.sealed is not None}
    known = await vault.names(workspace, pseudonyms_in(texts) | {each["by"] for each in beside.values()})
    out = []
    for i, text in enumerate(texts):
        event = orjson.loads(replaced(text, known, lambda name: orjson.dumps(name).decode()[1:-1]))
        if (sealed := beside.get(i)) is not None and (person := known.get(sealed["by"])) is not None:
            event |= {field: original for field, original in opened(sealed, person[1]).items() if field in TEXTS}
        out.append(orjson.dumps(event))
    return out
