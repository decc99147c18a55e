"""Why is this (not) in my campaign? Answered for an event and for a deal, by the rules that decided it."""

from typing import Any

from services.api.reading import Reading, not_found
from services.api.touches import brought_json, campaigns_json, session_name, standings, what_brought, why_not
from shared.events.codec import decode_event
from shared.events.instants import END_US, to_rfc3339
from shared.projection.attribution import KEPT_OUT_OF, REACHED
from shared.projection.deals import CONTACTS_OF, FACTS, keys_named, members_of, told_of
from shared.projection.sql import sql
from shared.rules.deal import Deal, DealReason, Member, Reached, before_close, eligible, fold, reason
from shared.rules.excluded_traffic import Verdict
from shared.rules.influence import DEAL_TOUCHES, INFLUENCING, REVENUE_TOUCHES, TouchType
from shared.rules.keys import campaign_key, deal_key, event_key
from shared.rules.order import Order
from shared.rules.pre_association import KeptOut, Route, Standing
from shared.rules.reassociation import cta_clicks_stay, former_asset_keeps

SEEN = sql("SELECT occurred_at_us, place, is_touch, live, as_of_us FROM {g}.seen WHERE ws = $1 AND event_key = $2")
TOUCH = sql("SELECT * FROM {g}.touch WHERE ws = $1 AND person = $2 AND occurred_at_us = $3 AND event_id = $4")
FACT = sql("SELECT type, object FROM {g}.fact WHERE ws = $1 AND subject = $2 AND occurred_at_us = $3 AND event_id = $4")
OWNER = sql("""
SELECT c.name FROM {g}.ownership o JOIN {g}.contact c ON c.ws = $1 AND c.contact = o.contact
WHERE o.ws = $1 AND o.person = $2 AND (o.from_us, o.from_event) <= ($3::bigint, $4 COLLATE "C")
    AND (o.to_us, o.to_event) > ($3::bigint, $4 COLLATE "C")
""")
RETRACTED_BY = sql(
    "SELECT event_id FROM {g}.retraction WHERE ws = $1 AND target = $2 ORDER BY occurred_at_us, event_id"
)
LIVE = sql("SELECT event_key FROM {g}.seen WHERE ws = $1 AND event_key = ANY($2::bytea[]) AND live")
INEFFECTIVE = sql("""
SELECT reason FROM {g}.ineffective WHERE ws = $1 AND asset = $2 AND campaign = $3 AND occurred_at_us = $4 AND event_id = $5
""")
CAMPAIGN_ID = sql("SELECT campaign_id FROM {g}.campaign WHERE ws = $1 AND campaign = $2")
DEAD_LETTERS = """
SELECT d.reason, d.detail FROM touchline.dead_letter d JOIN touchline.workspace w ON w.workspace_id = d.workspace_id
WHERE w.number = $1 AND d.event_id = $2 ORDER BY d.dead_letter_id DESC
"""
HOLDERS = sql(f"""
WITH touched(asset) AS (
    SELECT asset FROM {{g}}.address WHERE ws = $1 AND page = $2 AND $4 >= from_us AND $4 < to_us
    UNION SELECT unnest(ARRAY[$2::bigint, $3::bigint])
)
SELECT t.asset, s.asset_id, c.campaign_id, c.campaign, bool_or(a.to_us = {END_US}) AS now,
    bool_or($4 >= a.from_us AND $4 < a.to_us) AS "then"
FROM touched t JOIN {{g}}.association a ON a.ws = $1 AND a.asset = t.asset
JOIN {{g}}.asset s ON s.ws = $1 AND s.asset = t.asset
JOIN {{g}}.campaign c ON c.ws = $1 AND c.campaign = a.campaign
GROUP BY 1, 2, 3, 4 ORDER BY 2, 3
""")  # who holds, held, or held then ($4) what a touch is of ($2 its target, $3 what brought it)
INFLUENCE = (("influencing", INFLUENCING), ("deal_touch", DEAL_TOUCHES), ("revenue_touch", REVENUE_TOUCHES))


async def explain_event(read: Reading, event_id: str) -> dict[str, Any]:
    """What an event counted for, in which campaigns, and why not in others. Raises a 404 `Problem`."""
    letters = await read.connection.raw.fetch(DEAD_LETTERS, read.ws, event_id)
    seen = await read.fetchrow(SEEN, event_key(event_id))
    if seen is None:
        if not letters:
            raise not_found("event", event_id)
        return {
            "event_id": event_id, "type": None, "occurred_at": None, "contact": None, "counted": False,
            "reason": letters[0]["reason"], "detail": letters[0]["detail"], "campaigns": [],
        }  # fmt: skip
    place = (seen["place"], seen["occurred_at_us"], event_id)
    out = await (_touch(read, place) if seen["is_touch"] else _fact(read, place))
    if not seen["live"]:
        out |= {"counted": False, "reason": Verdict.RETRACTED.name.lower(), "campaigns": [],
                "retracted_by": await _retracted_by(read, event_id)}  # fmt: skip
    lost = sum(letter["reason"] == "conflicting_duplicate" for letter in letters)
    told_as_of = None if seen["as_of_us"] is None else to_rfc3339(seen["as_of_us"])
    return {**out, "told_as_of": told_as_of, "conflicting_duplicates": lost}


async def _retracted_by(read: Reading, event_id: str) -> list[str]:
    told = [row["event_id"] for row in await read.fetch(RETRACTED_BY, event_id)]
    live = {row["event_key"] for row in await read.fetch(LIVE, [event_key(by) for by in told])}
    return [by for by in told if event_key(by) in live]


async def _touch(read: Reading, place: tuple[int, int, str]) -> dict[str, Any]:
    touch = await read.fetchrow(TOUCH, *place)
    verdict, type_ = Verdict(touch["verdict"]), TouchType(touch["type"])
    owner = await read.fetchrow(OWNER, *place)
    (by,) = await what_brought(read, [touch])
    counted = verdict is Verdict.COUNTED
    return {
        "event_id": place[2], "type": type_.wire, "occurred_at": to_rfc3339(place[1]),
        "contact": owner["name"] if owner else None, "counted": counted,
        "reason": None if counted else verdict.name.lower(),
        "campaigns": campaigns_json(verdict, (await standings(read, [touch]))[0]),
        "session": session_name(touch["session"]), **brought_json(by),
        "influence": [name for name, types in INFLUENCE if counted and type_ in types],
        "sections": await _sections(read, touch, type_) if counted else [],
    }  # fmt: skip


async def _sections(read: Reading, touch: Any, type_: TouchType) -> list[dict[str, Any]]:
    """In which campaigns' asset sections the touch shows, and in which it does not though the asset is there."""
    rows = await read.fetch(HOLDERS, touch["target"], touch["via"], touch["occurred_at_us"])
    out = []
    for row in rows:
        then = frozenset(r["campaign"] for r in rows if r["asset"] == row["asset"] and r["then"])
        if row["now"]:
            why = cta_clicks_stay(type_, then, row["campaign"])
        elif former_asset_keeps(type_, then, row["campaign"]):
            why = None
        else:
            continue
        out.append(
            {"campaign_id": row["campaign_id"], "asset_id": row["asset_id"], "former": not row["now"],
             "shown": why is None, "reason": why}
        )  # fmt: skip
    return out


async def _fact(read: Reading, place: tuple[int, int, str]) -> dict[str, Any]:
    row = await read.fetchrow(FACT, *place)
    said = {
        "event_id": place[2], "type": row["type"], "occurred_at": to_rfc3339(place[1]), "contact": None, "counted": True,
        "reason": None, "campaigns": [],
    }  # fmt: skip
    if row["type"] in ("asset_associated", "asset_dissociated"):
        why = await read.connection.fetchval(INEFFECTIVE, read.ws, place[0], row["object"], place[1], place[2])
        campaign_id = await read.connection.fetchval(CAMPAIGN_ID, read.ws, row["object"])
        said |= {"counted": why is None, "reason": why, "campaign_id": campaign_id}
    return said


SAYS: dict[DealReason, str] = {
    DealReason.DEAL_DELETED: "The deal was deleted.",
    DealReason.DEAL_LOST: "The deal was lost.",
    DealReason.NO_CONTACT: "No contact was ever associated with the deal.",
    DealReason.CONTACT_ASSOCIATED_AFTER_CLOSE: "Its contacts were associated with it only when or after it closed.",
    DealReason.CONTACT_DISSOCIATED_BEFORE_CLOSE: "Its contacts were dissociated from it before it closed.",
    DealReason.INFLUENCED_AFTER_CLOSE: "The campaign touched its contacts only when or after it closed.",
    DealReason.STATIC_LIST: "The campaign reached its contacts by a static list alone, which earns no revenue.",
    DealReason.WORKFLOW_ONLY: "The campaign reached its contacts by a workflow alone, which earns no revenue.",
    DealReason.CONTACT_NOT_INFLUENCED: "No touch of the campaign influenced any of its contacts.",
}
KEPT_OUT_SAYS: dict[KeptOut, str] = {
    KeptOut.MACHINE: "A machine made it.",
    KeptOut.INTERNAL: "It is internal traffic.",
    KeptOut.BEFORE_ASSOCIATION: "It came before the campaign held the asset.",
    KeptOut.AFTER_ASSOCIATION_ENDED: "It came after the campaign had ceased to hold the asset.",
    KeptOut.UTM_NOT_CLAIMED_THEN: "The campaign did not claim its utm value then.",
}


async def explain_deal(read: Reading, deal_id: str, campaign_id: str) -> dict[str, Any]:
    """Why a deal counts for a campaign, or does not: the checklist, each check with the event that decides it.

    Raises a 404 `Problem` if either is unknown.
    """
    campaign = campaign_key(campaign_id)
    facts = [
        (Order(r["occurred_at_us"], r["event_id"]), r["type"], decode_event(r["body"]))
        for r in await read.fetch(FACTS, [deal_key(deal_id)])
    ]
    if not facts:
        raise not_found("deal", deal_id)
    if await read.fetchrow(CAMPAIGN_ID, campaign) is None:
        raise not_found("campaign", campaign_id)
    deal = fold(told_of(*fact) for fact in facts)
    rows = {r["identifier"]: r for r in await read.fetch(CONTACTS_OF, list(keys_named(facts)))}
    members = members_of(facts, {key: r["contact"] for key, r in rows.items()})
    present = eligible(members, None if deal.closed is None else deal.closed.at_us)
    touches = await read.fetch(REACHED, [campaign], list(present))
    why = reason(deal, members, _reached(touches))
    closed_us = END_US if deal.closed is None else deal.closed.at_us
    kept = await read.fetch(KEPT_OUT_OF, [campaign], list(present), closed_us) if why in NOT_REACHED else []
    return {
        "deal_id": deal_id, "campaign_id": campaign_id, "counts": why is None, "reason": why,
        "checks": [*_checks(deal, members, present, touches, why), *_kept_out(kept)],
    }  # fmt: skip


NOT_REACHED = frozenset({DealReason.STATIC_LIST, DealReason.WORKFLOW_ONLY, DealReason.CONTACT_NOT_INFLUENCED})


def _reached(touches: list[Any]) -> dict[int, Reached]:
    out: dict[int, Reached] = {}
    for touch in touches:
        seen = out.get(touch["contact"], Reached(None, False, False))
        type_ = TouchType(touch["type"])
        first = seen.deal_touch_us
        if type_ in DEAL_TOUCHES and first is None:
            first = touch["occurred_at_us"]
        out[touch["contact"]] = Reached(
            first, seen.static_list or type_ is TouchType.LIST_JOINED_STATIC,
            seen.workflow or type_ is TouchType.WORKFLOW_ENROLLED,
        )  # fmt: skip
    return out


def _kept_out(touches: list[Any]) -> list[dict[str, Any]]:
    """The touches that would have made the deal count, had they not been kept out of the campaign."""
    out = []
    for touch in touches:
        told = {route: touch[f"by_{route.name.lower()}"] for route in Route}
        by_route = {route: Standing(number) for route, number in told.items() if number is not None}
        why = why_not(Verdict(touch["verdict"]), by_route)
        assert why is not None
        rule = "excluded traffic" if why in (KeptOut.MACHINE, KeptOut.INTERNAL) else "pre-association"
        out.append(_check(rule, f"touch_not_{why}", False, KEPT_OUT_SAYS[why], touch["event_id"]))
    return out


def _checks(
    deal: Deal, members: list[Member], present: dict[int, Order], touches: list[Any], why: DealReason | None
) -> list[dict[str, Any]]:
    """The checklist in the order of the rule; a check that was not reached holds `null`."""
    closed_us = None if deal.closed is None else deal.closed.at_us
    joined = min(present.values(), default=min((m.order for m in members if m.joins), default=None))
    influencing = [t for t in touches if TouchType(t["type"]) in DEAL_TOUCHES]
    in_time = next((t for t in influencing if before_close(t["occurred_at_us"], closed_us)), None)
    first = in_time or next(iter(influencing or touches), None)
    steps: list[tuple[str, set[DealReason], str, str | None]] = [
        ("not_deleted", {DealReason.DEAL_DELETED}, "The deal was not deleted.", deal.decided_by.event_id),
        ("not_lost", {DealReason.DEAL_LOST}, f"The deal is {deal.state.value}.", deal.decided_by.event_id),
        ("contact_associated_before_close",
         {DealReason.NO_CONTACT, DealReason.CONTACT_ASSOCIATED_AFTER_CLOSE, DealReason.CONTACT_DISSOCIATED_BEFORE_CLOSE},
         "A contact was associated with it in time.", joined.event_id if joined else None),
        ("contact_influenced_before_close", {DealReason.INFLUENCED_AFTER_CLOSE, *NOT_REACHED},
         "The campaign touched one of its contacts in time.", first["event_id"] if first else None),
    ]  # fmt: skip
    out: list[dict[str, Any]] = []
    failed = False
    for name, reasons, says, event_id in steps:
        holds = None if failed else why not in reasons
        said = says if holds else ("Not reached." if holds is None else SAYS[why])  # type: ignore[index]
        out.append(_check("deal", name, holds, said, None if failed else event_id))
        failed = failed or holds is False
    return out


def _check(rule: str, check: str, holds: bool | None, says: str, event_id: str | None) -> dict[str, Any]:
    return {"rule": rule, "check": check, "holds": holds, "says": says, "deciding_event": event_id}
