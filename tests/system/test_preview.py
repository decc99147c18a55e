"""`POST /v1/preview` says what events would change, exactly as it is after they are sent, and changes nothing."""

import asyncio
from typing import Any

import httpx
import pytest

from shared.projection.digest_updater import DigestUpdater
from shared.projection.projector import workspace_number
from shared.projection.sql import Connection
from tests.conftest import Workspace
from tests.scenarios.worked import event

STEPS_MAX = 100  # of the updater; a few make all digests of these events
EVENTS = """
03-01 00:00 campaign_created  campaign_id=spring name=Spring
03-01 00:00 campaign_created  campaign_id=autumn
03-01 00:00 campaign_created  campaign_id=shares utm_campaign=u
03-01 00:00 campaign_created  campaign_id=claims utm_campaign=other
03-01 00:00 asset_registered  asset_id=lp asset_type=landing_page url=https://s.example/lp
03-01 00:00 asset_registered  asset_id=mail asset_type=marketing_email
03-01 00:00 asset_associated  id=held asset_id=lp campaign_id=spring
03-01 00:00 asset_associated  asset_id=mail campaign_id=autumn
03-02 00:00 page_visited      id=visit visitor_id=v url=https://s.example/lp?utm_campaign=u
03-02 00:10 contact_identified visitor_id=v contact=7
03-03 00:00 email_clicked     asset_id=mail contact=8
03-04 00:00 deal_created      deal_id=d contacts=7 amount="100.00" currency=EUR
03-09 00:00 deal_closed       deal_id=d won=true
"""
PREVIEWS = {
    "move": ["03-01 12:00 asset_associated id=p asset_id=lp campaign_id=autumn"],
    "retract": ["04-01 00:00 event_retracted id=p event_id=held"],
    "retract a visit": ["04-01 00:00 event_retracted id=p event_id=visit"],
    "merge": ["04-01 00:00 contact_merged id=p contact=8 into=7"],
    "create and associate": [
        "03-01 00:00 campaign_created id=p campaign_id=winter name=Winter",
        "03-01 00:00 asset_associated id=q asset_id=mail campaign_id=winter",
    ],
    "delete": ["03-01 12:00 campaign_deleted id=p campaign_id=spring"],
    "retype": ["04-01 00:00 asset_registered id=p asset_id=lp asset_type=form"],
    "claim": ["03-01 00:00 campaign_updated id=p campaign_id=autumn utm_campaign=x"],
    "claim what another shares": ["03-01 12:00 campaign_updated id=p campaign_id=claims utm_campaign=u"],
    "delete what another shares": ["03-01 12:00 campaign_deleted id=p campaign_id=shares"],
    "spend": ['03-05 00:00 spend_recorded id=p campaign_id=spring amount="5.00" currency=EUR on=2024-03-01'],
    "visit": ["03-05 00:00 page_visited id=p visitor_id=w url=https://s.example/lp"],
    "deal": ['03-08 00:00 deal_updated id=p deal_id=d contacts=8 amount="300.00"'],
}  # fmt: skip


def events(lines: list[str]) -> list[dict[str, Any]]:
    return [{"occurred_at": each.pop("at"), **each} for each in map(event, lines)]


@pytest.fixture
def filled(workspace: Workspace, runner: asyncio.Runner) -> Workspace:
    async def send_events() -> None:
        assert (await workspace.send(*events(EVENTS.strip().splitlines()))).json()["rejected"] == []
        await workspace.project()

    runner.run(send_events())
    return workspace


async def previewed(workspace: Workspace, sent: list[dict[str, Any]], scope: str = "server") -> httpx.Response:
    async with workspace.client(scope) as client:
        return await client.post("/v1/preview", json={"events": sent})


async def shown(workspace: Workspace) -> dict[str, Any]:
    """The metrics of every campaign, and every association of it."""
    items = (await workspace.get("/v1/campaigns")).json()["items"]
    whole = {
        item["campaign_id"]: (await workspace.get(f"/v1/campaigns/{item['campaign_id']}")).json() for item in items
    }
    return {
        item["campaign_id"]: {
            "metrics": item["metrics"], "name": item["name"],
            "held": [(each["asset_id"], each["from"], each["to"]) for each in whole[item["campaign_id"]]["associations"]],
        }
        for item in items
    }  # fmt: skip


async def digest(workspace: Workspace) -> None:
    """Make all digests of the workspace, so that few touches are read."""
    running = workspace.running
    async with running.pool.acquire() as raw:
        connection = Connection(raw, running.generation.name)
        updater = DigestUpdater(workspace.partition, running.log.partitions)
        for _ in range(STEPS_MAX):
            if not await updater.step(connection, await workspace_number(connection, workspace.name)):
                return


@pytest.mark.parametrize("digested", [False, True])
@pytest.mark.parametrize("name", PREVIEWS)
def test_what_a_preview_says_is_what_the_events_change_when_they_are_sent(
    filled: Workspace, runner: asyncio.Runner, name: str, digested: bool
) -> None:
    async def check() -> None:
        if digested:
            await digest(filled)
        before = await shown(filled)
        response = await previewed(filled, events(PREVIEWS[name]))
        assert response.status_code == 200, response.text
        assert await shown(filled) == before
        answer = response.json()
        await filled.send(*events(PREVIEWS[name]))
        await filled.project()
        after = await shown(filled)
        wanted = {
            campaign: {
                metric: {"before": before.get(campaign, {"metrics": {}})["metrics"].get(metric), "after": value}
                for metric, value in after[campaign]["metrics"].items()
                if before.get(campaign, {"metrics": {}})["metrics"].get(metric) != value
            }
            for campaign in after
        }
        assert {each["id"]: each["metrics"] for each in answer["campaigns"] if each["metrics"]} == {
            campaign: metrics for campaign, metrics in wanted.items() if metrics
        }
        for asset in answer["assets"]:
            for state, found in (("before", before), ("after", after)):
                held = sorted((each["campaign_id"], each["from"], each["to"]) for each in asset[state]["held"])
                assert held == sorted(
                    (campaign, *each[1:])
                    for campaign, one in found.items()
                    for each in one["held"]
                    if each[0] == asset["id"]
                )

    runner.run(check())


def test_campaigns_and_assets_that_are_named_are_shown_before_and_after(
    filled: Workspace, runner: asyncio.Runner
) -> None:
    async def check() -> None:
        answer = (await previewed(filled, events(PREVIEWS["create and associate"]))).json()
        winter = next(each for each in answer["campaigns"] if each["id"] == "winter")
        assert (winter["before"], winter["after"]["name"]) == (None, "Winter")
        (mail,) = answer["assets"]
        assert [each["campaign_id"] for each in mail["before"]["held"]] == ["autumn"]

    runner.run(check())


def test_an_event_that_would_change_nothing_is_named_with_the_reason(filled: Workspace, runner: asyncio.Runner) -> None:
    async def check() -> None:
        again = events(["03-05 00:00 asset_associated id=again asset_id=lp campaign_id=spring"])
        assert (await previewed(filled, again)).json()["no_effect"] == [
            {"event_id": "again", "reason": "already_associated"}
        ]

    runner.run(check())


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        ([{"type": "campaign_created"}], 422, "no_valid_event"), ([], 422, "no_events"), ([{"type": "x"}] * 101, 413, "too_many_events"),
        ([{"type": "workspace_configured", "settings": {"currency": "NOK"}}], 422, "no_valid_event"),
    ],
)  # fmt: skip
def test_what_cannot_be_previewed_is_refused(
    filled: Workspace, runner: asyncio.Runner, sent: list[dict[str, Any]], status: int, code: str
) -> None:
    response = runner.run(previewed(filled, sent))
    assert (response.status_code, response.json()["code"]) == (status, code), response.text


@pytest.mark.parametrize(("scope", "status"), [("server", 200), ("admin", 200), ("read", 403), ("collect", 403)])
def test_only_who_may_change_the_catalog_may_preview_it(
    filled: Workspace, runner: asyncio.Runner, scope: str, status: int
) -> None:
    assert runner.run(previewed(filled, events(PREVIEWS["move"]), scope)).status_code == status


def test_the_live_projection_goes_on_after_a_preview(filled: Workspace, runner: asyncio.Runner) -> None:
    async def check() -> None:
        projecting = [filled.project(), *(previewed(filled, events(PREVIEWS["move"])) for _ in range(3))]
        await filled.send(*events(["03-06 00:00 page_visited visitor_id=x url=https://s.example/lp"]))
        await asyncio.gather(*projecting)
        assert (await filled.get("/v1/campaigns/spring/overview")).json()["metrics"]["page_views"] == 2

    runner.run(check())
