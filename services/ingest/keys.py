"""`/v1/keys`: list, make and revoke the access keys of a workspace, and say from which web pages a collect key may be used."""

from typing import Annotated, Any, TypeVar

import orjson
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from services.ingest.ingest import Ingest
from shared.access.keys import HINT_CHARACTERS, Access, create_key, digest, list_keys, revoke_keys, set_origins
from shared.access.origins import ORIGIN_CHARACTERS_MAX, ORIGINS_MAX, read_origins
from shared.access.scopes import Scope
from shared.web.access import allow, key_of
from shared.web.body import receive
from shared.web.problems import Problem

BODY_BYTES_MAX = 64 * 1024  # 100 origins of 300 characters, and some
ONE = "/v1/keys/{name:id}"

Origins = Annotated[list[Annotated[str, Field(max_length=ORIGIN_CHARACTERS_MAX)]], Field(max_length=ORIGINS_MAX)]

Body = TypeVar("Body", bound=BaseModel)


class NewKey(BaseModel):
    """The body of `POST /v1/keys`: the scope, and for a collect key the origins of the pages that may use it (absent: all)."""

    model_config = ConfigDict(extra="forbid")
    scope: Scope
    origins: Origins | None = None


class KeyOrigins(BaseModel):
    """The body of `PUT /v1/keys/{name}/origins`: the origins of the pages that may use the key; null: all."""

    model_config = ConfigDict(extra="forbid")
    origins: Origins | None


def routes(ingest: Ingest) -> APIRouter:
    """The routes of this file. All take an admin key, and concern the keys of its workspace."""
    router = APIRouter()

    @router.get("/v1/keys", tags=["keys"])
    async def get_keys(request: Request) -> Response:
        """Every key that the workspace has or had, by its first characters (`name`). No answer but that of `POST` holds a key."""
        access = await allow(request, ingest.keys, "admin")
        async with ingest.pool.acquire() as connection:
            keys = await list_keys(connection, access.workspace)
        items = [{"name": key.pop("hint"), **key} for key in keys]
        return _json({"items": items})

    @router.post("/v1/keys", tags=["keys"], status_code=201, openapi_extra=document(NewKey))
    async def post_key(request: Request) -> Response:
        """Make a key. The answer shows it once: only its SHA-256 is stored."""
        access = await allow(request, ingest.keys, "admin")
        new_key = _read(await receive(request, BODY_BYTES_MAX), NewKey)
        if new_key.origins is not None and new_key.scope != "collect":
            raise _only_collect(new_key.scope)
        origins = _origins(new_key.origins)
        async with ingest.pool.acquire() as connection, connection.transaction():
            key = await create_key(connection, access.workspace, new_key.scope, origins)
        return _json({"key": key, "name": key[:HINT_CHARACTERS], "scope": new_key.scope, "origins": origins}, 201)

    @router.delete(ONE, tags=["keys"], status_code=204)
    async def delete_key(request: Request, name: str) -> Response:
        """Revoke a key, by its first characters. All processes refuse it within 5 seconds. The key of this request is not revoked."""
        access = await allow(request, ingest.keys, "admin")
        if name == access.hint or digest(name) == digest(key_of(request) or ""):
            raise Problem(
                409,
                "own_key",
                "this is the key of the request itself: revoke it with another admin key, or `touchline keys revoke`",
            )
        async with ingest.pool.acquire() as connection:
            revoked = 0 if "\0" in name else await revoke_keys(connection, access.workspace, name)
        if revoked != 1:
            raise _unknown(name)
        return Response(status_code=204)

    @router.put(ONE + "/origins", tags=["keys"], openapi_extra=document(KeyOrigins))
    async def put_origins(request: Request, name: str) -> Response:
        """Say from which web pages a collect key may be used: a list of origins, or null for all. In force within 5 seconds."""
        access = await allow(request, ingest.keys, "admin")
        origins = _origins(_read(await receive(request, BODY_BYTES_MAX), KeyOrigins).origins)
        return _json(await _put(ingest, access, name, origins))

    return router


async def _put(ingest: Ingest, access: Access, name: str, origins: list[str] | None) -> dict[str, Any]:
    async with ingest.pool.acquire() as connection:
        scopes = [] if "\0" in name else await set_origins(connection, access.workspace, name, origins)
    if len(scopes) != 1:
        raise _unknown(name)
    if scopes[0] != "collect":
        raise _only_collect(scopes[0])
    return {"name": name[:HINT_CHARACTERS], "scope": scopes[0], "origins": origins}


def _origins(origins: list[str] | None) -> list[str] | None:
    """The origins as browsers write them. Raises a 422 `Problem`."""
    if origins is None:
        return None
    try:
        return read_origins(origins)
    except ValueError as error:
        raise Problem(422, "bad_value", str(error), field="origins") from error


def _read(body: bytes, kind: type[Body]) -> Body:
    """The body, checked. Raises a 422 `Problem`."""
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"])[:100] or None
        raise Problem(422, "bad_value", first["msg"], field=field) from error


def _only_collect(scope: Scope) -> Problem:
    return Problem(
        422, "bad_value", f"only collect keys are used by web pages; a {scope} key has no origins", field="origins"
    )


def _unknown(name: str) -> Problem:
    return Problem(404, "not_found", f"no valid key of this workspace begins with {name[:HINT_CHARACTERS]!r}")


def _json(body: dict[str, Any], status: int = 200) -> Response:
    return Response(orjson.dumps(body), status, {"Cache-Control": "no-store"}, "application/json")


def document(kind: type[BaseModel]) -> dict[str, Any]:
    """What the OpenAPI document says of the request body."""
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": kind.model_json_schema()}}}}
