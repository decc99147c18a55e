"""The catalog by REST: each call appends the event that it means, and answers its id, so that it can be taken back.

A call sees everything that its workspace had accepted before it (`services.ingest.catalog.turn`). Events sent to `POST /v1/events` are
free of order and are not checked in this way.
"""

import codecs
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, get_args

import msgspec
import orjson
from fastapi import APIRouter, Request, Response

from services.ingest.catalog import bulk, calls, corrections, items
from services.ingest.catalog.calls import CallRefused, Outcome
from services.ingest.catalog.turn import WAIT_S, NotAppended, NotInTime, Turn
from services.ingest.events import count
from services.ingest.ingest import Ingest
from shared.access.keys import Access
from shared.events.limits import EVENT_BYTES_MAX, REQUEST_BYTES_MAX
from shared.events.types import AssetRegistered, AssetType, BudgetRecorded, CampaignCreated, Envelope, SpendRecorded
from shared.sealing.log import vault_of
from shared.web.access import allow
from shared.web.body import receive
from shared.web.parameters import Declared, Parameter, check, declared
from shared.web.problems import Problem, unavailable

PRODUCER = "catalog"  # in the counts of messages
STATUS = {
    "unknown_campaign": 404, "unknown_asset": 404, "unknown_item": 404, "not_associated": 404, "type_conflict": 409,
    "held_by_another": 409, "value_claimed": 409, "address_taken": 409, "campaign_deleted": 409, "asset_held": 409,
    "social_post_limit": 409, "id_taken": 409, "too_many_registrations": 409, "not_json": 400, "too_many_assets": 413, "unknown_event": 404,
    "unknown_contact": 404,
}  # fmt: skip
"""The status for each code of a `CallRefused`; for all others 422."""

CAMPAIGN, ASSET = "/v1/campaigns/{campaign_id:id}", "/v1/assets/{asset_id:id}"
HELD = CAMPAIGN + "/assets/{asset_type:id}/{asset_id:id}"
MOVE = Parameter(
    "move", "true: take it from the campaign or asset that has it; else that is 409, which says from where",
    {"type": "string", "enum": ["true", "false"], "default": "false"},
)  # fmt: skip

Body = Mapping[str, Any]
Work = Callable[[Turn], Awaitable[Outcome]]


def routes(ingest: Ingest) -> APIRouter:
    """The routes of this file. All take a server or an admin key."""
    router = APIRouter()
    _campaigns(router, ingest)
    _assets(router, ingest)
    _associations(router, ingest)
    _items(router, ingest)
    _corrections(router, ingest)
    return router


def _campaigns(router: APIRouter, ingest: Ingest) -> None:
    @router.put(CAMPAIGN, tags=["campaigns"], openapi_extra=_takes(CampaignCreated, "campaign_id", MOVE))
    async def put_campaign(campaign_id: str, request: Request) -> Response:
        """Create a campaign, or change the fields that are given. A field that is left out stays as it is.

        A `utm_campaign` that another campaign claims is 409 `value_claimed` without `move=true`.
        """
        access, body = await _asked(ingest, request, with_body=True)
        move = _move(request)
        return await _change(
            ingest, access, lambda t: calls.put_campaign(t.snapshot, campaign_id, body, t.now_us, move=move)
        )

    @router.delete(CAMPAIGN, tags=["campaigns"], openapi_extra=_takes())
    async def delete_campaign(campaign_id: str, request: Request) -> Response:
        """Delete a campaign. It holds no asset from now on; what counted for it stays. Only a retraction of the event brings it back."""
        access, _ = await _asked(ingest, request)
        return await _change(ingest, access, lambda t: calls.delete_campaign(t.snapshot, campaign_id, t.now_us))


def _assets(router: APIRouter, ingest: Ingest) -> None:
    @router.put(ASSET, tags=["assets"], openapi_extra=_takes(AssetRegistered, "asset_id", MOVE))
    async def put_asset(asset_id: str, request: Request) -> Response:
        """Register an asset, or change the fields that are given. A field that is left out stays as it is.

        Another `asset_type` than it has is 409 `type_conflict`. An address that is another asset's is 409 `address_taken` without
        `move=true`.
        """
        access, body = await _asked(ingest, request, with_body=True)
        move = _move(request)
        return await _change(ingest, access, lambda t: calls.put_asset(t, asset_id, body, move=move))

    @router.delete(ASSET, tags=["assets"], openapi_extra=_takes())
    async def delete_asset(asset_id: str, request: Request) -> Response:
        """Retract the registrations of an asset that no campaign holds. Its touches stay, as those of an asset that nobody registered."""
        access, _ = await _asked(ingest, request)
        return await _change(ingest, access, lambda t: calls.delete_asset(t.snapshot, asset_id, t.now_us))


def _associations(router: APIRouter, ingest: Ingest) -> None:
    @router.put(HELD, tags=["campaigns"], openapi_extra=_takes(None, "", MOVE))
    async def put_association(campaign_id: str, asset_type: str, asset_id: str, request: Request) -> Response:
        """Let a campaign hold an asset from now on. Without `move=true`, an asset that another campaign holds is 409 `held_by_another`."""
        access, _ = await _asked(ingest, request)
        named, move = _type(asset_type), _move(request)
        return await _change(
            ingest, access,
            lambda t: bulk.associate_one(t.snapshot, campaign_id, asset_id, named, t.now_us, move=move),
        )  # fmt: skip

    @router.delete(HELD, tags=["campaigns"], openapi_extra=_takes())
    async def delete_association(campaign_id: str, asset_type: str, asset_id: str, request: Request) -> Response:
        """Take an asset out of a campaign from now on. What counted for the campaign until now stays."""
        access, _ = await _asked(ingest, request)
        named = _type(asset_type)
        return await _change(
            ingest, access, lambda t: calls.dissociate(t.snapshot, campaign_id, asset_id, named, t.now_us)
        )

    @router.post(CAMPAIGN + "/assets", tags=["campaigns"], openapi_extra=_takes_many())
    async def post_associations(campaign_id: str, request: Request) -> Response:
        """Associate up to 1,000 assets with a campaign. Each has its own result; one that is refused does not hinder the others."""
        access = await _allowed(ingest, request)
        try:
            assets, move = bulk.read_many(await receive(request, REQUEST_BYTES_MAX)), _move(request)
            async with _turn(ingest, access) as turn:
                results = await bulk.associate_many(turn.snapshot, campaign_id, assets, turn.now_us, move=move)
                position = await turn.append(results.events)
        except CallRefused as refused:
            count(ingest, access, 0, [refused.code], PRODUCER)
            raise _problem(refused) from refused
        count(ingest, access, len(results.items) - len(results.refused), results.refused, PRODUCER)
        body = {
            "associated": len(results.events), "refused": len(results.refused), "items": results.items,
            "position": ingest.positions.write(access.workspace, position),
        }  # fmt: skip
        return _json(body, 200 if not results.refused else 207)


def _items(router: APIRouter, ingest: Ingest) -> None:
    def add(kind: str, path: str, struct: type[Envelope], says: str) -> None:
        async def put_item(campaign_id: str, item_id: str, request: Request) -> Response:
            access, body = await _asked(ingest, request, with_body=True)
            return await _change(
                ingest, access, lambda t: items.put_item(t.snapshot, kind, campaign_id, item_id, body, t.now_us)
            )

        async def delete_item(campaign_id: str, item_id: str, request: Request) -> Response:
            access, _ = await _asked(ingest, request)
            return await _change(
                ingest, access, lambda t: items.delete_item(t.snapshot, kind, campaign_id, item_id, t.now_us)
            )

        put_item.__name__, delete_item.__name__ = f"put_{kind}_item", f"delete_{kind}_item"
        put_item.__doc__ = f"Record {says} under an id of yours, or replace the item that has the id."
        delete_item.__doc__ = f"Take back {says}, by the item's id."
        one = f"{CAMPAIGN}/{path}/{{item_id:id}}"
        router.put(one, tags=["campaigns"], openapi_extra=_takes(struct, "campaign_id"))(put_item)
        router.delete(one, tags=["campaigns"], openapi_extra=_takes())(delete_item)

    add("spend", "spend", SpendRecorded, "a sum that was spent on a campaign on one day")
    add("budget", "budget-items", BudgetRecorded, "a sum that is planned for a campaign")


def _corrections(router: APIRouter, ingest: Ingest) -> None:
    @router.delete("/v1/events/{event_id:id}", tags=["events"], openapi_extra=_takes())
    async def delete_event(event_id: str, request: Request) -> Response:
        """Take an event back, of whatever type: it is out of the set, as if it had never been sent. If the event is such a retraction
        itself, what it had taken back counts again. Takes a server or an admin key.
        """
        access, _ = await _asked(ingest, request)
        return await _change(ingest, access, lambda t: corrections.retract(t.snapshot, event_id, t.now_us))

    @router.post("/v1/contacts/{name:id}/merge", tags=["contacts"], openapi_extra=_takes_into())
    async def post_merge(name: str, request: Request) -> Response:
        """Merge a contact into another one; each is named by any of its identifiers. Takes a server or an admin key."""
        access, body = await _asked(ingest, request, with_body=True)
        vault = vault_of(ingest.log)
        return await _change(ingest, access, lambda t: corrections.merge(t.snapshot, vault, name, body, t.now_us))


async def _allowed(ingest: Ingest, request: Request) -> Access:
    access = await allow(request, ingest.keys, "server", "admin")
    check(request)
    return access


async def _asked(ingest: Ingest, request: Request, *, with_body: bool = False) -> tuple[Access, Body]:
    """The key's access and, if wanted, the body, which is a JSON object. Raises a `Problem`."""
    access = await _allowed(ingest, request)
    if not with_body:
        return access, {}
    sent = (await receive(request, EVENT_BYTES_MAX)).removeprefix(codecs.BOM_UTF8)
    try:
        body = msgspec.json.decode(sent) if sent.strip() else {}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Problem(400, "not_json", f"the body is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise Problem(422, "wrong_type", "the body must be a JSON object")
    return access, body


def _move(request: Request) -> bool:
    return request.query_params.get("move") == "true"


def _type(asset_type: str) -> str:
    if asset_type not in get_args(AssetType):
        raise Problem(422, "bad_value", f"there is no asset type {asset_type[:100]!r}", field="asset_type")
    return asset_type


@asynccontextmanager
async def _turn(ingest: Ingest, access: Access) -> AsyncIterator[Turn]:
    """A turn of the key's workspace. Raises a 422 or 503 `Problem`."""
    try:
        async with ingest.turns.take(access.workspace, access.hint) as turn:
            yield turn
    except NotInTime as error:
        raise unavailable(f"what was accepted before this call is not projected within {WAIT_S:g} s") from error
    except NotAppended as error:
        raise Problem(422, error.refusal.code, error.refusal.message, field=error.refusal.field) from error


async def _change(ingest: Ingest, access: Access, work: Work) -> Response:
    """Do one call in a turn and answer it: 201 if something new is there, else 200. Raises a `Problem`."""
    try:
        async with _turn(ingest, access) as turn:
            outcome = await work(turn)
            position = await turn.append(outcome.events)
    except CallRefused as refused:
        count(ingest, access, 0, [refused.code], PRODUCER)
        raise _problem(refused) from refused
    count(ingest, access, 1, [], PRODUCER)
    body = {**calls.answer_of(outcome), "position": ingest.positions.write(access.workspace, position)}
    return _json(body, 201 if outcome.new and outcome.events else 200)


def _problem(refused: CallRefused) -> Problem:
    return Problem(STATUS.get(refused.code, 422), refused.code, refused.message, **refused.members)


def _json(body: Mapping[str, Any], status: int) -> Response:
    return Response(orjson.dumps(body), status_code=status, media_type="application/json")


def _takes(struct: type[Envelope] | None = None, own: str = "", *parameters: Parameter) -> Declared:
    """The `openapi_extra` of a call: its parameters, and the fields of its body, which are those of an event without `own`."""
    extra = declared(*parameters)
    if struct is not None:
        _, schemas = msgspec.json.schema_components((struct,), ref_template="#/components/schemas/{name}")
        schema = schemas[struct.__name__]
        outside = {*Envelope.__struct_fields__, "type", own}
        fields = {name: each for name, each in schema["properties"].items() if name not in outside}
        required = [name for name in schema.get("required", ()) if name not in outside]
        object_ = {"type": "object", "properties": fields, "required": required, "additionalProperties": False}
        extra["requestBody"] = {"required": True, "content": {"application/json": {"schema": object_}}}
    return extra


def _takes_into() -> Declared:
    """The `openapi_extra` of a merge."""
    extra = declared()
    into = {"type": "string", "minLength": 1, "description": "any identifier of the other contact"}
    schema = {"type": "object", "required": ["into"], "properties": {"into": into}, "additionalProperties": False}
    extra["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    return extra


def _takes_many() -> Declared:
    """The `openapi_extra` of a bulk association."""
    extra = declared(MOVE)
    one = {
        "type": "object", "required": ["asset_id"], "additionalProperties": False,
        "properties": {"asset_id": {"type": "string", "minLength": 1}, "asset_type": {"enum": list(get_args(AssetType))}},
    }  # fmt: skip
    schema = {"type": "object", "required": ["assets"], "properties": {"assets": {"type": "array", "items": one}}}
    extra["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    return extra
