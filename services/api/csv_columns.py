"""Which columns does a list have as CSV? One line for each list, by the path of its route.

A column is the path of a field within an item, with dots. `:money` marks an amount of money, or a list of amounts: it becomes the two
columns `…amount` and `…currency`. `.*` at the end stands for one column for each key that the items of the page have there; it is used only
where the request says which keys there are. Columns are only ever added, at the end.

A list that is not here has the fields of its items, in the order in which the items name them.
"""

from shared.reading.drilldown_touches import TYPES
from shared.reading.overview import COUNTS
from shared.rules.pre_association import KeptOut

MONEY = ":money"
ANY = ".*"

_TOUCHES = TYPES
_METRICS = tuple(COUNTS)
_BEHIND = (
    "contact", "name", "asset_id", "asset_type", "asset_name", "via_asset_id", "url", "source", "medium", "channel", "through",
    "deciding_event", "utm_campaign",
)  # fmt: skip


_ASSET = ("asset.asset_id", "asset.asset_type", "asset.name")


def _each(field: str, keys: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{field}.{key}" for key in keys)


CSV_COLUMNS: dict[str, tuple[str, ...]] = {
    "/v1/campaigns": (
        "campaign_id", "name", "starts_on", "ends_on", "owner", "notes", "budget:money", "created_at", "deleted_at", "utm_campaign",
        *_each("metrics", _METRICS), "metrics.influenced_revenue:money", "metrics.attributed_revenue:money",
        *_each("touches", _TOUCHES), *_each("excluded", tuple(map(str, KeptOut))), "series",
        *_each("compare.metrics", _METRICS), "compare.metrics.influenced_revenue:money", "compare.metrics.attributed_revenue:money",
        *_each("goals", _METRICS), "goals.influenced_revenue:money", "goals.attributed_revenue:money", "compare.complete",
    ),
    "/v1/campaigns/{campaign_id:id}/refusals": ("asset_id", "asset_type", "name", "occurred_at", "event_id", "reason"),
    "/v1/campaigns/{campaign_id:id}/contacts": ("contact", "at", "deciding_event", "name", "email"),
    "/v1/campaigns/{campaign_id:id}/deals": (
        "deal_id", "name", "state", "created_at", "closed_at", "amount:money", "share:money",
    ),
    "/v1/campaigns/{campaign_id:id}/touches": (
        "event_id", "type", "occurred_at", "touches", "session", *_BEHIND,
    ),
    "/v1/campaigns/{campaign_id:id}/sessions": ("session", "at", "new", "page_views", "event_id", *_BEHIND),
    "/v1/campaigns/{campaign_id:id}/assets": (
        "asset_id", "asset_type", "name", "network", "ad_type", "associated_at", "held_until", "former", "visible", "hidden_reason",
        *_each("statistics", _TOUCHES), *_each("contacts", _TOUCHES), *_each("not_shown", _TOUCHES),
        "results.influenced_contacts", "results.influenced_deals", "results.influenced_revenue:money",
    ),
    "/v1/campaigns/{campaign_id:id}/spend": ("event_id", "on", "amount:money", "asset_id"),
    "/v1/campaigns/{campaign_id:id}/budget-items": ("event_id", "name", "amount:money"),
    "/v1/catalog/unresolved": ("campaign_id", "asset_id", "utm_campaign", "url", "events", "visits", "first_seen", "last_seen"),
    "/v1/assets": (
        "asset_id", "asset_type", "name", "url", "target_url", "network", "ad_type", "campaign", "campaigns", "touches", "first_seen", "last_seen",
        *_each("statistics", _TOUCHES),
    ),
    "/v1/catalog/unresolved/events": (
        "event_id", "type", "occurred_at", "contact", "name", "email", "campaign_id", "asset_id", "via_asset_id", "url", "utm_campaign",
        "source", "medium", "channel",
    ),
    "/v1/assets/{asset_id:id}/touches": (
        "event_id", "type", "occurred_at", "touches", "session", "contact", "name", "email", *_ASSET, "via_asset_id", "url",
        "utm_campaign", "source", "medium", "channel", "campaigns",
    ),
    "/v1/assets/{asset_id:id}/contacts": ("contact", "at", "name", "email"),
    "/v1/assets/{asset_id:id}/deals": ("deal_id", "name", "state", "amount:money", "created_at", "closed_at"),
    "/v1/contacts": (
        "contact", "created_at", "internal", "salesforce_campaign_ids", "salesforce_campaigns", "name", "email", "first_visit_at",
        "last_touch_at",
    ),
    "/v1/deals": ("deal_id", "name", "state", "amount:money", "created_at", "closed_at", "contacts", "campaigns"),
    "/v1/events": (
        "event_id", "type", "occurred_at", "contact", "asset_id", "url", "campaigns", "counted", "reason", "name", "email", *_ASSET,
    ),
    "/v1/reports/roi": (
        "campaign_id", "name", "budget:money", "spend:money", "contacts", "deals", "attributed_revenue:money", "cost_per_contact:money",
        "cost_per_deal:money", "return",
    ),
    "/v1/reports/paths": ("path", "deals", "revenue:money", "touches_mean", "days_to_close_median"),
    "/v1/reports/paths/deals": ("deal_id", "name", "state", "amount:money", "created_at", "closed_at", "touches", "days_to_close"),
    "/v1/contacts/{name:id}/deals": (
        "deal_id", "name", "state", "amount:money", "created_at", "closed_at", "associated_at", "dissociated_at", "eligible", "reason", "campaigns",
    ),
    "/v1/contacts/{name:id}/journey": (
        "event_id", "type", "occurred_at", "asset_id", "via_asset_id", "url", "session", "source", "medium", "channel", "campaigns",
        "counted", "reason", "kept_out", *_ASSET,
    ),
    "/v1/identifiers": ("identifier", "kind", "joined", "contact"),
    "/v1/deals/{deal_id:id}/attribution": (
        "event_id", "type", "occurred_at", "contact", "asset_id", "source", "medium", "channel", "campaigns", "roles", "weight", "share:money",
        "by_model.*", "reason", "url", *_ASSET,
    ),
    "/v1/reports/attribution/deals": (
        "deal_id", "name", "state", "amount:money", "created_at", "closed_at", "share:money", "credit",
    ),
    "/v1/reports/attribution/contacts": ("contact", "name", "email", "created_at", "share:money", "credit"),
    "/v1/reports/attribution": ("group", "name", "reason", "deals", "contacts", "revenue.*", "credit.*"),
    "/v1/generations": (
        "name", "state", "workspace", "shape", "this_release", "created_at", "live_since", "expires_at", "events", "behind_events", "bytes",
        "made", "changes", "other_lists",
    ),
    "/v1/verifications": (
        "number", "made_by", "generation", "state", "began_at", "ended_at", "sample", "tables", "rows", "offsets", "events", "differences",
        "left_out", "failure",
    ),
    "/v1/producers": (
        "producer", "accepted", "mapped", "unmapped", "refused", "refused_by", "first_seen", "last_seen", "dead_letters", "more_names", "names",
    ),
}  # fmt: skip
