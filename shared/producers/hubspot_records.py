"""Which of our events does a whole record of HubSpot mean: a contact, a deal, a campaign, an asset?

`shared.producers.hubspot` says what a single property means; here all properties of a record are read together.

A record holds the state at the instant at which HubSpot was asked. Every event has the record's id in its own id, and this instant as
`as_of`, so that the events of a later import replace those of an earlier one (rule **once**). Contacts and deals have the ids that
the mappings of HubSpot's CSV exports give them, so that an import also replaces the coarser events of a table.
"""

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha256
from typing import Any, NamedTuple
from urllib.parse import parse_qs
from zoneinfo import ZoneInfo

from shared.events.instants import MINUTE_US, to_micros, to_rfc3339
from shared.events.limits import CONTACTS_PER_DEAL_EVENT_MAX, EVENT_ID_CHARACTERS_MAX
from shared.producers import hubspot
from shared.producers.hubspot import BadValue, Stages
from shared.producers.hubspot_asset_types import AssetType

CONTACT_PROPERTIES = (
    "createdate", "email", "hs_additional_emails", "hs_merged_object_ids", "hs_calculated_merged_vids", "firstname", "lastname",
    "company", "lifecyclestage", "hs_lead_status", "hs_analytics_source", "salesforcecampaignids",
)  # fmt: skip
DEAL_PROPERTIES = (
    "createdate",
    "closedate",
    "pipeline",
    "hs_is_closed",
    "hs_is_closed_won",
    "hs_is_closed_lost",
    "hs_merged_object_ids",
)
DEAL_HISTORY = ("dealstage", "amount", "closedate", "dealname", "deal_currency_code", "num_associated_contacts")
CAMPAIGN_PROPERTIES = (
    *hubspot.CAMPAIGN_TEXTS,
    *hubspot.CAMPAIGN_DATES,
    "hs_currency_code",
    "hs_budget_items_sum_amount",
)

LAG_US = 10 * MINUTE_US  # within which HubSpot counts the contacts that a deal was created with
COUNT_DIGITS_MAX = 9  # of contacts of a deal
DIGEST_CHARACTERS = 16  # of an event's id that would be too long

Json = Mapping[str, Any]
EventJson = dict[str, Any]


class Account(NamedTuple):
    """A HubSpot account: its id (portal), the currency of its amounts that name none, and its time zone."""

    portal: str
    currency: str | None
    zone: str


class Entry(NamedTuple):
    """A property had this value since this instant, in microseconds."""

    at_us: int
    value: str


@contextmanager
def _about(field: str) -> Iterator[None]:
    """Say of which field of a record it is that a value cannot be what it should be."""
    try:
        yield
    except BadValue as wrong:
        raise BadValue(field, str(wrong), wrong.code) from wrong


def instant_us(text: Any, field: str) -> int:
    """An instant of HubSpot in microseconds since 1970. Raises `BadValue`."""
    if not isinstance(text, str) or not text:
        raise BadValue(field, "an instant is expected", "missing_field")
    with _about(field):
        return to_micros(dt.datetime.fromisoformat(hubspot.instant(text)))


def of(record: Json, field: str) -> str:
    """A text that a record must have. Raises `BadValue`."""
    value = record.get(field)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str) or not value:
        raise BadValue(field, "a text is expected", "missing_field" if value is None else "wrong_type")
    return value


def objects(value: Any, field: str) -> list[Json]:
    """A list of JSON objects; nothing is none. Raises `BadValue`."""
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise BadValue(field, "a list of objects is expected", "wrong_type")
    return value


def properties(record: Json) -> dict[str, str]:
    """A record's properties that have a value."""
    sent = record.get("properties")
    return (
        {name: str(value) for name, value in sent.items() if value not in (None, "")} if isinstance(sent, dict) else {}
    )


def history(record: Json, name: str) -> list[Entry]:
    """The values that a property has had, from the first on. Raises `BadValue`."""
    histories = record.get("propertiesWithHistory")
    entries = histories.get(name) if isinstance(histories, dict) else None
    if not isinstance(entries, list):
        return []
    found = [
        Entry(
            instant_us(entry.get("timestamp"), f"propertiesWithHistory.{name}.timestamp"), str(entry.get("value") or "")
        )
        for entry in entries
        if isinstance(entry, dict)
    ]
    return sorted(found, key=lambda entry: entry.at_us)  # HubSpot returns the latest first


def contact(record: Json, as_of_us: int) -> list[EventJson]:
    """The events of a contact's record. Raises `BadValue`."""
    contact_id, values = of(record, "id"), properties(record)
    begun = f"hubspot-contact-{contact_id}"
    created = to_rfc3339(instant_us(values.get("createdate") or record.get("createdAt"), "createdate"))
    out: list[EventJson] = [
        {"type": "contact_created", "id": begun, "occurred_at": created, "contact": {"id": contact_id}}
    ]
    state: dict[str, str | None] = {}
    for name in CONTACT_PROPERTIES:
        if name == "createdate" or name not in values:
            continue
        with _about(name):
            means = hubspot.contact_property(contact_id, name, values[name], created) or ()
        for event in means:
            if event["type"] == "contact_updated" and "properties" in event:
                state |= event["properties"]
            else:
                out.append({**event, "id": bounded(f"{begun}-{_subject(event)}")})
    if state:
        changed = to_rfc3339(instant_us(record.get("updatedAt") or record.get("createdAt"), "updatedAt"))
        fields = {"occurred_at": changed, "contact": {"id": contact_id}, "properties": state}
        out.append({"type": "contact_updated", "id": f"{begun}-state", **fields})
    return as_of(_each_once(out), as_of_us)


def _subject(event: EventJson) -> str:
    """The part of an event id that distinguishes the events of one contact about its other ids and addresses."""
    match event["type"]:
        case "contact_merged":
            return f"merged-{event['contact'].get('id') or event['contact']['email']}"
        case "salesforce_campaign_joined":
            return f"salesforce-{event['salesforce_campaign_id']}"
    return f"email-{event['contact']['email'].strip().lower()}"


class Closing(NamedTuple):
    """Moves between open, won and lost, in order, each at its own time: `won` None is open again.

    `since_us` is since when the deal is in its stage. `dated_us` is its close date, if it has one that counts (rule **deal**).
    """

    moves: list[tuple[int, bool | None]]
    since_us: int
    dated_us: int | None

    @property
    def closed_us(self) -> int | None:
        """When the deal was closed, if it is."""
        if not self.moves or self.moves[-1][1] is None:
            return None
        return self.moves[-1][0] if self.dated_us is None else self.dated_us


def deal(
    record: Json, contacts: Sequence[str], stages: "StagesKnown", account: Account, as_of_us: int, slots: int = 1
) -> tuple[list[EventJson], bool]:
    """The events of a deal's record and its contacts, and whether HubSpot returned since when they are associated.

    `slots` is how many earlier events named its contacts, so that none of them stays. Raises `BadValue`.
    """
    deal_id, values = of(record, "id"), properties(record)
    begun = f"hubspot-deal-{deal_id}"
    created_us = instant_us(values.get("createdate") or record.get("createdAt"), "createdate")
    closing = _closing(record, values, stages, created_us)
    before_us = min(created_us, created_us if closing.closed_us is None else closing.closed_us) - 1
    associated_us = _associated_us(record, len(contacts), created_us, before_us)
    joined_us = before_us if associated_us is None else associated_us
    out: list[EventJson] = [
        {"type": "deal_created", "id": begun, "occurred_at": to_rfc3339(created_us), "deal_id": deal_id},
        *_contacts(begun, deal_id, contacts, joined_us, slots),
        _state(record, values, deal_id, begun, account, created_us),
        *_moves(closing, deal_id, begun),
        *_close_date(record, values, deal_id, begun, closing),
    ]
    merged = dict.fromkeys(each.strip() for each in values.get("hs_merged_object_ids", "").split(";"))
    out += [deal_presence(account, each, as_of_us, deleted=True) for each in merged if each and each != deal_id]
    return as_of(out, as_of_us), associated_us is not None or not contacts


def deal_presence(account: Account, deal_id: str, at_us: int, *, deleted: bool) -> EventJson:
    """That a deal is deleted, or there again; the same event as a webhook's."""
    return hubspot.deal_presence(account.portal, deal_id, to_rfc3339(at_us), deleted=deleted)


def _contacts(begun: str, deal_id: str, contacts: Sequence[str], joined_us: int, slots: int) -> list[EventJson]:
    """All contacts, as many in each event as it may have; and empty events for those that were sent before and are not needed now."""
    size = CONTACTS_PER_DEAL_EVENT_MAX
    parts = [contacts[at : at + size] for at in range(0, len(contacts), size)]
    parts += [[] for _ in range(max(1, slots) - len(parts))]
    return [
        {
            "type": "deal_updated", "id": f"{begun}-contacts" + (f"-{n}" if n > 1 else ""), "occurred_at": to_rfc3339(joined_us),
            "deal_id": deal_id, "contacts": [{"id": each} for each in part],
        }
        for n, part in enumerate(parts, 1)
    ]  # fmt: skip


def contact_slots(contacts: int) -> int:
    """The number of events that are needed for so many contacts of a deal."""
    return max(1, -(-contacts // CONTACTS_PER_DEAL_EVENT_MAX))


def _state(
    record: Json, values: Mapping[str, str], deal_id: str, begun: str, account: Account, created_us: int
) -> EventJson:
    """Name, amount and currency as they are now, at the time of the last change of any of them."""
    fields: EventJson = {}
    changed_us = created_us
    for name in ("dealname", "amount", "deal_currency_code"):
        entries = history(record, name)
        value = entries[-1].value if entries else values.get(name, "")
        changed_us = max([changed_us, *(entry.at_us for entry in entries[-1:])])
        if not value and not any(entry.value for entry in entries):
            continue  # it never had one
        with _about(name):
            means = hubspot.deal_property(deal_id, name, value, "", Stages()) or ()
        for event in means:
            fields |= {field: event[field] for field in ("name", "amount", "currency") if field in event}
    if "amount" in fields and "currency" not in fields and account.currency is not None:
        fields["currency"] = account.currency
    return {
        "type": "deal_updated",
        "id": f"{begun}-state",
        "occurred_at": to_rfc3339(changed_us),
        "deal_id": deal_id,
        **fields,
    }


def _closing(record: Json, values: Mapping[str, str], stages: "StagesKnown", created_us: int) -> Closing:
    entries = history(record, "dealstage")
    if not entries and values.get("dealstage"):
        entries = [Entry(created_us, values["dealstage"])]
    moves: list[tuple[int, bool | None]] = []
    state: bool | None = None
    opened_us: int | None = None
    for n, entry in enumerate(entries):
        now = stages.won(entry.value, values if n == len(entries) - 1 else {})
        if now is not state:
            moves.append((entry.at_us, now))
        opened_us = entry.at_us if now is None else opened_us
        state = now
    if moves and state is None:
        moves[-1] = (entries[-1].at_us, None)
    dates = history(record, "closedate")
    dated_us = None
    if values.get("closedate") and (opened_us is None or (dates and dates[-1].at_us >= opened_us)):
        dated_us = instant_us(values["closedate"], "closedate")
    return Closing(moves, entries[-1].at_us if entries else created_us, dated_us)


def _close_date(record: Json, values: Mapping[str, str], deal_id: str, begun: str, closing: Closing) -> list[EventJson]:
    """The deal's close date, at the time of its last change. For an open deal it is the expected date, and counts once the deal is closed.

    What was expected before the deal came to its last open stage does not count (rule **deal**), and is sent as none.
    """
    entries = history(record, "closedate")
    if not entries and "closedate" not in values:
        return []
    created: EventJson = {
        "type": "deal_updated", "id": f"{begun}-closedate", "deal_id": deal_id,
        "occurred_at": to_rfc3339(entries[-1].at_us if entries else closing.since_us),
    }  # fmt: skip
    if closing.dated_us is not None:
        created["closed_at"] = to_rfc3339(closing.dated_us)
    return [created]


def _moves(closing: Closing, deal_id: str, begun: str) -> list[EventJson]:
    """A close or reopening for each move, the last of them by an id of its own: what stands now."""
    moves = closing.moves or [(closing.since_us, None)]
    out: list[EventJson] = []
    for n, (at_us, won) in enumerate(moves, 1):
        event_id = f"{begun}-stage" if n == len(moves) else f"{begun}-stage-{at_us}"
        event: EventJson = {
            "type": "deal_reopened" if won is None else "deal_closed",
            "id": event_id,
            "occurred_at": to_rfc3339(at_us),
            "deal_id": deal_id,
        }
        out.append(event if won is None else {**event, "won": won})
    return out


def _associated_us(record: Json, contacts: int, created_us: int, before_us: int) -> int | None:
    """Since when all contacts are associated; None if HubSpot does not return it.

    HubSpot keeps how many contacts a deal had and when. If all that it has now came at one instant, that is since when. What it
    counted within minutes of the creation came with it: `before_us`, for a deal may be closed as it is created.
    """
    counts = [
        (entry.at_us, int(entry.value))
        for entry in history(record, "num_associated_contacts")
        if entry.value.isdecimal() and len(entry.value) <= COUNT_DIGITS_MAX
    ]
    rises = [(at_us, count) for at_us, count in counts if count]
    if not contacts or len(rises) != 1 or rises[0][1] != contacts or counts[-1] != rises[0]:
        return None
    return before_us if rises[0][0] <= created_us + LAG_US else rises[0][0]


class StagesKnown:
    """Which deal stages are won or lost: what the workspace says comes first, then what HubSpot's pipelines say of each.

    Raises `BadValue` where a pipeline is none.
    """

    def __init__(self, configured: Stages, pipelines: Iterable[Json]) -> None:
        self._won: dict[str, bool | None] = {}
        for pipeline in pipelines:
            for stage in objects(pipeline.get("stages"), "pipelines.stages"):
                self._won[str(stage.get("id"))] = _won_by(
                    objects([stage.get("metadata") or {}], "pipelines.stages.metadata")[0]
                )
        for stage_id in Stages().won:
            self._won.setdefault(stage_id, True)
        for stage_id in Stages().lost:
            self._won.setdefault(stage_id, False)
        self._won |= dict.fromkeys(configured.won, True) | dict.fromkeys(configured.lost, False)
        self.unknown: dict[str, int] = {}
        """Stages that no pipeline has, such as those of deleted pipelines, each with how often it was met. Deals in them are open."""

    def won(self, stage: str, values: Mapping[str, str]) -> bool | None:
        """Whether a deal in this stage is won (true) or lost (false); None: it is open. `values` are its properties now, if it is in it."""
        if stage in self._won:
            return self._won[stage]
        if values.get("hs_is_closed_won") == "true":
            return True
        if values.get("hs_is_closed_lost") == "true" or values.get("hs_is_closed") == "true":
            return False
        if stage and values.get("hs_is_closed") != "false":
            self.unknown[stage] = self.unknown.get(stage, 0) + 1
        return None


def _won_by(metadata: Json) -> bool | None:
    """What a pipeline says of a stage: closed with a probability of 1 is won, closed with less is lost."""
    closed, probability = str(metadata.get("isClosed", "")).lower(), str(metadata.get("probability", ""))
    certain = {"1.0": True, "1": True, "0.0": False, "0": False}.get(probability)
    if closed == "false":
        return None
    if closed == "true":
        return certain is True
    return certain


def campaign(record: Json, budget: Json | None, account: Account, as_of_us: int) -> list[EventJson]:
    """The events of a campaign and its budget, without its assets. Raises `BadValue`."""
    campaign_id, values = of(record, "id"), properties(record)
    begun = f"hubspot-campaign-{campaign_id}"
    created = to_rfc3339(instant_us(record.get("createdAt"), "createdAt"))
    fields: EventJson = {}
    for name in CAMPAIGN_PROPERTIES:
        with _about(name):
            means = hubspot.campaign_property(campaign_id, name, values.get(name), created) or ()
        for event in means:
            fields |= {
                field: value for field, value in event.items() if field not in ("type", "occurred_at", "campaign_id")
            }
    if "utm_campaign" in fields:
        fields["utm_campaign"] = _utm_campaign(fields["utm_campaign"])
    currency = fields.get("currency") or (budget or {}).get("currencyCode") or account.currency
    if "budget" in fields and currency:
        fields["currency"] = currency
    out: list[EventJson] = [
        {"type": "campaign_created", "id": begun, "occurred_at": created, "campaign_id": campaign_id, **fields}
    ]
    out += [
        _spend(item, campaign_id, begun, currency) for item in objects((budget or {}).get("spendItems"), "spendItems")
    ]
    return as_of(out, as_of_us)


def _spend(item: Json, campaign_id: str, begun: str, currency: str | None) -> EventJson:
    """A spend item, on the day on which it was entered: HubSpot keeps no other."""
    at = item.get("createdAt")
    day = to_rfc3339(instant_us(str(at) if isinstance(at, int) else at, "spendItems.createdAt"))[:10]
    with _about("spendItems.amount"):
        amount = hubspot.amount(repr(item["amount"]) if isinstance(item.get("amount"), float) else of(item, "amount"))
    return spent(spend_id(begun, of(item, "id")), campaign_id, amount, currency, day)


def spent(event_id: str, campaign_id: str, amount: str, currency: str | None, day: str) -> EventJson:
    """The event for a spend item. A deleted item gets the amount 0, so that it can come back."""
    return {
        "type": "spend_recorded", "id": event_id, "occurred_at": f"{day}T00:00:00Z", "campaign_id": campaign_id, "amount": amount,
        "currency": currency, "on": day,
    }  # fmt: skip


def spend_id(begun: str, item_id: str) -> str:
    """The id of the event for a spend item."""
    return bounded(f"{begun}-spend-{item_id}")


def _utm_campaign(text: str) -> str:
    """The value of `hs_utm`: as it is, or `utm_campaign` of a whole query that was entered there."""
    found = parse_qs(text.removeprefix("?")).get("utm_campaign") if "utm_campaign=" in text else None
    return found[0] if found else text


def held_since_us(record: Json, associated: str, account: Account, read_us: int) -> int:
    """Since when a campaign has the assets that its first import finds; HubSpot does not return it. Raises `BadValue`.

    No asset can have been put into a campaign before there was one: so not before its creation.
    """
    created_us = instant_us(record.get("createdAt"), "createdAt")
    if associated == "now":
        return read_us
    day = properties(record).get("hs_start_date")
    if associated == "campaign-created" or day is None:
        return created_us
    begins = dt.datetime.fromisoformat(hubspot.instant(day)[:10]).replace(tzinfo=ZoneInfo(account.zone))
    return max(created_us, to_micros(begins))


def asset(record: Json, kind: AssetType, url: str | None, campaign: Json, as_of_us: int) -> EventJson:
    """The event that registers an asset of a campaign, at the campaign's creation. Raises `BadValue`."""
    asset_id = kind.asset_id(of(record, "id"))
    registered = {
        "type": "asset_registered", "id": bounded(f"hubspot-asset-{asset_id}"), "asset_id": asset_id, "asset_type": kind.type,
        "occurred_at": to_rfc3339(instant_us(campaign.get("createdAt"), "createdAt")),
    }  # fmt: skip
    name = record.get("name")
    if isinstance(name, str) and name:
        registered["name"] = name
    if url:
        registered["url"] = url
    return as_of([registered], as_of_us)[0]


def unmapped_asset(record: Json, kind: str, campaign: Json, as_of_us: int) -> EventJson:
    """An asset of a type that is not known here, kept as it is. Raises `BadValue`."""
    campaign_id = of(campaign, "id")
    association = {
        "type": "unmapped_event", "id": bounded(f"hubspot-campaign-{campaign_id}-asset-{kind}-{of(record, 'id')}"),
        "occurred_at": to_rfc3339(instant_us(campaign.get("createdAt"), "createdAt")), "producer": hubspot.PRODUCER,
        "name": f"campaign asset:{kind}"[:200], "body": {"campaign": campaign_id, "assetType": kind, **record},
    }  # fmt: skip
    return as_of([association], as_of_us)[0]


def as_of(events: list[EventJson], as_of_us: int) -> list[EventJson]:
    """The events with `as_of`, an instant in microseconds, if they do not have their own."""
    at = to_rfc3339(as_of_us)
    return [{"as_of": at, **event} for event in events]


def _each_once(events: list[EventJson]) -> list[EventJson]:
    """Events with each id once: an address may be both in `email` and in `hs_additional_emails`."""
    return list({event["id"]: event for event in reversed(events)}.values())[::-1]


def bounded(text: str) -> str:
    """An event's id; one that is too long is cut, with a digest behind."""
    if len(text) <= EVENT_ID_CHARACTERS_MAX:
        return text
    digest = sha256(text.encode()).hexdigest()[:DIGEST_CHARACTERS]
    return f"{text[: EVENT_ID_CHARACTERS_MAX - DIGEST_CHARACTERS - 1]}-{digest}"
