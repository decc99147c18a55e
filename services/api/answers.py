"""What does each read answer? The types of all answers, for `/openapi.json`; a test compares them with real ones.

Answers are made as plain dictionaries and written by orjson; these types only describe them.
"""

import datetime as dt
from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from shared.rules.deal import State
from shared.rules.models import Role

Amount = Annotated[str, Field(description="a decimal number", pattern=r"^-?\d+(\.\d+)?$", examples=["1200.50"])]
Instant = Annotated[dt.datetime, Field(description="an instant in UTC, RFC 3339")]
Position = Annotated[
    str, Field(description="a position of the projection; `after=` takes it", examples=["q0123456789abcdef"])
]
Cursor = Annotated[str, Field(description="`cursor=` takes it, for the next page; null on the last one")]
Weight = Annotated[str, Field(description="a fraction", examples=["3/5"])]
CampaignId = Annotated[str, Field(description="the id of a campaign", examples=["spring"])]


class Money(TypedDict):
    """An amount of money."""

    amount: Amount
    currency: Annotated[str, Field(description="a code of ISO 4217", examples=["NOK"])]


class Answer(TypedDict):
    """What every answer has: the position of the projection that it shows."""

    as_of: Position


_Range = TypedDict("_Range", {"from": Instant | None, "to": Instant | None})
_Since = TypedDict("_Since", {"from": Instant, "to": Instant | None})
_From = TypedDict("_From", {"from": Instant})
_Interval = TypedDict("_Interval", {"from": Instant, "to": Instant})
_Return = TypedDict("_Return", {"return": Amount | None})


class Ranged(Answer, _Range):
    """An answer of a range of time; null: open on that side."""


class UtmValue(TypedDict):
    """A utm value that a campaign claims, as it was sent, and since when."""

    value: str
    since: Instant


Goals = Annotated[
    dict[str, int | Money],
    Field(description="what the campaign is to reach in all, by metric: a count, or money in its currency"),
]


class CampaignFields(TypedDict):
    """The fields of a campaign, as events last set them."""

    campaign_id: CampaignId
    name: str | None
    starts_on: dt.date | None
    ends_on: dt.date | None
    owner: str | None
    notes: str | None
    budget: Money | None
    goals: Goals
    created_at: Instant
    deleted_at: Instant | None
    utm_campaign: list[UtmValue]


class Metrics(TypedDict):
    """The metrics of a campaign in a range; amounts are one a currency, and are never added."""

    sessions: Annotated[
        int, Field(description="sessions with a page visit of the campaign's pages or utm values, dated by their start")
    ]
    new_sessions: Annotated[int, Field(description="those sessions that are their visitor's first ever")]
    page_views: Annotated[int, Field(description="page visits that belong to the campaign, anonymous ones too")]
    form_submissions: Annotated[int, Field(description="forms sent while the campaign held them")]
    cta_clicks: Annotated[int, Field(description="clicks of calls to action while the campaign held them")]
    email_opens: Annotated[int, Field(description="opens by people; those by machines are kept out")]
    email_clicks: Annotated[int, Field(description="clicks in the campaign's e-mails")]
    new_contacts_first_touch: Annotated[
        int, Field(description="contacts whose first page visit belongs to the campaign, dated by their conversion")
    ]
    new_contacts_last_touch: Annotated[int, Field(description="contacts that converted in a session with the campaign")]
    influenced_contacts: Annotated[
        int, Field(description="contacts, new or not, whom the campaign touched; dated by the first such touch")
    ]
    contacts_with_revenue: Annotated[
        int, Field(description="contacts of won deals whom the campaign touched before the close")
    ]
    contacts_with_attributed_revenue: Annotated[
        int, Field(description="contacts whose touches earned some of the attributed revenue")
    ]
    influenced_deals: Annotated[
        int, Field(description="open and won deals with a contact whom the campaign touched in time")
    ]
    closed_deals: Annotated[int, Field(description="the won ones of these deals")]
    influenced_revenue: Annotated[list[Money], Field(description="the whole amounts of these won deals")]
    attributed_revenue: Annotated[
        list[Money], Field(description="the campaign's share of each won deal, under the model")
    ]


Counts = Annotated[dict[str, int], Field(description="numbers by name")]
MetricValue = Annotated[int | list[Money], Field(description="a count, or amounts of money, one a currency")]


class SeriesPoint(_From):
    """A metric in an interval of time that begins with `from`."""

    value: MetricValue


class Compared(_Range):
    """The metrics of another range."""

    complete: Annotated[
        bool,
        Field(description="false: the range begins before there was any touch, so its numbers are of a part of it"),
    ]
    metrics: Metrics


class CampaignItem(CampaignFields):
    """A campaign with its numbers."""

    metrics: Metrics
    touches: Counts
    excluded: Counts
    series: NotRequired[list[SeriesPoint]]
    compare: NotRequired[Compared]


class CampaignNames(CampaignFields):
    """A campaign without its numbers, as `numbers=false` asks for it."""


class CampaignList(Ranged):
    """The campaigns."""

    items: list[CampaignItem]
    next_cursor: Cursor | None
    model: str


class CampaignNameList(Answer):
    """The campaigns without their numbers."""

    items: list[CampaignNames]
    next_cursor: Cursor | None


class Association(_Since):
    """A time in which the campaign held an asset."""

    asset_id: str | None
    asset_type: str | None
    name: str | None
    event_id: str


class CampaignAnswer(CampaignFields, Answer):
    """A campaign, its spend in all, and its associations. `deleted_by` is the event that deleted it."""

    deleted_by: str | None
    spent: list[Money]
    associations: list[Association]


class OverviewAnswer(Ranged):
    """The numbers of a campaign in a range, and how many touches were kept out of them, by reason."""

    campaign_id: CampaignId
    model: str
    metrics: Metrics
    touches: Counts
    excluded: Counts
    goals: Goals
    settled_through: Instant | None
    compare: NotRequired[Compared]


class TimelinePoint(_Interval):
    """A metric in an interval of time."""

    value: MetricValue


class TimelineAnswer(Answer):
    """A metric of a campaign over time."""

    interval: Literal["hour", "day", "week", "month"]
    metric: str
    model: str
    points: list[TimelinePoint]


class AssetResults(TypedDict):
    """Whom an asset influenced, whoever held it."""

    influenced_contacts: int
    influenced_deals: int
    influenced_revenue: list[Money]


class AssetContact(TypedDict):
    """A contact whom an asset influenced: who it is, and when the asset first touched it."""

    contact: str
    name: str | None
    email: str | None
    at: Instant


class CampaignAsset(TypedDict):
    """An asset in the section of a campaign."""

    asset_id: str | None
    asset_type: str | None
    name: str | None
    network: str | None
    ad_type: str | None
    associated_at: Instant
    held_until: Instant | None
    former: bool
    visible: bool
    hidden_reason: str | None
    statistics: Counts
    contacts: Counts
    not_shown: dict[str, Counts]
    results: AssetResults


class CampaignAssetList(Ranged):
    """The assets that a campaign holds, and those that it held if they kept something."""

    items: list[CampaignAsset]
    next_cursor: Cursor | None


class ContactBehind(TypedDict):
    """A contact behind a number, when it came to count, and by which event."""

    contact: str
    name: Annotated[str | None, Field(description="first and last name")]
    email: str | None
    at: Instant
    deciding_event: str


class ContactsBehind(Answer):
    """The contacts behind a number."""

    items: list[ContactBehind]
    next_cursor: Cursor | None
    metric: str


class DealFields(TypedDict):
    """What is known of a deal."""

    deal_id: str
    name: str | None
    state: State
    amount: Money | None
    created_at: Instant
    closed_at: Instant | None


class DealBehind(DealFields):
    """A deal behind a number, with the campaign's share of it."""

    share: Money | None


class DealsBehind(Answer):
    """The deals behind a number."""

    items: list[DealBehind]
    next_cursor: Cursor | None
    metric: str
    model: str


class _Behind(TypedDict):
    """Who touched what, what brought the touch, and what makes it the campaign's."""

    event_id: str
    contact: Annotated[str | None, Field(description="null: an anonymous visitor")]
    name: Annotated[str | None, Field(description="first and last name of the contact")]
    asset_id: Annotated[
        str | None, Field(description="the asset that decides; null: a utm value does, or no asset has the address")
    ]
    asset_type: str | None
    asset_name: str | None
    via_asset_id: str | None
    url: str | None
    utm_campaign: Annotated[str | None, Field(description="the utm value of a page visit")]
    source: str | None
    medium: str | None
    channel: str
    through: Annotated[
        Literal["asset", "via", "utm"],
        Field(description="by which of asset, link and utm value it reaches the campaign"),
    ]
    deciding_event: Annotated[
        str | None, Field(description="the event that associated the asset, or claimed the utm value")
    ]


class TouchBehind(_Behind):
    """A touch behind a number. `touches`: for how many touches its event stands."""

    type: str
    occurred_at: Instant
    touches: int
    session: str | None


class TouchesBehind(Ranged):
    """The touches behind a number, or those kept out for a reason."""

    items: list[TouchBehind]
    next_cursor: Cursor | None
    metric: str | None
    type: str | None
    reason: str | None


class SessionBehind(_Behind):
    """A session behind a number: when it began, and its first page visit that counts for the campaign, of `page_views`."""

    session: str
    at: Instant
    new: Annotated[bool, Field(description="whether it is the first of its visitor")]
    page_views: int


class SessionsBehind(Ranged):
    """The sessions behind a number."""

    items: list[SessionBehind]
    next_cursor: Cursor | None
    metric: str


class RefusedAssociation(TypedDict):
    """An association that a campaign was refused."""

    asset_id: str | None
    asset_type: str | None
    name: str | None
    occurred_at: Instant
    event_id: str
    reason: str


class RefusalList(Answer):
    """The associations that a campaign was refused, in order."""

    items: list[RefusedAssociation]
    next_cursor: Cursor | None


class SpendItem(TypedDict):
    """What was spent on a day; `asset_id` is null if it was spent on the campaign as a whole."""

    event_id: str
    on: dt.date
    amount: Money
    asset_id: str | None


class SpendList(Ranged):
    """A campaign's spend, in the order of its days."""

    items: list[SpendItem]
    next_cursor: Cursor | None


class BudgetItem(TypedDict):
    """A sum that is planned for a campaign; as it was sent, if its currency cannot express it."""

    event_id: str
    name: str | None
    amount: Money


class BudgetItemList(Answer):
    """The items of a campaign's budget, in the order of their events."""

    items: list[BudgetItem]
    next_cursor: Cursor | None


class UnresolvedItem(TypedDict):
    """What events name that nobody created, registered or claimed; one of the first four fields names it."""

    campaign_id: NotRequired[CampaignId]
    asset_id: NotRequired[str]
    utm_campaign: NotRequired[str]
    url: NotRequired[str]
    events: NotRequired[int]
    visits: NotRequired[int]
    first_seen: Instant
    last_seen: Instant


class UnresolvedOfKind(Answer):
    """A page of one list of what is unresolved, as `kind` asks for it."""

    kind: str
    items: list[UnresolvedItem]
    next_cursor: Cursor | None


class UnresolvedEvent(TypedDict):
    """An event that names what is unresolved. Only touches have a contact (null: an anonymous visitor), and what brought them."""

    event_id: str
    type: str
    occurred_at: Instant
    contact: str | None
    name: Annotated[str | None, Field(description="first and last name of the contact")]
    email: str | None
    campaign_id: str | None
    asset_id: str | None
    via_asset_id: str | None
    url: str | None
    utm_campaign: str | None
    source: str | None
    medium: str | None
    channel: str | None


class UnresolvedEvents(Answer):
    """The events behind an entry of a list of what is unresolved, in order."""

    kind: str
    name: str
    items: list[UnresolvedEvent]
    next_cursor: Cursor | None


class UnresolvedAnswer(Answer):
    """The beginning of each list of what is unresolved."""

    campaigns: list[UnresolvedItem]
    assets: list[UnresolvedItem]
    utm_values: list[UnresolvedItem]
    pages: list[UnresolvedItem]
    next_cursors: dict[str, Cursor | None]


class AssetItem(TypedDict):
    """An asset, who holds it now, and its touches that count."""

    asset_id: str
    asset_type: str | None
    name: str | None
    url: str | None
    target_url: str | None
    network: str | None
    ad_type: str | None
    campaign: CampaignId | None
    campaigns: list[str]
    touches: int
    statistics: Counts
    first_seen: Instant | None
    last_seen: Instant | None


class AssetList(Ranged):
    """The assets."""

    items: list[AssetItem]
    next_cursor: Cursor | None


class Held(_Since):
    """A time in which a campaign held an asset, and the events that began and ended it."""

    campaign: CampaignId
    associated_by: str
    ended_by: str | None


class AssetContacts(Ranged):
    """The contacts whom an asset influenced."""

    items: list[AssetContact]
    next_cursor: Cursor | None


class AssetDeal(DealFields):
    """A deal that an asset influenced."""


class AssetDeals(Ranged):
    """The deals that an asset influenced."""

    items: list[AssetDeal]
    next_cursor: Cursor | None


class AssetDay(TypedDict):
    """The touches of an asset on one day that count for one campaign; null: for none."""

    on: dt.date
    campaign: CampaignId | None
    touches: int


class AssetAnswer(AssetItem, Ranged):
    """An asset with its history."""

    held: list[Held]
    days: list[AssetDay]
    results: AssetResults


class SalesforceCampaign(TypedDict):
    """A Salesforce campaign that a contact is in, how and since when."""

    salesforce_campaign_id: str
    source: str
    joined_at: Instant
    event_id: str


class ContactItem(TypedDict):
    """A contact."""

    contact: str
    name: str | None
    email: str | None
    created_at: Instant
    first_visit_at: Instant | None
    last_touch_at: Instant | None
    internal: bool
    salesforce_campaign_ids: list[str]
    salesforce_campaigns: list[SalesforceCampaign]


class ContactList(Ranged):
    """The contacts."""

    items: list[ContactItem]
    next_cursor: Cursor | None


class ContactAnswer(Answer):
    """A person: all identifiers, the event that created it, and its properties."""

    contact: str
    ids: list[str]
    emails: list[str]
    created_at: Instant
    conversion: str
    first_page_visit: str | None
    properties: dict[str, str]
    internal: bool
    salesforce_campaign_ids: list[str]
    salesforce_campaigns: list[SalesforceCampaign]


class ContactDeal(DealFields):
    """A deal that a contact was ever associated with, and the campaigns that the deal counts for."""

    associated_at: Annotated[Instant, Field(description="since when the contact is a contact of the deal")]
    dissociated_at: Annotated[Instant | None, Field(description="since when it no longer is; null: it still is")]
    eligible: Annotated[bool, Field(description="whether its touches may make the deal count, and earn credit")]
    reason: Annotated[str | None, Field(description="why it is not eligible (rule deal); null: it is")]
    campaigns: list[str]


class ContactDeals(Answer):
    """The deals of a contact."""

    items: list[ContactDeal]
    next_cursor: Cursor | None


class KeptOutOf(TypedDict):
    """A campaign that a touch is kept out of, and why."""

    campaign_id: CampaignId
    reason: str


class TouchedAsset(TypedDict):
    """What was touched: the asset that the event names, or the one that had the address of the page then."""

    asset_id: str
    asset_type: str | None
    name: str | None


class JourneyTouch(TypedDict):
    """A touch of a contact: its session, what brought it, and the campaigns that it counts for."""

    event_id: str
    type: str
    occurred_at: Instant
    asset_id: str | None
    via_asset_id: str | None
    url: str | None
    session: str | None
    source: str | None
    medium: str | None
    channel: str
    campaigns: list[str]
    counted: bool
    reason: str | None
    kept_out: list[KeptOutOf]
    asset: TouchedAsset | None


class AssetTouch(TypedDict):
    """A touch of an asset, and the campaigns that it counts for. `touches`: for how many touches its event stands."""

    event_id: str
    type: str
    occurred_at: Instant
    touches: int
    session: str | None
    contact: Annotated[str | None, Field(description="null: an anonymous visitor")]
    name: Annotated[str | None, Field(description="first and last name of the contact")]
    email: str | None
    asset: TouchedAsset | None
    via_asset_id: str | None
    url: str | None
    utm_campaign: Annotated[str | None, Field(description="the utm value of a page visit")]
    source: str | None
    medium: str | None
    channel: str
    campaigns: list[str]


class AssetTouches(Ranged):
    """The touches of an asset that count, in order."""

    items: list[AssetTouch]
    next_cursor: Cursor | None
    type: str | None


class JourneyAnswer(Answer):
    """Every touch of a contact, in order."""

    contact: str
    items: list[JourneyTouch]
    next_cursor: Cursor | None


class JoinedIdentifier(TypedDict):
    """An identifier that events join with many others at once."""

    identifier: str
    kind: Literal["id", "email"]
    joined: int
    contact: str | None


class IdentifierList(Answer):
    """The identifiers that join most others."""

    items: list[JoinedIdentifier]
    next_cursor: Cursor | None


class DealItem(DealFields):
    """A deal, how many of its contacts are eligible, and the campaigns that it counts for."""

    contacts: int
    campaigns: list[str]


class DealList(Ranged):
    """The deals."""

    items: list[DealItem]
    next_cursor: Cursor | None


class DealContact(TypedDict):
    """A contact that a deal was ever associated with: whether it is eligible, and if not, why."""

    contact: str
    name: str | None
    email: str | None
    associated_at: Instant
    dissociated_at: Instant | None
    eligible: bool
    reason: str | None


class DealAnswer(DealFields, Answer):
    """A deal with its contacts."""

    contacts: list[DealContact]
    campaigns: list[str]


class ModelShare(TypedDict):
    """What a touch of a deal's journey earned under one model."""

    weight: Weight
    share: Money | None


class DealShare(TypedDict):
    """What a touch of a deal's journey earned. `weight` and `share` are those under `model` of the answer, the first that was named."""

    event_id: str
    type: str
    occurred_at: Instant
    contact: str | None
    asset_id: str | None
    source: str | None
    medium: str | None
    channel: str
    campaigns: list[str]
    roles: list[Role]
    weight: Weight
    share: Money | None
    by_model: NotRequired[
        Annotated[dict[str, ModelShare], Field(description="the same under each model, if the request names several")]
    ]
    url: str | None
    asset: TouchedAsset | None


class OtherTouch(TypedDict):
    """A touch of a deal's contacts that earned nothing, and why; and the campaigns that it counts for all the same."""

    event_id: str
    type: str
    occurred_at: Instant
    contact: str
    asset_id: str | None
    source: str | None
    medium: str | None
    channel: str
    campaigns: list[str]
    reason: str | None
    url: str | None
    asset: TouchedAsset | None


class DealAttribution(DealFields, Answer):
    """The journey of a deal, each touch with its exact share; with `all`, the other touches too."""

    model: str
    models: list[str]
    amount_refused: Money | None
    shares: list[DealShare]
    others: NotRequired[list[OtherTouch]]
    next_cursor: NotRequired[Cursor | None]


class Check(TypedDict):
    """One check of a rule: whether it holds (null: it was not asked), in words, and the event that decides it."""

    rule: str
    check: str
    holds: bool | None
    says: str
    deciding_event: str | None


class DealExplanation(Answer):
    """Why a deal counts for a campaign, or does not."""

    deal_id: str
    campaign_id: CampaignId
    counts: bool
    reason: str | None
    checks: list[Check]


class RecentEvent(TypedDict):
    """An event, and what it counts for."""

    event_id: str
    type: str
    occurred_at: Instant
    contact: str | None
    asset_id: str | None
    url: str | None
    campaigns: list[str]
    counted: bool
    reason: str | None
    name: str | None
    email: str | None
    asset: TouchedAsset | None


class EventList(Answer):
    """The newest events, the latest received first."""

    items: list[RecentEvent]
    next_cursor: Cursor | None


class EventCampaign(TypedDict):
    """Whether an event counts for a campaign: through which routes, or why not."""

    campaign_id: CampaignId
    counts: bool
    says: str
    through: NotRequired[list[str]]
    reason: NotRequired[str]


class EventSection(TypedDict):
    """A campaign's section of an asset that shows a touch, or does not, and why."""

    campaign_id: CampaignId
    asset_id: str
    former: bool
    shown: bool
    reason: str | None


class EventExplanation(Answer):
    """What an event counted for. A field that is absent does not apply to the event."""

    event_id: str
    type: str | None
    occurred_at: Instant | None
    contact: str | None
    counted: bool
    reason: str | None
    campaigns: list[EventCampaign]
    name: NotRequired[str | None]
    email: NotRequired[str | None]
    detail: NotRequired[str | None]
    machine_by: NotRequired[str | None]
    asset_id: NotRequired[str | None]
    via_asset_id: NotRequired[str | None]
    session: NotRequired[str | None]
    source: NotRequired[str | None]
    medium: NotRequired[str | None]
    channel: NotRequired[str]
    influence: NotRequired[list[str]]
    sections: NotRequired[list[EventSection]]
    campaign_id: NotRequired[str | None]
    retracted_by: NotRequired[list[str]]
    version_as_of: NotRequired[
        Annotated[
            Instant | None, Field(description="`as_of` of the version of the event that counts; null: it has none")
        ]
    ]
    conflicting_duplicates: NotRequired[int]


Earned = Annotated[
    dict[str, Amount | list[Money]],
    Field(description="what was earned, by model: an amount, or with `currency=all` one a currency"),
]


class ReportRow(TypedDict):
    """A group of a report. `revenue` is of `of=revenue`, `credit` of deals and contacts created."""

    group: str | None
    reason: NotRequired[Annotated[str, Field(description="why there is no group")]]
    name: NotRequired[str | None]
    deals: NotRequired[int]
    contacts: int
    revenue: NotRequired[Earned]
    credit: NotRequired[dict[str, Amount]]


class AttributionReport(Ranged):
    """What each group earned or brought; the rows add up to `total`."""

    models: list[str]
    of: Literal["revenue", "deals", "contacts"]
    group_by: str
    rows: list[ReportRow]
    total: Earned
    currency: NotRequired[str]
    deals: NotRequired[int]
    contacts: NotRequired[int]
    other_currencies: NotRequired[list[Money]]


class GroupDeal(DealFields):
    """A deal behind a row of a report: what the group earned of it (`share`; null: the deal has no amount), or brought of its creation."""

    share: NotRequired[Money | None]
    credit: NotRequired[Amount]


class _BehindRow(Ranged):
    """What is behind a row of a report; `currency` is of revenue."""

    model: str
    group_by: str
    currency: NotRequired[str]
    next_cursor: Cursor | None


class GroupDeals(_BehindRow):
    """The deals behind a row of a report, the latest close, or creation, first."""

    of: Literal["revenue", "deals"]
    items: list[GroupDeal]


class GroupContact(TypedDict):
    """A contact behind a row of a report: what the group earned by its touches, or brought by them of what was created."""

    contact: str
    name: Annotated[str | None, Field(description="first and last name")]
    email: str | None
    created_at: Instant
    share: NotRequired[list[Money]]
    credit: NotRequired[Amount]


class GroupContacts(_BehindRow):
    """The contacts behind a row of a report, the latest created first."""

    of: Literal["revenue", "deals", "contacts"]
    items: list[GroupContact]


class RoiNumbers(_Return):
    """What was spent and earned, in one currency."""

    budget: Money | None
    spend: Money
    contacts: int
    deals: int
    attributed_revenue: Money
    cost_per_contact: Money | None
    cost_per_deal: Money | None


class RoiRow(RoiNumbers):
    """What was spent on a campaign, and what it earned."""

    campaign_id: CampaignId
    name: str | None


class RoiReport(Ranged):
    """What campaigns cost and returned."""

    model: str
    currency: str
    rows: list[RoiRow]
    total: RoiNumbers
    spend_in_other_currencies: list[Money]


class Path(TypedDict):
    """The deals that were won by one path."""

    path: list[str]
    deals: int
    revenue: list[Money]
    touches_mean: Amount
    days_to_close_median: Amount


class PathDeal(DealFields):
    """A deal that was won by a path: how many touches its journey has, and how many days passed from the first of them to the close."""

    touches: int
    days_to_close: Amount


class PathDeals(Ranged):
    """The deals that were won by a path, the latest close first."""

    items: list[PathDeal]
    next_cursor: Cursor | None


class PathList(Ranged):
    """The paths by which deals were won, the commonest first."""

    items: list[Path]
    next_cursor: Cursor | None


class StatusWorkspace(TypedDict):
    """The workspace of the key."""

    id: str | None
    name: str | None
    currency: str
    time_zone: str


class DeadLetters(TypedDict):
    """Dead letters of one reason and key."""

    reason: str
    key: str | None
    events: int


class PushedOut(TypedDict):
    """How many dead letters of a key were deleted for later ones."""

    key: str | None
    events: int


class SettingsUnderWay(TypedDict):
    """Changed settings that are being applied to all of history."""

    since: Instant
    events_done: int | None
    events_to_do: int | None


class StatusAnswer(Answer):
    """How far the projection is, and what was refused."""

    workspace: StatusWorkspace
    generation: str
    up_to_date: bool | None
    partition: int | None
    projected_offset: int | None
    log_end_offset: int | None
    lag_events: int | None
    settled_through: Instant | None
    settings_under_way: SettingsUnderWay | None
    dead_letters: int
    dead_letters_by: list[DeadLetters]
    dead_letters_pushed_out: list[PushedOut]


class CollectKey(TypedDict):
    """A collect key, and the latest events that web pages sent with it. `origins`: null if it may be used from all."""

    name: str
    origins: list[str] | None
    revoked: bool
    events: list[str]
    last_seen: Instant | None


class BrowserNotice(TypedDict):
    """Why web pages sent nothing, or were refused."""

    notice: str
    key: str | None
    origin: str | None
    requests: int
    first_seen: Instant
    last_seen: Instant


class BrowsersAnswer(Answer):
    """What web pages sent with the workspace's collect keys, and what was refused to them."""

    keys: list[CollectKey]
    notices: list[BrowserNotice]


class RefusedBy(TypedDict):
    """How many messages were refused with one code."""

    code: str
    messages: int


class MessageCounts(TypedDict):
    """What became of messages."""

    accepted: int
    mapped: int
    unmapped: int
    refused: int
    refused_by: list[RefusedBy]
    first_seen: Instant
    last_seen: Instant


class NamedMessages(MessageCounts):
    """What became of the messages of one name."""

    name: str


class ProducerItem(MessageCounts):
    """What arrived from a producer, and what became of it; `dead_letters`: how many refused messages are kept now."""

    producer: str
    dead_letters: int
    more_names: bool
    names: list[NamedMessages]


class ProducerList(Answer):
    """The producers."""

    items: list[ProducerItem]


class Making(TypedDict):
    """The progress of a generation that is being built, as last recorded: `events` of `of_events` were projected at this instant."""

    events: int
    of_events: int
    at: Instant


class WhatIfChanges(TypedDict):
    """What a what-if has otherwise than the log: settings, how many events are added and left out, and until when events were received."""

    settings: dict[str, Any]
    added: int
    without: int
    received_by: Instant | None


class OtherList(TypedDict):
    """A package of published facts whose version has changed since a generation was begun."""

    package: str
    then: str
    now: str


class GenerationItem(TypedDict):
    """A projection of the log. `workspace`: the only one that it holds (null: all); `this_release`: whether this release can read it.

    `behind_events`: how many events of the log the live one lacks, and how many of those of the live one another lacks.
    """

    name: str
    state: Literal["live", "projected_on", "unfinished", "what_if"]
    workspace: str | None
    shape: str
    this_release: bool
    created_at: Instant
    live_since: Instant | None
    expires_at: Instant | None
    events: int | None
    behind_events: int | None
    bytes: int | None
    made: Making | None
    changes: WhatIfChanges | None
    other_lists: list[OtherList]


class GenerationList(Answer):
    """The generations, the oldest first."""

    items: list[GenerationItem]


class Exists(TypedDict):
    """Whether a campaign is there in the generation that is compared with, and in the one that is compared."""

    before: bool
    after: bool


class ValuePair(TypedDict):
    """A number in the generation that is compared with, and in the one that is compared; null: the campaign is not there."""

    before: MetricValue | None
    after: MetricValue | None


class DifferenceItem(TypedDict):
    """What a campaign gains or loses: only numbers that differ are shown."""

    campaign_id: CampaignId
    name: str | None
    exists: Exists
    metrics: dict[str, ValuePair]
    excluded: dict[str, ValuePair]


class DifferenceAnswer(Answer):
    """The campaigns that differ between two generations. `same_position`: whether both show the same events of the log."""

    generation: str
    same_position: bool
    model: str
    campaigns: list[DifferenceItem]


class SamplePart(TypedDict):
    """Which part of the persons and deals was compared."""

    of: int
    place: int
    persons_and_deals: int


class VerificationItem(TypedDict):
    """A comparison of the live rows with what the log makes. `differences` are the first 20, in words; `offsets` by partition.

    `not_ended`: its process was killed.
    """

    number: int
    made_by: Literal["verify", "rebuild"]
    generation: str
    state: Literal["running", "agreed", "differed", "failed", "not_ended"]
    began_at: Instant
    ended_at: Instant | None
    sample: SamplePart | None
    tables: int | None
    rows: int | None
    offsets: dict[str, int] | None
    events: int | None
    differences: list[str] | None
    left_out: list[str] | None
    failure: str | None


class VerificationList(Answer):
    """The verifications, the latest first."""

    items: list[VerificationItem]
    next_cursor: Cursor | None


class HubSpotNext(TypedDict):
    """Where the next page begins."""

    after: str
    link: str


class HubSpotPaging(TypedDict):
    """How to go on; absent on the last page."""

    next: HubSpotNext


class HubSpotCampaign(TypedDict):
    """A campaign, as HubSpot's API has it."""

    id: str
    properties: dict[str, str]
    createdAt: Instant
    updatedAt: Instant
    businessUnits: list[dict[str, str]]


class HubSpotCampaignList(TypedDict):
    """Campaigns, as HubSpot's API lists them."""

    total: int
    results: list[HubSpotCampaign]
    paging: NotRequired[HubSpotPaging]


class HubSpotAsset(TypedDict):
    """An asset of a campaign, with its metrics if both dates were given."""

    id: str
    name: NotRequired[str]
    metrics: NotRequired[dict[str, int]]


class HubSpotAssetList(TypedDict):
    """Assets of one type."""

    results: list[HubSpotAsset]
    paging: NotRequired[HubSpotPaging]


class HubSpotCampaignWithAssets(HubSpotCampaign):
    """A campaign and its assets by HubSpot's type."""

    assets: dict[str, HubSpotAssetList]


class HubSpotMetrics(TypedDict):
    """The numbers of a campaign."""

    sessions: int
    newContactsFirstTouch: int
    newContactsLastTouch: int
    influencedContacts: int


class HubSpotRevenue(TypedDict):
    """The revenue of a campaign in the workspace's currency."""

    contactsNumber: int
    dealsNumber: int
    dealAmount: float
    revenueAmount: float
    currencyCode: str


class HubSpotContact(TypedDict):
    """A contact."""

    id: str


class HubSpotContactList(TypedDict):
    """The contacts behind a number."""

    results: list[HubSpotContact]
    paging: NotRequired[HubSpotPaging]


class HubSpotBudgetItem(TypedDict):
    """An item of the budget or of the spend; instants are milliseconds since 1970."""

    id: str
    name: str
    amount: float
    order: int
    description: str
    createdAt: int
    updatedAt: int


class HubSpotBudget(TypedDict):
    """The budget and the spend of a campaign."""

    currencyCode: str
    budgetTotal: float
    spendTotal: float
    remainingBudget: float
    budgetItems: list[HubSpotBudgetItem]
    spendItems: list[HubSpotBudgetItem]
