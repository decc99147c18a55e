"""Which part of a large store does a sampled check use? Some persons and deals, with everything that is linked to them.

The sample is a share of all visitors, contacts and deals, drawn by their keys, and all that are linked with them. The derived
rows of such a sample depend only on its own events, the catalog and the settings. So it can be projected alone.
"""

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from shared.events.registry import BY_STRUCT
from shared.log.port import Entry
from shared.projection.batch import Batch
from shared.projection.bulk.split import Selection
from shared.projection.rows import NOBODY, SETTINGS_SUBJECT, Prepared, identified_visitor
from shared.projection.sql import Connection, sql

_ABOUT_ALL = frozenset(cls for cls, one in BY_STRUCT.items() if one.entity in ("asset", "campaign", "workspace"))
_ABOUT_DEALS = frozenset(cls for cls, one in BY_STRUCT.items() if one.entity == "deal")

PART = sql("""
WITH RECURSIVE near(ws, key) AS (
    SELECT * FROM (
        SELECT ws, visitor AS key FROM {g}.visitor UNION ALL SELECT ws, identifier FROM {g}.identifier
        UNION ALL SELECT ws, deal FROM {g}.deal
    ) every WHERE mod(key & 9223372036854775807, $1::bigint) = $2
    UNION
    SELECT near.ws, other.key FROM near CROSS JOIN LATERAL (
        SELECT identifier AS key FROM {g}.identifier_mention n WHERE n.ws = near.ws AND n.visitor = near.key
        UNION ALL SELECT visitor FROM {g}.identifier_mention n
            WHERE n.ws = near.ws AND n.identifier = near.key AND n.visitor IS NOT NULL
        UNION ALL SELECT b FROM {g}.identity_edge l WHERE l.ws = near.ws AND l.a = near.key
        UNION ALL SELECT deal FROM {g}.deal_named d WHERE d.ws = near.ws AND d.identifier = near.key
        UNION ALL SELECT identifier FROM {g}.deal_named d WHERE d.ws = near.ws AND d.deal = near.key
    ) other
)
SELECT w.workspace_id, w.workspace, near.key FROM near JOIN {g}.workspace_rows w ON w.ws = near.ws
""")  # the drawn keys, and all that are linked with them

OF_ALL = sql(f"""
SELECT w.workspace, a.asset AS key FROM {{g}}.asset a JOIN {{g}}.workspace_rows w USING (ws)
UNION SELECT w.workspace, c.campaign FROM {{g}}.campaign c JOIN {{g}}.workspace_rows w USING (ws)
UNION SELECT number, {SETTINGS_SUBJECT} FROM touchline.workspace
""")  # the subjects of events that concern every person

MINE = """
SELECT w.ws, u.key FROM unnest($1::int[], $2::bigint[]) u(workspace, key) JOIN {g}.workspace_rows w USING (workspace)
""".strip()

COLUMN_OF = {
    "touch": "person", "visitor": "visitor", "identifier_mention": "identifier", "identity_edge": "a", "identifier": "identifier",
    "identity_interval": "person", "contact": "contact", "salesforce_member": "contact", "event_index": "place", "entity_event": "subject",
    "deal": "deal", "deal_named": "deal", "deal_contact": "deal", "credit": "deal", "deal_touch": "deal", "conversion_touch": "contact",
}  # fmt: skip
WHOLE = (
    "campaign",
    "asset",
    "association",
    "ignored_association",
    "address",
    "utm_reading",
    "attribution_window",
    "settings",
)


@dataclass(frozen=True)
class Sample(Selection):
    """One of `of` parts, drawn at random: the keys whose remainder modulo `of` is `place`, and all that are linked with them."""

    of: int = 1
    place: int = 0
    keys: Mapping[str, frozenset[int]] = field(default_factory=dict)
    """The keys of visitors, identifiers and deals, by workspace."""
    numbered: Sequence[tuple[int, int]] = ()
    """The same keys by the workspace's number, and those that concern every person."""

    @property
    def description(self) -> dict[str, int]:
        """The description of the sample, for reports."""
        return {"of": self.of, "place": self.place, "persons_and_deals": sum(map(len, self.keys.values()))}

    @classmethod
    async def draw(cls, connection: Connection, of: int, place: int | None) -> "Sample":
        """Draw a sample from the connection's snapshot of a generation; `place` chooses the part, None a random one.

        The connection must be in a REPEATABLE READ transaction, which must stay open as long as the sample is used.
        """
        place = random.randrange(of) if place is None else place % of
        found: dict[str, set[int]] = defaultdict(set)
        numbered = []
        for row in await connection.fetch(PART, of, place):
            found[row["workspace_id"]].add(row["key"])
            numbered.append((row["workspace"], row["key"]))
        numbered += [tuple(row) for row in await connection.fetch(OF_ALL)]
        snapshot = await connection.raw.fetchval("SELECT pg_export_snapshot()")
        keys = {ws: frozenset(k) for ws, k in found.items()}
        return cls(None, None, connection.generation, snapshot, of, place, keys, numbered)

    def batch(self, entries: Sequence[Entry]) -> Batch:
        """See `Selection.batch`."""
        batch = super().batch(entries)
        for workspace, arrived in batch.arrived.items():
            known = self.keys.get(workspace, frozenset())
            batch.arrived[workspace] = [a for a in arrived if self._concerns(a, known)]
        return batch

    def _concerns(self, arrived: Prepared, known: frozenset[int]) -> bool:
        """Whether an event concerns somebody in the sample, or everybody."""
        event = arrived.event
        if type(event) in _ABOUT_ALL:
            return True
        if arrived.row is not None and arrived.row.person != NOBODY and self._has(arrived.row.person, known):
            return True
        if (visitor := identified_visitor(event)) is not None and self._has(visitor, known):
            return True
        if arrived.about is not None and type(event) in _ABOUT_DEALS and self._has(arrived.about.subject, known):
            return True
        named = arrived.mention
        return named is not None and any(self._has(i.key, known) for contact in named.contacts for i in contact)

    def _has(self, key: int, known: frozenset[int]) -> bool:
        return key in known or (key & 0x7FFFFFFFFFFFFFFF) % self.of == self.place

    def condition(self, table: str) -> str | None:
        """SQL condition for the rows of a table `t` of a generation `{g}` that belong to the sample; its arguments are `arguments`.

        None: the table's rows are not compared.
        """
        if table in WHOLE:
            return "$1::int[] IS NOT NULL AND $2::bigint[] IS NOT NULL"
        column = COLUMN_OF.get(table)
        if column is None:
            return None
        mine = f"(t.ws, t.{column}) IN ({MINE})"
        if table in ("touch", "visitor"):  # also those that are missing in the live generation but are in the log
            drawn = f"mod(t.{column} & 9223372036854775807, {self.of:d}) = {self.place:d}"
            return f"t.{column} <> {NOBODY} AND ({mine} OR {drawn})"
        return f"NOT (t.is_touch AND t.place = {NOBODY}) AND {mine}" if table == "event_index" else mine

    @property
    def arguments(self) -> list[Any]:
        """For `condition`."""
        return [[ws for ws, _ in self.numbered], [key for _, key in self.numbered]]
