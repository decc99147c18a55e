"""Every call that `/openapi.json` tells of, with whatever its schemas allow and do not allow: never an error of the server."""

import asyncio
import os
from collections.abc import Callable, Iterator
from typing import Any

import jsonschema
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings, strategies
from schemathesis import GenerationMode

from tests.conftest import Workspace
from tests.processes import Up, up_with
from tests.system.every_read import NO_READS
from touchline.properties import PROPERTIES

EXAMPLES = int(os.environ.get("TOUCHLINE_DOCUMENT_EXAMPLES", "8"))  # of each call, valid ones and as many invalid
NOTHING_WRONG = (  # they take nothing that could be wrong
    "/healthz", "/readyz", "/metrics", "/v1/producers/accounts", "/segment/v1/m", "/segment/v1/projects/", "/t.js", "/t.{digest}.js", "/r/",
)  # fmt: skip
SCOPES = {"/v1/events": "server", "/v1/workspaces": "admin", "/segment/v1/{call}": "server"}
SEED = os.environ.get("TOUCHLINE_SEED")
"""Absent: the same requests in each run."""
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
    with up_with([CAMPAIGN], tmp_path_factory.mktemp("document")) as up:
        yield up


def call(operation: Any, mode: GenerationMode, keys: dict[str, str], scopes: list[str]) -> Callable[[], None]:
    """A test of one call of the document, with keys of these scopes and with none."""

    @settings(
        max_examples=EXAMPLES, deadline=None, database=None, phases=[Phase.generate], verbosity=Verbosity.quiet,
        suppress_health_check=list(HealthCheck), derandomize=SEED is None,
    )  # fmt: skip
    @seed(SEED)
    @given(case=operation.as_strategy(generation_mode=mode), scope=strategies.sampled_from(scopes))
    def test(case: Any, scope: str) -> None:
        headers = {"Authorization": f"Bearer {keys[scope]}"} if scope in keys else {}
        response = case.call(headers=headers)
        result = operation.definition.raw["responses"]
        described = (operation.label, scope, case.as_curl_command(), response.status_code, response.content[:500])
        if response.status_code == 503 and AWAY in (case.query or {}):
            return
        assert response.status_code < 500, described
        assert str(response.status_code) in result, described
        kinds = result[str(response.status_code)].get("content", {})
        kind = response.headers.get("content-type", [""])[0].partition(";")[0]
        assert kind in kinds or not response.content, (kind, *described)
        if kind.endswith("json") and (schema := kinds[kind].get("schema")):
            whole = {**schema, "components": components(operation)}
            jsonschema.Draft202012Validator(whole).validate(response.json())

    return test


def components(operation: Any) -> Any:
    """The named schemas of the document."""
    return operation.schema.raw_schema["components"]


@pytest.mark.filterwarnings("ignore")  # of schemathesis, on its dependencies
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_no_call_of_the_document_is_an_error_of_the_server_or_an_undocumented_answer(
    up: Up, mode: GenerationMode
) -> None:
    schema = schemathesis.openapi.from_url(f"{up.url}/openapi.json", wait_for_schema=10)
    tried = set()
    for result in schema.get_all_operations():
        operation = result.ok()
        scope = (
            "admin"
            if "/accounts" in operation.path or "/keys" in operation.path
            else SCOPES.get(operation.path, "read" if operation.method.upper() == "GET" else "server")
        )
        nothing_wrong = (
            operation.path.startswith(NOTHING_WRONG)
            or operation.method.upper() == "DELETE"
            or operation.label == "GET /v1/keys"
        )  # any id may be
        if mode is GenerationMode.POSITIVE or not nothing_wrong:
            call(operation, mode, up.keys, [scope, scope, *up.keys, "none"])()  # half of them with a key that may
            tried.add(operation.label)
    assert len(tried) >= 17


def test_the_document_shows_every_parameter_that_a_read_takes(workspace: Workspace, runner: asyncio.Runner) -> None:
    document = runner.run(workspace.get("/openapi.json")).json()
    for path, methods in document["paths"].items():
        if path.startswith("/v1/") and "get" in methods and path not in NO_READS:
            result = {p["name"] for p in methods["get"]["parameters"] if p["in"] == "query"}
            assert {"after", "generation"} <= result, path
    overview = {
        p["name"]: p["schema"] for p in document["paths"]["/v1/campaigns/{campaign_id}/overview"]["get"]["parameters"]
    }
    assert "w_shaped" in overview["model"]["examples"]
    assert {"from", "to"} <= set(overview)


def properties(node: Any, name: str = "") -> Iterator[tuple[str, str, Any]]:
    """Every property of a document's schemas: the schema that has it or a part of which has it, its name, and its own schema."""
    if isinstance(node, list):
        for each in node:
            yield from properties(each, name)
    elif isinstance(node, dict):
        for label, each in node.get("properties", {}).items() if node.get("type") == "object" else ():
            yield name, label, each
        for label, each in node.items():
            if label not in ("example", "examples", "default"):
                yield from properties(each, name)


def test_every_property_of_the_document_has_a_description_and_every_description_a_property(
    workspace: Workspace, runner: asyncio.Runner
) -> None:
    document = runner.run(workspace.get("/openapi.json")).json()
    found = [
        *properties(document["paths"]),
        *(one for name, schema in document["components"]["schemas"].items() for one in properties(schema, name)),
    ]
    assert len(found) > 1_300
    assert sorted({f"{name}.{label}" for name, label, schema in found if not schema.get("description")}) == []
    labels = {label for _, label, _ in found}
    of_schemas = {f"{name}.{label}" for name, label, _ in found}
    assert sorted(name for name in PROPERTIES if name not in labels | of_schemas) == []
    descriptions = {label: schema["description"] for name, label, schema in found if name == "DealItem"}
    assert descriptions["created_at"] == "when it was created; an instant in UTC, RFC 3339"
    assert descriptions["contacts"] == "how many contacts of the deal are eligible (rule deal)"
