"""How do statements join touches with the attribution windows of campaigns? Parts of SQL, for the projection and for reads."""

from shared.projection.sql import sql_numbers
from shared.rules import pre_association
from shared.rules.pre_association import Route

KEY_COLUMN = {Route.ASSET: "asset_or_page_key", Route.VIA: "via", Route.UTM: "utm"}
"""The column of `touch`, `credit` and `deal_touch` that holds the key by which a touch reaches a campaign."""

COUNTING_STATUSES = sql_numbers(pre_association.COUNTING_STATUSES)
"""The statuses of which one of a touch's routes must have one, for the touch to count (rule **pre-association**)."""


def within(window: str, at_us: str = "t.occurred_at_us") -> str:
    """A condition: an instant, of a touch `t` unless another is given, lies in a window."""
    return f"{at_us} >= {window}.from_us AND {at_us} < {window}.to_us"


def split(share_minor: str, campaigns: str, place: str) -> str:
    """The part of a share that the campaign at a place (from 0) of several gets: `shared.rules.exact.split` in SQL."""
    return f"sign({share_minor})::bigint * (abs({share_minor}) / {campaigns} + ({place} < abs({share_minor}) % {campaigns})::int)"
