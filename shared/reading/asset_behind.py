"""Which contacts and deals did an asset influence? They are behind the numbers of `shared.reading.asset_list`."""

from dataclasses import dataclass, field

from shared.projection.sql import sql, sql_numbers
from shared.reading.asset_histories import HISTORY, SPAN
from shared.reading.attribution import OWNER_OF
from shared.reading.snapshot import Snapshot
from shared.reading.time_range import TimeRange
from shared.rules.deal import COUNTING_STATES, State, counts, dated_us
from shared.rules.influence import DEAL_TOUCHES, INFLUENCING

REACHED = sql(f"""
WITH span AS MATERIALIZED ({SPAN}
), history AS ({HISTORY})
SELECT o.contact, min(t.occurred_at_us) AS influence_us,
    min(t.occurred_at_us) FILTER (WHERE t.type IN ({sql_numbers(DEAL_TOUCHES)})) AS deal_touch_us
FROM history t {OWNER_OF} WHERE t.type IN ({sql_numbers(INFLUENCING)}) GROUP BY o.contact
""")  # when an asset ($2, a list of one) first reached each contact in [$3, $4)
DEALS_OF_CONTACTS = sql(f"""
SELECT d.deal, d.state, d.created_us, d.closed_us, dc.contact
FROM {{g}}.deal_contact dc JOIN {{g}}.deal d ON d.ws = $1 AND d.deal = dc.deal
WHERE dc.ws = $1 AND dc.contact = ANY($2::bigint[]) AND d.state IN ({", ".join(f"'{state}'" for state in sorted(COUNTING_STATES))})
""")  # the deals, of the states that count, that contacts ($2) are eligible for; one row a deal and contact


@dataclass
class Influenced:
    """Whom an asset influenced: its first touch of each contact, by key, in microseconds; and the keys of the deals."""

    contacts: dict[int, int] = field(default_factory=dict)
    deals: set[int] = field(default_factory=set)


async def influenced_by(snapshot: Snapshot, asset: int, span: TimeRange) -> Influenced:
    """Whom an asset, by its key, influenced (rules **influence**, **deal**), whatever campaign held it.

    A contact is of the range if the asset's first touch of it is, a deal if its close (open: its creation) is.
    """
    always, out = TimeRange(), Influenced()
    reached = {row["contact"]: row for row in await snapshot.fetch(REACHED, [asset], always.from_us, always.to_us)}
    out.contacts = {contact: row["influence_us"] for contact, row in reached.items() if row["influence_us"] in span}
    for deal in await snapshot.fetch(DEALS_OF_CONTACTS, list(reached)):
        touched_us = reached[deal["contact"]]["deal_touch_us"]
        if dated_us(deal["created_us"], deal["closed_us"]) in span and counts(
            State(deal["state"]), deal["closed_us"], touched_us
        ):
            out.deals.add(deal["deal"])
    return out
