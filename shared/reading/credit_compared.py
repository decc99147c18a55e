"""Do sums of credit say what the credited touches say? Both are read in one snapshot, for `verify` and for tests."""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from shared.projection.credit_sums import MODEL_NAMES, TOGETHER
from shared.projection.days import days_of
from shared.projection.defined_models import defined_models
from shared.projection.key_lists import distinct_keys
from shared.projection.sql import sql
from shared.projection.stages.credit_days.gather import KEPT
from shared.projection.walks import Walked
from shared.reading.campaign_deals import DealNumbers, deal_numbers_of_parts
from shared.reading.credit_sums import Earned, Parts, all_of_touches, earned_by_group, parts_of, won_deals
from shared.reading.snapshot import Snapshot
from shared.reading.time_range import TimeRange
from shared.rules.data_driven import DATA_DRIVEN
from shared.rules.models import MODELS, Model

SOME_CLOSES = sql("""
SELECT closed_us FROM {g}.deal WHERE ws = $1 AND state = 'won' ORDER BY random() LIMIT $2
""")
SOME_DAYS = sql("SELECT day FROM {g}.won_day WHERE ws = $1 ORDER BY random() LIMIT $2")

CAMPAIGNS = sql("SELECT campaign, campaign_id FROM {g}.campaign WHERE ws = $1 ORDER BY campaign_id")

Said = dict[str, str]
"""What is said of a range: the numbers of each group in words, by what the group is and its currency."""


@dataclass(frozen=True)
class EarnedOtherwise:
    """A group, or the deals of a campaign, of a workspace of which sums say something else in `[from_us, to_us)` than the touches; None where one of them does not know it."""

    workspace_id: str
    group: str
    from_us: int
    to_us: int
    by_sums: str | None
    by_touches: str | None


async def earned_otherwise(snapshot: Snapshot, edges_us: Sequence[int]) -> list[EarnedOtherwise]:
    """Where sums and touches differ, between each two of some instants, which are in order. Nothing where there are no sums."""
    own = await defined_models(snapshot)
    out = []
    for from_us, to_us in pairwise(edges_us):
        span = TimeRange(from_us, to_us)
        parts = await parts_of(snapshot, span)
        if parts.first == parts.last:
            continue
        raw = all_of_touches(span)
        by_sums = await _said(snapshot, parts, MODELS, DATA_DRIVEN) | await _said_of_campaigns(
            snapshot, span, by_touches=False
        )
        by_touches = await _said(snapshot, raw, MODELS, DATA_DRIVEN) | await _said_of_campaigns(
            snapshot, span, by_touches=True
        )
        if own and (parts := await parts_of(snapshot, span, defined=True)).first < parts.last:
            by_sums = _both(by_sums, await _said(snapshot, parts, own))
            by_touches = _both(by_touches, await _said(snapshot, raw, own))
        out += [
            EarnedOtherwise(snapshot.workspace, group, from_us, to_us, by_sums.get(group), by_touches.get(group))
            for group in sorted(by_sums.keys() | by_touches.keys())
            if by_sums.get(group) != by_touches.get(group)
        ]
    return out


async def earned_otherwise_on_some_days(snapshot: Snapshot, days_max: int) -> list[EarnedOtherwise]:
    """As `earned_otherwise`, on days that are drawn: of those on which deals were won, and of those that have sums, so many each."""
    kept = await snapshot.fetchrow(KEPT)
    if kept is None:
        return []
    days = days_of(kept["time_zone"])
    drawn = {days.day_of(row["closed_us"]) for row in await snapshot.fetch(SOME_CLOSES, days_max)}
    drawn |= {row["day"] for row in await snapshot.fetch(SOME_DAYS, days_max)}
    return [
        found
        for day in sorted(drawn)
        for found in await earned_otherwise(snapshot, [days.start_us(day), days.start_us(day + 1)])
    ]


def _both(one: Said, other: Said) -> Said:
    """What both say of each range."""
    return {group: f"{one.get(group)}; {other.get(group)}" for group in one.keys() | other.keys()}


async def _said(
    snapshot: Snapshot, parts: Parts, models: Mapping[str, Model], data_driven: Collection[str] = ()
) -> Said:
    said = {
        f"won, {currency}": f"{won.deals:,} deals, {won.without_journey:,} without a journey, amount {won.amount_minor}"
        for currency, won in (await won_deals(snapshot, parts)).items()
    }
    for by in (by for bys in TOGETHER for by in bys):
        found = await earned_by_group(snapshot, parts, by, models, None, data_driven)
        for currency, walked in found.walked.items():
            if walked.names:
                said[f"paths by {by}, {currency}"] = _steps_in_words(walked)
        for (group, currency), one in found.earned.items():
            said[f"{by} {group.name!r}, {group.reason}, {currency}"] = _in_words(one)
    return said


async def _said_of_campaigns(snapshot: Snapshot, span: TimeRange, *, by_touches: bool) -> Said:
    """What is said of the deals of each campaign."""
    ids = {row["campaign"]: row["campaign_id"] for row in await snapshot.fetch(CAMPAIGNS)}
    (found,) = await deal_numbers_of_parts(snapshot, ids, [span], MODEL_NAMES, by_touches=by_touches)
    return {f"deals of {ids[campaign]!r}": _numbers_in_words(one) for campaign, one in found.items()}


def _numbers_in_words(one: DealNumbers) -> str:
    earned = ", ".join(
        f"{model} {sorted(one.earned[model].minor.items())} by {one.earned[model].contacts:,}" for model in MODEL_NAMES
    )
    return (
        f"{one.influenced_deals:,} influenced, {one.closed_deals:,} won, minor units {sorted(one.influenced_minor.items())} by "
        f"{one.contacts_with_revenue:,} contacts, earned by models, by contacts: {earned}"
    )


def _steps_in_words(walked: Walked) -> str:
    counts = sorted(walked.counts().items(), key=repr)
    digest = hashlib.sha256(repr(counts).encode()).hexdigest()[:12]
    return f"{sum(count for _, count in counts):,} steps between {len(walked.names):,} groups, digest {digest}"


def _in_words(one: Earned) -> str:
    minor = ", ".join(f"{model} {earned}" for model, earned in one.minor.items()) if one.paid else "none"
    return f"{one.deals:,} deals, {distinct_keys(one.contacts):,} contacts, minor units {minor}"
