"""`/v1/producers/…/accounts`: connect accounts of outside producers with a workspace. No answer holds a secret."""

from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from services.ingest.ingest import Ingest
from shared.access.accounts import SECRET_CHARACTERS_MAX, connect, disconnect, list_accounts, unfit
from shared.web.access import allow
from shared.web.body import receive
from shared.web.problems import Problem

BODY_BYTES_MAX = 8 * SECRET_CHARACTERS_MAX  # each of its characters may be escaped
ONE = "/v1/producers/{producer:id}/accounts/{account:id}"


class AccountSecret(BaseModel):
    """The body of `PUT`: the secret that the account's messages are signed with."""

    model_config = ConfigDict(extra="forbid")
    secret: Annotated[str, Field(min_length=1, max_length=SECRET_CHARACTERS_MAX)]


def routes(ingest: Ingest) -> APIRouter:
    """The routes of this file. All take an admin key."""
    router = APIRouter()

    @router.get("/v1/producers/accounts", tags=["producers"])
    async def get_accounts(request: Request) -> Response:
        """The workspace's accounts of outside producers, and since when they are connected."""
        access = await allow(request, ingest.keys, "admin")
        items = await list_accounts(ingest.pool, access.workspace)
        return Response(orjson.dumps({"items": items}), media_type="application/json")

    @router.put(ONE, tags=["producers"], openapi_extra=document())
    async def put_account(request: Request, producer: str, account: str) -> Response:
        """Connect an account with this workspace, or replace its secret. All processes know it within 5 seconds."""
        access = await allow(request, ingest.keys, "admin")
        secret = _read(await receive(request, BODY_BYTES_MAX)).secret.strip()
        if problem := unfit(producer, account, secret):
            raise Problem(422, "bad_value", problem[1], field=problem[0])
        if not await connect(ingest.pool, producer, account, access.workspace, secret):
            raise Problem(409, "account_taken", f"{producer}'s account {account} is connected with another workspace")
        return Response(orjson.dumps({"producer": producer, "account": account}), media_type="application/json")

    @router.delete(ONE, tags=["producers"], status_code=204)
    async def delete_account(request: Request, producer: str, account: str) -> Response:
        """Disconnect an account: its messages are refused within 5 seconds. Events of its earlier messages stay."""
        access = await allow(request, ingest.keys, "admin")
        if "\0" in producer + account or not await disconnect(ingest.pool, producer, account, access.workspace):
            raise Problem(404, "not_found", "no such account is connected with this workspace")
        return Response(status_code=204)

    return router


def _read(body: bytes) -> AccountSecret:
    """The body, checked. Raises a 422 `Problem`, whose text holds nothing of the body, for that may be a secret."""
    try:
        return AccountSecret.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"])[:100] or None
        raise Problem(422, "bad_value", first["msg"], field=field) from None


def document() -> dict[str, Any]:
    """What the OpenAPI document says of the request body."""
    return {
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": AccountSecret.model_json_schema()}},
        }
    }
