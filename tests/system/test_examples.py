"""The examples of `/openapi.json` are what the service answers, and are of the schemas beside which they stand."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from tests.examples.world import committed, found_in, valid, with_values_kept, without_variable, written
from touchline.compose import Running


@pytest.fixture(scope="module")
def document(running: Running) -> dict[str, Any]:
    result: dict[str, Any] = running.app.openapi()
    return result


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method} {path}", operation


def test_the_service_answers_as_its_examples_say(running: Running, runner: asyncio.Runner) -> None:
    found, result = runner.run(found_in(running)), committed()
    for kind in ("answers", "bodies"):
        assert found[kind].keys() == result[kind].keys()
        for call, value in found[kind].items():
            if call.split()[1] not in ("/v1/producers", "/v1/status", "/v1/browsers"):
                assert without_variable(value) == without_variable(result[kind][call]), f"{call}: run `make examples`"
    assert set(written()) <= result["answers"].keys()


def test_every_typed_answer_and_every_body_of_json_with_an_example_is_valid(document: dict[str, Any]) -> None:
    wrong, answers = [], 0
    for call, operation in operations(document):
        found = [(f"{call} {status}", each) for status, each in operation["responses"].items()]
        for label, holder in [*found, (f"{call} body", operation.get("requestBody", {}))]:
            media = holder.get("content", {}).get("application/json", {})
            if "example" in media:
                answers += 1
                if not valid(media["schema"], media["example"], document):
                    wrong.append(label)
    assert wrong == []
    assert answers > 60


def test_every_call_has_a_title_of_its_own_in_a_group_that_is_described(document: dict[str, Any]) -> None:
    titles = [(operation["tags"][0], operation["summary"]) for _, operation in operations(document)]
    assert len(titles) == len(set(titles))
    assert [title for _, title in titles if not 10 <= len(title) <= 110] == []
    assert {tag for tag, _ in titles} == {tag["name"] for tag in document["tags"]}
    assert all(operation["operationId"].isidentifier() for _, operation in operations(document))


def test_a_generated_client_documents_what_parameters_and_metrics_mean(document: dict[str, Any]) -> None:
    undescribed = [
        (call, parameter["name"])
        for call, operation in operations(document)
        for parameter in operation.get("parameters", ())
        if parameter["schema"].get("description") != parameter.get("description")
    ]
    assert undescribed == []
    metrics = document["components"]["schemas"]["Metrics"]["properties"]
    assert [name for name, metric in metrics.items() if not metric.get("description")] == []


def test_every_parameter_has_an_example_that_is_valid(document: dict[str, Any]) -> None:
    wrong = [
        (call, parameter["name"])
        for call, operation in operations(document)
        for parameter in operation.get("parameters", ())
        if "example" not in parameter or not valid(parameter["schema"], parameter["example"], document)
    ]
    assert wrong == []


def test_every_named_schema_of_an_answer_has_an_example_that_is_valid(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    unused = {name for name, schema in schemas.items() if "examples" not in schema and "enum" not in schema}
    assert unused == set()
    wrong = [
        name for name, schema in schemas.items()
        for example in schema.get("examples", ()) if not valid(schema, example, document)
    ]  # fmt: skip
    assert wrong == []


def test_examples_that_are_written_anew_keep_values_that_differ_in_every_store_and_no_others() -> None:
    made = "01a21ac3-cb7c-7610-8aba-c18b5e5b913d", "01a21ac3-cb7c-7610-8aba-000000000000"
    before = {"as_of": "q1", "id": made[0], "after": 2, "at": "2026-11-27T01:02:03Z", "sent": "2026-03-01T09:00:00Z"}
    found = {"as_of": "q2", "id": made[1], "after": 3, "at": "2026-12-01T00:00:00Z", "sent": "2026-03-02T09:00:00Z"}
    assert with_values_kept({"items": [found, "new"]}, {"items": [before, "old"]}) == {
        "items": [before | {"after": 3, "sent": found["sent"]}, "new"]
    }
    assert with_values_kept([found], [before, before]) == [found]
