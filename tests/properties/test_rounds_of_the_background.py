"""A round of the background does each thing once, while batches come. What it leaves to the next round may not make digests wrong."""

import asyncio
from typing import Any

import pytest

from shared.events.instants import BEGINNING_US, END_US
from shared.projection.digest_updater import DigestUpdater, Part, Round
from shared.projection.projector import Projector, workspace_number
from shared.projection.sql import Connection
from shared.reading.cells_compared import digest_differences, digest_differences_of_assets
from shared.reading.credit_compared import earned_otherwise
from shared.reading.snapshot import snapshot_on
from shared.rules.keys import asset_key, campaign_key
from tests.conftest import new_workspace
from tests.properties.test_digests_match_touches import (
    BEFORE_MERGE,
    CAMPAIGN,
    EMAIL,
    MERGE,
    PAGES,
    WITH_PAGES,
    A,
    B,
    add,
    event_on,
    visit,
)
from tests.properties.worlds import SOCIAL_POSTS_MAX
from touchline.compose import Running

AGAIN = event_on(30, "asset_dissociated", 4, asset_id=PAGES[1], campaign_id=CAMPAIGN, minute=-700)


async def play_in_a_round(running: Running, batches: list[list[dict[str, Any]]], assets: list[str]) -> None:
    """Project the first batch, and make all digests. Then project the others during one round, with all of its steps after each, and then all other steps."""
    workspace = await new_workspace(running, "round")
    key, named = {campaign_key(CAMPAIGN): CAMPAIGN}, {asset_key(asset): asset for asset in assets}
    async with running.pool.acquire() as raw:
        connection = Connection(raw, running.generation.name)
        projector = Projector(running.log, workspace.partition, social_posts_max=SOCIAL_POSTS_MAX)
        await projector.take(connection)
        updater = DigestUpdater(workspace.partition, running.log.partitions)
        round_ = None
        for events in [*batches, None]:
            if events is None:
                round_ = None
            else:
                await add(workspace, projector, connection, events)
            ws = await workspace_number(connection, workspace.name)
            while await updater.step(connection, ws, tuple(Part), round_):
                pass
            round_ = Round() if round_ is None else round_
            async with snapshot_on(raw, workspace.name, running.generation.name) as snapshot:
                assert not await digest_differences(snapshot, key, [BEGINNING_US, END_US])
                assert not await digest_differences_of_assets(snapshot, named, [BEGINNING_US, END_US])
                assert not await earned_otherwise(snapshot, [BEGINNING_US, END_US])


@pytest.mark.parametrize(
    ("batches", "assets"),
    [
        # the days of the campaign are made while `added_cell` has rows of a day whose turn is over
        pytest.param([[*WITH_PAGES, visit(10, 0, PAGES[0])], [visit(11, 5, PAGES[0])], [visit(12, 8, PAGES[0]), AGAIN]], PAGES, id="next days"),
        pytest.param([[*WITH_PAGES, visit(10, 0, PAGES[0])], [visit(11, 5, PAGES[0])], [visit(12, -5, PAGES[0])]], PAGES, id="stale day"),
        # a list with the former key of a contact is added after lists were written again
        pytest.param([BEFORE_MERGE, [event_on(50, "email_opened", 5, asset_id=EMAIL, contact=B)],
            [event_on(51, "email_opened", 5, asset_id=EMAIL, contact=A)], [MERGE]], [EMAIL], id="merged"),
    ],
)  # fmt: skip
def test_what_a_round_leaves_makes_no_digest_wrong(
    running: Running, runner: asyncio.Runner, batches: list[list[dict[str, Any]]], assets: list[str]
) -> None:
    runner.run(play_in_a_round(running, batches, assets))
