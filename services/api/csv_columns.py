"""Which columns does a list have as CSV? One line for each list, by the path of its route.

A column is the path of a field within an item, with dots. `:money` marks an amount of money, or a list of amounts: it becomes the two
columns `…amount` and `…currency`. `.*` at the end stands for one column for each key that the items of the page have there; it is used only
where the request says which keys there are. Columns are only ever added, at the end.

A list that is not here has the fields of its items, in the order in which the items name them.
"""

from shared.reading.overview import COUNTS
from shared.rules.influence import TouchType
from shared.rules.pre_association import KeptOut

MONEY = ":money"
ANY = ".*"

_TOUCHES = tuple(touch_type.wire for touch_type in TouchType)
_METRICS = tuple(COUNTS)


def _each(field: str, keys: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{field}.{key}" for key in keys)


CSV_COLUMNS: dict[str, tuple[str, ...]] = {
    "/v1/campaigns": (
        "campaign_id", "name", "starts_on", "ends_on", "owner", "notes", "budget:money", "created_at", "deleted_at", "utm_campaign",
        *_each("metrics", _METRICS), "metrics.influenced_revenue:money", "metrics.attributed_revenue:money",
        *_each("touches", _TOUCHES), *_each("excluded", tuple(map(str, KeptOut))),
    ),
    "/v1/campaigns/{campaign_id:id}/refusals": ("asset_id", "asset_type", "name", "occurred_at", "event_id", "reason"),
    "/v1/campaigns/{campaign_id:id}/contacts": ("contact", "at", "deciding_event"),
    "/v1/campaigns/{campaign_id:id}/deals": (
        "deal_id", "name", "state", "created_at", "closed_at", "amount:money", "share:money",
    ),
    "/v1/campaigns/{campaign_id:id}/assets": (
        "asset_id", "asset_type", "name", "network", "ad_type", "associated_at", "held_until", "former", "visible", "hidden_reason",
        *_each("statistics", _TOUCHES), *_each("contacts", _TOUCHES), *_each("not_shown", _TOUCHES),
    ),
    "/v1/contacts": ("contact", "created_at", "internal", "salesforce_campaign_ids", "salesforce_campaigns"),
    "/v1/contacts/{name:id}/journey": (
        "event_id", "type", "occurred_at", "asset_id", "via_asset_id", "url", "session", "source", "medium", "channel", "campaigns",
        "counted", "reason", "kept_out",
    ),
    "/v1/identifiers": ("identifier", "kind", "joined", "contact"),
    "/v1/deals/{deal_id:id}/attribution": (
        "event_id", "type", "occurred_at", "contact", "asset_id", "campaigns", "roles", "weight", "share:money", "reason",
    ),
    "/v1/reports/attribution": ("group", "name", "reason", "deals", "contacts", "revenue.*"),
    "/v1/producers": (
        "producer", "accepted", "mapped", "unmapped", "refused", "refused_by", "first_seen", "last_seen", "dead_letters", "more_names", "names",
    ),
}  # fmt: skip
