"""What does a call to the catalog mean? The events that it appends, or why it is refused.

A call says a wish: "this campaign has this name". If the state is as wished already, nothing is appended, and the answer names the event
that made it so. Nothing here knows HTTP: the command line makes the same calls.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, get_args

import msgspec

from services.ingest.catalog.turn import Turn
from services.ingest.link_targets import LEADING_TYPES, target_of
from shared.events.blank import is_blank
from shared.events.codec import Refusal, decode_event, uuid7
from shared.events.instants import from_micros
from shared.events.refusal import Code
from shared.events.registry import name_of
from shared.events.types import (
    AssetAssociated,
    AssetDissociated,
    AssetRegistered,
    CampaignCreated,
    CampaignDeleted,
    CampaignUpdated,
    Envelope,
    Event,
    EventRetracted,
)
from shared.projection.rows import entity_event
from shared.reading.catalog import (
    ASSET_FIELDS,
    CAMPAIGN_FIELDS,
    AssetNow,
    CampaignNow,
    address_now_of,
    asset_now,
    campaign_now,
    claimed_now_by,
)
from shared.reading.snapshot import Snapshot
from shared.rules.acceptance import accept
from shared.rules.keys import utm_key
from shared.rules.page import PAGE_TYPES
from shared.rules.tracking_url import LINK_TYPES
from shared.rules.utm import normalised

MAY_BE_EMPTY = frozenset({"notes"})  # they are for people alone, and an empty text ends them
REGISTRATIONS_MAX = 100  # that one call retracts; an asset has a few


UNREADABLE = frozenset(get_args(Code))
"""The codes of a value that no event can have."""


class CallRefused(Exception):
    """A call that changed nothing. `code` is stable; `members` go into the answer beside code and message."""

    def __init__(self, code: str, message: str, **members: Any) -> None:
        super().__init__(message)
        self.code, self.message, self.members = code, message, members

    @property
    def detail(self) -> str:
        """The message, and the field that it is about if the message does not name it."""
        field = self.members.get("field")
        return f"{field}: {self.message}" if field and self.code in UNREADABLE else self.message


@dataclass
class Outcome:
    """What a call appends, none if the state is as wished. `event_id` is the event that makes it so; it can be retracted.

    `new`: the call makes something that was not there. `more` goes into the answer.
    """

    event_id: str
    events: Sequence[Event] = ()
    new: bool = False
    more: Mapping[str, Any] = field(default_factory=dict)


def wish(kind: type[Envelope], fields: Mapping[str, Any], own: Mapping[str, str]) -> Any:
    """The event of a type with the fields that a caller gave and those that are the call's `own`. Raises `CallRefused`."""
    taken = {*own, *Envelope.__struct_fields__, "type"}
    if unfit := sorted(set(fields) & taken):
        raise CallRefused("unknown_field", f"`{unfit[0]}` is not a field of this body", field=unfit[0])
    if empty := next((name for name, value in fields.items() if value is None), None):
        raise CallRefused(
            "bad_value", "a value cannot be removed; leave the field out to keep it as it is", field=empty
        )
    if blank := next((name for name, value in fields.items() if name not in MAY_BE_EMPTY and _is_blank(value)), None):
        raise CallRefused("bad_value", "a text without a character that can be seen", field=blank)
    raw = msgspec.json.encode({"type": name_of(kind), **own, **fields})
    outcome = accept(raw, 0, "server", time.time_ns() // 1000, None)
    if isinstance(outcome, Refusal):
        raise CallRefused(outcome.code, outcome.message, field=outcome.field)
    return decode_event(raw)


def _is_blank(value: Any) -> bool:
    return isinstance(value, str) and is_blank(value)


def check_new_id(field: str, new_id: str) -> None:
    """Raise `CallRefused` if something new would get an id that nobody can see. What events named so can be changed all the same."""
    if is_blank(new_id):
        raise CallRefused("bad_value", "an id without a character that can be seen", field=field)


def placed(event: Any, now_us: int, after_us: int) -> Any:
    """The event with a new id, and placed after `after_us`, whatever this machine's clock says."""
    at = from_micros(after_us + 1) if after_us >= now_us else event.occurred_at
    return msgspec.structs.replace(event, id=uuid7(now_us), occurred_at=at)


async def existing_campaign(snapshot: Snapshot, campaign_id: str, *, deleted: bool = False) -> CampaignNow:
    """The campaign, if somebody created it. Raises `CallRefused`, also if it is deleted, unless `deleted`."""
    now = await campaign_now(snapshot, campaign_id)
    if now.changed_by is None:
        named = "; events name it, but none creates it" if now.named_since_us is not None else ""
        raise CallRefused("unknown_campaign", f"there is no campaign {campaign_id!r}{named}", field="campaign_id")
    if now.deleted_by is not None and not deleted:
        raise _deleted(now)
    return now


def _deleted(now: CampaignNow) -> CallRefused:
    message = f"the campaign {now.campaign_id!r} is deleted; to have it back, retract the event {now.deleted_by!r}"
    return CallRefused("campaign_deleted", message, deleted_by=now.deleted_by)


async def put_campaign(
    snapshot: Snapshot, campaign_id: str, fields: Mapping[str, Any], now_us: int, *, move: bool
) -> Outcome:
    """Create a campaign, or change those fields that are given and differ. Raises `CallRefused`.

    `move`: a utm value that another campaign claims is taken from it. A campaign that events named before anybody created it begins
    when it was first named, so that it loses nothing.
    """
    wished: CampaignCreated = wish(CampaignCreated, fields, {"campaign_id": campaign_id})
    now = await campaign_now(snapshot, campaign_id)
    if now.deleted_by is not None:
        raise _deleted(now)
    _check_days(wished, now.fields)
    changed = {name: v for name in CAMPAIGN_FIELDS if _differs(name, v := getattr(wished, name), now.fields.get(name))}
    more: dict[str, Any] = {}
    if wished.utm_campaign is not None and (value := normalised(wished.utm_campaign)):
        holder = await claimed_now_by(snapshot, utm_key(value))
        if holder != campaign_id:
            changed["utm_campaign"] = wished.utm_campaign
        if holder not in (None, campaign_id):
            if not move:
                message = f"the campaign {holder!r} claims the utm_campaign {value!r}; `move=true` takes it from there"
                raise CallRefused("value_claimed", message, field="utm_campaign", claimed_by=holder)
            more["taken_from"] = holder
    if now.changed_by is None:
        check_new_id("campaign_id", campaign_id)
        event: Any = CampaignCreated(campaign_id=campaign_id, **changed)
        if now.named_since_us is not None and now.named_since_us < now_us:
            event = msgspec.structs.replace(event, occurred_at=from_micros(now.named_since_us))
    elif not changed:
        return Outcome(now.changed_by)
    else:
        event = CampaignUpdated(campaign_id=campaign_id, **changed)
    event = placed(event, now_us, now.latest_us)
    return Outcome(event.id, [event], now.changed_by is None, more)


def _check_days(wished: CampaignCreated, fields_now: Mapping[str, Any]) -> None:
    """Raise `CallRefused` if the campaign would end before it starts."""
    starts_on, ends_on = wished.starts_on or fields_now.get("starts_on"), wished.ends_on or fields_now.get("ends_on")
    if (wished.starts_on or wished.ends_on) and starts_on and ends_on and ends_on < starts_on:
        field = "ends_on" if wished.ends_on else "starts_on"
        raise CallRefused("bad_value", f"a campaign that starts on {starts_on} cannot end on {ends_on}", field=field)


def _differs(name: str, wished: Any, value_now: Any) -> bool:
    """Whether a wished value is there and is another than the present one; a budget is compared as a number, all else as it is written."""
    if wished is None or wished == value_now:
        return False
    try:
        return name != "budget" or Decimal(wished) != Decimal(value_now)
    except (TypeError, ArithmeticError, ValueError):
        return True


async def delete_campaign(snapshot: Snapshot, campaign_id: str, now_us: int) -> Outcome:
    """Delete a campaign. Raises `CallRefused`."""
    now = await existing_campaign(snapshot, campaign_id, deleted=True)
    if now.deleted_by is not None:
        return Outcome(now.deleted_by)
    event = placed(CampaignDeleted(campaign_id=campaign_id), now_us, now.latest_us)
    return Outcome(event.id, [event])


async def put_asset(turn: Turn, asset_id: str, fields: Mapping[str, Any], *, move: bool) -> Outcome:
    """Register an asset, or change those fields that are given and differ. Raises `CallRefused`.

    Addresses are compared as the log keeps them; a link also as it was sent, so that it leads to the address as it is written now.
    `move`: an address or a link that is another asset's is taken from it.
    """
    now = await asset_now(turn.snapshot, asset_id)
    if not now.registered_by:
        check_new_id("asset_id", asset_id)
    elif "asset_type" not in fields:
        fields = {**fields, "asset_type": now.fields["asset_type"]}
    wished: AssetRegistered = wish(AssetRegistered, fields, {"asset_id": asset_id})
    if now.registered_by and wished.asset_type != now.fields["asset_type"]:
        raise _other_type(now, wished.asset_type)
    kept = await turn.stored(wished)
    differing = [name for name in ASSET_FIELDS if (v := getattr(kept, name)) and v != now.fields.get(name)]
    same_link = kept.target_url is not None and kept.target_url == now.fields.get("target_url")
    if same_link and await turn.target_of(asset_id, kept.target_url) not in (kept.target_url, wished.target_url):
        differing.append("target_url")
    changed = {name: getattr(wished, name) for name in differing}
    if (
        "target_url" in changed
        and wished.asset_type in LEADING_TYPES
        and target_of(wished.asset_type, changed["target_url"]) is None
    ):
        message = f"a link to {changed['target_url'][:100]!r} would lead nowhere; an absolute address of http or https is needed"
        raise CallRefused("bad_value", message, field="target_url")
    more = await _addresses_taken(turn.snapshot, kept, changed, move=move)
    if now.registered_by and not changed:
        return Outcome(now.registered_by[-1])
    event = AssetRegistered(asset_id=asset_id, **{"asset_type": wished.asset_type, **changed})
    event = placed(event, turn.now_us, now.latest_us)
    return Outcome(event.id, [event], not now.registered_by, more)


async def _addresses_taken(
    snapshot: Snapshot, wished: AssetRegistered, changed: Mapping[str, Any], *, move: bool
) -> dict[str, Any]:
    """The asset that loses its address or link to this one, for the answer. Raises `CallRefused` if that is not wanted."""
    about = entity_event(wished, snapshot.settings.addresses)
    more: dict[str, Any] = {}
    for name, key, types in (("url", about.object, PAGE_TYPES), ("target_url", about.leads_to, LINK_TYPES)):
        if name not in changed or key is None or wished.asset_type not in types:
            continue
        other = await address_now_of(snapshot, key)
        if other in (None, wished.asset_id):
            continue
        if not move:
            message = f"the asset {other!r} is registered with this address; `move=true` takes it from there"
            raise CallRefused("address_taken", message, field=name, taken_by=other)
        more["taken_from"] = other
    return more


def _other_type(now: AssetNow, asset_type: str) -> CallRefused:
    registered_type = now.fields["asset_type"]
    message = f"the asset {now.asset_id!r} is registered as {registered_type}, not as {asset_type}"
    return CallRefused("type_conflict", message, field="asset_type", asset_type=registered_type)


async def delete_asset(snapshot: Snapshot, asset_id: str, now_us: int) -> Outcome:
    """Retract all registrations of an asset that no campaign holds. Raises `CallRefused`."""
    now = await asset_now(snapshot, asset_id)
    _known(now)
    if now.holders:
        holder = min(now.holders)
        message = f"the campaign {holder!r} holds the asset {asset_id!r}; remove it there first"
        raise CallRefused("asset_held", message, held_by=holder)
    if len(now.registered_by) > REGISTRATIONS_MAX:
        message = f"the asset was registered more than {REGISTRATIONS_MAX} times; retract these events one by one"
        raise CallRefused("too_many_registrations", message)
    events = [
        placed(EventRetracted(event_id=registration), now_us, now.latest_us) for registration in now.registered_by
    ]
    return Outcome(str(events[-1].id), events, more={"event_ids": [event.id for event in events]})


def _known(now: AssetNow) -> None:
    if not now.registered_by:
        raise CallRefused(
            "unknown_asset", f"there is no asset {now.asset_id!r}: nobody registered it", field="asset_id"
        )


def associated(
    campaign: CampaignNow, now: AssetNow, asset_type: str | None, now_us: int, *, move: bool, posts_left: int
) -> Outcome:
    """Let a campaign hold an asset; `move`: although another one holds it. Raises `CallRefused`.

    `posts_left` is how many more social posts the campaign may hold.
    """
    _known(now)
    registered_type = now.fields["asset_type"]
    if asset_type is not None and asset_type != registered_type:
        raise _other_type(now, asset_type)
    if event_id := now.holders.get(campaign.campaign_id):
        return Outcome(event_id)
    more = {}
    if now.holders and registered_type != "workflow":
        holder = min(now.holders)
        if not move:
            message = f"the campaign {holder!r} holds the asset {now.asset_id!r}; `move=true` moves it from there"
            raise CallRefused("held_by_another", message, field="asset_id", held_by=holder)
        more = {"moved_from": holder}
    if registered_type == "social_post" and posts_left < 1:
        message = f"the campaign {campaign.campaign_id!r} holds as many social posts as it may"
        raise CallRefused("social_post_limit", message, field="asset_id")
    event = AssetAssociated(campaign_id=campaign.campaign_id, asset_id=now.asset_id)
    event = placed(event, now_us, max(now.latest_us, campaign.latest_us))
    return Outcome(event.id, [event], True, more)


async def dissociate(
    snapshot: Snapshot, campaign_id: str, asset_id: str, asset_type: str | None, now_us: int
) -> Outcome:
    """Take an asset out of a campaign. Raises `CallRefused`."""
    await existing_campaign(snapshot, campaign_id)
    now = await asset_now(snapshot, asset_id)
    _known(now)
    if asset_type is not None and asset_type != now.fields["asset_type"]:
        raise _other_type(now, asset_type)
    if campaign_id not in now.holders:
        if event_id := now.ended_by.get(campaign_id):
            return Outcome(event_id)
        message = f"the campaign {campaign_id!r} does not hold the asset {asset_id!r}"
        raise CallRefused("not_associated", message, field="asset_id", held_by=min(now.holders, default=None))
    event = placed(AssetDissociated(campaign_id=campaign_id, asset_id=asset_id), now_us, now.latest_us)
    return Outcome(event.id, [event])


def answer_of(outcome: Outcome) -> dict[str, Any]:
    """What every answer says of a call that was not refused."""
    return {"event_id": outcome.event_id, "changed": bool(outcome.events), **outcome.more}
