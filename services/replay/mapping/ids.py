"""Which ids does a cell hold? Spreadsheets turn ids into numbers, and lists of ids are written in many ways."""

import re
from collections.abc import Sequence
from typing import Any

import orjson

from services.replay.mapping.errors import BadCell
from shared.events.nobody import names_nobody

EXACT_MAX = 2**53  # up to here floating-point numbers are exact for whole numbers
CONTACTS_MAX = 1_000  # of one cell; a deal's event takes 100
SEPARATORS = (";", ",", "\n")

_POINT_ZERO = re.compile(r"(\d+)[.,]0+", re.ASCII)
_SCIENTIFIC = re.compile(r"(\d)(?:[.,](\d+))?[eE]\+(\d{1,3})", re.ASCII)
_MAIL = r"[^\s()<>;,]+@[^\s()<>;,]+"
_NAMED = re.compile(
    rf"\s*(?P<name>[^;\n()<>]*(?:\([^@)]*\)[^;\n()<>]*)*?)\s*[(<]\s*(?:mailto:)?(?P<mail>{_MAIL})\s*[)>]\s*(?:[;,\n]|\Z)"
)
_PLAIN = re.compile(r"\s*(?P<plain>[^;,\n]*)(?:[;,\n]|\Z)")


def mended(text: str) -> str:
    """An id that a spreadsheet has turned into a number: `8001.0` is `8001`. Raises `BadCell` where digits were lost."""
    if found := _POINT_ZERO.fullmatch(text):
        if int(found[1]) > EXACT_MAX:
            raise BadCell(
                f"{text!r} is an id that was stored as a number but is too long for one: its last digits are lost"
            )
        return found[1]
    if found := _SCIENTIFIC.fullmatch(text):
        digits, shift = found[2] or "", int(found[3])
        if shift > len(digits) or digits[shift:].strip("0"):
            raise BadCell(
                f"{text!r} is an id that a spreadsheet has shortened: its last digits are lost. Export it again, with the column as text"
            )
        return (found[1] + digits[:shift]).lstrip("0") or "0"
    return text


def items_of(text: str, separators: Sequence[str] = SEPARATORS) -> list[str]:
    """The texts of a list in a cell: separated by a semicolon, comma or line break, or a JSON array. Empty texts are left out."""
    listed = _json_list(text)
    if listed is None:
        listed = re.split("|".join(map(re.escape, separators)), text)
    return [item for item in (part.strip() for part in listed) if item]


def _json_list(text: str) -> list[str] | None:
    if not (text.startswith("[") and text.endswith("]")):
        return None
    try:
        items = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(items, list) or any(isinstance(item, dict | list) for item in items):
        return None
    return ["" if item is None else str(item) for item in items]


def contacts_of(text: str) -> list[dict[str, Any]]:
    """The contacts that a cell lists, each once: by id, by e-mail, or as `Kari Nordmann (kari@example.no)`.

    Raises `BadCell` where a contact has neither id nor e-mail.
    """
    found: dict[tuple[str, str], None] = {}
    listed = _json_list(text)
    if sum(map(text.count, SEPARATORS)) > CONTACTS_MAX:
        raise BadCell(f"it lists more than {CONTACTS_MAX:,} contacts")
    text, at = (text if listed is None else ";".join(listed)), 0
    while at < len(text):
        named = _NAMED.match(text, at) if "@" in text else None
        if named is not None:
            parts = [part for part in named["name"].split(",") if part.strip().isdigit() or "@" in part]
            plain, at = [*parts, named["mail"]], named.end()
        else:
            one = _PLAIN.match(text, at)
            assert one is not None
            plain, at = [one["plain"]], one.end()
        for part in (part.strip() for part in plain):
            if not names_nobody(part):
                found[_contact(part)] = None
    return [{field: value} for field, value in found]


def _contact(text: str) -> tuple[str, str]:
    if "@" in text:
        return "email", text.removeprefix("mailto:")
    if " " in text or not any(character.isdigit() for character in text):
        raise BadCell(f"{text!r} names a contact neither by id nor by e-mail")
    return "id", mended(text)
