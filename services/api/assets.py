"""`/v1/campaigns/{id}/assets`: each asset with its own statistics, whoever held it (rule **reassociation**)."""

from typing import Any, get_args

from fastapi import APIRouter, Request, Response

from services.api import parameters as takes
from services.api.requests import Api, answer, read_request
from shared.events.instants import END_US, to_rfc3339
from shared.events.types import AssetType
from shared.reading.assets import AssetSection, asset_sections, held_assets, hidden_reasons
from shared.reading.campaigns import campaign_row


def routes(api: Api) -> APIRouter:
    """The route of this file."""
    router = APIRouter(prefix="/v1/campaigns", tags=["campaigns"])

    @router.get("/{campaign_id:id}/assets", openapi_extra=takes.read(takes.ASSET_TYPE, *takes.RANGE, *takes.PAGE))
    async def get_assets(campaign_id: str, request: Request) -> Response:
        """Each asset with its own statistics; former ones if they kept something; hidden ones with their reason."""
        async with read_request(api, request, heavy=True) as read:
            campaign = await campaign_row(read.snapshot, campaign_id)
            held = await held_assets(read.snapshot, campaign["campaign"])
            wanted = read.choice("type", get_args(AssetType)) if "type" in read.query else None
            held = {key: row for key, row in held.items() if wanted in (None, row["asset_type"])}
            sections = await asset_sections(read.snapshot, campaign["campaign"], held, read.range)
            hidden = await hidden_reasons(read.snapshot, campaign, held)
            items, keys = [], []
            for key, row in sorted(held.items(), key=lambda h: (h[1]["asset_type"] or "", h[1]["asset_id"])):
                former = row["to_us"] != END_US
                section = sections.get(key, AssetSection())
                if former and not section.statistics:
                    continue
                items.append(_item(row, section, former, None if former else hidden.get(key)))
                keys.append([row["asset_type"] or "", row["asset_id"]])
            return answer(read, {**read.page(items, keys), **read.range.as_json()})

    return router


def _item(row: Any, section: AssetSection, former: bool, hidden: str | None) -> dict[str, Any]:
    return {
        "asset_id": row["asset_id"], "asset_type": row["asset_type"], "name": row["name"],
        "network": row["network"], "ad_type": row["ad_type"],
        "associated_at": to_rfc3339(row["from_us"]), "held_until": to_rfc3339(row["to_us"]) if former else None,
        "former": former, "visible": not former and hidden is None, "hidden_reason": hidden,
        "statistics": dict(section.statistics), "contacts": {k: n for k, n in section.contacts.items() if n},
        "not_shown": section.not_shown,
    }  # fmt: skip
