"""Goals of campaigns: set by events and by calls, refused where a metric cannot have them, and shown beside the numbers."""

import asyncio
from typing import Any

import pytest

from tests.conftest import Workspace

AT = {"occurred_at": "2024-03-01T00:00:00Z"}


@pytest.mark.parametrize(
    ("goals", "code", "field"),
    [
        ({"sessions": "1.5"}, "bad_value", "goals.sessions"), ({"attributed_revenue": "1.505"}, "bad_value", "goals.attributed_revenue"),
        ({"fame": "1"}, "bad_value", "goals"), ({"sessions": 10}, "wrong_type", "goals"), ({"sessions": "-1"}, "bad_value", "goals"),
    ],
)  # fmt: skip
def test_a_goal_that_its_metric_cannot_have_is_refused_with_its_place(
    workspace: Workspace, runner: asyncio.Runner, goals: dict[str, Any], code: str, field: str
) -> None:
    event = {"type": "campaign_created", "campaign_id": "c", "currency": "EUR", "goals": goals, **AT}
    (rejected,) = runner.run(workspace.send(event)).json()["rejected"]
    assert rejected["code"] == code
    assert rejected["field"].startswith(field)


def test_goals_by_call_are_appended_once_and_stand_beside_the_numbers(
    workspace: Workspace, runner: asyncio.Runner
) -> None:
    async def check() -> None:
        body = {"name": "Spring", "currency": "EUR", "goals": {"sessions": "10", "attributed_revenue": "100"}}
        async with workspace.client("server") as client:
            changed = []
            for _ in range(2):
                await workspace.project()  # what other tests left in the partition, too: a call waits for it
                changed.append((await client.put("/v1/campaigns/spring", json=body)).json()["changed"])
        await workspace.project()
        assert changed == [True, False]
        wanted = {"sessions": 10, "attributed_revenue": {"amount": "100.00", "currency": "EUR"}}
        assert (await workspace.get("/v1/campaigns/spring/overview")).json()["goals"] == wanted
        (listed,) = (await workspace.get("/v1/campaigns")).json()["items"]
        (named,) = (await workspace.get("/v1/campaigns?numbers=false")).json()["items"]
        assert listed["goals"] == named["goals"] == wanted

    runner.run(check())
