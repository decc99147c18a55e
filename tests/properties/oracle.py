"""A second, naive reading of docs/rules.md, to compare the product with.

Written for plainness, not speed: every question is answered by going through all events again. It shares no code with
`shared`. Events are dicts as sent, with `id` and `occurred_at`; instants are compared as datetimes.
"""

import datetime as dt
import hashlib
import json
import unicodedata
from decimal import Decimal, localcontext
from fractions import Fraction
from functools import cached_property
from urllib.parse import parse_qsl, urlsplit
from zoneinfo import ZoneInfo

TOUCHES = {
    "page_visited", "form_submitted", "cta_viewed", "cta_clicked", "email_sent", "email_delivered", "email_opened",
    "email_clicked", "email_bounced", "email_unsubscribed", "social_clicked", "social_interacted", "ad_viewed",
    "ad_clicked", "asset_interacted", "list_joined", "workflow_enrolled",
}  # fmt: skip
SESSION_TYPES = {"page_visited", "form_submitted", "cta_viewed", "cta_clicked"}
PAGES = {"site_page", "landing_page", "blog_post", "case_study"}
DEAL_TYPES = {
    "page_visited", "form_submitted", "cta_clicked", "email_opened", "email_clicked", "social_clicked",
    "social_interacted", "ad_clicked", "asset_interacted",
}  # fmt: skip
REVENUE_TYPES = DEAL_TYPES - {"email_opened", "social_interacted"}
MODELS = {
    "first_interaction": {"first": "100"},
    "last_interaction": {"last": "100"},
    "linear": {"others": "100"},
    "u_shaped": {"first": "40", "lead_creation": "40", "others": "20"},
    "w_shaped": {"first": "30", "lead_creation": "30", "deal_creation": "30", "others": "10"},
    "full_path": {"first": "22.5", "lead_creation": "22.5", "deal_creation": "22.5", "last": "22.5", "others": "10"},
    "j_shaped": {"first": "20", "last": "60", "others": "20"},
    "inverse_j_shaped": {"first": "60", "last": "20", "others": "20"},
    "time_decay": None,
}
FAR = dt.datetime(9999, 1, 1, tzinfo=dt.UTC)
CRAWLERS = ("Googlebot/2.1", "curl/8.5.0")
PROXY = "Mozilla/5.0 (via ggpht.com GoogleImageProxy)"
SITES = {
    "google.com": "search", "google": "search", "duckduckgo.com": "search", "facebook.com": "social",
    "m.facebook.com": "social", "linkedin": "social", "facebook": "social",
}  # fmt: skip


def at(event):
    return dt.datetime.fromisoformat(event.get("occurred_at") or event["as_of"])


def order(event):
    return at(event), event["id"].encode()


def norm(value):
    return unicodedata.normalize("NFC", (value or "").strip()).casefold()


def query(url):
    out = {}
    for name, value in parse_qsl(urlsplit(url).query, keep_blank_values=True):
        out.setdefault(name.lower(), value)
    return out


def utm_of(url):
    return norm(query(url).get("utm_campaign")) if url else ""


def address(url):
    parts = urlsplit(url)
    host = (parts.hostname or "").removeprefix("www.")
    port = parts.port if parts.port not in (None, {"http": 80, "https": 443}[parts.scheme]) else None
    path = parts.path.removesuffix("/")
    return host, port, path


def names(contact):
    out = []
    if "id" in contact:
        out.append(("id", contact["id"]))
    if "email" in contact:
        out.append(("email", contact["email"].strip().lower()))
    return out


def contact_objects(event):
    out = [event[field] for field in ("contact", "into") if field in event]
    return out + list(event.get("contacts", []))


def sha(event):
    content = {field: value for field, value in event.items() if field != "as_of"}
    sent = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(sent.encode()).hexdigest()


def newer(event, other):
    """Whether a telling of an id takes the place of another."""
    mine, theirs = event.get("as_of"), other.get("as_of")
    if mine is None or theirs is None:
        mine, theirs = mine is not None, theirs is not None
    else:
        mine, theirs = dt.datetime.fromisoformat(mine), dt.datetime.fromisoformat(theirs)
    return mine > theirs or (mine == theirs and sha(event) < sha(other))


class Oracle:
    def __init__(self, sent, social_posts_max=10_000):
        self.sent, self.social_posts_max = sent, social_posts_max
        self._why_excluded = {}

    @cached_property
    def unique(self):
        by_id = {}
        for event in self.sent:
            if event["id"] not in by_id or newer(event, by_id[event["id"]]):
                by_id[event["id"]] = event
        return by_id

    @cached_property
    def out(self):
        """Ids that a standing retraction names; in a circle the last in order stands."""
        retractions = [e for e in self.unique.values() if e["type"] == "event_retracted"]
        stands = {}
        while len(stands) < len(retractions):
            moved = False
            for e in retractions:
                if e["id"] in stands:
                    continue
                by = [r["id"] for r in retractions if r["event_id"] == e["id"]]
                if any(stands.get(b) for b in by) or all(b in stands for b in by):
                    stands[e["id"]] = not any(stands.get(b) for b in by)
                    moved = True
            if not moved:
                last = max((e for e in retractions if e["id"] not in stands), key=order)
                stands[last["id"]] = True
        return {e["event_id"] for e in retractions if stands[e["id"]]}

    @cached_property
    def events(self):
        return sorted((e for e in self.unique.values() if e["id"] not in self.out), key=order)

    def of(self, *types):
        return [e for e in self.events if e["type"] in types]

    @cached_property
    def touches(self):
        return [e for e in self.events if e["type"] in TOUCHES]

    @cached_property
    def settings(self):
        told = {
            "time_zone": "UTC", "currency": "EUR", "session_gap_minutes": 30, "lookback_days": None,
            "internal_domains": [], "crawlers": True, "mail_prefetchers": True, "always": [], "never": [],
        }  # fmt: skip
        for e in self.of("workspace_configured"):
            told |= {k: v for k, v in e["settings"].items() if k != "machine_rules"}
            told |= e["settings"].get("machine_rules", {})
        return told

    @property
    def gap(self):
        return dt.timedelta(minutes=self.settings["session_gap_minutes"])

    @property
    def currency(self):
        return self.settings["currency"]

    def by_machine(self, touch):
        agent, told = touch.get("user_agent"), self.settings
        if agent is None or any(part.lower() in agent.lower() for part in told["never"]):
            return False
        if any(part.lower() in agent.lower() for part in told["always"]):
            return True
        if agent == PROXY:
            return told["mail_prefetchers"] and touch["type"] != "email_opened"
        return told["crawlers"] and agent in CRAWLERS

    def by_own_people(self, touch):
        contact = self.owner(touch)
        emails = [text for kind, text in contact or () if kind == "email"]
        domains = [domain.removeprefix("@").lower() for domain in self.settings["internal_domains"]]
        return any(email.split("@")[1] in domains for email in emails)

    def why_excluded(self, touch):
        if touch["id"] not in self._why_excluded:
            self._why_excluded[touch["id"]] = (
                "machine" if touch.get("machine") or self.by_machine(touch) else
                "internal" if touch.get("internal") or self.by_own_people(touch) else None
            )  # fmt: skip
        return self._why_excluded[touch["id"]]

    def counted(self, touch):
        return self.why_excluded(touch) is None

    @cached_property
    def contact_of(self):
        groups = []
        for event in self.events:
            together = [names(c) for c in contact_objects(event)]
            if event["type"] == "contact_merged":
                together = [together[0] + together[1]]
            for group in together:
                joined = set(group)
                for other in [g for g in groups if g & joined]:
                    joined |= other
                    groups.remove(other)
                groups.append(joined)
        return {name: frozenset(group) for group in groups for name in group}

    def naming(self, contact):
        return [e for e in self.events if any(set(names(c)) & contact for c in contact_objects(e))]

    def conversion(self, contact):
        return self.naming(contact)[0]

    def name(self, contact):
        merges = [e for e in self.of("contact_merged") if set(names(e["into"])) & contact]
        if merges:
            return names(merges[-1]["into"])[0][1]
        for kind in ("id", "email"):
            for event in self.naming(contact):
                told = [n for c in contact_objects(event) for n in names(c) if n in contact and n[0] == kind]
                if told:
                    return min(told)[1]
        raise AssertionError("a contact without a name")

    def owner(self, touch):
        if "contact" in touch:
            return self.contact_of[names(touch["contact"])[0]]
        if "visitor_id" not in touch:
            return None
        said = [e for e in self.events if e.get("visitor_id") == touch["visitor_id"] and "contact" in e]
        before = [e for e in said if order(e) <= order(touch)]
        chosen = before[-1] if before else (said[0] if said else None)
        return None if chosen is None else self.contact_of[names(chosen["contact"])[0]]

    @property
    def contacts(self):
        return set(self.contact_of.values())

    def source(self, touch):
        if touch["type"] != "page_visited":
            return None
        asked = query(touch["url"])
        triple = tuple(norm(asked.get(p)) for p in ("utm_campaign", "utm_source", "utm_medium"))
        if any(triple):
            return triple
        host = (urlsplit(touch.get("referrer") or "").hostname or "").removeprefix("www.")
        return host if host and host != address(touch["url"])[0] else None

    @cached_property
    def sessions(self):
        """Lists of touches, one a session; the first of each visitor is its first session ever."""
        out = []
        for visitor in {t.get("visitor_id") for t in self.touches} - {None}:
            current = None
            for t in self.touches:
                if t.get("visitor_id") != visitor or t["type"] not in SESSION_TYPES or not self.counted(t):
                    continue
                splits = current and self.source(t) is not None and self.source(t) != self.source(current[0])
                if current is None or splits or at(t) - at(current[-1]) >= self.gap:
                    current = []
                    out.append({"visitor": visitor, "touches": current, "new": not any(
                        s["visitor"] == visitor for s in out)})  # fmt: skip
                current.append(t)
        for t in self.touches:
            if t["type"] == "form_submitted" and "visitor_id" not in t and self.counted(t):
                out.append({"visitor": None, "touches": [t], "new": False})
        return out

    def session_of(self, touch):
        return next((s for s in self.sessions if any(t is touch for t in s["touches"])), None)

    @cached_property
    def asset_type(self):
        return {e["asset_id"]: e["asset_type"] for e in self.of("asset_registered")}

    def created(self, campaign):
        named = [e for e in self.events if e.get("campaign_id") == campaign]
        told = [e for e in named if e["type"] == "campaign_created"]
        return at((told or named)[0])

    def deleted(self, campaign):
        return next((e for e in self.of("campaign_deleted") if e["campaign_id"] == campaign), None)

    @property
    def campaigns(self):
        return {e["campaign_id"] for e in self.events if "campaign_id" in e}

    @cached_property
    def changes(self):
        """Every change of the catalog in order, as (event, who holds what after it, why it changed nothing)."""
        out, state, gone = [], {}, set()
        for e in self.of("asset_associated", "asset_dissociated", "campaign_deleted"):
            campaign, why = e["campaign_id"], None
            state = {asset: dict(held) for asset, held in state.items()}
            held = state.setdefault(e.get("asset_id"), {})
            kind = self.asset_type.get(e.get("asset_id"))
            posts = [a for a, h in state.items() if campaign in h and self.asset_type.get(a) == "social_post"]
            if e["type"] == "campaign_deleted":
                gone.add(campaign)
                for all_held in state.values():
                    all_held.pop(campaign, None)
            elif e["type"] == "asset_dissociated":
                why = None if campaign in held else "not_associated"
                held.pop(campaign, None)
            elif campaign in held:
                why = "already_associated"
            elif campaign in gone:
                why = "campaign_deleted"
            elif kind == "social_post" and len(posts) >= self.social_posts_max:
                why = "social_post_limit"
            else:
                if kind != "workflow":
                    held.clear()
                held[campaign] = e
            out.append((e, state, why))
        return out

    def ineffective(self, event):
        """Why an association or a dissociation changed nothing, None if it did."""
        i, why = next((i, why) for i, (e, _, why) in enumerate(self.changes) if e is event)
        if why or event["type"] == "asset_dissociated":
            return why
        asset, campaign = event["asset_id"], event["campaign_id"]
        later = (e for e, state, _ in self.changes[i:] if state[asset].get(campaign) is not event)
        ended = next(map(at, later), FAR)
        if max(at(event), self.created(campaign)) < ended:
            return None
        return "campaign_not_yet_created" if at(event) < ended else "ended_at_once"

    def refusals(self, campaign):
        return [(e["asset_id"], e["id"], why) for e, _, why in self.changes
                if e["campaign_id"] == campaign and why in ("campaign_deleted", "social_post_limit")]  # fmt: skip

    def assigned(self, instant):
        """Who every asset is assigned to after all changes up to an instant, as {asset: {campaign: event}}."""
        return next((state for e, state, _ in reversed(self.changes) if at(e) <= instant), {})

    def holders(self, asset, instant):
        return {c for c in self.assigned(instant).get(asset, {}) if self.created(c) <= instant}

    @cached_property
    def instants(self):
        """Every instant at which the catalog may change."""
        return sorted({at(e) for e in self.events if "campaign_id" in e})

    def first_held(self, asset, campaign):
        """The beginning of the asset's first interval in the campaign, None if it never held it."""
        return next((i for i in self.instants if campaign in self.holders(asset, i)), None)

    def claimer(self, value, instant):
        holder, gone = None, set()
        for e in self.of("campaign_created", "campaign_updated", "campaign_deleted"):
            if at(e) > instant:
                break
            if e["type"] == "campaign_deleted":
                gone.add(e["campaign_id"])
                holder = None if holder == e["campaign_id"] else holder
            elif norm(e.get("utm_campaign")) == value and e["campaign_id"] not in gone:
                holder = e["campaign_id"]
        return holder

    def ever_claimed(self, value, campaign):
        return any(self.claimer(value, i) == campaign for i in self.instants)

    def asset_of(self, touch):
        if touch.get("asset_id") is not None:
            return touch["asset_id"]
        if touch["type"] != "page_visited":
            return None
        told = [e for e in self.of("asset_registered") if e.get("url") and address(e["url"]) == address(touch["url"])
                and self.asset_type[e["asset_id"]] in PAGES]  # fmt: skip
        before = [e for e in told if at(e) <= at(touch)]
        return (before[-1] if before else told[0])["asset_id"] if told else None

    def via_of(self, touch):
        if touch["type"] != "page_visited":
            return None
        return touch.get("via_asset_id") or query(touch["url"]).get("tl_via") or None

    def utm(self, touch):
        return utm_of(touch["url"]) if touch["type"] == "page_visited" else ""

    def routes(self, touch):
        """{campaign: set of routes} by which a touch counts, excluded traffic or not."""
        out = {}
        for route, asset in (("asset", self.asset_of(touch)), ("via", self.via_of(touch))):
            for campaign in self.holders(asset, at(touch)) if asset else ():
                out.setdefault(campaign, set()).add(route)
        if self.utm(touch) and (campaign := self.claimer(self.utm(touch), at(touch))):
            out.setdefault(campaign, set()).add("utm")
        return out

    def campaigns_of(self, touch):
        return self.routes(touch) if self.counted(touch) else {}

    def mine(self, campaign):
        return [(t, self.campaigns_of(t)[campaign]) for t in self.touches if campaign in self.campaigns_of(t)]

    def why_not(self, touch, campaign):
        """The reason for which a touch is kept out of a campaign; "" if it counts, None if it is none of its business."""
        firsts = [self.first_held(a, campaign) for a in (self.asset_of(touch), self.via_of(touch)) if a]
        firsts = [f for f in firsts if f is not None]
        claimed = bool(self.utm(touch)) and self.ever_claimed(self.utm(touch), campaign)
        if not firsts and not claimed:
            return None
        if self.why_excluded(touch):
            return self.why_excluded(touch)
        if campaign in self.routes(touch):
            return ""
        if firsts:
            return "before_association" if at(touch) < firsts[0] else "after_association_ended"
        return "utm_not_claimed_then"

    def excluded(self, campaign, within=lambda _: True):
        out = {}
        for t in self.touches:
            if within(at(t)) and (why := self.why_not(t, campaign)):
                out[why] = out.get(why, 0) + t.get("count", 1)
        return out

    def influencing(self, touch):
        if touch["type"] == "list_joined":
            return touch["list_type"] == "static"
        return touch["type"] in DEAL_TYPES or touch["type"] == "workflow_enrolled"

    def influenced(self, campaign):
        out = {}
        for t, _ in self.mine(campaign):
            if self.influencing(t) and (contact := self.owner(t)):
                out.setdefault(contact, t)
        return out

    def first_touch(self, campaign):
        out = {}
        for contact in self.contacts:
            conversion = self.conversion(contact)
            visits = [t for t in self.touches if t["type"] == "page_visited" and self.counted(t)
                      and self.owner(t) == contact and order(t) <= order(conversion)]  # fmt: skip
            if visits and self.campaigns_of(visits[0]).get(campaign, set()) & {"asset", "utm"}:
                out[contact] = conversion
        return out

    def conversion_session(self, conversion):
        if (own := self.session_of(conversion)) is not None:
            return own
        if "visitor_id" not in conversion:
            return None
        before = [(t, s) for s in self.sessions if s["visitor"] == conversion["visitor_id"] for t in s["touches"]
                  if order(t) <= order(conversion)]  # fmt: skip
        if not before:
            return None
        last, session = max(before, key=lambda b: order(b[0]))
        return session if at(conversion) - at(last) < self.gap else None

    def last_touch(self, campaign):
        out = {}
        for contact in self.contacts:
            conversion = self.conversion(contact)
            session = self.conversion_session(conversion)
            if session is None:
                continue
            done = [t for t in session["touches"] if order(t) <= order(conversion)]
            pages = [t["url"] for t in done if t["type"] == "page_visited"]
            value = utm_of(conversion.get("url") or (pages[-1] if pages else None))
            held = any(t["type"] in ("page_visited", "form_submitted") and "asset" in self.campaigns_of(t).get(campaign, ())
                       for t in done)  # fmt: skip
            if (value and self.claimer(value, at(conversion)) == campaign) or held:
                out[contact] = conversion
        return out

    def deal(self, deal_id):
        events = [e for e in self.events if e.get("deal_id") == deal_id]
        told = [e for e in events if e["type"] == "deal_created"]
        d = {"id": deal_id, "state": "open", "closed": None, "created": at((told or events)[0]), "amount": None,
             "currency": self.currency, "events": events}  # fmt: skip
        for e in events:
            d["amount"] = e.get("amount", d["amount"])
            d["currency"] = e.get("currency", d["currency"])
            if d["state"] == "deleted":
                continue
            if e["type"] == "deal_deleted":
                d["state"] = "deleted"
            elif e["type"] == "deal_closed":
                d["state"], d["closed"] = ("won" if e["won"] else "lost"), at(e)
            elif e["type"] == "deal_reopened":
                d["state"], d["closed"] = "open", None
        if d["amount"] is not None:
            minor = Decimal(d["amount"]) * (1 if d["currency"] == "JPY" else 100)
            if minor != int(minor):
                d["amount"] = None
        return d

    @property
    def deals(self):
        return [self.deal(i) for i in sorted({e["deal_id"] for e in self.events if "deal_id" in e})]

    def joined(self, deal):
        for e in deal["events"]:
            for contact in contact_objects(e):
                yield at(e), self.contact_of[names(contact)[0]], e["type"] != "deal_contact_dissociated"

    def eligible(self, deal):
        present = set()
        for instant, contact, joins in self.joined(deal):
            if deal["closed"] is None or instant < deal["closed"]:
                (present.add if joins else present.discard)(contact)
        return present

    def deal_reason(self, deal, campaign):
        if deal["state"] in ("deleted", "lost"):
            return f"deal_{deal['state']}"
        present, close = self.eligible(deal), deal["closed"]
        if not present:
            joins = [i for i, _, joins in self.joined(deal) if joins]
            if not joins:
                return "no_contact"
            if close is not None and min(joins) >= close:
                return "contact_associated_after_close"
            return "contact_dissociated_before_close"
        theirs = [t for t, _ in self.mine(campaign) if self.owner(t) in present]
        touched = [at(t) for t in theirs if t["type"] in DEAL_TYPES]
        if any(close is None or i < close for i in touched):
            return None
        if touched:
            return "influenced_after_close"
        if any(t["type"] == "list_joined" and t["list_type"] == "static" for t in theirs):
            return "static_list"
        return "workflow_only" if any(t["type"] == "workflow_enrolled" for t in theirs) else "contact_not_influenced"

    def kept_out_of(self, deal, campaign):
        """The reasons that keep touches out of the campaign which would make the deal count; none if it does, or cannot."""
        if self.deal_reason(deal, campaign) not in ("static_list", "workflow_only", "contact_not_influenced"):
            return set()
        in_time = [t for t in self.touches if t["type"] in DEAL_TYPES and self.owner(t) in self.eligible(deal)
                   and (deal["closed"] is None or at(t) < deal["closed"])]  # fmt: skip
        return {why for t in in_time if (why := self.why_not(t, campaign))}

    def journey(self, deal):
        if deal["state"] != "won":
            return []
        return [t for t in self.touches if self.uncredited(deal, t) is None]

    def uncredited(self, deal, touch):
        """Why a touch of any of the deal's contacts is not in its journey."""
        days = self.settings["lookback_days"]
        if touch["type"] not in REVENUE_TYPES:
            return "not_revenue_touch"
        if self.owner(touch) not in self.eligible(deal):
            return "contact_not_eligible"
        if at(touch) >= deal["closed"]:
            return "after_close"
        if days is not None and at(touch) < deal["closed"] - dt.timedelta(days=days):
            return "outside_lookback"
        return self.why_excluded(touch)

    def others(self, deal):
        """The touches of all contacts that a won deal ever had, that are not in its journey, each with its reason."""
        if deal["state"] != "won":
            return []
        ever = {contact for _, contact, _ in self.joined(deal)}
        mine = [t for t in self.touches if self.owner(t) in ever]
        return [(t["id"], self.uncredited(deal, t)) for t in mine if self.uncredited(deal, t)]

    def roles(self, deal):
        journey = self.journey(deal)
        out = {"first": 0, "last": len(journey) - 1}
        lead = min(self.eligible(deal), key=lambda c: (order(self.conversion(c)), self.name(c)))
        for i, t in enumerate(journey):
            if self.owner(t) == lead and order(t) <= order(self.conversion(lead)):
                out["lead_creation"] = i
            if at(t) <= deal["created"]:
                out["deal_creation"] = i
        return out

    def weights(self, deal, model):
        journey = self.journey(deal)
        if model == "time_decay":
            worth = []
            for t in journey:
                with localcontext() as c:
                    c.prec = 48
                    age = (deal["closed"] - at(t)) // dt.timedelta(microseconds=1)
                    power = Decimal(2) ** (-Decimal(age) / Decimal(7 * 86400 * 10**6))
                    c.prec = 12
                    worth.append(Fraction(+power))
        else:
            found, told = self.roles(deal), MODELS[model]
            key = {r: i for r, i in found.items() if r in told}
            others = [i for i in range(len(journey)) if i not in key.values()]
            worth = [
                sum((Fraction(told[r]) for r, i in key.items() if i == n), Fraction(0)) for n in range(len(journey))
            ]
            for i in others:
                worth[i] = Fraction(told.get("others", "0")) / len(others)
            if not sum(worth):
                worth = [Fraction(1)] * len(journey)
        return [w / sum(worth) for w in worth]

    def shares(self, deal, model):
        if deal["amount"] is None or not self.journey(deal):
            return None
        minor = int(Decimal(deal["amount"]) * (1 if deal["currency"] == "JPY" else 100))
        exact = [minor * w for w in self.weights(deal, model)]
        paid = [e.numerator // e.denominator for e in exact]
        for i in sorted(range(len(exact)), key=lambda i: (-(exact[i] - paid[i]), i))[: minor - sum(paid)]:
            paid[i] += 1
        return paid

    def parts(self, campaign, model):
        """(deal, touch, minor units) of each share's part that is the campaign's."""
        for deal in self.deals:
            for t, share in zip(self.journey(deal), self.shares(deal, model) or [], strict=False):
                among = sorted(self.campaigns_of(t), key=str.encode)
                if campaign in among:
                    yield deal, t, share // len(among) + (among.index(campaign) < share % len(among))

    def attributed(self, campaign, model, within):
        """{currency: minor units}, {deal: minor units}, and {contact: the latest close that earned it some}."""
        sums, deals, earners = {}, {}, {}
        for deal, t, part in self.parts(campaign, model):
            if within(deal["closed"]):
                sums[deal["currency"]] = sums.get(deal["currency"], 0) + part
                deals[deal["id"]] = deals.get(deal["id"], 0) + part
                if part > 0:
                    earners[self.owner(t)] = max(deal["closed"], earners.get(self.owner(t), deal["closed"]))
        return sums, deals, earners

    def with_revenue(self, campaign, within=lambda _: True):
        """{contact: the latest close of a won deal that it is eligible for and touched by before}."""
        out = {}
        for d in self.deals:
            for contact in self.eligible(d) if d["state"] == "won" and within(d["closed"]) else ():
                if any(self.owner(t) == contact and t["type"] in REVENUE_TYPES and at(t) < d["closed"]
                       for t, _ in self.mine(campaign)):  # fmt: skip
                    out[contact] = max(d["closed"], out.get(contact, d["closed"]))
        return out

    def counted_by_type(self, campaign, within=lambda _: True):
        out = {}
        for t, _ in self.mine(campaign):
            if within(at(t)):
                out[t["type"]] = out.get(t["type"], 0) + t.get("count", 1)
        return out

    def influence(self, touch):
        """The kinds of influence that a touch has."""
        kinds = {"influencing": self.influencing(touch), "deal_touch": touch["type"] in DEAL_TYPES,
                 "revenue_touch": touch["type"] in REVENUE_TYPES}  # fmt: skip
        return [kind for kind, has in kinds.items() if has and self.counted(touch)]

    def overview(self, campaign, model="linear", span=None):
        lo, hi = span or (dt.datetime.min.replace(tzinfo=dt.UTC), FAR)

        def within(instant):
            return lo <= instant < hi

        mine = self.mine(campaign)

        count = self.counted_by_type(campaign, within)
        visits = [t for t, routes in mine if t["type"] == "page_visited" and routes & {"asset", "utm"}]
        sessions = [s for s in self.sessions if within(at(s["touches"][0]))
                    and any(t is v for t in s["touches"] for v in visits)]  # fmt: skip
        counting = [
            d for d in self.deals if self.deal_reason(d, campaign) is None and within(d["closed"] or d["created"])
        ]
        won = [d for d in counting if d["state"] == "won"]
        revenue = {}
        for d in won:
            if d["amount"] is not None:
                minor = int(Decimal(d["amount"]) * (1 if d["currency"] == "JPY" else 100))
                revenue[d["currency"]] = revenue.get(d["currency"], 0) + minor
        sums, _, earners = self.attributed(campaign, model, within)
        return {
            "page_views": count.get("page_visited", 0), "form_submissions": count.get("form_submitted", 0),
            "cta_clicks": count.get("cta_clicked", 0), "email_opens": count.get("email_opened", 0),
            "email_clicks": count.get("email_clicked", 0), "sessions": len(sessions),
            "new_sessions": sum(s["new"] for s in sessions),
            "new_contacts_first_touch": sum(within(at(c)) for c in self.first_touch(campaign).values()),
            "new_contacts_last_touch": sum(within(at(c)) for c in self.last_touch(campaign).values()),
            "influenced_contacts": sum(within(at(t)) for t in self.influenced(campaign).values()),
            "influenced_deals": len(counting), "closed_deals": len(won), "influenced_revenue": revenue,
            "contacts_with_revenue": len(self.with_revenue(campaign, within)), "attributed_revenue": sums,
            "contacts_with_attributed_revenue": len(earners),
        }  # fmt: skip

    def section(self, campaign):
        """{asset: (former, statistics, contacts, what shows elsewhere)} of the campaign's asset section."""
        out = {}
        for asset in {e["asset_id"] for e in self.events if "asset_id" in e}:
            if self.first_held(asset, campaign) is None:
                continue
            now = campaign in self.holders(asset, FAR)
            statistics, contacts, elsewhere = {}, {}, {}
            for t in self.touches:
                if not self.counted(t) or asset not in (self.asset_of(t), self.via_of(t)):
                    continue
                if t["type"] in ("cta_clicked", "cta_viewed"):
                    then = self.holders(asset, at(t))
                    if now and then and campaign not in then:
                        elsewhere[t["type"]] = elsewhere.get(t["type"], 0) + t.get("count", 1)
                    if (then and campaign not in then) or (not now and campaign not in then):
                        continue
                elif not now:
                    continue
                statistics[t["type"]] = statistics.get(t["type"], 0) + t.get("count", 1)
                if owner := self.owner(t):
                    contacts.setdefault(t["type"], set()).add(owner)
            if now or statistics:
                out[asset] = (not now, statistics, {k: len(v) for k, v in contacts.items()}, elsewhere)
        return out

    def shown_in(self, touch):
        """(campaign, asset, why not) for the sections that a touch shows in, or that hold its asset now but not it."""
        out = []
        for asset in {self.asset_of(touch), self.via_of(touch)} - {None} if self.counted(touch) else ():
            then, now = self.holders(asset, at(touch)), self.holders(asset, FAR)
            cta = touch["type"] in ("cta_clicked", "cta_viewed")
            out += [
                (c, asset, "stayed_with_previous_campaign" if cta and then and c not in then else None) for c in now
            ]
            out += [(c, asset, None) for c in then - now if cta]
        return sorted(out)

    def hidden(self, asset, campaign):
        """Why an asset held now is not shown."""
        type_ = self.asset_type.get(asset)
        told = [e for e in self.of("asset_published", "asset_unpublished") if e["asset_id"] == asset]
        if type_ == "social_post" and (not told or told[-1]["type"] != "asset_published"):
            return "not_published"
        visits = [t for t in self.touches if t["type"] == "page_visited" and self.counted(t)
                  and asset in (t.get("asset_id"), self.via_of(t)) and at(t) >= self.created(campaign)]  # fmt: skip
        if type_ in ("tracking_url", "paid_search") and not visits:
            return "no_visit_since_campaign_created"
        dates = {"starts_on": None, "ends_on": None}
        for e in self.of("campaign_created", "campaign_updated"):
            if e["campaign_id"] == campaign:
                dates = {k: e.get(k, v) for k, v in dates.items()}
        zone = ZoneInfo(self.settings["time_zone"])
        first = next((at(e).astimezone(zone).date().isoformat() for e in told if e["type"] == "asset_published"), None)
        if first and ((dates["starts_on"] or first) > first or (dates["ends_on"] or first) < first):
            return "outside_campaign_dates"
        return None

    def contact_journey(self, contact):
        return [t for t in self.touches if self.owner(t) == contact]

    def properties(self, contact):
        told = {}
        for e in self.of("contact_created", "contact_updated"):
            if names(e["contact"])[0] in contact:
                told |= e.get("properties", {})
        return {k: v for k, v in told.items() if v is not None}

    def salesforce(self, campaign):
        """The names of the contacts in a Salesforce campaign."""
        joined = {self.contact_of[names(e["contact"])[0]] for e in self.of("salesforce_campaign_joined")
                  if e["salesforce_campaign_id"] == campaign}  # fmt: skip
        told = {c for c in self.contacts if self.properties(c).get("salesforce_campaign_id") == campaign}
        return sorted(self.name(c) for c in joined | told)

    def visit_brought_by(self, visit):
        """(source, medium, channel) of a page visit, of the few sources that the worlds know."""
        asked = query(visit["url"])
        campaign, source, medium = (norm(asked.get(p)) for p in ("utm_campaign", "utm_source", "utm_medium"))
        if campaign or source or medium:
            kind = SITES.get(source)
            if medium == "cpc":
                channel = "paid_social" if kind == "social" else "paid_search"
            elif medium == "email":
                channel = "email"
            elif kind == "social":
                channel = "organic_social"
            else:
                channel = "organic_search" if kind == "search" and not medium else "other"
            return source or None, medium or None, channel
        if asked.get("gclid"):
            return "google", "cpc", "paid_search"
        host = (urlsplit(visit.get("referrer") or "").hostname or "").removeprefix("www.")
        if not host or host == address(visit["url"])[0]:
            return None, None, "direct"
        medium = {"search": "organic", "social": "social"}.get(SITES.get(host), "referral")
        return host, medium, {"organic": "organic_search", "social": "organic_social"}.get(medium, "referral")

    def brought(self, touch):
        if touch["type"] == "page_visited":
            return self.visit_brought_by(touch)
        if touch["type"].startswith("email_"):
            return None, None, "email"
        if touch["type"].startswith("social_"):
            return None, None, "organic_social"
        if touch["type"].startswith("ad_"):
            paid = self.asset_type.get(touch["asset_id"])
            return None, None, "paid_search" if paid == "paid_search" else "paid_social"
        session = self.session_of(touch) if self.counted(touch) else None
        pages = [t for t in (session or {"touches": []})["touches"] if t["type"] == "page_visited"]
        return self.visit_brought_by(pages[0]) if pages else (None, None, "offline")
