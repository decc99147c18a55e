"""An event of any type can be taken back: then everything is as if it had never been."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Workspace
from tests.scenarios.worked import event

BASE = """
03-01 00:00 campaign_created id=c1 campaign_id=spring utm_campaign=spring
03-01 00:00 campaign_created campaign_id=autumn
03-01 00:00 asset_registered asset_id=lp asset_type=landing_page url=https://s.example/
03-01 00:00 asset_registered asset_id=post asset_type=social_post
03-01 00:00 asset_associated asset_id=lp campaign_id=spring
03-01 00:00 asset_associated asset_id=mail campaign_id=spring
03-01 00:00 asset_associated asset_id=post campaign_id=spring
03-02 10:00 page_visited id=visit visitor_id=v url=https://s.example/?utm_campaign=spring
03-02 10:20 page_visited visitor_id=v url=https://s.example/
03-02 10:40 contact_identified visitor_id=v contact=7
03-03 00:00 email_clicked asset_id=mail contact=kari@example.no
03-03 00:00 social_clicked asset_id=post contact=8
03-03 00:00 salesforce_campaign_joined contact=8 salesforce_campaign_id="701" source=sync
03-04 00:00 deal_created deal_id=d contacts=7 amount="100.00" currency=EUR
03-09 00:00 deal_closed deal_id=d won=true
03-09 00:00 deal_created deal_id=open contacts=8
"""
EVENTS = """
page_visited visitor_id=v url=https://s.example/?utm_campaign=spring contact=8
form_submitted asset_id=form visitor_id=v contact=9
cta_viewed asset_id=cta visitor_id=v contact=7
cta_clicked asset_id=mail visitor_id=v contact=7
email_sent asset_id=mail contact=9
email_delivered asset_id=mail contact=9
email_opened asset_id=mail contact=9
email_clicked asset_id=mail contact=7
email_bounced asset_id=mail contact=7
email_unsubscribed asset_id=mail contact=7
social_clicked asset_id=post contact=7 count=3
social_interacted asset_id=post contact=7
ad_viewed asset_id=ad contact=7
ad_clicked asset_id=ad contact=7
asset_interacted asset_id=lp kind=meeting_booked contact=7
list_joined asset_id=mail contact=9 list_type=static
list_left asset_id=mail contact=9 list_type=static
workflow_enrolled asset_id=mail contact=9
campaign_created campaign_id=new name=New
campaign_updated campaign_id=spring name=Renamed utm_campaign=other
campaign_deleted campaign_id=spring
spend_recorded campaign_id=spring amount="12.00" currency=EUR on=2024-03-02
budget_recorded campaign_id=spring amount="12.00" currency=EUR
asset_registered asset_id=lp asset_type=site_page name=Page
asset_published asset_id=post
asset_unpublished asset_id=blog
asset_associated asset_id=lp campaign_id=autumn
asset_dissociated asset_id=lp campaign_id=spring
contact_created contact={"id":"7","email":"kari@example.no"}
contact_updated contact=7 properties={"salesforce_campaign_id":"701"}
contact_identified visitor_id=v contact=8
contact_merged contact=8 into=7
salesforce_campaign_joined contact=7 salesforce_campaign_id="701" source=sync
salesforce_campaign_left contact=8 salesforce_campaign_id="701"
deal_created deal_id=e contacts=7
deal_updated deal_id=d amount="50.00"
deal_contact_associated deal_id=d contact=kari@example.no
deal_contact_dissociated deal_id=d contact=7
deal_closed deal_id=open won=true amount="9.00"
deal_reopened deal_id=d
deal_deleted deal_id=d
event_retracted event_id=visit
unmapped_event producer=segment name=Odd body={"event":"Odd"}
workspace_configured settings={"session_gap_minutes":10,"internal_domains":["example.no"],"currency":"NOK"}
model_defined model=ours weights={"first":"50","last":"50"}
"""
SENT = {line.split()[0]: line for line in EVENTS.strip().splitlines()}
LATER = ("deal_updated", "deal_reopened", "deal_deleted", "deal_closed")  # said of a deal that is there
UNSEEN = ("model_defined", "asset_unpublished", "unmapped_event")  # nothing that is read shows them


async def everything(workspace: Workspace) -> dict[str, Any]:
    """All that the read API tells, but for how far and how final it is."""
    paths = [
        "/v1/campaigns",
        "/v1/contacts",
        "/v1/reports/attribution?model=linear",
        "/v1/contacts?salesforce_campaign_id=701",
    ]
    out: dict[str, Any] = {}
    async with workspace.client() as client:

        async def read(path: str) -> Any:
            response = await client.get(path)
            answer = response.json()
            answer.pop("as_of", None)
            answer.pop("settled_through", None)
            out[path] = (response.status_code, answer)
            return answer

        for path in paths:
            await read(path)
        for campaign in out["/v1/campaigns"][1]["items"]:
            for part in ("", "/overview", "/assets", "/refusals", "/contacts", "/deals?model=u_shaped"):
                await read(f"/v1/campaigns/{campaign['campaign_id']}{part}")
        for contact in out["/v1/contacts"][1]["items"]:
            await read(f"/v1/contacts/{contact['contact']}")
            await read(f"/v1/contacts/{contact['contact']}/journey")
        for deal in ("d", "open", "e"):
            await read(f"/v1/deals/{deal}/attribution?all")
            await read(f"/v1/deals/{deal}/explain?campaign=spring")
    return out


def events_of_lines(lines: list[str]) -> list[dict[str, Any]]:
    return [{"occurred_at": e.pop("at"), **e} for e in map(event, lines)]


@pytest.mark.parametrize("type_", SENT)
def test_it_is_as_if_it_had_never_been(workspace: Workspace, runner: asyncio.Runner, type_: str) -> None:
    day = "03-10" if type_ in LATER else "03-02"

    async def run() -> None:
        async def send(*lines: str) -> dict[str, Any]:
            response = await workspace.send(*events_of_lines(list(lines)))
            assert response.json()["rejected"] == [], response.text
            await workspace.project()
            return await everything(workspace)

        before = await send(*BASE.strip().splitlines())
        during = await send(f"{day} 10:10 {SENT[type_]} id=it")
        assert (during == before) is (type_ in UNSEEN)
        assert await send("03-20 00:00 event_retracted id=back event_id=it") == before
        assert await send("03-21 00:00 event_retracted event_id=back") == during

    runner.run(run())


def test_every_event_type_is_taken_back() -> None:
    golden = Path(__file__).parents[1] / "unit" / "golden"
    assert {*SENT, "contact_forgotten"} == {file.stem for file in golden.glob("*.json")}  # which is refused
