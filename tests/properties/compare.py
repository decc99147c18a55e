"""Ask the product what the oracle knows, over its public API."""

import datetime as dt
import random
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import httpx

from tests.properties.oracle import MODELS, Oracle, at
from tests.properties.worlds import BASE

COUNTS = (
    "sessions", "new_sessions", "page_views", "form_submissions", "cta_clicks", "email_opens", "email_clicks",
    "new_contacts_first_touch", "new_contacts_last_touch", "influenced_contacts", "contacts_with_revenue",
    "contacts_with_attributed_revenue", "influenced_deals", "closed_deals",
)  # fmt: skip

GROUPS = ["campaign", "owner", "asset", "asset_type", "interaction", "channel", "source", "medium", "utm_campaign"]


def minor(money: dict[str, str]) -> int:
    return int(Decimal(money["amount"]) * 100)


def by_currency(amounts: list[dict[str, str]]) -> dict[str, int]:
    return {m["currency"]: minor(m) for m in amounts}


async def differences(client: httpx.AsyncClient, oracle: Oracle, rng: random.Random) -> list[str]:
    """Every answer that is not the oracle's, as text."""
    out: list[str] = []

    def check(what: str, wanted: Any, got: Any) -> None:
        if wanted != got:
            out.append(f"{what}: oracle {wanted!r}, product {got!r}")

    for campaign in sorted(oracle.campaigns):
        await _campaign(client, oracle, campaign, rng, check)
    await _report(client, oracle, rng.choice(list(MODELS)), check)
    await _groups(client, oracle, rng, check)
    for salesforce in ("701", "702"):
        got = await _get(client, f"/v1/contacts?salesforce_campaign_id={salesforce}&limit=1000")
        check(f"Salesforce {salesforce}", oracle.salesforce(salesforce), sorted(i["contact"] for i in got["items"]))
    for contact in oracle.contacts:
        await _journey(client, oracle, contact, check)
        got = await _get(client, f"/v1/contacts/{quote(max(contact)[1], safe='')}")
        memberships = {m["salesforce_campaign_id"]: (m["source"], m["event_id"]) for m in got["salesforce_campaigns"]}
        check(f"{contact} in Salesforce", oracle.salesforce_of(contact), memberships)
        check(f"{contact} in Salesforce, ids", sorted(memberships), got["salesforce_campaign_ids"])
        since = {m["event_id"]: dt.datetime.fromisoformat(m["joined_at"]) for m in got["salesforce_campaigns"]}
        check(f"{contact} in Salesforce since", {i: at(oracle.unique[i]) for i in since}, since)
    for deal in oracle.deals:
        await _deal(client, oracle, deal, rng, check)
    for event_id in oracle.unique:
        if rng.random() < 0.3:
            await _event(client, oracle, event_id, check)
    return out


async def _get(client: httpx.AsyncClient, path: str) -> Any:
    response = await client.get(path)
    assert response.status_code == 200, f"{path}: {response.status_code} {response.text}"
    return response.json()


async def _campaign(client: httpx.AsyncClient, oracle: Oracle, campaign: str, rng: random.Random, check: Any) -> None:
    span = BASE + dt.timedelta(minutes=rng.choice([0, 10, 30, 60])), BASE + dt.timedelta(days=2, minutes=30)
    range_query = "&from={}&to={}".format(*(quote(i.isoformat()) for i in span))
    for model, chosen, query in (
        ("linear", None, ""),
        (rng.choice(list(MODELS)), span, range_query),
    ):
        got = await _get(client, f"/v1/campaigns/{campaign}/overview?model={model}{query}")
        wanted = oracle.overview(campaign, model, chosen)
        for metric in COUNTS:
            check(f"{campaign} {metric} {chosen}", wanted[metric], got["metrics"][metric])
        for metric in ("influenced_revenue", "attributed_revenue"):
            check(f"{campaign} {metric} {model} {chosen}", wanted[metric], by_currency(got["metrics"][metric]))

        def within(instant: dt.datetime, chosen: Any = chosen) -> bool:
            return chosen is None or chosen[0] <= instant < chosen[1]

        goals = {
            name: Decimal(goal["amount"]) if isinstance(goal, dict) else Decimal(goal)
            for name, goal in got["goals"].items()
        }
        check(f"{campaign} goals", {name: Decimal(goal) for name, goal in oracle.goals(campaign).items()}, goals)
        excluded = oracle.excluded(campaign, within)
        check(f"{campaign} excluded {chosen}", excluded, {k: n for k, n in got["excluded"].items() if n})
        check(f"{campaign} touches {chosen}", oracle.counted_by_type(campaign, within), got["touches"])
    got = await _get(client, f"/v1/campaigns/{campaign}/assets?limit=1000")
    shown = {
        i["asset_id"]: (i["former"], i["statistics"], i["contacts"],
                        i["not_shown"].get("stayed_with_previous_campaign", {})) for i in got["items"]
    }  # fmt: skip
    check(f"{campaign} assets", oracle.section(campaign), shown)
    hidden = {a: oracle.hidden(a, campaign) for a, (former, *_) in oracle.section(campaign).items() if not former}
    check(f"{campaign} hidden", hidden, {i["asset_id"]: i["hidden_reason"] for i in got["items"] if not i["former"]})
    got = await _get(client, f"/v1/campaigns/{campaign}/refusals?limit=1000")
    refused = [(i["asset_id"], i["event_id"], i["reason"]) for i in got["items"]]
    check(f"{campaign} refusals", oracle.refusals(campaign), refused)
    for metric, behind in (
        ("influenced_contacts", oracle.influenced(campaign)),
        ("new_contacts_first_touch", oracle.first_touch(campaign)),
        ("new_contacts_last_touch", oracle.last_touch(campaign)),
    ):
        got = await _get(client, f"/v1/campaigns/{campaign}/contacts?limit=1000&metric={metric}")
        wanted_rows = sorted((oracle.name(c), e["id"]) for c, e in behind.items())
        check(
            f"{campaign} {metric} rows", wanted_rows, sorted((i["contact"], i["deciding_event"]) for i in got["items"])
        )
    await _revenue(client, oracle, campaign, rng.choice(list(MODELS)), check)


async def _revenue(client: httpx.AsyncClient, oracle: Oracle, campaign: str, model: str, check: Any) -> None:
    """The deals behind the numbers, and the contacts with revenue, under a model."""
    _, paid, earners = oracle.attributed(campaign, model, lambda _: True)
    for metric, closes in (
        ("contacts_with_revenue", oracle.with_revenue(campaign)),
        ("contacts_with_attributed_revenue", earners),
    ):
        got = await _get(client, f"/v1/campaigns/{campaign}/contacts?limit=1000&metric={metric}&model={model}")
        wanted = sorted((oracle.name(contact), instant) for contact, instant in closes.items())
        rows = sorted((i["contact"], dt.datetime.fromisoformat(i["at"])) for i in got["items"])
        check(f"{campaign} {metric} {model} rows", wanted, rows)
    got = await _get(client, f"/v1/campaigns/{campaign}/deals?limit=1000&model={model}")
    counting = [d for d in oracle.deals if oracle.deal_reason(d, campaign) is None]
    wanted_deals = sorted((d["id"], d["state"], paid.get(d["id"])) for d in counting)
    deals = sorted((i["deal_id"], i["state"], i["share"] and minor(i["share"])) for i in got["items"])
    check(f"{campaign} deals {model}", wanted_deals, deals)


async def _report(client: httpx.AsyncClient, oracle: Oracle, model: str, check: Any) -> None:
    """The report's rows: every group with a touch in a journey, whatever that was paid."""
    for currency in ("EUR", "NOK"):
        got = await _get(client, f"/v1/reports/attribution?model={model}&currency={currency}")
        rows = {
            row["group"]: (row["deals"], row["contacts"], int(Decimal(row["revenue"][model]) * 100))
            for row in got["rows"] if row.get("reason") != "no_journey" and (row["group"] is not None or row["deals"])
        }  # fmt: skip
        check(f"report {model} {currency}", oracle.report(model, currency), rows)
        won = [d for d in oracle.deals if d["state"] == "won" and d["currency"] == currency]
        check(f"report {currency} deals", len(won), got["deals"])
        without = next(row["deals"] for row in got["rows"] if row.get("reason") == "no_journey")
        check(f"report {currency} no journey", sum(not oracle.journey(d) for d in won), without)


async def _groups(client: httpx.AsyncClient, oracle: Oracle, rng: random.Random, check: Any) -> None:
    """The reports by two of their groups, under two models, of which one may be the workspace's own."""
    own = sorted({event["model"] for event in oracle.of("model_defined")} - {*MODELS})
    for by in rng.sample(GROUPS, 2):
        models = rng.sample([*MODELS, *own], 1) + own[:1]
        asked = "&".join(f"model={model}" for model in dict.fromkeys(models))
        for currency in ("EUR", "NOK"):
            got = await _get(client, f"/v1/reports/attribution?{asked}&group_by={by}&currency={currency}")
            for model in models:
                rows = {
                    row["group"] or row["reason"]: (row["deals"], row["contacts"], int(Decimal(row["revenue"][model]) * 100))
                    for row in got["rows"] if row["deals"] or Decimal(row["revenue"][model])
                }  # fmt: skip
                wanted = oracle.revenue_by(by, model, currency)
                if model in own:  # of the deals that it does not share out, only the revenue is compared
                    rows, wanted = ({group: row[2] for group, row in each.items() if row[2]} for each in (rows, wanted))
                check(f"{by} {model} {currency}", wanted, rows)
                total = sum(int(Decimal(row["revenue"][model]) * 100) for row in got["rows"])
                check(f"{by} {model} {currency} total", int(Decimal(got["total"][model]) * 100), total)
        for of in ("deals", "contacts"):
            got = await _get(client, f"/v1/reports/attribution?of={of}&{asked}&group_by={by}")
            for model in models:
                found = {
                    row["group"] or row["reason"]: (row[of], int(Decimal(row["credit"][model]) * 10**6))
                    for row in got["rows"] if row[of] or Decimal(row["credit"][model])
                }  # fmt: skip
                expected = {group: (n, units) for group, (n, _, units) in oracle.created_by(of, by, model).items()}
                if model in own:
                    found, expected = (
                        {g: each[1] for g, each in side.items() if each[1]} for side in (found, expected)
                    )
                check(f"{of} {by} {model}", expected, found)
                check(f"{of} {by} {model} total", got[of], int(Decimal(got["total"][model])))


async def _journey(client: httpx.AsyncClient, oracle: Oracle, contact: frozenset[Any], check: Any) -> None:
    _, text = max(contact)  # an id, if it has one
    got = await _get(client, f"/v1/contacts/{quote(text, safe='')}/journey?limit=1000")
    check(f"{contact} name", oracle.name(contact), got["contact"])
    touches = oracle.contact_journey(contact)
    check(f"{contact} journey", [t["id"] for t in touches], [i["event_id"] for i in got["items"]])
    for touch, item in zip(touches, got["items"], strict=False):
        check(f"{touch['id']} campaigns", sorted(oracle.campaigns_of(touch)), item["campaigns"])
        check(
            f"{touch['id']} counted",
            (oracle.counted(touch), oracle.why_excluded(touch)),
            (item["counted"], item["reason"]),
        )
        check(f"{touch['id']} brought by", oracle.brought(touch), (item["source"], item["medium"], item["channel"]))
        kept_out = {c: why for c in oracle.campaigns if (why := oracle.why_not(touch, c))}
        check(f"{touch['id']} kept out", kept_out, {k["campaign_id"]: k["reason"] for k in item["kept_out"]})
    await _deals_of_contact(client, oracle, contact, check)
    sessions = {t["id"]: s["touches"][0]["id"] for s in oracle.sessions for t in s["touches"]}
    named: dict[str, str] = {}
    for item in got["items"]:
        first = sessions.get(item["event_id"])
        check(f"{item['event_id']} in a session", first is not None, item["session"] is not None)
        if first is not None:
            check(f"{item['event_id']} session", item["session"], named.setdefault(first, item["session"]))


async def _deals_of_contact(client: httpx.AsyncClient, oracle: Oracle, contact: frozenset[Any], check: Any) -> None:
    """The deals that a contact was ever in: whether it is eligible, and the campaigns that the deal counts for."""
    got = await _get(client, f"/v1/contacts/{quote(max(contact)[1], safe='')}/deals?limit=1000")
    wanted = {
        deal["id"]: (
            deal["state"],
            contact in oracle.eligible(deal),
            [c for c in sorted(oracle.campaigns) if oracle.deal_reason(deal, c) is None],
        )
        for deal in oracle.deals
        if any(joins and member == contact for _, member, joins in oracle.joined(deal))
    }
    check(f"{contact} deals", wanted, {i["deal_id"]: (i["state"], i["eligible"], i["campaigns"]) for i in got["items"]})
    check(f"{contact} deals, why not", [], [i for i in got["items"] if i["eligible"] == (i["reason"] is not None)])


async def _deal(
    client: httpx.AsyncClient, oracle: Oracle, deal: dict[str, Any], rng: random.Random, check: Any
) -> None:
    for campaign in sorted(oracle.campaigns):
        got = await _get(client, f"/v1/deals/{deal['id']}/explain?campaign={campaign}")
        why = oracle.deal_reason(deal, campaign)
        check(f"{deal['id']} in {campaign}", (why is None, why), (got["counts"], got["reason"]))
        failed = [c["check"] for c in got["checks"] if c["holds"] is False]
        deciding = [c["deciding_event"] for c in got["checks"] if c["holds"] is not None and c["rule"] == "deal"][-1]
        check(f"{deal['id']} in {campaign} decided by", oracle.deal_decision(deal, campaign)[1], deciding)
        check(f"{deal['id']} in {campaign} checks", why is None, not failed)
        kept_out = {c.removeprefix("touch_not_") for c in failed if c.startswith("touch_not_")}
        check(f"{deal['id']} in {campaign} kept out", oracle.kept_out_of(deal, campaign), kept_out)
    got = await _get(client, f"/v1/deals/{deal['id']}/attribution?all&limit=1000")
    check(f"{deal['id']} others", oracle.others(deal), [(o["event_id"], o["reason"]) for o in got["others"]])
    own = sorted({event["model"] for event in oracle.of("model_defined")} - {*MODELS})
    for model in [*rng.sample(list(MODELS), 3), *own]:
        got = await _get(client, f"/v1/deals/{deal['id']}/attribution?model={model}")
        journey, shares = oracle.journey(deal), oracle.shares(deal, model)
        check(f"{deal['id']} journey", [t["id"] for t in journey], [s["event_id"] for s in got["shares"]])
        if journey:
            check(f"{deal['id']} {model} weights", list(map(str, oracle.weights(deal, model))),
                  [s["weight"] for s in got["shares"]])  # fmt: skip
            check(f"{deal['id']} {model} shares", shares,
                  None if shares is None and got["shares"][0]["share"] is None
                  else [minor(s["share"]) for s in got["shares"]])  # fmt: skip
            check(f"{deal['id']} campaigns", [sorted(oracle.campaigns_of(t)) for t in journey],
                  [s["campaigns"] for s in got["shares"]])  # fmt: skip


async def _event(client: httpx.AsyncClient, oracle: Oracle, event_id: str, check: Any) -> None:
    got = await _get(client, f"/v1/events/{event_id}/explain")
    event = oracle.unique[event_id]
    as_of = got["version_as_of"] and dt.datetime.fromisoformat(got["version_as_of"])
    check(f"{event_id} version", event.get("as_of") and dt.datetime.fromisoformat(event["as_of"]), as_of)
    if event_id in oracle.out:
        check(f"{event_id} explain", (False, "retracted"), (got["counted"], got["reason"]))
        return
    if event["type"] in ("asset_associated", "asset_dissociated"):
        why = oracle.ignored_association(event)
        check(f"{event_id} explain", (why is None, why), (got["counted"], got["reason"]))
        return
    if event not in oracle.touches:
        check(f"{event_id} explain", (True, None), (got["counted"], got["reason"]))
        return
    wanted = {c: oracle.why_not(event, c) for c in oracle.campaigns}
    wanted = {c: why or None for c, why in wanted.items() if why is not None}
    check(f"{event_id} explain", wanted, {c["campaign_id"]: c.get("reason") for c in got["campaigns"]})
    check(f"{event_id} influence", oracle.influence(event), got["influence"])
    check(f"{event_id} verdict", oracle.why_excluded(event), got["reason"])
    check(f"{event_id} brought by", oracle.brought(event), (got["source"], got["medium"], got["channel"]))
    shown = sorted((s["campaign_id"], s["asset_id"], s["reason"]) for s in got["sections"])
    check(f"{event_id} sections", oracle.shown_in(event), shown)
    owner = oracle.owner(event)
    check(f"{event_id} owner", None if owner is None else oracle.name(owner), got["contact"])
