"""Which contacts are new to campaigns, which deals count for them, and what did these earn? For any number of models in one pass."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from shared.projection.generations import WrongShape, lacks_model
from shared.projection.sql import sql
from shared.reading.attribution import COUNTING_STATUSES, KEY_COLUMN
from shared.reading.campaign_keys import (
    CAMPAIGN_DEAL,
    COUNTING_WINDOW,
    MODEL_PLACES,
    NEW_BY_FIRST_TOUCH,
    NEW_BY_LAST_TOUCH,
    earned,
    split,
    within,
)
from shared.reading.snapshot import Snapshot
from shared.reading.time_range import TimeRange

# $2 the campaigns, [$3, $4) the range; one row a campaign.
NEW_CONTACTS = sql(f"""
WITH {COUNTING_WINDOW}
SELECT campaign, count(DISTINCT contact) FILTER (WHERE first) AS by_first_touch,
    count(DISTINCT contact) FILTER (WHERE NOT first) AS by_last_touch
FROM (SELECT campaign, contact, true AS first FROM ({NEW_BY_FIRST_TOUCH}) a
    UNION ALL SELECT campaign, contact, false FROM ({NEW_BY_LAST_TOUCH}) b) new GROUP BY campaign
""")

# The deals that count, by currency, with the amounts of those that are won; and (no currency) how many contacts bring revenue.
DEALS = sql(f"""
WITH {COUNTING_WINDOW}, {CAMPAIGN_DEAL}
SELECT c.campaign, d.currency, count(*) AS deals, count(*) FILTER (WHERE d.state = 'won') AS won,
    sum(d.amount_minor) FILTER (WHERE d.state = 'won') AS amount_minor, NULL::bigint AS contacts
FROM (SELECT campaign, deal FROM campaign_deal GROUP BY campaign, deal) c
JOIN {{g}}.deal d ON d.ws = $1 AND d.deal = c.deal GROUP BY c.campaign, d.currency
UNION ALL
SELECT campaign, NULL, NULL, NULL, NULL, count(DISTINCT contact) FROM campaign_deal WHERE revenue GROUP BY campaign
""")

# What was earned, by the place of the model in $5 and by currency; and (no currency) how many contacts earned more than 0 of one.
EARNED = sql(f"""
WITH {COUNTING_WINDOW}, {earned("$5")}, by_contact AS MATERIALIZED (
    SELECT p.campaign, p.contact, d.currency, p.n, sum(p.minor) AS minor
    FROM part p JOIN {{g}}.deal d ON d.ws = $1 AND d.deal = p.deal GROUP BY p.campaign, p.contact, d.currency, p.n
)
SELECT campaign, n, currency, sum(minor) AS minor, NULL::bigint AS contacts FROM by_contact GROUP BY campaign, n, currency
UNION ALL
SELECT campaign, n, NULL, NULL, count(DISTINCT contact) FROM by_contact WHERE minor > 0 GROUP BY campaign, n
""")

# What the campaigns earned of deals ($6), under one model. One row a campaign and deal; none where it has no touch in the journey.
EARNED_OF_DEALS = sql(f"""
WITH {COUNTING_WINDOW}, {earned("$5", "deal = ANY($6::bigint[])")}
SELECT campaign, deal, sum(minor) AS minor FROM part GROUP BY campaign, deal
""")


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


async def deal_numbers(
    snapshot: Snapshot, campaigns: Collection[int], span: TimeRange, models: Sequence[str]
) -> Mapping[int, DealNumbers]:
    """These numbers of campaigns, by key. Raises as `places`."""
    asked = list(campaigns), span.from_us, span.to_us
    out = {campaign: DealNumbers() for campaign in campaigns}
    for row in await snapshot.fetch(NEW_CONTACTS, *asked):
        one = out[row["campaign"]]
        one.by_first_touch, one.by_last_touch = row["by_first_touch"], row["by_last_touch"]
    for row in await snapshot.fetch(DEALS, *asked):
        one = out[row["campaign"]]
        if row["currency"] is None:
            one.contacts_with_revenue = row["contacts"]
            continue
        one.influenced_deals += row["deals"]
        one.closed_deals += row["won"]
        if row["amount_minor"] is not None:
            one.influenced_minor[row["currency"]] = int(row["amount_minor"])
    for row in await snapshot.fetch(EARNED, *asked, places(snapshot, models)):
        found = out[row["campaign"]].earned[models[row["n"] - 1]]
        if row["currency"] is None:
            found.contacts = row["contacts"]
        else:
            found.minor[row["currency"]] = _minor(snapshot, row["minor"], models[row["n"] - 1])
    return out


async def earned_of_deals(
    snapshot: Snapshot, campaign: int, deals: Collection[int], span: TimeRange, model: str
) -> dict[int, int]:
    """What a campaign earned of each of some deals under a model, in minor units; deals without any touch of it are absent."""
    asked = [campaign], span.from_us, span.to_us, places(snapshot, [model]), list(deals)
    rows = await snapshot.fetch(EARNED_OF_DEALS, *asked)
    return {row["deal"]: _minor(snapshot, row["minor"], model) for row in rows}


# What every campaign earned of the deals won in [$2, $3) in a currency ($4), by the place of the model in $5; and (n 0) how many deals
# and contacts have a touch of it in a journey. A null campaign stands for the touches that count for none. Of a deal without an amount,
# touches earn 0. All touches are read, so the windows are joined with them and not looked up.
EARNED_BY_CAMPAIGN = sql(f"""
WITH earning AS MATERIALIZED (
    SELECT t.deal, t.step, t.contact, t.occurred_at_us, {", ".join(f"t.{column}" for column in KEY_COLUMN.values())},
        ARRAY(SELECT CASE WHEN t.shares_minor IS NULL THEN 0 ELSE t.shares_minor[place] END FROM unnest($5::int[]) place) AS shares_minor
    FROM {{g}}.deal d JOIN {{g}}.deal_touch t ON t.ws = $1 AND t.deal = d.deal AND t.step IS NOT NULL
    WHERE d.ws = $1 AND d.state = 'won' AND d.closed_us >= $2 AND d.closed_us < $3 AND d.currency = $4
), counting_window AS MATERIALIZED (
    SELECT campaign, route, key, from_us, to_us FROM {{g}}.attribution_window WHERE ws = $1 AND window_status IN ({
    COUNTING_STATUSES
})
), met AS MATERIALIZED (
    SELECT campaign, deal, step FROM ({
    " UNION ALL ".join(
        f'''
        SELECT w.campaign, e.deal, e.step FROM earning e JOIN counting_window w ON w.key = e.{column} AND {
            within("w", "e.occurred_at_us")
        } WHERE w.route = {route:d}'''
        for route, column in KEY_COLUMN.items()
    )
}) by_route GROUP BY campaign, deal, step
), shared AS (
    SELECT deal, step, count(*) AS campaigns FROM met GROUP BY deal, step HAVING count(*) > 1
), sharing AS MATERIALIZED (
    SELECT m.campaign, m.deal, m.step, s.campaigns, row_number() OVER (PARTITION BY m.deal, m.step ORDER BY c.campaign_id) - 1 AS place
    FROM shared s JOIN met m ON m.deal = s.deal AND m.step = s.step JOIN {{g}}.campaign c ON c.ws = $1 AND c.campaign = m.campaign
), part AS MATERIALIZED (
    SELECT m.campaign, e.deal, e.contact, CASE WHEN s.campaigns IS NULL THEN e.shares_minor ELSE ARRAY(
        SELECT {split("minor", "s.campaigns", "s.place")} FROM unnest(e.shares_minor) minor) END AS parts_minor
    FROM earning e LEFT JOIN met m ON m.deal = e.deal AND m.step = e.step
    LEFT JOIN sharing s ON s.campaign = m.campaign AND s.deal = m.deal AND s.step = m.step
)
SELECT p.campaign, c.campaign_id, p.n, p.minor, p.deals, p.contacts FROM (
    SELECT campaign, 0 AS n, NULL::numeric AS minor, count(DISTINCT deal) AS deals, count(DISTINCT contact) AS contacts
    FROM part GROUP BY campaign
    UNION ALL
    SELECT campaign, m.n, sum(m.minor), NULL, NULL FROM part CROSS JOIN LATERAL unnest(parts_minor) WITH ORDINALITY m(minor, n)
    GROUP BY campaign, m.n) p
LEFT JOIN {{g}}.campaign c ON c.ws = $1 AND c.campaign = p.campaign
""")


@dataclass
class EarnedByCampaign:
    """How many deals and contacts have a touch of a campaign in a journey, and what it earned by model, in minor units."""

    deals: int = 0
    contacts: int = 0
    minor: dict[str, int] = field(default_factory=dict)


async def earned_by_campaign(
    snapshot: Snapshot, span: TimeRange, models: Sequence[str], currency: str
) -> dict[str | None, EarnedByCampaign]:
    """What every campaign, by id, earned of the deals won in a range in one currency; None: the touches that count for none.

    Campaigns without a touch in a journey are absent. Raises as `places`.
    """
    out: dict[str | None, EarnedByCampaign] = defaultdict(EarnedByCampaign)
    rows = await snapshot.fetch(EARNED_BY_CAMPAIGN, span.from_us, span.to_us, currency, places(snapshot, models))
    for row in rows:
        one = out[row["campaign_id"]]
        if row["n"] == 0:
            one.deals, one.contacts = row["deals"], row["contacts"]
        else:
            one.minor[models[row["n"] - 1]] = _minor(snapshot, row["minor"], models[row["n"] - 1])
    return dict(out)
