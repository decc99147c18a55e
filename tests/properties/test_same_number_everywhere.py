"""The same number wherever it is shown: in the overview, among what is behind it, in reports, in tables, in SQL, and on HubSpot's paths.

A new surface is one function: it answers, for a campaign, the numbers that it shows by the overview's names.
"""

import asyncio
import csv
import io
import os
import random
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any
from urllib.parse import quote

import asyncpg
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.rules.models import MODELS
from shared.rules.report_groups import GroupBy
from tests.properties.test_store_agrees_with_oracle import play
from tests.properties.worlds import OWN_MODELS, random_worlds, world
from tests.reporting import connected
from touchline.compose import Running

EXAMPLES = int(os.environ.get("TOUCHLINE_NUMBER_EXAMPLES", "15"))
CONTACTS = (
    "influenced_contacts", "new_contacts_first_touch", "new_contacts_last_touch", "contacts_with_revenue",
    "contacts_with_attributed_revenue",
)  # fmt: skip
TOUCHES = ("page_views", "form_submissions", "cta_clicks", "email_opens", "email_clicks")
SESSIONS = ("sessions", "new_sessions")
DEALS = ("influenced_deals", "closed_deals")
MONEY = ("influenced_revenue", "attributed_revenue")
ALL = "limit=1000"
WORLD_YEARS = "from=2023-01-01&to=2033-01-01"  # a world has nothing before or after them

Numbers = dict[str, Any]
"""Numbers by the overview's names; amounts of money as decimals by currency."""


@dataclass(frozen=True)
class Asked:
    """A campaign of a workspace, and the model that shares revenue out."""

    client: httpx.AsyncClient
    views: "asyncpg.Connection[asyncpg.Record]"
    campaign: str
    model: str

    async def got(self, path: str) -> Any:
        """What a path of the read API answers, where `{campaign}` and `{model}` stand for these."""
        path = path.format(campaign=self.campaign, model=self.model)
        response = await self.client.get(path)
        assert response.status_code == 200, f"{path}: {response.text}"
        return response.json()

    async def table(self, path: str) -> list[dict[str, str]]:
        """The same as CSV."""
        path = path.format(campaign=self.campaign, model=self.model)
        response = await self.client.get(path, headers={"Accept": "text/csv"})
        assert response.status_code == 200, f"{path}: {response.text}"
        assert "Link" not in response.headers, "it has one page"
        return list(csv.DictReader(io.StringIO(response.content.decode(), newline=""), strict=True))


Surface = Callable[[Asked], Awaitable[Numbers]]


def amounts(money: list[dict[str, str]]) -> dict[str, Decimal]:
    """Amounts by currency, without those that are 0: a surface may leave these out."""
    return {m["currency"]: amount for m in money if (amount := Decimal(m["amount"]))}


def summed(money: list[dict[str, str]]) -> dict[str, Decimal]:
    out: dict[str, Decimal] = {}
    for one in money:
        out[one["currency"]] = out.get(one["currency"], Decimal(0)) + Decimal(one["amount"])
    return {currency: amount for currency, amount in out.items() if amount}


def numbers(metrics: dict[str, Any]) -> Numbers:
    return {name: amounts(value) if isinstance(value, list) else value for name, value in metrics.items()}


async def overview(asked: Asked) -> Numbers:
    answer = await asked.got("/v1/campaigns/{campaign}/overview?model={model}")
    by_type = {f"touches {name}": n for name, n in answer["touches"].items()}
    return {
        **numbers(answer["metrics"]),
        **by_type,
        **{f"excluded {name}": n for name, n in answer["excluded"].items()},
    }


async def campaign_list(asked: Asked) -> Numbers:
    items = (await asked.got(f"/v1/campaigns?model={{model}}&{ALL}"))["items"]
    (item,) = [c for c in items if c["campaign_id"] == asked.campaign]
    return numbers(item["metrics"])


async def timeline(asked: Asked) -> Numbers:
    """Each metric summed over the months of all years."""
    out: Numbers = {}
    for metric in (*CONTACTS, *TOUCHES, *SESSIONS, *DEALS, *MONEY):
        path = f"/v1/campaigns/{{campaign}}/timeline?model={{model}}&interval=month&metric={metric}&{WORLD_YEARS}"
        values = [point["value"] for point in (await asked.got(path))["points"]]
        out[metric] = summed([one for value in values for one in value]) if metric in MONEY else sum(values)
    return out


async def contacts_behind(asked: Asked) -> Numbers:
    path = f"/v1/campaigns/{{campaign}}/contacts?model={{model}}&{ALL}&metric="
    return {name: len((await asked.got(path + name))["items"]) for name in CONTACTS}


async def touches_behind(asked: Asked) -> Numbers:
    """The touches by metric, those that count by type, and those that are kept out by reason."""
    path = f"/v1/campaigns/{{campaign}}/touches?{ALL}"
    answer = await asked.got("/v1/campaigns/{campaign}/overview")
    out: Numbers = {name: len((await asked.got(f"{path}&metric={name}"))["items"]) for name in TOUCHES}
    by_type: dict[str, int] = defaultdict(int)
    for item in (await asked.got(path))["items"]:
        by_type[f"touches {item['type']}"] += item["touches"]
    for reason in answer["excluded"]:
        items = (await asked.got(f"{path}&reason={reason}"))["items"]
        out[f"excluded {reason}"] = sum(item["touches"] for item in items)
    return {**out, **dict.fromkeys((f"touches {name}" for name in answer["touches"]), 0), **by_type}


async def sessions_behind(asked: Asked) -> Numbers:
    path = f"/v1/campaigns/{{campaign}}/sessions?{ALL}&metric="
    found = {name: (await asked.got(path + name))["items"] for name in SESSIONS}
    assert [i for i in found["sessions"] if i["new"]] == found["new_sessions"]
    anonymous = [t for t in (await asked.got(f"/v1/campaigns/{{campaign}}/touches?{ALL}"))["items"]
                 if t["type"] == "page_visited" and (t["session"] is None or t["through"] == "via")]  # fmt: skip
    views = sum(i["page_views"] for i in found["sessions"])
    return {**{name: len(items) for name, items in found.items()}, **({} if anonymous else {"page_views": views})}


async def tables(asked: Asked) -> Numbers:
    """What a spreadsheet counts and adds up: the row of the campaign, and the lines of the lists."""
    rows = await asked.table(f"/v1/campaigns?model={{model}}&{ALL}")
    (row,) = [r for r in rows if r["campaign_id"] == asked.campaign]
    out: Numbers = {name: int(row[f"metrics.{name}"]) for name in (*CONTACTS, *TOUCHES, *SESSIONS, *DEALS)}
    for name in MONEY:
        result = zip(
            row[f"metrics.{name}.amount"].split("; "), row[f"metrics.{name}.currency"].split("; "), strict=True
        )
        out[name] = amounts([{"amount": amount, "currency": currency} for amount, currency in result if currency])
    for kind, names in (("contacts", CONTACTS), ("deals", DEALS), ("touches", TOUCHES), ("sessions", SESSIONS)):
        model = "&model={model}" if kind in ("contacts", "deals") else ""
        for name in names:
            lines = await asked.table(f"/v1/campaigns/{{campaign}}/{kind}?metric={name}&{ALL}{model}")
            assert len(lines) == out[name], f"{kind} {name}: {len(lines)} lines, {out[name]} in the row of the campaign"
    return out


async def sql_views(asked: Asked) -> Numbers:
    """The days, the touches and the shares of the schema `reporting`."""
    counted = ", ".join(f"coalesce(sum({name}), 0) AS {name}" for name in (*TOUCHES, *SESSIONS))
    days = await asked.views.fetchrow(f"SELECT {counted} FROM campaign_days WHERE campaign_id = $1", asked.campaign)
    assert days is not None
    types = await asked.views.fetch(
        "SELECT type, sum(touches) AS n FROM touches WHERE campaign_id = $1 AND counted GROUP BY 1", asked.campaign
    )
    out: Numbers = {name: int(n) for name, n in days.items()}
    out |= {f"touches {row['type']}": int(row["n"]) for row in types}
    out["influenced_contacts"] = await asked.views.fetchval(
        "SELECT count(DISTINCT contact) FROM campaign_contacts WHERE campaign_id = $1", asked.campaign
    )
    deals = await asked.views.fetch(
        "SELECT state, amount::text, currency, revenue_contacts FROM campaign_deals WHERE campaign_id = $1",
        asked.campaign,
    )
    won = [deal for deal in deals if deal["state"] == "won"]
    out |= {
        "influenced_deals": len(deals), "closed_deals": len(won),
        "influenced_revenue": summed([dict(deal) for deal in won if deal["amount"] is not None]),
        "contacts_with_revenue": len({contact for deal in deals for contact in deal["revenue_contacts"]}),
    }  # fmt: skip
    if asked.model in MODELS:
        shares = await asked.views.fetch(
            "SELECT currency, sum(share)::text AS amount FROM shares WHERE model = $1 AND campaign_id = $2 GROUP BY 1",
            asked.model, asked.campaign,
        )  # fmt: skip
        out["attributed_revenue"] = summed([dict(row) for row in shares])
    return out


async def deals_behind(asked: Asked) -> Numbers:
    path = f"/v1/campaigns/{{campaign}}/deals?model={{model}}&{ALL}&metric="
    influenced = (await asked.got(path + "influenced_deals"))["items"]
    closed = (await asked.got(path + "closed_deals"))["items"]
    return {
        "influenced_deals": len(influenced), "closed_deals": len(closed),
        "influenced_revenue": summed([d["amount"] for d in closed if d["amount"]]),
        "attributed_revenue": summed([d["share"] for d in closed if d["share"]]),
    }  # fmt: skip


async def deal_list(asked: Asked) -> Numbers:
    deals = (await asked.got(f"/v1/deals?campaign={{campaign}}&{ALL}"))["items"]
    answer = [d for d in (await asked.got(f"/v1/deals?{ALL}"))["items"] if asked.campaign in d["campaigns"]]
    assert sorted(d["deal_id"] for d in answer) == sorted(d["deal_id"] for d in deals)
    won = [d for d in answer if d["state"] == "won"]
    return {
        "influenced_deals": len(answer), "closed_deals": len(won),
        "influenced_revenue": summed([d["amount"] for d in won if d["amount"]]),
    }  # fmt: skip


async def attribution_report(asked: Asked) -> Numbers:
    rows = (await asked.got("/v1/reports/attribution?group_by=campaign&currency=all&model={model}"))["rows"]
    mine = [row["revenue"][asked.model] for row in rows if row["group"] == asked.campaign]
    return {"attributed_revenue": amounts(mine[0]) if mine else {}}


async def deals_behind_rows(asked: Asked) -> Numbers:
    """The deals behind each row of a report: as many as the row says, and what the group earned of them adds up to it."""
    by = list(GroupBy)[len(asked.campaign) % len(GroupBy)]
    report = f"group_by={by}&currency=all&model={{model}}"
    for row in (await asked.got(f"/v1/reports/attribution?{report}"))["rows"]:
        which = f"reason={row['reason']}" if row["group"] is None else f"group={quote(row['group'], safe='')}"
        items = (await asked.got(f"/v1/reports/attribution/deals?{report}&{which}&{ALL}"))["items"]
        result, wanted = summed([i["share"] for i in items if i["share"]]), amounts(row["revenue"][asked.model])
        assert result == wanted, f"{by} {which}: {result}, {wanted} in the report"
        if row.get("reason") != "no_journey":  # with a lookback, money of deals with a journey is in this row, too
            assert len(items) == row["deals"], f"{by} {which}: {len(items)} deals, {row['deals']} in the report"
    mine = f"/v1/reports/attribution/deals?currency=all&model={{model}}&group={quote(asked.campaign, safe='')}&{ALL}"
    return {"attributed_revenue": summed([i["share"] for i in (await asked.got(mine))["items"] if i["share"]])}


async def behind_rows(asked: Asked) -> Numbers:
    """The deals and contacts behind each row of the reports of what was created, and the contacts behind each row of that of revenue."""
    by = list(GroupBy)[(len(asked.campaign) + 1) % len(GroupBy)]
    for of, lists in (("deals", ("deals", "contacts")), ("contacts", ("contacts",)), ("revenue", ("contacts",))):
        report = f"of={of}&group_by={by}&model={{model}}" + ("&currency=all" if of == "revenue" else "")
        for row in (await asked.got(f"/v1/reports/attribution?{report}"))["rows"]:
            which = f"reason={row['reason']}" if row["group"] is None else f"group={quote(row['group'], safe='')}"
            for kind in lists:
                items = (await asked.got(f"/v1/reports/attribution/{kind}?{report}&{which}&{ALL}"))["items"]
                described = f"{kind} behind {of} by {by}, {which}"
                lookback = row.get("reason") == "no_journey"  # what is within no lookback is in this row, too
                assert lookback or len(items) == row[kind], f"{described}: {len(items)}, {row[kind]} in the report"
                result: Any
                wanted: Any
                if of == "revenue":
                    result, wanted = (
                        summed([m for i in items for m in i["share"]]),
                        amounts(row["revenue"][asked.model]),
                    )
                else:
                    result, wanted = sum(Decimal(i["credit"]) for i in items), Decimal(row["credit"][asked.model])
                no_touch = lookback and kind == "contacts" and of != "contacts"
                assert no_touch or result == wanted, f"{described}: {result}, {wanted} in the report"
                assert not no_touch or not items, described
    return {}


async def deals_of_paths(asked: Asked) -> Numbers:
    """The deals behind each path: as many as it says, with its revenue and its touches."""
    paths = (await asked.got(f"/v1/reports/paths?{ALL}"))["items"]
    for path in paths:
        items = (await asked.got(f"/v1/reports/paths/deals?path={','.join(path['path'])}&{ALL}"))["items"]
        result = len(items), summed([i["amount"] for i in items if i["amount"]])
        assert result == (path["deals"], amounts(path["revenue"])), f"{path}: {result}"
        touches = Decimal(sum(i["touches"] for i in items)) / len(items)
        assert str(touches.quantize(Decimal("0.1"), ROUND_HALF_EVEN)) == path["touches_mean"], f"{path}: {touches}"
    items = (await asked.got(f"/v1/reports/paths/deals?{ALL}"))["items"]
    assert len(items) == sum(path["deals"] for path in paths)
    return {}


async def touches_of_assets(asked: Asked) -> Numbers:
    """The touches behind each asset that the campaign ever held, in all and of one type."""
    for asset in (await asked.got(f"/v1/assets?campaign={quote(asked.campaign, safe='')}&{ALL}"))["items"]:
        path = f"/v1/assets/{quote(asset['asset_id'], safe='')}/touches?{ALL}"
        by_type: dict[str, int] = defaultdict(int)
        for item in (await asked.got(path))["items"]:
            by_type[item["type"]] += item["touches"]
        assert by_type == {t: n for t, n in asset["statistics"].items() if n}, f"{asset['asset_id']}: {by_type}"
        for type_, number in by_type.items():
            assert sum(i["touches"] for i in (await asked.got(f"{path}&type={type_}"))["items"]) == number
    return {}


async def events_of_unresolved(asked: Asked) -> Numbers:
    """The events behind each entry of what is unresolved."""
    names = {"campaigns": "campaign_id", "assets": "asset_id", "utm_values": "utm_campaign", "pages": "url"}
    for kind, name in names.items():
        for entry in (await asked.got(f"/v1/catalog/unresolved?kind={kind}&{ALL}"))["items"]:
            path = f"/v1/catalog/unresolved/events?kind={kind}&name={quote(entry[name], safe='')}&{ALL}"
            items = (await asked.got(path))["items"]
            result = len(items), items[0]["occurred_at"], items[-1]["occurred_at"]
            wanted = entry.get("events", entry.get("visits")), entry["first_seen"], entry["last_seen"]
            assert result == wanted, f"{kind} {entry}: {result}"
    return {}


async def shares_of_deals(asked: Asked) -> Numbers:
    """What the journeys of all won deals give the campaign: a touch's share is divided evenly, the first get a cent more."""
    earned: list[dict[str, str]] = []
    for deal in (await asked.got(f"/v1/deals?state=won&{ALL}"))["items"]:
        for touch in (await asked.got(f"/v1/deals/{deal['deal_id']}/attribution?model={{model}}"))["shares"]:
            if asked.campaign in touch["campaigns"] and touch["share"] is not None:
                units = int(Decimal(touch["share"]["amount"]) * 100)
                part, rest = divmod(abs(units), len(touch["campaigns"]))
                part += touch["campaigns"].index(asked.campaign) < rest
                amount = Decimal(part if units > 0 else -part) / 100
                earned.append({"amount": str(amount), "currency": touch["share"]["currency"]})
    return {"attributed_revenue": summed(earned)}


async def roi_report(asked: Asked) -> Numbers:
    revenue: list[dict[str, str]] = []
    row: dict[str, Any] = {}
    for currency in ("EUR", "NOK"):
        rows = (await asked.got(f"/v1/reports/roi?currency={currency}&model={{model}}"))["rows"]
        (row,) = [row for row in rows if row["campaign_id"] == asked.campaign]
        revenue.append(row["attributed_revenue"])
    return {
        "influenced_contacts": row["contacts"], "influenced_deals": row["deals"], "attributed_revenue": summed(revenue)
    }  # fmt: skip


async def hubspot(asked: Asked) -> Numbers:
    base = f"/marketing/v3/campaigns/{asked.campaign}/reports"
    dates = "startDate=1990-01-01&endDate=2090-01-01"
    if (await asked.client.get(f"{base}/metrics")).status_code == 404:  # HubSpot shows no campaign that was deleted
        assert (await asked.got("/v1/campaigns/{campaign}"))["deleted_at"] is not None
        return {}
    metrics = await asked.got(f"{base}/metrics?{dates}")
    contacts = {
        name: len((await asked.got(f"{base}/contacts/{kind}?{dates}&limit=100"))["results"])
        for kind, name in (
            ("contactFirstTouch", "new_contacts_first_touch"), ("contactLastTouch", "new_contacts_last_touch"),
            ("influencedContacts", "influenced_contacts"),
        )
    }  # fmt: skip
    assert contacts["influenced_contacts"] == metrics["influencedContacts"]
    out = {"sessions": metrics["sessions"], **contacts}
    if asked.model in MODELS:
        revenue = await asked.got(f"{base}/revenue?{dates}&attributionModel={asked.model.upper()}")
        out |= {"closed_deals": revenue["dealsNumber"], "contacts_with_attributed_revenue": revenue["contactsNumber"]}
        wanted = (await overview(asked)), revenue["currencyCode"]
        for name, shown in (("influenced_revenue", "dealAmount"), ("attributed_revenue", "revenueAmount")):
            in_own = wanted[0][name].get(wanted[1], Decimal(0))
            assert Decimal(str(revenue[shown])) == in_own, f"{shown} {revenue[shown]}, {in_own} in the overview"
    return out


SURFACES: dict[str, Surface] = {
    "the list of campaigns": campaign_list,
    "the timeline": timeline,
    "the contacts behind the numbers": contacts_behind,
    "the touches behind the numbers": touches_behind,
    "the sessions behind the numbers": sessions_behind,
    "the deals behind the numbers": deals_behind,
    "the list of deals": deal_list,
    "the tables": tables,
    "the SQL views": sql_views,
    "the attribution report": attribution_report,
    "the deals behind rows of reports": deals_behind_rows,
    "what is behind rows of reports": behind_rows,
    "the deals of paths": deals_of_paths,
    "the touches of assets": touches_of_assets,
    "the events of what is unresolved": events_of_unresolved,
    "the shares of deals": shares_of_deals,
    "the report of returns": roi_report,
    "HubSpot's paths": hubspot,
}


async def models_of(client: httpx.AsyncClient, campaign: str) -> list[str]:
    """Linear, and the models that the workspace has defined and not taken back."""
    own = sorted({model["model"] for model in OWN_MODELS} - {*MODELS})
    asked = [await client.get(f"/v1/campaigns/{campaign}/overview?model={model}") for model in own]
    return ["linear", *(model for model, answer in zip(own, asked, strict=True) if answer.status_code == 200)]


async def differences(
    client: httpx.AsyncClient, views: "asyncpg.Connection[asyncpg.Record]", rng: random.Random
) -> list[str]:
    """Every number of a surface that is not the overview's, as text."""
    out = []
    for item in (await client.get(f"/v1/campaigns?{ALL}")).json()["items"]:
        campaign = item["campaign_id"]
        asked = Asked(client, views, campaign, rng.choice(await models_of(client, campaign)))
        wanted = await overview(asked)
        for surface, ask in SURFACES.items():
            for name, value in (await ask(asked)).items():
                if value != wanted.get(name, 0):
                    out.append(f"{campaign} {asked.model} {name}: overview {wanted.get(name)!r}, {surface} {value!r}")
    return out


@given(rng=st.randoms(note_method_calls=False, use_true_random=True), size=st.integers(20, 60))
@random_worlds(EXAMPLES, shrink=False)
def check(running: Running, runner: asyncio.Runner, database_url: str, rng: random.Random, size: int) -> None:
    events = world(rng, size)
    seed = rng.randrange(2**32)

    async def run() -> list[str]:
        workspace = await play(running, events, random.Random(seed))
        async with workspace.client() as client, connected(workspace, database_url) as views:
            return await differences(client, views, random.Random(seed))

    found = runner.run(run())
    assert not found, "\n".join([*found, *map(repr, events)])


@pytest.mark.timeout(7200)
def test_every_surface_shows_the_overviews_number(running: Running, runner: asyncio.Runner, database_url: str) -> None:
    check(running, runner, database_url)
