"""What is a campaign's is found by key, and the lists behind its numbers are cut by the database."""

import asyncio
import json
from typing import Any

from shared.events.instants import BEGINNING_US, END_US
from shared.projection.new_contacts import BY_KEYS as NEW_CONTACTS
from shared.reading.campaign_deals import DEALS, EARNED
from shared.reading.campaign_keys import split as split_in_sql
from shared.reading.drilldown import CONTACTS
from shared.rules import exact
from shared.rules.keys import campaign_key
from tests.conftest import Workspace, new_workspace
from touchline.compose import Running

METRICS = ("influenced_contacts", "new_contacts_first_touch", "new_contacts_last_touch", "contacts_with_revenue",
           "contacts_with_attributed_revenue")  # fmt: skip


def history(campaign: str, people: int) -> list[dict[str, Any]]:
    """A campaign with a form and a utm value, and people who visit, convert, and buy; two of them in the same moment."""
    begun = "2024-03-01T00:00:00Z"
    out: list[dict[str, Any]] = [
        {"type": "campaign_created", "campaign_id": campaign, "utm_campaign": campaign, "occurred_at": begun},
        {"type": "asset_associated", "campaign_id": campaign, "asset_id": f"form-{campaign}", "occurred_at": begun},
    ]
    for n in range(people):
        who, day = f"{campaign}{n}", f"2024-04-{1 + n // 2 % 28:02d}"
        out += [
            {"type": "page_visited", "id": f"v{who}", "visitor_id": who, "occurred_at": f"{day}T10:00:00Z",
             "url": f"https://a.example/?utm_campaign={campaign}"},
            {"type": "form_submitted", "id": f"f{who}", "visitor_id": who, "asset_id": f"form-{campaign}",
             "contact": {"id": who}, "occurred_at": f"{day}T10:05:00Z"},
            {"type": "deal_created", "id": f"d{who}", "deal_id": who, "amount": "100.03", "currency": "EUR",
             "contacts": [{"id": who}], "occurred_at": f"{day}T11:00:00Z"},
            {"type": "deal_closed", "id": f"w{who}", "deal_id": who, "won": True, "occurred_at": f"{day}T12:00:00Z"},
        ]  # fmt: skip
    return out


async def send_and_project(workspace: Workspace, *events: dict[str, Any]) -> None:
    for begin in range(0, len(events), 500):
        assert (await workspace.send(*events[begin : begin + 500])).json()["rejected"] == []
    await workspace.project()


async def all_pages(client: Any, path: str, limit: int = 3) -> list[Any]:
    items, cursor = [], ""
    for _ in range(100):
        page = (await client.get(f"{path}&limit={limit}{cursor}")).json()
        assert len(page["items"]) <= limit
        items += page["items"]
        if page["next_cursor"] is None:
            return items
        cursor = f"&cursor={page['next_cursor']}"
    raise AssertionError("the pages have no end")


def test_pages_of_contacts_and_deals_hold_each_of_them_once_and_as_many_as_the_number(
    workspace: Workspace, runner: asyncio.Runner
) -> None:
    async def check() -> None:
        await send_and_project(workspace, *history("spring", 10), *history("autumn", 2))
        async with workspace.client() as client:
            metrics = (await client.get("/v1/campaigns/spring/overview")).json()["metrics"]
            for kind, names in (("contacts", METRICS), ("deals", ("influenced_deals", "closed_deals"))):
                for metric in names:
                    path = f"/v1/campaigns/spring/{kind}?metric={metric}"
                    whole = (await client.get(f"{path}&limit=1000")).json()["items"]
                    assert await all_pages(client, path) == whole, metric
                    assert len(whole) == metrics[metric] == 10, metric

    runner.run(check())


def test_contacts_behind_what_a_model_of_the_workspaces_own_earned_are_as_many_as_the_number(
    workspace: Workspace, runner: asyncio.Runner
) -> None:
    model = {"type": "model_defined", "model": "board", "weights": {"first": "100"}, "lookback_days": 30,
             "occurred_at": "2024-03-01T00:00:00Z"}  # fmt: skip

    async def check() -> None:
        await send_and_project(workspace, model, *history("spring", 10), *history("autumn", 2))
        path = "/v1/campaigns/spring/contacts?metric=contacts_with_attributed_revenue&model=board"
        async with workspace.client() as client:
            metrics = (await client.get("/v1/campaigns/spring/overview?model=board")).json()["metrics"]
            whole = (await client.get(f"{path}&limit=1000")).json()["items"]
            assert len(whole) == metrics["contacts_with_attributed_revenue"] == 10
            assert await all_pages(client, path) == whole
            linear = (await client.get(path.replace("board", "linear") + "&limit=1000")).json()["items"]
            assert whole == linear, "the same contacts, by the same closes"
            assert (await client.get(f"{path}&to=2024-04-03")).json()["items"] == whole[:4]

    runner.run(check())


def test_a_share_is_split_in_sql_as_by_the_rule(running: Running, runner: asyncio.Runner) -> None:
    async def check() -> None:
        for share in (0, 1, 2, 7, 100, 10_003, -1, -2, -7, -10_003, 2**53 + 1):
            for campaigns in range(1, 6):
                statement = f"SELECT array_agg({split_in_sql('$1::bigint', '$2::bigint', 'place')} ORDER BY place) FROM generate_series(0, $2::bigint - 1) place"
                assert await running.pool.fetchval(statement, share, campaigns) == exact.split(share, campaigns)

    runner.run(check())


def test_a_touch_that_counts_for_two_campaigns_earns_both_to_the_last_cent(
    workspace: Workspace, runner: asyncio.Runner
) -> None:
    async def check() -> None:
        shared = {"type": "page_visited", "visitor_id": "both", "occurred_at": "2024-04-01T10:00:00Z",
                  "asset_id": "form-autumn", "url": "https://a.example/?utm_campaign=spring"}  # fmt: skip
        await send_and_project(
            workspace, *history("spring", 0), *history("autumn", 0), shared,
            {"type": "contact_identified", "visitor_id": "both", "contact": {"id": "both"}, "occurred_at": "2024-04-01T10:01:00Z"},
            {"type": "deal_created", "deal_id": "d", "amount": "100.01", "currency": "EUR", "contacts": [{"id": "both"}],
             "occurred_at": "2024-04-02T00:00:00Z"},
            {"type": "deal_closed", "deal_id": "d", "won": True, "occurred_at": "2024-04-03T00:00:00Z"},
        )  # fmt: skip
        async with workspace.client() as client:
            earned = {
                item["campaign_id"]: item["metrics"]["attributed_revenue"]
                for item in (await client.get("/v1/campaigns")).json()["items"]
            }
            rows = (await client.get("/v1/reports/attribution?currency=EUR")).json()["rows"]
        assert earned == {
            "autumn": [{"amount": "50.01", "currency": "EUR"}], "spring": [{"amount": "50.00", "currency": "EUR"}]
        }  # fmt: skip
        result = {row["group"]: row["revenue"]["linear"] for row in rows if row["group"]}
        assert result == {"autumn": "50.01", "spring": "50.00"}

    runner.run(check())


BY_KEY = ("deal_touch", "conversion_touch", "credit", "touch")


def work(node: dict[str, Any]) -> float:
    """How many rows of the tables of touches a plan has read: those that it has used, and those that it has thrown away."""
    removed = sum(value for name, value in node.items() if name.startswith("Rows Removed by"))
    own = (node["Actual Rows"] + removed) * node["Actual Loops"] if node.get("Relation Name") in BY_KEY else 0.0
    return float(own) + sum(work(child) for child in node.get("Plans", ()))


def test_touches_of_other_campaigns_are_not_read_for_a_campaigns_deals_and_new_contacts(
    running: Running, runner: asyncio.Runner
) -> None:
    async def check() -> None:
        done = []
        for others in (0, 120):
            workspace = await new_workspace(running, f"keys{others}")
            await send_and_project(workspace, *history("spring", 6), *history("large", others))
            await running.pool.execute("ANALYZE")
            done.append(await asked_of(running, workspace.name))
        assert done[0] > 0
        assert done[1] <= done[0], done  # another plan may read fewer

    async def asked_of(running: Running, workspace: str) -> float:
        ws = await running.pool.fetchval("SELECT number FROM touchline.workspace WHERE workspace_id = $1", workspace)
        handled = 0.0
        span = [BEGINNING_US, END_US]
        lists = [(CONTACTS[metric], [*span, None, None, None, 100]) for metric in METRICS if metric.startswith("new")]
        numbers = [(NEW_CONTACTS, [*span, span[:1]]), (DEALS, [*span, span[:1]]), (EARNED, [*span, [1], span[:1]])]
        for statement, arguments in [*numbers, *lists]:
            explain = "EXPLAIN (ANALYZE, FORMAT JSON) " + statement.replace("{g}", running.generation.name)
            async with running.pool.acquire() as connection, connection.transaction():
                await connection.execute("SET LOCAL plan_cache_mode = force_custom_plan")
                await connection.execute("SET LOCAL enable_seqscan = off")  # it may be the cheapest of few rows
                plan = await connection.fetchval(explain, ws, [campaign_key("spring")], *arguments)
            (explained,) = json.loads(plan) if isinstance(plan, str) else plan
            handled += work(explained["Plan"])
        return handled

    runner.run(check())
