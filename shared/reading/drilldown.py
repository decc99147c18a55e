"""Which contacts and deals are behind a number of a campaign? In pages that the database cuts."""

from collections.abc import Collection, Sequence
from typing import Any

from shared.projection.days import Days
from shared.projection.new_contacts import COUNTING_WINDOW, NEW_BY_FIRST_TOUCH, NEW_BY_LAST_TOUCH
from shared.projection.sql import Statement, sql
from shared.projection.windows import KEY_COLUMN, within
from shared.reading.attribution import OWNER_OF, REACHED, in_range, touched
from shared.reading.campaign_deals import earning_contacts, places
from shared.reading.campaign_keys import (
    CAMPAIGN_DEAL,
    MODEL_PLACES,
    earned,
)
from shared.reading.cells import cells_days
from shared.reading.influenced import PageOfContacts, contacts_of_a_page, influenced_by_day
from shared.reading.keyset import Ordering, key_arguments
from shared.reading.snapshot import Snapshot
from shared.reading.time_range import TimeRange

CONTACT_ORDER = Ordering((("b.at_us", "bigint"), ("c.name", "text"), ("b.contact", "bigint")))
"""By the instant that dates a contact, its name and its key: the columns at_us, name and contact of a row."""
DEAL_ORDER = Ordering((("d.dated_us", "bigint"), ("d.deal_id", "text")))
"""By the instant that dates a deal, and its id: the columns dated_us and deal_id of a row."""


def _page(parts: str, behind: str, deciding_event: str) -> Statement:
    """At most $8 (null: all) contacts behind a number of campaigns, in `CONTACT_ORDER`, after the key $5, $6, $7 (null: the first).

    `parts` are parts of a WITH. `behind` has the columns campaign, contact, at_us and event_id; `deciding_event` is SQL on it as `b`
    and on the contact's row `c`.
    """
    after, order_by = CONTACT_ORDER.clauses(5)
    return sql(f"""
WITH {parts}, behind AS MATERIALIZED ({behind}), page AS (
    SELECT b.campaign, b.contact, b.at_us, b.event_id, c.name, c.created_event
    FROM behind b JOIN {{g}}.contact c ON c.ws = $1 AND c.contact = b.contact
    WHERE {after} {order_by} LIMIT $8::bigint)
SELECT b.campaign, b.contact, b.name, b.at_us, {deciding_event} AS deciding_event FROM page b ORDER BY b.at_us, b.name, b.contact
""")


_CLOSE = """(SELECT max(d.closed_event) FROM {g}.deal_contact dc JOIN {g}.deal d ON d.ws = $1 AND d.deal = dc.deal
    AND d.state = 'won' AND d.closed_us = b.at_us WHERE dc.ws = $1 AND dc.contact = b.contact)"""
_NEW = "SELECT DISTINCT campaign, contact, created_us AS at_us, NULL::text AS event_id FROM ({new}) new"

CONTACTS = {
    "influenced_contacts": _page(
        REACHED,
        f"""SELECT * FROM (SELECT DISTINCT ON (t.campaign, o.contact) t.campaign, o.contact, t.occurred_at_us AS at_us, t.event_id
            FROM reached t {OWNER_OF} ORDER BY t.campaign, o.contact, t.occurred_at_us, t.event_id) first
        WHERE {in_range("at_us")}""",
        "b.event_id",
    ),
    "new_contacts_first_touch": _page(COUNTING_WINDOW, _NEW.format(new=NEW_BY_FIRST_TOUCH), "b.created_event"),
    "new_contacts_last_touch": _page(COUNTING_WINDOW, _NEW.format(new=NEW_BY_LAST_TOUCH), "b.created_event"),
    "contacts_with_revenue": _page(
        f"{COUNTING_WINDOW}, {CAMPAIGN_DEAL}",
        "SELECT campaign, contact, max(dated_us) AS at_us, NULL::text AS event_id FROM campaign_deal WHERE revenue GROUP BY campaign, contact",
        _CLOSE,
    ),
    "contacts_with_attributed_revenue": _page(
        f"{COUNTING_WINDOW}, {earned('$9')}",
        """SELECT campaign, contact, max(closed_us) AS at_us, NULL::text AS event_id FROM (
            SELECT p.campaign, p.contact, sum(p.minor) AS minor, max(p.dated_us) FILTER (WHERE p.minor > 0) AS closed_us
            FROM part p JOIN {g}.deal d ON d.ws = $1 AND d.deal = p.deal GROUP BY p.campaign, p.contact, d.currency) by_currency
        WHERE minor > 0 GROUP BY campaign, contact""",
        _CLOSE,
    ),
}
"""By metric, the contacts behind it."""
EARNING_CONTACTS = _page(
    f"""earning AS MATERIALIZED (
    SELECT * FROM unnest($9::bigint[], $10::bigint[], $11::bigint[]) e(campaign, contact, at_us)
    WHERE campaign = ANY($2::bigint[]) AND {in_range("at_us")})""",
    "SELECT campaign, contact, at_us, NULL::text AS event_id FROM earning",
    _CLOSE,
)
"""Of the contacts by whom campaigns earned: their campaigns ($9), keys ($10) and instants ($11), worked out under a model of the
workspace's own."""

_BY_ROUTE = " UNION ALL ".join(
    f"""
    SELECT w.campaign, t.contact, t.occurred_at_us, t.event_id FROM touched t
    JOIN counting_window w ON w.route = {route:d} AND w.key = t.{column} AND {within("w")}"""
    for route, column in KEY_COLUMN.items()
)
INFLUENCED_OF = _page(
    f"{COUNTING_WINDOW}, {touched('$9', '$10', '$11')}",
    f"""SELECT * FROM (SELECT DISTINCT ON (t.campaign, t.contact) t.campaign, t.contact, t.occurred_at_us AS at_us, t.event_id
        FROM ({_BY_ROUTE}) t ORDER BY t.campaign, t.contact, t.occurred_at_us, t.event_id) first
    WHERE {in_range("at_us")}""",
    "b.event_id",
)
"""Of the contacts $9, whom a campaign influenced first between $10 and $11: the same page."""

_AFTER, _ORDER_BY = DEAL_ORDER.clauses(5)
_DEALS = f"""
WITH {COUNTING_WINDOW}, {CAMPAIGN_DEAL}
SELECT d.* FROM (
    SELECT d.*, coalesce(d.closed_us, d.created_us) AS dated_us FROM (SELECT DISTINCT deal FROM campaign_deal) c
    JOIN {{g}}.deal d ON d.ws = $1 AND d.deal = c.deal) d
WHERE {_AFTER} AND {{condition}} {_ORDER_BY} LIMIT $7::bigint
"""
DEALS = {
    "influenced_deals": sql(_DEALS.replace("{condition}", "true")),
    "closed_deals": sql(_DEALS.replace("{condition}", "d.state = 'won'")),
}
"""By metric, the deals behind it of campaigns: rows of `deal`, each with the instant `dated_us` (rule **deal**)."""


async def contacts_behind(
    snapshot: Snapshot, campaigns: Collection[int], metric: str, span: TimeRange, model: str,
    after: Sequence[Any] | None = None, limit: int | None = None,
) -> list[Any]:  # fmt: skip
    """At most `limit` contacts behind a metric of `CONTACTS`, in `CONTACT_ORDER`, after a key, with the columns that `_page` lists.

    Revenue is shared out under a model. Raises `WrongShape` if the store lacks it, and `NotFound` if there is no such model.
    """
    asked: list[Any] = [list(campaigns), span.from_us, span.to_us, *key_arguments(CONTACT_ORDER, after), limit]
    if metric == "influenced_contacts" and limit is not None and len(campaigns) == 1:
        days = await cells_days(snapshot)
        if days is not None:
            (campaign,) = campaigns
            return await snapshot.fetch(
                INFLUENCED_OF, *asked, *await _influenced(snapshot, days, campaign, span, after, limit)
            )
    if metric != "contacts_with_attributed_revenue":
        return await snapshot.fetch(CONTACTS[metric], *asked)
    if model in MODEL_PLACES:
        return await snapshot.fetch(CONTACTS[metric], *asked, places(snapshot, [model]))
    earning = await earning_contacts(snapshot, campaigns, span, model)
    columns = [campaign for campaign, _ in earning], [contact for _, contact in earning], list(earning.values())
    return await snapshot.fetch(EARNING_CONTACTS, *asked, *columns)


async def _influenced(
    snapshot: Snapshot, days: Days, campaign: int, span: TimeRange, after: Sequence[Any] | None, limit: int
) -> PageOfContacts:
    """Which contacts a page can have whom a campaign influenced, and between which instants it did so first."""
    pieces = await influenced_by_day(snapshot, days, campaign, (span.from_us, span.to_us))
    return contacts_of_a_page(pieces, span.from_us if after is None else max(span.from_us, after[0]), limit)


async def deals_behind(
    snapshot: Snapshot, campaigns: Collection[int], metric: str, span: TimeRange,
    after: Sequence[Any] | None = None, limit: int | None = None,
) -> list[Any]:  # fmt: skip
    """The rows of at most `limit` deals behind a metric of `DEALS`, in `DEAL_ORDER`, after a key."""
    key = key_arguments(DEAL_ORDER, after)
    return await snapshot.fetch(DEALS[metric], list(campaigns), span.from_us, span.to_us, *key, limit)
