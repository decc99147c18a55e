"""The standard mix: a year of events of every type, as a small company's tracking would send them.

The same seed gives the same events. The mix grows with its size: people, deals and traffic in proportion, while campaigns
and assets stay what a team can look after. The benchmarks use this mix too.
"""

import datetime as dt
import heapq
import random
from collections import defaultdict
from collections.abc import Iterator
from typing import Any
from zlib import crc32

from touchline.demo.company import (
    CURRENCIES,
    PAGE_TYPES,
    SITE,
    Asset,
    Campaign,
    Person,
    assets,
    campaigns,
    company_of,
    email_of,
    named,
)

Sent = dict[str, Any]

YEAR_EVENTS = 300_000  # what the sizes below belong to
CAMPAIGNS, ASSETS, VISITORS, DEALS = 50, 2_000, 20_000, 400
LATE_SHARE = 0.02
LATE_DAYS_MAX = 20
MOVE_SHARE = 0.12  # of assets are moved to another campaign at some time
REFERRERS = ["https://www.google.com/", "https://www.bing.com/", "https://www.linkedin.com/", "https://news.example/"]
AGENTS = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Safari/605.1.15",
    "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
]
HOURS = [1, 1, 1, 1, 1, 2, 4, 8, 14, 16, 16, 15, 12, 14, 15, 14, 12, 9, 7, 6, 6, 5, 3, 2]
MINUTE = dt.timedelta(minutes=1)
DAY = dt.timedelta(days=1)


def rfc3339(instant: dt.datetime) -> str:
    """An instant as events carry it: RFC 3339 in UTC, with milliseconds."""
    return instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Mix:
    """About `events` events of a company in the `days` days before `end`.

    With `audiences`, each campaign has people of its own whom it reaches, as in a real company; without, it meets everybody, which is more to
    count for a benchmark.
    """

    def __init__(self, seed: int, events: int, end: dt.datetime, days: int = 365, *, audiences: bool = False) -> None:
        self.rng = random.Random(seed)
        self.audiences = audiences
        self.scale = events / YEAR_EVENTS
        self.days, self.end = days, end
        self.begin = (end - days * DAY).replace(hour=0, minute=0, second=0, microsecond=0)
        self.campaigns = campaigns(self.rng, CAMPAIGNS, self.begin, end)
        self.assets = assets(self.rng, ASSETS, self.campaigns)
        self.people: list[Person] = []
        self.known: list[Person] = []
        self.colleagues: dict[str, list[Person]] = defaultdict(list)
        self._made = 0

    def _id(self) -> str:
        return f"{self.rng.getrandbits(128):032x}"

    def _event(self, at: dt.datetime, type_: str, **fields: Any) -> Sent:
        return {"type": type_, "id": self._id(), "occurred_at": rfc3339(at), **fields}

    def history(self) -> Iterator[Sent]:
        """All events in the order in which they are sent: by the time at which they happened, except the late ones."""
        later: list[tuple[str, int, Sent]] = []  # made today, to happen on another day
        late: list[tuple[str, int, Sent]] = []  # happened before, to be sent on another day
        n, end = 0, rfc3339(self.end)
        for day in range(self.days + 1):
            start = self.begin + day * DAY
            tomorrow = rfc3339(start + DAY)
            today = list(self._day(start, day)) if day < self.days else []
            for event in today:
                n += 1
                heapq.heappush(later, (event["occurred_at"], n, event))
            while later and later[0][0] < min(tomorrow, end):
                at, number, event = heapq.heappop(later)
                if self.rng.random() < LATE_SHARE:
                    sent = rfc3339(start + self.rng.uniform(0.1, LATE_DAYS_MAX) * DAY)
                    heapq.heappush(late, (sent, number, event))
                    continue
                while late and late[0][0] <= at:
                    yield heapq.heappop(late)[2]
                yield event
        yield from (event for _, _, event in sorted(late))

    def _day(self, start: dt.datetime, day: int) -> Iterator[Sent]:
        weekday = 0.35 if start.weekday() >= 5 else 1.0
        yield from self._catalog(start, day)
        growth = 0.7 + 0.6 * day / self.days
        for _ in range(self._times(172 * self.scale * weekday * growth)):
            yield from self.visit(self._moment(start))
        for _ in range(self._times(1.1 * weekday + 0.02)):
            yield from self._mailing(self._moment(start))
        for _ in range(self._times(9 * self.scale * weekday)):
            yield from self._other(self._moment(start))
        if day > 20:
            for _ in range(self._times(DEALS * 1.2 * self.scale / self.days)):
                yield from self._deal(self._moment(start))

    def _times(self, mean: float) -> int:
        """A random whole number with this mean."""
        whole = int(mean)
        return whole + (self.rng.random() < mean - whole)

    def _moment(self, start: dt.datetime) -> dt.datetime:
        hour = self.rng.choices(range(24), HOURS)[0]
        return start + dt.timedelta(hours=hour, milliseconds=self.rng.randrange(3_600_000))

    def _catalog(self, start: dt.datetime, day: int) -> Iterator[Sent]:
        rng = self.rng
        for campaign in self.campaigns:
            if not start <= campaign.begins < start + DAY:
                continue
            at = campaign.begins
            particulars: dict[str, Any] = {
                "name": campaign.name, "utm_campaign": campaign.utm, "starts_on": at.date().isoformat(),
                "budget": f"{rng.randrange(5, 60)}000", "currency": "EUR", "owner": "Ingrid Solheim",
            }  # fmt: skip
            if campaign.ends < self.end + 300 * DAY:
                particulars["ends_on"] = campaign.ends.date().isoformat()
            yield self._event(at, "campaign_created", campaign_id=campaign.id, **particulars)
            for type_ in campaign.assets:
                for asset in campaign.assets[type_]:
                    yield from self._introduce(asset, campaign, at)
        if day and rng.random() < ASSETS * MOVE_SHARE / self.days:
            yield from self._move(start + DAY * rng.random())
        if rng.random() < 0.3:
            running = self._running(start)
            if running:
                spent = rng.choice(running)
                yield self._event(
                    start + DAY * rng.random(), "spend_recorded", campaign_id=spent.id,
                    amount=f"{rng.randrange(500, 9000)}.{rng.randrange(100):02d}", currency="EUR",
                    on=start.date().isoformat(),
                )  # fmt: skip
        if day == 1:
            yield self._event(start, "workspace_configured", settings={"time_zone": "Europe/Oslo", "currency": "EUR"})
            yield self._event(
                start, "model_defined", model="board_model", weights={"first": 25, "deal_creation": 50, "others": 25}
            )
        if day % 97 == 60:
            wrong = self._event(
                start + DAY / 3, "asset_associated", asset_id=rng.choice(self.assets).id, campaign_id="typo"
            )
            yield wrong
            yield self._event(start + DAY / 2, "event_retracted", event_id=wrong["id"])
        if day == self.days * 3 // 4 and (ended := [c for c in self.campaigns if c.ends < start]):
            yield self._event(start, "campaign_deleted", campaign_id=min(ended, key=lambda c: c.weight).id)
        if rng.random() < 0.02:
            running = self._running(start)
            if running:
                yield self._event(
                    start + DAY / 2, "campaign_updated", campaign_id=rng.choice(running).id, notes="Reviewed."
                )

    def _introduce(self, asset: Asset, campaign: Campaign, at: dt.datetime) -> Iterator[Sent]:
        at += self.rng.random() * 60 * MINUTE
        registration: dict[str, Any] = {"asset_id": asset.id, "asset_type": asset.type, "name": asset.name}
        if asset.url:
            registration["url"] = asset.url
        if asset.type in ("tracking_url", "cta"):
            registration["target_url"] = f"{SITE}/?utm_campaign={campaign.utm}"
        yield self._event(at, "asset_registered", **registration)
        if asset.type in (*PAGE_TYPES, "social_post", "marketing_email") and self.rng.random() < 0.95:
            yield self._event(at + MINUTE, "asset_published", asset_id=asset.id)
        if asset.type == "social_post" and self.rng.random() < 0.03:
            yield self._event(at + 3 * DAY, "asset_unpublished", asset_id=asset.id)
        held_from = at + self.rng.choice([2 * MINUTE, 2 * MINUTE, 2 * DAY])
        yield self._event(held_from, "asset_associated", asset_id=asset.id, campaign_id=campaign.id)

    def _move(self, at: dt.datetime) -> Iterator[Sent]:
        """An asset is moved to another campaign, or removed from its campaign."""
        running = self._running(at)
        asset = self.rng.choice(self.assets)
        if len(running) < 2 or asset.campaign is None or asset.campaign.begins > at - 4 * DAY:
            return
        old, new = asset.campaign, self.rng.choice(running)
        if new is old:
            return
        if self.rng.random() < 0.2:
            yield self._event(at, "asset_dissociated", asset_id=asset.id, campaign_id=old.id)
            return
        old.assets[asset.type].remove(asset)
        new.assets.setdefault(asset.type, []).append(asset)
        asset.campaign = new
        yield self._event(at, "asset_associated", asset_id=asset.id, campaign_id=new.id)

    def _running(self, at: dt.datetime) -> list[Campaign]:
        return [c for c in self.campaigns if c.begins <= at < c.ends]

    def _reaches(self, campaign: Campaign, person: Person) -> bool:
        """Whether a person is of the campaign's audience: the same at each call."""
        return not self.audiences or crc32(f"{person.visitor} {campaign.id}".encode()) < campaign.reach * 2**32

    def _campaign(self, at: dt.datetime, person: Person | None = None) -> Campaign | None:
        """A campaign that runs, the likelier the greater its weight; with a person, one that reaches that person."""
        running = [c for c in self._running(at) if person is None or self._reaches(c, person)]
        return self.rng.choices(running, [c.weight for c in running])[0] if running else None

    def _person(self) -> Person:
        rng = self.rng
        if len(self.people) < 40 or (rng.random() < 0.44 and len(self.people) < VISITORS * max(1.0, self.scale)):
            person = Person(f"v-{self._id()[:16]}")
            self.people.append(person)
            return person
        if self.known and rng.random() < 0.35:
            return rng.choice(self.known)
        return rng.choice(self.people[-4000:])

    def visit(self, at: dt.datetime) -> Iterator[Sent]:
        """The events of one session: some pages, sometimes a call to action, sometimes a form."""
        rng = self.rng
        person = self._person()
        campaign = self._campaign(at, person)
        agent = AGENTS[int(person.visitor[-2:], 16) % len(AGENTS)]
        came = rng.choices(["utm", "search", "direct", "via"], [40, 25, 28, 7])[0]
        for n in range(min(12, 1 + int(rng.expovariate(0.45)))):
            if campaign and rng.random() < (0.8 if self.audiences else 0.55):
                asset = campaign.pick(rng, *PAGE_TYPES)
            else:
                asset = None if self.audiences else rng.choice(self.assets[:200])
            visit: Sent = self._event(at, "page_visited", visitor_id=person.visitor, user_agent=agent)
            url = (
                asset.url
                if asset and asset.url
                else f"{SITE}/{rng.choice(['', 'pricing', 'about', 'product', 'docs'])}"
            )
            if n == 0 and campaign and came == "utm":
                medium = rng.choice(["cpc", "email", "social"])
                url += f"?utm_campaign={campaign.utm}&utm_source=newsletter&utm_medium={medium}"
            elif n == 0 and came == "search":
                visit["referrer"] = rng.choice(REFERRERS)
            elif n == 0 and campaign and came == "via" and (via := campaign.pick(rng, "tracking_url", "paid_search")):
                visit["via_asset_id"] = via.id
            visit["url"] = url
            if rng.random() < 0.015:
                visit["machine"] = True
            yield visit
            at += rng.expovariate(0.6) * MINUTE
            if campaign and rng.random() < 0.16 and (cta := campaign.pick(rng, "cta")):
                yield self._event(at, "cta_viewed", visitor_id=person.visitor, asset_id=cta.id, user_agent=agent)
                if rng.random() < 0.3:
                    at += rng.random() * MINUTE
                    yield self._event(
                        at, "cta_clicked", visitor_id=person.visitor, asset_id=cta.id, url=url, user_agent=agent
                    )
        if rng.random() < (0.075 if person.email is None else 0.03):
            yield from self._convert(person, campaign, at)

    def _convert(self, person: Person, campaign: Campaign | None, at: dt.datetime) -> Iterator[Sent]:
        rng = self.rng
        form = campaign and campaign.pick(rng, "form")
        if form is None:
            if self.audiences:
                return
            form = next(a for a in self.assets if a.type == "form")
        if person.email is None or rng.random() < 0.02:  # a shared device: somebody else fills the form
            self._made += 1
            person.email = email_of(rng, self._made)
            self.known.append(person)
            self.colleagues[company_of(person.email)].append(person)
        contact = {"email": person.email}
        yield self._event(at, "form_submitted", visitor_id=person.visitor, asset_id=form.id, contact=contact)
        if rng.random() < 0.4:
            yield self._event(at + MINUTE, "contact_identified", visitor_id=person.visitor, contact=contact)
        if person.id is None and rng.random() < 0.6:
            person.id = f"crm-{self._made}"
            yield self._event(
                at + 5 * MINUTE, "contact_created", contact={"id": person.id, "email": person.email},
                properties={**named(person.email), "company": company_of(person.email)},
            )  # fmt: skip
            if rng.random() < 0.1:
                yield self._event(
                    at + DAY, "salesforce_campaign_joined", contact={"id": person.id}, source="form",
                    salesforce_campaign_id=f"701-{rng.randrange(20)}",
                )  # fmt: skip
        if len(self.known) > 20 and rng.random() < 0.05:
            other = rng.choice(self.known)
            if other.email and other.email != person.email:
                yield self._event(at + 2 * DAY, "contact_merged", contact={"email": other.email}, into=contact)

    def _mailing(self, at: dt.datetime) -> Iterator[Sent]:
        """The events of an e-mail to some of the known contacts."""
        rng, campaign = self.rng, self._campaign(at)
        email = campaign.pick(rng, "marketing_email") if campaign else None
        if email is None or not self.known:
            return
        audience = [p for p in self.known if self._reaches(campaign, p)] if campaign and self.audiences else self.known
        for person in rng.sample(audience, min(len(audience), self._times(115 * self.scale))):
            contact = {"email": person.email}
            sent = at + rng.random() * 5 * MINUTE
            yield self._event(sent, "email_sent", asset_id=email.id, contact=contact)
            if rng.random() < 0.015:
                yield self._event(sent + MINUTE, "email_bounced", asset_id=email.id, contact=contact)
                continue
            yield self._event(sent + MINUTE / 6, "email_delivered", asset_id=email.id, contact=contact)
            if rng.random() < 0.34:
                opened = sent + rng.expovariate(0.01) * MINUTE
                machine = {"machine": True} if rng.random() < 0.25 else {}
                yield self._event(opened, "email_opened", asset_id=email.id, contact=contact, **machine)
                if not machine and rng.random() < 0.22:
                    link = f"{SITE}/?utm_campaign={campaign.utm}" if campaign else SITE
                    yield self._event(opened + MINUTE, "email_clicked", asset_id=email.id, contact=contact, url=link)
                if rng.random() < 0.01:
                    yield self._event(opened + MINUTE, "email_unsubscribed", asset_id=email.id, contact=contact)

    def _other(self, at: dt.datetime) -> Iterator[Sent]:
        """An event of a social post, an ad, a meeting, a list or a workflow."""
        rng = self.rng
        person = rng.choice(self.known) if self.known else None
        campaign = self._campaign(at, person)
        if campaign is None:
            return
        for _ in range(4):
            if post := campaign.pick(rng, "social_post"):
                type_ = rng.choice(["social_clicked", "social_interacted", "social_interacted"])
                named = {"contact": {"email": person.email}} if person and rng.random() < 0.2 else {}
                kind = {"kind": rng.choice(["like", "share", "comment"])} if type_ == "social_interacted" else {}
                yield self._event(at, type_, asset_id=post.id, count=rng.randint(1, 6), **named, **kind)
            if ad := campaign.pick(rng, "ad_campaign"):
                yield self._event(at, "ad_viewed", asset_id=ad.id, count=rng.randint(20, 400))
                if rng.random() < 0.5:
                    clicked = person if person and self.audiences else self._person()
                    yield self._event(at + MINUTE, "ad_clicked", asset_id=ad.id, visitor_id=clicked.visitor)
            at += rng.random() * 30 * MINUTE
        if person is None:
            return
        contact = {"email": person.email}
        if list_ := campaign.pick(rng, "list"):
            list_type = rng.choice(["static", "active"])
            yield self._event(at, "list_joined", asset_id=list_.id, contact=contact, list_type=list_type)
            if rng.random() < 0.2:
                yield self._event(at + 9 * DAY, "list_left", asset_id=list_.id, contact=contact, list_type=list_type)
        if workflow := campaign.pick(rng, "workflow"):
            yield self._event(at, "workflow_enrolled", asset_id=workflow.id, contact=contact)
        if (video := campaign.pick(rng, "video", "document")) and rng.random() < 0.6:
            played = "video_played" if video.type == "video" else "document_viewed"
            yield self._event(at + MINUTE, "asset_interacted", asset_id=video.id, contact=contact, kind=played)
        if person.id and rng.random() < 0.1:
            yield self._event(at + DAY, "contact_updated", contact={"id": person.id}, properties={"stage": "engaged"})

    def _deal(self, at: dt.datetime) -> Iterator[Sent]:
        """The events of a deal with one to three contacts. Most deals are won or lost within two months, some stay open."""
        rng = self.rng
        if not self.known:
            return
        company = company_of(str(rng.choice(self.known).email))
        among = self.colleagues[company]
        people = rng.sample(among, min(len(among), rng.choice([1, 1, 2, 3])))
        deal_id = f"deal-{self._id()[:10]}"
        contacts = [{"id": p.id} if p.id else {"email": p.email} for p in people]
        amount = f"{rng.randrange(3, 130) * 100 + rng.choice([0, 0, 0, 50, 99])}.{rng.choice(['00', '00', '50', '99', '01'])}"
        yield self._event(
            at, "deal_created", deal_id=deal_id, name=company, amount=amount,
            currency=rng.choice(CURRENCIES), contacts=contacts[:1],
        )  # fmt: skip
        for contact in contacts[1:]:
            yield self._event(at + rng.random() * 30 * DAY, "deal_contact_associated", deal_id=deal_id, contact=contact)
        closed = at + rng.uniform(3, 60) * DAY
        if closed > self.end:
            return
        if rng.random() < 0.25:
            yield self._event(
                at + (closed - at) / 2, "deal_updated", deal_id=deal_id, amount=f"{rng.randrange(3, 130)}00.00"
            )
        if rng.random() < 0.04:
            yield self._event(closed - MINUTE, "deal_contact_dissociated", deal_id=deal_id, contact=contacts[0])
        won = rng.random() < 0.55
        yield self._event(closed, "deal_closed", deal_id=deal_id, won=won)
        if not won and rng.random() < 0.1:
            yield self._event(closed + DAY, "deal_reopened", deal_id=deal_id)
        elif rng.random() < 0.01:
            yield self._event(closed + DAY, "deal_deleted", deal_id=deal_id)
