"""The report under markov and shapley: which requests are refused, and that it adds up whatever the groups."""

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from shared.reading import lost_paths, markov
from shared.reading.snapshot import snapshot
from shared.reading.time_range import ALL_TIME
from shared.rules.report_groups import GroupBy
from tests.conftest import Workspace
from tests.system.test_lists import EVENTS, at
from tests.system.test_sums_of_credit import keep
from tests.unit.test_data_driven import steps_of

BOTH = "/v1/reports/attribution?model=markov&model=shapley&currency=EUR"


@pytest.mark.parametrize(
    ("path", "field"),
    [
        (f"{BOTH.removesuffix('&currency=EUR')}&of=deals", "model"), (f"{BOTH.removesuffix('&currency=EUR')}&of=contacts", "model"),
        ("/v1/campaigns?model=markov", "model"), ("/v1/reports/attribution/deals?group=spring&model=shapley", "model"),
        ("/v1/reports/roi?model=markov", "model"), ("/v1/deals/won/attribution?model=shapley", "model"),
    ],
)  # fmt: skip
def test_only_the_report_of_revenue_takes_models_that_have_no_shares_by_touch(
    workspace: Workspace, runner: asyncio.Runner, path: str, field: str
) -> None:
    async def check() -> None:
        await workspace.send(*EVENTS)
        await workspace.project()
        refused = await workspace.get(path)
        assert (refused.status_code, refused.json()["field"]) == (422, field)

    runner.run(check())


def test_rows_add_up_by_every_group_in_one_currency_and_in_all(workspace: Workspace, runner: asyncio.Runner) -> None:
    async def check() -> None:
        await workspace.send(*EVENTS)
        await workspace.project()
        for by in GroupBy:
            answer = (await workspace.get(f"{BOTH}&model=linear&group_by={by}")).json()
            alone = (await workspace.get(f"{BOTH}&group_by={by}")).json()
            counted = [(row["group"], row["deals"], row["contacts"]) for row in answer["rows"]]
            assert sorted(counted, key=str) == sorted(
                ((row["group"], row["deals"], row["contacts"]) for row in alone["rows"]), key=str
            )
            for model in ("markov", "shapley", "linear"):
                earned = sum(Decimal(row["revenue"][model]) for row in answer["rows"])
                assert earned == Decimal(answer["total"][model]) == 100, (by, model)
        every = (await workspace.get(f"{BOTH.replace('EUR', 'all')}")).json()
        (spring,) = [row for row in every["rows"] if row["group"] == "spring"]
        assert {one["currency"] for one in spring["revenue"]["shapley"]} >= {"EUR"}

    runner.run(check())


def test_the_answer_is_the_same_from_sums_and_from_touches_by_every_group(
    workspace: Workspace, runner: asyncio.Runner
) -> None:
    async def check() -> None:
        reader = {"type": "form_submitted", "asset_id": "lp", "contact": {"id": "reader"}, "occurred_at": at(2)}
        await workspace.send(*EVENTS, reader)
        await workspace.project()
        questions = {by: f"{BOTH}&group_by={by}&model=linear" for by in GroupBy}
        by_touches = {by: (await workspace.get(path)).json()["rows"] for by, path in questions.items()}
        await keep(workspace)
        # another address, for answers are kept by their address
        assert by_touches == {
            by: (await workspace.get(f"{path}&from=1990-01-01")).json()["rows"] for by, path in questions.items()
        }

    runner.run(check())


def test_a_touch_of_several_campaigns_puts_them_into_a_lost_path_in_the_order_of_their_ids(
    workspace: Workspace, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check() -> None:
        monkeypatch.setattr(lost_paths, "REMEMBERED", 1)
        campaigns = {"spring": "ola", "autumn": "kari", "winter": "ola"}
        for name, owner in campaigns.items():
            await workspace.send(
                {
                    "type": "campaign_created",
                    "campaign_id": name,
                    "utm_campaign": name,
                    "owner": owner,
                    "occurred_at": at(1),
                }
            )
        await workspace.send(
            {"type": "asset_associated", "asset_id": "page", "campaign_id": "spring", "occurred_at": at(1)},
            *(
                {"type": "page_visited", "id": f"{who}-{n}", "visitor_id": who, "contact": {"id": who}, "asset_id": "page",
                 "url": f"https://shop.example/?utm_campaign={name}", "occurred_at": at(2)}
                for who, names in (("7", ["autumn", "winter"]), ("8", ["winter"])) for n, name in enumerate(names)
            ),
        )  # fmt: skip
        await workspace.project()
        paths = {
            GroupBy.CAMPAIGN: [["autumn", "spring", "spring", "winter"], ["spring", "winter"]],
            GroupBy.OWNER: [["kari", "ola", "ola", "ola"], ["ola", "ola"]],
            GroupBy.UTM_CAMPAIGN: [["autumn", "winter"], ["winter"]],
            GroupBy.INTERACTION: [["page_visited", "page_visited"], ["page_visited"]],
            GroupBy.ASSET: [["page", "page"], ["page"]],
            GroupBy.ASSET_TYPE: [[], []],
            GroupBy.CHANNEL: [["other", "other"], ["other"]],
            GroupBy.SOURCE: [[], []],
            GroupBy.MEDIUM: [[], []],
        }  # fmt: skip
        async with snapshot(workspace.running.pool, workspace.name) as seen:
            found = {by: (await lost_paths.lost_paths(seen, ALL_TIME, by)).counts() for by in GroupBy}
        assert found == {by: steps_of(of) for by, of in paths.items()}

    runner.run(check())


def test_a_deal_without_an_amount_is_a_converted_path_of_markov(workspace: Workspace, runner: asyncio.Runner) -> None:
    async def check() -> None:
        for name, touch, amount in (
            ("paid", "form_submitted", {"amount": "100.00"}), ("unpaid", "email_clicked", {}), ("free", "form_submitted", {}),
        ):  # fmt: skip
            await workspace.send(
                {"type": touch, "asset_id": "a", "contact": {"id": name}, "occurred_at": at(1)},
                {"type": "deal_created", "deal_id": name, "contacts": [{"id": name}], "currency": "EUR", "occurred_at": at(2), **amount},
                {"type": "deal_closed", "deal_id": name, "won": True, "occurred_at": at(3)},
            )  # fmt: skip
        await workspace.project()
        answer = (await workspace.get(f"{BOTH}&group_by=interaction")).json()
        named = {row["group"]: (row["deals"], row["revenue"]) for row in answer["rows"] if row["group"]}
        assert named == {
            "form_submitted": (2, {"markov": "66.67", "shapley": "100.00"}),
            "email_clicked": (1, {"markov": "33.33", "shapley": "0.00"}),
        }

    runner.run(check())


def test_a_report_of_too_many_groups_is_refused_under_markov_alone(
    workspace: Workspace, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check() -> Any:
        monkeypatch.setattr(markov, "GROUPS_MAX", 0)
        await workspace.send(*EVENTS)
        await workspace.project()
        refused = await workspace.get(BOTH)
        assert (refused.status_code, refused.json()["field"]) == (422, "group_by")
        assert (await workspace.get("/v1/reports/attribution?model=shapley")).status_code == 200

    runner.run(check())


def test_a_workspace_cannot_take_the_name_of_a_data_driven_model(workspace: Workspace, runner: asyncio.Runner) -> None:
    async def check() -> None:
        await workspace.send(*EVENTS, {"type": "model_defined", "model": "markov", "weights": {"first": "100"}})
        await workspace.project()
        assert (await workspace.get("/v1/campaigns?model=markov")).status_code == 422

    runner.run(check())
