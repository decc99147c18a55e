"""Rule **reassociation**: which of an asset's touches are shown in a campaign's asset section?

Moving an asset does not change attributed touches. The campaign that holds it now shows its history: email and social
statistics move with the asset, CTA clicks and views do not.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple

from shared.rules.influence import TouchType

CTA_TYPES = frozenset({TouchType.CTA_CLICKED, TouchType.CTA_VIEWED})


class NotShown(StrEnum):
    """Why a touch of an asset is not in the section of the campaign that holds the asset now."""

    STAYED_WITH_PREVIOUS_CAMPAIGN = "stayed_with_previous_campaign"


class Held(NamedTuple):
    """A campaign held the asset from `from_us` (inclusive) to `to_us` (exclusive)."""

    campaign: int
    from_us: int
    to_us: int


def keepers(held: Iterable[Held], at_us: int) -> frozenset[int]:
    """The campaigns that keep a CTA touch of that instant: those that held the asset then, else those that held it next.

    Empty if no campaign has held it since. A workflow may have several; several are "next" if they began to hold it at the same
    instant. `held` are all intervals in which any campaign held the asset, in any order.
    """
    since = [h for h in held if h.to_us > at_us]
    if not since:
        return frozenset()
    begun_us = max(at_us, min(h.from_us for h in since))
    return frozenset(h.campaign for h in since if h.from_us <= begun_us)


def cta_clicks_stay(type_: TouchType, kept_by: frozenset[int], campaign: int) -> NotShown | None:
    """A CTA touch stays with its keepers; it does not show in another campaign that holds the asset now."""
    if type_ in CTA_TYPES and campaign not in kept_by:
        return NotShown.STAYED_WITH_PREVIOUS_CAMPAIGN
    return None


def former_asset_keeps(type_: TouchType, kept_by: frozenset[int], campaign: int) -> bool:
    """Whether a campaign keeps a touch of an asset that it no longer holds: only CTA touches that belong to it."""
    return type_ in CTA_TYPES and campaign in kept_by
