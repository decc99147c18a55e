"""How is a HubSpot account read? Campaigns, contacts, deals and deleted deals, page by page; each page is in the log before the next.

A file stores how far a run has come, so that a stopped run can be continued; events that it sends again have the same ids.
"""

import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import asyncpg
import orjson

from services.replay.backfill import Refused, Tally, taken
from services.replay.earlier_events import EarlierEvents
from services.replay.hubspot.client import BadRequest, HubSpot, NoScope, NotThere
from services.replay.hubspot.ledger import Ledger
from services.replay.hubspot.options import Since
from services.replay.sending import Sender
from services.replay.sources import Line, Unreadable
from shared.events.codec import Refusal
from shared.events.currencies import CURRENCIES
from shared.log.port import EventLog
from shared.producers import hubspot_records as records
from shared.producers.hubspot import BadValue, Stages
from shared.producers.hubspot_asset_types import AssetType, asset_types
from shared.projection.acceptance_settings import acceptance_settings_of
from shared.sealing.log import vault_of

Step = Literal["campaigns", "contacts", "deals", "deleted_deals"]
STEPS: tuple[Step, ...] = ("campaigns", "contacts", "deals", "deleted_deals")

CAMPAIGNS_PAGE = 20  # each campaign needs several requests; after a stop, a whole page is read again
RECORDS_PAGE = 100  # HubSpot's bound
HISTORY_PAGE = 50  # HubSpot's bound where properties are asked with their history
ASSETS_PAGE = 100

Json = Mapping[str, Any]
EventJson = dict[str, Any]


class Page(NamedTuple):
    """Some records, each with its events or with the refusal of it. `after` is the cursor of the next page, if there is one."""

    read: list[tuple[Json, list[EventJson] | Refusal]]
    after: str | None


@dataclass
class Findings:
    """Facts about the import for its report, beside the events."""

    unmapped: Counter[str] = field(default_factory=Counter)
    """Number of assets by types that we do not know; the log holds them as unmapped messages."""
    pages_without_address: int = 0
    """Pages whose address could not be read: a visit counts for them only if it names their asset id."""
    assets_assumed: int = 0
    """Associations of assets whose start HubSpot's API does not give."""
    deals_with_times: int = 0
    """Deals for which HubSpot gives the times of all contact associations."""
    deals_without_times: int = 0
    unknown_stages: dict[str, int] = field(default_factory=dict)
    no_scope: dict[str, str] = field(default_factory=dict)
    """Optional data that the token may not read."""


@dataclass
class History:
    """One import of one account into one workspace. `advance` is called after each page with the step and its number of records."""

    pool: "asyncpg.Pool[asyncpg.Record]"
    log: EventLog
    workspace: str
    hubspot: HubSpot
    state: Path
    advance: Callable[[Step, int], None]
    since_us: int | None = None
    associated: Since = "campaign-created"
    dry_run: bool = False
    won: Sequence[str] = ()
    lost: Sequence[str] = ()
    found: Findings = field(default_factory=Findings)
    tallies: dict[Step, Tally] = field(default_factory=dict)
    _addresses: dict[str, str | None] = field(default_factory=dict)

    async def run(self) -> None:
        """Read everything, or continue where an earlier run stopped.

        Raises `HubSpotRefuses`, `Unreadable`, `OSError` or, after a minute, `LogUnavailable`.
        """
        account = await self._account()
        accepting = await acceptance_settings_of(self.pool, self.workspace)
        self._nobody = accepting.nobody
        of = {"workspace": self.workspace, "log": self.log.identity, "portal": account.portal}
        self._ledger = Ledger(self.state, of)
        cursor = Cursor(self.state, {**of, "since_us": self.since_us, "associated": self.associated}, _now_us())
        at = None if self.dry_run else cursor.read()
        self._began_us = cursor.began_us
        configured = accepting.producers
        pipelines = await self._pipelines()
        given_stages = Stages(
            (*(stage for stage in configured.won_stages if stage not in self.lost), *self.won),
            (*(stage for stage in configured.lost_stages if stage not in self.won), *self.lost),
        )
        try:
            self._stages = records.StagesKnown(given_stages, pipelines)
        except BadValue as wrong:
            raise Unreadable(f"{self.hubspot.base_url} gives no pipelines of deals: {wrong.field}: {wrong}") from wrong
        self._account_read = account
        self._sender = Sender(self.pool, self.log, self.workspace)
        self._known = EarlierEvents(self.pool, self.log, self.workspace)
        await self._sender.fresh()
        await self._known.begin()
        for step in STEPS if at is None else STEPS[STEPS.index(at.step) :]:
            here = at if at is not None and at.step == step else None
            await self._step(step, cursor, None if here is None else here.after, 0 if here is None else here.records)
        self.found.unknown_stages = self._stages.unknown
        if not self.dry_run:
            self._ledger.write()
            cursor.remove()

    async def _step(self, step: Step, cursor: "Cursor", after: str | None, number: int) -> None:
        """Send one kind of records, beginning with the page at `after`; an earlier run has sent `number` of them."""
        tally = self.tallies.setdefault(step, Tally())
        tally.resumed_at = number
        source = self.state.with_name(f"{self.state.name}.{step}")
        with Refused(source, None if self.dry_run else number) as refused:
            async for page in self._pages(step, after):
                lines = [_line(number + n, record, events) for n, (record, events) in enumerate(page.read, 1)]
                number += len(lines)
                found = [
                    (line.number, record)
                    for line in lines
                    for record in taken(
                        source, line, tally, refused, self._nobody, forgets=vault_of(self.log) is not None
                    )
                ]
                await self._known.judge(tally.compared, source, found)
                if not self.dry_run:
                    if (position := await self._sender.append([record for _, record in found])) is not None:
                        self._known.sent(position.offset)
                    refused.flush()
                    if step != "contacts":
                        self._ledger.write()
                    cursor.write(At(step, page.after, number) if page.after is not None else _next(step))
                    await self._sender.fresh()
                self.advance(step, len(lines))

    async def _pages(self, step: Step, after: str | None) -> AsyncIterator[Page]:
        """The pages of a step. If HubSpot no longer knows an earlier run's cursor, the step begins again; the event ids stay the same."""
        read = {
            "campaigns": self._campaigns, "contacts": self._contacts, "deals": self._deals, "deleted_deals": self._deleted_deals,
        }[step]  # fmt: skip
        resumed, seen = after is not None, set()
        while True:
            try:
                page = await read(after)
            except BadRequest:
                if not resumed:
                    raise
                resumed, after = False, None
                continue
            resumed = False
            yield page
            if page.after is None:
                return
            if page.after in seen:
                raise Unreadable(f"HubSpot returns the same page of {step} repeatedly (after={page.after})")
            seen.add(page.after)
            after = page.after

    async def _account(self) -> records.Account:
        answer = await self.hubspot.get("/account-info/v3/details")
        if (portal := answer.get("portalId")) is None:
            raise Unreadable(f"{self.hubspot.base_url} does not say which account it is (no portalId)")
        zone = str(answer.get("timeZone") or "UTC")
        try:
            ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise Unreadable(
                f"{self.hubspot.base_url} gives {zone!r} as the account's time zone, which is not a time zone"
            ) from error
        currency = answer.get("companyCurrency")
        return records.Account(str(portal), currency if currency in CURRENCIES else None, zone)

    async def _pipelines(self) -> list[Json]:
        answer = await self.hubspot.get("/crm/v3/pipelines/deals")
        return [each for each in answer.get("results") or () if isinstance(each, dict)]

    async def _campaigns(self, after: str | None) -> Page:
        params: dict[str, str | int] = {
            "limit": CAMPAIGNS_PAGE,
            "sort": "createdAt",
            "properties": ",".join(records.CAMPAIGN_PROPERTIES),
        }
        answer = await self._list("/marketing/v3/campaigns", params, after)
        campaigns = [(record, await self._read_campaign(record)) for record in _results(answer)]
        found = [(record, events) for record, events in campaigns if events is not None]
        if (after := _after(answer)) is None:
            gone = self._ledger.gone(self._began_us, _now_us())
            found += [({"id": campaign_id, "deleted": True}, events) for campaign_id, events in gone.items()]
        return Page(found, after)

    async def _read_campaign(self, record: Json) -> list[EventJson] | Refusal | None:
        """The events of a campaign, with its assets and spend; None if it was deleted meanwhile."""
        try:
            campaign_id = records.of(record, "id")
            path = f"/marketing/v3/campaigns/{campaign_id}"
            read_us = _now_us()
            there = self._ledger.there(campaign_id, read_us)
            budget = await self._without_scope("budgets", self.hubspot.get(f"{path}/budget/totals"))
            assets = await self._assets(path)
            events = records.campaign(record, budget, self._account_read, read_us)
            spend = [event for event in events if event["type"] == "spend_recorded"]
            events += self._ledger.spend(campaign_id, spend, read_us)
            found: dict[str, None] = {}
            for name, asset in assets:
                kind = asset_types().get(name)
                if kind is None:
                    self.found.unmapped[name] += 1
                    events.append(records.unmapped_asset(asset, name, record, read_us))
                    continue
                events.append(records.asset(asset, kind, await self._address(kind, asset), record, read_us))
                found[events[-1]["asset_id"]] = None
            first_us = records.held_since_us(record, self.associated, self._account_read, read_us)
            known = self._ledger.kept.campaigns[campaign_id]
            self.found.assets_assumed += 0 if known.read_at_us else len(found)
            return events + there + self._ledger.assets(campaign_id, found, first_us, read_us)
        except BadValue as wrong:
            return _wrong(wrong)
        except NotThere:
            return None

    async def _assets(self, path: str) -> list[tuple[str, Json]]:
        """All assets of a campaign, each with its type: all pages of every type."""
        answer = await self.hubspot.get(path, {"properties": "hs_name"})
        assets = answer.get("assets")
        if not isinstance(assets, dict):
            assets = {
                name: await self.hubspot.get(f"{path}/assets/{name}", {"limit": ASSETS_PAGE}) for name in asset_types()
            }
        out: list[tuple[str, Json]] = []
        for name, first in assets.items():
            page, seen = first, set[str]()
            out += [(name, each) for each in _results(page)]
            while (after := _after(page)) is not None and after not in seen:
                seen.add(after)
                page = await self._list(f"{path}/assets/{name}", {"limit": ASSETS_PAGE}, after)
                out += [(name, each) for each in _results(page)]
        return out

    async def _address(self, kind: AssetType, asset: Json) -> str | None:
        """The address of a page, if HubSpot gives it; a campaign lists only the page's id and name."""
        if kind.page is None:
            return None
        path = f"{kind.page}/{records.of(asset, 'id')}"
        if path not in self._addresses:
            try:
                page = await self._without_scope("addresses of pages", self.hubspot.get(path))
            except NotThere:
                page = None
            url = None if page is None else page.get("url")
            self._addresses[path] = url if isinstance(url, str) and url else None
            self.found.pages_without_address += self._addresses[path] is None
        return self._addresses[path]

    async def _without_scope(self, what: str, asked: Any) -> Json | None:
        """The answer to an optional request; None if the token lacks the scope, or the record does not exist."""
        if what in self.found.no_scope:
            asked.close()
            return None
        try:
            answer: Json = await asked
        except NoScope as error:
            self.found.no_scope[what] = str(error)
            return None
        return answer

    async def _contacts(self, after: str | None) -> Page:
        read_us = _now_us()
        if self.since_us is not None:
            answer, after = await self._search(
                "contacts", "lastmodifieddate", after, RECORDS_PAGE, records.CONTACT_PROPERTIES
            )
        else:
            params: dict[str, str | int] = {"limit": RECORDS_PAGE, "properties": ",".join(records.CONTACT_PROPERTIES)}
            answer = await self._list("/crm/v3/objects/contacts", params, after)
            after = _after(answer)
        return Page([(record, _read(records.contact, record, read_us)) for record in _results(answer)], after)

    async def _deals(self, after: str | None) -> Page:
        read_us = _now_us()
        asked = {
            "properties": [*records.DEAL_PROPERTIES, *records.DEAL_HISTORY],
            "propertiesWithHistory": [*records.DEAL_HISTORY],
        }
        if self.since_us is not None:
            found, after = await self._search("deals", "hs_lastmodifieddate", after, HISTORY_PAGE, ())
            inputs = [{"id": records.of(each, "id")} for each in _results(found)]
            answer: Json = {}
            if inputs:
                answer = await self.hubspot.post("/crm/v3/objects/deals/batch/read", {"inputs": inputs, **asked})
        else:
            params: dict[str, str | int] = {
                "limit": HISTORY_PAGE,
                **{name: ",".join(names) for name, names in asked.items()},
            }
            answer = await self._list("/crm/v3/objects/deals", params, after)
            after = _after(answer)
        deals = _results(answer)
        contacts = await self._associated([str(each.get("id")) for each in deals])
        return Page([(record, self._read_deal(record, contacts, read_us)) for record in deals], after)

    def _read_deal(self, record: Json, contacts: Mapping[str, list[str]], read_us: int) -> list[EventJson] | Refusal:
        try:
            deal_id = records.of(record, "id")
            mine, kept = contacts.get(deal_id, []), self._ledger.kept
            events, known = records.deal(
                record, mine, self._stages, self._account_read, read_us, kept.slots.get(deal_id, 1)
            )
        except BadValue as wrong:
            return _wrong(wrong)
        if (slots := records.contact_slots(len(mine))) > kept.slots.get(deal_id, 1):
            kept.slots[deal_id] = slots
        if deal_id in kept.deals_gone:
            kept.deals_gone.remove(deal_id)
            events.append(records.deal_presence(self._account_read, deal_id, read_us, deleted=False))
        if mine:
            self.found.deals_with_times += known
            self.found.deals_without_times += not known
        return events

    async def _deleted_deals(self, after: str | None) -> Page:
        params: dict[str, str | int] = {"limit": RECORDS_PAGE, "archived": "true", "properties": "createdate"}
        answer = await self._list("/crm/v3/objects/deals", params, after)
        read: list[tuple[Json, list[EventJson] | Refusal]] = []
        for record in _results(answer):
            events = _read(self._deleted_deal, record, 0)
            if isinstance(events, Refusal) or events:
                read.append((record, events))
        return Page(read, _after(answer))

    def _deleted_deal(self, record: Json, _: int) -> list[EventJson]:
        """The event that a deal was deleted, unless it was deleted before the import's time span."""
        at_us = records.instant_us(record.get("archivedAt") or record.get("updatedAt"), "archivedAt")
        if self.since_us is not None and at_us < self.since_us:
            return []
        deal_id = records.of(record, "id")
        self._ledger.kept.deals_gone.add(deal_id)
        return [records.deal_presence(self._account_read, deal_id, at_us, deleted=True)]

    async def _associated(self, deals: Sequence[str]) -> dict[str, list[str]]:
        """The contacts of deals, by deal, in the order of their ids."""
        found: dict[str, set[str]] = {deal: set() for deal in deals}
        inputs: list[dict[str, str]] = [{"id": deal} for deal in deals]
        while inputs:
            answer = await self.hubspot.post("/crm/v4/associations/deals/contacts/batch/read", {"inputs": inputs})
            inputs = []
            for result in _results(answer):
                deal = str((result.get("from") or {}).get("id"))
                mine = found.setdefault(deal, set())
                before = len(mine)
                mine |= {str(to["toObjectId"]) for to in result.get("to") or () if to.get("toObjectId") is not None}
                if (after := _after(result)) is not None and len(mine) > before:
                    inputs.append({"id": deal, "after": after})
        return {deal: sorted(contacts, key=lambda each: (len(each), each)) for deal, contacts in found.items()}

    async def _search(
        self, what: str, changed: str, after: str | None, limit: int, properties: Sequence[str]
    ) -> tuple[Json, str | None]:
        """Records that have changed since, in the order of their ids, after an id: so no search reaches HubSpot's bound of 10,000 records."""
        assert self.since_us is not None
        filters = [{"propertyName": changed, "operator": "GTE", "value": str(self.since_us // 1_000)}]
        if after is not None:
            filters.append({"propertyName": "hs_object_id", "operator": "GT", "value": after})
        sorts = [{"propertyName": "hs_object_id", "direction": "ASCENDING"}]
        body = {"filterGroups": [{"filters": filters}], "sorts": sorts, "limit": limit, "properties": list(properties)}
        answer = await self.hubspot.post(f"/crm/v3/objects/{what}/search", body)
        results = _results(answer)
        return answer, records.of(results[-1], "id") if len(results) == limit else None

    async def _list(self, path: str, params: dict[str, str | int], after: str | None) -> Json:
        return await self.hubspot.get(path, params if after is None else {**params, "after": after})


class At(NamedTuple):
    """The place of a run: the step, the cursor of the next page, and how many records of the step are done."""

    step: Step
    after: str | None
    records: int


def _next(step: Step) -> At | None:
    at = STEPS.index(step) + 1
    return At(STEPS[at], None, 0) if at < len(STEPS) else None


class Cursor:
    """How far a run has come: a file, which is removed when everything is read."""

    def __init__(self, state: Path, of: Mapping[str, Any], now_us: int) -> None:
        self._path = state.with_name(state.name + ".running")
        self._of = dict(of)
        self.began_us = now_us
        """When the run that is continued began."""

    def read(self) -> At | None:
        """Where an earlier run stopped; None if there is none, or it had other options. Raises `Unreadable`."""
        if not self._path.exists():
            return None
        try:
            stored = orjson.loads(self._path.read_bytes())
            if stored["of"] != self._of:
                return None
            at, began_us = At(stored["step"], stored["after"], int(stored["records"])), int(stored["began_us"])
            if at.step not in STEPS or not (at.after is None or isinstance(at.after, str)):
                raise ValueError(at.step)
        except (ValueError, TypeError, LookupError) as error:
            raise Unreadable(
                f"{self._path} should say how far an earlier import has come, and does not; remove it to begin again "
                "(what is sent again counts once)"
            ) from error
        self.began_us = began_us
        return at

    def write(self, at: At | None) -> None:
        """Record the place; None: the end is reached."""
        if at is None:
            self.remove()
            return
        partial = self._path.with_name(self._path.name + ".partial")
        partial.write_bytes(
            orjson.dumps(
                {"of": self._of, "began_us": self.began_us, "step": at.step, "after": at.after, "records": at.records}
            )
        )
        partial.replace(self._path)

    def remove(self) -> None:
        """Remove the file: everything is read."""
        self._path.unlink(missing_ok=True)


def _read(reading: Callable[[Json, int], list[EventJson]], record: Json, read_us: int) -> list[EventJson] | Refusal:
    try:
        return reading(record, read_us)
    except BadValue as wrong:
        return _wrong(wrong)


def _wrong(wrong: BadValue) -> Refusal:
    return Refusal(0, None, wrong.code, wrong.field, str(wrong))


def _line(number: int, record: Json, made: list[EventJson] | Refusal) -> Line:
    events: list[bytes | Refusal] = [made] if isinstance(made, Refusal) else [_json(event) for event in made]
    return Line(number, _json(record), events, 0)


def _json(value: Any) -> bytes:
    """JSON of any value of HubSpot's JSON; the codec later refuses values not allowed in events, such as numbers beyond 64 bits."""
    return json.dumps(value, separators=(",", ":")).encode()


def _results(answer: Json) -> list[Json]:
    results = answer.get("results")
    return [each for each in results if isinstance(each, dict)] if isinstance(results, list) else []


def _after(answer: Json) -> str | None:
    """The cursor of the next page; None if there is none."""
    paging = answer.get("paging")
    following = paging.get("next") if isinstance(paging, dict) else None
    after = following.get("after") if isinstance(following, dict) else None
    return None if after is None or after == "" else str(after)


def _now_us() -> int:
    return time.time_ns() // 1_000


def missing_from_api(found: Findings, associated: Since) -> list[str]:
    """What HubSpot's API does not give, in sentences, each with how many records of this import it concerns."""
    out = []
    if found.assets_assumed:
        since = {
            "campaign-created": "its campaign was created",
            "campaign-start": "its campaign starts",
            "now": "this import",
        }[associated]
        out.append(
            f"since when {found.assets_assumed:,} assets belong to their campaigns. The import assumes: since {since}"
        )
    if found.deals_without_times:
        out.append(
            f"since when the contacts of {found.deals_without_times:,} deals are associated. The import assumes: since just before the "
            "deal was created or closed, whichever is earlier"
        )
    if found.pages_without_address:
        out.append(
            f"the address of {found.pages_without_address:,} pages. A visit counts for such a page only if it names its asset_id"
        )
    for what, why in found.no_scope.items():
        out.append(f"{what}. {why}")
    return out
