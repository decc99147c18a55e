"""Which touches get credit for the deals and contacts that were created in a range (rule **created credit**)?"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.events.instants import DAY_US
from shared.projection.sql import owned, sql, sql_numbers
from shared.reading.snapshot import Snapshot
from shared.reading.time_range import TimeRange
from shared.rules.created import roles_of_contact, roles_of_deal
from shared.rules.credit import Lead, Step
from shared.rules.deal import State
from shared.rules.excluded_traffic import TrafficClass
from shared.rules.influence import REVENUE_TOUCHES
from shared.rules.models import Role
from shared.rules.order import Order

TOUCH_COLUMNS = "t.person, t.occurred_at_us, t.event_id, t.type, t.asset_id, t.asset_or_page_key, t.via, t.utm"
OWNED_TOUCHES = f"""
JOIN {{g}}.touch t ON t.ws = $1 AND t.person = o.person AND t.occurred_at_us >= o.from_us AND t.occurred_at_us <= o.to_us
    AND {owned()} AND t.traffic_class = {TrafficClass.COUNTED:d}
    AND t.type IN ({sql_numbers(REVENUE_TOUCHES)})"""

CONTACTS = sql("""
SELECT contact AS subject, contact, name, created_us, created_event FROM {g}.contact
WHERE ws = $1 AND created_us >= $2 AND created_us < $3 AND NOT internal AND ($4::bigint[] IS NULL OR contact = ANY($4))
""")
TOUCHES_OF_CONTACTS = sql(f"""
SELECT c.contact AS subject, c.contact, {TOUCH_COLUMNS} FROM {{g}}.contact c
JOIN {{g}}.identity_interval o ON o.ws = $1 AND o.contact = c.contact {OWNED_TOUCHES}
    AND (t.occurred_at_us, t.event_id) <= (c.created_us, c.created_event)
    AND ($5::bigint IS NULL OR t.occurred_at_us >= c.created_us - $5)
WHERE c.ws = $1 AND c.created_us >= $2 AND c.created_us < $3 AND NOT c.internal AND ($4::bigint[] IS NULL OR c.contact = ANY($4))
ORDER BY c.contact, t.occurred_at_us, t.event_id
""")  # the revenue touches of each such contact up to its conversion, within $5 microseconds before it
DEALS = sql(f"""
SELECT d.deal AS subject, d.created_us, dc.contact, c.name, c.created_us AS lead_us, c.created_event AS lead_event
FROM {{g}}.deal d LEFT JOIN {{g}}.deal_contact dc ON dc.ws = $1 AND dc.deal = d.deal
LEFT JOIN {{g}}.contact c ON c.ws = $1 AND c.contact = dc.contact
WHERE d.ws = $1 AND d.created_us >= $2 AND d.created_us < $3 AND d.state <> '{State.DELETED}' AND ($4::bigint[] IS NULL OR d.deal = ANY($4))
""")  # a row a deal and eligible contact
TOUCHES_OF_DEALS = sql(f"""
SELECT d.deal AS subject, dc.contact, {TOUCH_COLUMNS} FROM {{g}}.deal d
JOIN {{g}}.deal_contact dc ON dc.ws = $1 AND dc.deal = d.deal
JOIN {{g}}.identity_interval o ON o.ws = $1 AND o.contact = dc.contact {OWNED_TOUCHES}
    AND t.occurred_at_us <= d.created_us AND ($5::bigint IS NULL OR t.occurred_at_us >= d.created_us - $5)
WHERE d.ws = $1 AND d.created_us >= $2 AND d.created_us < $3 AND d.state <> '{State.DELETED}' AND ($4::bigint[] IS NULL OR d.deal = ANY($4))
ORDER BY d.deal, t.occurred_at_us, t.event_id
""")  # the revenue touches of its eligible contacts at or before each such deal's creation


@dataclass
class Created:
    """A deal or contact that was created, and the touches of its journey in order, of rows with the columns of a touch."""

    subject: int
    created_us: int
    leads: list[Lead] = field(default_factory=list)
    touches: list[Any] = field(default_factory=list)
    of_deal: bool = False

    @property
    def roles(self) -> dict[Role, int]:
        """The key interactions of the journey."""
        steps = [Step(Order(t["occurred_at_us"], t["event_id"]), t["contact"]) for t in self.touches]
        if not steps:
            return {}
        return (
            roles_of_deal(steps, self.leads, self.created_us)
            if self.of_deal
            else roles_of_contact(steps, self.leads[0])
        )

    @property
    def ages_us(self) -> list[int]:
        """How long before the creation each touch was."""
        return [self.created_us - t["occurred_at_us"] for t in self.touches]


async def created_contacts(snapshot: Snapshot, span: TimeRange, among: Collection[int] | None = None) -> list[Created]:
    """The contacts created in a range that are not the workspace's own people, each with its journey; those of some keys alone, if given."""
    keys = None if among is None else list(among)
    out = {
        row["subject"]: Created(
            row["subject"], row["created_us"],
            [Lead(Order(row["created_us"], row["created_event"]), row["name"], row["contact"])],
        ) for row in await snapshot.fetch(CONTACTS, span.from_us, span.to_us, keys)
    }  # fmt: skip
    return await _with_touches(snapshot, out, TOUCHES_OF_CONTACTS, span, keys)


async def created_deals(snapshot: Snapshot, span: TimeRange, among: Collection[int] | None = None) -> list[Created]:
    """The deals created in a range that are not deleted, in whatever state, each with its journey; those of some keys alone, if given."""
    keys = None if among is None else list(among)
    out: dict[int, Created] = {}
    for row in await snapshot.fetch(DEALS, span.from_us, span.to_us, keys):
        one = out.setdefault(row["subject"], Created(row["subject"], row["created_us"], of_deal=True))
        if row["name"] is not None:
            one.leads.append(Lead(Order(row["lead_us"], row["lead_event"]), row["name"], row["contact"]))
    return await _with_touches(snapshot, out, TOUCHES_OF_DEALS, span, keys)


async def _with_touches(
    snapshot: Snapshot, created: Mapping[int, Created], statement: Any, span: TimeRange, keys: list[int] | None
) -> list[Created]:
    days = snapshot.settings.lookback_days
    lookback_us = None if days is None else days * DAY_US
    for row in await snapshot.fetch(statement, span.from_us, span.to_us, keys, lookback_us):
        created[row["subject"]].touches.append(row)
    return list(created.values())
