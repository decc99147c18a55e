"""A small company's year, and the forms in which it can be sent: own events, and each of HubSpot's formats.

What HubSpot's formats cannot say (visits, clicks, forms) are own events in every way. All names are invented.
"""

import csv
import datetime as dt
import io
import random
from dataclasses import dataclass, field
from typing import Any

from tests.hubspot.server import Account

Json = dict[str, Any]

BEGIN = dt.datetime(2025, 1, 7, 8, 0, 13, 250_000, tzinfo=dt.UTC)
SITE = "https://www.fjellvarme.example"
STAGES = {"appointmentscheduled": "Appointment Scheduled", "closedwon": "Closed Won", "closedlost": "Closed Lost"}
PARTNER = {"990": "First talk", "991": "Signed", "992": "Withdrawn"}
WON, LOST = ("closedwon", "991"), ("closedlost", "992")
PIPELINES = [
    {"id": "default", "label": "Sales", "stages": [
        {"id": "appointmentscheduled", "label": STAGES["appointmentscheduled"], "metadata": {"isClosed": "false", "probability": "0.2"}},
        {"id": "closedwon", "label": STAGES["closedwon"], "metadata": {"isClosed": "true", "probability": "1.0"}},
        {"id": "closedlost", "label": STAGES["closedlost"], "metadata": {"isClosed": "true", "probability": "0.0"}},
    ]},
    {"id": "partner", "label": "Partner", "stages": [
        {"id": "990", "label": PARTNER["990"], "metadata": {"isClosed": "false", "probability": "0.1"}},
        {"id": "991", "label": PARTNER["991"], "metadata": {"isClosed": "true", "probability": "1.0"}},
        {"id": "992", "label": PARTNER["992"], "metadata": {"isClosed": "true", "probability": "0.0"}},
    ]},
]  # fmt: skip


def rfc(at: dt.datetime) -> str:
    return at.astimezone(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def ms(at: dt.datetime) -> int:
    return round(at.timestamp() * 1_000)


@dataclass
class Person:
    id: str
    email: str
    first: str
    created: dt.datetime


@dataclass
class Deal:
    """`moves` are its stages, each with its time; the first is the one that it was created in."""

    id: str
    name: str
    created: dt.datetime
    people: list[Person]
    amount: str
    moves: list[tuple[dt.datetime, str]]
    joined: dt.datetime | None = None
    """When its contacts were associated; None: with its creation."""
    corrected: tuple[dt.datetime, dt.datetime] | None = None
    """When somebody corrected its close date, and to what."""

    @property
    def dates(self) -> list[tuple[dt.datetime, dt.datetime]]:
        """Its close dates, each with when it was set: HubSpot sets one as a deal is closed."""
        set_by_hubspot = [(at, at) for at, stage in self.moves if stage in (*WON, *LOST)]
        return set_by_hubspot + ([self.corrected] if self.corrected else [])

    @property
    def closed(self) -> dt.datetime | None:
        """Its close date, if it is closed."""
        return self.dates[-1][1] if self.moves[-1][1] in (*WON, *LOST) else None


@dataclass
class Campaign:
    id: str
    name: str
    utm: str
    created: dt.datetime
    assets: dict[str, tuple[str, str]] = field(default_factory=dict)
    """By HubSpot's type: HubSpot's id and the name."""


@dataclass
class Company:
    campaigns: list[Campaign]
    people: list[Person]
    deals: list[Deal]
    touches: list[Json]


def company(seed: int = 1, people: int = 24, deals: int = 18) -> Company:
    """The same company for the same seed. Nothing of two records happens within one minute."""
    rng = random.Random(seed)
    campaigns = [
        Campaign(f"9dbec438-53e2-4b28-8c0f-38f56574a6e{n}", name, utm, BEGIN + dt.timedelta(minutes=7 * n), {
            "MARKETING_EMAIL": (f"18{n}01", f"{name} letter"), "LANDING_PAGE": (f"18{n}02", f"{name} page"),
            "FORM": (f"866a9eb0-c553-49c6-9374-431e82d71b{n}e", f"{name} form"), "AUTOMATION_PLATFORM_FLOW": (str(5 + n), f"{name} follow-up"),
        })
        for n, (name, utm) in enumerate([("Heat pumps", "heat"), ("Autumn fair", "fair"), ("Service deal", "service")])
    ]  # fmt: skip
    found: list[Person] = []
    touches: list[Json] = []
    for n in range(people):
        at = BEGIN + dt.timedelta(days=3 + 264 * n // people, hours=rng.randint(0, 9), minutes=rng.randint(0, 59))
        person = Person(str(8001 + n), f"person{n}@kunde{n}.example", f"Person {n}", at + dt.timedelta(minutes=30))
        found.append(person)
        visitor = f"visitor-{n}"
        for k, campaign in enumerate(rng.sample(campaigns, rng.randint(0, 2))):
            when = at - dt.timedelta(minutes=20) + dt.timedelta(days=4 * k)
            touches.append({"type": "page_visited", "id": f"visit-{n}-{k}", "occurred_at": rfc(when), "visitor_id": visitor,
                            "url": f"{SITE}/{campaign.utm}?utm_campaign={campaign.utm}"})  # fmt: skip
            if rng.random() < 0.6:
                touches.append({"type": "email_clicked", "id": f"click-{n}-{k}", "occurred_at": rfc(when + dt.timedelta(minutes=5)),
                                "asset_id": campaign.assets["MARKETING_EMAIL"][0], "contact": {"email": person.email}})  # fmt: skip
        form = rng.choice(campaigns).assets["FORM"][0]
        touches.append({"type": "form_submitted", "id": f"form-{n}", "occurred_at": rfc(at + dt.timedelta(minutes=25)), "asset_id": form,
                        "visitor_id": visitor, "contact": {"email": person.email}})  # fmt: skip
    return Company(campaigns, found, [_deal(rng, n, found) for n in range(deals)], touches)


def _deal(rng: random.Random, n: int, people: list[Person]) -> Deal:
    among = rng.sample(people, rng.randint(1, 3))
    created = max(person.created for person in among) + dt.timedelta(hours=rng.randint(1, 90), minutes=2 * n + 1)
    opened, won, lost = ("990", "991", "992") if n % 4 == 3 else ("appointmentscheduled", "closedwon", "closedlost")
    moves = [(created, opened)]

    def move(stage: str) -> None:
        moves.append((moves[-1][0] + dt.timedelta(hours=rng.randint(3, 200)), stage))

    match n % 6:
        case 0 | 1:
            move(won)
        case 2:
            move(lost)
        case 3:
            for stage in (lost, opened, won):
                move(stage)
        case 4:
            for stage in (won, opened):
                move(stage)
    deal = Deal(str(5001 + n), f"Deal {n}", created, among, f"{rng.randint(1, 90)}00.{rng.choice(['00', '50'])}", moves)
    if n % 6 == 1:
        closed = moves[-1][0]
        deal.corrected = (closed + dt.timedelta(days=2), created + (closed - created) / 2)
    return deal


def settings() -> Json:
    return {"type": "workspace_configured", "occurred_at": rfc(BEGIN), "id": "settings", "settings": {
        "currency": "NOK", "producers": {"hubspot": {"won_stages": list(WON), "lost_stages": list(LOST)}}}}  # fmt: skip


def own_campaigns(of: Company) -> list[Json]:
    """Campaigns and what they hold, as a program tells it."""
    ours = {
        "MARKETING_EMAIL": "marketing_email",
        "LANDING_PAGE": "landing_page",
        "FORM": "form",
        "AUTOMATION_PLATFORM_FLOW": "workflow",
    }
    out: list[Json] = []
    for campaign in of.campaigns:
        at = rfc(campaign.created)
        out.append({"type": "campaign_created", "id": f"c-{campaign.id}", "occurred_at": at, "campaign_id": campaign.id, "name": campaign.name,
                    "utm_campaign": campaign.utm})  # fmt: skip
        for kind, (hubspot_id, name) in campaign.assets.items():
            asset_id = f"workflow-{hubspot_id}" if kind == "AUTOMATION_PLATFORM_FLOW" else hubspot_id
            address = {"url": f"{SITE}/{campaign.utm}"} if kind == "LANDING_PAGE" else {}
            out += [
                {"type": "asset_registered", "id": f"r-{asset_id}", "occurred_at": at, "asset_id": asset_id, "asset_type": ours[kind], "name": name, **address},
                {"type": "asset_associated", "id": f"a-{asset_id}", "occurred_at": at, "asset_id": asset_id, "campaign_id": campaign.id},
            ]  # fmt: skip
    return out


def own_events(of: Company) -> list[Json]:
    """Contacts and deals as a program tells them."""
    out: list[Json] = []
    for person in of.people:
        out.append({"type": "contact_created", "id": f"p-{person.id}", "occurred_at": rfc(person.created), "contact": {"id": person.id, "email": person.email},
                    "properties": {"first_name": person.first}})  # fmt: skip
    for deal in of.deals:
        out.append({"type": "deal_created", "id": f"d-{deal.id}", "occurred_at": rfc(deal.created), "deal_id": deal.id, "name": deal.name,
                    "amount": deal.amount, "currency": "NOK"})  # fmt: skip
        for person in deal.people:
            out.append({"type": "deal_contact_associated", "id": f"d-{deal.id}-{person.id}", "occurred_at": rfc(deal.joined or deal.created),
                        "deal_id": deal.id, "contact": {"id": person.id}})  # fmt: skip
        for n, (at, stage) in enumerate(deal.moves[1:]):
            closed = (
                {"type": "deal_closed", "won": stage in WON} if stage in (*WON, *LOST) else {"type": "deal_reopened"}
            )
            out.append({**closed, "id": f"d-{deal.id}-{n}", "occurred_at": rfc(at), "deal_id": deal.id})
        if deal.corrected:
            out.append(
                {
                    "type": "deal_updated",
                    "id": f"d-{deal.id}-date",
                    "occurred_at": rfc(deal.corrected[0]),
                    "deal_id": deal.id,
                    "closed_at": rfc(deal.corrected[1]),
                }
            )
    return out


def webhooks(of: Company, portal: int = 4711) -> list[Json]:
    """What HubSpot sends of contacts and deals, each in the shape that it documents; in no order, some of it twice."""
    out: list[Json] = []

    def say(at: dt.datetime, kind: str, **more: Any) -> None:
        out.append({"eventId": len(out) % 50, "subscriptionId": 100 + len(kind), "portalId": portal, "appId": 9, "occurredAt": ms(at), "subscriptionType": kind,
                    "attemptNumber": 0, "changeSource": "CRM", "sourceId": "userId:1", **more})  # fmt: skip

    def changed(at: dt.datetime, what: str, object_id: str, name: str, value: str) -> None:
        say(at, f"{what}.propertyChange", objectId=int(object_id), propertyName=name, propertyValue=value)

    for person in of.people:
        say(person.created, "contact.creation", objectId=int(person.id), changeFlag="NEW")
        changed(person.created, "contact", person.id, "email", person.email)
        changed(person.created, "contact", person.id, "firstname", person.first)
    for deal in of.deals:
        say(deal.created, "deal.creation", objectId=int(deal.id), changeFlag="NEW")
        changed(deal.created, "deal", deal.id, "dealname", deal.name)
        changed(deal.created, "deal", deal.id, "amount", deal.amount)
        for at, stage in deal.moves:
            changed(at, "deal", deal.id, "dealstage", stage)
        for at, date in deal.dates:
            changed(at, "deal", deal.id, "closedate", str(ms(date)))
        for n, person in enumerate(deal.people):
            ids = (int(deal.id), int(person.id)) if n % 2 else (int(person.id), int(deal.id))
            say(deal.joined or deal.created, "deal.associationChange" if n % 2 else "contact.associationChange", fromObjectId=ids[0], toObjectId=ids[1],
                associationType="DEAL_TO_CONTACT" if n % 2 else "CONTACT_TO_DEAL", associationRemoved=False, isPrimaryAssociation=False)  # fmt: skip
    again = [{**each, "attemptNumber": 1} for each in out[::9]]
    mixed = out + again
    random.Random(7).shuffle(mixed)
    return mixed


def tables(of: Company) -> dict[str, str]:
    """HubSpot's exports of contacts and deals, in UTC: times to the minute, stages by their labels."""
    contacts, deals = io.StringIO(), io.StringIO()
    rows = csv.writer(contacts)
    rows.writerow(["Record ID", "First Name", "Email", "Create Date", "Last Modified Date"])
    for person in of.people:
        rows.writerow([person.id, person.first, person.email, f"{person.created:%Y-%m-%d %H:%M}", "2026-01-05 10:00"])
    rows = csv.writer(deals)
    rows.writerow(
        [
            "Record ID",
            "Deal Name",
            "Amount",
            "Deal Stage",
            "Create Date",
            "Close Date",
            "Associated Contact IDs",
            "Last Modified Date",
        ]
    )
    for deal in of.deals:
        stage = deal.moves[-1][1]
        label = f"{STAGES[stage]} (Sales)" if stage in STAGES else f"{PARTNER[stage]} (Partner)"
        closed = "" if deal.closed is None else f"{deal.closed:%Y-%m-%d %H:%M}"
        rows.writerow(
            [
                deal.id,
                deal.name,
                deal.amount,
                label,
                f"{deal.created:%Y-%m-%d %H:%M}",
                closed,
                ";".join(p.id for p in deal.people),
                "2026-01-05 10:00",
            ]
        )
    return {"hubspot-contacts": contacts.getvalue(), "hubspot-deals": deals.getvalue()}


def account(of: Company) -> Account:
    """The account as HubSpot's API tells it."""
    return Account(
        campaigns=[
            {"id": c.id, "createdAt": rfc(c.created), "updatedAt": rfc(c.created), "businessUnits": [],
             "properties": {"hs_name": c.name, "hs_utm": c.utm, "hs_start_date": f"{c.created:%Y-%m-%d}"}}
            for c in of.campaigns
        ],
        assets={c.id: {kind: [{"id": asset_id, "name": name}] for kind, (asset_id, name) in c.assets.items()} for c in of.campaigns},
        addresses={c.assets["LANDING_PAGE"][0]: f"{SITE}/{c.utm}" for c in of.campaigns},
        contacts=[
            {"id": p.id, "createdAt": rfc(p.created), "updatedAt": rfc(p.created),
             "properties": {"createdate": rfc(p.created), "email": p.email, "firstname": p.first}}
            for p in of.people
        ],
        deals=[_api_deal(d) for d in of.deals],
        associations={d.id: [p.id for p in d.people] for d in of.deals},
        pipelines=PIPELINES,
    )  # fmt: skip


def _api_deal(deal: Deal) -> Json:
    changed = max(at for at, _ in deal.moves)
    closed = {} if not deal.dates else {"closedate": rfc(deal.dates[-1][1])}
    counted = (deal.joined or deal.created) + dt.timedelta(seconds=3)
    return {
        "id": deal.id, "createdAt": rfc(deal.created), "updatedAt": rfc(changed),
        "properties": {"createdate": rfc(deal.created), "dealname": deal.name, "amount": deal.amount, "dealstage": deal.moves[-1][1],
                       "num_associated_contacts": str(len(deal.people)), **closed},
        "history": {
            "dealstage": [_entry(at, stage) for at, stage in deal.moves], "amount": [_entry(deal.created, deal.amount)],
            "closedate": [_entry(at, rfc(date)) for at, date in deal.dates], "dealname": [_entry(deal.created, deal.name)], "num_associated_contacts": [_entry(counted, str(len(deal.people)))],
        },
    }  # fmt: skip


def _entry(at: dt.datetime, value: str) -> Json:
    return {"value": value, "timestamp": rfc(at), "sourceType": "CRM_UI", "sourceId": "userId:1"}
