"""The deals of campaigns are the same numbers by stored sums as by touches, whatever comes after the sums of their days were made."""

import asyncio
from typing import Any

from tests.conftest import Workspace
from tests.system.test_sums_of_credit import BEGUN, CATALOG, KARI, KNOWN, SOLD, sale, same_before_and_after, visit

OLA = {"id": "8"}
HOLD = {"type": "asset_associated", "asset_id": "p", "campaign_id": "other"}
METRICS = ("influenced_deals", "closed_deals", "contacts_with_revenue", "contacts_with_attributed_revenue", "influenced_revenue",
           "attributed_revenue")  # fmt: skip


async def deals(workspace: Workspace, campaign: str = "c", asked: str = "") -> tuple[Any, ...]:
    """Deals, won ones, contacts with revenue, those with attributed revenue, and both amounts by currency."""
    answer = (await workspace.get(f"/v1/campaigns/{campaign}/overview?model=linear{asked}")).json()
    *counts, influenced, attributed = (answer["metrics"][name] for name in METRICS)
    return *counts, *({m["currency"]: m["amount"] for m in amounts} for amounts in (influenced, attributed))


async def numbers_after(workspace: Workspace, *events: dict[str, Any], campaign: str = "c") -> tuple[Any, ...]:
    """The numbers after some events."""
    return await same_before_and_after(workspace, events, lambda asked: deals(workspace, campaign, asked))


ONE = (1, 1, 1, 1, {"EUR": "100.00"}, {"EUR": "100.00"})


def test_whole_days_are_read_from_sums_alone(workspace: Workspace, runner: asyncio.Runner) -> None:
    async def check() -> None:
        assert await numbers_after(workspace, *SOLD) == ONE
        running = workspace.running
        async with running.pool.acquire() as raw:
            await raw.execute(f"DELETE FROM {running.generation.name}.deal_touch")
        assert await deals(workspace, asked="&from=2024-03-02T00:00:00Z&to=2024-03-03T00:00:00Z") == ONE

    runner.run(check())


def test_an_open_deal_counts_beside_the_won_ones(workspace: Workspace, runner: asyncio.Runner) -> None:
    async def check() -> None:
        await numbers_after(workspace, *SOLD)
        created = {
            "type": "deal_created",
            "deal_id": "open",
            "amount": "7.00",
            "contacts": [KARI],
            "occurred_at": "2024-03-03T09:00:00Z",
        }
        assert await numbers_after(workspace, created) == (2, *ONE[1:])
        assert await numbers_after(workspace, visit("2024-03-04T10:00:00Z")) == (2, *ONE[1:])

    runner.run(check())


def test_a_part_of_a_day_is_read_from_the_touches(workspace: Workspace, runner: asyncio.Runner) -> None:
    async def check() -> None:
        more = [*sale("e", "2024-03-03T12:00:00Z", "10.00"), *sale("f", "2024-03-04T12:00:00Z", "1.00")]
        assert (await numbers_after(workspace, *SOLD, *more))[4] == {"EUR": "111.00"}
        for begin, end, wanted in (
            ("02T12:00:00Z", "04T12:00:00.000001Z", "111.00"),
            ("02T12:00:00.000001Z", "04T12:00:00Z", "10.00"),
            ("03T00:00:00Z", "05T00:00:00Z", "11.00"),
        ):
            found = await deals(workspace, asked=f"&from=2024-03-{begin}&to=2024-03-{end}")
            assert (found[4], found[5], found[2], found[3]) == ({"EUR": wanted}, {"EUR": wanted}, 1, 1)

    runner.run(check())


def test_a_moved_asset_changes_deals_also_where_its_touch_is_in_no_journey(
    workspace: Workspace, runner: asyncio.Runner
) -> None:
    async def check() -> None:
        short = {"type": "workspace_configured", "settings": {"lookback_days": 1}, "occurred_at": BEGUN}
        late = sale("d", "2024-03-09T12:00:00Z")  # the visit is older than the lookback: it earns nothing
        counted = (1, 1, 1, 0, {"EUR": "100.00"}, {})
        assert await numbers_after(workspace, *CATALOG, KNOWN, short, visit("2024-03-01T10:00:00Z"), *late) == counted
        moved = HOLD | {"occurred_at": "2024-02-01T00:00:00Z", "id": "moved"}
        assert await numbers_after(workspace, moved) == (0, 0, 0, 0, {}, {})
        assert await deals(workspace, "other") == counted
        assert await numbers_after(workspace, {"type": "event_retracted", "event_id": "moved"}) == counted

    runner.run(check())


def test_a_contact_of_two_days_and_two_currencies_counts_once(workspace: Workspace, runner: asyncio.Runner) -> None:
    async def check() -> None:
        dollars = sale("e", "2024-03-03T12:00:00Z", "10.00")
        dollars[0] |= {"currency": "USD"}
        money = {"EUR": "100.00", "USD": "10.00"}
        assert await numbers_after(workspace, *SOLD, *dollars) == (2, 2, 1, 1, money, money)

    runner.run(check())


def test_a_refund_on_another_day_takes_what_its_contact_earned(workspace: Workspace, runner: asyncio.Runner) -> None:
    async def check() -> None:
        assert await numbers_after(workspace, *SOLD) == ONE
        refund = sale("refund", "2024-03-04T12:00:00Z", "-100.00")
        assert await numbers_after(workspace, *refund) == (2, 2, 1, 0, {"EUR": "0.00"}, {"EUR": "0.00"})

    runner.run(check())


def test_a_deal_of_two_campaigns_is_split_between_them(workspace: Workspace, runner: asyncio.Runner) -> None:
    async def check() -> None:
        claim = {"type": "campaign_created", "campaign_id": "other", "utm_campaign": "o", "occurred_at": BEGUN}
        assert await numbers_after(workspace, *CATALOG, KNOWN, claim, visit("2024-03-01T10:00:00Z", "/p?utm_campaign=o"),
                          *sale("d", "2024-03-02T12:00:00Z", "0.03")) == (1, 1, 1, 1, {"EUR": "0.03"}, {"EUR": "0.02"})  # fmt: skip
        assert (await deals(workspace, "other"))[4:] == ({"EUR": "0.03"}, {"EUR": "0.01"})

    runner.run(check())


def test_a_reopened_and_a_lost_deal_leave_their_day(workspace: Workspace, runner: asyncio.Runner) -> None:
    async def check() -> None:
        await numbers_after(workspace, *SOLD)
        lost = {"type": "deal_closed", "deal_id": "d", "won": False, "occurred_at": "2024-03-05T12:00:00Z"}
        assert await numbers_after(workspace, lost) == (0, 0, 0, 0, {}, {})

    runner.run(check())
