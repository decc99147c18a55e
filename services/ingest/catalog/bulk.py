"""Assets are associated with a campaign, one or many by a call. Of many, each has its own result: one that is refused does not hinder the others."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from services.ingest.catalog.calls import CallRefused, Outcome, answer_of, associated, existing_campaign
from shared.events.limits import EVENTS_PER_REQUEST_MAX
from shared.events.types import AssetType, Event, Id
from shared.reading.catalog import asset_now, assets_now, social_posts_now
from shared.reading.snapshot import Snapshot
from shared.rules.association import SOCIAL_POSTS_MAX


class AssetNamed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An asset to associate; its type is checked if it is given."""

    asset_id: Id
    asset_type: AssetType | None = None


class ManyAssets(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of a bulk association. Each asset is read by itself, so that a bad one is refused alone."""

    assets: list[msgspec.Raw]


@dataclass
class Results:
    """The events of a bulk association, and the result of each asset, in the order of the list."""

    events: Sequence[Event]
    items: Sequence[dict[str, Any]]

    @property
    def refused(self) -> list[str]:
        """The codes of those that were refused."""
        return [item["code"] for item in self.items if "code" in item]


def read_many(body: bytes) -> list[msgspec.Raw]:
    """The assets of a body, not read yet. Raises `CallRefused`."""
    try:
        assets = msgspec.json.decode(body, type=ManyAssets).assets
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CallRefused(
            "not_json" if not isinstance(error, msgspec.ValidationError) else "bad_value", str(error)
        ) from error
    if len(assets) > EVENTS_PER_REQUEST_MAX:
        message = f"{len(assets)} assets; one call takes {EVENTS_PER_REQUEST_MAX} at most"
        raise CallRefused("too_many_assets", message, field="assets")
    return assets


async def associate_one(
    snapshot: Snapshot, campaign_id: str, asset_id: str, asset_type: str | None, now_us: int, *, move: bool
) -> Outcome:
    """Associate one asset with the campaign. Raises `CallRefused`."""
    campaign = await existing_campaign(snapshot, campaign_id)
    now = await asset_now(snapshot, asset_id)
    posts_left = SOCIAL_POSTS_MAX - await social_posts_now(snapshot, campaign_id)
    return associated(campaign, now, asset_type, now_us, move=move, posts_left=posts_left)


async def associate_many(
    snapshot: Snapshot, campaign_id: str, assets: Sequence[msgspec.Raw], now_us: int, *, move: bool
) -> Results:
    """Associate each asset with the campaign. Raises `CallRefused` if the campaign cannot take any."""
    campaign = await existing_campaign(snapshot, campaign_id)
    named = [_named(raw) for raw in assets]
    now = await assets_now(snapshot, {each.asset_id for each in named if isinstance(each, AssetNamed)})
    posts_left = SOCIAL_POSTS_MAX - await social_posts_now(snapshot, campaign_id)
    events: list[Event] = []
    items: list[dict[str, Any]] = []
    done: dict[str, Outcome] = {}
    for index, each in enumerate(named):
        try:
            if isinstance(each, CallRefused):
                raise each
            outcome = done.get(each.asset_id)
            if outcome is None:
                asset = now[each.asset_id]
                outcome = associated(campaign, asset, each.asset_type, now_us, move=move, posts_left=posts_left)
                posts_left -= bool(outcome.events) and asset.fields["asset_type"] == "social_post"
                events += outcome.events
                done[each.asset_id] = Outcome(outcome.event_id)
            items.append({"index": index, "asset_id": each.asset_id, **answer_of(outcome)})
        except CallRefused as refused:
            asset_id = each.asset_id if isinstance(each, AssetNamed) else None
            item = {"index": index, "asset_id": asset_id, "code": refused.code, "message": refused.message}
            items.append({**item, **refused.members})
    return Results(events, items)


def _named(raw: msgspec.Raw) -> AssetNamed | CallRefused:
    try:
        return msgspec.json.decode(raw, type=AssetNamed)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return CallRefused("bad_value", str(error))
