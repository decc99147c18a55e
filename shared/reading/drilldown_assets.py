"""Which touches does an asset have, and which contacts and deals did it influence? They are behind the numbers of `shared.reading.asset_list`."""

from collections.abc import Collection, Sequence
from typing import Any

from shared.projection.sql import sql, sql_numbers
from shared.projection.windows import KEY_COLUMN, within
from shared.reading.asset_histories import HISTORY, SPAN, influenced_between
from shared.reading.asset_list import DEALS_MET, Seen
from shared.reading.attribution import OWNER_OF, in_range, touched
from shared.reading.drilldown_touches import TOUCH_ORDER
from shared.reading.influenced import contacts_of_a_page
from shared.reading.keyset import Ordering, key_arguments
from shared.reading.snapshot import Snapshot
from shared.reading.time_range import TimeRange
from shared.rules.excluded_traffic import TrafficClass
from shared.rules.influence import INFLUENCING, TouchType
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

_AFTER, _IN_ORDER = TOUCH_ORDER.clauses(5)
_OF_SPAN = " UNION ALL ".join(
    f"""
    SELECT t.* FROM span s CROSS JOIN LATERAL (
        SELECT t.person, t.occurred_at_us, t.event_id FROM {{g}}.touch t
        WHERE t.ws = $1 AND t.{KEY_COLUMN[route]} = s.key AND {within("s")} AND {in_range("t.occurred_at_us")}
            AND t.occurred_at_us >= coalesce($5::bigint, $3::bigint) AND {_AFTER}
            AND t.type = ANY($8::smallint[]) AND t.traffic_class = {TrafficClass.COUNTED:d} {_IN_ORDER} LIMIT $7::bigint) t
    WHERE s.route = {route:d}"""
    for route in (Route.ASSET, Route.VIA)
)
# At most $7 touches of some types ($8) of an asset ($2, a list of one) in [$3, $4) that count, after the key $5 and $6 (null: the first).
# Of each key no more are read than a page has; a touch that is of the asset in two ways stands once.
TOUCHES = sql(f"""
WITH span AS MATERIALIZED ({SPAN}), met AS ({_OF_SPAN})
SELECT DISTINCT person, occurred_at_us, event_id FROM met t {_IN_ORDER} LIMIT $7::bigint
""")


async def touches_of_asset(
    snapshot: Snapshot,
    asset: int,
    types: Collection[TouchType],
    span: TimeRange,
    after: Sequence[Any] | None,
    limit: int,
) -> list[Any]:
    """Where at most `limit` touches of an asset, by its key, are that count, in `TOUCH_ORDER`, after a key: rows with person, occurred_at_us
    and event_id. Whatever campaign held it.
    """
    key = key_arguments(TOUCH_ORDER, after)
    return await snapshot.fetch(TOUCHES, [asset], span.from_us, span.to_us, *key, limit, sorted(types))


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
