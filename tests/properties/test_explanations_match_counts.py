"""Explain says that a touch counts for a campaign exactly if taking the touch back lowers the campaign's count.

It says that an influencing touch is kept out of a campaign for a reason exactly if taking it back lowers what the campaign's
overview counts as `excluded` for that reason; a touch that does not influence is in no `excluded`.
"""

import asyncio
import os
import random
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import Workspace
from tests.properties.oracle import Oracle, order
from tests.properties.test_store_agrees_with_oracle import play
from tests.properties.worlds import SOCIAL_POSTS_MAX, world
from touchline.compose import Running

PAIRS = {"counts": 0, "excluded": 0, "neither": 0}  # of a touch and a campaign that were compared, by what was lowered
NO_SCANNERS = {
    "type": "workspace_configured", "id": "no-scanners", "occurred_at": "2026-01-01T00:00:00Z",
    "settings": {"machine_rules": {"mail_scanners": False}},
}  # fmt: skip
EXAMPLES = int(os.environ.get("TOUCHLINE_COUNTS_EXAMPLES", "60"))


async def counts(client: httpx.AsyncClient) -> dict[str, dict[str, dict[str, int]]]:
    items = (await client.get("/v1/campaigns?limit=1000")).json()["items"]
    return {item["campaign_id"]: {kind: item[kind] for kind in ("touches", "excluded")} for item in items}


def lowered(before: dict[str, dict[str, dict[str, int]]], without: dict[str, dict[str, dict[str, int]]]) -> set[Any]:
    """The numbers that are smaller without a touch, as (campaign, kind, type or reason)."""
    return {
        (campaign, kind, what)
        for campaign, kinds in before.items()
        for kind, numbers in kinds.items()
        for what, n in numbers.items()
        if without[campaign][kind].get(what, 0) < n
    }


def explained(value: dict[str, Any]) -> set[Any]:
    """The numbers that an explanation says a touch is in."""
    influencing = Oracle([]).influencing({"type": value["type"], "list_type": value.get("list_type")})
    return {
        (c["campaign_id"], "touches", value["type"]) if c["counts"] else (c["campaign_id"], "excluded", c["reason"])
        for c in value["campaigns"]
        if c["counts"] or influencing
    }


async def contradictions(workspace: Workspace, touches: list[dict[str, Any]]) -> list[str]:
    """Take back one touch after the other, each restored with the next one's going."""
    out = []
    async with workspace.client() as client:
        before = await counts(client)
        restored: list[dict[str, Any]] = []
        for n, touch in enumerate(touches):
            answer = (await client.get(f"/v1/events/{quote(touch['id'], safe='')}/explain")).json()
            explained_routes = explained({**answer, "list_type": touch.get("list_type")})
            taken = {"type": "event_retracted", "id": f"taken-{n}", "event_id": touch["id"]}
            assert (await workspace.send(*restored, taken)).status_code == 202
            restored = [{"type": "event_retracted", "id": f"restored-{n}", "event_id": taken["id"]}]
            await workspace.project(social_posts_max=SOCIAL_POSTS_MAX)
            found = lowered(before, await counts(client))
            for campaign in before:
                kind = next((kind for c, kind, _ in found if c == campaign), "neither")
                PAIRS["counts" if kind == "touches" else kind] += 1
            if found != explained_routes:
                out.append(f"{touch['id']}: is said to be in {sorted(explained_routes)}, lowers {sorted(found)}")
    return out


@given(rng=st.randoms(note_method_calls=False, use_true_random=True), size=st.integers(10, 60))
@settings(max_examples=EXAMPLES, deadline=None, print_blob=True, database=None, suppress_health_check=list(HealthCheck))
def check(running: Running, runner: asyncio.Runner, rng: random.Random, size: int) -> None:
    # who is staff, and what a mail scanner did, hangs on other touches too: one that is taken back may have identified the
    # visitor of another, or made its clicks a scanner's
    answer = [e for e in world(rng, size) if "internal_domains" not in e.get("settings", {})]
    events = [*answer, NO_SCANNERS]
    seed = rng.randrange(2**32)
    touches = Oracle(events, SOCIAL_POSTS_MAX).touches

    async def run() -> list[str]:
        workspace = await play(running, events, random.Random(seed))
        return await contradictions(workspace, touches)

    found = runner.run(run())
    assert not found, "\n".join([*found, *map(repr, sorted(events, key=order))])


@pytest.mark.timeout(7200)
def test_a_touch_counts_where_its_loss_is_felt(running: Running, runner: asyncio.Runner) -> None:
    check(running, runner)
    print(f"pairs of a touch and a campaign: {PAIRS}")
    assert all(PAIRS.values())
