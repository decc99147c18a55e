"""Do digests give the same numbers of campaigns and assets as the touches? Both are read in one snapshot, for `verify` and for tests."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from shared.events.instants import BEGINNING_US, to_rfc3339
from shared.projection.campaign_cells import kind_of
from shared.projection.days import date_of
from shared.projection.key_lists import distinct_keys
from shared.projection.new_contacts import NewContacts
from shared.reading.asset_histories import DayTouches, asset_histories, touches_by_day
from shared.reading.asset_list import Seen, seen_assets
from shared.reading.attribution import INFLUENCED, SESSION_COUNTS, TOUCH_COUNTS
from shared.reading.cells import CampaignCells, campaign_cells, cells_days
from shared.reading.new_contacts import new_contacts
from shared.reading.snapshot import Snapshot
from shared.reading.time_range import TimeRange
from shared.rules.excluded_traffic import TrafficClass
from shared.rules.influence import TouchType

NOBODY = NewContacts(0, 0)

Kind = tuple[int, int, int | None, int | None, int | None]
"""A touch's type, its traffic class, and the window statuses by asset, by via and by utm."""


@dataclass
class NumbersOfCampaign:
    """The numbers of a campaign in a range.

    Touches by type, traffic class and statuses; sessions, those that are new; influenced contacts; contacts that are new to it.
    """

    touches: dict[Kind, int] = field(default_factory=dict)
    sessions: int = 0
    new_sessions: int = 0
    contacts: int = 0
    new: NewContacts = NOBODY

    def __str__(self) -> str:
        """In words, with the touches by type and traffic class."""
        by_kind: Counter[str] = Counter()
        for (type_, class_, *_), number in self.touches.items():
            by_kind[f"{TouchType(type_).name.lower()} ({TrafficClass(class_).name.lower()})"] += number
        touches = ", ".join(f"{kind} {number:,}" for kind, number in sorted(by_kind.items())) or "no touches"
        return f"{touches}; {self.sessions:,} sessions, {self.new_sessions:,} of them new; {self.contacts:,} influenced contacts, {self.new.by_first_touch:,} new by first touch, {self.new.by_last_touch:,} by last touch"


def _since(since_us: int | None) -> str:
    if since_us is None:
        return ""
    return " since " + ("the beginning" if since_us == BEGINNING_US else to_rfc3339(since_us))


@dataclass
class NumbersOfAsset:
    """The numbers of an asset in a range.

    Touches and contacts by type and change of holders, how many contacts it influenced, and touches by day and campaign.
    """

    by_type: dict[tuple[TouchType, int | None], tuple[int, int]]
    influenced: int
    by_day: DayTouches

    def __str__(self) -> str:
        """In words, with the touches of each day for the key of a campaign."""
        types = ", ".join(
            f"{type_.name.lower()}{_since(since_us)} {number:,} by {contacts:,} contacts"
            for (type_, since_us), (number, contacts) in sorted(self.by_type.items(), key=str)
        )
        days = ", ".join(
            f"{date_of(day)} {campaign or 'no campaign'} {n:,}"
            for (day, campaign), n in sorted(self.by_day.items(), key=str)
        )
        return f"{types or 'no touches'}; {self.influenced:,} influenced contacts; by day and campaign: {days or 'nothing'}"


@dataclass(frozen=True)
class DigestDifference:
    """A campaign or an asset, such as `asset page-1`, of which digests give other numbers in `[from_us, to_us)` than its touches."""

    subject: str
    from_us: int
    to_us: int
    by_cells: NumbersOfCampaign | NumbersOfAsset
    by_touches: NumbersOfCampaign | NumbersOfAsset


async def digest_differences(
    snapshot: Snapshot, campaigns: Mapping[int, str], edges_us: Sequence[int]
) -> list[DigestDifference]:
    """Where digests and touches differ, for campaigns (their ids by key), between each two of some instants, which are in order.

    Nothing where there are no digests.
    """
    days = await cells_days(snapshot)
    if days is None:
        return []
    cells = await campaign_cells(snapshot, days, list(campaigns), edges_us)
    new = await new_contacts(snapshot, campaigns, edges_us)
    out = []
    for n, (from_us, to_us) in enumerate(pairwise(edges_us)):
        for campaign, by_touches in (await _by_touches(snapshot, list(campaigns), from_us, to_us)).items():
            by_cells = _by_cells(cells[campaign], n, new.get((campaign, n + 1), NOBODY))
            if by_cells != by_touches:
                out.append(DigestDifference(f"campaign {campaigns[campaign]}", from_us, to_us, by_cells, by_touches))
    return out


def _by_cells(cells: CampaignCells, n: int, new: NewContacts) -> NumbersOfCampaign:
    touches: dict[Kind, int] = {
        (*kind_of(kind), *statuses): number for (statuses, kind), number in cells.touches[n].items()
    }
    return NumbersOfCampaign(touches, cells.sessions[n], cells.new_sessions[n], cells.influenced_contacts[n], new)


async def _by_touches(
    snapshot: Snapshot, campaigns: Sequence[int], from_us: int, to_us: int
) -> dict[int, NumbersOfCampaign]:
    out = {campaign: NumbersOfCampaign() for campaign in campaigns}
    asked: tuple[Any, ...] = list(campaigns), from_us, to_us
    for row in await snapshot.fetch(TOUCH_COUNTS, *asked):
        kind = row["type"], row["traffic_class"], row["by_asset"], row["by_via"], row["by_utm"]
        out[row["campaign"]].touches[kind] = row["touches"]
    for row in await snapshot.fetch(SESSION_COUNTS, *asked):
        one = out[row["campaign"]]
        one.sessions, one.new_sessions = row["sessions"], row["new_sessions"]
    for row in await snapshot.fetch(INFLUENCED, *asked):
        out[row["campaign"]].contacts = row["contacts"]
    for (campaign, _), new in (await new_contacts(snapshot, campaigns, [from_us, to_us], by_touches=True)).items():
        out[campaign].new = new
    return out


async def digest_differences_of_assets(
    snapshot: Snapshot, assets: Mapping[int, str], edges_us: Sequence[int]
) -> list[DigestDifference]:
    """As `digest_differences`, for assets (their ids by key)."""
    if await cells_days(snapshot) is None:
        return []
    out = []
    for from_us, to_us in pairwise(edges_us):
        span = TimeRange(from_us, to_us)
        seen = await seen_assets(snapshot, assets, span)
        cells = await _of_assets(snapshot, assets, span, seen, by_touches=False)
        touches = await _of_assets(snapshot, assets, span, seen, by_touches=True)
        out += [
            DigestDifference(f"asset {assets[asset]}", from_us, to_us, cells[asset], touches[asset])
            for asset in assets
            if cells[asset] != touches[asset]
        ]
    return out


async def _of_assets(
    snapshot: Snapshot, assets: Collection[int], span: TimeRange, seen: Mapping[int, Seen], *, by_touches: bool
) -> dict[int, NumbersOfAsset]:
    histories = await asset_histories(snapshot, assets, span, by_touches=by_touches)
    out = {}
    for asset, history in histories.items():
        by_type = {place: (one.touches, distinct_keys(one.contacts)) for place, one in history.by_type.items()}
        by_day: DayTouches = {}
        if asset in seen:
            by_day = await touches_by_day(snapshot, asset, span, seen[asset], by_touches=by_touches)
        out[asset] = NumbersOfAsset(by_type, history.influenced, by_day)
    return out
