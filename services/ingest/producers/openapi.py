"""What the OpenAPI document says of the routes that outside producers send to: their headers and answers."""

from typing import Any

PROBLEM = {
    "type": "object",
    "properties": {"status": {"type": "integer"}, "code": {"type": "string"}, "detail": {"type": "string"}},
}
REFUSED = {
    "type": "object",
    "properties": {
        "index": {"type": "integer", "description": "the message's place in the call"}, "id": {"type": ["string", "null"]},
        "code": {"type": "string"}, "field": {"type": ["string", "null"]}, "message": {"type": "string"},
    },
}  # fmt: skip


def header(name: str, says: str) -> dict[str, Any]:
    """A required header of a call. `says` is its description."""
    return {"name": name, "in": "header", "required": True, "description": says, "schema": {"type": "string"}}


def answered(more: dict[str, Any], refusals: dict[int, str]) -> dict[str, Any]:
    """The answers of a route: what became of the messages, the properties `more`, and the codes of the problems by status."""
    properties = {
        "mapped": {"type": "integer"}, "unmapped": {"type": "integer"}, "refused": {"type": "array", "items": REFUSED}, **more,
    }  # fmt: skip
    return {"200": success({"type": "object", "properties": properties}), **problems(refusals)}


def success(schema: dict[str, Any]) -> dict[str, Any]:
    """The answer 200, which is sent when everything is durable."""
    says = "Everything is durable; what was refused is kept as dead letters."
    return {"description": says, "content": {"application/json": {"schema": schema}}}


def problems(refusals: dict[int, str]) -> dict[str, Any]:
    """The problems by status, each with its codes; 503 is added, for the log of every route may be unreachable."""
    away = {503: "unavailable, disk_full: send it again after the seconds of `Retry-After`"}
    return {
        str(status): {"description": says, "content": {"application/problem+json": {"schema": PROBLEM}}}
        for status, says in (refusals | away).items()
    }
