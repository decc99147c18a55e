"""Rule **utm**: which utm values are in a URL, and which campaign claims a `utm_campaign` value since when?"""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple
from urllib.parse import unquote_plus

from shared.events.instants import END_US
from shared.rules.facts import facts
from shared.rules.order import Order

_FACTS = facts("campaign_parameters")
UTM: Mapping[str, Sequence[str]] = _FACTS["utm"]
IDS: Sequence[str] = _FACTS["ids"]["campaign"]
OWN = ("tl_via", "utm_nooverride")  # Touchline's own parameters

# Separators besides `&`: a `;` before any name, and a second `?` or an encoded `&` before a name that we read.
_NAMES = "|".join(sorted({*IDS, *OWN, *(name for names in UTM.values() for name in names)}))
_NAMED = rf"(?:amp;)?(?:{_NAMES})(?:\[[0-9]*\]|%5B[0-9]*%5D)?="
_SEPARATOR = re.compile(rf";(?=[a-z_][\w.-]*=)|(?:[;?]|%26|%3B)(?={_NAMED})", re.IGNORECASE)
_GLUED = re.compile(rf"(?:[&;]|%3F|%26)(?={_NAMED})", re.IGNORECASE)  # parameters after a path without a `?`
_LIST = re.compile(r"\[[0-9]*\]$")


def normalised(value: str) -> str:
    """Values compare trimmed, NFC-normalised and case-folded; "" is absent."""
    value = value.strip()
    return value.casefold() if value.isascii() else unicodedata.normalize("NFC", value).casefold()


def decoded(value: str) -> str | None:
    """A normalised value, URL-decoded once more; None if that is the same, or empty."""
    if "%" not in value and "+" not in value:
        return None
    again = normalised(unquote_plus(value))
    return again if again and again != value else None


def path_alone(path: str) -> tuple[str, str]:
    """A path without the parameters appended to it (`/lp&utm_source=x`), and these parameters as a query."""
    if "=" not in path or (found := _GLUED.search(path)) is None:
        return path, ""
    return path[: found.start()], path[found.end() :]


def parameters(*texts: str) -> dict[str, str]:
    """The parameters of some queries, decoded, names in lower case; for each name the first value that is not blank."""
    first: dict[str, str] = {}
    for text in texts:
        if not text:
            continue
        is_unusual = ";" in text or "?" in text or "%" in text
        for piece in (_SEPARATOR.sub("&", text) if is_unusual else text).split("&"):
            name, _, value = piece.partition("=")
            if not value:
                continue
            if "%" in value or "+" in value:
                value = unquote_plus(value)
            if value.isspace():
                continue
            first.setdefault(_name(name), value)
    return first


def _name(name: str) -> str:
    """A parameter's name, without additions of HTML (`amp;`) and PHP (`[]`, `[0]`)."""
    if not name.isidentifier():
        name = unquote_plus(name)
        while name.lower().startswith("amp;"):
            name = name[4:]
        name = _LIST.sub("", name)
    return name.lower()


def in_fragment(fragment: str) -> str:
    """The part of a fragment that may hold parameters: after its `?`, else all of it."""
    _, mark, behind = fragment.partition("?")
    return behind if mark else fragment.lstrip("!/")


class Utm(NamedTuple):
    """The utm values, normalised; absent ones are empty. `id` is the campaign id of an advertising tool."""

    campaign: str = ""
    source: str = ""
    medium: str = ""
    term: str = ""
    content: str = ""
    id: str = ""


NOTHING = Utm()
_PLACES = {
    name: (place, rank)
    for place, names in enumerate([*(UTM[field] for field in Utm._fields[:5]), IDS])
    for rank, name in enumerate(names)
}


def utm_of(first: Mapping[str, str]) -> Utm:
    """The utm values of parameters, each from the first of its names that has a value."""
    found: dict[int, tuple[int, str]] = {}
    for name, value in first.items():
        if (known := _PLACES.get(name)) is not None:
            place, rank = known
            if place not in found or rank < found[place][0]:
                found[place] = rank, value
    if not found:
        return NOTHING
    values = [""] * len(Utm._fields)
    for place, (_, value) in found.items():
        values[place] = normalised(value)
    return Utm(*values)


class Claim(NamedTuple):
    """A campaign was created or updated with a utm value."""

    order: Order
    value: str
    campaign: int


class Claimed(NamedTuple):
    """One campaign claimed the value from `from_us` (inclusive) to `to_us` (exclusive)."""

    value: str
    campaign: int
    from_us: int
    to_us: int


def claimed(claims: Iterable[Claim], deleted: Mapping[int, Order]) -> list[Claimed]:
    """Which campaign claimed each value when: the one that claimed it last; none after that campaign is deleted."""
    by_value: dict[str, list[Claim]] = {}
    for claim in sorted(claims):
        end = deleted.get(claim.campaign)
        if claim.value and (end is None or claim.order < end):
            by_value.setdefault(claim.value, []).append(claim)
    out = []
    for value, ordered in by_value.items():
        for i, claim in enumerate(ordered):
            to_us = ordered[i + 1].order.at_us if i + 1 < len(ordered) else END_US
            if claim.campaign in deleted:
                to_us = min(to_us, deleted[claim.campaign].at_us)
            if claim.order.at_us < to_us:
                out.append(Claimed(value, claim.campaign, claim.order.at_us, to_us))
    return out


Span = tuple[int, int, int]
"""A campaign, and from when (inclusive) to when (exclusive) it claimed a value."""


def read_as_either(literal: Iterable[Span], decoded: Iterable[Span]) -> list[Span]:
    """Which campaign claims a value that can be decoded once more: the one that claims it literally, else the one that claims it decoded."""
    own = sorted(literal, key=lambda span: span[1])
    out = list(own)
    for campaign, begin_us, end_us in decoded:
        at_us = begin_us
        for _, from_us, to_us in own:
            if at_us < min(from_us, end_us):
                out.append((campaign, at_us, min(from_us, end_us)))
            at_us = max(at_us, to_us)
        if at_us < end_us:
            out.append((campaign, at_us, end_us))
    return out
