"""The same number wherever it is shown: in the overview, among the contacts and deals behind it, in reports, and on HubSpot's paths.

A new surface is one function: it answers, for a campaign, the numbers that it shows by the overview's names.
"""

import asyncio
import os
import random
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.properties.test_store_agrees_with_oracle import play
from tests.properties.worlds import world
from touchline.compose import Running

EXAMPLES = int(os.environ.get("TOUCHLINE_NUMBER_EXAMPLES", "15"))
COUNTED = (
    "influenced_contacts", "new_contacts_first_touch", "new_contacts_last_touch", "contacts_with_revenue",
    "contacts_with_attributed_revenue",
)  # fmt: skip
ALL = "limit=1000"

Numbers = dict[str, Any]
"""Numbers by the overview's names; amounts of money as decimals by currency."""
Surface = Callable[[httpx.AsyncClient, str], Awaitable[Numbers]]


async def got(client: httpx.AsyncClient, path: str) -> Any:
    response = await client.get(path)
    assert response.status_code == 200, f"{path}: {response.text}"
    return response.json()


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


async def overview(client: httpx.AsyncClient, campaign: str) -> Numbers:
    return numbers((await got(client, f"/v1/campaigns/{campaign}/overview"))["metrics"])


async def campaign_list(client: httpx.AsyncClient, campaign: str) -> Numbers:
    (item,) = [c for c in (await got(client, f"/v1/campaigns?{ALL}"))["items"] if c["campaign_id"] == campaign]
    return numbers(item["metrics"])


async def contacts_behind(client: httpx.AsyncClient, campaign: str) -> Numbers:
    lists = [await got(client, f"/v1/campaigns/{campaign}/contacts?metric={name}&{ALL}") for name in COUNTED]
    return {name: len(found["items"]) for name, found in zip(COUNTED, lists, strict=True)}


async def deals_behind(client: httpx.AsyncClient, campaign: str) -> Numbers:
    influenced = (await got(client, f"/v1/campaigns/{campaign}/deals?metric=influenced_deals&{ALL}"))["items"]
    closed = (await got(client, f"/v1/campaigns/{campaign}/deals?metric=closed_deals&{ALL}"))["items"]
    return {
        "influenced_deals": len(influenced), "closed_deals": len(closed),
        "influenced_revenue": summed([d["amount"] for d in closed if d["amount"]]),
        "attributed_revenue": summed([d["share"] for d in closed if d["share"]]),
    }  # fmt: skip


async def deal_list(client: httpx.AsyncClient, campaign: str) -> Numbers:
    deals = (await got(client, f"/v1/deals?campaign={campaign}&{ALL}"))["items"]
    told = [d for d in (await got(client, f"/v1/deals?{ALL}"))["items"] if campaign in d["campaigns"]]
    assert sorted(d["deal_id"] for d in told) == sorted(d["deal_id"] for d in deals)
    won = [d for d in told if d["state"] == "won"]
    return {
        "influenced_deals": len(told), "closed_deals": len(won),
        "influenced_revenue": summed([d["amount"] for d in won if d["amount"]]),
    }  # fmt: skip


async def attribution_report(client: httpx.AsyncClient, campaign: str) -> Numbers:
    rows = (await got(client, "/v1/reports/attribution?group_by=campaign&currency=all"))["rows"]
    mine = [row["revenue"]["linear"] for row in rows if row["group"] == campaign]
    return {"attributed_revenue": amounts(mine[0]) if mine else {}}


async def shares_of_deals(client: httpx.AsyncClient, campaign: str) -> Numbers:
    """What the journeys of all won deals give the campaign: a touch's share is divided evenly, the first get a cent more."""
    earned: list[dict[str, str]] = []
    for deal in (await got(client, f"/v1/deals?state=won&{ALL}"))["items"]:
        for touch in (await got(client, f"/v1/deals/{deal['deal_id']}/attribution"))["shares"]:
            if campaign in touch["campaigns"] and touch["share"] is not None:
                units = int(Decimal(touch["share"]["amount"]) * 100)
                part, rest = divmod(abs(units), len(touch["campaigns"]))
                part += touch["campaigns"].index(campaign) < rest
                amount = Decimal(part if units > 0 else -part) / 100
                earned.append({"amount": str(amount), "currency": touch["share"]["currency"]})
    return {"attributed_revenue": summed(earned)}


async def roi_report(client: httpx.AsyncClient, campaign: str) -> Numbers:
    revenue: list[dict[str, str]] = []
    row: dict[str, Any] = {}
    for currency in ("EUR", "NOK"):
        rows = (await got(client, f"/v1/reports/roi?currency={currency}"))["rows"]
        (row,) = [row for row in rows if row["campaign_id"] == campaign]
        revenue.append(row["attributed_revenue"])
    return {
        "influenced_contacts": row["contacts"], "influenced_deals": row["deals"], "attributed_revenue": summed(revenue)
    }  # fmt: skip


async def hubspot(client: httpx.AsyncClient, campaign: str) -> Numbers:
    base = f"/marketing/v3/campaigns/{campaign}/reports"
    dates = "startDate=1990-01-01&endDate=2090-01-01"
    if (await client.get(f"{base}/metrics")).status_code == 404:  # HubSpot shows no campaign that was deleted
        assert (await got(client, f"/v1/campaigns/{campaign}"))["deleted_at"] is not None
        return {}
    metrics = await got(client, f"{base}/metrics?{dates}")
    revenue = await got(client, f"{base}/revenue?{dates}")
    contacts = {
        name: len((await got(client, f"{base}/contacts/{kind}?{dates}&limit=100"))["results"])
        for kind, name in (("contactFirstTouch", "new_contacts_first_touch"), ("influencedContacts", "influenced_contacts"))
    }  # fmt: skip
    assert contacts["influenced_contacts"] == metrics["influencedContacts"]
    return {
        "sessions": metrics["sessions"], "new_contacts_last_touch": metrics["newContactsLastTouch"],
        "closed_deals": revenue["dealsNumber"], "contacts_with_attributed_revenue": revenue["contactsNumber"], **contacts,
    }  # fmt: skip


SURFACES: dict[str, Surface] = {
    "the list of campaigns": campaign_list,
    "the contacts behind the numbers": contacts_behind,
    "the deals behind the numbers": deals_behind,
    "the list of deals": deal_list,
    "the attribution report": attribution_report,
    "the shares of deals": shares_of_deals,
    "the report of returns": roi_report,
    "HubSpot's paths": hubspot,
}


async def differences(client: httpx.AsyncClient) -> list[str]:
    """Every number of a surface that is not the overview's, as text."""
    out = []
    for campaign in [c["campaign_id"] for c in (await got(client, f"/v1/campaigns?{ALL}"))["items"]]:
        wanted = await overview(client, campaign)
        for surface, ask in SURFACES.items():
            for name, value in (await ask(client, campaign)).items():
                if value != wanted[name]:
                    out.append(f"{campaign} {name}: overview {wanted[name]!r}, {surface} {value!r}")
    return out


@given(rng=st.randoms(note_method_calls=False, use_true_random=True), size=st.integers(20, 60))
@settings(
    max_examples=EXAMPLES, deadline=None, print_blob=True, database=None,
    suppress_health_check=list(HealthCheck), phases=[Phase.explicit, Phase.generate],
)  # fmt: skip
def check(running: Running, runner: asyncio.Runner, rng: random.Random, size: int) -> None:
    events = world(rng, size)
    seed = rng.randrange(2**32)

    async def run() -> list[str]:
        workspace = await play(running, events, random.Random(seed))
        async with workspace.client() as client:
            return await differences(client)

    found = runner.run(run())
    assert not found, "\n".join([*found, *map(repr, events)])


@pytest.mark.timeout(7200)
def test_every_surface_shows_the_overviews_number(running: Running, runner: asyncio.Runner) -> None:
    check(running, runner)
