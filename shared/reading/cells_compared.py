"""Do digests say of campaigns what the touches say? Both are read in one snapshot, for `verify` and for tests."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from shared.projection.campaign_cells import kind_of
from shared.reading.attribution import INFLUENCED, SESSION_COUNTS, TOUCH_COUNTS
from shared.reading.cells import CampaignCells, campaign_cells, cells_days
from shared.reading.snapshot import Snapshot
from shared.rules.excluded_traffic import TrafficClass
from shared.rules.influence import TouchType

Kind = tuple[int, int, int | None, int | None, int | None]
"""A touch's type, its traffic class, and the window statuses by asset, by via and by utm."""


@dataclass
class Said:
    """What is said of a campaign in a range: touches by type, traffic class and statuses; sessions, those that are new, and contacts."""

    touches: dict[Kind, int] = field(default_factory=dict)
    sessions: int = 0
    new_sessions: int = 0
    contacts: int = 0

    def __str__(self) -> str:
        """In words, with the touches by type and traffic class."""
        by_kind: Counter[str] = Counter()
        for (type_, class_, *_), number in self.touches.items():
            by_kind[f"{TouchType(type_).name.lower()} ({TrafficClass(class_).name.lower()})"] += number
        touches = ", ".join(f"{kind} {number:,}" for kind, number in sorted(by_kind.items())) or "no touches"
        return f"{touches}; {self.sessions:,} sessions, {self.new_sessions:,} of them new; {self.contacts:,} influenced contacts"


@dataclass(frozen=True)
class SaidOtherwise:
    """A campaign, by its id, of which digests say something else in `[from_us, to_us)` than its touches."""

    campaign_id: str
    from_us: int
    to_us: int
    by_cells: Said
    by_touches: Said


async def said_otherwise(
    snapshot: Snapshot, campaigns: Mapping[int, str], edges_us: Sequence[int]
) -> list[SaidOtherwise]:
    """Where digests and touches differ, for campaigns (their ids by key), between each two of some instants, which are in order.

    Nothing where there are no digests.
    """
    days = await cells_days(snapshot)
    if days is None:
        return []
    cells = await campaign_cells(snapshot, days, list(campaigns), edges_us)
    out = []
    for n, (from_us, to_us) in enumerate(pairwise(edges_us)):
        for campaign, by_touches in (await _by_touches(snapshot, list(campaigns), from_us, to_us)).items():
            by_cells = _by_cells(cells[campaign], n)
            if by_cells != by_touches:
                out.append(SaidOtherwise(campaigns[campaign], from_us, to_us, by_cells, by_touches))
    return out


def _by_cells(cells: CampaignCells, n: int) -> Said:
    touches: dict[Kind, int] = {
        (*kind_of(kind), *statuses): number for (statuses, kind), number in cells.touches[n].items()
    }
    return Said(touches, cells.sessions[n], cells.new_sessions[n], cells.influenced_contacts[n])


async def _by_touches(snapshot: Snapshot, campaigns: Sequence[int], from_us: int, to_us: int) -> dict[int, Said]:
    out = {campaign: Said() for campaign in campaigns}
    asked: tuple[Any, ...] = list(campaigns), from_us, to_us
    for row in await snapshot.fetch(TOUCH_COUNTS, *asked):
        kind = row["type"], row["traffic_class"], row["by_asset"], row["by_via"], row["by_utm"]
        out[row["campaign"]].touches[kind] = row["touches"]
    for row in await snapshot.fetch(SESSION_COUNTS, *asked):
        one = out[row["campaign"]]
        one.sessions, one.new_sessions = row["sessions"], row["new_sessions"]
    for row in await snapshot.fetch(INFLUENCED, *asked):
        out[row["campaign"]].contacts = row["contacts"]
    return out
