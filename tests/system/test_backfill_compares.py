"""A backfill says which of its events are new, which replace others, and which conflict with what was sent before."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from services.replay import earlier_events
from services.replay.backfill import Backfill, Tally
from services.replay.earlier_events import FATES, EarlierEvents
from shared.access.keys import HINT_CHARACTERS
from shared.projection.generations import NoGeneration
from tests.conftest import Workspace
from tests.processes import Up, start


def deal(n: int, amount: str = "100.00", as_of: str | None = None, **more: object) -> dict[str, Any]:
    event = {"type": "deal_created", "id": f"deal-{n}", "deal_id": f"{n}", "amount": amount,
            "occurred_at": "2024-03-01T00:00:00Z", **more}  # fmt: skip
    return event if as_of is None else event | {"as_of": f"2024-06-{as_of}T00:00:00Z"}


def write(path: Path, *events: object) -> Path:
    path.write_bytes(b"".join(orjson.dumps(event) + b"\n" for event in events))
    return path


async def sent(
    workspace: Workspace, path: Path, *events: object, dry_run: bool = False, project: bool = True,
    known: EarlierEvents | None = None,
) -> Tally:  # fmt: skip
    running = workspace.running
    write(path, *events)
    sender = Backfill(running.pool, running.log, workspace.name, 1e9, lambda _: None, dry_run, known=known)
    tally = await sender.run(path)
    if project:
        await workspace.project()
    return tally


def counts(tally: Tally) -> dict[str, int]:
    return {fate: tally.compared.counts[fate] for fate in FATES if tally.compared.counts[fate]}


CASES: list[tuple[str, list[Any], list[Any], dict[str, int]]] = [
    ("the same file twice", [deal(1), deal(2)], [deal(1), deal(2)], {"duplicates": 2}),
    ("the same with its fields in another order", [deal(1)], [dict(reversed(deal(1).items()))], {"duplicates": 1}),
    ("a changed row without as_of", [deal(1), deal(2)], [deal(1, "250.00"), deal(2)], {"duplicates": 1, "conflicts": 1}),
    ("a changed row as of a later export", [deal(1, "1", "01")], [deal(1, "2", "08")], {"updated": 1}),
    ("a changed row, the first export of which said no as_of", [deal(1, "1")], [deal(1, "2", "08")], {"updated": 1}),
    ("an unchanged row as of a later export", [deal(1, "1", "01")], [deal(1, "1", "08")], {"duplicates": 1}),
    ("an unchanged row, the first export of which said no as_of", [deal(1)], [deal(1, as_of="08")], {"duplicates": 1}),
    ("an older export after a newer one", [deal(1, "2", "08")], [deal(1, "1", "01")], {"superseded": 1}),
    ("an export without as_of after one with it", [deal(1, "2", "08")], [deal(1, "1")], {"superseded": 1}),
    ("two exports that say the same as_of", [deal(1, "2", "08")], [deal(1, "1", "08")], {"conflicts": 1}),
    ("one row twice in a file", [], [deal(1), deal(1), deal(2)], {"new": 2, "duplicates": 1}),
    ("two contents of one id in a file", [], [deal(1), deal(1, "7"), deal(1)], {"new": 1, "duplicates": 1, "conflicts": 1}),
    ("three states of one id in a file", [], [deal(1, "1", "01"), deal(1, "2", "03"), deal(1, "3", "02")],
     {"new": 1, "updated": 1, "superseded": 1}),
    ("another type of event under the id", [deal(1)], [{"type": "deal_deleted", "id": "deal-1", "deal_id": "1",
     "occurred_at": "2024-03-01T00:00:00Z"}], {"conflicts": 1}),
    ("a version sent again with no instant moves in time", [],
     [{"type": "deal_reopened", "id": "r", "deal_id": "1", "as_of": f"2024-06-0{day}T00:00:00Z"} for day in (1, 2, 1)],
     {"new": 1, "updated": 1, "superseded": 1}),
]  # fmt: skip


@pytest.mark.parametrize("projected", [True, False], ids=["projected", "at rest"])
@pytest.mark.parametrize(("before", "events", "wanted"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_a_backfill_counts_what_becomes_of_its_events(
    workspace: Workspace, runner: asyncio.Runner, tmp_path: Path, before: list[Any], events: list[Any],
    wanted: dict[str, int], projected: bool,
) -> None:  # fmt: skip
    """As the dry run foretells it, whether the store projects or not."""

    async def check() -> None:
        if before:
            await sent(workspace, tmp_path / "before", *before, project=projected)
        foretold = await sent(workspace, tmp_path / "file", *events, dry_run=True, project=False)
        done = await sent(workspace, tmp_path / "file", *events, project=projected)
        assert counts(foretold) == counts(done) == wanted
        assert done.compared.unknown is None

    runner.run(check())


def test_the_count_of_conflicts_is_that_of_the_dead_letters_which_name_the_backfill(
    workspace: Workspace, runner: asyncio.Runner, tmp_path: Path
) -> None:
    async def check() -> None:
        await sent(workspace, tmp_path / "week1", *(deal(n) for n in range(12)))
        tally = await sent(workspace, tmp_path / "week2", *(deal(n, "250.00") for n in range(12)))
        assert counts(tally) == {"conflicts": 12}
        assert tally.compared.conflicts[0] == {"source": str(tmp_path / "week2"), "line": 1, "id": "deal-0"}
        assert len(tally.compared.conflicts) == earlier_events.CONFLICTS_SHOWN
        status = (await workspace.get("/v1/status")).json()
        assert status["dead_letters_by"] == [{"reason": "conflicting_duplicate", "key": "backfill", "events": 12}]

    runner.run(check())


def test_files_of_one_run_are_compared_with_each_other(
    workspace: Workspace, runner: asyncio.Runner, tmp_path: Path
) -> None:
    async def check() -> None:
        for dry_run in (True, False):
            known = EarlierEvents(workspace.running.pool, workspace.running.log, workspace.name)
            found = [
                await sent(workspace, tmp_path / f"{n}", deal(1, as_of=f"0{n}"), deal(2, f"{n}"), dry_run=dry_run,
                           project=False, known=known)
                for n in (1, 2)
            ]  # fmt: skip
            assert [counts(tally) for tally in found] == [{"new": 2}, {"duplicates": 1, "conflicts": 1}]

    runner.run(check())


def test_ids_beyond_the_limit_are_said_to_be_forgotten_and_the_last_ones_are_remembered(
    workspace: Workspace, runner: asyncio.Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(earlier_events, "IDS_MAX", 10)

    async def check() -> None:
        await workspace.project()  # what other tests have left in its partition counts as unknown too
        events = [deal(n) for n in range(25)]
        tally = await sent(workspace, tmp_path / "file", *events, deal(24, "7"), deal(0, "7"), project=False)
        assert counts(tally) == {"new": 26, "conflicts": 1}
        assert tally.compared.unknown is not None
        assert tally.compared.unknown.startswith("16 ids were dropped")
        again = await sent(workspace, tmp_path / "file", deal(24), deal(3), project=False)
        assert counts(again) == {"new": 1, "duplicates": 1}
        assert again.compared.unknown is not None
        await workspace.project()
        projected = await sent(workspace, tmp_path / "file", *events)
        assert counts(projected)["duplicates"] >= 23  # two ids were sent twice, and either version may count
        assert projected.compared.unknown is None

    runner.run(check())


def test_a_projection_that_keeps_up_frees_the_memory(
    workspace: Workspace, runner: asyncio.Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a long file no more ids are remembered than are not projected yet."""
    monkeypatch.setattr(earlier_events, "IDS_MAX", 3_000)
    running = workspace.running

    class Projecting(Backfill):
        async def _append(self, records: Any) -> Any:
            after = await super()._append(records)
            await workspace.project()
            return after

    async def check() -> None:
        path = write(tmp_path / "long", *(deal(n) for n in range(10_000)), deal(5, "7"))
        tally = await Projecting(running.pool, running.log, workspace.name, 1e9, lambda _: None).run(path)
        assert counts(tally) == {"new": 10_000, "conflicts": 1}
        assert tally.compared.unknown is None

    runner.run(check())


def test_without_a_live_projection_an_event_is_compared_with_the_log_of_the_backfill(
    workspace: Workspace, runner: asyncio.Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(_: object) -> None:
        raise NoGeneration("no projector has begun here yet")

    async def check() -> None:
        await sent(workspace, tmp_path / "before", deal(1))
        monkeypatch.setattr(earlier_events, "live_generation", nothing)
        tally = await sent(workspace, tmp_path / "file", deal(1), deal(2))
        assert (counts(tally), tally.compared.unknown) == ({"new": 1, "duplicates": 1}, None)

    runner.run(check())


def test_a_projection_of_another_release_is_said_not_to_have_been_compared(
    workspace: Workspace, runner: asyncio.Runner, tmp_path: Path
) -> None:
    async def check() -> None:
        pool = workspace.running.pool
        await sent(workspace, tmp_path / "before", deal(1))
        shape = await pool.fetchval("SELECT shape FROM touchline.live_generation")
        await pool.execute("UPDATE touchline.live_generation SET shape = 'older'")
        try:
            tally = await sent(workspace, tmp_path / "file", deal(1), deal(2), deal(2), project=False)
        finally:
            await pool.execute("UPDATE touchline.live_generation SET shape = $1", shape)
        assert counts(tally) == {"new": 2, "duplicates": 1}
        assert "replay rebuild" in (tally.compared.unknown or "")

    runner.run(check())


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Up, Path]]:
    data = tmp_path_factory.mktemp("compares") / "data"
    up = start(data)
    yield up, data
    assert up.stop() == 0


def run(data: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "touchline", *arguments, "--data", str(data)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_command_shows_conflicts_and_exits_1_and_status_shows_which_key_sent_how_many(
    up: tuple[Up, Path], tmp_path: Path
) -> None:
    running, data = up
    write(tmp_path / "a.ndjson", deal(1), deal(2), deal(3, as_of="01"))
    write(tmp_path / "b.ndjson", deal(1), deal(2, "7"), deal(3, "7", as_of="02"))
    both = [str(tmp_path / "a.ndjson"), str(tmp_path / "b.ndjson")]
    dry = run(data, "backfill", *both, "--dry-run", "--json")
    assert dry.returncode == 1
    done = run(data, "backfill", *both)
    assert done.returncode == 1
    assert "3  of them new" in done.stdout
    assert "conflicts: 1" in done.stderr
    assert "b.ndjson, line 2: deal-2" in done.stderr
    again = run(data, "backfill", both[0], "--json")
    output = orjson.loads(again.stdout)["sources"][both[0]]
    foretold = orjson.loads(dry.stdout)["sources"][both[1]]
    assert foretold["compared"] == {"new": 0, "duplicates": 1, "updated": 1, "superseded": 0, "conflicts": 1}
    assert foretold["first_conflicts"] == [{"source": both[1], "line": 2, "id": "deal-2"}]
    assert output["not_compared"] is None
    for key, events in (("server", [deal(10, "8"), deal(10, "9")]), ("collect", [visit("1"), visit("2"), visit("3")])):
        with running.client(key) as client:
            assert client.post("/v1/events", json=events).status_code == 202
    hints = {key: running.keys[key][:HINT_CHARACTERS] for key in ("server", "collect")}
    wanted = {("conflicting_duplicate", hints["server"]): 1, ("conflicting_duplicate", hints["collect"]): 2}
    until_s = time.monotonic() + 120
    while time.monotonic() < until_s:
        status = orjson.loads(run(data, "status", "--json").stdout)
        found = {(row["reason"], row["key"]): row["events"] for row in status["dead_letters_by"]}
        if wanted.items() <= found.items():
            break
        time.sleep(0.1)
    assert wanted.items() <= found.items()
    assert f"{hints['server']}…" in run(data, "status").stdout
    with running.client("read") as client:
        letters = client.get("/v1/status").json()["dead_letters_by"]
        metrics = client.get("/metrics").text
    assert {"reason": "conflicting_duplicate", "key": hints["collect"], "events": 2} in letters
    counted = [line for line in metrics.splitlines() if line.startswith("touchline_projector_dead_letters_total")]
    assert counted == [
        f'touchline_projector_dead_letters_total{{reason="conflicting_duplicate"}} {float(status["dead_letters"])}'
    ]


def visit(path: str) -> dict[str, object]:
    return {"type": "page_visited", "id": "v", "visitor_id": "v", "url": f"https://x.example/{path}"}
