"""Do digests say of campaigns what the touches say? Both are read in one snapshot, for `verify` and for tests."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from shared.projection.campaign_cells import kind_of
from shared.reading.attribution import INFLUENCED, SESSION_COUNTS, TOUCH_COUNTS
from shared.reading.cells import CampaignCells, campaign_cells, cells_days
from shared.reading.snapshot import Snapshot


@dataclass
class Said:
    """What is said of a campaign in a range: touches by type, traffic class and statuses; sessions, those that are new, and contacts."""

    touches: dict[tuple[int | None, ...], int] = field(default_factory=dict)
    sessions: int = 0
    new_sessions: int = 0
    contacts: int = 0


@dataclass(frozen=True)
class SaidOtherwise:
    """A campaign, by key, of which digests say something else in `[from_us, to_us)` than its touches."""

    campaign: int
    from_us: int
    to_us: int
    by_cells: Said
    by_touches: Said


async def said_otherwise(snapshot: Snapshot, campaigns: Sequence[int], edges_us: Sequence[int]) -> list[SaidOtherwise]:
    """Where digests and touches differ, for campaigns by key, between each two of some instants in order; nothing where there are no digests."""
    days = await cells_days(snapshot)
    if days is None:
        return []
    cells = await campaign_cells(snapshot, days, campaigns, edges_us)
    out = []
    for n, (from_us, to_us) in enumerate(pairwise(edges_us)):
        for campaign, by_touches in (await _by_touches(snapshot, campaigns, from_us, to_us)).items():
            by_cells = _by_cells(cells[campaign], n)
            if by_cells != by_touches:
                out.append(SaidOtherwise(campaign, from_us, to_us, by_cells, by_touches))
    return out


def _by_cells(cells: CampaignCells, n: int) -> Said:
    touches: dict[tuple[int | None, ...], int] = {
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
