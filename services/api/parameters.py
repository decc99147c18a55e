"""Which query parameters do reads take? Each is declared once, here; a route lists its own."""

from collections.abc import Mapping
from typing import Any, get_args

from shared.events.limits import ID_CHARACTERS_MAX
from shared.events.types import AssetType
from shared.reading.bounds import JOINED_DEFAULT, JOINED_MAX, JOINED_MIN, LIMIT_DEFAULT, LIMIT_MAX
from shared.reading.intervals import INTERVALS
from shared.reading.overview import CONTACT_METRICS, DEAL_METRICS, METRICS
from shared.rules.models import MODELS
from shared.web.parameters import Declared, Parameter, declared

_ID: Mapping[str, Any] = {"type": "string", "minLength": 1, "maxLength": ID_CHARACTERS_MAX}
_INSTANT: Mapping[str, Any] = {
    "type": "string", "anyOf": [{"format": "date-time"}, {"format": "date"}], "examples": ["2026-01-31", "2026-01-31T12:00:00Z"],
}  # fmt: skip


def _one_of(words: Any, default: str | None = None) -> Mapping[str, Any]:
    schema: dict[str, Any] = {"type": "string", "enum": list(words)}
    return schema if default is None else {**schema, "default": default}


AFTER = Parameter(
    "after",
    "a position: wait up to 5 s until the answer shows all before it, else 503",
    {"type": "string", "maxLength": 64},
)
GENERATION = Parameter(
    "generation", "answer from this generation; goes with no `after`", {"type": "string", "maxLength": 63}
)
FROM = Parameter("from", "the range begins with this instant, or day in the workspace's time zone", _INSTANT)
TO = Parameter("to", "the range ends before this instant, or day in the workspace's time zone", _INSTANT)
CURSOR = Parameter("cursor", "`next_cursor` of the page before")
LIMIT = Parameter(
    "limit", "items of a page", {"type": "integer", "minimum": 1, "maximum": LIMIT_MAX, "default": LIMIT_DEFAULT}
)
MODEL = Parameter("model", "how revenue is shared out", _one_of(MODELS, "linear"))
MODELS_ = Parameter(
    "model", "how revenue is shared out; several stand side by side", _one_of(MODELS, "linear"), repeated=True
)
QUERY = Parameter("q", "only campaigns whose id, name or a utm value holds this, in any case")
SORTS = ("campaign_id", "name", *METRICS)
SORT = Parameter(
    "sort", "what the list is in the order of; `-` before it: the largest first. Amounts count in the workspace's currency",
    _one_of([*SORTS, *(f"-{one}" for one in SORTS)], "campaign_id"),
)  # fmt: skip
METRIC = Parameter("metric", "the number", _one_of(METRICS, "sessions"))
SERIES = Parameter("series", "this number in each `interval` of the range, of every item", _one_of(METRICS))
INTERVAL = Parameter(
    "interval", "hours, days, weeks from Monday on, or months, in the workspace's time zone", _one_of(INTERVALS, "day")
)
COMPARE = Parameter(
    "compare",
    "the same numbers in another range: `previous`, as long and just before; `year`, a year earlier; or `FROM..TO`",
    {"type": "string", "examples": ["previous", "year", "2026-01-01..2026-02-01"]},
)
CONTACT_METRIC = Parameter("metric", "the number", _one_of(CONTACT_METRICS, "influenced_contacts"))
DEAL_METRIC = Parameter("metric", "the number", _one_of(DEAL_METRICS, "influenced_deals"))
ASSET_TYPE = Parameter("type", "only assets of this type", _one_of(get_args(AssetType)))
SALESFORCE = Parameter("salesforce_campaign_id", "only contacts in this Salesforce campaign", _ID)
MIN_JOINED = Parameter(
    "min_joined", "only identifiers that events join with so many others at once",
    {"type": "integer", "minimum": JOINED_MIN, "maximum": JOINED_MAX, "default": JOINED_DEFAULT},
)  # fmt: skip
ALL = Parameter("all", "the contacts' other touches too", {"type": "string", "enum": ["", "true", "false", "1", "0"]})
CAMPAIGN = Parameter("campaign", "the campaign to explain the deal for", _ID, required=True)
GROUP_BY = Parameter("group_by", "what the rows are of", _one_of(["campaign"], "campaign"))
CURRENCY = Parameter(
    "currency", "of the revenue: one of ISO 4217, or another that the workspace's settings or deals have; absent: the workspace's",
    {"type": "string", "pattern": "^[A-Z]{3}$", "examples": ["EUR"]},
)  # fmt: skip

RANGE = (FROM, TO)
PAGE = (CURSOR, LIMIT)


def read(*parameters: Parameter) -> Declared:
    """The `openapi_extra` of a read: its own parameters, and those that every read takes."""
    return declared(*parameters, AFTER, GENERATION)
