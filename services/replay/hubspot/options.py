"""What may be chosen when the history of a HubSpot account is imported?"""

from typing import Literal

BASE_URL = "https://api.hubapi.com"

Since = Literal["campaign-created", "campaign-start", "now"]
"""From when on a campaign holds the assets that the first import finds, for HubSpot does not tell it."""
SINCE: tuple[Since, ...] = ("campaign-created", "campaign-start", "now")
