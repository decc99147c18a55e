"""`POST /v1/workspaces`: how does a workspace begin?"""

import secrets
from typing import TYPE_CHECKING, Annotated

import orjson
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from services.ingest.events import append_event
from shared.access.keys import create_workspace
from shared.events.types import SettingsField, WorkspaceConfigured
from shared.web.access import allow
from shared.web.problems import Problem

if TYPE_CHECKING:
    from services.ingest.app import Ingest

DEFAULT_WORKSPACE = "default"


class NewWorkspace(BaseModel):
    """The body of `POST /v1/workspaces`."""

    model_config = ConfigDict(extra="forbid")
    name: Annotated[str, Field(min_length=1, max_length=256)]
    time_zone: str | None = None
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")] | None = None


def routes(ingest: "Ingest") -> APIRouter:
    """The route of this file."""
    router = APIRouter()

    @router.post("/v1/workspaces", status_code=201, tags=["workspaces"])
    async def post_workspace(request: Request, body: NewWorkspace) -> Response:
        """Make a workspace; its four keys are answered once. Takes an admin key of the workspace `default`.

        Keys and settings are there, or neither: after any other answer than 201 no key was made, and the request may be sent again.
        """
        access = await allow(request, ingest.keys, "admin")
        if access.workspace != DEFAULT_WORKSPACE:
            raise Problem(403, "forbidden", f"workspaces are made with an admin key of `{DEFAULT_WORKSPACE}`")
        try:
            settings = SettingsField(time_zone=body.time_zone, currency=body.currency)
        except ValueError as error:
            raise Problem(422, "bad_value", str(error), field="time_zone") from error
        workspace = "ws_" + secrets.token_hex(8)
        if body.time_zone or body.currency:  # before the keys: nobody may get keys of a workspace without its settings
            await append_event(ingest, workspace, WorkspaceConfigured(settings=settings))
        keys = await create_workspace(ingest.pool, workspace, body.name)
        return Response(
            orjson.dumps({"workspace": workspace, "keys": keys}), status_code=201, media_type="application/json"
        )

    return router
