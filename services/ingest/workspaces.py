"""`POST /v1/workspaces`: make a workspace with its keys and its first settings."""

import secrets
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from services.ingest.events import append_event
from services.ingest.ingest import Ingest
from shared.access.keys import create_workspace
from shared.access.scopes import OPERATOR_WORKSPACE
from shared.events.blank import is_blank
from shared.events.currencies import CURRENCIES
from shared.events.limits import WORKSPACE_BYTES_MAX
from shared.events.types import SettingsField, WorkspaceConfigured
from shared.events.zones import zones
from shared.web.access import allow
from shared.web.body import receive
from shared.web.problems import Problem


class NewWorkspace(BaseModel):
    """The body of `POST /v1/workspaces`: a name, an IANA time zone and a currency code of ISO 4217."""

    model_config = ConfigDict(extra="forbid")
    name: Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[^\x00]*$")]
    time_zone: Annotated[str, Field(max_length=64)] | None = None
    currency: Annotated[str, Field(max_length=3)] | None = None


def routes(ingest: Ingest) -> APIRouter:
    """The route of this file."""
    router = APIRouter()

    @router.post("/v1/workspaces", status_code=201, tags=["workspaces"], openapi_extra=document())
    async def post_workspace(request: Request) -> Response:
        """Make a workspace, and answer its four keys, which no other request can read. Takes an admin key of the workspace `default`.

        If the answer is not 201, no key was made, and the request may be sent again.
        """
        access = await allow(request, ingest.keys, "admin")
        if access.workspace != OPERATOR_WORKSPACE:
            raise Problem(403, "forbidden", f"workspaces are made with an admin key of `{OPERATOR_WORKSPACE}`")
        body = _read(await receive(request, WORKSPACE_BYTES_MAX))
        settings = SettingsField(time_zone=body.time_zone, currency=body.currency)
        workspace = "ws_" + secrets.token_hex(8)
        if body.time_zone or body.currency:  # before the keys: nobody may get keys of a workspace without its settings
            await append_event(ingest, workspace, WorkspaceConfigured(settings=settings))
        keys = await create_workspace(ingest.pool, workspace, body.name)
        return Response(
            orjson.dumps({"workspace": workspace, "keys": keys}), status_code=201, media_type="application/json"
        )

    return router


def _read(body: bytes) -> NewWorkspace:
    """The body, checked. Raises a 422 `Problem`."""
    try:
        workspace = NewWorkspace.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"])[:100] or None
        raise Problem(422, "bad_value", first["msg"], field=field) from error
    if is_blank(workspace.name):
        raise Problem(422, "bad_value", "a text without a character that can be seen", field="name")
    if workspace.time_zone is not None and workspace.time_zone not in zones():
        raise Problem(422, "bad_value", f"{workspace.time_zone!r} is not an IANA time zone", field="time_zone")
    if workspace.currency is not None and workspace.currency not in CURRENCIES:
        raise Problem(422, "bad_value", f"{workspace.currency!r} is not a currency of ISO 4217", field="currency")
    return workspace


def document() -> dict[str, Any]:
    """What the OpenAPI document says of the request body."""
    return {
        "requestBody": {"required": True, "content": {"application/json": {"schema": NewWorkspace.model_json_schema()}}}
    }
