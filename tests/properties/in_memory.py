"""The rules of `shared.rules` put together in memory, without a store: what the projection does with rows, done with lists."""

from collections import defaultdict
from hashlib import sha256
from typing import Any

import orjson

from shared.events import types as e
from shared.events.codec import Arrived, canonical, decode_event, event_type
from shared.events.instants import to_micros
from shared.events.money import exact_minor
from shared.projection.rows import TouchRow, entity_event, identifier_mention, reading_of, suit_touch, touch_row
from shared.projection.stages.deals.gather import fields_of, members_of
from shared.recognition.referrers import site
from shared.recognition.user_agents import known
from shared.rules import channel, page, utm
from shared.rules.association import Change, intervals, life
from shared.rules.contact import (
    SALESFORCE_PROPERTY,
    Merge,
    NamedIdentifier,
    SalesforceChange,
    components,
    created,
    name,
    representative,
    salesforce_campaigns,
)
from shared.rules.credit import Lead, Step, roles, uncredited
from shared.rules.deal import CampaignTouch, Decision, decide, eligible, fold
from shared.rules.exact import shares
from shared.rules.excluded_traffic import (
    FLAGGED_SCANNER,
    Click,
    TrafficClass,
    bursts,
    internal_contact,
    is_machine,
    machine_agent,
    scanned,
    traffic_class,
)
from shared.rules.first_and_last_touch import is_first_touch, is_last_touch, is_last_touch_by_utm
from shared.rules.influence import INFLUENCING, TouchType
from shared.rules.keys import asset_key, campaign_key, identifiers, session_key, utm_key, visitor_key
from shared.rules.models import MODELS, weights
from shared.rules.once import Version, latest, winner
from shared.rules.order import Order
from shared.rules.owner import Owned, owned
from shared.rules.pre_association import Route, WindowStatus, asset_pieces, kept_out, utm_pieces, within
from shared.rules.reassociation import Held, keepers
from shared.rules.retracted import Retraction, retracted
from shared.rules.session import SESSION_TYPES, Session, after
from shared.rules.settings import settings
from shared.rules.tracking_url import LINK_TYPES


def settled(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of every id the version that counts."""
    by_id: dict[str, list[tuple[Version, dict[str, Any]]]] = defaultdict(list)
    for offset, sent in enumerate(events):
        event, raw = decode_event(orjson.dumps(sent)), orjson.dumps(sent)
        as_of_us = None if event.as_of is None else to_micros(event.as_of)
        instant = event.occurred_at or event.as_of
        assert instant is not None
        digest = int.from_bytes(sha256(canonical(raw)).digest()[:8])
        by_id[sent["id"]].append((Version(as_of_us, digest, to_micros(instant), offset), sent))
    out = []
    for each in by_id.values():
        content = {version: sha256(canonical(orjson.dumps(sent))).digest() for version, sent in each}
        counts = winner(latest(version for version, _ in each), content.__getitem__)
        out.append(dict(each)[counts])
    return out


MAILED = (TouchType.EMAIL_SENT, TouchType.EMAIL_DELIVERED, TouchType.EMAIL_OPENED, TouchType.EMAIL_CLICKED)


class InMemory:
    """One world, derived by the rules. `events` are as sent, some of them sent several times."""

    def __init__(self, events: list[dict[str, Any]], social_posts_max: int) -> None:
        self.social_posts_max = social_posts_max
        result = {}
        for sent in map(orjson.dumps, settled(events)):
            event = decode_event(sent)
            instant = event.occurred_at or event.as_of
            assert instant is not None
            assert event.id is not None
            result[event.id] = Order(to_micros(instant), event.id), event
        retractions = [Retraction(o, v.event_id) for o, v in result.values() if isinstance(v, e.EventRetracted)]
        self.out = retracted(retractions)
        self.events = sorted(((o, v) for i, (o, v) in result.items() if i not in self.out), key=lambda t: t[0])
        self.settings = settings((o, v.settings) for o, v in self.events if isinstance(v, e.WorkspaceConfigured))
        self.agent = {o.event_id: getattr(v, "user_agent", None) for o, v in self.events}
        self.rows = {
            o.event_id: touch_row(Arrived(v, o.event_id, o.at_us, 0, "server", b""))
            for o, v in self.events
            if isinstance(v, e.Touch)
        }
        for row in self.rows.values():
            suit_touch(row, self.settings.urls)
        self._persons()
        for row in self.rows.values():
            row.traffic_class = self._traffic_class(row)
        self._scanners()
        self._sessions()
        self.types: dict[int, str | None] = {}
        self.ads: dict[int, channel.Ad] = {}
        self._catalog()

    def _persons(self) -> None:
        first: dict[Any, Order] = {}
        links, merges, identified = [], [], defaultdict(list)
        for order, event in self.events:
            named = identifier_mention(event)
            if named is None:
                continue
            for contact in named.contacts:
                for identifier in contact:
                    first.setdefault(identifier, order)
                links += [(contact[0].key, other.key) for other in contact[1:]]
            if named.merge:
                links.append((named.contacts[0][0].key, named.contacts[1][0].key))
                merges.append((named.contacts[0][0].key, Merge(order, named.contacts[1][0].text)))
            if named.visitor is not None:
                identified[named.visitor].append((order, named.contacts[0][0].key))
        self.contact_of: dict[int, int] = {}
        self.name: dict[int, str] = {}
        self.created: dict[int, Order] = {}
        self.emails: dict[int, list[str]] = {}
        by_key = {identifier.key: NamedIdentifier(identifier, order) for identifier, order in first.items()}
        for component in components(by_key, links):
            key = representative(component)
            members = [by_key[member] for member in component]
            self.contact_of |= dict.fromkeys(component, key)
            self.name[key] = name(members, [m for subject, m in merges if subject in component])
            self.created[key] = created(members)
            self.emails[key] = [m.identifier.text for m in members if m.identifier.is_email]
        self.owned: dict[int, list[Owned]] = {visitor: owned(each) for visitor, each in identified.items()}

    def owner(self, event_id: str) -> int | None:
        row = self.rows[event_id]
        if not row.by_visitor:
            return self.contact_of.get(row.person)
        for interval in self.owned.get(row.person, ()):
            if interval.start <= row.order < interval.end:
                return self.contact_of[interval.identifier]
        return None

    def _traffic_class(self, row: TouchRow) -> TrafficClass:
        agent, owner = self.agent[row.event_id], self.owner(row.event_id)
        machine = agent is not None and is_machine(
            machine_agent(agent, known(agent), self.settings.machine_rules), TouchType(row.type)
        )
        emails = [] if owner is None else self.emails[owner]
        return traffic_class(row.flags, machine, internal_contact(emails, self.settings.internal_domains))

    def _scanners(self) -> None:
        """Clicks that a mail scanner made, by contact and mail."""
        mails: dict[Any, list[TouchRow]] = defaultdict(list)
        for row in sorted(self.rows.values(), key=lambda r: r.order):
            if row.type in MAILED:
                mails[self.owner(row.event_id), row.asset_or_page_key].append(row)
        for rows in mails.values() if self.settings.machine_rules.mail_scanners else ():
            clicks = [Click(*r.order, r.url) for r in rows if r.type == TouchType.EMAIL_CLICKED]
            reached = [r.occurred_at_us for r in rows if r.type in (TouchType.EMAIL_SENT, TouchType.EMAIL_DELIVERED)]
            opened = [r.occurred_at_us for r in rows
                      if r.type == TouchType.EMAIL_OPENED and r.traffic_class != TrafficClass.MACHINE]  # fmt: skip
            for event_id in scanned(clicks, bursts(clicks), reached, opened):
                row = self.rows[event_id]
                row.traffic_class = traffic_class(row.flags | FLAGGED_SCANNER, False, False)

    def _sessions(self) -> None:
        self.session: dict[str, Session] = {}
        now: dict[int, Session] = {}
        for row in sorted(self.rows.values(), key=lambda r: r.order):
            counts = TouchType(row.type).wire in SESSION_TYPES and row.traffic_class == TrafficClass.COUNTED
            if row.by_visitor and counts:
                now[row.person] = after(now.get(row.person), *row.order, row.source, self.settings.session_gap_us)
                self.session[row.event_id] = now[row.person]

    def traffic_source(self, event_id: str) -> channel.TrafficSource:
        """What brought a touch."""
        row, session = self.rows[event_id], self.session.get(event_id)
        if row.type == TouchType.PAGE_VISITED:
            return channel.traffic_source(
                page.parse(row.url or "", row.utm_told or ""), row.referrer, site, self.settings.referrers,
                first=session is not None and session.is_new and session.key == session_key(event_id),
            )  # fmt: skip
        pages = [i for i, s in self.session.items() if session and s.key == session.key and self.rows[i].type == 1]
        ad = self.ads.get(row.asset_or_page_key or 0, channel.Ad())
        return channel.of_touch(TouchType(row.type), ad, self.traffic_source(pages[0]) if pages else None, site)

    def _catalog(self) -> None:
        types = self.types
        changes, registrations, claims, lives = [], [], [], defaultdict(list)
        self.campaign_ids: dict[int, str] = {}
        for order, event in self.events:
            if isinstance(event, e.AssetRegistered):
                key = asset_key(event.asset_id)
                types[key] = event.asset_type
                _, network, ad_type = self.ads.get(key, channel.Ad())
                self.ads[key] = channel.Ad(event.asset_type, event.network or network, event.ad_type or ad_type)
                registrations.append((order, entity_event(event, self.settings.addresses)))
            campaign_id = getattr(event, "campaign_id", None)
            if campaign_id is not None:
                self.campaign_ids[campaign_key(campaign_id)] = campaign_id
                lives[campaign_key(campaign_id)].append((order, event_type(event)))
            if isinstance(event, e.AssetAssociated):
                holds = not isinstance(event, e.AssetDissociated)
                changes.append(Change(order, asset_key(event.asset_id), campaign_key(event.campaign_id), holds))
            if isinstance(event, e.CampaignCreated) and event.utm_campaign:
                claims.append(utm.Claim(order, utm.normalised(event.utm_campaign), campaign_key(event.campaign_id)))
        lived = {campaign: life(each) for campaign, each in lives.items()}
        held, self.idle = intervals(changes, lived, types, self.social_posts_max)
        self.created_us = {campaign: each.created_us for campaign, each in lived.items()}
        self.held: dict[int, list[Held]] = defaultdict(list)
        for i in held:
            self.held[i.asset].append(Held(i.campaign, i.from_us, i.to_us))
        self.pieces: dict[int, dict[int, list[Any]]] = defaultdict(dict)
        for campaign, asset in {(i.campaign, i.asset) for i in held}:
            spans = [(i.from_us, i.to_us) for i in held if (i.campaign, i.asset) == (campaign, asset)]
            self.pieces[asset][campaign] = asset_pieces(spans)
        self.pages: dict[int, dict[int, list[Any]]] = defaultdict(lambda: defaultdict(list))
        pages = [page.Registration(o, f.object, f.subject) for o, f in registrations
                 if f.object is not None and types[f.subject] in page.PAGE_TYPES]  # fmt: skip
        links = [page.Registration(o, f.leads_to, f.subject) for o, f in registrations
                 if f.leads_to is not None and types[f.subject] in LINK_TYPES]  # fmt: skip
        for held_address in (*page.addresses(pages), *page.addresses(links)):
            for campaign, cut in self.pieces[held_address.asset].items():
                self.pages[held_address.key][campaign] += within(cut, held_address.from_us, held_address.to_us)
        deleted = {c: each.deleted for c, each in lived.items() if each.deleted}
        claimed: dict[int, list[utm.Span]] = defaultdict(list)
        for value, campaign, from_us, to_us in utm.claimed(claims, deleted):
            claimed[utm_key(value)].append((campaign, from_us, to_us))
        decoded = dict(reading for row in self.rows.values() if (reading := reading_of(row)) is not None)
        self.values: dict[int, dict[int, list[Any]]] = defaultdict(dict)
        for key in {*claimed, *decoded}:
            otherwise = claimed.get(decoded[key], []) if key in decoded else []
            spans_of = defaultdict(list)
            for campaign, from_us, to_us in utm.read_as_either(claimed.get(key, []), otherwise):
                spans_of[campaign].append((from_us, to_us))
            self.values[key] = {campaign: utm_pieces(spans) for campaign, spans in spans_of.items()}

    def window_statuses(self, event_id: str) -> dict[int, dict[Route, WindowStatus]]:
        """What a touch is to each campaign that ever held or claimed what it touched, by route."""
        row = self.rows[event_id]

        def window_status(pieces: list[Any]) -> WindowStatus | None:
            return next((p.window_status for p in pieces if p.from_us <= row.occurred_at_us < p.to_us), None)

        found: dict[int, dict[Route, WindowStatus]] = defaultdict(dict)
        by_target = {
            **self.pieces.get(row.asset_or_page_key or 0, {}),
            **self.pages.get(row.asset_or_page_key or 0, {}),
        }
        by_via = {**self.pieces.get(row.via or 0, {}), **self.pages.get(row.via or 0, {})}
        by_utm = self.values.get(row.utm or 0, {})
        for route, pieces in ((Route.ASSET, by_target), (Route.VIA, by_via), (Route.UTM, by_utm)):
            for campaign, cut in pieces.items():
                if (met := window_status(cut)) is not None:
                    found[campaign][route] = met
        return found

    def why_not(self, event_id: str) -> dict[str, str | None]:
        """For each campaign that has to do with the touch: why it does not count, None if it does."""
        class_ = TrafficClass(self.rows[event_id].traffic_class)
        return {self.campaign_ids[c]: kept_out(class_, by) for c, by in self.window_statuses(event_id).items()}

    def first_touch(self, contact: int) -> set[str]:
        """The campaigns that a contact is new to by its first touch."""
        visits = [
            (row.order, event_id) for event_id, row in self.rows.items()
            if row.type == TouchType.PAGE_VISITED and row.traffic_class == TrafficClass.COUNTED
            and self.owner(event_id) == contact and row.order <= self.created[contact]
        ]  # fmt: skip
        if not visits:
            return set()
        _, first = min(visits)
        class_ = TrafficClass(self.rows[first].traffic_class)
        return {self.campaign_ids[c] for c, by in self.window_statuses(first).items() if is_first_touch(class_, by)}

    def last_touch(self, contact: int) -> set[str]:
        """The campaigns that a contact is new to by its last touch."""
        conversion, out = self.created[contact], set[int]()
        event = next(event for order, event in self.events if order == conversion)
        done = self._session_up_to(conversion, event)
        if done is None:
            return set()
        for event_id in done:
            row = self.rows[event_id]
            kind = TouchType(row.type), TrafficClass(row.traffic_class)
            out |= {c for c, by in self.window_statuses(event_id).items()
                    if is_last_touch(row.order, *kind, by.get(Route.ASSET), conversion)}  # fmt: skip
        pages = [i for i in done if self.rows[i].type == TouchType.PAGE_VISITED]
        if conversion.event_id in self.rows and self.rows[conversion.event_id].type == TouchType.PAGE_VISITED:
            value = self.rows[conversion.event_id].utm
        elif (url := getattr(event, "url", None)) is not None:
            result = page.parse(url, "").campaign
            value = utm_key(result) if result else None
        else:
            value = self.rows[max(pages, key=lambda i: self.rows[i].order)].utm if pages else None
        for campaign, pieces in self.values.get(value or 0, {}).items():
            status = next((p.window_status for p in pieces if p.from_us <= conversion.at_us < p.to_us), None)
            if is_last_touch_by_utm(status):
                out.add(campaign)
        return {self.campaign_ids[campaign] for campaign in out}

    def _session_up_to(self, conversion: Order, event: Any) -> list[str] | None:
        """The touches up to a conversion of its session: its own, else the visitor's last one if it was less than the gap before."""
        row = self.rows.get(conversion.event_id)
        alone = row is not None and not row.by_visitor and row.type == TouchType.FORM_SUBMITTED
        if row is not None and alone and row.traffic_class == TrafficClass.COUNTED:
            return [conversion.event_id]
        session = self._session_of(conversion, event)
        if session is None:
            return None
        return [i for i, s in self.session.items() if s.key == session.key and self.rows[i].order <= conversion]

    def _session_of(self, conversion: Order, event: Any) -> Session | None:
        if conversion.event_id in self.session:
            return self.session[conversion.event_id]
        visitor = getattr(event, "visitor_id", None)
        if visitor is None:
            return None
        before = [
            i for i in self.session if self.rows[i].person == visitor_key(visitor) and self.rows[i].order <= conversion
        ]
        if not before:
            return None
        last = max(before, key=lambda i: self.rows[i].order)
        near = conversion.at_us - self.rows[last].occurred_at_us < self.settings.session_gap_us
        return self.session[last] if near else None

    def kept_by(self, event_id: str) -> set[str]:
        """The campaigns that keep a CTA's click or view."""
        row = self.rows[event_id]
        return {self.campaign_ids[c] for c in keepers(self.held[row.asset_or_page_key or 0], row.occurred_at_us)}

    def decision(self, deal_id: str, campaign_id: str) -> Decision:
        """Whether a deal counts for a campaign."""
        found = [(o, event_type(v), v) for o, v in self.events if getattr(v, "deal_id", None) == deal_id]
        members = members_of(found, self.contact_of)
        met = [
            CampaignTouch(row.order, owner, TouchType(row.type)) for event_id, row in self.rows.items()
            if TouchType(row.type) in INFLUENCING and (owner := self.owner(event_id)) in {m.contact for m in members}
            and self.why_not(event_id).get(campaign_id, "none of its business") is None
        ]  # fmt: skip
        return decide(fold(fields_of(*entity_event) for entity_event in found), members, met)

    def salesforce(self, contact: int) -> dict[str, tuple[str, str]]:
        """The Salesforce campaigns that a contact is in: how it came in, and by which event."""
        result, named = [], []
        for order, event in self.events:
            if self.contact_of.get(getattr(event, "contact", None) and identifiers(event.contact)[0].key) != contact:
                continue
            if isinstance(event, e.SalesforceCampaignJoined):
                result.append(SalesforceChange(order, event.salesforce_campaign_id, event.source))
            elif isinstance(event, e.SalesforceCampaignLeft):
                result.append(SalesforceChange(order, event.salesforce_campaign_id, None))
            elif isinstance(event, e.ContactCreated) and SALESFORCE_PROPERTY in (event.properties or {}):
                named.append((order, (event.properties or {})[SALESFORCE_PROPERTY]))
        return {m.salesforce_campaign_id: (m.source, m.joined.event_id) for m in salesforce_campaigns(result, named)}

    def deal(self, deal_id: str) -> tuple[str, list[str], dict[str, list[int]]]:
        """A deal's state, its journey, and each model's shares."""
        items = [(o, event_type(v), v) for o, v in self.events if getattr(v, "deal_id", None) == deal_id]
        deal = fold(fields_of(*entity_event) for entity_event in items)
        members = members_of(items, self.contact_of)
        if deal.closed is None or deal.state != "won":
            return str(deal.state), [], {}
        closed_us, present = deal.closed.at_us, eligible(members, deal.closed.at_us)
        journey = sorted(
            Step(row.order, owner)
            for event_id, row in self.rows.items()
            if (owner := self.owner(event_id)) is not None
            if uncredited(
                TouchType(row.type), TrafficClass(row.traffic_class), owner in present, row.occurred_at_us, closed_us,
                self.settings.lookback_days,
            ) is None
        )  # fmt: skip
        ids = [step.order.event_id for step in journey]
        if not journey or deal.amount is None:
            return str(deal.state), ids, {}
        leads = [Lead(self.created[c], self.name[c], c) for c in present]
        found = roles(journey, leads, deal.created.at_us)
        ages_us = [closed_us - step.order.at_us for step in journey]
        minor = exact_minor(deal.amount, deal.currency or self.settings.currency)
        if minor is None:
            return str(deal.state), ids, {}
        return str(deal.state), ids, {m: shares(minor, weights(model, found, ages_us)) for m, model in MODELS.items()}
