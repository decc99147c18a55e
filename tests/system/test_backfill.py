"""History comes in from files: whole, once, at its own time, however often and however interrupted it is sent."""

import asyncio
import gzip
import itertools
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
import zstandard

from services.replay.backfill import Backfill, BackfillProgress, Tally
from services.replay.sources import Unreadable
from tests.conftest import Workspace
from tests.processes import Up, start

CAMPAIGN = {"type": "campaign_created", "id": "c", "campaign_id": "c", "utm_campaign": "c",
            "occurred_at": "2020-01-01T00:00:00Z"}  # fmt: skip


def visit(n: int, **more: object) -> dict[str, object]:
    return {"type": "page_visited", "visitor_id": f"v{n}", "url": "https://x.example/?utm_campaign=c",
            "occurred_at": f"2021-01-{1 + n % 28:02d}T00:00:00Z", **more}  # fmt: skip


def write(path: Path, *events: object) -> Path:
    body = b"".join(orjson.dumps(event) + b"\n" for event in events)
    packed = {".gz": gzip.compress, ".zst": zstandard.ZstdCompressor().compress}.get(path.suffix, bytes)
    path.write_bytes(packed(body))
    return path


async def backfill(workspace: Workspace, path: Path, *, dry_run: bool = False) -> Tally:
    running = workspace.running
    sender = Backfill(running.pool, running.log, workspace.name, 1e9, lambda _: None, dry_run)
    tally = await sender.run(path)
    await workspace.project()
    return tally


async def views(workspace: Workspace) -> int:
    return int((await workspace.get("/v1/campaigns/c/overview")).json()["metrics"]["page_views"])


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
def test_a_file_counts_once_however_often_it_is_sent(
    workspace: Workspace, runner: asyncio.Runner, tmp_path: Path, suffix: str
) -> None:
    """Events without an id have one made of what they say."""

    async def check() -> None:
        path = write(tmp_path / f"events.ndjson{suffix}", CAMPAIGN, *(visit(n) for n in range(2_500)))
        first, second = await backfill(workspace, path), await backfill(workspace, path)
        assert dict(first.accepted) == dict(second.accepted) == {"campaign_created": 1, "page_visited": 2_500}
        assert await views(workspace) == 2_500
        assert {p.name for p in tmp_path.iterdir()} == {path.name}

    runner.run(check())


def test_what_is_refused_is_written_beside_its_source_and_the_rest_counts(
    workspace: Workspace, runner: asyncio.Runner, tmp_path: Path
) -> None:
    async def check() -> None:
        timeless = {name: value for name, value in visit(1).items() if name != "occurred_at"}
        path = write(tmp_path / "e.ndjson", CAMPAIGN, visit(1, odd=1), visit(2), timeless, "no event", visit(3))
        tally = await backfill(workspace, path)
        assert (tally.accepted.total(), await views(workspace)) == (3, 2)
        refused = [orjson.loads(line) for line in (tmp_path / "e.ndjson.refused.ndjson").read_bytes().splitlines()]
        assert [(r["line"], r["code"], r["field"]) for r in refused] == [
            (2, "unknown_field", "odd"), (4, "missing_field", "occurred_at"), (5, "wrong_type", None),
        ]  # fmt: skip
        assert orjson.loads(refused[0]["event"])["odd"] == 1

    runner.run(check())


@pytest.mark.parametrize("weight", ["abc", "1e999999999", "nan", -1, None, [1]])
def test_a_bad_weight_is_refused_by_its_line_and_the_rest_counts(
    workspace: Workspace, runner: asyncio.Runner, tmp_path: Path, weight: object
) -> None:
    model = {"type": "model_defined", "id": "m", "occurred_at": "2024-01-01T00:00:00Z", "model": "m"}

    async def check() -> None:
        path = write(tmp_path / "e.ndjson", CAMPAIGN, model | {"weights": {"first": weight}}, visit(1))
        tally = await backfill(workspace, path)
        assert (tally.accepted.total(), await views(workspace)) == (2, 1)
        (refused,) = (tmp_path / "e.ndjson.refused.ndjson").read_bytes().splitlines()
        assert orjson.loads(refused)["line"] == 2
        assert "weights" in orjson.loads(refused)["message"] + str(orjson.loads(refused)["field"])

    runner.run(check())


RUBBISH = [b"", b"\x80", b"[]", b"12", b'"lines"', b'{"lines":']


@pytest.mark.parametrize("rubbish", [*RUBBISH, b'{"lines":"many",OF}', b'{"lines":null,OF}', b"{OF}"])
def test_a_mark_of_an_earlier_run_that_is_none_is_said_in_a_clear_word(
    workspace: Workspace, runner: asyncio.Runner, tmp_path: Path, rubbish: bytes
) -> None:
    path = write(tmp_path / "e.ndjson", visit(1))
    of = orjson.dumps(dict(BackfillProgress(path, workspace.name, workspace.running.log.identity)._of)).strip(b"{}")
    mark = tmp_path / "e.ndjson.backfill"
    mark.write_bytes(rubbish.replace(b"OF", of))
    with pytest.raises(Unreadable, match="should say how many lines an earlier run has sent"):
        runner.run(backfill(workspace, path))
    mark.unlink()
    assert runner.run(backfill(workspace, path)).accepted.total() == 1


@pytest.mark.parametrize("rubbish", [*RUBBISH[1:], b"{}", b'{"line":"x"}', b'{"line":1}\n\n'])
def test_a_file_of_refusals_that_is_none_is_said_in_a_clear_word_and_left_alone(
    workspace: Workspace, runner: asyncio.Runner, tmp_path: Path, rubbish: bytes
) -> None:
    path = write(tmp_path / "e.ndjson", visit(1))
    refused = tmp_path / "e.ndjson.refused.ndjson"
    refused.write_bytes(rubbish)
    with pytest.raises(Unreadable, match="is not what an earlier run has written there; move the file away"):
        runner.run(backfill(workspace, path))
    assert refused.read_bytes() == rubbish
    refused.unlink()
    assert runner.run(backfill(workspace, path)).accepted.total() == 1


def test_a_dry_run_sends_and_writes_nothing(workspace: Workspace, runner: asyncio.Runner, tmp_path: Path) -> None:
    async def check() -> None:
        path = write(tmp_path / "e.ndjson", CAMPAIGN, visit(1), {"type": "nothing"})
        end = await workspace.running.log.end(workspace.partition)
        tally = await backfill(workspace, path, dry_run=True)
        assert (dict(tally.accepted), dict(tally.refused)) == (
            {"campaign_created": 1, "page_visited": 1},
            {"unknown_type": 1},
        )
        assert tally.first[0]["line"] == 3
        assert await workspace.running.log.end(workspace.partition) == end
        assert [p.name for p in tmp_path.iterdir()] == ["e.ndjson"]

    runner.run(check())


def test_a_file_that_is_cut_says_so_and_what_was_whole_is_in(
    workspace: Workspace, runner: asyncio.Runner, tmp_path: Path
) -> None:
    async def check() -> None:
        path = write(tmp_path / "e.ndjson.gz", CAMPAIGN, *(visit(n, id=f"{random.random()}") for n in range(5_000)))
        path.write_bytes(path.read_bytes()[:-2_000])
        with pytest.raises(OSError, match="cannot be decompressed"):
            await backfill(workspace, path)
        await workspace.project()
        assert 1_000 < await views(workspace) < 5_000

    runner.run(check())


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Up, Path]]:
    data = tmp_path_factory.mktemp("backfill") / "data"
    up = start(data)
    yield up, data
    assert up.stop() == 0


def run(data: Path, *arguments: str, sent: bytes | None = None) -> "subprocess.CompletedProcess[bytes]":
    command = [sys.executable, "-m", "touchline", "backfill", *arguments, "--data", str(data)]
    return subprocess.run(command, input=sent, capture_output=True, check=False)


def shown(up: Up, wanted: int) -> None:
    with up.client("read") as client:
        until_s = time.monotonic() + 120
        while time.monotonic() < until_s:
            count = client.get("/v1/campaigns/c/overview").json().get("metrics", {}).get("page_views")
            if count == wanted:
                return
            time.sleep(0.1)
    raise AssertionError(f"{count} page views, not {wanted}")


def test_the_command_takes_globs_and_standard_input_and_shows_what_is_wrong(
    up: tuple[Up, Path], tmp_path: Path
) -> None:
    running, data = up
    write(tmp_path / "a.ndjson", CAMPAIGN, visit(1), visit(2))
    write(tmp_path / "b.ndjson", visit(3), {"type": "nothing"})
    dry = run(data, str(tmp_path / "*.ndjson"), "--dry-run")
    assert dry.returncode == 1
    assert b"would be sent: 4 events" in dry.stdout
    done = run(data, str(tmp_path / "*.ndjson"))
    assert done.returncode == 1
    assert b"b.ndjson, line 2: type" in done.stderr
    assert (tmp_path / "b.ndjson.refused.ndjson").exists()
    assert run(data, "-", "--json", sent=orjson.dumps(visit(4))).returncode == 0
    shown(running, 4)
    assert run(data, str(tmp_path / "none*")).returncode == 2


DEALS = """Record ID,Deal Name,Deal Stage,Close Date,Amount,Create Date,Associated Contact IDs
t1,a,Signed,05/04/2024,100,2024-03-01 09:00,8001
t2,b,Negotiation,,50,2024-03-01 09:00,
t3,c,Signed,5/4/2024,1.200,2024-03-01 09:00,8001
t4,d,Dead (Sales),06/04/2024,1,2024-03-01 09:00,8001
,,,,,,
t5,e,Signed
"""
OPTIONS = ("--mapping", "hubspot-deals", "--day-first", "--won-stage", "Signed", "--lost-stage", "Dead", "--zone", "Europe/Oslo",
           "--as-of", "2024-05-01T00:00:00Z")  # fmt: skip


def test_the_summary_accounts_for_every_row_of_a_table(up: tuple[Up, Path], tmp_path: Path) -> None:
    running, data = up
    (tmp_path / "deals.csv").write_text(DEALS)
    for dry in ("--dry-run",), ():
        done = run(data, str(tmp_path / "deals.csv"), *OPTIONS, *dry, "--json")
        assert done.returncode == 1
        output = orjson.loads(done.stdout)["sources"][str(tmp_path / "deals.csv")]
        assert output["accepted"] == {"deal_created": 3, "deal_updated": 6, "deal_closed": 2, "deal_reopened": 1}
        assert output["rows"] == {"read": 6, "with_events": 3, "without_events": 1, "refused": 2}
        assert output["unmet_values"] == {"Deal Stage": {"rows": 1, "values": {"Negotiation": 1}}}
        assert "Currency|Deal Currency Code|Deal Currency" in output["missing_columns"]
        assert output["deals"] == {
            "rows": 3, "won": 1, "lost": 1, "open": 1, "without_contact": 1, "won_without_amount": 0,
            "can_never_count": {"no_contact": 1, "deal_lost": 1},
        }  # fmt: skip
        assert [(r["line"], r["field"]) for r in output["first_refusals"]] == [(4, "amount"), (7, None)]
    with running.client("read") as client:
        while not client.get("/v1/status").json()["up_to_date"]:
            time.sleep(0.1)
        deal = client.get("/v1/deals/t1/attribution").json()
        assert deal["amount"] == {"amount": "100.00", "currency": "EUR"}
        assert (
            client.get("/v1/events/hubspot-deal-t1-stage/explain").json()["occurred_at"]
            == "2024-04-05T21:59:59.999999Z"
        )
        assert client.get("/v1/deals/t3/attribution").status_code == 404


def test_the_summary_reads_as_text(up: tuple[Up, Path], tmp_path: Path) -> None:
    _, data = up
    (tmp_path / "deals.csv").write_text(DEALS)
    done = run(data, str(tmp_path / "deals.csv"), *OPTIONS, "--dry-run")
    output = done.stdout.decode()
    for line in (
        "rows: 6 read; 3 became events, 1 became no event, 2 were refused", "values that no `when` accepts in Deal Stage: 1 rows", "Negotiation",
        "deals: 1 won, 1 lost, 1 open", "1  without a contact", "cannot count for any campaign as they are: no_contact",
        "no column: Currency|Deal Currency Code|Deal Currency",
    ):  # fmt: skip
        assert line in output, output
    assert "the row is cut short" in done.stderr.decode()


@pytest.mark.parametrize(
    ("options", "code", "expected"),
    [
        (["--mapping", "hubspot-deals"], 1, "line 2: Close Date: '05/04/2024' can be 5 April 2024 or 4 May 2024"),
        (["--mapping", "hubspot-deals", "--day-first", "--month-first"], 2, "it cannot be used together with --month-first"),
        (["--mapping", "hubspot-deals", "--decimal", ";"], 2, "';' is neither . nor ,"),
        (["--mapping", "hubspot-deals", "--as-of", "yesterday"], 2, "'yesterday' is not an RFC 3339 instant"),
        (["--mapping", "hubspot-contacts", "--won-stage", "x"], 1, "it has no list 'won_stages'"),
        (["--mapping", "segment-pages", "--as-of", "2024-05-01T00:00:00Z"], 1, "none of its events has `as_of`"),
        (["--as-of", "2024-05-01T00:00:00Z"], 1, "go with --mapping"),
        ([], 1, "is a table: it needs a mapping"),
        (["--mapping", "hubspot-contacts"], 1, "needs the column 'Email'; the file has Amount, Associated Contact IDs"),
    ],
)  # fmt: skip
def test_what_does_not_fit_together_is_said_in_one_line(
    up: tuple[Up, Path], tmp_path: Path, options: list[str], code: int, expected: str
) -> None:
    _, data = up
    (tmp_path / "deals.csv").write_text(DEALS.replace("Signed", "Closed won"))
    done = run(data, str(tmp_path / "deals.csv"), *options)
    errors = " ".join(done.stderr.decode().replace("│", " ").split())
    assert (done.returncode, expected in errors, "Traceback" in errors) == (code, True, False), errors


def test_a_backfill_that_is_killed_again_and_again_goes_on_and_counts_once(up: tuple[Up, Path], tmp_path: Path) -> None:
    running, data = up
    seed = random.randrange(2**32)
    rng = random.Random(seed)
    with running.client("read") as client:
        before = client.get("/v1/campaigns/c/overview").json()["metrics"]["page_views"]
    events: list[object] = [visit(n, visitor_id=f"k{n}") for n in range(30_000)]
    for n in rng.sample(range(len(events)), 300):
        events[n] = {"type": "nothing", "n": n}
    path = write(tmp_path / "k.ndjson", *events)
    command = [
        sys.executable,
        "-m",
        "touchline",
        "backfill",
        str(path),
        "--data",
        str(data),
        "--rate",
        "15000",
        "--json",
    ]
    kills = 0
    for _ in itertools.repeat(None, 8):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        time.sleep(rng.uniform(1.0, 1.6))
        if process.poll() is None:
            process.kill()
            kills += 1
        process.communicate()
    done = run(data, str(path), "--json")
    assert done.returncode == 1, done.stderr
    refused = [
        orjson.loads(line)["line"] for line in path.with_name("k.ndjson.refused.ndjson").read_bytes().splitlines()
    ]
    assert sorted(refused) == [n for n, event in enumerate(events, 1) if event["type"] == "nothing"], f"seed {seed}"
    assert kills > 0
    shown(running, before + 29_700)
