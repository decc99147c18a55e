"""Which options does the import of a HubSpot account's history have?"""

from typing import Literal

BASE_URL = "https://api.hubapi.com"

Since = Literal["campaign-created", "campaign-start", "now"]
"""Since when a campaign holds the assets that the first import finds; HubSpot's API does not give it."""
SINCE: tuple[Since, ...] = ("campaign-created", "campaign-start", "now")
