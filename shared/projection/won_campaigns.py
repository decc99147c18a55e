"""Which deals won in spans of time count for campaigns, and what did these earn of them? For reads, and for `won_campaign_day`, which is made of it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from shared.projection.campaign_cells import Rows
from shared.projection.credit_sums import keys_of, minor_of_parts, parts_of_campaigns, whole
from shared.projection.spans import DEALS, SPANS, Span, columns_of
from shared.projection.sql import Statement, sql, sql_numbers
from shared.projection.windows import COUNTING_STATUSES, KEY_COLUMN, within
from shared.rules.influence import REVENUE_TOUCHES

_MET = " UNION ALL ".join(
    f"""
    SELECT w.campaign, d.n, d.currency, d.amount_minor, d.deal, d.contact, d.revenue FROM dealt d
    JOIN counting_window w ON w.key = d.{column} AND {within("w", "d.occurred_at_us")} WHERE w.route = {route:d}"""
    for route, column in KEY_COLUMN.items()
)


def counted(met: str) -> str:
    """The end of a WITH clause, and its statement: the deals that count for campaigns, with the keys of the contacts by whom they bring revenue.
    One row a campaign, span and currency.

    `met` is a statement whose rows are the touches by which deals count: `campaign`, the place `n` of the span, `currency` and `amount_minor` of the
    deal, `deal`, `contact`, and `revenue`, whether the contact brings revenue. A touch may stand several times.
    """
    return f"""met AS MATERIALIZED ({met}
), deal_of AS (
    SELECT campaign, n, currency, deal, min(amount_minor) AS amount_minor FROM met GROUP BY campaign, n, currency, deal
), contacts_of AS (
    SELECT campaign, n, currency, {keys_of("contact")} AS contacts FROM met WHERE revenue GROUP BY campaign, n, currency
)
SELECT d.campaign, d.n, d.currency, d.deals, d.amount_minor, coalesce(c.contacts, ''::bytea) AS contacts FROM (
    SELECT campaign, n, currency, count(*) AS deals, sum(amount_minor) AS amount_minor FROM deal_of GROUP BY campaign, n, currency) d
LEFT JOIN contacts_of c ON c.campaign = d.campaign AND c.n = d.n AND c.currency = d.currency
"""


# The deals won in the spans between $2 and $3 that count for campaigns ($4; null: for any): see `counted`.
COUNTING = sql(f"""
WITH dealt AS MATERIALIZED (
    SELECT span.n, d.currency, d.amount_minor, t.deal, t.contact, t.occurred_at_us, t.type IN ({sql_numbers(REVENUE_TOUCHES)}) AS revenue,
        {", ".join(f"t.{column}" for column in KEY_COLUMN.values())}
    FROM {SPANS} {DEALS} CROSS JOIN LATERAL (SELECT * FROM {{g}}.deal_touch WHERE ws = $1 AND deal = d.deal OFFSET 0) t
), counting_window AS MATERIALIZED (
    SELECT campaign, route, key, from_us, to_us FROM {{g}}.attribution_window
    WHERE ws = $1 AND window_status IN ({COUNTING_STATUSES}) AND ($4::bigint[] IS NULL OR campaign = ANY($4))
), {counted(_MET)}
""")


@lru_cache(maxsize=64)
def _earned_by_contacts(models: tuple[str, ...]) -> Statement:
    """What campaigns earned of the deals won in the spans between $2 and $3. One row a campaign, span, currency and contact."""
    return sql(f"""{parts_of_campaigns(models)}
SELECT campaign, n, currency, contact, {minor_of_parts(models)} AS minor FROM part
WHERE campaign IS NOT NULL AND paid GROUP BY campaign, n, currency, contact
""")


@dataclass(slots=True)
class WonOfCampaign:
    """The deals won in one span in a currency that count for a campaign: how many, their amount in minor units (None: none has one), and the
    keys of the contacts by whom they bring revenue. And what the campaign earned of them, by the models that were asked for (None: the
    store lacks the model), with the keys of the contacts by whom it earned more than 0.

    `minor` is None if no touch of the campaign earned anything. `refunded`: it earned less than 0 by a contact, under some model.
    """

    span: int
    campaign: int
    currency: str
    deals: int
    amount_minor: int | None
    contacts: bytes
    minor: list[int | None] | None = None
    earning: list[bytes] = field(default_factory=list)
    refunded: bool = False

    def earned(self, contact: int, minor: Sequence[Any]) -> None:
        """Add what the campaign earned by a contact, by model."""
        found = [whole(each) for each in minor]
        if self.minor is None:
            self.minor = [0] * len(found)
            self.earning = [b""] * len(found)
        for n, each in enumerate(found):
            had = self.minor[n]
            self.minor[n] = None if had is None or each is None else had + each
            if each is not None and each > 0:
                self.earning[n] += contact.to_bytes(8, "big", signed=True)
        self.refunded |= any(each is not None and each < 0 for each in found)


async def won_of_campaigns(
    store: Rows, spans: Sequence[Span], models: Sequence[str], campaigns: Collection[int] | None = None
) -> list[WonOfCampaign]:
    """What deals that were won in spans of time are to campaigns, by campaign, span and currency, under published models.

    `campaigns` are the keys of those that are asked for (None: all).
    """
    asked = None if campaigns is None else list(campaigns)
    found: dict[tuple[int, int, str], WonOfCampaign] = {}
    for campaign, n, currency, deals, amount_minor, contacts in await store.fetch(COUNTING, *columns_of(spans), asked):
        place = campaign, n, currency
        found[place] = WonOfCampaign(n - 1, campaign, currency, deals, whole(amount_minor), contacts)
    for campaign, n, currency, contact, minor in await store.fetch(
        _earned_by_contacts(tuple(models)), *columns_of(spans), None
    ):
        if campaigns is None or campaign in campaigns:
            found[campaign, n, currency].earned(contact, minor)
    return list(found.values())
