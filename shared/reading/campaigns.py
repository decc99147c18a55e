"""What is known of campaigns?"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from shared.events.codec import decode_event
from shared.events.instants import to_rfc3339
from shared.events.money import to_minor, to_money
from shared.events.registry import name_of, names_like, sql_names
from shared.events.types import MONEY_GOALS, CampaignCreated, GoalMetric, SpendRecorded
from shared.projection.sql import sql
from shared.reading.keyset import HOLDS_TEXT, Ordering, both_ways, key_arguments, paged
from shared.reading.overview import CampaignNumbers, campaign_numbers
from shared.reading.snapshot import NotFound, Snapshot
from shared.reading.time_range import TimeRange
from shared.rules import goal
from shared.rules.association import REFUSED
from shared.rules.keys import campaign_key

_HOLDS = HOLDS_TEXT.replace("$3", "$2")
_NAME = """lower(coalesce(c.name, c.campaign_id COLLATE "default")) COLLATE "C\""""
CAMPAIGN_ORDERS = both_ways(
    {
        "campaign_id": Ordering((("c.campaign_id", "text"),)),
        "name": Ordering(((_NAME, "text"), ("c.campaign_id", "text"))),
    }
)
"""By the id, or by the name; a campaign without one by its id."""
_WITH = f"""
FROM {{g}}.campaign c WHERE c.ws = $1 AND ($2::text = '' OR {_HOLDS.format(column='c.campaign_id COLLATE "default"')}
    OR {_HOLDS.format(column="c.name")} OR EXISTS (
        SELECT FROM {{g}}.entity_event e WHERE e.ws = $1 AND e.subject = c.campaign AND e.live AND e.object IS NOT NULL
            AND e.type IN {sql_names(names_like(CampaignCreated))}
            AND {_HOLDS.format(column="(convert_from(e.body, 'UTF8')::json ->> 'utm_campaign')")}))"""
CAMPAIGNS = sql(f"SELECT c.* {_WITH} ORDER BY c.campaign_id")
_PAGES = paged(f"SELECT c.*, {{keys}} {_WITH} AND {{after}}", CAMPAIGN_ORDERS, 3)
CAMPAIGN = sql("SELECT * FROM {g}.campaign WHERE ws = $1 AND campaign = $2")
CLAIMED = sql(f"""
SELECT object, min(occurred_at_us) AS since_us, (array_agg(body ORDER BY occurred_at_us, event_id))[1] AS body, subject
FROM {{g}}.entity_event WHERE ws = $1 AND subject = ANY($2::bigint[]) AND type IN {sql_names(names_like(CampaignCreated))} AND live
    AND object IS NOT NULL
GROUP BY subject, object ORDER BY subject, 2
""")  # the utm values in events of campaigns, each since the first event with it
CAMPAIGN_EVENTS = sql(f"""
SELECT subject, body FROM {{g}}.entity_event
WHERE ws = $1 AND subject = ANY($2::bigint[]) AND type IN {sql_names(names_like(CampaignCreated))} AND live
ORDER BY subject, occurred_at_us, event_id
""")  # what created and changed campaigns
SPENT = sql(f"""
SELECT body FROM {{g}}.entity_event WHERE ws = $1 AND subject = $2 AND type = '{name_of(SpendRecorded)}' AND live
""")
ASSOCIATIONS = sql("""
SELECT a.asset, s.asset_id, s.asset_type, s.name, a.from_us, a.to_us, a.event_id
FROM {g}.association a LEFT JOIN {g}.asset s ON s.ws = $1 AND s.asset = a.asset
WHERE a.ws = $1 AND a.campaign = $2 ORDER BY a.from_us, a.event_id
""")
REFUSALS = sql(f"""
SELECT i.occurred_at_us, i.event_id, i.reason, s.asset_id, s.asset_type, s.name
FROM {{g}}.ignored_association i LEFT JOIN {{g}}.asset s ON s.ws = $1 AND s.asset = i.asset
WHERE i.ws = $1 AND i.campaign = $2 AND i.reason IN ({", ".join(f"'{reason}'" for reason in sorted(REFUSED))})
ORDER BY i.occurred_at_us, i.event_id
""")


async def campaigns_with(snapshot: Snapshot, text: str) -> list[Any]:
    """The rows of the campaigns whose id, name or utm values hold a text, in any case, in the order of their ids."""
    return await snapshot.fetch(CAMPAIGNS, text)


async def campaigns_page(
    snapshot: Snapshot, text: str, sort: str, after: Sequence[Any] | None, limit: int
) -> tuple[list[Any], list[list[Any]]]:
    """Of these campaigns the rows of at most `limit` in an order of `CAMPAIGN_ORDERS`, after a key; and the key of each."""
    order = CAMPAIGN_ORDERS[sort]
    rows = await snapshot.fetch(_PAGES[sort], text, *key_arguments(order, after), limit)
    return rows, [order.key_of(row) for row in rows]


async def campaign_row(snapshot: Snapshot, campaign_id: str) -> Any:
    """The row of a campaign. Raises `NotFound`."""
    row = await snapshot.fetchrow(CAMPAIGN, campaign_key(campaign_id))
    if row is None:
        raise NotFound("campaign", campaign_id)
    return row


async def numbers_of_campaign(snapshot: Snapshot, campaign_id: str, span: TimeRange, model: str) -> CampaignNumbers:
    """The numbers of one campaign. Raises as `campaign_row` and `campaign_numbers`."""
    row = await campaign_row(snapshot, campaign_id)
    return (await campaign_numbers(snapshot, {row["campaign"]: campaign_id}, span, model))[row["campaign"]]


async def associations(snapshot: Snapshot, campaign: int) -> list[Any]:
    """The rows of all times in which a campaign, by its key, held an asset, in order."""
    return await snapshot.fetch(ASSOCIATIONS, campaign)


async def refusals(snapshot: Snapshot, campaign: int) -> list[Any]:
    """The rows of the associations that a campaign, by its key, was refused, in order, with the reasons."""
    return await snapshot.fetch(REFUSALS, campaign)


async def claimed_values(snapshot: Snapshot, campaigns: list[int]) -> dict[int, list[dict[str, str]]]:
    """The utm values in the events of each campaign, by its key, as sent, each with the instant of the first event that has it."""
    out: dict[int, list[dict[str, str]]] = {}
    for row in await snapshot.fetch(CLAIMED, campaigns):
        value: str = getattr(decode_event(row["body"]), "utm_campaign", "")
        out.setdefault(row["subject"], []).append({"value": value, "since": to_rfc3339(row["since_us"])})
    return out


async def goals_of(snapshot: Snapshot, rows: Iterable[Any]) -> dict[int, dict[str, Any]]:
    """What each of these campaigns, by its key, is to reach (rule **goal**), by metric: a count, or an amount of money."""
    goals: dict[int, list[Mapping[GoalMetric, str] | None]] = defaultdict(list)
    currencies = {row["campaign"]: row["currency"] for row in rows}
    for row in await snapshot.fetch(CAMPAIGN_EVENTS, list(currencies)):
        event = decode_event(row["body"])
        assert isinstance(event, CampaignCreated)
        goals[row["subject"]].append(event.goals)
    return {
        key: {
            name: to_money(value, currency) if name in MONEY_GOALS else value
            for name, value in goal.values(goal.latest(goals[key]), currency).items()
        } for key, currency in currencies.items()
    }  # fmt: skip


async def spent_minor(snapshot: Snapshot, campaign: int) -> dict[str, int]:
    """What was spent on a campaign, by its key, in minor units by currency."""
    spent: dict[str, int] = {}
    for row in await snapshot.fetch(SPENT, campaign):
        event = decode_event(row["body"])
        assert isinstance(event, SpendRecorded)
        spent[event.currency] = spent.get(event.currency, 0) + to_minor(event.amount, event.currency)
    return spent
