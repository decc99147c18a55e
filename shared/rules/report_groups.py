"""To which group of a report does a touch belong, by what it says itself? And why does it belong to none?"""

from enum import StrEnum
from typing import NamedTuple

from shared.rules.channel import TrafficSource
from shared.rules.page import parse


class GroupBy(StrEnum):
    """What the rows of a report are of."""

    CAMPAIGN = "campaign"
    OWNER = "owner"
    ASSET = "asset"
    ASSET_TYPE = "asset_type"
    INTERACTION = "interaction"
    CHANNEL = "channel"
    SOURCE = "source"
    MEDIUM = "medium"
    UTM_CAMPAIGN = "utm_campaign"


BY_CAMPAIGNS = frozenset({GroupBy.CAMPAIGN, GroupBy.OWNER})
"""Groups that come from the campaigns of a touch; a touch in several campaigns is divided among them."""


class NoGroup(StrEnum):
    """Why what was earned belongs to no group of a report."""

    NO_CAMPAIGN = "no_campaign"
    NO_OWNER = "no_owner"
    NO_ASSET = "no_asset"
    NO_ASSET_TYPE = "no_asset_type"
    NO_SOURCE = "no_source"
    NO_MEDIUM = "no_medium"
    NO_UTM_CAMPAIGN = "no_utm_campaign"
    NO_JOURNEY = "no_journey"


class Group(NamedTuple):
    """A group of a report: its name, or why there is none."""

    name: str | None
    reason: NoGroup | None = None


def named_group(name: str | None, why_not: NoGroup) -> Group:
    """The group of a name, or the one of what has none."""
    return Group(None, why_not) if name is None else Group(name)


def utm_group(url: str | None, utm_told: str | None) -> Group:
    """By the utm value of a page visit's own URL (None: it is no page visit); other touches have none."""
    value = "" if url is None else parse(url, utm_told or "").campaign
    return named_group(value or None, NoGroup.NO_UTM_CAMPAIGN)


def source_group(by: GroupBy, source: TrafficSource) -> Group:
    """The group by what brought a touch."""
    if by is GroupBy.CHANNEL:
        return Group(str(source.channel))
    if by is GroupBy.SOURCE:
        return named_group(source.source, NoGroup.NO_SOURCE)
    return named_group(source.medium, NoGroup.NO_MEDIUM)
