"""What does `/openapi.json` say beside what each route tells of itself? Answers, errors, keys, and the schemas of events."""

from typing import Any

from services.api.document import answer_schemas
from services.ingest.events import event_schemas
from shared.events.limits import ID_CHARACTERS_MAX

PROBLEM = {
    "type": "object",
    "description": "An error, as RFC 9457 has it. `code` is stable; `field` is the parameter or the place in the event that is wrong.",
    "required": ["type", "status", "code", "detail"],
    "properties": {
        "type": {"type": "string"}, "status": {"type": "integer"}, "code": {"type": "string", "examples": ["bad_parameter"]},
        "detail": {"type": "string"}, "field": {"type": ["string", "null"]},
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
    401: "there is no valid key", 403: "the scope of the key may not read", 404: "there is nothing of that name, or no such generation",
    422: "a parameter is unknown or bad; `field` names it", 503: "it cannot be read now; `Retry-After` says after how many seconds to ask again",
}  # fmt: skip
WRITE_ERRORS = {
    400: "the body cannot be read", 401: "there is no valid key", 403: "the scope of the key may not do this", 404: "there is nothing of that name",
    408: "the body did not arrive in time", 413: "the body is too large", 422: "what was sent is wrong; `field` names the place",
    503: "nothing can be accepted now; `Retry-After` says after how many seconds to send again",
}  # fmt: skip
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
UNDESCRIBED = "#/components/schemas/HTTPValidationError"  # what FastAPI adds, and no route answers


def complete(document: dict[str, Any]) -> dict[str, Any]:
    """Add to an OpenAPI document what its routes have in common. Answers the same document."""
    schemas, components = answer_schemas()
    known = document.setdefault("components", {}).setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        known.pop(name, None)
    for more in (components, event_schemas(), {
        "Problem": PROBLEM, "RejectedEvent": REJECTED, "Accepted": ACCEPTED, "NewKeys": NEW_KEYS,
    }):  # fmt: skip
        if twice := known.keys() & more.keys():
            raise ValueError(f"two schemas of /openapi.json have one name: {', '.join(sorted(twice))}")
        known.update(more)
    document["components"]["securitySchemes"] = SECURITY_SCHEMES
    names: set[str] = set()
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            operation["operationId"] = name = operation_name(method, path)
            if name in names:
                raise ValueError(f"two calls of /openapi.json have one name: {name}")
            names.add(name)
            _complete(path, method, operation, schemas.get(path) if method == "get" else None)
    return document


def operation_name(method: str, path: str) -> str:
    """The name of a call in generated clients, such as `get_campaigns`, `get_campaign` or `get_campaign_overview`."""
    words = [method]
    for segment in path.removeprefix("/v1").strip("/").split("/"):
        if segment.startswith("{"):
            words[-1] = words[-1].removesuffix("s")  # one of them
        else:
            words.append(segment.replace(".", "_"))
    return "_".join(words)


def _complete(path: str, method: str, operation: dict[str, Any], answer: dict[str, Any] | None) -> None:
    """Add what is missing to one call: its answers, its errors and its keys."""
    responses = operation["responses"]
    for status in [status for status, told in responses.items() if UNDESCRIBED in str(told)]:
        del responses[status]
    if answer is not None:
        responses["200"] = _json("The answer; `ETag` changes with it.", answer)
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
        status, told = _OWN[path, method]
        responses[status] = told
    for parameter in operation.get("parameters", ()):
        if parameter["in"] == "path":
            parameter["schema"] = {"type": "string", "minLength": 1, "maxLength": ID_CHARACTERS_MAX}
            parameter["description"] = f"{PATH_PARAMETERS.get(parameter['name'], parameter['name'])}, URL-encoded"
    if not path.startswith(OPEN):
        operation["security"] = BY_KEY


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
