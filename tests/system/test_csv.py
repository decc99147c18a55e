"""Every list can be had as a table: one line an item, columns that stay, and nothing that a spreadsheet would run."""

import asyncio
import csv
import io
import re
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute

from services.api.csv_answers import csv_of, fields_of, items_of
from services.api.csv_columns import CSV_COLUMNS
from shared.store.verifications import VerificationResult, recorded
from tests.conftest import Workspace, new_workspace
from tests.system.every_read import PATHS, read_routes, world
from touchline.compose import Running

ODD = (
    "=1+2",
    "+4712345678",
    "-x",
    "@cmd",
    "\tTab",
    "\rReturn",
    '"=quoted"',
    "a,b",
    "line\nbreak",
    "æøå 漢字",
    "'already",
    "＝1",
)


def table(answer: httpx.Response) -> list[dict[str, str]]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/csv; charset=utf-8; header=present"
    text = answer.content.decode()
    assert text.endswith("\r\n")
    return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))


async def as_csv(workspace: Workspace, path: str, accept: str = "text/csv") -> httpx.Response:
    async with workspace.client() as client:
        return await client.get(path, headers={"Accept": accept})


@pytest.fixture(scope="module")
def filled(running: Running, runner: asyncio.Runner) -> Workspace:
    """A workspace in which every list has items."""
    workspace = runner.run(new_workspace(running, "csv"))
    runner.run(_fill(workspace))
    return workspace


async def _fill(workspace: Workspace) -> None:
    events = list(world(visitors=30))
    events += [{"type": "campaign_created", "campaign_id": f"odd{n}", "name": name} for n, name in enumerate(ODD)]
    for begin in range(0, len(events), 500):
        assert (await workspace.send(*events[begin : begin + 500])).json()["rejected"] == []
    await workspace.project()
    async with recorded(workspace.running.pool, "verify", "g1") as record:
        record.result = VerificationResult({0: 1}, None, 40, 1_000)
    async with asyncio.timeout(30):
        while not (await workspace.get("/v1/producers")).json()["items"]:  # counts are written once a second
            await asyncio.sleep(0.1)


def lists(running: Running) -> dict[str, APIRoute]:
    return {
        path: route
        for path, route in read_routes(running.app).items()
        if "format" in (route.openapi_extra or {}).by_name  # type: ignore[union-attr]
    }


def test_every_list_has_columns_that_hold_all_of_its_items(
    running: Running, runner: asyncio.Runner, filled: Workspace
) -> None:
    async def check() -> None:
        assert len(lists(running)) >= 10
        missing = {}
        for route_path in lists(running):
            for path in PATHS[route_path]:
                items = items_of((await filled.get(path)).json())
                assert items, path
                declared = CSV_COLUMNS.get(route_path, ())
                bare = {column.removesuffix(":money") for column in declared}
                within = tuple(column.removesuffix("*") for column in declared if column.endswith(".*"))
                fields = {field for item in items for field in fields_of(item)}
                left = {
                    f for f in fields if f.removesuffix(":money") not in bare and not f.startswith(within or ("\0",))
                }
                left = {f for f in left if not any(f.startswith(column + ".") for column in bare)}
                left -= {
                    column.partition(".")[0] for column in bare if "." in column
                }  # an object that is null in all of these items
                if left:
                    missing[route_path] = left
                wrong = {
                    f for f in fields if f.endswith(":money") and f not in declared and f.removesuffix(":money") in bare
                }
                assert not wrong, (route_path, wrong)
        assert missing == {}, "add them to services/api/csv_columns.py, at the end of their line"

    runner.run(check())


def test_a_table_has_the_items_of_the_json_and_the_same_columns_when_it_is_empty(
    running: Running, runner: asyncio.Runner, filled: Workspace
) -> None:
    async def check() -> None:
        empty = await new_workspace(running, "csv-empty")
        for route_path in lists(running):
            for path in PATHS[route_path]:
                items = items_of((await filled.get(path)).json())
                answer = await as_csv(filled, path)
                names = answer.text.splitlines()[0].split(",")
                assert len(names) == len(set(names)), path
                rows = table(answer)
                assert len(rows) == len(items), path
                key = next(iter(rows[0]))
                assert [row[key].removeprefix("'") for row in rows] == [
                    (
                        "; ".join(item[key]) if isinstance(item.get(key), list) else str(item.get(key) or "")
                    ).removeprefix("'")
                    for item in items
                ]
        whole = (await as_csv(filled, "/v1/campaigns")).text.partition("\r\n")[0]
        assert (await as_csv(empty, "/v1/campaigns")).text == whole + "\r\n"

    runner.run(check())


def test_money_is_two_columns_and_other_values_are_plain(runner: asyncio.Runner, filled: Workspace) -> None:
    async def check() -> None:
        deals = table(await as_csv(filled, "/v1/campaigns/spring/deals"))
        assert {(row["amount.amount"], row["amount.currency"]) for row in deals} == {("100.01", "EUR")}
        campaigns = {row["campaign_id"]: row for row in table(await as_csv(filled, "/v1/campaigns"))}
        json = {item["campaign_id"]: item for item in (await filled.get("/v1/campaigns")).json()["items"]}
        result = json["spring"]["metrics"]
        assert campaigns["spring"]["metrics.sessions"] == str(result["sessions"])
        assert campaigns["spring"]["metrics.influenced_revenue.amount"] == result["influenced_revenue"][0]["amount"]
        assert campaigns["odd0"]["metrics.influenced_revenue.amount"] == ""

    runner.run(check())


def test_no_text_begins_as_a_formula_and_none_is_lost(runner: asyncio.Runner, filled: Workspace) -> None:
    async def check() -> None:
        campaigns = {row["campaign_id"]: row["name"] for row in table(await as_csv(filled, "/v1/campaigns"))}
        for n, name in enumerate(ODD):
            shown = campaigns[f"odd{n}"]
            assert not re.match(r"[=+\-@\t\r＝]", shown)
            assert shown in (name, "'" + name)

    runner.run(check())


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("-5.00", "-5.00"), ("-5", "-5"), (-5, "-5"), (1.5, "1.5"), (True, "true"), (None, ""), ("-5+2", "'-5+2"), ("-5\n", "'-5\n"), ("=1", "'=1"),
        (["a", "b"], "a; b"), (["=a", "b"], "'=a; b"), ([], ""), ({}, ""), ([{"a": 1}], '[{"a":1}]'), ("", ""), ("٣", "٣"), ("-٣", "'-٣"),
    ],
)  # fmt: skip
def test_numbers_stay_numbers_and_formulas_become_texts(value: Any, cell: str) -> None:
    result = csv_of("/no-such-list", [{"a": value, "b": 1}] if value != {} else [{"b": 1, "a": []}], "csv").decode()
    row = next(csv.DictReader(io.StringIO(result, newline="")))
    assert row["a"] == cell


@pytest.mark.parametrize(
    ("accept", "is_csv"),
    [
        ("text/csv", True), ("text/csv, application/json;q=0.5", True), ("text/csv;q=0.5, application/json", False), ("*/*", False),
        ("text/csv, */*", True), ("text/*", False), ("text/html,application/xhtml+xml,*/*;q=0.8", False), ("application/json", False),
        ("text/csv;q=0", False), ("text/csv;q=x", False), ("TEXT/CSV", True), ("", False),
    ],
)  # fmt: skip
def test_accept_chooses_the_form(runner: asyncio.Runner, filled: Workspace, accept: str, is_csv: bool) -> None:
    answer = runner.run(as_csv(filled, "/v1/campaigns", accept))
    assert answer.headers["content-type"].startswith("text/csv") == is_csv


def test_the_parameter_chooses_the_form_over_accept_and_a_mark_comes_only_if_asked(
    runner: asyncio.Runner, filled: Workspace
) -> None:
    async def check() -> None:
        assert (await as_csv(filled, "/v1/campaigns?format=json")).headers["content-type"] == "application/json"
        plain = await as_csv(filled, "/v1/campaigns?format=csv", "application/json")
        marked = await as_csv(filled, "/v1/campaigns?format=csv&bom=1")
        assert marked.content == b"\xef\xbb\xbf" + plain.content
        for query in ("format=xml", "bom=yes"):
            assert (await filled.get(f"/v1/campaigns?{query}")).json()["code"] == "bad_parameter"

    runner.run(check())


def test_what_is_no_list_is_never_a_table(runner: asyncio.Runner, filled: Workspace) -> None:
    async def check() -> None:
        assert (await as_csv(filled, "/v1/campaigns/spring")).json()["code"] == "not_acceptable"
        assert (await as_csv(filled, "/v1/campaigns/spring", "text/csv, */*;q=0.1")).headers[
            "content-type"
        ] == "application/json"
        assert (await filled.get("/v1/campaigns/spring?format=csv")).json()["code"] == "unknown_parameter"

    runner.run(check())


def test_pages_follow_the_link_and_the_file_has_a_name(runner: asyncio.Runner, filled: Workspace) -> None:
    async def check() -> None:
        path, found, pages = "/v1/campaigns?limit=4&q=odd&format=csv", [], 0
        while path:
            answer = await filled.get(path)
            found += [row["campaign_id"] for row in table(answer)]
            pages += 1
            link = answer.headers.get("link", "")
            path = link.partition(">")[0].removeprefix("<")
            assert link == "" or link.endswith('>; rel="next"')
        assert (found, pages) == (sorted(f"odd{n}" for n in range(len(ODD))), 3)
        answer = await as_csv(filled, "/v1/campaigns/spring/contacts")
        assert answer.headers["content-disposition"] == 'attachment; filename="campaigns-spring-contacts.csv"'
        assert answer.headers["touchline-as-of"] == (await filled.get("/v1/campaigns")).json()["as_of"]

    runner.run(check())


def test_a_refusal_of_a_table_is_a_problem_in_json(runner: asyncio.Runner, filled: Workspace) -> None:
    answer = runner.run(as_csv(filled, "/v1/campaigns?limit=0"))
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
