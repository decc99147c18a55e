"""What does each call that changes something answer? Types for `/openapi.json`, by method and path; a test compares them with real answers."""

import datetime as dt
from collections.abc import Mapping
from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

Position = Annotated[str, Field(description="`after=` of a read takes it")]


class CatalogChange(TypedDict):
    """The event that makes the state as wished, and whether this call appended it."""

    event_id: str
    changed: bool
    position: Position
    moved_from: NotRequired[
        Annotated[str | None, Field(description="who had it until now, of a call with `move=true`")]
    ]
    taken_from: NotRequired[Annotated[str | None, Field(description="who claimed or had it until now")]]
    event_ids: NotRequired[Annotated[list[str], Field(description="of all events that the call appended")]]


class AssociatedAsset(TypedDict):
    """What became of one asset of a bulk association: an event, or a refusal with its code."""

    index: int
    asset_id: str | None
    event_id: NotRequired[str]
    changed: NotRequired[bool]
    moved_from: NotRequired[str | None]
    code: NotRequired[str]
    message: NotRequired[str]
    held_by: NotRequired[str | None]


class AssociatedAssets(TypedDict):
    """How many assets were associated, and what became of each."""

    associated: int
    refused: int
    items: list[AssociatedAsset]
    position: Position


class Change(TypedDict):
    """A value before and after."""

    before: Any
    after: Any


class PreviewedCampaign(TypedDict):
    """A campaign before and after (null: it is not there), and the metrics that would change."""

    id: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    metrics: NotRequired[dict[str, Change]]


class PreviewedAsset(TypedDict):
    """An asset before and after (null: it is not there), with every interval in which a campaign holds it."""

    id: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None


class NoEffect(TypedDict):
    """An event that would change nothing, and why."""

    event_id: str
    reason: str


class Preview(TypedDict):
    """What events would change if they were sent now."""

    campaigns: list[PreviewedCampaign]
    assets: list[PreviewedAsset]
    no_effect: list[NoEffect]


class ContactToken(TypedDict):
    """The token of a contact, or why there is none."""

    index: int
    contact: NotRequired[dict[str, str | None]]
    token: NotRequired[str]
    code: NotRequired[str]
    field: NotRequired[str | None]
    message: NotRequired[str]


class ContactTokens(TypedDict):
    """Tokens that stand for contacts in pixels and links."""

    items: list[ContactToken]
    expires_at: Annotated[dt.datetime | None, Field(description="null: they do not expire")]


Scope = Literal["collect", "server", "read", "admin"]


class KeyFields(TypedDict):
    """A key by its first characters. `origins`: the web pages that may use it, null: all."""

    name: str
    scope: Scope
    origins: list[str] | None


class ListedKey(KeyFields):
    """A key that the workspace has or had."""

    created_at: dt.datetime
    revoked_at: dt.datetime | None


class KeyList(TypedDict):
    """The keys that the workspace has or had."""

    items: list[ListedKey]


class NewKey(KeyFields):
    """A new key, which is shown this once."""

    key: str


class Account(TypedDict):
    """An account at an outside producer."""

    producer: str
    account: str


class ConnectedAccount(Account):
    """An account that is connected with the workspace, and since when."""

    created_at: dt.datetime


class AccountList(TypedDict):
    """The connected accounts of outside producers."""

    items: list[ConnectedAccount]


_CAMPAIGN = "/v1/campaigns/{campaign_id}"
_CHANGES = (
    _CAMPAIGN, "/v1/assets/{asset_id}", _CAMPAIGN + "/assets/{asset_type}/{asset_id}", _CAMPAIGN + "/spend/{item_id}",
    _CAMPAIGN + "/budget-items/{item_id}",
)  # fmt: skip
WRITTEN: Mapping[tuple[str, str], Any] = {
    **{(method, path): CatalogChange for path in _CHANGES for method in ("put", "delete")},
    ("post", _CAMPAIGN + "/assets"): AssociatedAssets,
    ("post", "/v1/preview"): Preview,
    ("post", "/v1/contact-tokens"): ContactTokens,
    ("get", "/v1/keys"): KeyList,
    ("post", "/v1/keys"): NewKey,
    ("put", "/v1/keys/{name}/origins"): KeyFields,
    ("get", "/v1/producers/accounts"): AccountList,
    ("put", "/v1/producers/{producer}/accounts/{account}"): Account,
}
"""The answer of each of these calls."""
