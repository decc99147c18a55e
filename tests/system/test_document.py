"""Every call that `/openapi.json` tells of, with whatever its schemas allow and do not allow: never an error of the server."""

import asyncio
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, Verbosity, given, settings
from schemathesis import GenerationMode

from tests.conftest import Workspace
from tests.processes import Up, start

EXAMPLES = int(os.environ.get("TOUCHLINE_DOCUMENT_EXAMPLES", "25"))  # of each call, valid ones and as many invalid
NOTHING_WRONG = (  # they take nothing that could be wrong
    "/healthz", "/readyz", "/metrics", "/v1/producers/accounts", "/segment/v1/m", "/segment/v1/projects/", "/r/",
)  # fmt: skip
NO_READS = ("/v1/p.gif", "/v1/producers/accounts")  # they take no position: they read no projection
SCOPES = {"/v1/events": "server", "/v1/workspaces": "admin", "/segment/v1/{call}": "server"}
AWAY = "after"  # a read of a position that never comes waits, and then is 503

CAMPAIGN = {
    "type": "campaign_created",
    "id": "c",
    "campaign_id": "c",
    "utm_campaign": "c",
    "occurred_at": "2024-01-01T00:00:00Z",
}


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    up = start(tmp_path_factory.mktemp("document") / "data")
    with up.client("server") as client:
        client.post("/v1/events", json=CAMPAIGN)
    yield up
    assert up.stop() == 0


def call(operation: Any, mode: GenerationMode, headers: dict[str, str]) -> Callable[[], None]:
    """A test of one call of the document."""

    @settings(
        max_examples=EXAMPLES, deadline=None, database=None, phases=[Phase.generate], verbosity=Verbosity.quiet,
        suppress_health_check=list(HealthCheck), derandomize=True,
    )  # fmt: skip
    @given(operation.as_strategy(generation_mode=mode))
    def test(case: Any) -> None:
        response = case.call(headers=headers)
        if response.status_code == 503 and AWAY in (case.query or {}):
            return
        assert response.status_code < 500, (operation.label, case.as_curl_command(), response.text[:500])
        if response.status_code >= 400:
            assert response.headers["content-type"][0] == "application/problem+json", case.as_curl_command()

    return test


@pytest.mark.filterwarnings("ignore")  # of schemathesis, on its dependencies
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_no_call_of_the_document_is_an_error_of_the_server(up: Up, mode: GenerationMode) -> None:
    schema = schemathesis.openapi.from_url(f"{up.url}/openapi.json", wait_for_schema=10)
    tried = set()
    for result in schema.get_all_operations():
        operation = result.ok()
        scope = (
            "admin"
            if "/accounts" in operation.path
            else SCOPES.get(operation.path, "read" if operation.method.upper() == "GET" else "server")
        )
        nothing_wrong = (
            operation.path.startswith(NOTHING_WRONG) or operation.method.upper() == "DELETE"
        )  # any id may be
        if mode is GenerationMode.POSITIVE or not nothing_wrong:
            call(operation, mode, {"Authorization": f"Bearer {up.keys[scope]}"})()
            tried.add(operation.label)
    assert len(tried) >= 17


def test_the_document_tells_every_parameter_that_a_read_takes(workspace: Workspace, runner: asyncio.Runner) -> None:
    document = runner.run(workspace.get("/openapi.json")).json()
    for path, methods in document["paths"].items():
        if path.startswith("/v1/") and "get" in methods and path not in NO_READS:
            told = {p["name"] for p in methods["get"]["parameters"] if p["in"] == "query"}
            assert {"after", "generation"} <= told, path
    overview = {
        p["name"]: p["schema"] for p in document["paths"]["/v1/campaigns/{campaign_id}/overview"]["get"]["parameters"]
    }
    assert "w_shaped" in overview["model"]["enum"]
    assert {"from", "to"} <= set(overview)
