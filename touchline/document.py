"""What does `/openapi.json` have beside each route's own description? Answers, errors, keys, and the schemas of events."""

import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, get_args

from pydantic import TypeAdapter

from services.api.answers import Amount, CampaignId, Cursor, Instant, Position, Weight
from services.api.csv_answers import FORMAT
from services.api.document import ANSWERS
from services.ingest.answers import WRITTEN
from services.ingest.events import event_schemas
from shared.events.limits import ID_CHARACTERS_MAX
from touchline.properties import PROPERTIES

ABOUT = """Which campaign earned what, and why.

**Keys.** A workspace has keys of four kinds: `read` reads; `server` reads, sends events and changes campaigns; `collect` sends from web pages; `admin`
reads, changes campaigns and makes keys, but sends no events. Send one as `Authorization: Bearer KEY`. `touchline up` writes the first four into `keys.json` in its data directory.

**First calls.** `GET /v1/campaigns` lists the campaigns with their numbers, `GET /v1/campaigns/{campaign_id}/overview` has all numbers of one,
`GET /v1/reports/attribution?from=2026-01-01&to=2026-04-01` says what each campaign earned in a quarter, and `GET /v1/deals/{deal_id}/explain?campaign=…` why a deal
counts for a campaign, or does not. `POST /v1/events` sends what happened.

**Written alike everywhere.**

- Money is `{"amount": "1200.50", "currency": "EUR"}`; the amount is a decimal in a text. Currencies are never added up.
- Instants are UTC (RFC 3339). `from` and `to` take an instant or a day in the workspace's time zone; `from` belongs to the range, `to` does not.
- A list has pages: ask again with `cursor` set to its `next_cursor`, until that is null. Each list can be had as CSV (`format=csv`).
- What was sent counts a moment later. `POST /v1/events` answers a `position`; a read with `after` set to it waits until it shows these events.
- An error is `application/problem+json`; its `code` never changes, and `field` names what is wrong.
"""
TAGS = {
    "campaigns": "Campaigns, their numbers, what is behind each number, the assets that they hold, spend and budget.",
    "assets": "Pages, forms, e-mails and all else that people visit, open or fill in; who held each, and what it brought.",
    "contacts": "Persons, and everything that each did, in order.",
    "deals": "Deals, what each touch earned of one, and why a deal counts for a campaign or does not.",
    "reports": "What groups of touches earned, what campaigns cost and returned, and by which paths deals were won.",
    "events": "What was sent: the newest events, what each counted for, and how one is taken back.",
    "ingest": "Sends events, from a server or from web pages.",
    "segment": "Takes what SDKs that speak Segment's API send.",
    "producers": "Takes what HubSpot and senders of e-mail report.",
    "hubspot": "HubSpot's own paths and shapes for campaigns, for what reads HubSpot.",
    "keys": "Makes, lists and revokes the keys of a workspace.",
    "workspaces": "Makes workspaces.",
    "operations": "How far the numbers are behind, what was refused, and whether rows were compared with the log.",
}
"""What the calls of a tag are for, in the order in which `/docs` shows them."""
REF = "#/components/schemas/"
EXAMPLES = Path(__file__).parent / "examples.json"
"""Examples of answers and bodies by call, and of named schemas; `make examples` writes them."""
PROBLEM = {
    "type": "object",
    "description": "An error, as RFC 9457 has it. `code` is stable; `field` is the parameter or the place in the event that is wrong.",
    "required": ["type", "status", "code", "detail"],
    "examples": [{"type": "about:blank", "status": 422, "code": "bad_parameter", "field": "limit",
                  "detail": "`limit` must be from 1 to 1000, not '0'"}],
    "properties": {
        "type": {"type": "string"}, "status": {"type": "integer"}, "code": {"type": "string", "examples": ["bad_parameter"]},
        "detail": {"type": "string"}, "field": {"type": ["string", "null"]},
        "request_id": {"type": "string", "description": "also in the header `X-Request-Id`, and in the lines of the log about the request"},
    },
}  # fmt: skip
REJECTED = {
    "type": "object", "description": "An event that was refused.", "required": ["index", "id", "code", "field", "message"],
    "properties": {
        "index": {"type": "integer", "description": "its place in the request"}, "id": {"type": ["string", "null"]},
        "code": {"type": "string", "examples": ["missing_field"]}, "field": {"type": ["string", "null"]}, "message": {"type": "string"},
    },
}  # fmt: skip
ACCEPTED = {
    "type": "object", "description": "How many events were accepted, and which were refused.",
    "required": ["accepted", "position", "rejected"],
    "properties": {
        "accepted": {"type": "integer"}, "position": {"type": "string", "description": "`after=` of a read takes it"},
        "rejected": {"type": "array", "items": {"$ref": "#/components/schemas/RejectedEvent"}},
    },
}  # fmt: skip
_FOUR = {scope: {"type": "string"} for scope in ("collect", "server", "read", "admin")}
NEW_KEYS = {
    "type": "object", "description": "A new workspace and its keys, which are answered once.", "required": ["workspace", "keys"],
    "properties": {"workspace": {"type": "string"}, "keys": {"type": "object", "required": list(_FOUR), "properties": _FOUR}},
}  # fmt: skip
SECURITY_SCHEMES = {
    "key": {"type": "http", "scheme": "bearer", "description": "a key of the workspace: `Authorization: Bearer KEY`"},
    "basic": {"type": "http", "scheme": "basic", "description": "HTTP Basic, with the key as user name and any password"},
}  # fmt: skip
BY_KEY: list[dict[str, list[str]]] = [{"key": []}, {"basic": []}]
CHECKED = ("/v1/campaigns", "/v1/assets")
"""Beginnings of paths whose calls are checked against the state of the catalog."""
OPEN = (
    "/healthz",
    "/readyz",
    "/metrics",
    "/v1/p.gif",
    "/t.",
    "/r/",
    "/hubspot/",
    "/sendgrid/",
    "/mailgun/",
    "/segment/v1/projects/",
)
"""Beginnings of paths that take no key in a header: anybody may ask, or the sender signs, or the key is in the URL."""
SEVERAL = (("/v1/contact-tokens", "post"), ("/v1/campaigns/{campaign_id}/assets", "post"))
"""Calls of several items, each of which has a result of its own."""
READ_ERRORS = {
    401: "there is no valid key", 403: "the scope of the key may not read", 406: "only CSV is accepted, and this is no list", 404: "there is nothing of that name, or no such generation",
    422: "a parameter is unknown or bad; `field` names it", 503: "it cannot be read now; `Retry-After` says after how many seconds to ask again",
}  # fmt: skip
WRITE_ERRORS = {
    400: "the body cannot be read", 401: "there is no valid key", 403: "the scope of the key may not do this", 404: "there is nothing of that name",
    408: "the body did not arrive in time", 413: "the body is too large", 422: "what was sent is wrong; `field` names the place",
    503: "nothing can be accepted now; `Retry-After` says after how many seconds to send again",
}  # fmt: skip
_HUBSPOT = "/marketing/v3/campaigns/{campaign_id}/"
EXAMPLE_OF_PARAMETER: dict[str | tuple[str, str], Any] = {
    "campaign_id": "spring", "asset_id": "offer", "deal_id": "fjord", "event_id": "mail-2", "name": "8001", "asset_type": "landing_page",
    ("asset_type", _HUBSPOT + "assets/{asset_type}"): "LANDING_PAGE", "contact_type": "influencedContacts", "item_id": "june-ads",
    "number": "17", "account": "4711", "producer": "hubspot", "call": "track", "digest": "0a1b2c3d", "q": "spring", "campaign": "spring",
    "salesforce_campaign_id": "701A0000", "properties": "hs_name,hs_owner", "generation": "g1", "cursor": "WzE3NzI2MTQ4MDAwMDAwMDAsInZpc2l0LTEiXQ",
    "after": "q0123456789abcdef", "after_received": "q0123456789abcdef", "limit": 50, "k": "tlc_" + "0" * 32, "key": "tlc_" + "0" * 32,
    "write_key": "tlc_" + "0" * 32, "v": "a1b2c3d4e5f6", "u": "https://shop.example/offer", "r": "https://www.google.com/", "a": "letter",
    "c": "a token of POST /v1/contact-tokens", ("name", "/v1/keys/{name}"): "tlc_ab12", ("name", "/v1/keys/{name}/origins"): "tlc_ab12",
    ("name", "/marketing/v3/campaigns"): "spring", ("name", "/v1/catalog/unresolved/events"): "easter", "X-HubSpot-Signature-v3": "rPfy8ZaVYTmDtC3XPqjoD8F3mgMHLMHBFBZ0rjsYkCY=",
    "X-HubSpot-Request-Timestamp": "1772614800000", "X-Twilio-Email-Event-Webhook-Timestamp": "1772614800",
    "X-Twilio-Email-Event-Webhook-Signature": "MEUCIGHQVtGj-an-example",
}  # fmt: skip
"""An example of each parameter whose schema has none, by its name, or by its name and path."""
PATH_PARAMETERS = {
    "campaign_id": "the campaign's id", "asset_id": "the asset's id", "deal_id": "the deal's id", "event_id": "the event's id",
    "name": "any identifier of the contact: an id, or an e-mail address", "asset_type": "HubSpot's name of a type of assets",
    "contact_type": "`contactFirstTouch`, `contactLastTouch` or `influencedContacts`", "account": "the account at the producer",
    "producer": "the producer's name", "number": "the dead letter's number", "call": "one of Segment's calls, such as `track`", "write_key": "a collect key",
}  # fmt: skip
HEAD_ERRORS = {
    400: "the request cannot be read", 408: "the request did not arrive in time", 431: "the first line and the headers are too large",
}  # fmt: skip
"""What any call may answer, before its route is asked."""
SHAPES = frozenset(get_args(alias)[1].description for alias in (Amount, CampaignId, Cursor, Instant, Position, Weight))
"""What the types of answers say of all values of a shape."""
NOT_IN_NAMES = str.maketrans({".": "_", "-": "_", "{": None, "}": None})
SUMMARY_CHARACTERS_MAX = 90
UNDESCRIBED = "#/components/schemas/HTTPValidationError"  # what FastAPI adds, and no route answers


def complete(document: dict[str, Any]) -> dict[str, Any]:
    """Add to an OpenAPI document what its routes have in common. Answers the same document."""
    schemas, components = _answer_schemas()
    known = document.setdefault("components", {}).setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        known.pop(name, None)
    for more in (components, event_schemas(), {
        "Problem": PROBLEM, "RejectedEvent": REJECTED, "Accepted": ACCEPTED, "NewKeys": NEW_KEYS,
    }):  # fmt: skip
        if twice := known.keys() & more.keys():
            raise ValueError(f"two schemas of /openapi.json have one name: {', '.join(sorted(twice))}")
        known.update(more)
    for name, example in examples()["schemas"].items():
        if name in known:
            known[name].setdefault("examples", [example])
    document["components"]["securitySchemes"] = SECURITY_SCHEMES
    document["info"]["description"] = ABOUT
    document["tags"] = [{"name": name, "description": says} for name, says in TAGS.items()]
    names: set[str] = set()
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            operation["operationId"] = name = operation_name(method, path)
            if name in names:
                raise ValueError(f"two calls of /openapi.json have one name: {name}")
            names.add(name)
            _complete(path, method, operation, schemas.get((method, path)))
    for name, schema in known.items():
        _describe(schema, name)
    for methods in document["paths"].values():
        for operation in methods.values():
            for described_body in (operation.get("requestBody", {}), *operation["responses"].values()):
                for content in described_body.get("content", {}).values():
                    _describe(content.get("schema", {}), "")
    return document


def _describe(schema: Any, name: str) -> None:
    """Add to each property of a schema what it means: see `touchline.properties`. `name` is that of the schema, or of the one that it is part of."""
    if isinstance(schema, list):
        for each in schema:
            _describe(each, name)
    elif isinstance(schema, dict):
        properties = schema.get("properties", {})
        for label, each in properties.items():
            if (text := described(name, label, each)) is not None:
                each["description"] = text
        for within in (
            *properties.values(),
            schema.get("items"),
            schema.get("additionalProperties"),
            schema.get("anyOf"),
        ):
            _describe(within, name)


def described(name: str, label: str, schema: Mapping[str, Any]) -> str | None:
    """What the property `label` of the schema `name` means, and of what shape it is; None if nothing says it.

    What the type of an answer says of one property stays; what it says of all values of a shape, such as instants, is put behind the meaning.
    """
    shapes = [each.get("description") for each in (schema, *schema.get("anyOf", ()))]
    shape = next((shape for shape in shapes if shape in SHAPES), None)
    own = schema.get("description")
    meaning = PROPERTIES.get(f"{name}.{label}") or (PROPERTIES.get(label) if own is None or own == shape else own)
    return meaning if meaning is None or shape is None or shape in meaning else f"{meaning}; {shape}"


@cache
def examples() -> dict[str, dict[str, Any]]:
    """Examples of `answers` and `bodies`, by method and path such as `get /v1/campaigns`, and of named `schemas`."""
    found: dict[str, dict[str, Any]] = json.loads(EXAMPLES.read_text())
    return found


def _answer_schemas() -> tuple[dict[tuple[str, str], dict[str, Any]], dict[str, Any]]:
    """The schema of each answer that has a type, by method and path, and the components that they name."""
    kinds = {**{("get", path): answer for path, answer in ANSWERS.items()}, **WRITTEN}
    asked = [(call, "serialization", TypeAdapter(answer)) for call, answer in kinds.items()]
    schemas, components = TypeAdapter.json_schemas(asked, ref_template=REF + "{model}")  # type: ignore[arg-type]
    return {call: schemas[call, "serialization"] for call in kinds}, components.get("$defs", {})


def operation_name(method: str, path: str) -> str:
    """The name of a call in generated clients, such as `get_campaigns`, `get_campaign` or `get_campaign_overview`."""
    words = [method]
    for segment in path.removeprefix("/v1").strip("/").split("/"):
        if segment.startswith("{"):
            words[-1] = words[-1].removesuffix("s")  # one of them
        else:
            words.append(segment.translate(NOT_IN_NAMES))
    return "_".join(words)


def summary(description: str) -> str:
    """What a call does in a few words: the beginning of its description, up to where a sentence or a part of it ends."""
    first = re.split(r"[.:;](?:\s|$)", description.replace("\n", " "), maxsplit=1)[0]
    if len(first) > SUMMARY_CHARACTERS_MAX:
        first = re.split(r"(?:, | \()", first, maxsplit=1)[0]
    return first.replace("`", "").replace("*", "")


def _complete(path: str, method: str, operation: dict[str, Any], answer: dict[str, Any] | None) -> None:
    """Add what is missing to one call: its answers, its errors and its keys."""
    operation["summary"] = summary(operation["description"])
    responses = operation["responses"]
    for status in [status for status, response in responses.items() if UNDESCRIBED in str(response)]:
        del responses[status]
    written = answer is not None and (method, path) in WRITTEN
    for status, response in responses.items() if written else ():
        if status.startswith("2"):
            response["content"]["application/json"]["schema"] = answer
    if answer is not None and not written:
        responses["200"] = _json("The answer; `ETag` changes with it.", answer)
        if FORMAT.name in {parameter["name"] for parameter in operation["parameters"]}:
            responses["200"]["content"]["text/csv"] = {
                "schema": {"type": "string", "description": "the list as a table"}
            }
        responses["304"] = {"description": "The answer is the one that has the `ETag` in `If-None-Match`."}
        _add_errors(responses, READ_ERRORS)
    elif not path.startswith(("/healthz", "/readyz", "/metrics", "/v1/p.gif")):
        is_taken = (
            {409: "it is taken, or not as the call needs it"} if path.startswith(CHECKED) or method == "put" else {}
        )
        _add_errors(responses, {**WRITE_ERRORS, **is_taken})
    _add_errors(responses, HEAD_ERRORS)
    if path == "/readyz":
        responses["503"] = _json("The process cannot work.", _STATE)
    if method == "put" and path.startswith(CHECKED):
        responses["201"] = {**responses["200"], "description": "It was not there, and is now."}
    if path.endswith("/retry"):
        _add_errors(responses, {409: "it is refused again, and stays"})
    if (path, method) in SEVERAL:
        responses["207"] = {**responses["200"], "description": "Some items were refused; each says whether, and why."}
    if (path, method) in _OWN:
        status, response = _OWN[path, method]
        responses[status] = response
    for parameter in operation.get("parameters", ()):
        if parameter["in"] == "path":
            parameter["schema"] = {"type": "string", "minLength": 1, "maxLength": ID_CHARACTERS_MAX}
            parameter["description"] = f"{PATH_PARAMETERS.get(parameter['name'], parameter['name'])}, URL-encoded"
        if "description" in parameter:  # generators read that of the schema
            parameter["schema"] = {"description": parameter["description"], **parameter["schema"]}
        _add_example_of(parameter, path)
    _add_examples(f"{method} {path}", operation)
    if not path.startswith(OPEN):
        operation["security"] = BY_KEY


def _add_examples(call: str, operation: dict[str, Any]) -> None:
    """Add an example to the answer of a call and to its body, where there is one."""
    answered, sent = examples()["answers"].get(call), examples()["bodies"].get(call)
    successes = [response for status, response in operation["responses"].items() if status.startswith("2")]
    for response in successes if answered is not None else ():
        response["content"]["application/json"]["example"] = answered
    if sent is not None:
        operation["requestBody"]["content"]["application/json"]["example"] = sent


def _add_example_of(parameter: dict[str, Any], path: str) -> None:
    """Add an example to a parameter: the one that its schema has, its default, its first word, or the one that is declared here."""
    schema = parameter["schema"]
    of = schema.get("items", schema)
    found = of.get("examples", [])[:1] or [of[name] for name in ("default",) if name in of] or of.get("enum", [])[-1:]
    name = parameter["name"]
    found = found or [EXAMPLE_OF_PARAMETER.get((name, path), EXAMPLE_OF_PARAMETER.get(name))]
    if found[0] is None:
        raise ValueError(f"the parameter {name} of {path} has no example")
    parameter["example"] = found if "items" in schema else found[0]


def _add_errors(responses: dict[str, Any], errors: dict[int, str]) -> None:
    for status, says in errors.items():
        problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
        responses.setdefault(str(status), {"description": says, "content": problem})


def _json(says: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": says, "content": {"application/json": {"schema": schema}}}


_STATE = {
    "type": "object",
    "required": ["status"],
    "properties": {"status": {"type": "string"}},
    "additionalProperties": True,
}
_SCRIPT = {"description": "The tracker.", "content": {"text/javascript": {"schema": {"type": "string"}}}}
_OWN: dict[tuple[str, str], tuple[str, dict[str, Any]]] = {
    ("/v1/events", "post"): ("202", _json("The valid events are durable.", {"$ref": "#/components/schemas/Accepted"})),
    ("/v1/workspaces", "post"): ("201", _json("The workspace is made.", {"$ref": "#/components/schemas/NewKeys"})),
    ("/v1/p.gif", "get"): ("200", {"description": "Always the picture.", "content": {"image/gif": {"schema": {"type": "string", "format": "binary"}}}}),
    ("/t.js", "get"): ("200", _SCRIPT),
    ("/t.{digest}.js", "get"): ("200", _SCRIPT),
    ("/metrics", "get"): ("200", {"description": "For Prometheus.", "content": {"text/plain": {"schema": {"type": "string"}}}}),
    ("/healthz", "get"): ("200", _json("The process answers.", _STATE)),
    ("/readyz", "get"): ("200", _json("The process can work.", _STATE)),
}  # fmt: skip
"""The answers that no type of `services.api.answers` describes, by path and method."""
