"""What is stored of the identifiers, visitors and contacts that a batch concerns?"""

from collections import defaultdict
from collections.abc import Collection, Sequence

from shared.projection.pipeline import Context
from shared.projection.sql import sql
from shared.rules.order import Order

IDENTIFIERS = sql("SELECT identifier, contact FROM {g}.identifier WHERE ws = $1 AND identifier = ANY($2::bigint[])")
IDENTIFICATIONS = sql("""
SELECT visitor, occurred_at_us, event_id, identifier FROM {g}.identifier_mention WHERE ws = $1 AND visitor = ANY($2::bigint[])
""")
COMPONENTS = sql("""
WITH RECURSIVE near(identifier) AS (
    SELECT unnest($2::bigint[])
    UNION SELECT identifier FROM {g}.identifier WHERE ws = $1 AND contact = ANY($3::bigint[])
    UNION SELECT l.b FROM near CROSS JOIN LATERAL (SELECT b FROM {g}.identity_edge WHERE ws = $1 AND a = near.identifier OFFSET 0) l
)
SELECT i.*, ARRAY(SELECT l.b FROM {g}.identity_edge l WHERE l.ws = $1 AND l.a = i.identifier) AS linked
FROM near CROSS JOIN LATERAL (SELECT * FROM {g}.identifier WHERE ws = $1 AND identifier = near.identifier OFFSET 0) i
""")  # the identifiers that the marked ones may belong together with, and what edges them
# OFFSET 0 has each looked up: PostgreSQL guesses that a hundred times as many are near, and would read all identifiers for each batch.
INTERNAL = sql("SELECT contact FROM {g}.internal_contact WHERE ws = $1 AND contact = ANY($2::bigint[])")
PERSONS_OF = sql("SELECT DISTINCT person FROM {g}.identity_interval WHERE ws = $1 AND identifier = ANY($2::bigint[])")
CONTACTS_AT = sql("""
SELECT contact FROM {g}.identifier WHERE ws = $1 AND is_email AND split_part(text, '@', 2) = ANY($2::text[])
""")  # contacts with an email of these domains


async def identifications(context: Context, visitors: Sequence[int]) -> dict[int, list[tuple[Order, int]]]:
    """Who each of these visitors was identified as, and when."""
    identified: dict[int, list[tuple[Order, int]]] = defaultdict(list)
    for row in await context.connection.fetch(IDENTIFICATIONS, context.ws, visitors):
        identified[row["visitor"]].append((Order(row["occurred_at_us"], row["event_id"]), row["identifier"]))
    return identified


async def contacts_at(context: Context, domains: Collection[str]) -> set[int]:
    """The contacts with an email address of these domains."""
    if not domains:
        return set()
    rows = await context.connection.fetch(CONTACTS_AT, context.ws, list(domains))
    return {row["contact"] for row in rows if row["contact"] is not None}
