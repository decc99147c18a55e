"""Which contacts and deals did an asset influence? They are behind the numbers of `shared.reading.asset_list`."""

from collections.abc import Sequence
from typing import Any

from shared.projection.sql import sql, sql_numbers
from shared.projection.windows import KEY_COLUMN, within
from shared.reading.asset_histories import HISTORY, SPAN, influenced_between
from shared.reading.asset_list import DEALS_MET, Seen
from shared.reading.attribution import OWNER_OF, touched
from shared.reading.cells import contacts_of_a_page
from shared.reading.keyset import Ordering
from shared.reading.snapshot import Snapshot
from shared.reading.time_range import TimeRange
from shared.rules.influence import INFLUENCING
from shared.rules.pre_association import Route

REACHED = sql(f"""
WITH span AS MATERIALIZED ({SPAN}
), history AS ({HISTORY})
SELECT o.contact, min(t.occurred_at_us) AS at_us
FROM history t {OWNER_OF} WHERE t.type IN ({sql_numbers(INFLUENCING)}) GROUP BY o.contact
""")  # when an asset ($2, a list of one) first reached each contact in [$3, $4)
_BY_ROUTE = " UNION ALL ".join(
    f"""
    SELECT t.contact, t.occurred_at_us FROM touched t JOIN span s ON s.route = {route:d} AND s.key = t.{KEY_COLUMN[route]} AND {within("s")}"""
    for route in (Route.ASSET, Route.VIA)
)
# The same of contacts ($5) alone.
REACHED_OF = sql(f"""
WITH span AS MATERIALIZED ({SPAN}), {touched("$5", "$3", "$4")}
SELECT contact, min(occurred_at_us) AS at_us FROM ({_BY_ROUTE}) t GROUP BY contact
""")
REACHED_ORDER = Ordering((("at_us", "bigint"), ("contact", "bigint")))
"""By the instant of an asset's first touch of a contact, and the contact's key."""
DEALS = sql(f"WITH span AS MATERIALIZED ({SPAN}), met AS ({DEALS_MET}) SELECT DISTINCT deal FROM met")


async def contacts_influenced(
    snapshot: Snapshot, asset: int, span: TimeRange, seen: Seen | None, after: Sequence[Any] | None, limit: int
) -> list[list[int]]:
    """Of the contacts whom an asset, by its key, influenced first in a range, at most `limit` after a key: the instant in microseconds, and
    the contact's key, in order. Whatever campaign held it (rule **influence**). `seen` is what `seen_assets` says of it in the range.
    """
    if seen is None:
        return []
    pieces = await influenced_between(snapshot, asset, span, seen)
    if pieces is None:
        rows = await snapshot.fetch(REACHED, [asset], TimeRange().from_us, TimeRange().to_us)
    else:
        begin_us = span.from_us if after is None else max(span.from_us, after[0])
        page = contacts_of_a_page(pieces, begin_us, limit)
        rows = await snapshot.fetch(REACHED_OF, [asset], page.from_us, page.to_us, page.contacts)
    keys = sorted([row["at_us"], row["contact"]] for row in rows if row["at_us"] in span)
    return [key for key in keys if after is None or key > list(after)][:limit]


async def deals_influenced(snapshot: Snapshot, asset: int, span: TimeRange) -> set[int]:
    """The keys of the deals of a range that count for an asset, by its key: by the close, open ones by the creation (rule **deal**)."""
    return {row["deal"] for row in await snapshot.fetch(DEALS, [asset], span.from_us, span.to_us)}
