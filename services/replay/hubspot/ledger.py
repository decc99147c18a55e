"""What did earlier imports find that HubSpot no longer shows? A file beside the import stores it.

HubSpot gives the assets that a campaign holds now, not since when, and not those that it held before. So a later import compares
with an earlier one: an asset that is new was added since, an asset that is missing was removed, a spend item that is missing was
deleted. Without the file, everything that HubSpot shows is still imported; but assets removed in HubSpot stay in the campaign.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from services.replay.sources import Unreadable
from shared.events.instants import to_rfc3339
from shared.producers import hubspot_records as records

EventJson = dict[str, Any]


class Held(msgspec.Struct):
    """An asset of a campaign: since when the campaign holds it, whether it still does, and how often it was removed."""

    since_us: int
    held: bool = True
    removals: int = 0


class Campaign(msgspec.Struct):
    """A campaign's assets and spend, when it was last read, and when it last existed. `spend`: currency and day of spend items, by event id."""

    read_at_us: int
    seen_us: int = 0
    assets: dict[str, Held] = {}
    spend: dict[str, tuple[str | None, str]] = {}
    deleted: bool = False


class LedgerContent(msgspec.Struct):
    """The content of the file. `deals_gone` are deals sent as deleted; `slots` are deals whose contacts needed several events."""

    of: dict[str, str]
    campaigns: dict[str, Campaign] = {}
    deals_gone: set[str] = set()
    slots: dict[str, int] = {}


@dataclass
class Ledger:
    """The file of one account and one workspace. Changes are in memory until `write`."""

    path: Path
    of: dict[str, str]
    """The workspace, log and HubSpot account that the file belongs to."""
    kept: LedgerContent = field(init=False)
    _written: bytes = b""

    def __post_init__(self) -> None:
        """Raise `Unreadable` if the file is not a ledger, or belongs to another account, workspace or log."""
        if not self.path.exists():
            self.kept = LedgerContent(self.of)
            return
        try:
            self.kept = msgspec.json.decode(self.path.read_bytes(), type=LedgerContent)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Unreadable(
                f"{self.path} was not written by an import, or has been changed; name another file with --state"
            ) from error
        if self.kept.of != self.of:
            raise Unreadable(
                f"{self.path} belongs to an import of another HubSpot account, or into another workspace or store; name another file with --state"
            )

    def write(self) -> None:
        """Write the current content to the file."""
        content = msgspec.json.encode(self.kept, order="sorted")
        if content == self._written:
            return
        partial = self.path.with_name(self.path.name + ".partial")
        partial.write_bytes(content)
        partial.replace(self.path)
        self._written = content

    def assets(self, campaign_id: str, found: Collection[str], first_us: int, read_us: int) -> list[EventJson]:
        """The events that associate a campaign's assets, and those that remove assets missing since the last import.

        `first_us` is since when it holds the assets that the first import finds. Event ids are made of campaign and asset, so that
        a repeated event counts once.
        """
        campaign = self.kept.campaigns.setdefault(campaign_id, Campaign(0))
        before_us = campaign.read_at_us or None
        out: list[EventJson] = []
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

    def spend(self, campaign_id: str, found: Collection[EventJson], read_us: int) -> list[EventJson]:
        """Events that cancel the spend items that are missing now; `found` are the events of those that exist."""
        campaign = self.kept.campaigns.setdefault(campaign_id, Campaign(0))
        now = {event["id"]: (event["currency"], event["on"]) for event in found}
        gone = {event_id: spent for event_id, spent in campaign.spend.items() if event_id not in now}
        campaign.spend = now
        return records.as_of(
            [records.spent(event_id, campaign_id, "0", *spent) for event_id, spent in gone.items()], read_us
        )

    def there(self, campaign_id: str, read_us: int) -> list[EventJson]:
        """The events for a campaign that exists: if it was sent as deleted, they restore it."""
        campaign = self.kept.campaigns.setdefault(campaign_id, Campaign(0))
        campaign.seen_us = read_us
        if not campaign.deleted:
            return []
        campaign.deleted = False
        return records.as_of([{**_deletion(campaign_id), "type": "campaign_updated"}], read_us)

    def gone(self, began_us: int, read_us: int) -> dict[str, list[EventJson]]:
        """The campaigns that an import, which began at `began_us` and read all, did not find; each with the event of its deletion."""
        out: dict[str, list[EventJson]] = {}
        for campaign_id, campaign in self.kept.campaigns.items():
            if campaign.seen_us < began_us and not campaign.deleted:
                campaign.deleted = True
                out[campaign_id] = records.as_of([_deletion(campaign_id)], read_us)
        return out


def _deletion(campaign_id: str) -> EventJson:
    return {"type": "campaign_deleted", "id": f"hubspot-campaign-{campaign_id}-deleted", "campaign_id": campaign_id}


def _change(kind: str, campaign_id: str, asset_id: str, what: str, removals: int, at_us: int) -> EventJson:
    event_id = f"hubspot-campaign-{campaign_id}-asset-{asset_id}" + (f"-{what}-{removals}" if what else "")
    return {
        "type": kind, "id": records.bounded(event_id), "occurred_at": to_rfc3339(at_us), "campaign_id": campaign_id, "asset_id": asset_id,
    }  # fmt: skip
