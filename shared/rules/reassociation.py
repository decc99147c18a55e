"""Rule **reassociation**: which of an asset's touches show in a campaign's asset section?

Moving an asset moves nothing already attributed. Its section shows its history where it is held now: email and social
statistics follow the asset, CTA clicks and views do not.
"""

from enum import StrEnum

from shared.rules.influence import TouchType

CTA_TYPES = frozenset({TouchType.CTA_CLICKED, TouchType.CTA_VIEWED})


class NotShown(StrEnum):
    """Why a touch of an asset is not in the section of the campaign that holds the asset now."""

    STAYED_WITH_PREVIOUS_CAMPAIGN = "stayed_with_previous_campaign"


def cta_clicks_stay(type_: TouchType, held_then_by: frozenset[int], campaign: int) -> NotShown | None:
    """A CTA touch made while another campaign held the asset stays there; one made while none did shows."""
    if type_ in CTA_TYPES and held_then_by and campaign not in held_then_by:
        return NotShown.STAYED_WITH_PREVIOUS_CAMPAIGN
    return None


def former_asset_keeps(type_: TouchType, held_then_by: frozenset[int], campaign: int) -> bool:
    """What a campaign keeps of an asset that it no longer holds: the CTA touches made while it did."""
    return type_ in CTA_TYPES and campaign in held_then_by
