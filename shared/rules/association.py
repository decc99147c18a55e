"""Rules **exclusive**, **interval** and **limit**: which campaign holds which asset, and from when to when?

Changes apply one after another in order. An asset has one campaign; a workflow may have many.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import NamedTuple

from shared.events.instants import END_US
from shared.events.registry import check_known
from shared.rules.order import Order

CREATED, DELETED = check_known(("campaign_created", "campaign_deleted"), "shared/rules/association.py", stage="catalog")
SOCIAL_POSTS_MAX = 10_000  # held by a campaign at a time


class IgnoredAssociation(StrEnum):
    """Why an association or a dissociation changed nothing."""

    CAMPAIGN_DELETED = "campaign_deleted"
    SOCIAL_POST_LIMIT = "social_post_limit"
    ALREADY_ASSOCIATED = "already_associated"
    NOT_ASSOCIATED = "not_associated"
    ENDED_AT_ONCE = "ended_at_once"
    CAMPAIGN_NOT_YET_CREATED = "campaign_not_yet_created"


REFUSED = frozenset(
    {IgnoredAssociation.CAMPAIGN_DELETED, IgnoredAssociation.SOCIAL_POST_LIMIT}
)  # the other reasons mean that the state was already as wanted


class Change(NamedTuple):
    """An association (`holds`) or a dissociation."""

    order: Order
    asset: int
    campaign: int
    holds: bool


class Life(NamedTuple):
    """A campaign's creation, and its deletion if it was deleted."""

    created_us: int
    deleted: Order | None


class Interval(NamedTuple):
    """The campaign holds the asset from `from_us` (inclusive) to `to_us` (exclusive)."""

    asset: int
    campaign: int
    from_us: int
    to_us: int
    event_id: str


class Idle(NamedTuple):
    """A change without effect, and why."""

    order: Order
    asset: int
    campaign: int
    reason: IgnoredAssociation


def life(events: Iterable[tuple[Order, str]]) -> Life:
    """A campaign's life, from all events that name it, as (order, event type).

    It is created by its earliest `campaign_created`, else by the first event that names it. Deletion is final.
    """
    ordered = sorted(events)
    created = next((order for order, kind in ordered if kind == CREATED), ordered[0][0])
    return Life(created.at_us, next((order for order, kind in ordered if kind == DELETED), None))


def intervals(
    changes: Iterable[Change],
    lives: Mapping[int, Life],
    types: Mapping[int, str | None],
    social_posts_max: int = SOCIAL_POSTS_MAX,
) -> tuple[list[Interval], list[Idle]]:
    """When each campaign holds each asset, and which changes had no effect.

    `lives` has every campaign of the changes, `types` each asset's type (None: unknown). Assets are independent of each other,
    except for the limit of social posts.
    """
    held: dict[int, dict[int, Change]] = {}  # asset -> campaign -> the association in force
    posts: dict[int, int] = {}
    out: list[Interval] = []
    idle: list[Idle] = []

    def end(asset: int, campaign: int, at_us: int) -> None:
        begun = held[asset].pop(campaign)
        if types.get(asset) == "social_post":
            posts[campaign] -= 1
        created_us = lives[campaign].created_us
        from_us = max(begun.order.at_us, created_us)
        if from_us < at_us:
            out.append(Interval(asset, campaign, from_us, at_us, begun.order.event_id))
        elif begun.order.at_us < at_us:
            idle.append(Idle(begun.order, asset, campaign, IgnoredAssociation.CAMPAIGN_NOT_YET_CREATED))
        else:
            idle.append(Idle(begun.order, asset, campaign, IgnoredAssociation.ENDED_AT_ONCE))

    deletions = [(life.deleted, None, campaign) for campaign, life in lives.items() if life.deleted is not None]
    steps = [(change.order, change, change.campaign) for change in changes]
    for order, change, campaign in sorted([*steps, *deletions], key=lambda step: step[0]):
        if change is None:
            for asset in [asset for asset, campaigns in held.items() if campaign in campaigns]:
                end(asset, campaign, order.at_us)
            continue
        asset = change.asset
        present = held.setdefault(asset, {})
        if not change.holds:
            if campaign in present:
                end(asset, campaign, order.at_us)
            else:
                idle.append(Idle(order, asset, campaign, IgnoredAssociation.NOT_ASSOCIATED))
        elif campaign in present:
            idle.append(Idle(order, asset, campaign, IgnoredAssociation.ALREADY_ASSOCIATED))
        elif (deleted := lives[campaign].deleted) is not None and deleted < order:
            idle.append(Idle(order, asset, campaign, IgnoredAssociation.CAMPAIGN_DELETED))
        elif types.get(asset) == "social_post" and posts.get(campaign, 0) >= social_posts_max:
            idle.append(Idle(order, asset, campaign, IgnoredAssociation.SOCIAL_POST_LIMIT))
        else:
            if types.get(asset) != "workflow":
                for other in list(present):
                    end(asset, other, order.at_us)
            present[campaign] = change
            if types.get(asset) == "social_post":
                posts[campaign] = posts.get(campaign, 0) + 1
    for asset, campaigns in held.items():
        for campaign in list(campaigns):
            end(asset, campaign, END_US)
    return out, idle
