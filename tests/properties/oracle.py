"""A second, naive reading of docs/rules.md, to compare the product with.

Written for plainness, not speed: every question is answered by going through all events again. It shares no code with
`shared`. Events are dicts as sent, with `id` and `occurred_at`; instants are compared as datetimes.
"""

import datetime as dt
import hashlib
import json
import re
import unicodedata
from decimal import Decimal, localcontext
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from urllib.parse import unquote, unquote_plus, urlsplit
from zoneinfo import ZoneInfo

TOUCHES = {
    "page_visited", "form_submitted", "cta_viewed", "cta_clicked", "email_sent", "email_delivered", "email_opened",
    "email_clicked", "email_bounced", "email_unsubscribed", "social_clicked", "social_interacted", "ad_viewed",
    "ad_clicked", "asset_interacted", "list_joined", "workflow_enrolled",
}  # fmt: skip
SESSION_TYPES = {"page_visited", "form_submitted", "cta_viewed", "cta_clicked"}
PAGES = {"site_page", "landing_page", "blog_post", "case_study", "knowledge_article", "external_page"}
DEAL_TYPES = {
    "page_visited", "form_submitted", "cta_viewed", "cta_clicked", "email_opened", "email_clicked", "social_clicked",
    "social_interacted", "ad_clicked", "asset_interacted",
}  # fmt: skip
REVENUE_TYPES = DEAL_TYPES - {"cta_viewed", "email_opened", "social_interacted"}
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
SECONDS = dt.timedelta(seconds=1)
SCANNERS = ("Barracuda Sentinel (EE)",)
CRAWLERS = ("Googlebot/2.1", "curl/8.5.0")
PROXY = "Mozilla/5.0 (via ggpht.com GoogleImageProxy)"
SITES = {
    "google.com": "search", "images.google.de": "search", "google": "search", "duckduckgo.com": "search",
    "facebook.com": "social", "m.facebook.com": "social", "linkedin": "social", "facebook": "social", "fb": "social",
    "x": "social", "meta": "social", "facebook_ads": "social", "com.slack": "social", "bing": "search",
}  # fmt: skip
# What the mediums, sources and campaigns of the worlds mean, each read by hand. "click" is ppc, cpc or adwords.
MEANS = {
    "cpc": {"click"}, "ppc_social": {"click", "social"}, "social-paid": {"paid", "social"}, "paid_ad": {"paid", "ad"},
    "premiumcpc": {"click"}, "unpaid": set(), "prepaid": set(), "display": {"display"}, "cpm": {"price"}, "email": {"email"},
    "campaign-email": {"email"}, "newsletter": {"mail"}, "mailing list": {"mail"}, "social": {"social"},
    "organic": {"organic"}, "referral": {"referral"}, "hs_email": {"email"}, "ppc": {"click"}, "paidsocial": {"paid", "paidsocial"},
    "email news": {"email"},
}  # fmt: skip
PAID_CLICKS = {"gclid": "google", "msclkid": "bing", "li_fat_id": "linkedin"}
OTHER_CLICKS = {"fbclid": ("facebook", "social"), "srsltid": ("google", "organic"), "mc_eid": ("mailchimp", "email")}


def at(event):
    return dt.datetime.fromisoformat(event.get("occurred_at") or event["as_of"])


def order(event):
    return at(event), event["id"].encode()


def norm(value):
    return unicodedata.normalize("NFC", (value or "").strip()).casefold()


WRITTEN = {
    "campaign": ["utm_campaign", "mtm_campaign"], "source": ["utm_source"], "medium": ["utm_medium"],
    "term": ["utm_term"], "content": ["utm_content"],
}  # fmt: skip
PASSED = ("paypal.com", "checkout.stripe.com", "acs.bank.example")
SIGN_IN = ("accounts.google.com", "login.live.com", "login.microsoftonline.com", "sso.news.example")


def query(url):
    """The parameters of a URL: of its query, then of its fragment; of each the first that is not empty."""
    before, _, fragment = url.partition("#")
    _, mark, asked = before.partition("?")
    if not mark:
        asked = "".join(re.findall(r"&(utm_.*)", before, re.IGNORECASE)[:1])
    texts = [asked, fragment.split("?")[-1]]
    out = {}
    for text in texts:
        for piece in re.split(r"&|;(?=[a-zA-Z_]+=)", text):
            name, _, value = piece.partition("=")
            name = re.sub(r"^(amp;)*|\[\d*\]$", "", unquote_plus(name)).lower()
            if unquote_plus(value).strip():
                out.setdefault(name, unquote_plus(value))
    return out


def utm_field(event, what):
    """The campaign, source, medium, term or content that a visit or a URL names."""
    asked = query(event["url"])
    for name in WRITTEN[what]:
        if asked.get(name):
            return norm(asked[name])
    return norm(event.get("utm_" + what))


def campaign_of(event):
    """The value that campaigns may claim."""
    return utm_field(event, "campaign") or norm(query(event["url"]).get("gad_campaignid"))


def again(value):
    """The value, URL-decoded once more."""
    return norm(unquote_plus(value))


def host_of(url):
    host = urlsplit(url).netloc.split("@")[-1].split(":")[0].lower().rstrip(".")
    return host.encode("idna").decode().removeprefix("www.") if host else ""


def domain_of(host):
    """The registrable domain, of the hosts that the worlds know."""
    host = host.replace("-", ".").removesuffix(".translate.goog") if host.endswith(".translate.goog") else host
    host = host.replace("-", ".").removesuffix(".cdn.ampproject.org") if host.endswith(".cdn.ampproject.org") else host
    return ".".join(host.split(".")[-3 if host.endswith("github.io") else -2 :])


def below(host, names):
    names = [name.strip().removeprefix("*.").lower().encode("idna").decode() for name in names]
    return any(host == name or host.endswith("." + name) for name in names)


def route(path):
    """A path by its segments, decoded; what is empty or a dot says nothing. An encoded slash is another character."""
    out = []
    for encoded in path.split("/"):
        segment = unicodedata.normalize("NFC", unquote(re.sub("%2f", "%252F", encoded, flags=re.IGNORECASE)))
        if segment == "..":
            out = out[:-1]
        elif segment not in ("", "."):
            out.append(segment)
    return out


def email_of(text):
    """An address as it is compared, of the few forms that the worlds write."""
    for unseen in "\u200b\u2060\ufeff\u00ad":
        text = text.replace(unseen, "")
    text = text.strip().lower()
    if text.startswith("<"):
        text = text[1 : text.index(">")].strip()
    if text.startswith("mailto:"):
        text = text[7:].split("?")[0]
    return unicodedata.normalize("NFC", text)


def names(contact):
    out = []
    if "id" in contact:
        out.append(("id", contact["id"]))
    if "email" in contact:
        out.append(("email", email_of(contact["email"])))
    return out


def contact_objects(event):
    if event["type"] == "contact_forgotten":  # it asks to forget who has the name, and names nobody itself
        return []
    out = [event[field] for field in ("contact", "into") if field in event]
    return out + list(event.get("contacts", []))


def sha(event):
    content = {field: value for field, value in event.items() if field != "as_of"}
    sent = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(sent.encode()).hexdigest()


def newer(event, other):
    """Whether a version of an id takes the place of another."""
    mine, theirs = event.get("as_of"), other.get("as_of")
    if mine is None or theirs is None:
        mine, theirs = mine is not None, theirs is not None
    else:
        mine, theirs = dt.datetime.fromisoformat(mine), dt.datetime.fromisoformat(theirs)
    return mine > theirs or (mine == theirs and sha(event) < sha(other))


def as_persons(received):
    """Rule **forgotten**: the events in the order of receipt, with `~` before a name for each time that who had it was forgotten.

    So equal names are those of one person, before and after. E-mail addresses are written as they are compared.
    """
    times, out = {}, []

    def renamed(kind, text):
        text = email_of(text) if kind == "email" else text
        return "~" * times.get((kind, text), 0) + text

    for event in received:
        result = {**event}
        if "visitor_id" in event:
            result["visitor_id"] = renamed("visitor", event["visitor_id"])
        for field in ("contact", "into"):
            if field in event:
                result[field] = {kind: renamed(kind, text) for kind, text in event[field].items()}
        if "contacts" in event:
            result["contacts"] = [{kind: renamed(kind, text) for kind, text in c.items()} for c in event["contacts"]]
        if event["type"] == "contact_forgotten":
            for kind, text in Oracle(out).joined_with(names(result["contact"])):
                name = kind, text.lstrip("~")
                if renamed(*name) == text:  # else who had it then was forgotten before, and another has it now
                    times[name] = times.get(name, 0) + 1
        out.append(result)
    return out


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

    def goals(self, campaign):
        found = [
            e
            for e in sorted(self.of("campaign_created", "campaign_updated"), key=order)
            if e["campaign_id"] == campaign and "goals" in e
        ]
        return found[-1]["goals"] if found else {}

    @cached_property
    def touches(self):
        return [e for e in self.events if e["type"] in TOUCHES]

    @cached_property
    def settings(self):
        result = {
            "time_zone": "UTC", "currency": "EUR", "session_gap_minutes": 30, "lookback_days": None,
            "internal_domains": [], "crawlers": True, "mail_prefetchers": True, "mail_scanners": True, "always": [], "never": [],
            "own_hosts": [], "ignored_referrers": [], "page_parameters": [], "page_fragments": False,
        }  # fmt: skip
        for e in self.of("workspace_configured"):
            result |= {k: v for k, v in e["settings"].items() if k != "machine_rules"}
            result |= e["settings"].get("machine_rules", {})
        return result

    @property
    def gap(self):
        return dt.timedelta(minutes=self.settings["session_gap_minutes"])

    @property
    def currency(self):
        return self.settings["currency"]

    def by_machine(self, touch):
        agent, answer = touch.get("user_agent"), self.settings
        if agent is None or any(part.lower() in agent.lower() for part in answer["never"]):
            return False
        if any(part.lower() in agent.lower() for part in answer["always"]):
            return True
        if agent == PROXY:
            return answer["mail_prefetchers"] and touch["type"] != "email_opened"
        return (answer["crawlers"] and agent in CRAWLERS) or (answer["mail_scanners"] and agent in SCANNERS)

    @cached_property
    def by_scanner(self):
        """Ids of the clicks that belong to a burst on three links within ten seconds, a minute after the mail came, unread."""
        out = set()
        for start in self.of("email_clicked") if self.settings["mail_scanners"] else ():
            of_mail = [t for t in self.touches if t["type"].startswith("email_") and t["asset_id"] == start["asset_id"]
                       and self.owner(t) == self.owner(start)]  # fmt: skip
            burst = [
                t for t in of_mail if t["type"] == "email_clicked" and at(start) <= at(t) <= at(start) + SECONDS * 10
            ]
            came = [at(t) for t in of_mail if t["type"] in ("email_sent", "email_delivered")]
            read = [
                at(t)
                for t in of_mail
                if t["type"] == "email_opened" and not t.get("machine") and not self.by_machine(t)
            ]
            if (len({t["url"] for t in burst if "url" in t}) >= 3
                    and any(at(start) - SECONDS * 60 <= c <= at(start) for c in came)
                    and not any(r < at(start) for r in read)):  # fmt: skip
                out |= {t["id"] for t in burst}
        return out

    def by_own_people(self, touch):
        return self.own_people(self.owner(touch))

    def own_people(self, contact):
        emails = [text for kind, text in contact or () if kind == "email"]
        domains = [domain.removeprefix("@").lower() for domain in self.settings["internal_domains"]]
        return any(email.split("@")[1] in domains for email in emails)

    def why_excluded(self, touch):
        if touch["id"] not in self._why_excluded:
            self._why_excluded[touch["id"]] = (
                "machine" if touch.get("machine") or self.by_machine(touch) or touch["id"] in self.by_scanner else
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

    def joined_with(self, identifiers):
        """All names of the contacts that have these identifiers, and the visitors that were ever one of them."""
        contacts = [self.contact_of.get(name, frozenset([name])) for name in identifiers]
        visitors = {
            ("visitor", e["visitor_id"]) for e in self.events for c in contacts
            if "visitor_id" in e and "contact" in e and names(e["contact"])[0] in c
        }  # fmt: skip
        return visitors.union(*contacts)

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
                found = [n for c in contact_objects(event) for n in names(c) if n in contact and n[0] == kind]
                if found:
                    return min(found)[1]
        raise AssertionError("a contact without a name")

    def owner(self, touch):
        if "contact" in touch:
            return self.contact_of[names(touch["contact"])[0]]
        if "visitor_id" not in touch:
            return None
        naming = [e for e in self.events if e.get("visitor_id") == touch["visitor_id"] and "contact" in e]
        before = [e for e in naming if order(e) <= order(touch)]
        chosen = before[-1] if before else (naming[0] if naming else None)
        return None if chosen is None else self.contact_of[names(chosen["contact"])[0]]

    @property
    def contacts(self):
        return set(self.contact_of.values())

    def address(self, url):
        """The address of a URL, by the workspace's settings."""
        before, _, fragment = url.partition("#")
        place, result = re.sub(r"&utm_.*", "", before.partition("?")[0], flags=re.IGNORECASE), query(url)
        host, _, port = urlsplit(place).netloc.partition(":")
        path = route(urlsplit(place).path)
        more = [(name.lower(), result[name.lower()]) for name in sorted(self.settings["page_parameters"], key=str.lower)
                if name.lower() in result]  # fmt: skip
        shown = fragment.removeprefix("!").partition("?")[0] if self.settings["page_fragments"] else ""
        shown = route(shown) if shown.startswith("/") else []
        return host_of("//" + host), port if port not in ("80", "443") else "", path, more, shown

    def referring(self, touch, first=False):
        """The host or app that a visit's referrer names as its source; `first`: the visitor was never seen before."""
        referrer = touch.get("referrer") or ""
        scheme = referrer.partition("://")[0].lower()
        host = host_of(referrer) if scheme in ("http", "https", "android-app") else ""
        if "." not in host or below(host, PASSED) or (below(host, SIGN_IN) and not first):
            return None
        if below(host, self.settings["ignored_referrers"]) or below(host, self.settings["own_hosts"]):
            return None
        return None if domain_of(host) == domain_of(host_of(touch["url"])) else host

    def source(self, touch):
        if touch["type"] != "page_visited" or query(touch["url"]).get("utm_nooverride") == "1":
            return None
        triple = campaign_of(touch), utm_field(touch, "source"), utm_field(touch, "medium")
        return triple if any(triple) else self.referring(touch)

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
        events = [e for e in named if e["type"] == "campaign_created"]
        return at((events or named)[0])

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

    def ignored_association(self, event):
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

    def keepers(self, asset, instant):
        """Who keeps a CTA's clicks and views of an instant: its holders then, else the next ones; nobody if there were none."""
        later = [i for i in self.instants if i > instant]
        return next((held for i in [instant, *later] if (held := self.holders(asset, i))), set())

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
        return any(self.claimer_of(value, i) == campaign for i in self.instants)

    def asset_of(self, touch):
        if touch.get("asset_id") is not None:
            return touch["asset_id"]
        if touch["type"] != "page_visited":
            return None
        answer = [e for e in self.of("asset_registered") if e.get("url") and self.address(e["url"]) == self.address(touch["url"])
                and self.asset_type[e["asset_id"]] in PAGES]  # fmt: skip
        before = [e for e in answer if at(e) <= at(touch)]
        return (before[-1] if before else answer[0])["asset_id"] if answer else None

    def via_of(self, touch):
        if touch["type"] != "page_visited":
            return None
        return touch.get("via_asset_id") or query(touch["url"]).get("tl_via") or self.link_of(touch)

    def link(self, event):
        """Where a link leads, and what it tells; None if it tells nothing."""
        found = [unquote_plus(utm_field(event, what)).casefold() for what in WRITTEN]
        return (self.address(event["url"]), found) if any(found) else None

    def link_of(self, visit):
        """The tracking URL, or paid-search campaign, that a visit must have come by."""
        answer = [e for e in self.of("asset_registered") if e.get("target_url") and self.link(visit)
                and self.link({"url": e["target_url"]}) == self.link(visit)
                and self.asset_type[e["asset_id"]] in ("tracking_url", "paid_search")]  # fmt: skip
        before = [e for e in answer if at(e) <= at(visit)]
        return (before[-1] if before else answer[0])["asset_id"] if answer else None

    def utm(self, touch):
        return campaign_of(touch) if touch["type"] == "page_visited" else ""

    def claimer_of(self, value, instant):
        """Who claims a value as it stands, else decoded once more."""
        return (self.claimer(value, instant) if value else None) or (
            self.claimer(again(value), instant) if again(value) else None
        )

    def routes(self, touch):
        """{campaign: set of routes} by which a touch counts, excluded traffic or not."""
        out = {}
        for route, asset in (("asset", self.asset_of(touch)), ("via", self.via_of(touch))):
            for campaign in self.holders(asset, at(touch)) if asset else ():
                out.setdefault(campaign, set()).add(route)
        if campaign := self.claimer_of(self.utm(touch), at(touch)):
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
            if self.influencing(t) and within(at(t)) and (why := self.why_not(t, campaign)):
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
            pages = [t for t in done if t["type"] == "page_visited"]
            page = conversion if conversion.get("url") else pages[-1] if pages else None
            value = campaign_of(page) if page else ""
            held = any(t["type"] in ("page_visited", "form_submitted") and "asset" in self.campaigns_of(t).get(campaign, ())
                       for t in done)  # fmt: skip
            if self.claimer_of(value, at(conversion)) == campaign or held:
                out[contact] = conversion
        return out

    def deal(self, deal_id):
        events = [e for e in self.events if e.get("deal_id") == deal_id]
        sent_events = [e for e in events if e["type"] == "deal_created"]
        d = {"id": deal_id, "state": "open", "closed": None, "created": at((sent_events or events)[0]), "amount": None,
             "currency": self.currency, "events": events}  # fmt: skip
        closed_at = None
        for e in events:
            if "closed_at" in e:
                closed_at = dt.datetime.fromisoformat(e["closed_at"])
            if e["type"] == "deal_reopened":
                closed_at = None
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
        if closed_at is not None and d["closed"] is not None:
            d["closed"] = closed_at
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
        return self.deal_decision(deal, campaign)[0]

    def deal_decision(self, deal, campaign):
        """Why a deal does not count (None: it does), and the id of the event that a person would name, None if there is none."""
        state = [e for e in deal["events"] if e["type"] in ("deal_closed", "deal_deleted")]
        if deal["state"] == "deleted":
            return "deal_deleted", next(e["id"] for e in state if e["type"] == "deal_deleted")
        if deal["state"] == "lost":
            return "deal_lost", state[-1]["id"]
        present, close = self.eligible(deal), deal["closed"]
        members = [(e, self.contact_of[names(c)[0]]) for e in deal["events"] for c in contact_objects(e)]
        ever = {c for e, c in members if e["type"] != "deal_contact_dissociated"}
        if not ever:
            return "no_contact", None
        mine = [(t, self.owner(t)) for t, _ in self.mine(campaign)]
        early = [(t, c) for t, c in mine if t["type"] in DEAL_TYPES and c in ever and (close is None or at(t) < close)]
        if counting := [t for t, c in early if c in present]:
            return None, counting[0]["id"]
        late, gone = {}, {}
        for contact in ever - present:
            joins = [e for e, c in members if c == contact and e["type"] != "deal_contact_dissociated"]
            in_time = [e for e, c in members if c == contact and (close is None or at(e) < close)]
            if close is not None and at(joins[0]) >= close:
                late[contact] = joins[0]
            else:
                # in a run of dissociations the first one ended the association
                leaves = [e for before, e in pairwise(in_time)
                          if e["type"] == "deal_contact_dissociated" != before["type"]]  # fmt: skip
                gone[contact] = leaves[-1]
        for reason, absent in (("contact_associated_after_close", late), ("contact_dissociated_before_close", gone)):
            if theirs := [c for _, c in early if c in absent]:
                return reason, absent[theirs[0]]["id"]
        if not present and not gone:
            return "contact_associated_after_close", min(late.values(), key=order)["id"]
        if not present:
            return "contact_dissociated_before_close", max(gone.values(), key=order)["id"]
        theirs = [t for t, c in mine if c in present]
        for reason, fits in (
            ("influenced_after_close", lambda t: t["type"] in DEAL_TYPES),
            ("static_list", lambda t: t["type"] == "list_joined" and t["list_type"] == "static"),
            ("workflow_only", lambda t: t["type"] == "workflow_enrolled"),
        ):
            if found := [t for t in theirs if fits(t)]:
                return reason, found[0]["id"]
        kept = self.kept_out_touches(deal, campaign)
        return "contact_not_influenced", kept[0]["id"] if kept else None

    def kept_out_touches(self, deal, campaign):
        """The deal touches of its contacts, in time, that were kept out of the campaign."""
        return [t for t in self.touches if t["type"] in DEAL_TYPES and self.owner(t) in self.eligible(deal)
                and (deal["closed"] is None or at(t) < deal["closed"]) and self.why_not(t, campaign)]  # fmt: skip

    def kept_out_of(self, deal, campaign):
        """The reasons that keep touches out of the campaign which would make the deal count; none if it does, or cannot."""
        reason = self.deal_reason(deal, campaign)
        if reason not in ("influenced_after_close", "static_list", "workflow_only", "contact_not_influenced"):
            return set()
        return {self.why_not(t, campaign) for t in self.kept_out_touches(deal, campaign)}

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
        return self.weighed(
            self.journey(deal), self.roles(deal) if model != "time_decay" else {}, model, deal["closed"]
        )

    def model_of(self, name):
        """(weights by role, half-life in days, lookback in days) of a model."""
        if name in MODELS or name == "time_decay":
            return (None, 7, None) if name == "time_decay" else (MODELS[name], None, None)
        found = [e for e in self.of("model_defined") if e["model"] == name][-1]
        return found["weights"], found.get("half_life_days"), found.get("lookback_days")

    def weighed(self, journey, found, model, until):
        """Each touch's part of what happened at `until`; no touch gets any if all are outside the model's lookback."""
        result, half_life, lookback = self.model_of(model)
        inside = [i for i, t in enumerate(journey) if lookback is None or at(t) >= until - dt.timedelta(days=lookback)]
        if not inside:
            return [Fraction(0)] * len(journey)
        result = {"others": "100"} if result is None else result
        key = {
            r: (inside[0] if r == "first" else i)
            for r, i in found.items()
            if r in result and (i in inside or r == "first")
        }
        worth = [sum((Fraction(result[r]) for r, i in key.items() if i == n), Fraction(0)) for n in range(len(journey))]
        others = [i for i in inside if i not in key.values()]
        decayed = [self.decayed(until - at(journey[i]), half_life) for i in others]
        for i, part in zip(others, decayed, strict=True):
            worth[i] = Fraction(result.get("others", "0")) * part / sum(decayed)
        if not sum(worth):
            worth = [Fraction(n in inside) for n in range(len(journey))]
        return [w / sum(worth) for w in worth]

    def decayed(self, age, half_life):
        if half_life is None:
            return Fraction(1)
        with localcontext() as c:
            c.prec = 48
            power = Decimal(2) ** (-Decimal(age // dt.timedelta(microseconds=1)) / Decimal(half_life * 86400 * 10**6))
            c.prec = 12
            return Fraction(+power)

    def shares(self, deal, model):
        if deal["amount"] is None or not self.journey(deal):
            return None
        minor = int(Decimal(deal["amount"]) * (1 if deal["currency"] == "JPY" else 100))
        if minor < 0:  # a refund takes back what the sale gave
            sale = {**deal, "amount": str(-Decimal(deal["amount"]))}
            return [-share for share in self.shares(sale, model)]
        exact = [minor * w for w in self.weights(deal, model)]
        if not any(exact):
            return [0] * len(exact)
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
                    part, rest = divmod(abs(share), len(among))
                    part += among.index(campaign) < rest
                    yield deal, t, part if share > 0 else -part

    def attributed(self, campaign, model, within):
        """{currency: minor units}, {deal: minor units}, and {contact: the latest close that earned it some}.

        A contact whose refunds took back all that it earned of every currency earned nothing.
        """
        sums, deals, owned = {}, {}, {}
        for deal, t, part in self.parts(campaign, model):
            if within(deal["closed"]):
                sums[deal["currency"]] = sums.get(deal["currency"], 0) + part
                deals[deal["id"]] = deals.get(deal["id"], 0) + part
                owned.setdefault((self.owner(t), deal["currency"]), []).append((part, deal["closed"]))
        earners = {}
        for (contact, _), parts in owned.items():
            if sum(part for part, _ in parts) > 0:
                last = max(close for part, close in parts if part > 0)
                earners[contact] = max(last, earners.get(contact, last))
        return sums, deals, earners

    def report(self, model, currency):
        """{campaign, or None: (deals, contacts, minor units)} of the journeys of one currency's won deals."""
        rows = {}
        for deal in self.deals:
            shares = self.shares(deal, model)
            for i, t in enumerate(self.journey(deal) if deal["currency"] == currency else ()):
                for campaign in self.campaigns_of(t) or [None]:
                    deals, contacts, paid = rows.setdefault(campaign, (set(), set(), []))
                    deals.add(deal["id"])
                    contacts.add(self.owner(t))
                    if campaign is None and shares:
                        paid.append(shares[i])
        sums = {
            campaign: self.attributed(campaign, model, lambda _: True)[0].get(currency, 0)
            for campaign in rows
            if campaign
        }
        return {c: (len(d), len(p), sums.get(c, sum(paid))) for c, (d, p, paid) in rows.items()}

    def group(self, touch, by):
        """The groups of a touch, in the order of its campaigns: names, or why there is none."""
        if by in ("campaign", "owner"):
            among = sorted(self.campaigns_of(touch), key=str.encode)
            if by == "campaign" or not among:
                return among or ["no_campaign"]
            owners = [[e["owner"] for e in self.of("campaign_created", "campaign_updated") if e["campaign_id"] == c and e.get("owner") is not None]
                      for c in among]  # fmt: skip
            return [each[-1] if each else "no_owner" for each in owners]
        asset = self.asset_of(touch)
        source, medium, channel = self.brought(touch)
        value = {
            "asset": asset, "asset_type": asset and (self.asset_type.get(asset) or "no_asset_type"), "interaction": touch["type"],
            "channel": channel, "source": source, "medium": medium, "utm_campaign": self.utm(touch) or None,
        }[by]  # fmt: skip
        return [value or {"asset_type": "no_asset"}.get(by, f"no_{by}")]

    def grouped(self, journeys, by):
        """{group: (things, contacts, units)} of {thing: (units, [(touch, units)])}."""
        rows, sums = {}, {}
        for thing, (whole, journey) in journeys.items():
            for touch, units in journey:
                among = self.group(touch, by)
                part, rest = divmod(abs(units), len(among))
                for i, group in enumerate(among):
                    things, contacts = rows.setdefault(group, (set(), set()))
                    things.add(thing)
                    contacts.add(self.owner(touch))
                    sums[group] = sums.get(group, 0) + (part + (i < rest)) * (1 if units > 0 else -1)
            unearned = whole - sum(
                units for _, units in journey
            )  # without a journey, or with none that the model looks back to
            if not journey or unearned:
                things, _ = rows.setdefault("no_journey", (set(), set()))
                things |= set() if journey else {thing}
                sums["no_journey"] = sums.get("no_journey", 0) + unearned
        return {group: (len(things), len(contacts), sums[group]) for group, (things, contacts) in rows.items()}

    def revenue_by(self, by, model, currency):
        """What each group earned of the won deals of a currency, in minor units."""
        return self.grouped(
            {
                d["id"]: (int(Decimal(d["amount"] or 0) * 100), list(zip(self.journey(d), self.shares(d, model) or [0] * len(self.journey(d)), strict=True)))
                for d in self.deals if d["state"] == "won" and d["currency"] == currency
            }, by,
        )  # fmt: skip

    def created_by(self, of, by, model):
        """What each group brought of the deals or contacts created, in millionths."""
        days, journeys = self.settings["lookback_days"], {}
        if of == "deals":
            things = [(d["id"], d["created"], self.eligible(d)) for d in self.deals if d["state"] != "deleted"]
        else:
            things = [(c, at(self.conversion(c)), [c]) for c in self.contacts if not self.own_people(c)]
        for thing, created, who in things:

            def early(t, created=created, who=who):
                if of == "contacts":
                    return order(t) <= order(self.conversion(who[0]))
                return at(t) <= created

            journey = [t for t in self.touches if t["type"] in REVENUE_TYPES and self.counted(t) and self.owner(t) in who and early(t)
                       and (days is None or at(t) >= created - dt.timedelta(days=days))]  # fmt: skip
            found = {"first": 0, "last": len(journey) - 1}
            if journey:
                lead = min(who, key=lambda c: (order(self.conversion(c)), self.name(c)))
                born = [
                    i
                    for i, t in enumerate(journey)
                    if self.owner(t) == lead and order(t) <= order(self.conversion(lead))
                ]
                found |= {"lead_creation": born[-1]} if born else {}
                found |= {"deal_creation": len(journey) - 1} if of == "deals" else {}
            weights = self.weighed(journey, found, model, created)
            exact = [10**6 * w for w in weights]
            paid = [e.numerator // e.denominator for e in exact]
            for i in sorted(range(len(exact)), key=lambda i: (-(exact[i] - paid[i]), i))[
                : 10**6 - sum(paid) if sum(weights) else 0
            ]:
                paid[i] += 1
            journeys[thing] = 10**6, list(zip(journey, paid, strict=True))
        return self.grouped(journeys, by)

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
                    if campaign not in self.keepers(asset, at(t)):
                        if now:
                            elsewhere[t["type"]] = elsewhere.get(t["type"], 0) + t.get("count", 1)
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
            kept, now = self.keepers(asset, at(touch)), self.holders(asset, FAR)
            cta = touch["type"] in ("cta_clicked", "cta_viewed")
            out += [(c, asset, "stayed_with_previous_campaign" if cta and c not in kept else None) for c in now]
            out += [(c, asset, None) for c in kept - now if cta]
        return sorted(out)

    def hidden(self, asset, campaign):
        """Why an asset held now is not shown."""
        type_ = self.asset_type.get(asset)
        events = [e for e in self.of("asset_published", "asset_unpublished") if e["asset_id"] == asset]
        if type_ == "social_post" and (not events or events[-1]["type"] != "asset_published"):
            return "not_published"
        visits = [t for t in self.touches if t["type"] == "page_visited" and self.counted(t)
                  and asset in (t.get("asset_id"), self.via_of(t))]  # fmt: skip
        if type_ == "tracking_url" and not any(at(t) >= self.created(campaign) for t in visits):
            return "no_visit_since_campaign_created"
        if type_ == "paid_search" and not visits:
            return "no_visit"
        dates = {"starts_on": None, "ends_on": None}
        for e in self.of("campaign_created", "campaign_updated"):
            if e["campaign_id"] == campaign:
                dates = {k: e.get(k, v) for k, v in dates.items()}
        zone = ZoneInfo(self.settings["time_zone"])
        days = [at(e).astimezone(zone).date().isoformat() for e in events if e["type"] == "asset_published"]
        within = [d for d in days if (dates["starts_on"] or d) <= d <= (dates["ends_on"] or d)]
        return "outside_campaign_dates" if days and not within else None

    def contact_journey(self, contact):
        return [t for t in self.touches if self.owner(t) == contact]

    def properties(self, contact):
        result = {}
        for e in self.of("contact_created", "contact_updated"):
            if names(e["contact"])[0] in contact:
                result |= e.get("properties", {})
        return {k: v for k, v in result.items() if v is not None}

    def salesforce_of(self, contact):
        """{Salesforce campaign: (how the contact came in, the id of the event since which it is in it)}."""
        out = {}
        events = [e for e in self.events if "contact" in e and names(e["contact"])[0] in contact]
        for e in events:
            if e["type"] == "salesforce_campaign_joined":
                out.setdefault(e["salesforce_campaign_id"], (order(e), e["source"], e["id"]))
            elif e["type"] == "salesforce_campaign_left":
                out.pop(e["salesforce_campaign_id"], None)
        run = []
        for e in events:
            if e["type"] in ("contact_created", "contact_updated") and "salesforce_campaign_id" in e.get(
                "properties", {}
            ):
                value = e["properties"]["salesforce_campaign_id"]
                run = [*run, e] if run and run[0]["properties"]["salesforce_campaign_id"] == value else [e]
        if run and run[0]["properties"]["salesforce_campaign_id"]:
            value, named = run[0]["properties"]["salesforce_campaign_id"], (order(run[0]), "property", run[0]["id"])
            out[value] = min(out.get(value, named), named)
        return {campaign: (source, event_id) for campaign, (_, source, event_id) in out.items()}

    def salesforce(self, campaign):
        """The names of the contacts in a Salesforce campaign."""
        return sorted(self.name(c) for c in self.contacts if campaign in self.salesforce_of(c))

    def visit_brought_by(self, visit):
        """(source, medium, channel) of a page visit, of the few sources that the worlds know."""
        asked = query(visit["url"])
        if asked.get("utm_nooverride") == "1":
            return None, None, "direct"
        campaign, source, medium = (utm_field(visit, what) for what in ("campaign", "source", "medium"))
        answer = norm(asked.get("source"))
        session = self.session_of(visit)
        first = session is not None and session["new"] and session["touches"][0] is visit
        host = self.referring(visit, first=first) or ""
        paid = next((network for name, network in PAID_CLICKS.items() if asked.get(name)), None)
        marked = next((click for name, click in OTHER_CLICKS.items() if asked.get(name)), None)
        by_click = "paid_social" if SITES.get(paid) == "social" else "paid_search"
        if campaign or source or medium:
            network = paid or (marked and marked[0])
            channel = self.channel_of_utm(campaign, source, medium, answer, by_click if paid else None, network, host)
            return source or None, medium or None, channel
        if "click" in MEANS.get(answer, ()):
            return answer, None, "paid_search"
        if paid:
            return paid, "cpc", by_click
        if "email" in MEANS.get(answer, ()):
            return answer, None, "email"
        if marked:
            return *marked, {"social": "organic_social", "organic": "organic_search", "email": "email"}[marked[1]]
        if not host:
            return None, None, "direct"
        medium = {"search": "organic", "social": "social"}.get(SITES.get(host), "referral")
        return host, medium, {"organic": "organic_search", "social": "organic_social"}.get(medium, "referral")

    def channel_of_utm(self, campaign, source, medium, value, by_click, network, host):
        """HubSpot's rules in their order, and ours where it says "any other"."""
        means, source_means = MEANS.get(medium, set()), MEANS.get(source, set())
        kind = SITES.get(source)
        social = (
            kind == "social" or SITES.get(host) == "social" or (SITES.get(network) == "social" and kind != "search")
        )
        if means == {"social"} and social:
            return "organic_social"
        if "click" in MEANS.get(value, ()):
            return "paid_search"
        if by_click:
            return by_click
        if "paidsocial" in means | source_means or ({"paid", "click"} & means and (social or "social" in means)):
            return "paid_social"
        for words in (means, source_means | MEANS.get(value, set()) & {"email"}):
            if "click" in words:
                return "paid_search"
            if "email" in words:
                return "email"
        if "mail" in means or (not medium and "mail" in source_means):
            return "email"
        if {"paid", "price", "display", "ad"} & means:
            if social or "social" in means:
                return "paid_social"
            return "paid_search" if {"paid", "price"} & means else "other"
        if "social" in means:
            return "organic_social"
        if {"organic", "referral"} & means:
            return "organic_social" if kind == "social" else "organic_search" if "organic" in means else "referral"
        if host in ("google.com", "images.google.de"):
            return "paid_search"
        if "click" in MEANS.get(campaign, ()):
            return "paid_search"
        if "email" in MEANS.get(campaign, ()):
            return "email"
        if kind == "social":
            return "organic_social"
        return "organic_search" if kind == "search" and not medium else "other"

    def ad_channel(self, asset):
        result = {}
        for e in self.of("asset_registered"):
            if e["asset_id"] == asset:
                result |= {k: v for k, v in e.items() if k in ("asset_type", "network", "ad_type") and v}
        kind, network = result.get("ad_type", "").lower(), SITES.get(result.get("network", "").lower(), "unknown")
        if not kind and result.get("asset_type") == "paid_search":
            return "paid_search"
        if network == "social" or kind == "social":
            return "paid_social"
        if kind:
            return "paid_search" if kind in ("search", "shopping", "performance max") else "other"
        if not result.get("network"):
            return "paid_social"
        return "paid_search" if network == "search" else "other"

    def brought(self, touch):
        if touch["type"] == "page_visited":
            return self.visit_brought_by(touch)
        if touch["type"].startswith("email_"):
            return None, None, "email"
        if touch["type"].startswith("social_"):
            return None, None, "organic_social"
        if touch["type"].startswith("ad_"):
            return None, None, self.ad_channel(touch["asset_id"])
        session = self.session_of(touch) if self.counted(touch) else None
        pages = [t for t in (session or {"touches": []})["touches"] if t["type"] == "page_visited"]
        return self.visit_brought_by(pages[0]) if pages else (None, None, "offline")
