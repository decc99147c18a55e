"""Which of our types is an asset of a HubSpot campaign, and what is it called here?"""

from functools import cache
from pathlib import Path
from typing import NamedTuple

import orjson


class AssetType(NamedTuple):
    """`type` is ours. `own_id`: HubSpot's id is ours as it is. `page` is the call that tells the address of such a page, if any."""

    type: str
    own_id: bool
    page: str | None

    def asset_id(self, hubspot_id: str) -> str:
        """`180` of an email is `180`; list 5 is `list-5`, for workflow 5 is another asset."""
        return hubspot_id if self.own_id else f"{self.type}-{hubspot_id}"


@cache
def asset_types() -> dict[str, AssetType]:
    """The types that are known, by HubSpot's name."""
    told = orjson.loads(Path(__file__).with_name("asset_types.json").read_bytes())["types"]
    return {
        name: AssetType(entry["type"], entry.get("own_id", False), entry.get("page")) for name, entry in told.items()
    }
