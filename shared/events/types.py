"""Which events exist, and which fields does each carry?

Every event is a frozen msgspec struct; `Event` is their union, tagged by `type`. `shared/events/registry.py` has the other
properties of each type. Field names are those of the wire.
Unknown fields are refused. Instants are aware datetimes here and microseconds since 1970 UTC (`Micros`) everywhere else.
"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Literal, Union, get_args

import msgspec

from shared.events.currencies import CURRENCIES
from shared.events.limits import (
    AMOUNT_DIGITS_MAX,
    CONTACTS_PER_DEAL_EVENT_MAX,
    COUNT_MAX,
    COUNT_STORED_MAX,
    DAYS_MAX,
    EVENT_ID_CHARACTERS_MAX,
    ID_CHARACTERS_MAX,
    IGNORED_REFERRERS_MAX,
    INTERNAL_DOMAINS_MAX,
    MACHINE_RULES_MAX,
    MAIL_PLACES_MAX,
    MAPPED_EVENTS_MAX,
    MAPPED_NAMES_MAX,
    NOBODY_WORDS_MAX,
    OWN_HOSTS_MAX,
    PAGE_PARAMETERS_MAX,
    STAGES_MAX,
    TEXT_CHARACTERS_MAX,
    URL_CHARACTERS_MAX,
    WEIGHT_MAX,
)
from shared.events.nobody import names_nobody

Micros = int

END = r"$(?!\n)"  # the end of the text: `$` alone also matches before a last line break

Id = Annotated[str, msgspec.Meta(min_length=1, max_length=ID_CHARACTERS_MAX)]
EventIdField = Annotated[str, msgspec.Meta(min_length=1, max_length=EVENT_ID_CHARACTERS_MAX)]
Text = Annotated[str, msgspec.Meta(max_length=TEXT_CHARACTERS_MAX)]
Url = Annotated[str, msgspec.Meta(min_length=1, max_length=URL_CHARACTERS_MAX)]
Instant = Annotated[dt.datetime, msgspec.Meta(tz=True)]
# Ingest has tighter bounds than the decoder, which must also read older events of the log: see `codec.accept`.
Count = Annotated[int, msgspec.Meta(ge=1, le=COUNT_STORED_MAX, extra_json_schema={"maximum": COUNT_MAX})]
Currency = Annotated[
    str,
    msgspec.Meta(
        pattern=rf"^[A-Z]{{3}}{END}",
        description="ISO 4217 code, such as EUR",
        extra_json_schema={"enum": sorted(CURRENCIES)},
    ),
]
Amount = Annotated[
    str,
    msgspec.Meta(
        pattern=rf"^-?[0-9]{{1,{AMOUNT_DIGITS_MAX}}}(\.[0-9]{{1,4}})?{END}",
        description=f'decimal string in major units, such as "1200.50", with at most {AMOUNT_DIGITS_MAX} digits before the point and 4 after it',
    ),
]
GoalMetric = Literal[
    "sessions", "new_sessions", "page_views", "form_submissions", "cta_clicks", "email_opens", "email_clicks", "new_contacts_first_touch",
    "new_contacts_last_touch", "influenced_contacts", "contacts_with_revenue", "contacts_with_attributed_revenue", "influenced_deals",
    "closed_deals", "influenced_revenue", "attributed_revenue",
]  # fmt: skip
"""The metrics of the overview, each of which may have a goal."""
MONEY_GOALS = ("influenced_revenue", "attributed_revenue")
"""Those that are amounts of money."""
Goal = Annotated[
    str,
    msgspec.Meta(
        pattern=rf"^[0-9]{{1,{AMOUNT_DIGITS_MAX}}}(\.[0-9]{{1,4}})?{END}",
        description='decimal string, such as "200", or "50000.00" for money in the currency of the campaign',
    ),
]
UserAgentPart = Annotated[
    str, msgspec.Meta(min_length=3, max_length=200, description="part of a user agent, in any case")
]
Domain = Annotated[
    str,
    msgspec.Meta(
        pattern=rf"^\s*@?[^\s@]+\.[^\s@]+\s*{END}",
        max_length=253,
        description="the domain of e-mail addresses, such as ours.example",
    ),
]
Host = Annotated[
    str,
    msgspec.Meta(
        pattern=rf"^\s*(\*\.)?[^\s./:@?#\\*]+(\.[^\s./:@?#\\*]+)+\.?\s*{END}",
        max_length=253,
        description="a host without scheme, port and path, such as shop.example; it covers its subdomains",
    ),
]
ParameterName = Annotated[
    str,
    msgspec.Meta(pattern=rf"^[^\s=&#?;]+{END}", max_length=100, description="the name of a query parameter, such as p"),
]
Stages = Annotated[
    tuple[Annotated[str, msgspec.Meta(min_length=1, max_length=ID_CHARACTERS_MAX)], ...],
    msgspec.Meta(max_length=STAGES_MAX),
]
MailPlace = Annotated[
    str,
    msgspec.Meta(
        pattern=rf"^(category|category:[^\x00]+|campaign|argument:[^\x00]+){END}",
        max_length=ID_CHARACTERS_MAX,
        description="category, category:PREFIX, campaign, or argument:NAME",
    ),
]
ProducerName = Annotated[
    str,
    msgspec.Meta(
        pattern=rf"^[a-z][a-z0-9_]{{0,31}}{END}",
        description="up to 32 lower-case letters, digits and `_`, the first a letter",
    ),
]
ModelName = Annotated[
    str,
    msgspec.Meta(
        pattern=rf"^[a-z][a-z0-9_]{{0,63}}{END}",
        description="up to 64 lower-case letters, digits and `_`, the first a letter",
    ),
]
PATTERNS = {
    meta.pattern: meta.description
    for alias in (Currency, Amount, Goal, Domain, Host, ParameterName, MailPlace, ProducerName, ModelName)
    for meta in get_args(alias)[1:]
}
"""What each pattern of a text asks for, in words."""
NobodyWord = Annotated[
    str,
    msgspec.Meta(
        min_length=1, max_length=ID_CHARACTERS_MAX, description="an id or e-mail that names nobody here, in any case"
    ),
]
_PERCENT = msgspec.Meta(ge=0, le=WEIGHT_MAX)
Weight = Annotated[
    Annotated[int, _PERCENT] | Annotated[float, _PERCENT] | Annotated[str, msgspec.Meta(max_length=32)],
    msgspec.Meta(description="share of the model, in percent"),
]

AssetType = Literal[
    "site_page", "landing_page", "blog_post", "case_study", "form", "cta", "marketing_email", "social_post",
    "paid_search", "ad_campaign", "tracking_url", "workflow", "sms", "marketing_event", "meeting", "call", "video",
    "document", "list", "podcast", "feedback_survey", "external", "sequence", "playbook", "knowledge_article", "file",
    "sales_email", "external_page",
]  # fmt: skip


class Contact(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A contact named by `id`, by `email`, or by both (which links the two: rule **contact**)."""

    id: Id | None = None
    email: Annotated[str, msgspec.Meta(min_length=1, max_length=ID_CHARACTERS_MAX)] | None = None

    def __post_init__(self) -> None:
        if self.id is None and self.email is None:
            raise ValueError("a contact needs `id` or `email`")
        if self.email is not None and "@" not in self.email and not names_nobody(self.email):
            raise ValueError("`email` must look like name@host")


class Envelope(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", omit_defaults=True
):
    """The fields of every event. Ingest fills in `id` and `occurred_at` where they are absent.

    `as_of` is the instant at which the event's content was true, such as the time of an export. Of several events with the same
    id, the one with the latest `as_of` counts (rule **once**); without `occurred_at` the event occurred at `as_of`.
    `sent_at` is the sender's clock when it sent the event; ingest uses it to correct `occurred_at` (rule **clock**).
    """

    id: EventIdField | None = None
    occurred_at: Instant | None = None
    as_of: Instant | None = None
    sent_at: Instant | None = None


class Touch(Envelope, kw_only=True, frozen=True):
    """An action of a person. A touch may say that it must not be counted (rule **excluded traffic**)."""

    machine: bool = False
    internal: bool = False


class VisitorTouch(Touch, kw_only=True, frozen=True):
    """A touch that a visitor may have made."""

    contact: Contact | None = None
    user_agent: Text | None = None


class PageVisited(VisitorTouch, kw_only=True, frozen=True, tag="page_visited"):
    """A page was visited. Each `utm_` field counts where the URL has no value of that name (rule **utm**).

    Without a visitor it is of no session, and without a contact too of nobody: a page view alone (rule **session**).
    """

    visitor_id: Id | None = None
    url: Url
    referrer: Annotated[str, msgspec.Meta(max_length=URL_CHARACTERS_MAX)] | None = None
    title: Text | None = None
    asset_id: Id | None = None
    via_asset_id: Id | None = None
    utm_source: Text | None = None
    utm_medium: Text | None = None
    utm_campaign: Text | None = None
    utm_term: Text | None = None
    utm_content: Text | None = None


class FormSubmitted(VisitorTouch, kw_only=True, frozen=True, tag="form_submitted"):
    """A form was submitted; `url` is its page."""

    asset_id: Id
    visitor_id: Id | None = None
    url: Url | None = None


class CtaViewed(FormSubmitted, kw_only=True, frozen=True, tag="cta_viewed"):
    """A call to action came into view."""


class CtaClicked(FormSubmitted, kw_only=True, frozen=True, tag="cta_clicked"):
    """A call to action was clicked."""


class EmailSent(Touch, kw_only=True, frozen=True, tag="email_sent"):
    """An email was sent to a contact."""

    asset_id: Id
    contact: Contact
    url: Url | None = None


class EmailDelivered(EmailSent, kw_only=True, frozen=True, tag="email_delivered"):
    """An email was delivered."""


class EmailOpened(EmailSent, kw_only=True, frozen=True, tag="email_opened"):
    """An email was opened; `machine` says that a machine opened it, not a person."""

    user_agent: Text | None = None


class EmailClicked(EmailSent, kw_only=True, frozen=True, tag="email_clicked"):
    """A link in an email was clicked."""

    user_agent: Text | None = None


class EmailBounced(EmailSent, kw_only=True, frozen=True, tag="email_bounced"):
    """An email bounced."""


class EmailUnsubscribed(EmailSent, kw_only=True, frozen=True, tag="email_unsubscribed"):
    """A contact unsubscribed by this email."""


class SocialClicked(VisitorTouch, kw_only=True, frozen=True, tag="social_clicked"):
    """Clicks on a social post; `count` is an increment."""

    asset_id: Id
    visitor_id: Id | None = None
    count: Count = 1
    kind: Text | None = None


class SocialInteracted(SocialClicked, kw_only=True, frozen=True, tag="social_interacted"):
    """Likes, comments, shares; `count` is an increment."""


class AdViewed(VisitorTouch, kw_only=True, frozen=True, tag="ad_viewed"):
    """Impressions of an ad; `count` is an increment."""

    asset_id: Id
    visitor_id: Id | None = None
    count: Count = 1


class AdClicked(AdViewed, kw_only=True, frozen=True, tag="ad_clicked"):
    """Clicks on an ad; `count` is an increment."""


class AssetInteracted(VisitorTouch, kw_only=True, frozen=True, tag="asset_interacted"):
    """Any other interaction: a meeting booked, a call logged, a video played."""

    asset_id: Id
    kind: Annotated[str, msgspec.Meta(min_length=1, max_length=TEXT_CHARACTERS_MAX)]
    visitor_id: Id | None = None


class ListJoined(Touch, kw_only=True, frozen=True, tag="list_joined"):
    """A contact joined a list."""

    asset_id: Id
    contact: Contact
    list_type: Literal["static", "active"]


class WorkflowEnrolled(Touch, kw_only=True, frozen=True, tag="workflow_enrolled"):
    """A contact was enrolled in a workflow."""

    asset_id: Id
    contact: Contact


class ListLeft(Envelope, kw_only=True, frozen=True, tag="list_left"):
    """A contact left a list."""

    asset_id: Id
    contact: Contact
    list_type: Literal["static", "active"]


class CampaignCreated(Envelope, kw_only=True, frozen=True, tag="campaign_created"):
    """A campaign begins."""

    campaign_id: Id
    name: Text | None = None
    utm_campaign: Text | None = None
    starts_on: dt.date | None = None
    ends_on: dt.date | None = None
    owner: Text | None = None
    budget: Amount | None = None
    currency: Currency | None = None
    notes: Annotated[str, msgspec.Meta(max_length=8 * TEXT_CHARACTERS_MAX)] | None = None
    goals: dict[GoalMetric, Goal] | None = None


class CampaignUpdated(CampaignCreated, kw_only=True, frozen=True, tag="campaign_updated"):
    """Fields of a campaign change; absent fields keep their values."""


class CampaignDeleted(Envelope, kw_only=True, frozen=True, tag="campaign_deleted"):
    """A campaign is deleted; this is final."""

    campaign_id: Id


class SpendRecorded(Envelope, kw_only=True, frozen=True, tag="spend_recorded"):
    """Money spent on a campaign on one day."""

    campaign_id: Id
    amount: Amount
    currency: Currency
    on: dt.date
    asset_id: Id | None = None


class BudgetRecorded(Envelope, kw_only=True, frozen=True, tag="budget_recorded"):
    """Money planned for a campaign, an item of its budget: a campaign that has items has their sum as its budget."""

    campaign_id: Id
    amount: Amount
    currency: Currency
    name: Text | None = None


class AssetRegistered(Envelope, kw_only=True, frozen=True, tag="asset_registered"):
    """An asset is registered, or registered again: the latest registration decides its type; absent other fields keep their values.

    `network` (google, facebook, …) and `ad_type` (search, display, …) give the kind of advertisement (rule **channel**).
    """

    asset_id: Id
    asset_type: AssetType
    name: Text | None = None
    url: Url | None = None
    target_url: Url | None = None
    network: Text | None = None
    ad_type: Text | None = None


class AssetPublished(Envelope, kw_only=True, frozen=True, tag="asset_published"):
    """An asset was published."""

    asset_id: Id


class AssetUnpublished(AssetPublished, kw_only=True, frozen=True, tag="asset_unpublished"):
    """An asset was unpublished."""


class AssetAssociated(Envelope, kw_only=True, frozen=True, tag="asset_associated"):
    """From now on the campaign holds the asset."""

    campaign_id: Id
    asset_id: Id


class AssetDissociated(AssetAssociated, kw_only=True, frozen=True, tag="asset_dissociated"):
    """The campaign no longer holds the asset."""


class ContactCreated(Envelope, kw_only=True, frozen=True, tag="contact_created"):
    """A contact exists."""

    contact: Contact
    properties: dict[str, str | None] | None = None


class ContactUpdated(ContactCreated, kw_only=True, frozen=True, tag="contact_updated"):
    """A contact's properties change; absent ones keep their values."""


class ContactIdentified(Envelope, kw_only=True, frozen=True, tag="contact_identified"):
    """From now on this visitor is this contact."""

    visitor_id: Id
    contact: Contact


class ContactMerged(Envelope, kw_only=True, frozen=True, tag="contact_merged"):
    """Two contacts are merged into one; `into` names it."""

    contact: Contact
    into: Contact


class ContactForgotten(Envelope, kw_only=True, frozen=True, tag="contact_forgotten"):
    """A contact asked to be forgotten (rule **forgotten**). Refused unless the store is sealed; logs of older releases may hold it."""

    contact: Contact


class SalesforceCampaignJoined(Envelope, kw_only=True, frozen=True, tag="salesforce_campaign_joined"):
    """A contact joined a Salesforce campaign."""

    contact: Contact
    salesforce_campaign_id: Id
    source: Literal["sync", "form", "workflow"]


class SalesforceCampaignLeft(Envelope, kw_only=True, frozen=True, tag="salesforce_campaign_left"):
    """A contact is no longer in a Salesforce campaign."""

    contact: Contact
    salesforce_campaign_id: Id


class DealCreated(Envelope, kw_only=True, frozen=True, tag="deal_created"):
    """A deal opens; `contacts` are associated with it. `closed_at` is the instant from which it counts as closed, once it is closed (rule **deal**)."""

    deal_id: Id
    name: Text | None = None
    amount: Amount | None = None
    currency: Currency | None = None
    contacts: Annotated[tuple[Contact, ...], msgspec.Meta(max_length=CONTACTS_PER_DEAL_EVENT_MAX)] = ()
    closed_at: Instant | None = None


class DealUpdated(DealCreated, kw_only=True, frozen=True, tag="deal_updated"):
    """Fields of a deal change; absent fields keep their values, contacts are added."""


class DealContactAssociated(Envelope, kw_only=True, frozen=True, tag="deal_contact_associated"):
    """A contact takes part in a deal."""

    deal_id: Id
    contact: Contact


class DealContactDissociated(DealContactAssociated, kw_only=True, frozen=True, tag="deal_contact_dissociated"):
    """A contact no longer takes part."""


class DealClosed(Envelope, kw_only=True, frozen=True, tag="deal_closed"):
    """A deal is won or lost."""

    deal_id: Id
    won: bool
    amount: Amount | None = None
    currency: Currency | None = None


class DealReopened(Envelope, kw_only=True, frozen=True, tag="deal_reopened"):
    """A closed deal is open again."""

    deal_id: Id


class DealDeleted(DealReopened, kw_only=True, frozen=True, tag="deal_deleted"):
    """A deal is deleted; this is final."""


class EventRetracted(Envelope, kw_only=True, frozen=True, tag="event_retracted"):
    """Takes another event out of the set (rule **retracted**)."""

    event_id: Annotated[str, msgspec.Meta(min_length=1, max_length=EVENT_ID_CHARACTERS_MAX + len("collect:"))]


class UnmappedEvent(Envelope, kw_only=True, frozen=True, tag="unmapped_event"):
    """A message of an outside producer that the workspace has no mapping for. It does not count and is stored as sent.

    `producer` names the format (`segment`, …), `name` is the producer's name of such messages; `body` is the message. It can be
    mapped later, once there is a mapping (`touchline producers map`).
    """

    producer: ProducerName
    name: Text
    body: dict[str, Any]


class MachineRulesField(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which touches are made by machines: by user agent (`always` and `never` are parts of its text), and by a mail scanner's behaviour.

    Absent fields stay as they were.
    """

    crawlers: bool | None = None
    mail_prefetchers: bool | None = None
    mail_scanners: bool | None = None
    always: Annotated[tuple[UserAgentPart, ...], msgspec.Meta(max_length=MACHINE_RULES_MAX)] | None = None
    never: Annotated[tuple[UserAgentPart, ...], msgspec.Meta(max_length=MACHINE_RULES_MAX)] | None = None


class HubSpotField(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """How HubSpot's deals are read: the internal names of the stages of won and of lost deals. Absent fields stay as they were."""

    won_stages: Stages | None = None
    lost_stages: Stages | None = None


class MailField(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Where the messages of mail senders name the marketing email: `asset_from`, the places in the order in which they are tried.

    `category` is SendGrid's category, Mailgun's or Postmark's tag; with `:PREFIX` only one that begins so counts, and the rest
    of it is the asset's id. `campaign` is the campaign of SendGrid or Mailgun. `argument:NAME` is a custom argument of SendGrid,
    a user variable of Mailgun, or metadata of Postmark. Absent, it stays as it was; of a new workspace it is `category` alone.
    """

    asset_from: Annotated[tuple[MailPlace, ...], msgspec.Meta(min_length=1, max_length=MAIL_PLACES_MAX)] | None = None


class MappedEvent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One of our events that a message of an outside producer becomes: its type, and where its fields come from.

    A text of `fields` may hold places, such as `{properties.form_id|properties.form}`: see `shared.events.mapped`.
    """

    type: Annotated[str, msgspec.Meta(max_length=64)]
    fields: dict[str, Any] = {}


MappedName = Annotated[
    str, msgspec.Meta(min_length=1, max_length=ID_CHARACTERS_MAX, description="what the producer calls such events")
]


class SegmentField(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The events that track events of Segment's API become, by name, in addition to the published table.

    An empty list: such events become nothing and are not listed as unmapped. null: as in the published table. Names that are
    absent stay as they were.
    """

    events: (
        Annotated[
            dict[MappedName, Annotated[tuple[MappedEvent, ...], msgspec.Meta(max_length=MAPPED_EVENTS_MAX)] | None],
            msgspec.Meta(max_length=MAPPED_NAMES_MAX),
        ]
        | None
    ) = None


class ProducersField(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """How messages of outside producers are read, by producer. A change applies to messages that arrive after it."""

    hubspot: HubSpotField | None = None
    mail: MailField | None = None
    segment: SegmentField | None = None


class SettingsField(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Settings to change; absent ones stay as they were."""

    time_zone: Text | None = None
    currency: Currency | None = None
    session_gap_minutes: Annotated[int, msgspec.Meta(ge=1, le=24 * 60)] | None = None
    lookback_days: Annotated[int, msgspec.Meta(ge=1, le=DAYS_MAX)] | msgspec.UnsetType | None = msgspec.UNSET
    machine_rules: MachineRulesField | None = None
    internal_domains: Annotated[tuple[Domain, ...], msgspec.Meta(max_length=INTERNAL_DOMAINS_MAX)] | None = None
    own_hosts: Annotated[tuple[Host, ...], msgspec.Meta(max_length=OWN_HOSTS_MAX)] | None = None
    ignored_referrers: Annotated[tuple[Host, ...], msgspec.Meta(max_length=IGNORED_REFERRERS_MAX)] | None = None
    page_parameters: Annotated[tuple[ParameterName, ...], msgspec.Meta(max_length=PAGE_PARAMETERS_MAX)] | None = None
    page_fragments: bool | None = None
    nobody: Annotated[tuple[NobodyWord, ...], msgspec.Meta(max_length=NOBODY_WORDS_MAX)] | None = None
    producers: ProducersField | None = None

    def __post_init__(self) -> None:
        if self.time_zone is not None:
            from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

            try:
                ZoneInfo(self.time_zone)
            except (ZoneInfoNotFoundError, ValueError, OSError) as error:
                raise ValueError(f"`time_zone` {self.time_zone!r} is not an IANA time zone") from error


class WorkspaceConfigured(Envelope, kw_only=True, frozen=True, tag="workspace_configured"):
    """Settings of the workspace change; they apply to all of its history."""

    settings: SettingsField


class ModelDefined(Envelope, kw_only=True, frozen=True, tag="model_defined"):
    """A credit model of the workspace's own: weights in percent of `first`, `lead_creation`, ..., `others`."""

    model: ModelName
    weights: dict[Literal["first", "lead_creation", "deal_creation", "last", "others"], Weight]
    half_life_days: Annotated[int, msgspec.Meta(ge=1, le=DAYS_MAX)] | None = None
    lookback_days: Annotated[int, msgspec.Meta(ge=1, le=DAYS_MAX)] | None = None

    def __post_init__(self) -> None:
        try:
            weights = [Decimal(str(weight)) for weight in self.weights.values()]
        except InvalidOperation as error:
            raise ValueError("each of `weights` must be a decimal number") from error
        if any(not w.is_finite() or not 0 <= w <= WEIGHT_MAX for w in weights) or sum(weights) <= 0:
            raise ValueError(f"each of `weights` must be from 0 to {WEIGHT_MAX}, and together they must be more than 0")


Event = Union[  # noqa: UP007 (a tagged union of this length reads best as a list)
    PageVisited, FormSubmitted, CtaViewed, CtaClicked,
    EmailSent, EmailDelivered, EmailOpened, EmailClicked, EmailBounced, EmailUnsubscribed,
    SocialClicked, SocialInteracted, AdViewed, AdClicked, AssetInteracted, ListJoined, WorkflowEnrolled, ListLeft,
    CampaignCreated, CampaignUpdated, CampaignDeleted, SpendRecorded, BudgetRecorded,
    AssetRegistered, AssetPublished, AssetUnpublished, AssetAssociated, AssetDissociated,
    ContactCreated, ContactUpdated, ContactIdentified, ContactMerged, ContactForgotten, SalesforceCampaignJoined,
    SalesforceCampaignLeft,
    DealCreated, DealUpdated, DealContactAssociated, DealContactDissociated, DealClosed, DealReopened, DealDeleted,
    EventRetracted, UnmappedEvent, WorkspaceConfigured, ModelDefined,
]  # fmt: skip
