"""Rule **visible**: is an asset that the campaign holds now shown in its lists, and if not, why?"""

import datetime as dt
from collections.abc import Collection
from enum import StrEnum

NEEDS_A_VISIT = frozenset({"tracking_url", "paid_search"})


class HiddenReason(StrEnum):
    """Why an asset is not shown; the first that is true."""

    NOT_PUBLISHED = "not_published"
    NO_VISIT_SINCE_CAMPAIGN_CREATED = "no_visit_since_campaign_created"
    NO_VISIT = "no_visit"
    OUTSIDE_CAMPAIGN_DATES = "outside_campaign_dates"


def hidden_reason(
    asset_type: str | None,
    *,
    published: bool,
    last_visit_us: int | None,
    campaign_created_us: int,
    published_on: Collection[dt.date],
    starts_on: dt.date | None,
    ends_on: dt.date | None,
) -> HiddenReason | None:
    """None if the asset is shown. A hidden asset still counts in all numbers.

    `published` is its latest state; `last_visit_us` is its latest page visit, None if it has none; `published_on` are the days
    of all its publications. The campaign's first and last day are inclusive, None is open.
    """
    if asset_type == "social_post" and not published:
        return HiddenReason.NOT_PUBLISHED
    if asset_type == "tracking_url" and (last_visit_us is None or last_visit_us < campaign_created_us):
        return HiddenReason.NO_VISIT_SINCE_CAMPAIGN_CREATED
    if asset_type == "paid_search" and last_visit_us is None:
        return HiddenReason.NO_VISIT
    if published_on and not any(_within(day, starts_on, ends_on) for day in published_on):
        return HiddenReason.OUTSIDE_CAMPAIGN_DATES
    return None


def _within(day: dt.date, starts_on: dt.date | None, ends_on: dt.date | None) -> bool:
    return (starts_on is None or day >= starts_on) and (ends_on is None or day <= ends_on)
