"""Which contacts are new to campaigns, which deals count for them, and what did these earn? For any number of models in one pass."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from shared.projection.generations import WrongShape, lacks_model
from shared.projection.key_lists import distinct_keys
from shared.projection.new_contacts import COUNTING_WINDOW
from shared.projection.sql import sql
from shared.reading import campaign_keys
from shared.reading.campaign_keys import CAMPAIGN_DEAL, MODEL_PLACES, earned
from shared.reading.new_contacts import new_contacts
from shared.reading.shares import shares
from shared.reading.snapshot import Snapshot
from shared.reading.time_range import TimeRange
from shared.reading.won_campaigns import WonNumbers, won_by_sums

# $2 the campaigns, [$3, $4) the range, $5 the instants that divide it, of which $3 is the first; one row a campaign and part of the
# range: part 1 begins at $3. So it is in the statements below, where $5 or $6 has these instants.
# The deals that count, by currency, with the amounts of those that are won; and (no currency) how many contacts bring revenue.
DEALS = sql(f"""
WITH {COUNTING_WINDOW}, {CAMPAIGN_DEAL}, dated AS (
    SELECT campaign, deal, contact, revenue, width_bucket(dated_us, $5::bigint[]) AS bucket FROM campaign_deal)
SELECT c.campaign, c.bucket, d.currency, count(*) AS deals, count(*) FILTER (WHERE d.state = 'won') AS won,
    sum(d.amount_minor) FILTER (WHERE d.state = 'won') AS amount_minor, NULL::bigint AS contacts
FROM (SELECT DISTINCT campaign, deal, bucket FROM dated) c
JOIN {{g}}.deal d ON d.ws = $1 AND d.deal = c.deal GROUP BY c.campaign, c.bucket, d.currency
UNION ALL
SELECT campaign, bucket, NULL, NULL, NULL, NULL, count(DISTINCT contact) FROM dated WHERE revenue GROUP BY campaign, bucket
""")

# The open deals that count, as lists. (To take each deal once is faster here than in SQL.) Of a range that nothing divides, $5 is not needed, and
# to group the touches of each window by part would take a third of the time.
OPEN_DEALS = sql(f"""
WITH {COUNTING_WINDOW}
SELECT campaign, 1 AS bucket, string_agg(deals, ''::bytea) AS deals FROM ({campaign_keys.OPEN_DEALS}) met WHERE deals IS NOT NULL GROUP BY campaign
""")
OPEN_DEALS_BY_PART = sql(f"""
WITH {COUNTING_WINDOW}
SELECT campaign, bucket, string_agg(deals, ''::bytea) AS deals FROM ({campaign_keys.OPEN_DEALS_BY_PART}) met GROUP BY campaign, bucket
""")

# What was earned, by the place of the model in $5 and by currency; and (no currency) how many contacts earned more than 0 of one.
EARNED = sql(f"""
WITH {COUNTING_WINDOW}, {earned("$5")}, by_contact AS MATERIALIZED (
    SELECT p.campaign, p.contact, d.currency, p.n, width_bucket(p.dated_us, $6::bigint[]) AS bucket, sum(p.minor) AS minor
    FROM part p JOIN {{g}}.deal d ON d.ws = $1 AND d.deal = p.deal GROUP BY 1, 2, 3, 4, 5
)
SELECT campaign, bucket, n, currency, sum(minor) AS minor, NULL::bigint AS contacts FROM by_contact GROUP BY campaign, bucket, n, currency
UNION ALL
SELECT campaign, bucket, n, NULL, NULL, count(DISTINCT contact) FROM by_contact WHERE minor > 0 GROUP BY campaign, bucket, n
""")

# What the campaigns earned of deals ($6), under one model. One row a campaign and deal; none where it has no touch in the journey.
EARNED_OF_DEALS = sql(f"""
WITH {COUNTING_WINDOW}, {earned("$5", "deal = ANY($6::bigint[])")}
SELECT campaign, deal, sum(minor) AS minor FROM part GROUP BY campaign, deal
""")

CAMPAIGN_IDS = sql("SELECT campaign, campaign_id FROM {g}.campaign WHERE ws = $1 AND campaign = ANY($2::bigint[])")


@dataclass
class Earned:
    """What a campaign earned under a model: in minor units by currency, and by how many contacts, refunds deducted."""

    minor: dict[str, int] = field(default_factory=dict)
    contacts: int = 0


@dataclass
class DealNumbers:
    """The new contacts of a campaign in a range, the deals that count for it, and what it earned by model. Amounts by currency."""

    by_first_touch: int = 0
    by_last_touch: int = 0
    influenced_deals: int = 0
    closed_deals: int = 0
    contacts_with_revenue: int = 0
    influenced_minor: dict[str, int] = field(default_factory=dict)
    earned: dict[str, Earned] = field(default_factory=lambda: defaultdict(Earned))


def places(snapshot: Snapshot, models: Sequence[str]) -> list[int]:
    """Where the shares under models stand in `deal_touch.shares_minor`. Raises `WrongShape` if the store lacks one of them."""
    for model in models:
        if model not in MODEL_PLACES:
            raise WrongShape(lacks_model(snapshot.generation, model))
    return [MODEL_PLACES[model] for model in models]


def _minor(snapshot: Snapshot, minor: Decimal | None, model: str) -> int:
    """A sum of shares under a model. Raises `WrongShape` if the store lacks the model, so that there is none."""
    if minor is None:
        raise WrongShape(lacks_model(snapshot.generation, model))
    return int(minor)


NEW_METRICS = ("new_contacts_first_touch", "new_contacts_last_touch")
DEAL_COUNTS = ("influenced_deals", "closed_deals", "contacts_with_revenue", "influenced_revenue")
EARNED_METRICS = ("attributed_revenue", "contacts_with_attributed_revenue")


async def deal_numbers(
    snapshot: Snapshot, campaigns: Mapping[int, str], span: TimeRange, models: Sequence[str], metric: str | None = None
) -> Mapping[int, DealNumbers]:
    """These numbers of campaigns (their ids by key), by key; with `metric`, only what this one of them is read with.

    Raises `WrongShape` if the store lacks a model, and `NotFound` if there is no such model.
    """
    return (await deal_numbers_of_parts(snapshot, campaigns, [span], models, metric))[0]


async def deal_numbers_of_parts(
    snapshot: Snapshot, campaigns: Mapping[int, str], spans: Sequence[TimeRange], models: Sequence[str],
    metric: str | None = None, *, by_touches: bool = False,
) -> list[dict[int, DealNumbers]]:  # fmt: skip
    """As `deal_numbers`, in each of some ranges that follow one another without a gap. `by_touches`: no stored sums are read."""
    edges_us = [span.from_us for span in spans]
    asked = list(campaigns), spans[0].from_us, spans[-1].to_us
    outs = [{campaign: DealNumbers() for campaign in campaigns} for _ in spans]
    if metric is None or metric in NEW_METRICS:
        new = await new_contacts(snapshot, campaigns, [*edges_us, spans[-1].to_us], by_touches=by_touches)
        for (campaign, bucket), found in new.items():
            one = outs[bucket - 1][campaign]
            one.by_first_touch, one.by_last_touch = found
    if metric in NEW_METRICS:
        return outs
    published = [model for model in models if model in MODEL_PLACES]
    won = None
    if not by_touches:
        won = await won_by_sums(snapshot, campaigns, [*edges_us, spans[-1].to_us], published)
    if won is None:
        await _add_of_touches(snapshot, outs, asked, edges_us, published, metric)
    else:
        for (campaign, bucket), numbers in won.items():
            _add_won(outs[bucket - 1][campaign], numbers)
        if metric not in EARNED_METRICS:
            for row in await _open_deals(snapshot, asked, edges_us):
                outs[row["bucket"] - 1][row["campaign"]].influenced_deals += distinct_keys([row["deals"]])
    if metric is None or metric in EARNED_METRICS:
        for model in models:
            if model not in MODEL_PLACES:
                for span, out in zip(spans, outs, strict=True):
                    await _add_earned_by_defined(snapshot, out, campaigns, span, model)
    return outs


async def _open_deals(snapshot: Snapshot, asked: tuple[list[int], int, int], edges_us: Sequence[int]) -> list[Any]:
    if len(edges_us) == 1:
        return await snapshot.fetch(OPEN_DEALS, *asked)
    return await snapshot.fetch(OPEN_DEALS_BY_PART, *asked, edges_us)


def _add_won(one: DealNumbers, won: WonNumbers) -> None:
    """Add what is stored of the won deals of a campaign."""
    one.influenced_deals += won.deals
    one.closed_deals += won.deals
    one.contacts_with_revenue = distinct_keys(won.contacts)
    one.influenced_minor |= won.amount_minor
    for model, minor in won.earned_minor.items():
        one.earned[model] = Earned(minor, distinct_keys(won.earning[model]))


async def _add_of_touches(
    snapshot: Snapshot, outs: Sequence[Mapping[int, DealNumbers]], asked: tuple[list[int], int, int],
    edges_us: Sequence[int], published: Sequence[str], metric: str | None,
) -> None:  # fmt: skip
    """Add what touches say of deals, and of what was earned under published models."""
    if metric is None or metric in DEAL_COUNTS:
        for row in await snapshot.fetch(DEALS, *asked, edges_us):
            _add_deals(outs[row["bucket"] - 1][row["campaign"]], row)
    if published and (metric is None or metric in EARNED_METRICS):
        for row in await snapshot.fetch(EARNED, *asked, places(snapshot, published), edges_us):
            _add_earned(snapshot, outs[row["bucket"] - 1][row["campaign"]], row, published[row["n"] - 1])


def _add_deals(one: DealNumbers, row: Any) -> None:
    if row["currency"] is None:
        one.contacts_with_revenue = row["contacts"]
        return
    one.influenced_deals += row["deals"]
    one.closed_deals += row["won"]
    if row["amount_minor"] is not None:
        one.influenced_minor[row["currency"]] = int(row["amount_minor"])


def _add_earned(snapshot: Snapshot, one: DealNumbers, row: Any, model: str) -> None:
    """Add what a row says of a published model, whose shares are stored."""
    earned = one.earned[model]
    if row["currency"] is None:
        earned.contacts = row["contacts"]
    else:
        earned.minor[row["currency"]] = _minor(snapshot, row["minor"], model)


async def _add_earned_by_defined(
    snapshot: Snapshot, out: Mapping[int, DealNumbers], campaigns: Mapping[int, str], span: TimeRange, model: str
) -> None:
    """Add what campaigns earned under a model of the workspace's own, whose shares are worked out from the journeys."""
    contacts: dict[int, set[int]] = defaultdict(set)
    for (key, contact, currency), (minor, _) in (await _by_contact(snapshot, campaigns, span, model)).items():
        earned_minor = out[key].earned[model].minor
        earned_minor[currency] = earned_minor.get(currency, 0) + minor
        if minor > 0:
            contacts[key].add(contact)
    for key, earning in contacts.items():
        out[key].earned[model].contacts = len(earning)


async def _by_contact(
    snapshot: Snapshot, campaigns: Mapping[int, str], span: TimeRange, model: str
) -> dict[tuple[int, int, str], tuple[int, int | None]]:
    """What campaigns (their ids by key) earned by each contact in each currency under a model of the workspace's own, in minor units; and
    when the last deal closed that earned them more than 0 by it, in microseconds (None: none did).
    """
    keys = {campaign_id: key for key, campaign_id in campaigns.items()}
    out: dict[tuple[int, int, str], tuple[int, int | None]] = {}
    for share in await shares(snapshot, span, model, list(campaigns)):
        for campaign_id, part_minor in share.parts:
            if share.has_amount and campaign_id in keys:
                place = keys[campaign_id], share.contact, share.currency
                minor, closed_us = out.get(place, (0, None))
                if part_minor > 0:
                    closed_us = max(closed_us or share.closed_us, share.closed_us)
                out[place] = minor + part_minor, closed_us
    return out


async def earning_contacts(
    snapshot: Snapshot, campaigns: Collection[int], span: TimeRange, model: str
) -> dict[tuple[int, int], int]:
    """The contacts by whom campaigns earned more than 0 of a currency under a model of the workspace's own: by the keys of campaign and
    contact, when the last such deal closed, in microseconds. Raises `NotFound` if there is no such model.
    """
    ids = {row["campaign"]: row["campaign_id"] for row in await snapshot.fetch(CAMPAIGN_IDS, list(campaigns))}
    out: dict[tuple[int, int], int] = {}
    for (key, contact, _), (minor, closed_us) in (await _by_contact(snapshot, ids, span, model)).items():
        if minor > 0 and closed_us is not None:
            out[key, contact] = max(closed_us, out.get((key, contact), closed_us))
    return out


async def earned_of_deals(
    snapshot: Snapshot, campaign: tuple[int, str], deals: Collection[int], span: TimeRange, model: str
) -> dict[int, int]:
    """What a campaign (its key and id) earned of each of some deals under a model, in minor units; deals without any touch of it are
    absent. Raises as `deal_numbers`.
    """
    key, campaign_id = campaign
    if model in MODEL_PLACES:
        rows = await snapshot.fetch(
            EARNED_OF_DEALS, [key], span.from_us, span.to_us, places(snapshot, [model]), list(deals)
        )
        return {row["deal"]: _minor(snapshot, row["minor"], model) for row in rows}
    out: dict[int, int] = defaultdict(int)
    for share in await shares(snapshot, span, model, [key]):
        if share.has_amount and share.deal in deals:
            out[share.deal] += sum(part for one, part in share.parts if one == campaign_id)
    return dict(out)
