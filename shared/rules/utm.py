"""Rule **utm**: which campaign claims this `utm_campaign` value, and since when?"""

import unicodedata
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from shared.events.instants import END_US
from shared.rules.order import Order


def normalised(value: str) -> str:
    """Values compare trimmed, NFC-normalised and case-folded; "" is absent."""
    return unicodedata.normalize("NFC", value.strip()).casefold()


class Claim(NamedTuple):
    """A campaign was created or updated with a value."""

    order: Order
    value: str
    campaign: int


class Claimed(NamedTuple):
    """From `from_us` (inclusive) to `to_us` (exclusive) the value was this campaign's."""

    value: str
    campaign: int
    from_us: int
    to_us: int


def claimed(claims: Iterable[Claim], deleted: Mapping[int, Order]) -> list[Claimed]:
    """Who claimed each value when: the campaign that claimed it last; nobody once that one is deleted."""
    by_value: dict[str, list[Claim]] = {}
    for claim in sorted(claims):
        end = deleted.get(claim.campaign)
        if claim.value and (end is None or claim.order < end):
            by_value.setdefault(claim.value, []).append(claim)
    out = []
    for value, told in by_value.items():
        for i, claim in enumerate(told):
            to_us = told[i + 1].order.at_us if i + 1 < len(told) else END_US
            if claim.campaign in deleted:
                to_us = min(to_us, deleted[claim.campaign].at_us)
            if claim.order.at_us < to_us:
                out.append(Claimed(value, claim.campaign, claim.order.at_us, to_us))
    return out
