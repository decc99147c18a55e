"""Which of our asset types has an asset of a HubSpot campaign, and which id does it get here?"""

from functools import cache
from importlib.resources import files
from typing import NamedTuple

import msgspec


class AssetType(NamedTuple):
    """What one of HubSpot's asset types is here.

    `type` is our asset type. `own_id`: our id of the asset is HubSpot's id. `page` is the path of HubSpot's API that has the
    address of such a page; None if the type is no page.
    """

    type: str
    own_id: bool
    page: str | None

    def asset_id(self, hubspot_id: str) -> str:
        """Our id of an asset: email `180` is `180`, but list `5` is `list-5`, because workflow `5` is another asset."""
        return hubspot_id if self.own_id else f"{self.type}-{hubspot_id}"


@cache
def asset_types() -> dict[str, AssetType]:
    """The known asset types by HubSpot's name, as in `hubspot_asset_types.json`."""
    body = (files("shared.producers") / "hubspot_asset_types.json").read_bytes()
    return {
        name: AssetType(entry["type"], entry.get("own_id", False), entry.get("page"))
        for name, entry in msgspec.json.decode(body)["types"].items()
    }
