"""Which contacts are new to campaigns, which deals count for them, and what did these earn? For any number of models in one pass."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from shared.projection.generations import WrongShape, lacks_model
from shared.projection.sql import sql
from shared.reading.campaign_keys import (
    CAMPAIGN_DEAL,
    COUNTING_WINDOW,
    MODEL_PLACES,
    NEW_BY_FIRST_TOUCH,
    NEW_BY_LAST_TOUCH,
    earned,
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
    SELECT p.campaign, p.contact, d.currency, m.n, sum(m.minor) AS minor
    FROM part p JOIN {{g}}.deal d ON d.ws = $1 AND d.deal = p.deal CROSS JOIN LATERAL unnest(p.parts_minor) WITH ORDINALITY m(minor, n)
    GROUP BY p.campaign, p.contact, d.currency, m.n
)
SELECT campaign, n, currency, sum(minor) AS minor, NULL::bigint AS contacts FROM by_contact GROUP BY campaign, n, currency
UNION ALL
SELECT campaign, n, NULL, NULL, count(DISTINCT contact) FROM by_contact WHERE minor > 0 GROUP BY campaign, n
""")

# What the campaigns earned of deals ($6), under one model. One row a campaign and deal; none where it has no touch in the journey.
EARNED_OF_DEALS = sql(f"""
WITH {COUNTING_WINDOW}, {earned("$5", "deal = ANY($6::bigint[])")}
SELECT campaign, deal, sum(parts_minor[1]) AS minor FROM part GROUP BY campaign, deal
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
            found.minor[row["currency"]] = int(row["minor"])
    return out


async def earned_of_deals(
    snapshot: Snapshot, campaign: int, deals: Collection[int], span: TimeRange, model: str
) -> dict[int, int]:
    """What a campaign earned of each of some deals under a model, in minor units; deals without any touch of it are absent."""
    asked = [campaign], span.from_us, span.to_us, places(snapshot, [model]), list(deals)
    return {row["deal"]: int(row["minor"]) for row in await snapshot.fetch(EARNED_OF_DEALS, *asked)}
