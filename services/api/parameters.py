"""Which query parameters do reads take? Each is declared once, here; a route lists its own."""

from collections.abc import Mapping
from typing import Any, get_args

from services.api import csv_answers
from shared.events.limits import ID_CHARACTERS_MAX, URL_CHARACTERS_MAX
from shared.events.types import AssetType
from shared.reading.asset_list import ASSET_ORDERS, TOUCH_SORTS
from shared.reading.contact_list import CONTACT_ORDERS
from shared.reading.deal_list import DEAL_ORDERS
from shared.reading.drilldown_touches import SESSION_METRICS, TYPE_OF_METRIC, TYPES
from shared.reading.intervals import INTERVALS
from shared.reading.limits import HUBSPOT_LIMIT_MAX, JOINED_DEFAULT, JOINED_MAX, JOINED_MIN, LIMIT_DEFAULT, LIMIT_MAX
from shared.reading.overview import CONTACT_METRICS, DEAL_METRICS, METRICS
from shared.reading.reports import Of
from shared.reading.unresolved import KINDS
from shared.rules.data_driven import DATA_DRIVEN
from shared.rules.deal import State
from shared.rules.models import MODELS
from shared.rules.pre_association import KeptOut
from shared.rules.report_groups import GroupBy, NoGroup
from shared.web.parameters import Declared, Parameter, declared

_ID: Mapping[str, Any] = {"type": "string", "minLength": 1, "maxLength": ID_CHARACTERS_MAX}
_INSTANT: Mapping[str, Any] = {
    "type": "string", "anyOf": [{"type": "string", "format": "date-time"}, {"type": "string", "format": "date"}], "examples": ["2026-01-31", "2026-01-31T12:00:00Z"],
}  # fmt: skip


_FLAG: Mapping[str, Any] = {"type": "string", "enum": ["", "true", "false", "1", "0"]}


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
_MODEL: Mapping[str, Any] = {
    "type": "string", "pattern": "^[a-z][a-z0-9_]{0,63}$", "default": "linear", "examples": list(MODELS),
}  # fmt: skip
_MODEL_NAMES = f"{', '.join(MODELS)}, or a model that the workspace has defined"
MODEL = Parameter("model", f"how revenue is shared out: {_MODEL_NAMES}", _MODEL)
MODELS_ = Parameter(
    "model",
    f"how it is shared out; several stand side by side: {_MODEL_NAMES}; of revenue also {' and '.join(DATA_DRIVEN)}",
    {**_MODEL, "examples": [*MODELS, *DATA_DRIVEN]},
    repeated=True,
)
MODELS_OF_DEAL = Parameter(
    "model",
    f"how revenue is shared out; with several, each touch has `by_model`: {_MODEL_NAMES}",
    _MODEL,
    repeated=True,
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
SESSION_METRIC = Parameter("metric", "the number", _one_of(SESSION_METRICS, "sessions"))
TOUCH_METRIC = Parameter("metric", "only touches that this number counts", _one_of(TYPE_OF_METRIC))
TOUCH_TYPE = Parameter("type", "only touches of this type", _one_of(TYPES))
REASON = Parameter(
    "reason", "in place of the touches that count, those that are kept out for this reason", _one_of(map(str, KeptOut))
)
ASSET_TYPE = Parameter("type", "only assets of this type", _one_of(get_args(AssetType)))
SALESFORCE = Parameter("salesforce_campaign_id", "only contacts in this Salesforce campaign", _ID)
MIN_JOINED = Parameter(
    "min_joined", "only identifiers that events join with so many others at once",
    {"type": "integer", "minimum": JOINED_MIN, "maximum": JOINED_MAX, "default": JOINED_DEFAULT},
)  # fmt: skip
ALL = Parameter("all", "the contacts' other touches too", _FLAG)
NUMBERS = Parameter("numbers", "`false`: names and dates alone, without metrics", {**_FLAG, "default": "true"})
CAMPAIGN = Parameter("campaign", "the campaign to explain the deal for", _ID, required=True)
ABOUT_CAMPAIGN = Parameter("campaign", "only what concerns this campaign", _ID)
DEAL_STATE = Parameter("state", "only deals in this state", _one_of(State))
DEAL_SORT = Parameter(
    "sort",
    "the order; `closed_at`: an open deal by its creation; `amount`: by currency first",
    _one_of(DEAL_ORDERS, "-closed_at"),
)
CONTACT_SORT = Parameter("sort", "the order", _one_of(CONTACT_ORDERS, "name"))
ASSET_SORT = Parameter(
    "sort", "the order; `-touches`: most first, of all types that count",
    _one_of([*ASSET_ORDERS, *(f"{sign}{name}" for name in TOUCH_SORTS for sign in ("", "-"))], "name"),
)  # fmt: skip
UNHELD = Parameter("unheld", "only assets that no campaign holds now", _FLAG)
DEALS_WITH = Parameter("q", "only deals whose id or name holds this, in any case")
CONTACTS_WITH = Parameter("q", "only contacts with this in an identifier or in first and last name, in any case")
ASSETS_WITH = Parameter("q", "only assets whose id, name or URL holds this, in any case")
AFTER_RECEIVED = Parameter(
    "after_received", "a position, such as `as_of` of an answer: only events that were received after it",
    {"type": "string", "maxLength": 64},
)  # fmt: skip
GROUP_BY = Parameter("group_by", "what the rows are of", _one_of(GroupBy, "campaign"))
GROUP = Parameter(
    "group",
    "the group of the row, as the report has it; absent and without `reason`: behind the total",
    {"type": "string", "maxLength": 2_000, "examples": ["spring"]},
)
NO_GROUP = Parameter("reason", "the row of what belongs to no group, for this reason", _one_of(map(str, NoGroup)))
OF = Parameter(
    "of", "what is shared out: the revenue of won deals, or the deals or contacts created", _one_of(Of, "revenue")
)
OF_DEALS = Parameter(
    "of",
    "what the report shares out: the revenue of won deals, or the deals created",
    _one_of((Of.REVENUE, Of.DEALS), "revenue"),
)
PATH = Parameter(
    "path", "the path: the types of its touches in order, with commas between them; absent: every path",
    {"type": "string", "maxLength": URL_CHARACTERS_MAX, "examples": ["email_clicked,form_submitted"]},
)  # fmt: skip
NAMED_KIND = Parameter("kind", "of what kind the name is", _one_of(KINDS), required=True)
NAMED = Parameter(
    "name", "the name, as the list has it: a `campaign_id`, `asset_id`, `utm_campaign` or `url`",
    {"type": "string", "minLength": 1, "maxLength": URL_CHARACTERS_MAX}, required=True,
)  # fmt: skip
UNRESOLVED_KIND = Parameter("kind", "one list alone, which then has pages", _one_of(KINDS))
CURRENCY = Parameter(
    "currency", "of the revenue: one of ISO 4217, or another that the workspace's settings or deals have; `all`: every currency, "
    "side by side; absent: the workspace's",
    {"type": "string", "pattern": "^([A-Z]{3}|all)$", "examples": ["EUR", "all"]},
)  # fmt: skip
ONE_CURRENCY = Parameter(
    "currency", "one of ISO 4217, or another that the workspace's settings or deals have; absent: the workspace's",
    {"type": "string", "pattern": "^[A-Z]{3}$", "examples": ["EUR"]},
)  # fmt: skip

LISTED = csv_answers.LISTED
RANGE = (FROM, TO)
PAGE = (CURSOR, LIMIT)
HUBSPOT_AFTER = Parameter("after", "`paging.next.after` of the page before")
HUBSPOT_LIMIT = Parameter("limit", "results of a page", {"type": "integer", "minimum": 1, "maximum": HUBSPOT_LIMIT_MAX})
HUBSPOT_SORT = Parameter(
    "sort",
    "the order",
    _one_of([f"{sign}{name}" for name in ("hs_name", "createdAt", "updatedAt") for sign in ("", "-")], "hs_name"),
)
HUBSPOT_NAME = Parameter("name", "only campaigns whose name holds this, in any case")
HUBSPOT_PROPERTIES = Parameter(
    "properties", "names of properties, with commas between them; absent: none", repeated=True
)
_DATE: Mapping[str, Any] = {"type": "string", "format": "date", "examples": ["2026-01-31"]}
HUBSPOT_DATES = (
    Parameter("startDate", "the first day, in the workspace's time zone; absent: 2006-01-01", _DATE),
    Parameter("endDate", "the last day; absent: today", _DATE),
)
HUBSPOT_MODEL = Parameter(
    "attributionModel", "how revenue is shared out", _one_of([name.upper() for name in MODELS], "LINEAR")
)
HUBSPOT_PAGE = (HUBSPOT_AFTER, HUBSPOT_LIMIT)
HUBSPOT_LIST = (HUBSPOT_SORT, *HUBSPOT_PAGE, HUBSPOT_NAME, HUBSPOT_PROPERTIES)


def read_as_hubspot(*parameters: Parameter) -> Declared:
    """The `openapi_extra` of a read on one of HubSpot's paths: there, `after` pages, and no read waits for a position."""
    return declared(*parameters, GENERATION)


def read(*parameters: Parameter) -> Declared:
    """The `openapi_extra` of a read: its own parameters, and those that every read takes.

    What has pages is a list, and can be had as CSV; so can a list without pages that names `LISTED` among its own.
    """
    listed = LISTED if CURSOR in parameters and LISTED[0] not in parameters else ()
    return declared(*parameters, *listed, AFTER, GENERATION)
