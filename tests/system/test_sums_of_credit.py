"""Reports say what the credited touches say, whatever comes after the sums of credit of their days were made."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar

import pytest

from services.replay.verify import Comparison
from shared.projection import credit_days
from shared.projection.credit_days import make_sums
from shared.projection.days import EVERY_DAY
from shared.projection.digest_updater import DigestUpdater
from shared.projection.pipeline import Context
from shared.projection.projector import workspace_number
from shared.projection.site_list_versions import DECIDED_BY
from shared.projection.sql import Connection
from shared.projection.stages.credit_days import apply
from shared.reading.credit_compared import earned_otherwise, earned_otherwise_on_some_days
from shared.reading.snapshot import snapshot
from shared.rules.settings import Settings
from tests.conftest import Workspace

T = TypeVar("T")
STEPS_MAX = 100
BEGUN = "2024-01-01T00:00:00Z"
CATALOG: list[dict[str, Any]] = [
    {"type": "campaign_created", "campaign_id": "c", "name": "C", "occurred_at": BEGUN},
    {"type": "campaign_created", "campaign_id": "other", "name": "Other", "occurred_at": BEGUN},
    {"type": "asset_registered", "asset_id": "p", "asset_type": "landing_page", "url": "https://shop.example/p", "occurred_at": BEGUN},
    {"type": "asset_associated", "asset_id": "p", "campaign_id": "c", "occurred_at": BEGUN, "id": "joined"},
    {"type": "workspace_configured", "settings": {"currency": "EUR"}, "occurred_at": BEGUN},
]  # fmt: skip
KARI = {"id": "7"}
KNOWN = {"type": "contact_identified", "visitor_id": "v", "contact": KARI, "occurred_at": "2024-03-01T09:00:00Z"}


def visit(at: str, path: str = "/p", **more: Any) -> dict[str, Any]:
    return {"type": "page_visited", "visitor_id": "v", "url": f"https://shop.example{path}", "occurred_at": at, **more}


def sale(deal: str, closed_at: str, amount: str = "100.00", **more: Any) -> list[dict[str, Any]]:
    """A deal of the contact, created on the 1st of March and won at an instant."""
    created = {"type": "deal_created", "deal_id": deal, "amount": amount, "contacts": [KARI]}
    return [
        created | {"occurred_at": "2024-03-01T09:30:00Z", "id": f"created-{deal}"},
        {"type": "deal_closed", "deal_id": deal, "won": True, "occurred_at": closed_at, "id": f"closed-{deal}"} | more,
    ]


async def step(workspace: Workspace) -> bool:
    """Let the background make one step of sums of credit; False if there was nothing to do."""
    running = workspace.running
    async with running.pool.acquire() as raw:
        connection = Connection(raw, running.generation.name)
        ws = await workspace_number(connection, workspace.name)
        return await make_sums(Context(connection, ws, Settings()))


async def keep(workspace: Workspace) -> Any:
    """Make all that the background makes; answers what is kept of the workspace's sums."""
    running = workspace.running
    async with running.pool.acquire() as raw:
        connection = Connection(raw, running.generation.name)
        ws = await workspace_number(connection, workspace.name)
        updater = DigestUpdater(workspace.partition, running.log.partitions)
        for _ in range(STEPS_MAX):
            if not await updater.step(connection, ws):
                break
        g = connection.generation
        assert await raw.fetchval(f"SELECT count(*) FROM {g}.stale_credit WHERE ws = $1", ws) == 0
        return await raw.fetchrow(f"SELECT * FROM {g}.credit_days_kept WHERE ws = $1", ws)


async def report(
    workspace: Workspace, by: str, asked: str = "", model: str = "linear"
) -> dict[str, tuple[int, int, str]]:
    """Deals, contacts and revenue of each group that has any, under a model."""
    answer = (await workspace.get(f"/v1/reports/attribution?model={model}&currency=EUR&group_by={by}{asked}")).json()
    return {
        row["group"] or row["reason"]: (row["deals"], row["contacts"], row["revenue"][model])
        for row in answer["rows"] if row["deals"] or row["revenue"][model] != "0.00"
    }  # fmt: skip


async def same_before_and_after(
    workspace: Workspace, events: Iterable[dict[str, Any]], read: Callable[[str], Awaitable[T]]
) -> T:
    """What is read after some events, which is the same before and after the background has made what is stale.

    `read` reads with more parameters.
    """
    await workspace.send(*events)
    await workspace.project()
    at_once = await read("")
    await keep(workspace)
    later = await read("&from=2020-01-01T00:00:00Z")  # another address: the first answer is kept
    assert at_once == later
    return at_once


async def sums_after(
    workspace: Workspace, by: str, *events: dict[str, Any], model: str = "linear"
) -> dict[str, tuple[int, int, str]]:
    """The report after some events."""
    return await same_before_and_after(workspace, events, lambda asked: report(workspace, by, asked, model))


def test_pages_of_the_deals_behind_a_row_are_all_of_them_the_latest_close_first(
    workspace: Workspace, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.reading.keyset.AT_ONCE", 2)  # deals are looked through two at a time

    async def check() -> None:
        closes = ["2024-03-02T12:00:00Z", "2024-03-04T12:00:00Z", "2024-03-04T12:00:00Z", "2024-03-06T12:00:00Z"]
        sold = [event for n, at in enumerate(closes) for event in sale(f"d{n}", at)]
        await workspace.send(
            *CATALOG, KNOWN, visit("2024-03-01T10:00:00Z"), *sold, *sale("early", "2024-03-01T09:45:00Z")
        )
        await workspace.project()
        found, cursor = [], ""
        for _ in range(10):
            page = (await workspace.get(f"/v1/reports/attribution/deals?group=c&limit=1{cursor}")).json()
            found += [(item["deal_id"], item["share"]["amount"]) for item in page["items"]]
            if page["next_cursor"] is None:
                break
            cursor = f"&cursor={page['next_cursor']}"
        assert found == [("d3", "100.00"), ("d2", "100.00"), ("d1", "100.00"), ("d0", "100.00")]
        (without,) = (await workspace.get("/v1/reports/attribution/deals?reason=no_journey")).json()["items"]
        assert (without["deal_id"], without["share"]["amount"]) == ("early", "100.00")
        both = await workspace.get("/v1/reports/attribution/deals?reason=no_journey&group=c")
        assert (both.status_code, both.json()["field"]) == (422, "reason")

    runner.run(check())


SOLD = [*CATALOG, KNOWN, visit("2024-03-01T10:00:00Z"), *sale("d", "2024-03-02T12:00:00Z")]


OWNED = [{"type": "campaign_updated", "campaign_id": "c", "owner": "ola", "occurred_at": BEGUN}]


def defined(at: str = BEGUN, **weights: str) -> dict[str, Any]:
    """A definition of the model `board`; `id` is its weights."""
    of = {"model": "board", "weights": weights, "occurred_at": at, "id": f"board {weights}"}
    return {"type": "model_defined", **of}


async def delete(workspace: Workspace, *tables: str) -> None:
    """Delete the workspace's rows of some tables of the projection."""
    running = workspace.running
    async with running.pool.acquire() as raw:
        connection = Connection(raw, running.generation.name)
        ws = await workspace_number(connection, workspace.name)
        for table in tables:
            await raw.execute(f"DELETE FROM {connection.generation}.{table} WHERE ws = $1", ws)


def test_the_paths_of_deals_are_read_without_their_touches(workspace: Workspace, runner: asyncio.Runner) -> None:
    async def check() -> None:
        sent = {"type": "email_clicked", "asset_id": "m", "contact": KARI, "occurred_at": "2024-03-01T11:00:00Z"}
        again = [visit("2024-03-01T10:20:00Z"), visit("2024-03-02T11:00:00Z")]
        await sums_after(workspace, "campaign", *SOLD, sent, *again, *sale("none", "2024-03-01T09:45:00Z"))
        await delete(workspace, "credit", "deal_touch", "touch")
        (path,) = (await workspace.get("/v1/reports/paths")).json()["items"]
        assert path == {
            "path": ["page_visited", "email_clicked", "page_visited"], "deals": 1, "touches_mean": "4.0",
            "days_to_close_median": "1.1", "revenue": [{"amount": "100.00", "currency": "EUR"}],
        }  # fmt: skip
        (deal,) = (await workspace.get("/v1/reports/paths/deals")).json()["items"]
        assert (deal["deal_id"], deal["touches"], deal["days_to_close"]) == ("d", 4, "1.1")

    runner.run(check())


def test_pages_of_paths_are_all_of_them_the_commonest_first(workspace: Workspace, runner: asyncio.Runner) -> None:
    async def check() -> None:
        contacts = {
            "a": ["page_visited"],
            "b": ["email_clicked"],
            "c": ["email_clicked", "page_visited"],
            "d": ["email_clicked"],
        }
        for name, types in contacts.items():
            who = {"id": name}
            touches = [
                {"type": type_, "contact": who, "occurred_at": f"2024-03-01T1{n}:00:00Z"}
                | (
                    {"asset_id": "m"}
                    if type_ == "email_clicked"
                    else {"visitor_id": name, "url": "https://shop.example/p"}
                )
                for n, type_ in enumerate(types)
            ]
            won = [
                event | {"contacts": [who]} if "contacts" in event else event
                for event in sale(name, "2024-03-02T12:00:00Z")
            ]
            await workspace.send(*touches, *won)
        await workspace.project()
        whole = (await workspace.get("/v1/reports/paths")).json()["items"]
        found = [(" ".join(item["path"]), item["deals"]) for item in whole]
        assert found == [("email_clicked", 2), ("email_clicked page_visited", 1), ("page_visited", 1)]
        pages, cursor = [], ""
        for _ in range(len(whole)):
            page = (await workspace.get(f"/v1/reports/paths?limit=1{cursor}")).json()
            pages += page["items"]
            cursor = f"&cursor={page['next_cursor']}"
        assert (pages, page["next_cursor"]) == (whole, None)

    runner.run(check())


def test_sums_under_a_workspaces_own_model_follow_its_definition(workspace: Workspace, runner: asyncio.Runner) -> None:
    async def check() -> None:
        more = [visit("2024-03-01T12:00:00Z", "/else"), *sale("e", "2024-03-09T12:00:00Z", "10.01")]

        async def board(*events: dict[str, Any]) -> dict[str, tuple[int, int, str]]:
            return await sums_after(workspace, "campaign", *events, model="board")

        only_first = {"c": (2, 1, "110.01"), "no_campaign": (2, 1, "0.00")}
        assert await board(*SOLD, *more, defined(first="100")) == only_first
        half = defined("2024-03-10T00:00:00Z", others="100")
        halves = {"c": (2, 1, "55.01"), "no_campaign": (2, 1, "55.00")}
        assert await board(half) == halves
        assert await board(visit("2024-03-01T13:00:00Z")) == {"c": (2, 1, "73.34"), "no_campaign": (2, 1, "36.67")}
        assert await sums_after(workspace, "campaign") == {"c": (2, 1, "73.34"), "no_campaign": (2, 1, "36.67")}
        back = {"type": "event_retracted", "event_id": half["id"], "occurred_at": "2024-03-11T00:00:00Z"}
        assert await board(back) == {"c": (2, 1, "110.01"), "no_campaign": (2, 1, "0.00")}
        short = half | {"id": "short", "lookback_days": 1, "occurred_at": "2024-03-12T00:00:00Z"}
        assert await board(short) == {
            "no_journey": (0, 0, "10.01"), "c": (2, 1, "50.00"), "no_campaign": (2, 1, "50.00"),
        }  # fmt: skip
        both = (await workspace.get("/v1/reports/attribution?currency=EUR&model=board&model=linear")).json()
        assert both["total"] == {"board": "110.01", "linear": "110.01"}
        (of_c,) = [row for row in both["rows"] if row["group"] == "c"]
        assert of_c["revenue"] == {"board": "50.00", "linear": "73.34"}

    runner.run(check())


def test_days_added_up_between_two_definitions_are_of_neither_others(
    workspace: Workspace, runner: asyncio.Runner
) -> None:
    """A definition that is taken back brings back the digest of those before, and sums made meanwhile are of other weights."""

    async def check() -> None:
        more = [visit("2024-03-01T12:00:00Z", "/else"), *sale("e", "2024-03-09T12:00:00Z", "10.01")]
        await sums_after(workspace, "campaign", *SOLD, *more, defined(first="100"), model="board")
        last = defined("2024-03-10T00:00:00Z", last="100")
        late = {"type": "deal_updated", "deal_id": "d", "amount": "70.00", "occurred_at": "2024-03-02T13:00:00Z"}
        await workspace.send(last, late)
        await workspace.project()
        assert await step(workspace)
        back = {"type": "event_retracted", "event_id": last["id"], "occurred_at": "2024-03-11T00:00:00Z"}
        assert await sums_after(workspace, "campaign", back, model="board") == {
            "c": (2, 1, "80.01"),
            "no_campaign": (2, 1, "0.00"),
        }

    runner.run(check())


def test_a_workspace_without_models_of_its_own_has_no_sums_for_them_and_no_steps(
    workspace: Workspace, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check() -> None:
        only = defined(first="100")
        await sums_after(workspace, "campaign", *SOLD, *sale("e", "2024-03-09T12:00:00Z"), only, model="board")
        await workspace.send({"type": "event_retracted", "event_id": only["id"], "occurred_at": "2024-03-11T00:00:00Z"})
        await workspace.project()
        monkeypatch.setattr(credit_days, "DEALS_MAX", 1)
        assert (await step(workspace), await step(workspace)) == (True, False)
        running = workspace.running
        async with running.pool.acquire() as raw:
            connection = Connection(raw, running.generation.name)
            ws = await workspace_number(connection, workspace.name)
            left = f"SELECT count(*) FROM {connection.generation}.defined_credit_day WHERE ws = $1"
            assert await raw.fetchval(left, ws) == 0
        assert (await keep(workspace))["defined_through_day"] == EVERY_DAY

    runner.run(check())


def test_a_report_of_whole_days_reads_no_credited_touch(workspace: Workspace, runner: asyncio.Runner) -> None:
    async def check() -> None:
        await sums_after(workspace, "campaign", *SOLD, *OWNED, defined(first="100"))
        await delete(workspace, "credit", "deal_touch", "deal")
        days = "&from=2024-03-02T00:00:00Z&to=2024-03-03T00:00:00Z"
        for model in ("linear", "board"):
            assert await report(workspace, "campaign", days, model) == {"c": (1, 1, "100.00")}
            assert await report(workspace, "channel", days, model) == {"direct": (1, 1, "100.00")}
            assert await report(workspace, "owner", days, model) == {"ola": (1, 1, "100.00")}

    runner.run(check())


def test_parts_of_days_and_days_between_add_up(workspace: Workspace, runner: asyncio.Runner) -> None:
    async def check() -> None:
        more = [*sale("e", "2024-03-03T12:00:00Z", "10.00"), *sale("f", "2024-03-04T12:00:00Z", "1.00")]
        assert await sums_after(workspace, "campaign", *SOLD, *more) == {"c": (3, 1, "111.00")}
        for begin, end, wanted in (
            ("02T12:00:00Z", "04T12:00:00.000001Z", (3, 1, "111.00")),
            ("02T12:00:00.000001Z", "04T12:00:00Z", (1, 1, "10.00")),
            ("03T00:00:00Z", "05T00:00:00Z", (2, 1, "11.00")),
        ):
            assert await report(workspace, "campaign", f"&from=2024-03-{begin}&to=2024-03-{end}") == {"c": wanted}

    runner.run(check())


def test_sums_follow_a_deals_amount_close_and_retraction(workspace: Workspace, runner: asyncio.Runner) -> None:
    async def check() -> None:
        assert await sums_after(workspace, "campaign", *SOLD) == {"c": (1, 1, "100.00")}
        changed = {"type": "deal_updated", "deal_id": "d", "amount": "70.00", "occurred_at": "2024-03-02T13:00:00Z"}
        assert await sums_after(workspace, "campaign", changed) == {"c": (1, 1, "70.00")}
        moved = {
            "type": "deal_updated",
            "deal_id": "d",
            "closed_at": "2024-03-05T12:00:00Z",
            "occurred_at": "2024-03-06T00:00:00Z",
        }
        assert await sums_after(workspace, "campaign", moved) == {"c": (1, 1, "70.00")}
        assert await report(workspace, "campaign", "&to=2024-03-05T00:00:00Z") == {}
        back = {"type": "event_retracted", "event_id": "closed-d", "occurred_at": "2024-03-07T00:00:00Z"}
        assert await sums_after(workspace, "campaign", back) == {}
        gone = {"type": "event_retracted", "event_id": "created-d", "occurred_at": "2024-03-07T00:00:00Z"}
        again = {"type": "event_retracted", "event_id": "closed-e", "occurred_at": "2024-03-07T00:00:00Z"}
        assert await sums_after(workspace, "campaign", *sale("e", "2024-03-02T12:00:00Z")) == {"c": (1, 1, "100.00")}
        assert await sums_after(workspace, "campaign", gone, again, gone | {"event_id": "created-e"}) == {}

    runner.run(check())


def test_sums_by_campaign_follow_its_associations(workspace: Workspace, runner: asyncio.Runner) -> None:
    async def check() -> None:
        assert await sums_after(workspace, "campaign", *SOLD) == {"c": (1, 1, "100.00")}
        joined = {
            "type": "asset_associated",
            "asset_id": "p",
            "campaign_id": "other",
            "occurred_at": "2024-02-01T00:00:00Z",
        }
        assert await sums_after(workspace, "campaign", joined) == {"other": (1, 1, "100.00")}
        back = {"type": "event_retracted", "event_id": "joined", "occurred_at": "2024-03-07T00:00:00Z"}
        ended = {
            "type": "asset_dissociated",
            "asset_id": "p",
            "campaign_id": "other",
            "occurred_at": "2024-02-20T00:00:00Z",
        }
        assert await sums_after(workspace, "campaign", back, ended) == {"no_campaign": (1, 1, "100.00")}

    runner.run(check())


def test_a_report_by_owner_counts_a_deal_of_two_campaigns_of_an_owner_once_and_follows_a_new_owner(
    workspace: Workspace, runner: asyncio.Runner
) -> None:
    def owned(campaign: str, owner: str, at: str) -> dict[str, Any]:
        return {"type": "campaign_updated", "campaign_id": campaign, "owner": owner, "occurred_at": at}

    async def check() -> None:
        claimed = {"type": "campaign_updated", "campaign_id": "other", "utm_campaign": "o", "occurred_at": BEGUN}
        both = visit("2024-03-01T10:00:00Z", "/p?utm_campaign=o")
        events = [*CATALOG, claimed, owned("c", "ola", BEGUN), owned("other", "ola", BEGUN), KNOWN, both]
        events += [visit("2024-03-01T11:00:00Z", "/else"), *sale("d", "2024-03-02T12:00:00Z", "100.01")]
        assert await sums_after(workspace, "owner", *events) == {"ola": (1, 1, "50.01"), "no_campaign": (1, 1, "50.00")}
        later = owned("other", "kari", "2024-03-05T00:00:00Z")
        assert await sums_after(workspace, "owner", later) == {
            "ola": (1, 1, "25.01"), "kari": (1, 1, "25.00"), "no_campaign": (1, 1, "50.00"),
        }  # fmt: skip

    runner.run(check())


def test_sums_follow_associations_of_more_touches_than_a_batch_looks_up(
    workspace: Workspace, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check() -> None:
        before = [visit("2024-02-01T10:00:00Z"), *sale("early", "2024-03-01T12:00:00Z")]
        assert await sums_after(workspace, "campaign", *before, *SOLD) == {"c": (2, 1, "200.00")}
        monkeypatch.setattr(apply, "TOUCHES_MAX", 1)
        joined = {
            "type": "asset_associated",
            "asset_id": "p",
            "campaign_id": "other",
            "occurred_at": "2024-02-20T00:00:00Z",
        }
        assert await sums_after(workspace, "campaign", joined) == {"c": (2, 1, "100.00"), "other": (2, 1, "100.00")}

    runner.run(check())


def test_sums_by_asset_type_follow_its_registration(workspace: Workspace, runner: asyncio.Runner) -> None:
    async def check() -> None:
        assert await sums_after(workspace, "asset_type", *SOLD) == {"landing_page": (1, 1, "100.00")}
        again = {
            "type": "asset_registered",
            "asset_id": "p",
            "asset_type": "blog_post",
            "occurred_at": "2024-03-09T00:00:00Z",
        }
        assert await sums_after(workspace, "asset_type", again) == {"blog_post": (1, 1, "100.00")}

    runner.run(check())


def test_sums_by_asset_follow_who_has_the_page(workspace: Workspace, runner: asyncio.Runner) -> None:
    async def check() -> None:
        assert await sums_after(workspace, "asset", *SOLD) == {"p": (1, 1, "100.00")}
        again = {"type": "asset_registered", "asset_id": "q", "asset_type": "landing_page", "url": "https://shop.example/p", "occurred_at": "2024-02-09T00:00:00Z"}  # fmt: skip
        assert await sums_after(workspace, "asset", again) == {"q": (1, 1, "100.00")}

    runner.run(check())


FORM = {
    "type": "form_submitted",
    "visitor_id": "v",
    "contact": KARI,
    "asset_id": "f",
    "occurred_at": "2024-03-01T10:00:00Z",
}


def test_sums_follow_a_first_page_visit_after_the_close(workspace: Workspace, runner: asyncio.Runner) -> None:
    """A submission has the source of its session's first page visit, and that may come after the deal is won."""

    async def check() -> None:
        sold = sale("d", "2024-03-01T10:05:00Z")
        assert await sums_after(workspace, "channel", *CATALOG, FORM, *sold) == {"offline": (1, 1, "100.00")}
        later = visit("2024-03-01T10:10:00Z")
        assert await sums_after(workspace, "channel", later) == {"direct": (1, 1, "100.00")}
        # a source begins a session, to which the visit then belongs
        late = visit("2024-03-01T10:07:00Z", "/p?utm_source=news&utm_medium=email", id="late")
        assert await sums_after(workspace, "channel", late) == {"offline": (1, 1, "100.00")}
        back = {"type": "event_retracted", "event_id": "late", "occurred_at": "2024-03-05T00:00:00Z"}
        assert await sums_after(workspace, "channel", back) == {"direct": (1, 1, "100.00")}

    runner.run(check())


def test_sums_follow_settings(workspace: Workspace, runner: asyncio.Runner) -> None:
    async def check() -> None:
        came = visit("2024-03-01T10:00:00Z", referrer="https://partner.example/")
        sold = [*CATALOG, KNOWN, visit("2024-02-01T10:00:00Z"), came, *sale("d", "2024-03-02T12:00:00Z")]
        assert (await sums_after(workspace, "source", *sold))["partner.example"] == (1, 1, "50.00")
        ignored = {
            "type": "workspace_configured",
            "settings": {"ignored_referrers": ["partner.example"]},
            "occurred_at": "2024-03-09T00:00:00Z",
        }
        assert await sums_after(workspace, "source", ignored) == {"no_source": (1, 1, "100.00")}

    runner.run(check())


def test_sums_are_made_again_for_the_days_of_another_time_zone(workspace: Workspace, runner: asyncio.Runner) -> None:
    async def check() -> None:
        sold = [*CATALOG, KNOWN, visit("2024-03-01T10:00:00Z"), *sale("d", "2024-03-02T23:30:00Z")]
        assert await sums_after(workspace, "campaign", *sold) == {"c": (1, 1, "100.00")}
        assert (await keep(workspace))["time_zone"] == "UTC"
        zone = {
            "type": "workspace_configured",
            "settings": {"time_zone": "Europe/Oslo"},
            "occurred_at": "2024-03-09T00:00:00Z",
        }
        assert await sums_after(workspace, "campaign", zone) == {"c": (1, 1, "100.00")}
        assert (await keep(workspace))["time_zone"] == "Europe/Oslo"
        assert await report(workspace, "campaign", "&from=2024-03-03T00:00:00%2B01:00") == {"c": (1, 1, "100.00")}

    runner.run(check())


def test_sums_of_groups_that_other_lists_decided_about_are_not_read_and_are_made_again(
    workspace: Workspace, runner: asyncio.Runner
) -> None:
    async def check() -> None:
        await sums_after(workspace, "channel", *SOLD, defined(first="100"))
        running = workspace.running
        async with running.pool.acquire() as raw:
            connection = Connection(raw, running.generation.name)
            ws, g = await workspace_number(connection, workspace.name), connection.generation
            await raw.execute(f"UPDATE {g}.credit_days_kept SET decided_by = 'others' WHERE ws = $1", ws)
            await raw.execute(f"UPDATE {g}.credit_day SET deals = deals + 1 WHERE ws = $1", ws)
            await raw.execute(f"UPDATE {g}.defined_credit_day SET minor = '{{1}}' WHERE ws = $1", ws)
        right = {"direct": (1, 1, "100.00")}
        for model in ("linear", "board"):
            assert await report(workspace, "channel", "&from=2024-03-01T00:00:00Z", model) == right
        assert (await keep(workspace))["decided_by"] == DECIDED_BY
        for model in ("linear", "board"):
            assert await report(workspace, "channel", "&from=2024-02-01T00:00:00Z", model) == right

    runner.run(check())


async def run_on_rows(workspace: Workspace, statement: str) -> list[Any]:
    """Run a statement on the projection, in which `{g}` is the schema and $1 the number of the workspace's rows; the rows that it answers."""
    running = workspace.running
    async with running.pool.acquire() as raw:
        connection = Connection(raw, running.generation.name)
        ws = await workspace_number(connection, workspace.name)
        return await raw.fetch(statement.replace("{g}", connection.generation), ws)


BOTH_PATHS = [
    *SOLD,
    {"type": "form_submitted", "asset_id": "f", "contact": {"id": "8"}, "occurred_at": "2024-03-01T11:00:00Z"},
]


def test_reports_by_paths_read_sums_and_of_other_days_touches(workspace: Workspace, runner: asyncio.Runner) -> None:
    async def check() -> None:
        more = [visit("2024-03-01T10:01:00Z"), *sale("e", "2024-03-09T12:00:00Z")]
        right = await same_before_and_after(workspace, [*BOTH_PATHS, *more], lambda asked: by_paths(workspace, asked))
        assert right == {"markov": {"c": "200.00"}, "shapley": {"c": "200.00"}}
        raised = "UPDATE {g}.credit_day SET minor[10] = minor[10] + 1000 WHERE ws = $1 AND group_by = 'campaign'"
        await run_on_rows(workspace, raised)
        for asked, earned, rest in (
            ("&from=2024-02-01T00:00:00Z", "220.00", "-20.00"),
            ("&from=2024-03-02T11:00:00Z", "210.00", "-10.00"),  # a part of the first day
        ):
            wrong = {"c": earned, "no_journey": rest}
            assert await by_paths(workspace, asked) == {"markov": wrong, "shapley": wrong}
        await run_on_rows(
            workspace, "INSERT INTO {g}.stale_credit SELECT ws, day, slice_us FROM {g}.won_day WHERE ws = $1"
        )
        assert await by_paths(workspace, "&from=2024-02-02T00:00:00Z") == right

    runner.run(check())


async def by_paths(workspace: Workspace, asked: str = "") -> dict[str, dict[str, str]]:
    """What each campaign, or what has none, earned under the models that look at paths."""
    models = "markov", "shapley"
    asked = "".join(f"&model={model}" for model in models) + asked
    answer = (await workspace.get(f"/v1/reports/attribution?currency=EUR{asked}")).json()
    return {
        model: {row["group"] or row["reason"]: row["revenue"][model] for row in answer["rows"] if row["revenue"][model] != "0.00"}
        for model in models
    }  # fmt: skip


def test_markov_reads_the_steps_of_days_that_have_sums(workspace: Workspace, runner: asyncio.Runner) -> None:
    async def check() -> None:
        other = {"type": "asset_associated", "asset_id": "f", "campaign_id": "other", "occurred_at": BEGUN}
        met = {"type": "form_submitted", "asset_id": "f", "contact": KARI, "occurred_at": "2024-03-01T11:00:00Z"}
        both = {"c": "50.00", "other": "50.00"}
        sent = [other, met, *BOTH_PATHS]
        found = await same_before_and_after(workspace, sent, lambda asked: by_paths(workspace, asked))
        right = {"c": "33.33", "other": "66.67"}  # without `other` nothing is won; half of the paths begin with `c`
        assert found == {"markov": right, "shapley": both}
        # as if one more path had gone from the start to the first group, and from there to the end
        await run_on_rows(
            workspace,
            "UPDATE {g}.path_day SET steps = steps || '\\xffffffff0000000000000001' || '\\x00000000ffffffff00000001' WHERE ws = $1",
        )
        found = await by_paths(workspace, "&from=2024-02-01T00:00:00Z")
        assert found["shapley"] == both
        assert found["markov"] != right

    runner.run(check())


@pytest.mark.parametrize(
    ("statement", "group"),
    [
        ("UPDATE {g}.credit_day SET minor[10] = minor[10] + 1 WHERE ws = $1 AND group_by = 'asset'", "asset 'p', None, EUR"),
        ("UPDATE {g}.path_day SET steps = steps || '\\xffffffff0000000000000001' WHERE ws = $1 AND group_by = 'owner'", "paths by owner, EUR"),
        ("DELETE FROM {g}.path_day WHERE ws = $1 AND group_by = 'channel'", "paths by channel, EUR"),
        ("UPDATE {g}.path_day SET names = '{b}' WHERE ws = $1 AND group_by = 'campaign'", "paths by campaign, EUR"),
    ],
)  # fmt: skip
def test_sums_of_paths_that_say_something_else_than_the_touches_are_found(
    workspace: Workspace, runner: asyncio.Runner, statement: str, group: str
) -> None:
    async def check() -> None:
        await sums_after(workspace, "channel", *SOLD, *OWNED)
        async with snapshot(workspace.running.pool, workspace.name) as seen:
            assert await earned_otherwise_on_some_days(seen, 3) == []
        await run_on_rows(workspace, statement)
        async with snapshot(workspace.running.pool, workspace.name) as seen:
            (found,) = await earned_otherwise_on_some_days(seen, 3)
            assert found.group == group

    runner.run(check())


def test_a_contact_of_several_days_counts_once(workspace: Workspace, runner: asyncio.Runner) -> None:
    async def check() -> None:
        assert await sums_after(workspace, "channel", *SOLD, *sale("e", "2024-03-09T12:00:00Z")) == {
            "direct": (2, 1, "200.00")
        }

    runner.run(check())


def test_a_sum_that_says_something_else_than_the_touches_is_found(workspace: Workspace, runner: asyncio.Runner) -> None:
    async def check() -> None:
        await sums_after(workspace, "channel", *SOLD)
        running = workspace.running
        async with running.pool.acquire() as raw:
            connection = Connection(raw, running.generation.name)
            ws = await workspace_number(connection, workspace.name)
            g = connection.generation
            await raw.execute(f"UPDATE {g}.credit_day SET deals = deals + 1 WHERE ws = $1 AND group_by = 'medium'", ws)
        async with snapshot(running.pool, workspace.name) as seen:
            (found,) = await earned_otherwise_on_some_days(seen, 3)
            assert found.group == "medium None, no_medium, EUR"
            assert await earned_otherwise(seen, [found.to_us, found.to_us + 1]) == []
        comparison = Comparison("g", {}, sums=[found, found])
        assert not comparison.equal
        (difference,) = comparison.result().differences
        assert difference == (
            f"workspace {workspace.name}: its sums of credit say something else than its credited touches, "
            "from 2024-03-02T00:00:00Z to 2024-03-03T00:00:00Z"
        )

    runner.run(check())
