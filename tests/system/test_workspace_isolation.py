"""A workspace shares its partition of the log with others, and learns nothing of how much they send."""

import asyncio
import itertools
from datetime import datetime, timedelta

import pytest

from shared.access.positions import Positions
from shared.access.scopes import OPERATOR_WORKSPACE
from shared.log.port import Position
from tests.conftest import Workspace, new_workspace
from touchline.compose import Running

VISIT = {"type": "page_visited", "visitor_id": "v", "url": "https://shop.example/"}


async def two_of_one_partition(running: Running) -> tuple[Workspace, Workspace]:
    one = await new_workspace(running, "one")
    for _ in range(100):
        other = await new_workspace(running, "other")
        if other.partition == one.partition:
            return one, other
    raise AssertionError("no two workspaces of one partition")


def test_what_the_neighbours_send_shows_in_no_number(running: Running, runner: asyncio.Runner) -> None:
    async def check() -> None:
        one, other = await two_of_one_partition(running)
        sent = (await one.send(VISIT)).json()["position"]
        await one.project()
        before = (await one.get("/v1/status")).json()
        assert sent == before["as_of"]
        await other.send(*[VISIT] * 777)
        behind = (await one.get("/v1/status")).json()
        assert behind["up_to_date"] is False
        await one.project()
        after = (await one.get("/v1/status")).json()
        assert after["up_to_date"] is True
        for each in (before, behind, after):
            assert each["projected_offset"] is each["log_end_offset"] is each["lag_events"] is each["partition"] is None
            del each["as_of"], each["workspace"], each["up_to_date"]
        settled = [datetime.fromisoformat(each.pop("settled_through")) for each in (before, behind, after)]
        assert max(settled) - min(settled) <= timedelta(minutes=1)  # it goes on with the clock, in steps of a minute
        assert before == behind == after
        answer = await one.get(f"/v1/status?after={sent}")
        assert answer.status_code == 200
        foreign = await other.get(f"/v1/status?after={sent}")
        assert (foreign.status_code, foreign.json()["field"]) == (422, "after")

    runner.run(check())


def test_a_position_is_read_back_and_does_not_reveal_its_offset() -> None:
    positions, others = Positions(b"a secret"), Positions(b"another")
    found = [positions.write("w", Position(3, offset)) for offset in range(2_000)]
    assert [positions.read("w", text) for text in found] == [Position(3, offset) for offset in range(2_000)]
    assert len(set(found)) == 2_000
    assert abs(sum(a < b for a, b in itertools.pairwise(found)) - 1_000) < 150  # no order
    assert found[5] != positions.write("x", Position(3, 5))
    assert found[5] != others.write("w", Position(3, 5))
    assert positions.write("w", Position(65_535, 2**48 - 1)) == positions.write(
        "w", positions.read("w", positions.write("w", Position(65_535, 2**48 - 1)))
    )


def test_the_operator_reads_positions_as_they_are() -> None:
    assert Positions(b"a secret").write(OPERATOR_WORKSPACE, Position(1, 22)) == "p1-22"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "p1-22",
        "q",
        "q" + "g" * 16,
        "q" + "0" * 15,
        "q" + "0" * 17,
        "q" + "٣" * 16,
        "Q" + "0" * 16,
        "q" + "0" * 8_000,
        "q-" + "0" * 15,
    ],
)
def test_what_is_no_position_says_so(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        Positions(b"a secret").read("w", text)
