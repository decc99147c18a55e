"""Which examples does `/openapi.json` have? Answers of the service in a small world, and the events that the codec's tests read.

`touchline/examples.json` has them. Whoever changes answers writes it anew by `make examples`.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema

from services.api.document import ANSWERS
from services.ingest.answers import WRITTEN
from tests.conftest import Workspace, new_workspace
from tests.unit.test_codec import GOLDEN
from touchline.compose import Running
from touchline.document import EXAMPLES, REF

KARI, OLA = {"id": "8001", "email": "kari@example.no"}, {"id": "8002", "email": "ola@example.no"}
OFFER = "https://shop.example/offer"
VARIABLE = {"as_of", "position", "next_cursor", "settled_through", "link", "after", "createdAt", "updatedAt"}
UUID = re.compile(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")
NOW = re.compile(r"\b(?!2026-0[1-6]-)\d{4}-\d\d-\d\dT[0-9:.]+(Z|\+00:00)")
"""Fields whose values are others in every store."""


def at(day: int, hour: int = 9) -> str:
    return f"2026-03-{day:02}T{hour:02}:00:00Z"


EVENTS: list[dict[str, Any]] = [
    {"type": "workspace_configured", "id": "set", "settings": {"currency": "EUR", "time_zone": "Europe/Oslo"}, "occurred_at": at(1, 1)},
    {"type": "model_defined", "id": "board-1", "model": "board", "weights": {"first": "50", "others": "50"}, "occurred_at": at(1, 1)},
    {"type": "campaign_created", "id": "spring-1", "campaign_id": "spring", "name": "Spring launch", "utm_campaign": "spring-launch", "owner": "ingrid",
     "starts_on": "2026-03-01", "ends_on": "2026-05-31", "budget": "12000.00", "currency": "EUR", "notes": "the new boots", "goals": {"influenced_contacts": "200", "attributed_revenue": "50000.00"}, "occurred_at": at(1, 2)},
    {"type": "campaign_created", "id": "autumn-1", "campaign_id": "autumn", "name": "Autumn fair", "owner": "ola", "occurred_at": at(1, 2)},
    {"type": "campaign_created", "id": "retired-1", "campaign_id": "retired", "name": "Winter sale", "occurred_at": at(1, 2)},
    {"type": "campaign_deleted", "id": "retired-2", "campaign_id": "retired", "occurred_at": at(2)},
    {"type": "asset_registered", "id": "lp-1", "asset_id": "offer", "asset_type": "landing_page", "name": "Spring offer", "url": OFFER, "occurred_at": at(1, 3)},
    {"type": "asset_registered", "id": "cta-1", "asset_id": "buy", "asset_type": "cta", "name": "Buy now", "target_url": OFFER, "occurred_at": at(1, 3)},
    {"type": "asset_registered", "id": "mail-1", "asset_id": "letter", "asset_type": "marketing_email", "name": "March letter", "occurred_at": at(1, 3)},
    {"type": "asset_registered", "id": "form-1", "asset_id": "demo-form", "asset_type": "form", "name": "Book a demo", "occurred_at": at(1, 3)},
    {"type": "asset_registered", "id": "ad-1", "asset_id": "search-ad", "asset_type": "ad_campaign", "name": "Boots", "network": "google", "ad_type": "search", "occurred_at": at(1, 3)},
    *({"type": "asset_associated", "id": f"held-{asset}", "asset_id": asset, "campaign_id": "spring", "occurred_at": at(2)}
      for asset in ("offer", "buy", "letter", "demo-form")),
    {"type": "asset_associated", "id": "late-1", "asset_id": "search-ad", "campaign_id": "retired", "occurred_at": at(3)},
    {"type": "asset_associated", "id": "moved-1", "asset_id": "letter", "campaign_id": "autumn", "occurred_at": at(12)},
    {"type": "spend_recorded", "id": "spend-1", "campaign_id": "spring", "asset_id": "search-ad", "amount": "840.00", "currency": "EUR", "on": "2026-03-05", "occurred_at": at(5)},
    {"type": "spend_recorded", "id": "spend-2", "campaign_id": "spring", "amount": "9000.00", "currency": "NOK", "on": "2026-03-06", "occurred_at": at(6)},
    {"type": "budget_recorded", "id": "budget-1", "campaign_id": "autumn", "name": "Stand at the fair", "amount": "3000.00", "currency": "EUR", "occurred_at": at(5)},
    {"type": "page_visited", "id": "visit-0", "visitor_id": "v1", "url": OFFER, "occurred_at": at(1, 12)},
    {"type": "page_visited", "id": "visit-1", "visitor_id": "v1", "url": f"{OFFER}?utm_campaign=spring-launch&utm_source=google&utm_medium=cpc", "occurred_at": at(4)},
    {"type": "cta_clicked", "id": "click-1", "visitor_id": "v1", "asset_id": "buy", "occurred_at": at(4, 10)},
    {"type": "form_submitted", "id": "form-2", "visitor_id": "v1", "asset_id": "demo-form", "contact": KARI, "url": OFFER, "occurred_at": at(4, 11)},
    {"type": "contact_updated", "id": "kari-1", "contact": KARI, "properties": {"first_name": "Kari", "last_name": "Nordmann"}, "occurred_at": at(4, 12)},
    {"type": "contact_merged", "id": "kari-2", "contact": {"id": "501"}, "into": KARI, "occurred_at": at(4, 13)},
    {"type": "contact_merged", "id": "kari-3", "contact": {"id": "502"}, "into": KARI, "occurred_at": at(4, 13)},
    {"type": "salesforce_campaign_joined", "id": "sf-1", "contact": KARI, "salesforce_campaign_id": "701A0000", "source": "form", "occurred_at": at(4, 14)},
    {"type": "email_clicked", "id": "mail-2", "asset_id": "letter", "contact": KARI, "url": OFFER, "occurred_at": at(6)},
    {"type": "email_clicked", "id": "mail-3", "asset_id": "letter", "contact": OLA, "url": OFFER, "occurred_at": at(14)},
    {"type": "page_visited", "id": "visit-2", "visitor_id": "v2", "url": "https://shop.example/?utm_campaign=easter", "occurred_at": at(8)},
    {"type": "page_visited", "id": "visit-3", "visitor_id": "v3", "url": OFFER, "user_agent": "Googlebot/2.1", "occurred_at": at(9)},
    {"type": "email_clicked", "id": "ghost-1", "asset_id": "unknown-mail", "contact": OLA, "occurred_at": at(15)},
    {"type": "asset_associated", "id": "ghost-2", "asset_id": "buy", "campaign_id": "summer", "occurred_at": "2026-04-30T09:00:00Z"},
    {"type": "deal_created", "id": "deal-1", "deal_id": "fjord", "name": "Fjordline, 40 seats", "contacts": [KARI], "amount": "1200.50", "currency": "EUR", "occurred_at": at(7)},
    {"type": "deal_contact_associated", "id": "deal-2", "deal_id": "fjord", "contact": OLA, "occurred_at": at(21)},
    {"type": "deal_closed", "id": "deal-3", "deal_id": "fjord", "won": True, "occurred_at": at(20)},
    {"type": "deal_created", "id": "deal-4", "deal_id": "nord", "name": "Nordlys", "contacts": [OLA], "amount": "9000.00", "currency": "NOK", "occurred_at": at(16)},
    {"type": "deal_closed", "id": "deal-5", "deal_id": "nord", "won": True, "occurred_at": at(22)},
    {"type": "page_visited", "id": "visit-4", "visitor_id": "v1", "url": "https://shop.example/contact", "occurred_at": at(23)},
    {"type": "event_retracted", "id": "back-1", "event_id": "visit-4", "occurred_at": at(24)},
]  # fmt: skip

HUBSPOT_DATES = "startDate=2026-01-01&endDate=2026-12-31"
READS: dict[str, str] = {
    "/v1/campaigns": "/v1/campaigns?limit=2&compare=2026-01-01..2026-02-01&series=sessions&interval=month&from=2026-03-01&to=2026-05-01",
    "/v1/campaigns/{campaign_id}": "/v1/campaigns/spring",
    "/v1/campaigns/{campaign_id}/overview": "/v1/campaigns/spring/overview?compare=2026-01-01..2026-02-01",
    "/v1/campaigns/{campaign_id}/timeline": "/v1/campaigns/spring/timeline?metric=attributed_revenue&interval=month&from=2026-03-01&to=2026-05-01",
    "/v1/campaigns/{campaign_id}/assets": "/v1/campaigns/spring/assets?limit=2",
    "/v1/campaigns/{campaign_id}/contacts": "/v1/campaigns/spring/contacts",
    "/v1/campaigns/{campaign_id}/deals": "/v1/campaigns/spring/deals",
    "/v1/campaigns/{campaign_id}/touches": "/v1/campaigns/spring/touches?limit=2",
    "/v1/campaigns/{campaign_id}/sessions": "/v1/campaigns/spring/sessions",
    "/v1/campaigns/{campaign_id}/refusals": "/v1/campaigns/retired/refusals",
    "/v1/campaigns/{campaign_id}/spend": "/v1/campaigns/spring/spend",
    "/v1/campaigns/{campaign_id}/budget-items": "/v1/campaigns/autumn/budget-items",
    "/v1/catalog/unresolved": "/v1/catalog/unresolved",
    "/v1/catalog/unresolved/events": "/v1/catalog/unresolved/events?kind=utm_values&name=easter",
    "/v1/assets": "/v1/assets?limit=2",
    "/v1/assets/{asset_id}": "/v1/assets/letter",
    "/v1/assets/{asset_id}/touches": "/v1/assets/letter/touches?limit=2",
    "/v1/assets/{asset_id}/contacts": "/v1/assets/letter/contacts?limit=2",
    "/v1/assets/{asset_id}/deals": "/v1/assets/letter/deals",
    "/v1/contacts": "/v1/contacts?limit=2",
    "/v1/contacts/{name}": "/v1/contacts/8001",
    "/v1/contacts/{name}/deals": "/v1/contacts/8001/deals?limit=2",
    "/v1/contacts/{name}/journey": "/v1/contacts/8001/journey?limit=2",
    "/v1/identifiers": "/v1/identifiers?min_joined=2&limit=1",
    "/v1/deals": "/v1/deals?limit=2",
    "/v1/deals/{deal_id}": "/v1/deals/fjord",
    "/v1/deals/{deal_id}/attribution": "/v1/deals/fjord/attribution?model=u_shaped&model=linear&all=true",
    "/v1/deals/{deal_id}/explain": "/v1/deals/fjord/explain?campaign=spring",
    "/v1/events": "/v1/events?limit=2",
    "/v1/events/{event_id}/explain": "/v1/events/mail-2/explain",
    "/v1/reports/attribution": "/v1/reports/attribution?model=linear&model=u_shaped&currency=EUR",
    "/v1/reports/attribution/deals": "/v1/reports/attribution/deals?group=spring&model=u_shaped",
    "/v1/reports/attribution/contacts": "/v1/reports/attribution/contacts?group=spring&model=u_shaped",
    "/v1/reports/roi": "/v1/reports/roi",
    "/v1/reports/paths": "/v1/reports/paths?limit=2",
    "/v1/reports/paths/deals": "/v1/reports/paths/deals?limit=2",
    "/v1/status": "/v1/status",
    "/v1/producers": "/v1/producers",
    "/v1/generations": "/v1/generations",
    "/v1/generations/{name}/difference": "/v1/generations/g1/difference",
    "/v1/verifications": "/v1/verifications",
    "/v1/browsers": "/v1/browsers",
    "/marketing/v3/campaigns": "/marketing/v3/campaigns?limit=1&properties=hs_name,hs_owner",
    "/marketing/v3/campaigns/{campaign_id}": f"/marketing/v3/campaigns/spring?properties=hs_name&{HUBSPOT_DATES}",
    "/marketing/v3/campaigns/{campaign_id}/assets/{asset_type}": f"/marketing/v3/campaigns/spring/assets/FORM?{HUBSPOT_DATES}",
    "/marketing/v3/campaigns/{campaign_id}/reports/metrics": f"/marketing/v3/campaigns/spring/reports/metrics?{HUBSPOT_DATES}",
    "/marketing/v3/campaigns/{campaign_id}/reports/revenue": f"/marketing/v3/campaigns/spring/reports/revenue?{HUBSPOT_DATES}",
    "/marketing/v3/campaigns/{campaign_id}/reports/contacts/{contact_type}":
        f"/marketing/v3/campaigns/spring/reports/contacts/influencedContacts?{HUBSPOT_DATES}",
    "/marketing/v3/campaigns/{campaign_id}/budget/totals": "/marketing/v3/campaigns/spring/budget/totals",
}  # fmt: skip
SCHEMAS: dict[str, tuple[str, str]] = {
    "EventList": ("/v1/events", "/v1/events?limit=50"), "CampaignNameList": ("/v1/campaigns", "/v1/campaigns?numbers=false&limit=1"),
    "UnresolvedOfKind": ("/v1/catalog/unresolved", "/v1/catalog/unresolved?kind=pages&limit=1"),
    "EventExplanation": ("/v1/events/{event_id}/explain", "/v1/events/visit-0/explain"),
}  # fmt: skip
"""Reads for schemas that no answer of `READS` has."""
LATER = ("/v1/status", "/v1/producers", "/v1/browsers")
"""Reads that tell something only after calls were made."""
HELD = "/v1/campaigns/{campaign_id}/assets/{asset_type}/{asset_id}"
SPEND, BUDGET = "/v1/campaigns/{campaign_id}/spend/{item_id}", "/v1/campaigns/{campaign_id}/budget-items/{item_id}"
WRITES: list[tuple[str, str, str, Any]] = [
    ("put", "/v1/campaigns/{campaign_id}", "/v1/campaigns/summer", {"name": "Summer tour", "utm_campaign": "summer-tour", "owner": "kari", "starts_on": "2026-06-01"}),
    ("put", "/v1/assets/{asset_id}", "/v1/assets/tour-page", {"asset_type": "landing_page", "name": "The tour", "url": "https://shop.example/tour"}),
    ("put", HELD, "/v1/campaigns/summer/assets/marketing_email/letter?move=true", None),
    ("delete", HELD, "/v1/campaigns/summer/assets/marketing_email/letter", None),
    ("post", "/v1/campaigns/{campaign_id}/assets", "/v1/campaigns/summer/assets", {"assets": [{"asset_id": "tour-page", "asset_type": "landing_page"}, {"asset_id": "demo-form"}]}),
    ("put", SPEND, "/v1/campaigns/summer/spend/june-ads", {"amount": "250.00", "currency": "EUR", "on": "2026-06-03"}),
    ("delete", SPEND, "/v1/campaigns/summer/spend/june-ads", None),
    ("put", BUDGET, "/v1/campaigns/summer/budget-items/bus", {"amount": "1800.00", "currency": "EUR", "name": "The bus"}),
    ("delete", BUDGET, "/v1/campaigns/summer/budget-items/bus", None),
    ("post", "/v1/preview", "/v1/preview", {"events": [
        {"type": "asset_associated", "id": "would-1", "asset_id": "buy", "campaign_id": "autumn", "occurred_at": at(3)},
        {"type": "asset_associated", "id": "would-2", "asset_id": "offer", "campaign_id": "spring", "occurred_at": at(9)}]}),
    ("post", "/v1/contact-tokens", "/v1/contact-tokens", {"contacts": [KARI, {"email": "nobody"}]}),
    ("post", "/v1/keys", "/v1/keys", {"scope": "collect", "origins": ["https://shop.example"]}),
    ("get", "/v1/keys", "/v1/keys", None),
    ("put", "/v1/producers/{producer}/accounts/{account}", "/v1/producers/hubspot/accounts/{account}", {"secret": "a-secret-that-signs-messages"}),
    ("get", "/v1/producers/accounts", "/v1/producers/accounts", None),
    ("post", "/v1/events", "/v1/events", {"events": [
        {"type": "page_visited", "id": "more-1", "visitor_id": "v9", "url": OFFER, "occurred_at": at(25)}, {"type": "page_visited", "id": "more-2", "visitor_id": "v9", "url": OFFER, "occurred_at": "2999-03-25T09:00:00Z"}]}),
    ("delete", "/v1/assets/{asset_id}", "/v1/assets/search-ad", None),
    ("delete", "/v1/campaigns/{campaign_id}", "/v1/campaigns/summer", None),
]  # fmt: skip
"""Calls in their order: method, path of the route, path, and body."""
_SEEN = {"first_seen": "2026-03-04T08:00:00Z", "last_seen": "2026-03-25T09:00:00Z"}
_COUNTS = {
    "accepted": 41,
    "mapped": 40,
    "unmapped": 1,
    "refused": 1,
    "refused_by": [{"code": "in_the_future", "messages": 1}],
    **_SEEN,
}
_PRODUCER = {
    "producer": "events",
    **_COUNTS,
    "dead_letters": 1,
    "more_names": False,
    "names": [{"name": "tls_ab12", **_COUNTS}],
}
_NOTICE = {"notice": "origin_not_allowed", "key": "tlc_ab12", "origin": "https://copy.example", "requests": 3, **_SEEN}
_KEYS = {
    scope: f"{start}_{'0' * 32}"
    for scope, start in (("collect", "tlc"), ("server", "tls"), ("read", "tlr"), ("admin", "tla"))
}
_WHAT_IF = {
    "name": "hourly",
    "state": "what_if",
    "workspace": "shop",
    "shape": "5e1f0c9a7b3d2e48",
    "this_release": True,
    "created_at": "2026-03-25T09:00:00Z",
    "live_since": None,
    "expires_at": "2026-04-01T09:00:00Z",
    "events": 290_000,
    "behind_events": None,
    "bytes": 210_000_000,
    "made": None,
    "changes": {"settings": {"session_gap_minutes": 60}, "added": 0, "without": 0, "received_by": None},
    "other_lists": [],
}
_DIFFERENCE = {
    "campaign_id": "spring",
    "name": "Spring launch",
    "exists": {"before": True, "after": True},
    "metrics": {"sessions": {"before": 412, "after": 380}},
    "excluded": {},
}
_VERIFICATION = {
    "number": 12,
    "made_by": "verify",
    "generation": "g1",
    "state": "differed",
    "began_at": "2026-03-25T09:00:00Z",
    "ended_at": "2026-03-25T09:01:10Z",
    "sample": {"of": 100, "place": 3, "persons_and_deals": 182},
    "tables": 31,
    "rows": 40_120,
    "offsets": {"2": 290_000},
    "events": 290_000,
    "differences": ["deal (ws 1, deal 71204) differs in state; event deal-9"],
    "left_out": [],
    "failure": None,
}
BY_HAND: dict[str, Any] = {
    "ProducerItem": _PRODUCER, "NamedMessages": _PRODUCER["names"][0], "RefusedBy": _COUNTS["refused_by"][0], "BrowserNotice": _NOTICE,
    "SettingsUnderWay": {"since": "2026-03-25T09:00:00Z", "events_done": 12_000, "events_to_do": 290_000},
    "PushedOut": {"key": "tlc_ab12", "events": 120}, "NewKeys": {"workspace": "shop-2", "keys": _KEYS},
    "GenerationItem": _WHAT_IF, "WhatIfChanges": _WHAT_IF["changes"], "Making": {"events": 130_000, "of_events": 290_000, "at": "2026-03-25T09:00:00Z"},
    "OtherList": {"package": "publicsuffixlist", "then": "1.0.1", "now": "1.0.2"},
    "DifferenceItem": _DIFFERENCE, "Exists": _DIFFERENCE["exists"], "ValuePair": _DIFFERENCE["metrics"]["sessions"],
    "VerificationItem": _VERIFICATION, "SamplePart": _VERIFICATION["sample"],
    "MailField": {"asset_from": ["category:news-", "campaign"]},
}  # fmt: skip
"""Examples of what a small world does not have: counts that are written once a second, refusals of web pages, long work."""
ADMIN = ("/v1/keys", "/v1/producers/accounts", "/v1/producers/segment")


async def found_in(running: Running) -> dict[str, Any]:
    """The examples, as the service answers now. The projection must run for calls that change the catalog."""
    workspace = await new_workspace(running, "examples")
    assert (await workspace.send(*EVENTS)).json()["rejected"] == []
    await workspace.project()
    answers: dict[str, Any] = {}
    bodies: dict[str, Any] = {}
    more: dict[str, Any] = {}
    async with workspace.client() as client:
        for path in ANSWERS:
            if path not in LATER:
                answers[f"get {path}"] = (await client.get(READS[path])).raise_for_status().json()
        for path, query in SCHEMAS.values():
            more[query] = (f"get {path}", (await client.get(query)).raise_for_status().json())
    await _write(workspace, answers, bodies)
    async with workspace.client() as client:
        for path in LATER:
            answers[f"get {path}"] = (await client.get(READS[path])).raise_for_status().json()
    answers["get /v1/producers"]["items"] = [BY_HAND["ProducerItem"]]
    answers["get /v1/browsers"]["notices"] = [BY_HAND["BrowserNotice"]]
    answers["get /v1/generations"]["items"] = [BY_HAND["GenerationItem"]]
    answers["get /v1/generations/{name}/difference"] |= {
        "generation": "hourly",
        "campaigns": [BY_HAND["DifferenceItem"]],
    }
    answers["get /v1/verifications"]["items"] = [BY_HAND["VerificationItem"]]
    answers["post /v1/workspaces"] = BY_HAND["NewKeys"]
    for label, answer in answers.items():
        _without_secrets(answer, workspace, label)
    document = running.app.openapi()
    schemas = BY_HAND | harvested(document, answers, more)
    return {"answers": answers, "bodies": bodies, "schemas": dict(sorted(schemas.items()))}


def account_of(workspace: Workspace) -> str:
    """The number of an account that no other workspace has."""
    return str(int(workspace.name[-12:], 16))


async def _write(workspace: Workspace, answers: dict[str, Any], bodies: dict[str, Any]) -> None:
    for method, path, pattern, body in WRITES:
        address = pattern.format(account=account_of(workspace))
        async with workspace.client("admin" if path.startswith(ADMIN) or "producer" in path else "server") as client:
            response = await client.request(method, address, json=body)
        assert response.status_code < 300, (method, address, response.text)
        await workspace.project()
        answers[f"{method} {path}"] = response.json()
        if body is not None:
            bodies[f"{method} {path}"] = body
    name = answers["post /v1/keys"]["name"]
    body = {"origins": ["https://shop.example", "https://*.shop.example"]}
    async with workspace.client("admin") as client:
        answers["put /v1/keys/{name}/origins"] = (await client.put(f"/v1/keys/{name}/origins", json=body)).json()
    bodies["put /v1/keys/{name}/origins"] = body


def _without_secrets(node: Any, workspace: Workspace, label: str) -> None:
    """Replace, in place, what is a secret of this store or names it: keys, tokens and the workspace."""
    if isinstance(node, list):
        for each in node:
            _without_secrets(each, workspace, label)
    elif isinstance(node, dict):
        for name, value in node.items():
            if isinstance(value, str):
                result = re.sub(r"\b(tl[csra]_)[A-Za-z0-9_-]{32}(?![A-Za-z0-9_-])", r"\1" + "0" * 32, value)
                result = result.replace(workspace.name, "shop").replace(account_of(workspace), "4711")
                result = re.sub(r"\b(tl[csra]_)[A-Za-z0-9_-]{4}(?![A-Za-z0-9_-])", r"\1ab12", result)
                node[name] = "a token of some 100 characters" if name == "token" else result
            else:
                _without_secrets(value, workspace, label)


def harvested(document: dict[str, Any], answers: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """An example of each named schema: what has its place in the answers, or an event of the codec's tests."""
    out: dict[str, Any] = {}
    for label, answer in [*answers.items(), *more.values()]:
        method, path = label.split(" ", 1)
        for status, each in document["paths"][path][method]["responses"].items():
            if status.startswith("2") and "application/json" in each.get("content", {}):
                _harvest(each["content"]["application/json"]["schema"], answer, document, out)
                break
    for file in sorted(GOLDEN.glob("*.json")):
        event = json.loads(file.read_text())
        _harvest({"$ref": f"{REF}{''.join(word.title() for word in event['type'].split('_'))}"}, event, document, out)
        out.setdefault("Event", event)
    return out


def _harvest(schema: dict[str, Any], value: Any, document: dict[str, Any], out: dict[str, Any]) -> None:
    """Note the value as an example of the named schemas that it is of; of each schema, the one that tells most."""
    if (ref := schema.get("$ref")) is not None:
        name = ref.removeprefix(REF)
        if _length(value) > _length(out.get(name, "")) and len(json.dumps(value)) < EXAMPLE_BYTES_MAX:
            out[name] = value
        _harvest(document["components"]["schemas"][name], value, document, out)
    for each in schema.get("anyOf", ()):
        if valid(each, value, document):
            _harvest(each, value, document, out)
            break
    if isinstance(value, dict):
        for name, inner in value.items():
            within = schema.get("properties", {}).get(name, schema.get("additionalProperties"))
            if isinstance(within, dict):
                _harvest(within, inner, document, out)
    if isinstance(value, list) and isinstance(schema.get("items"), dict):
        for inner in value:
            _harvest(schema["items"], inner, document, out)


EXAMPLE_BYTES_MAX = 12_000


def _length(value: Any) -> int:
    """How much an example tells; the same in every store."""
    return len(json.dumps(without_variable(value)))


def valid(schema: dict[str, Any], value: Any, document: dict[str, Any]) -> bool:
    whole = {**schema, "components": document["components"]}
    return bool(jsonschema.Draft202012Validator(whole, format_checker=jsonschema.FormatChecker()).is_valid(value))


def committed() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(EXAMPLES).read_text())
    return found


def without_variable(node: Any) -> Any:
    """The same without what is other in every store: positions, ids that the server has made, and instants of the present."""
    if isinstance(node, dict):
        return {
            name: None if name in VARIABLE and isinstance(value, str) else without_variable(value)
            for name, value in node.items()
        }
    if isinstance(node, list):
        return [without_variable(each) for each in node]
    return UUID.sub("made", NOW.sub("now", node)) if isinstance(node, str) else node


def with_values_kept(found: Any, before: Any) -> Any:
    """What was found, with the values of `before` in the places where only such a value is another that differs in every store."""
    if isinstance(found, dict) and isinstance(before, dict):
        return {
            name: before[name]
            if name in VARIABLE and isinstance(value, str) and isinstance(before.get(name), str)
            else with_values_kept(value, before.get(name))
            for name, value in found.items()
        }
    if isinstance(found, list) and isinstance(before, list) and len(found) == len(before):
        return [with_values_kept(*pair) for pair in zip(found, before, strict=True)]
    return before if isinstance(found, str) and without_variable(found) == without_variable(before) else found


def written() -> Iterator[str]:
    """The labels of all calls that must have an example of an answer."""
    yield from (f"get {path}" for path in ANSWERS)
    yield from (f"{method} {path}" for method, path in WRITTEN)
