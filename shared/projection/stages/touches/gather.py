"""What is stored of the visitors of a batch, and of page visits whose keys follow changed settings?"""

from collections.abc import Sequence

from shared.projection.pipeline import Context
from shared.projection.sql import sql
from shared.projection.visitors import VISITORS, VisitorState
from shared.rules.influence import TouchType

VISITS = sql(f"""
SELECT person, occurred_at_us, event_id, url, utm_told, referrer, asset_id, via_asset_id, asset_or_page_key, via, source
FROM {{g}}.touch WHERE ws = $1 AND type = {TouchType.PAGE_VISITED:d}
""")


async def visitor_states(context: Context, visitors: Sequence[int]) -> dict[int, VisitorState]:
    """The stored states of these visitors; those that are new have none."""
    if not visitors:
        return {}
    rows = await context.connection.fetch(VISITORS, context.ws, visitors)
    return {row["visitor"]: VisitorState.of(row) for row in rows}
