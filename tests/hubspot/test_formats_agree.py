"""The same company's year, sent as own events, by HubSpot's webhooks, from its CSV exports and its API, gives the same campaign numbers."""

import asyncio
import datetime as dt
import re
from pathlib import Path
from typing import Any

import orjson
import pytest

from services.replay.backfill import Backfill
from services.replay.hubspot.client import HubSpot
from services.replay.hubspot.history import History
from services.replay.mapping import MappingOptions, mapping
from shared.producers.hubspot import Stages, read
from tests.conftest import Workspace, new_workspace
from tests.hubspot import company as company_events
from tests.hubspot.company import Company, company
from tests.hubspot.server import Account, FakeHubSpot, Moods
from touchline.compose import Running

WAYS = ("own events", "webhooks", "tables", "API")
LISTS = ("contacts", "contacts?metric=new_contacts_first_touch", "contacts?metric=new_contacts_last_touch", "deals")
NOT_COMPARED = {"deciding_event", "decided_by", "event_id", "position", "as_of", "settled_through"}
"""Ids of events, which each way makes for itself, and how far an answer is."""
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT[0-9:.]+Z")


async def import_(
    workspace: Workspace, account: Account, state: Path, moods: Moods | None = None, **options: Any
) -> History:
    running = workspace.running
    with FakeHubSpot(account, moods) as server:
        async with HubSpot(server.moods.token, server.url) as hubspot:
            history = History(running.pool, running.log, workspace.name, hubspot, state, lambda *_: None, **options)
            await history.run()
    await workspace.project()
    return history


async def send_company(way: str, of: Company, workspace: Workspace, folder: Path) -> None:
    """Tell the company's year in a way. What HubSpot's formats cannot say are own events in each."""

    async def send(events: list[dict[str, Any]]) -> None:
        for at in range(0, len(events), 500):
            answer = (await workspace.send(*events[at : at + 500])).json()
            assert not answer["rejected"], answer["rejected"][:3]

    await send([company_events.settings(), *of.touches])
    await workspace.project()
    if way != "API":
        await send(company_events.own_campaigns(of))
    if way == "own events":
        await send(company_events.own_events(of))
    elif way == "webhooks":
        messages = [
            read(orjson.dumps(each), Stages(company_events.WON, company_events.LOST))
            for each in company_events.webhooks(of)
        ]
        assert all(isinstance(message.means, tuple) for message in messages)
        await send([dict(event) for message in messages if isinstance(message.means, tuple) for event in message.means])
    elif way == "tables":
        for name, text in company_events.tables(of).items():
            path = folder / f"{name}.csv"
            path.write_text(text)
            stages = {"won_stages": ["Signed"], "lost_stages": ["Withdrawn"]} if name == "hubspot-deals" else {}
            running = workspace.running
            tally = await Backfill(
                running.pool,
                running.log,
                workspace.name,
                1e9,
                lambda _: None,
                mapping=mapping(name, options=MappingOptions(lists=stages)),
            ).run(path)
            assert not tally.refused
    else:
        history = await import_(workspace, company_events.account(of), folder / "import")
        assert not any(tally.refused for tally in history.tallies.values())
    await workspace.project()


async def numbers(of: Company, workspace: Workspace) -> dict[str, Any]:
    """Every campaign's overview, its contacts and its deals."""
    out: dict[str, Any] = {}
    for campaign in of.campaigns:
        for what in ("overview", *LISTS):
            answer = await workspace.get(f"/v1/campaigns/{campaign.id}/{what}")
            assert answer.status_code == 200, answer.text
            out[f"{campaign.utm} {what}"] = _compared(answer.json())
    return out


def _compared(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _compared(inner) for name, inner in value.items() if name not in NOT_COMPARED}
    return [_compared(inner) for inner in value] if isinstance(value, list) else value


def to_the_minute(value: Any) -> Any:
    """Instants without their seconds: an export tells none."""
    if isinstance(value, str) and INSTANT.fullmatch(value):
        return value[: len("2025-01-07T08:00")]
    if isinstance(value, dict):
        return {name: to_the_minute(inner) for name, inner in value.items()}
    return [to_the_minute(inner) for inner in value] if isinstance(value, list) else value


def ways(of: Company, running: Running, runner: asyncio.Runner, folder: Path) -> dict[str, dict[str, Any]]:
    async def all_of_them() -> dict[str, dict[str, Any]]:
        out = {}
        for way in WAYS:
            workspace = await new_workspace(running, f"way {way}")
            (folder / way).mkdir()
            await send_company(way, of, workspace, folder / way)
            out[way] = await numbers(of, workspace)
        return out

    return runner.run(all_of_them())


@pytest.mark.parametrize("seed", [1, 2])
def test_a_year_gives_the_same_campaign_numbers_in_whichever_format_it_is_sent(
    running: Running, runner: asyncio.Runner, tmp_path: Path, seed: int
) -> None:
    found = ways(company(seed), running, runner, tmp_path)
    own = found["own events"]
    metrics = [answer["metrics"] for name, answer in own.items() if name.endswith("overview")]
    assert sum(each["influenced_deals"] for each in metrics) > 5, "the year has deals that count"
    assert sum(each["new_contacts_first_touch"] for each in metrics) > 5, "and contacts"
    for way in WAYS[1:]:
        shown = to_the_minute if way == "tables" else _compared
        for name, answer in own.items():
            assert shown(found[way][name]) == shown(answer), f"{way}: {name}, seed {seed}"
        if way != "tables":
            assert found[way] == own


def test_what_a_format_cannot_say_is_what_the_page_says_is_lost(
    running: Running, runner: asyncio.Runner, tmp_path: Path
) -> None:
    """A contact joins a deal that is closed already. A table does not tell it; the API does, by how many contacts a deal had and when."""
    of = company()
    late = next(deal for deal in of.deals if deal.moves[-1][1] in company_events.WON and _counts_somewhere(deal, of))
    assert late.closed is not None
    late.joined = late.closed + dt.timedelta(days=1)
    found = ways(of, running, runner, tmp_path)
    revenue = {
        way: [numbers["metrics"]["influenced_deals"] for name, numbers in each.items() if name.endswith("overview")]
        for way, each in found.items()
    }
    assert revenue["own events"] == revenue["webhooks"] == revenue["API"]
    assert sum(revenue["tables"]) > sum(revenue["own events"])


def _counts_somewhere(deal: company_events.Deal, of: Company) -> bool:
    """Whether a contact of the deal has touched a campaign by an email."""
    emails = {person.email for person in deal.people}
    return any(touch["type"] == "email_clicked" and touch["contact"]["email"] in emails for touch in of.touches)
