"""What did earlier imports tell that HubSpot alone cannot take back? A file beside the import remembers it.

HubSpot tells what a campaign holds now, not since when, and not what it held before. So a later import needs to know what an earlier
one found: an asset that is new since then came after it, one that is gone was taken out, a spend item that is gone was deleted.
Without the file nothing is lost that HubSpot tells; what was taken out meanwhile then stays.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from services.replay.sources import Unreadable
from shared.events.instants import to_rfc3339
from shared.producers import hubspot_records as records

Told = dict[str, Any]


class Held(msgspec.Struct):
    """An asset of a campaign: since when it was told to be held, whether it is now, and how often it was taken out."""

    since_us: int
    held: bool = True
    removals: int = 0


class Campaign(msgspec.Struct):
    """What was found of a campaign, when it was read last, and when it was last there. `spend` are currency and day of its spend items, by the ids of their events."""

    read_at_us: int
    seen_us: int = 0
    assets: dict[str, Held] = {}
    spend: dict[str, tuple[str | None, str]] = {}
    deleted: bool = False


class Kept(msgspec.Struct):
    """What the file holds. `deals_gone` were told to be deleted; `slots` are deals whose contacts took several events."""

    of: dict[str, str]
    campaigns: dict[str, Campaign] = {}
    deals_gone: set[str] = set()
    slots: dict[str, int] = {}


@dataclass
class Ledger:
    """The file of one account and one workspace. Changes are in memory until `write`."""

    path: Path
    of: dict[str, str]
    """Which workspace, log and HubSpot account it is about."""
    kept: Kept = field(init=False)
    _written: bytes = b""

    def __post_init__(self) -> None:
        """Raise `Unreadable` if the file is none, or another's."""
        if not self.path.exists():
            self.kept = Kept(self.of)
            return
        try:
            self.kept = msgspec.json.decode(self.path.read_bytes(), type=Kept)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Unreadable(
                f"{self.path} is not what an earlier import has written there; name another with --state"
            ) from error
        if self.kept.of != self.of:
            raise Unreadable(
                f"{self.path} is of an import of another HubSpot account, or into another workspace or store; name another file with --state"
            )

    def write(self) -> None:
        """Keep what is known by now."""
        told = msgspec.json.encode(self.kept, order="sorted")
        if told == self._written:
            return
        partial = self.path.with_name(self.path.name + ".partial")
        partial.write_bytes(told)
        partial.replace(self.path)
        self._written = told

    def assets(self, campaign_id: str, found: Collection[str], first_us: int, read_us: int) -> list[Told]:
        """The associations of a campaign's assets, and what was taken out of it since the last import.

        `first_us` is since when it holds what the first import finds. Ids are of campaign and asset, so that they are told once.
        """
        campaign = self.kept.campaigns.setdefault(campaign_id, Campaign(0))
        before_us = campaign.read_at_us or None
        out: list[Told] = []
        for asset_id in found:
            held = campaign.assets.get(asset_id)
            if held is None:
                held = campaign.assets[asset_id] = Held(first_us if before_us is None else before_us + 1)
            elif not held.held:
                held.held, held.since_us = True, read_us if before_us is None else before_us + 1
            out.append(
                _change(
                    "asset_associated",
                    campaign_id,
                    asset_id,
                    "added" if held.removals else "",
                    held.removals,
                    held.since_us,
                )
            )
        for asset_id, held in campaign.assets.items():
            if held.held and asset_id not in found:
                held.held, held.removals = False, held.removals + 1
                out.append(_change("asset_dissociated", campaign_id, asset_id, "removed", held.removals, read_us))
        campaign.read_at_us = read_us
        return records.as_of(out, read_us)

    def spend(self, campaign_id: str, found: Collection[Told], read_us: int) -> list[Told]:
        """What takes back the spend items that are gone; `found` are the events of those that are there."""
        campaign = self.kept.campaigns.setdefault(campaign_id, Campaign(0))
        now = {event["id"]: (event["currency"], event["on"]) for event in found}
        gone = {event_id: told for event_id, told in campaign.spend.items() if event_id not in now}
        campaign.spend = now
        return records.as_of(
            [records.spent(event_id, campaign_id, "0", *told) for event_id, told in gone.items()], read_us
        )

    def there(self, campaign_id: str, read_us: int) -> list[Told]:
        """A campaign is there. One that was told to be deleted is there again."""
        campaign = self.kept.campaigns.setdefault(campaign_id, Campaign(0))
        campaign.seen_us = read_us
        if not campaign.deleted:
            return []
        campaign.deleted = False
        return records.as_of([{**_deletion(campaign_id), "type": "campaign_updated"}], read_us)

    def gone(self, began_us: int, read_us: int) -> dict[str, list[Told]]:
        """The campaigns that were not there in an import that has seen all since `began_us`, each with what tells it."""
        out: dict[str, list[Told]] = {}
        for campaign_id, campaign in self.kept.campaigns.items():
            if campaign.seen_us < began_us and not campaign.deleted:
                campaign.deleted = True
                out[campaign_id] = records.as_of([_deletion(campaign_id)], read_us)
        return out


def _deletion(campaign_id: str) -> Told:
    return {"type": "campaign_deleted", "id": f"hubspot-campaign-{campaign_id}-deleted", "campaign_id": campaign_id}


def _change(kind: str, campaign_id: str, asset_id: str, what: str, removals: int, at_us: int) -> Told:
    event_id = f"hubspot-campaign-{campaign_id}-asset-{asset_id}" + (f"-{what}-{removals}" if what else "")
    return {
        "type": kind, "id": records.bounded(event_id), "occurred_at": to_rfc3339(at_us), "campaign_id": campaign_id, "asset_id": asset_id,
    }  # fmt: skip
