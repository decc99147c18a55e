"""Worlds made for one path each, in batches that are given: what live batches make of them is what bulk makes.

Random worlds meet these paths seldom. Each of them is a list of batches; a fault in the stage that its name tells of shows here.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from services.replay import bulk
from shared.events.codec import Record, accept, encode_record
from shared.projection.batch import decode
from shared.projection.projector import Projector
from shared.projection.sql import Connection
from tests.conftest import Workspace, new_workspace
from tests.properties.test_rows_independent_of_order import at_once, rows
from tests.properties.test_store_agrees_with_oracle import _json
from tests.properties.worlds import SOCIAL_POSTS_MAX
from touchline.compose import Running

Event = dict[str, Any]
CRAWLER = "Googlebot/2.1"
SEVEN, EIGHT, STAFF = {"id": "7"}, {"id": "8"}, {"email": "ola@ours.example"}


def event(type_: str, minute: int, id_: str | None = None, **fields: Any) -> Event:
    """An event so many minutes after noon. Without an id of its own it gets one that `batches` gives it."""
    at = f"2024-03-01T{12 + minute // 60:02d}:{minute % 60:02d}:00Z"
    return {"type": type_, "occurred_at": at, **fields} | ({} if id_ is None else {"id": id_})


def visit(minute: int, id_: str | None = None, **fields: Any) -> Event:
    return event(
        "page_visited",
        minute,
        id_,
        visitor_id="v",
        url="https://shop.example/lp?utm_campaign=s",
        asset_id="lp",
        **fields,
    )


def identified(minute: int, contact: Event, id_: str | None = None) -> Event:
    return event("contact_identified", minute, id_, visitor_id="v", contact=contact)


def configured(**settings: Any) -> Event:
    return event("workspace_configured", 0, settings=settings)


def retracted(id_: str, own: str | None = None) -> Event:
    return event("event_retracted", 60, own, event_id=id_)


def won(contact: Event) -> list[Event]:
    """A deal of 100 that closes five hours after noon."""
    return [
        event("deal_created", 1, deal_id="d", amount="100", contacts=[contact]),
        event("deal_closed", 300, deal_id="d", won=True),
    ]


def clicks(*ids: str) -> list[Event]:
    """Clicks on different links of one e-mail in the minute of its delivery, as a mail scanner makes them."""
    return [
        event("email_clicked", 0, id_, asset_id="m", contact=SEVEN, url=f"https://shop.example/{id_}") for id_ in ids
    ]


OURS = configured(internal_domains=["ours.example"])
NO_CRAWLERS_RULE = configured(machine_rules={"crawlers": False})
DELIVERED = event("email_delivered", 0, asset_id="m", contact=SEVEN)
WORLDS: dict[str, list[list[Event]]] = {
    "machine rules move a first visit": [
        [visit(5, user_agent=CRAWLER), visit(50)],
        [identified(60, SEVEN)],
        [NO_CRAWLERS_RULE],
    ],
    "machine rules move a conversion's session": [
        [visit(50, user_agent=CRAWLER)],
        [identified(60, SEVEN)],
        [NO_CRAWLERS_RULE],
    ],
    "properties alone change a contact": [
        [identified(5, SEVEN)],
        [event("contact_updated", 9, contact=SEVEN, properties={"city": "Oslo"})],
    ],
    "a Salesforce campaign alone changes a contact": [
        [identified(5, SEVEN)],
        [event("salesforce_campaign_joined", 8, contact=SEVEN, salesforce_campaign_id="702", source="sync")],
    ],
    "the session gap alone moves sessions": [
        [visit(0), visit(40), identified(75, SEVEN)],
        [configured(session_gap_minutes=36)],
    ],
    "the currency alone changes budgets": [
        [event("campaign_created", 0, campaign_id="c", budget="10.5")],
        [configured(currency="JPY")],
    ],
    "a visitor is identified as staff later": [
        [OURS],
        [visit(0), visit(90), event("contact_created", 0, contact=STAFF)],
        [identified(95, STAFF)],
    ],
    "a visitor of staff is identified as somebody else, earlier": [
        [OURS],
        [visit(0), identified(5, STAFF), visit(20), event("contact_created", 0, contact=SEVEN)],
        [identified(4, SEVEN)],
    ],
    "a scanner's click is taken back": [
        [configured(machine_rules={"mail_scanners": True})],
        [DELIVERED, *clicks("one", "two", "three")],
        [retracted("one")],
    ],
    "a scanner's click comes late": [
        [configured(machine_rules={"mail_scanners": True})],
        [DELIVERED, *clicks("one", "two")],
        clicks("three"),
    ],
    "a late identification takes the anonymous past and a deal's touches": [
        [visit(0), visit(30), identified(60, SEVEN), event("contact_created", 0, contact=EIGHT)],
        won(SEVEN),
        [identified(10, EIGHT)],
    ],
    "a late visit moves a won deal's credit": [[visit(30), identified(60, SEVEN)], won(SEVEN), [visit(20)]],
    "a late click of an e-mail moves a won deal's credit": [
        [event("contact_created", 0, contact=SEVEN)],
        won(SEVEN),
        [event("email_clicked", 30, asset_id="m", contact=SEVEN, url="https://shop.example/")],
    ],
    "a late click that is a scanner's takes credit from a won deal": [
        [configured(machine_rules={"mail_scanners": True}), event("contact_created", 0, contact=SEVEN)],
        won(SEVEN),
        [DELIVERED, *clicks("one", "two")],
        clicks("three"),
    ],
    "a click that gave a won deal its credit is taken back": [
        [event("contact_created", 0, contact=SEVEN), event("email_clicked", 30, "k", asset_id="m", contact=SEVEN)],
        won(SEVEN),
        [retracted("k", "r")],
        [retracted("r")],
    ],
}  # fmt: skip


def batches(world: list[list[Event]]) -> list[list[Event]]:
    """The world's batches; events without an id of their own are numbered."""
    return [[{"id": f"{i}-{j}"} | one for j, one in enumerate(batch)] for i, batch in enumerate(world)]


async def append(workspace: Workspace, events: list[Event]) -> None:
    records = []
    for one in events:
        record = accept(_json(one), 0, "server", time.time_ns() // 1000, None)
        assert isinstance(record, Record), record
        records.append(encode_record(record))
    await workspace.running.log.append(workspace.name, records)


@pytest.mark.parametrize("name", WORLDS)
def test_live_batches_make_the_rows_that_bulk_makes(
    running: Running, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(bulk, "SPAN_EVENTS", 40)

    async def run() -> dict[str, tuple[set[str], set[str]]]:
        workspace = await new_workspace(running, "directed")
        project = _driver(workspace)
        for batch in batches(WORLDS[name]):
            await append(workspace, batch)
            await project()
        live, whole = await rows(running, running.generation.name, workspace.name), await at_once(running, workspace)
        assert live["event_index"], "nothing was projected"
        return {
            table: (live[table] - whole[table], whole[table] - live[table])
            for table in live
            if live[table] != whole[table]
        }

    assert not runner.run(run())


def _driver(workspace: Workspace) -> Callable[[], Any]:
    """Projects, each time it is called, all that the log has, as one batch."""
    running = workspace.running
    taken: list[Projector] = []

    async def project() -> None:
        async with running.pool.acquire() as raw:
            connection = Connection(raw, running.generation.name)
            if not taken:
                taken.append(Projector(running.log, workspace.partition, social_posts_max=SOCIAL_POSTS_MAX))
                await taken[0].take(connection)
            while entries := await running.log.read(workspace.partition, taken[0].offset, 1_000):
                await taken[0].project(connection, decode(entries))

    return project
