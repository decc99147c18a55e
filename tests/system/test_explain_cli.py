"""`touchline explain` on an embedded store, running and stopped."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import start, until_projected

EVENTS: list[dict[str, object]] = [
    {"type": "asset_associated", "id": "a1", "asset_id": "lp", "campaign_id": "spring"},
    {"type": "asset_associated", "id": "a2", "asset_id": "lp", "campaign_id": "spring"},
    {"type": "page_visited", "id": "v [red]1[/]", "visitor_id": "v", "url": "https://s.example/", "asset_id": "lp"},
    {"type": "deal_created", "id": "d1", "deal_id": "D", "contacts": [{"id": "7"}]},
]


def run_explain(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "ignore", "-m", "touchline", "explain", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env={"COLUMNS": "200"})


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that has run and is stopped, and was asked while it ran."""
    data = tmp_path_factory.mktemp("explain") / "data"
    up = start(data)
    try:
        timed = [{**event, "occurred_at": f"2026-01-01T00:0{n}:00Z"} for n, event in enumerate(EVENTS)]
        with up.client("server") as client:
            position = client.post("/v1/events", json={"events": timed}).json()["position"]
        with up.client("read") as client:
            path = "/v1/events/v%20%5Bred%5D1%5B%2F%5D/explain"
            until_projected(client, position)
            over_http = client.get(path).json()
        beside = run_explain("event", "v [red]1[/]", "--data", str(data), "--json")
        assert json.loads(beside.stdout) == over_http, beside.stderr
    finally:
        assert up.stop() == 0
    return data


def test_a_stopped_store_explains_an_event_as_text(data: Path) -> None:
    done = run_explain("event", "v [red]1[/]", "--data", str(data))
    assert done.returncode == 0, done.stderr
    assert "page_visited v [red]1[/]" in done.stdout
    assert "through asset" in done.stdout


def test_an_association_that_changed_nothing_says_why(data: Path) -> None:
    assert "changed nothing: already_associated" in run_explain("event", "a2", "--data", str(data)).stdout


def test_a_deal_is_explained_check_by_check(data: Path) -> None:
    done = run_explain("deal", "D", "--campaign", "spring", "--data", str(data))
    assert "does not count: contact_not_influenced" in done.stdout
    explanation = json.loads(run_explain("deal", "D", "--campaign", "spring", "--data", str(data), "--json").stdout)
    assert [check["holds"] for check in explanation["checks"]] == [True, True, True, False]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("event", "nope"), 1, "there is no event 'nope'"),
        (("deal", "nope", "--campaign", "spring"), 1, "there is no deal 'nope'"),
        (("deal", "D", "--campaign", "nope"), 1, "there is no campaign 'nope'"),
        (("event", "a1", "--workspace", "nope"), 2, "there is no workspace 'nope'"),
    ],
)
def test_what_there_is_none_of_is_said(data: Path, arguments: tuple[str, ...], code: int, says: str) -> None:
    done = run_explain(*arguments, "--data", str(data))
    assert (done.returncode, done.stdout) == (code, "")
    assert says in done.stderr


def test_a_store_must_be_named_and_be_there(tmp_path: Path) -> None:
    assert run_explain("event", "a1").returncode == 2
    done = run_explain("event", "a1", "--data", str(tmp_path / "nowhere"))
    assert done.returncode == 2
    assert "holds no embedded store" in done.stderr
    assert not (tmp_path / "nowhere").exists()
