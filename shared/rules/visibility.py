"""Rule **visible**: is an asset that the campaign holds now shown in its lists, and if not, why?"""

import datetime as dt
from enum import StrEnum

NEEDS_A_VISIT = frozenset({"tracking_url", "paid_search"})


class HiddenReason(StrEnum):
    """Why an asset is not shown; the first that is true."""

    NOT_PUBLISHED = "not_published"
    NO_VISIT_SINCE_CAMPAIGN_CREATED = "no_visit_since_campaign_created"
    OUTSIDE_CAMPAIGN_DATES = "outside_campaign_dates"


def hidden_reason(
    asset_type: str | None,
    *,
    published: bool,
    visited_since_creation: bool,
    first_published_on: dt.date | None,
    starts_on: dt.date | None,
    ends_on: dt.date | None,
) -> HiddenReason | None:
    """None if the asset is shown. Hidden changes what is shown, never what counts.

    `published` is the latest word on it; the campaign's days are inclusive, None is open.
    """
    if asset_type == "social_post" and not published:
        return HiddenReason.NOT_PUBLISHED
    if asset_type in NEEDS_A_VISIT and not visited_since_creation:
        return HiddenReason.NO_VISIT_SINCE_CAMPAIGN_CREATED
    if first_published_on is not None and (
        (starts_on is not None and first_published_on < starts_on)
        or (ends_on is not None and first_published_on > ends_on)
    ):
        return HiddenReason.OUTSIDE_CAMPAIGN_DATES
    return None
