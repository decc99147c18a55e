"""What does `/openapi.json` say of the routes that outside producers send to? Their headers, and what they are answered."""

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
    """A header that a call must have."""
    return {"name": name, "in": "header", "required": True, "description": says, "schema": {"type": "string"}}


def answered(more: dict[str, Any], refusals: dict[int, str]) -> dict[str, Any]:
    """The answers of a route: what became of the messages, with what it tells beside that, and the problems by status."""
    told = {
        "mapped": {"type": "integer"}, "unmapped": {"type": "integer"}, "refused": {"type": "array", "items": REFUSED}, **more,
    }  # fmt: skip
    return {"200": success({"type": "object", "properties": told}), **problems(refusals)}


def success(schema: dict[str, Any]) -> dict[str, Any]:
    """The answer when everything is durable."""
    says = "Everything is durable; what was refused is kept as dead letters."
    return {"description": says, "content": {"application/json": {"schema": schema}}}


def problems(refusals: dict[int, str]) -> dict[str, Any]:
    """The problems by status, each with its codes; the log can be away of every route."""
    away = {503: "unavailable, disk_full: come again after `Retry-After`"}
    return {
        str(status): {"description": says, "content": {"application/problem+json": {"schema": PROBLEM}}}
        for status, says in (refusals | away).items()
    }
