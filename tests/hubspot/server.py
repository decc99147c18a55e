"""A server that answers as HubSpot describes its public API: for tests of the import, on a port of this machine.

It is written from what HubSpot publishes: the description of its APIs (HubSpot-public-api-spec-collection: campaigns v3, CRM objects v3,
pipelines v3, associations v4, CMS pages v3, account info v3), its guides to paging, search and property history, and its usage
guidelines (limits, headers, errors). It checks what it is asked: tokens, scopes, methods, bounds of pages, unknown parameters.

What it cannot show: whether HubSpot itself does what it publishes. So nothing here is evidence of

- which properties, asset types and stages a real account has, and what is in them; that `num_associated_contacts` has a history;
- how many values of a property's history a real account keeps, and what becomes of it when records are merged or restored;
- how late the search index and calculated properties are behind the records;
- real speed, real limits by subscription, and failures of other kinds than 423, 429, 5xx and a connection that breaks off;
- which scope a real account asks for which call: the scopes here are those that the description names.
"""

import json
import random
import socket
import sys
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

Json = dict[str, Any]

STOPS_WITH = 3  # requests of a path at which the server stops
STOPS_S = 120.0  # at most

SCOPES = ("marketing.campaigns.read", "crm.objects.contacts.read", "crm.objects.deals.read", "content", "oauth")
PAGES = ("/cms/v3/pages/landing-pages", "/cms/v3/pages/site-pages", "/cms/v3/blogs/posts")


@dataclass
class Account:
    """What an account holds. `associations` are contacts by deal; `assets` by campaign and type."""

    portal: int = 4711
    currency: str = "NOK"
    zone: str = "Europe/Oslo"
    campaigns: list[Json] = field(default_factory=list)
    assets: dict[str, dict[str, list[Json]]] = field(default_factory=dict)
    budgets: dict[str, Json] = field(default_factory=dict)
    addresses: dict[str, str] = field(default_factory=dict)
    contacts: list[Json] = field(default_factory=list)
    deals: list[Json] = field(default_factory=list)
    associations: dict[str, list[str]] = field(default_factory=dict)
    pipelines: list[Json] = field(default_factory=list)


@dataclass
class Moods:
    """How the server behaves. `fails` are shares of requests, by status; 0 breaks the connection off."""

    token: str = "pat-eu1-right"
    scopes: tuple[str, ...] = SCOPES
    requests_max: int = 100
    interval_s: float = 10.0
    searches_max: int = 5
    fails: dict[int, float] = field(default_factory=dict)
    seed: int = 0
    retry_after_s: str | None = None
    policy: str = "TEN_SECONDLY_ROLLING"
    assets_page: int = 10
    stops_at: str = ""
    """A part of paths: the third request of such a path has no answer until `stops_at` is another."""


class Answer(Exception):
    """An answer that is no success."""

    def __init__(self, status: int, category: str, message: str, **more: Any) -> None:
        super().__init__(message)
        self.status, self.body = (
            status,
            {"status": "error", "message": message, "category": category, "correlationId": "c0ffee", **more},
        )


class FakeHubSpot:
    """The server, while it is a context. `asked` are the paths of requests, as they came; `over` counts those beyond the limit."""

    def __init__(self, account: Account, moods: Moods | None = None) -> None:
        self.account, self.moods = account, moods or Moods()
        self.asked: list[str] = []
        self.over = 0
        self.failed = 0
        self._lock = threading.Lock()
        self._times: deque[float] = deque()
        self._searches: deque[float] = deque()
        self._random = random.Random(self.moods.seed)
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                outer._serve(self)

            def do_POST(self) -> None:
                outer._serve(self)

            def log_message(self, *_: object) -> None:
                pass

        self._server = Quiet(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _serve(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        headers: dict[str, str] = {}
        try:
            with self._lock:
                self.asked.append(request.path)
                path, query = self._admit(request, headers)
            self._stop(request.path)
            with self._lock:
                status, answer = 200, self._answer(request.command, path, query, json.loads(body) if body else {})
                if answer.get("numErrors"):
                    status = 207
        except Answer as raised:
            status, answer = raised.status, raised.body
        except BreakOff:
            request.close_connection = True
            request.connection.shutdown(socket.SHUT_RDWR)
            return
        result = json.dumps(answer).encode()
        request.send_response(status)
        for name, value in {
            "Content-Type": "application/json;charset=utf-8",
            "Content-Length": str(len(result)),
            **headers,
        }.items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(result)

    def stopped(self) -> bool:
        """Whether a request waits for its answer, as `Moods.stops_at` tells."""
        at = self.moods.stops_at
        return bool(at) and sum(at in path for path in self.asked) >= STOPS_WITH

    def _stop(self, path: str) -> None:
        at, until_s = self.moods.stops_at, time.monotonic() + STOPS_S
        while at and at in path and self.moods.stops_at == at and self.stopped() and time.monotonic() < until_s:
            time.sleep(0.01)

    def _admit(self, request: BaseHTTPRequestHandler, headers: dict[str, str]) -> tuple[str, dict[str, list[str]]]:
        """Check token, limits and moods. A search answer has no rate-limit headers, as HubSpot says."""
        moods, now_s = self.moods, time.monotonic()
        split = urlsplit(request.path)
        search = split.path.endswith("/search")
        if request.headers.get("Authorization") != f"Bearer {moods.token}":
            raise Answer(401, "INVALID_AUTHENTICATION", "Authentication credentials not found.")
        self._within(self._times, moods.requests_max, moods.interval_s, now_s, headers, moods.policy)
        if search:
            self._within(self._searches, moods.searches_max, 1.0, now_s, headers, "SECONDLY")
        else:
            headers["X-HubSpot-RateLimit-Max"] = str(moods.requests_max)
            headers["X-HubSpot-RateLimit-Remaining"] = str(moods.requests_max - len(self._times))
            headers["X-HubSpot-RateLimit-Interval-Milliseconds"] = str(int(moods.interval_s * 1_000))
        for status, share in moods.fails.items():
            if self._random.random() < share:
                self.failed += 1
                if status == 0:
                    raise BreakOff
                if moods.retry_after_s is not None:
                    headers["Retry-After"] = moods.retry_after_s
                raise Answer(
                    status,
                    "RATE_LIMITS" if status == 429 else "INTERNAL",
                    f"made up: {status}",
                    policyName=moods.policy,
                )
        return unquote(split.path), parse_qs(split.query)

    def _within(
        self, times: deque[float], most: int, interval_s: float, now_s: float, headers: dict[str, str], policy: str
    ) -> None:
        while times and now_s - times[0] >= interval_s:
            times.popleft()
        if len(times) >= most:
            self.over += 1
            headers["Retry-After"] = str(max(1, round(interval_s - (now_s - times[0]))))
            raise Answer(429, "RATE_LIMITS", f"You have reached your {policy.lower()} limit.", policyName=policy)
        times.append(now_s)

    def _needs(self, *scopes: str) -> None:
        if missing := [scope for scope in scopes if scope not in self.moods.scopes]:
            raise Answer(
                403, "MISSING_SCOPES", "This app hasn't been granted all required scopes to make this call.",
                errors=[{"message": "One or more of the following scopes are required.", "context": {"requiredGranularScopes": missing}}],
            )  # fmt: skip

    def _answer(self, method: str, path: str, query: dict[str, list[str]], body: Json) -> Json:
        held = self.account
        if (method, path) == ("GET", "/account-info/v3/details"):
            return {
                "portalId": held.portal,
                "accountType": "STANDARD",
                "timeZone": held.zone,
                "companyCurrency": held.currency,
            }
        if (method, path) == ("GET", "/crm/v3/pipelines/deals"):
            self._needs("crm.objects.deals.read")
            return {"results": held.pipelines}
        parts = path.strip("/").split("/")
        if method == "GET" and parts[:3] == ["marketing", "v3", "campaigns"]:
            self._needs("marketing.campaigns.read")
            return self._campaigns(parts[3:], query)
        if method == "GET" and path.rpartition("/")[0] in PAGES:
            self._needs("content")
            if (url := held.addresses.get(parts[-1])) is None:
                raise Answer(404, "OBJECT_NOT_FOUND", "resource not found")
            return {"id": parts[-1], "url": url, "name": "a page"}
        if (method, path) == ("POST", "/crm/v4/associations/deals/contacts/batch/read"):
            self._needs("crm.objects.deals.read", "crm.objects.contacts.read")
            return self._associations(body)
        if parts[:3] == ["crm", "v3", "objects"] and parts[3] in ("contacts", "deals"):
            self._needs(f"crm.objects.{parts[3]}.read")
            records: list[Json] = getattr(held, parts[3])
            match (method, parts[4:]):
                case ("GET", []):
                    return self._listed(records, query)
                case ("POST", ["search"]):
                    return self._searched(records, body)
                case ("POST", ["batch", "read"]):
                    return self._batch(records, body)
        raise Answer(404, "OBJECT_NOT_FOUND", f"no such resource: {method} {path}")

    def _campaigns(self, parts: list[str], query: dict[str, list[str]]) -> Json:
        held = self.account
        if not parts:
            self._known(query, "limit", "after", "sort", "properties", "name")
            asked = _names(query, "properties")
            if query.get("sort", ["hs_name"])[0].lstrip("-") not in ("hs_name", "createdAt", "updatedAt"):
                raise Answer(400, "VALIDATION_ERROR", "unknown sort")
            ordered = sorted(held.campaigns, key=lambda each: (each["createdAt"], each["id"]))
            page = _page(ordered, query, 100, 50)
            return {
                "total": len(ordered),
                **page,
                "results": [{**each, "properties": _only(each["properties"], asked)} for each in page["results"]],
            }
        found = next((each for each in held.campaigns if each["id"] == parts[0]), None)
        if found is None:
            raise Answer(404, "OBJECT_NOT_FOUND", f"no campaign {parts[0]}")
        assets = held.assets.get(parts[0], {})
        match parts[1:]:
            case []:
                first = {
                    name: _page(some, {}, self.moods.assets_page, self.moods.assets_page)
                    for name, some in assets.items()
                }
                return {**found, "properties": _only(found["properties"], _names(query, "properties")), "assets": first}
            case ["assets", name]:
                self._known(query, "limit", "after", "startDate", "endDate")
                return _page(assets.get(name, []), query, self.moods.assets_page, 10)
            case ["budget", "totals"]:
                items = held.budgets.get(parts[0], {"budgetItems": [], "spendItems": []})
                totals = {
                    name: sum(float(each["amount"]) for each in items[f"{name}Items"]) for name in ("budget", "spend")
                }
                return {
                    "currencyCode": held.currency, "budgetTotal": totals["budget"], "spendTotal": totals["spend"],
                    "remainingBudget": totals["budget"] - totals["spend"], **items,
                }  # fmt: skip
        raise Answer(404, "OBJECT_NOT_FOUND", "no such resource")

    def _listed(self, records: list[Json], query: dict[str, list[str]]) -> Json:
        self._known(query, "limit", "after", "properties", "propertiesWithHistory", "associations", "archived")
        asked, histories = _names(query, "properties"), _names(query, "propertiesWithHistory")
        archived = query.get("archived", ["false"])[0] == "true"
        if histories and int(query.get("limit", ["10"])[0]) > 50:
            raise Answer(400, "VALIDATION_ERROR", "the limit is 50 where propertiesWithHistory is asked")
        found = sorted(
            (each for each in records if bool(each.get("archived")) == archived), key=lambda each: int(each["id"])
        )
        page = _page(found, query, 100, 10, by_id=True)
        return {**page, "results": [_shown(each, asked, histories) for each in page["results"]]}

    def _searched(self, records: list[Json], body: Json) -> Json:
        [group] = body["filterGroups"]
        limit = body.get("limit", 10)
        if limit > 200 or len(group["filters"]) > 6:
            raise Answer(400, "VALIDATION_ERROR", "beyond the bounds of a search")
        if body["sorts"] != [{"propertyName": "hs_object_id", "direction": "ASCENDING"}]:
            raise Answer(400, "VALIDATION_ERROR", "this server sorts by hs_object_id alone")
        found = [
            each for each in records if not each.get("archived") and all(_meets(each, one) for one in group["filters"])
        ]
        found.sort(key=lambda each: int(each["id"]))
        paging = {"paging": {"next": {"after": str(limit)}}} if len(found) > limit else {}
        return {
            "total": len(found),
            "results": [_shown(each, body.get("properties", []), []) for each in found[:limit]],
            **paging,
        }

    def _batch(self, records: list[Json], body: Json) -> Json:
        if len(body["inputs"]) > (50 if body.get("propertiesWithHistory") else 100):
            raise Answer(400, "VALIDATION_ERROR", "too many inputs")
        by_id = {each["id"]: each for each in records if not each.get("archived")}
        found = [
            by_id[one["id"]] for one in reversed(body["inputs"]) if one["id"] in by_id
        ]  # the order is not specified
        shown = [_shown(each, body.get("properties", []), body.get("propertiesWithHistory", [])) for each in found]
        return {"status": "COMPLETE", "results": shown}

    def _associations(self, body: Json) -> Json:
        """Five contacts of a deal at a time; a deal without any is an error among the answers, as HubSpot has it."""
        if len(body["inputs"]) > 1_000:
            raise Answer(400, "VALIDATION_ERROR", "too many inputs")
        results, errors = [], []
        for one in body["inputs"]:
            contacts = self.account.associations.get(one["id"], [])
            if not contacts:
                errors.append({"status": "error", "category": "OBJECT_NOT_FOUND", "subCategory": "crm.associations.NO_ASSOCIATIONS_FOUND",
                               "message": f"No contact is associated with deal {one['id']}.", "context": {"fromObjectId": [one["id"]]}})  # fmt: skip
                continue
            at = int(one.get("after", 0))
            kinds = [{"category": "HUBSPOT_DEFINED", "typeId": 3, "label": None}]
            result: Json = {
                "from": {"id": one["id"]},
                "to": [{"toObjectId": int(each), "associationTypes": kinds} for each in contacts[at : at + 5]],
            }
            if at + 5 < len(contacts):
                result["paging"] = {"next": {"after": str(at + 5), "link": "unused"}}
            results.append(result)
        return {
            "status": "COMPLETE",
            "results": results,
            **({"numErrors": len(errors), "errors": errors} if errors else {}),
        }

    def _known(self, query: dict[str, list[str]], *names: str) -> None:
        if unknown := set(query) - set(names):
            raise Answer(400, "VALIDATION_ERROR", f"unknown parameters {sorted(unknown)}")


class Quiet(ThreadingHTTPServer):
    """A server that says nothing of clients that are killed."""

    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(*_)  # type: ignore[arg-type]


class BreakOff(Exception):
    """The connection ends without an answer."""


def _names(query: dict[str, list[str]], name: str) -> list[str]:
    return [each for one in query.get(name, []) for each in one.split(",") if each]


def _only(properties: Json, asked: list[str]) -> Json:
    return {name: properties[name] for name in asked if properties.get(name) not in (None, "")}


def _shown(record: Json, asked: list[str], histories: list[str]) -> Json:
    """A record with the properties that were asked: null where it has none, absent where no account has such a property."""
    now = {"hs_object_id": record["id"], **record["properties"]}
    shown: Json = {name: record[name] for name in ("id", "createdAt", "updatedAt", "archivedAt") if name in record}
    shown |= {
        "archived": bool(record.get("archived")),
        "properties": {name: now.get(name) for name in asked if name != "no_such_property"},
    }
    if histories:
        shown["propertiesWithHistory"] = {
            name: list(reversed(record.get("history", {}).get(name, []))) for name in histories
        }
    return shown


def _meets(record: Json, one: Json) -> bool:
    answer = {"hs_object_id": record["id"]}.get(one["propertyName"])
    if answer is None:
        assert one["propertyName"] in ("lastmodifieddate", "hs_lastmodifieddate")
        import datetime as dt

        answer = str(int(dt.datetime.fromisoformat(record["updatedAt"]).timestamp() * 1_000))
    return int(answer) >= int(one["value"]) if one["operator"] == "GTE" else int(answer) > int(one["value"])


def _page(
    records: list[Json], query: dict[str, list[str]], limit_max: int, default: int, *, by_id: bool = False
) -> Json:
    """A page. Cursors of CRM objects are ids, others are opaque; one that is none is refused."""
    limit = int(query.get("limit", [str(default)])[0])
    after = query.get("after", [""])[0]
    if not 1 <= limit <= max(limit_max, 1) and limit_max >= 50:
        raise Answer(400, "VALIDATION_ERROR", f"limit must be from 1 to {limit_max}")
    limit = min(limit, limit_max)
    try:
        at = (
            0
            if not after
            else int(after.removeprefix("N"))
            if not by_id
            else next((n for n, e in enumerate(records) if int(e["id"]) >= int(after)), len(records))
        )
    except ValueError as error:
        raise Answer(400, "VALIDATION_ERROR", "invalid after") from error
    following = records[at + limit] if at + limit < len(records) else None
    paging = (
        {}
        if following is None
        else {"paging": {"next": {"after": following["id"] if by_id else f"N{at + limit}", "link": "?"}}}
    )
    return {"results": records[at : at + limit], **paging}
