"""Random sets of events: few names, instants close together or equal, so that every rule is provoked.

Each world has a cast and a temper of its own: how many visitors, contacts, campaigns and assets it knows, and what happens
in it most. Wide casts alone would merge all contacts into one and spread sessions too thin to meet.
"""

import datetime as dt
import random
from typing import Any
from urllib.parse import quote_plus

from hypothesis import HealthCheck, Phase, settings

VISITORS = ["v1", "v2", "v3"]
CONTACTS = [
    {"id": "7"}, {"id": "8"}, {"id": "9"}, {"email": "kari@example.no"}, {"email": " OLA@ours.example"},
    {"id": "7", "email": "kari@example.no"}, {"id": "8", "email": "ola@Ours.example "}, {"email": "kari@example.no "},
    {"email": "mailto:Kari@example.no?subject=x"}, {"id": "9", "email": "<kari@exam\u200bple.no>"},
]  # fmt: skip
CAMPAIGNS = ["spring", "autumn", "brand"]
ASSETS = {
    "lp": "landing_page", "blog": "blog_post", "form": "form", "cta": "cta", "mail": "marketing_email",
    "help": "knowledge_article", "post": "social_post", "post2": "social_post", "post3": "social_post", "search": "paid_search", "flow": "workflow", "list": "list", "tu": "tracking_url", "ad": "ad_campaign",
}  # fmt: skip
URLS = [
    "https://shop.example/lp",
    "http://www.shop.example/lp/",
    "https://shop.example/blog#x",
    "https://shop.example/",
]
ODD_URLS = [
    "https://shop.example/tilbud/blåbær", "https://shop.example./tilbud/./bl%C3%A5b%c3%a6r/", "http://SHOP.example:443/tilbud/bla\u030ab%C3%A6r",
    "https://shop.example/%6Cp", "https://shop.example/x/%2e%2e//lp", "https://bücher.example/a%2fb", "https://xn--bcher-kva.example/a%2Fb",
    "https://shop.example/?p=1", "https://shop.example/?p=2", "https://shop.example/?q=x&P=1", "https://shop.example/#/one", "https://shop.example/#!/one/",
    "https://shop.example/#/two", "https://shop.example/?p=1#/one", "https://kari.github.io/", "https://shop.example:port/lp",
]  # fmt: skip
UTM = ["Spring", "spring ", "AUTUMN", "brand", ""]
CODED_UTM = [
    "Spring Sale",
    "spring+sale",
    "spring%20sale",
    "c++",
    "c",
    "blå%C3%A5",
    "BLÅÅ",
]  # some read as others, decoded
SOURCES = [
    "x",
    "y",
    "google",
    "facebook",
    "linkedin",
    "fb",
    "meta",
    "Facebook_Ads",
    "hs_email",
    "newsletter",
    "ppc",
    "paidsocial",
]
MEDIUMS = ["cpc", "email", "z", "ppc_social", "Social-Paid", "paid_ad", "premiumcpc", "unpaid", "prepaid", "display", "CPM",
           "campaign-email", "newsletter", "mailing+list", "social", "organic", "referral"]  # fmt: skip
CLICKS = ["gclid=1", "fbclid=1", "msclkid=1", "li_fat_id=1", "srsltid=1", "mc_eid=1", "gclid=", "source=ppc", "source=hs_email",
          "source=home"]  # fmt: skip
REFERRERS = [None, None, None, None, "https://google.com/", "https://images.google.de/", "https://www.shop.example/x",
             "https://news.example/", "https://m.facebook.com/", "https://accounts.google.com/", "https://login.live.com/",
             "https://mail.google.com/"]  # fmt: skip
ODD_REFERRERS = [
    "null", "$direct", "-", "(direct)", "about:blank", "file:///C:/x.html", "news.example", "http://localhost/", "https://intranet/",
    "https://News.example.:443/y", "https://blog.shop.example/", "https://pay.news.example/", "https://www.paypal.com/checkout",
    "https://checkout.stripe.com/c/pay", "https://acs.bank.example/3ds", "https://login.microsoftonline.com/common", "https://sso.news.example/",
    "android-app://com.slack/", "https://bücher.example/", "https://xn--bcher-kva.example/", "https://ola.github.io/", "https://kari.github.io/x",
    "https://shop-example.translate.goog/lp?_x_tr_sl=no", "https://shop-example.cdn.ampproject.org/c/s/shop.example/lp",
]  # fmt: skip
ADS = [{}, {"network": "google"}, {"network": "Facebook"}, {"network": "taboola"}, {"ad_type": "search"}, {"ad_type": "display"},
       {"network": "google", "ad_type": "Search"}, {"network": "google", "ad_type": "display"},
       {"network": "meta", "ad_type": "video"}, {"ad_type": "social"}, {"ad_type": "Performance Max"}]  # fmt: skip
AGENTS = ["Mozilla/5.0 (X11; Linux x86_64) Firefox/130.0", "Googlebot/2.1", "curl/8.5.0", "OurMonitor/1.0",
          "Mozilla/5.0 (via ggpht.com GoogleImageProxy)", "Barracuda Sentinel (EE)"]  # fmt: skip
TOUCHES = (
    ["page_visited"] * 8 + ["form_submitted"] * 3 + ["cta_clicked"] * 2 + ["cta_viewed", "email_sent", "email_opened"]
    + ["email_clicked"] * 2 + ["social_clicked", "social_interacted", "ad_viewed", "ad_clicked", "asset_interacted"]
    + ["list_joined"] * 2 + ["workflow_enrolled", "email_delivered", "email_bounced", "email_unsubscribed"]
)  # fmt: skip
CATALOG = [
    *["asset_associated"] * 8, *["asset_dissociated"] * 2, *["campaign_created"] * 3, *["campaign_updated"] * 2,
    "campaign_deleted", "asset_published", "asset_unpublished", "spend_recorded", "budget_recorded", *["asset_registered"] * 4,
]  # fmt: skip
DOMAINS: list[dict[str, Any]] = [
    {"internal_domains": ["ours.example"]}, {"internal_domains": []}, {"internal_domains": ["@Example.no", "ours.example"]},
]  # fmt: skip
MACHINES: list[dict[str, Any]] = [
    {"machine_rules": {"crawlers": False}}, {"machine_rules": {"crawlers": True, "always": ["ourmonitor"]}},
    {"machine_rules": {"mail_scanners": False}}, {"machine_rules": {"mail_scanners": True}},
    {"machine_rules": {"never": ["CURL"], "mail_prefetchers": False}}, {"machine_rules": {"always": [], "never": []}},
]  # fmt: skip
READINGS: list[dict[str, Any]] = [
    {"own_hosts": ["News.example", "bücher.example"]}, {"own_hosts": []}, {"ignored_referrers": ["*.google.com", "ola.github.io"]},
    {"ignored_referrers": []}, {"page_parameters": ["p"]}, {"page_parameters": ["q", "P"]}, {"page_parameters": []},
    {"page_fragments": True}, {"page_fragments": False},
]  # fmt: skip
SETTINGS: list[dict[str, Any]] = [
    *DOMAINS, *MACHINES, *READINGS, {"session_gap_minutes": 31}, {"session_gap_minutes": 30}, {"currency": "NOK"},
    {"lookback_days": 1}, {"lookback_days": None}, {"time_zone": "Asia/Tokyo"},
    {"producers": {"segment": {"events": {"Odd One": [], "Order Completed": None}}}},
]  # fmt: skip
SOCIAL_POSTS_MAX = 2  # of the worlds: the limit must be reached
MINUTES = [0, 0, 1, 10, 29, 30, 31, 60, 90]
EARLY = "2024-03-01T11:30:00Z"
BASE = dt.datetime(2024, 3, 1, 12, tzinfo=dt.UTC)


class Cast:
    """Who and what a world knows."""

    def __init__(self, rng: random.Random, days: int) -> None:
        self.visitors = rng.sample(VISITORS, rng.randint(1, 3))
        self.contacts = rng.sample(CONTACTS, rng.choice([1, 2, 2, 3, 4, len(CONTACTS)]))
        self.campaigns = rng.sample(CAMPAIGNS, rng.randint(1, 3))
        self.assets = rng.sample(list(ASSETS), rng.choice([1, 2, 3, 5, len(ASSETS)]))
        self.urls = rng.sample(URLS, rng.choice([1, 2, 4]))
        self.deals = rng.choice([["d1"], ["d1", "d2"]])
        self.days = rng.choice([1, 1, 2, 3, days])
        self.early = rng.choice([0, 0.5, 0.9])  # catalog events before all touches
        self.agents = rng.random() < 0.4
        self.utm = rng.choice([0.1, 0.5, 0.9])
        self.values, self.referrers = UTM, REFERRERS
        self.minutes = rng.choice([MINUTES, list(range(0, 200, 5)), [0, 30, 60, 90], [0, 30, 60, 90]])
        self.weights = rng.choice(
            [[10, 5, 3, 3], [20, 2, 2, 2], [10, 10, 1, 1], [10, 2, 6, 1], [10, 3, 2, 8], [20, 2, 2, 6], [30, 1, 3, 0]]
        )
        self.settings = rng.choice([0, 0, 0, 1, 2, 4])
        self.taken_back = rng.choice([0, 0, 1, 2, 4])
        self.talk, self.catalog, self.registered, self.size_max = SETTINGS, CATALOG, False, 1000
        self.mailings = rng.choice([0, 0, 0, 1, 2])
        self.touches, self.members, self.salesforce, self.via, self.dated = TOUCHES, 3, 1, 0.1, 0.2
        self.held = False  # whether the first campaign holds all assets before all else
        mood = rng.random()
        if mood < 0.12:  # the limit is met, and met again, while associations are taken back
            self.assets, self.campaigns = ["post", "post2", "post3"], rng.sample(CAMPAIGNS, rng.choice([1, 1, 2]))
            self.weights, self.taken_back, self.size_max = [1, 20, 1, 0], rng.choice([1, 2, 4]), 14
            self.catalog, self.registered = ["asset_associated"] * 8 + CATALOG, True
        elif mood < 0.24:  # who is staff changes by links, merges and settings
            self.contacts = [
                {"id": "7"},
                {"id": "8"},
                {"email": "ola@ours.example"},
                {"id": "8", "email": "ola@ours.example"},
            ]
            self.weights, self.settings, self.talk = [10, 4, 8, 2], rng.choice([1, 2, 4]), DOMAINS
            self.utm, self.campaigns, self.taken_back = 0.9, ["spring", "autumn"], rng.choice([0, 2, 4])
        elif mood > 0.7:  # addresses, values and referrers as people write them, read anew by settings
            self.urls = rng.sample([*URLS, *ODD_URLS], rng.choice([2, 3, 5, 8]))
            self.values, self.referrers = [*UTM, *rng.sample(CODED_UTM, 4)], [*REFERRERS, *ODD_REFERRERS]
            self.settings, self.talk = rng.choice([0, 1, 2, 4]), READINGS
            if rng.random() < 0.5:  # links of campaigns that a visit does not name
                self.assets, self.utm = ["tu", "search", "lp"], 0.9
                self.urls, self.values = self.urls[:2], self.values[:1] + self.values[-2:]
        elif mood < 0.36:  # mail scanners come and go: by late and retracted events, merges, settings
            self.mailings, self.settings, self.talk = rng.choice([1, 2, 3]), rng.choice([0, 1, 3]), MACHINES
            self.weights, self.campaigns, self.taken_back = [2, 4, 6, 3], ["spring"], rng.choice([0, 2, 6, 10])
            self.agents, self.size_max = True, 25
        elif mood < 0.42:  # who is a machine changes by settings
            self.agents, self.settings, self.talk = True, rng.choice([2, 4, 6]), MACHINES
            self.weights, self.utm, self.campaigns = [12, 4, 4, 1], 0.9, ["spring", "autumn"]
        elif mood < 0.48:  # CTAs, and associations with a workflow, change context with gaps between
            self.assets, self.campaigns = rng.sample(["cta", "flow", "form"], rng.choice([1, 2, 3])), CAMPAIGNS
            self.touches, self.weights, self.early = ["cta_clicked", "cta_viewed", "page_visited"], [10, 12, 1, 0], 0
            self.catalog = ["asset_associated"] * 5 + ["asset_dissociated"] * 5 + CATALOG
            self.registered = True
        elif mood < 0.56:  # contacts join and leave deals, before and after the close
            self.campaigns = rng.sample(CAMPAIGNS, rng.choice([1, 2]))
            self.assets, self.early = ["mail", "list", "flow"], 0.9
            self.contacts, self.members, self.days = CONTACTS[:4], 12, 1
            self.touches, self.size_max = (
                ["email_clicked"] * 2 + ["email_opened", "list_joined", "workflow_enrolled"],
                20,
            )
            self.weights, self.taken_back, self.held = [3, 1, 0, 1], rng.choice([0, 1, 2]), True
        elif (
            mood < 0.66
        ):  # assets are published again and again, tracking URLs and paid search visited before campaigns
            self.assets, self.campaigns = ["tu", "search", "post", "blog"], rng.sample(CAMPAIGNS, rng.choice([1, 2]))
            self.touches, self.weights, self.early = ["page_visited"], [5, 16, 1, 0], 0
            self.catalog = ["asset_published"] * 6 + ["asset_unpublished"] * 3 + ["asset_associated"] * 4 + CATALOG
            self.registered, self.days, self.via = True, rng.choice([2, 4]), rng.choice([0.2, 0.6])
            self.dated = 0.7
        elif mood < 0.72:  # contacts come into Salesforce campaigns, leave them and come again
            self.weights, self.salesforce, self.taken_back = [2, 1, 20, 0], 6, rng.choice([0, 1, 2])


def random_worlds(examples: int, *, shrink: bool = True) -> settings:
    """How a suite of so many worlds runs: without a time limit on each. A failure is printed with what repeats it.

    `shrink`: a smaller world that fails is searched for; no, where each world takes long.
    """
    return settings(
        max_examples=examples, deadline=None, print_blob=True, database=None, suppress_health_check=list(HealthCheck),
        phases=[Phase.explicit, Phase.generate, *([Phase.shrink] if shrink else [])],
    )  # fmt: skip


def instant(rng: random.Random, cast: Cast) -> str:
    day = rng.randrange(cast.days)
    at = BASE + dt.timedelta(days=day, minutes=rng.choice(cast.minutes), microseconds=rng.choice([0, 0, 0, 0, -1, 1]))
    return at.isoformat().replace("+00:00", "Z")


def written(rng: random.Random, value: str) -> str:
    """A value as a link carries it: encoded, now and then once more."""
    encoded = quote_plus(value)
    return quote_plus(encoded) if rng.random() < 0.2 else encoded


def url(rng: random.Random, cast: Cast) -> str:
    parts, odd = [], cast.referrers is not REFERRERS
    if rng.random() < cast.utm:
        names = ["utm_campaign"] * 4
        if odd:
            names += [
                "mtm_campaign",
                "gad_campaignid",
                "utm_campaign[]",
                "utm_campaign%5B0%5D",
                "amp;utm_campaign",
                "UTM_CAMPAIGN=&utm_campaign",
            ]
        parts.append(rng.choice(names) + "=" + written(rng, rng.choice(cast.values)))
    if rng.random() < 0.15:
        parts.append("UTM_Source=" + rng.choice(SOURCES))
    if rng.random() < 0.15:
        parts.append("utm_medium=" + rng.choice(MEDIUMS))
    if rng.random() < 0.1:
        parts += rng.sample(CLICKS, rng.choice([1, 1, 2]))
    if odd and rng.random() < 0.1:
        parts.append(rng.choice(["utm_term=shoes", "utm_content=Top", "utm_nooverride=1"]))
    if rng.random() < 0.1:
        parts.append("tl_via=" + rng.choice(["tu", "ad", *cast.assets]))
    base, _, fragment = rng.choice(cast.urls).partition("#")
    query = (rng.choice(["&", "&", ";"]) if odd else "&").join(parts)
    if odd and query and rng.random() < 0.3:
        return base + "#" + fragment + ("?" if fragment or rng.random() < 0.5 else "") + query
    if odd and query and "?" not in base and rng.random() < 0.1 and query.startswith(("utm_", "UTM_")):
        return base + "&" + query + ("#" + fragment if fragment else "")
    mark = "&" if "?" in base else "?"
    return base + (mark + query if query else "") + ("#" + fragment if fragment else "")


def touch(rng: random.Random, cast: Cast) -> dict[str, Any]:
    type_ = rng.choice(cast.touches)
    event: dict[str, Any] = {"type": type_}
    if type_ == "page_visited":
        event |= {"visitor_id": rng.choice(cast.visitors), "url": url(rng, cast)}
        if rng.random() < 0.08:  # no consent: of nobody, unless it names a contact below
            del event["visitor_id"]
        if (referrer := rng.choice(cast.referrers)) is not None:
            event["referrer"] = referrer
        if cast.referrers is not REFERRERS and rng.random() < 0.15:
            event["utm_campaign"] = rng.choice(cast.values)
            event["utm_source"] = rng.choice(["", "X", "google"])
        if rng.random() < 0.1:
            event["asset_id"] = rng.choice(cast.assets)
        if rng.random() < cast.via:
            event["via_asset_id"] = rng.choice(["tu", *cast.assets])
        if rng.random() < 0.1:
            event["contact"] = rng.choice(cast.contacts)
    elif type_.startswith("email_") or type_ in ("list_joined", "workflow_enrolled"):
        event |= {"asset_id": rng.choice(["mail", "list", "flow", *cast.assets]), "contact": rng.choice(cast.contacts)}
        if type_ == "list_joined":
            event["list_type"] = rng.choice(["static", "static", "active"])
    else:
        event["asset_id"] = rng.choice(["form", "cta", "post", "ad", *cast.assets, *cast.assets])
        if rng.random() < 0.7:
            event["visitor_id"] = rng.choice(cast.visitors)
        if rng.random() < 0.3:
            event["contact"] = rng.choice(cast.contacts)
        if type_ in ("social_clicked", "social_interacted", "ad_viewed", "ad_clicked") and rng.random() < 0.5:
            event["count"] = rng.randint(1, 5)
        if type_ == "asset_interacted":
            event["kind"] = "meeting_booked"
        if type_ in ("form_submitted", "cta_clicked") and rng.random() < 0.5:
            event["url"] = url(rng, cast)
    if (
        cast.agents
        and (type_ in ("email_opened", "email_clicked") or not type_.startswith(("email_", "list_", "workflow_")))
        and rng.random() < 0.5
    ):
        event["user_agent"] = rng.choice(AGENTS)
    if rng.random() < 0.06:
        event[rng.choice(["machine", "internal"])] = True
    return event


GOALS: dict[tuple[str, str], dict[str, str]] = {
    ("kari", "campaign_created"): {"influenced_contacts": "20", "attributed_revenue": "1000.50"},
    ("kari", "campaign_updated"): {"sessions": "300"}, ("ola", "campaign_created"): {"influenced_revenue": "7"},
    ("ola", "campaign_updated"): {},
}  # fmt: skip


def catalog(rng: random.Random, cast: Cast) -> dict[str, Any]:
    type_ = rng.choice(cast.catalog)
    campaign = {"campaign_id": rng.choice(cast.campaigns)}
    asset = rng.choice(cast.assets)
    if type_ in ("asset_associated", "asset_dissociated"):
        return {"type": type_, "asset_id": asset} | campaign
    if type_ in ("campaign_created", "campaign_updated"):
        event: dict[str, Any] = {"type": type_} | campaign
        if rng.random() < 0.6:
            event["utm_campaign"] = rng.choice(cast.values)
        if rng.random() < 0.3:
            event["owner"] = rng.choice(["kari", "ola"])
            event["goals"] = GOALS[event["owner"], type_]
        if rng.random() < cast.dated:
            event["starts_on"] = "2024-03-02"
        if rng.random() < cast.dated:
            event["ends_on"] = "2024-03-03"
        return event
    if type_ == "campaign_deleted":
        return {"type": type_} | campaign
    if type_ == "spend_recorded":
        return {"type": type_, "amount": "10.00", "currency": "EUR", "on": "2024-03-01"} | campaign
    if type_ == "budget_recorded":
        return {
            "type": type_,
            "amount": rng.choice(["10.00", "2.5"]),
            "currency": rng.choice(["EUR", "NOK"]),
        } | campaign
    if type_ == "asset_registered":
        registration = {"type": type_, "asset_id": asset, "asset_type": ASSETS[asset]}
        if rng.random() < 0.1:
            registration["asset_type"] = rng.choice(["site_page", "workflow", "form", "external_page", "tracking_url"])
        if rng.random() < 0.5:
            registration |= rng.choice(ADS)
        if rng.random() < 0.6:
            registration["url"] = rng.choice(cast.urls)
        if asset in ("tu", "search") and rng.random() < 0.8:
            registration["target_url"] = url(rng, cast)
        return registration
    return {"type": type_, "asset_id": asset}


def person(rng: random.Random, cast: Cast) -> dict[str, Any]:
    type_ = rng.choice(
        ["contact_identified"] * 5 + ["contact_created", "contact_updated", "contact_merged", "contact_merged"]
        + ["list_left"] + ["salesforce_campaign_joined", "salesforce_campaign_left"] * cast.salesforce
    )  # fmt: skip
    event: dict[str, Any] = {"type": type_, "contact": rng.choice(cast.contacts)}
    if type_ == "contact_identified":
        event["visitor_id"] = rng.choice(cast.visitors)
    elif type_ == "contact_merged":
        event["into"] = rng.choice(cast.contacts)
    elif type_ == "list_left":
        event |= {"asset_id": "list", "list_type": "static"}
    elif type_ == "salesforce_campaign_joined":
        event |= {"salesforce_campaign_id": rng.choice(["701", "702"])}
        event["source"] = rng.choice(["sync", "form", "workflow"])
    elif type_ == "salesforce_campaign_left":
        event |= {"salesforce_campaign_id": rng.choice(["701", "702"])}
    elif rng.random() < 0.5:
        event["properties"] = rng.choice(
            [{"city": "Oslo"}, {"salesforce_campaign_id": "701"}, {"salesforce_campaign_id": None, "city": "Bergen"}]
        )
    return event


def deal(rng: random.Random, cast: Cast) -> dict[str, Any]:
    type_ = rng.choice(
        ["deal_created"] * 3 + ["deal_updated"] + ["deal_contact_associated"] * cast.members
        + ["deal_contact_dissociated"] * (1 + cast.members // 4) + ["deal_closed"] * 4
        + ["deal_reopened"] + ["deal_deleted"] * (cast.members < 6)
    )  # fmt: skip
    event: dict[str, Any] = {"type": type_, "deal_id": rng.choice(cast.deals)}
    if type_ in ("deal_created", "deal_updated"):
        event["contacts"] = rng.sample(cast.contacts, min(len(cast.contacts), rng.choice([0, 1, 1, 2])))
        if rng.random() < 0.2:
            closed_at = BASE + dt.timedelta(days=rng.randint(-1, cast.days + 1), minutes=rng.choice(cast.minutes))
            event["closed_at"] = closed_at.isoformat()
    if type_ in ("deal_contact_associated", "deal_contact_dissociated"):
        event["contact"] = rng.choice(cast.contacts)
    if type_ in ("deal_created", "deal_updated", "deal_closed") and rng.random() < 0.7:
        event["amount"] = rng.choice(["100", "1000.01", "0.07", "0", "33.33", "-100", "-1000.01", "0.01"])
        if rng.random() < 0.5:
            event["currency"] = rng.choice(["EUR", "NOK"])
        elif rng.random() < 0.1:
            event["amount"] = "7.125"  # which no currency here can express; only the deal's own says which it is
    if type_ == "deal_closed":
        event["won"] = rng.random() < 0.85
    return event


OWN_MODELS: list[dict[str, Any]] = [
    {"model": "board", "weights": {"first": "25", "deal_creation": "50", "others": "25"}},
    {"model": "board", "weights": {"first": "1", "last": "3", "lead_creation": "2"}, "lookback_days": 1},
    {"model": "fading", "weights": {"others": "100"}, "half_life_days": 2},
    {"model": "fading", "weights": {"first": "12.5", "others": "80"}, "half_life_days": 1, "lookback_days": 30},
    {"model": "linear", "weights": {"first": "100"}},  # the name of a published model, which cannot be taken
]


def configured(rng: random.Random, cast: Cast) -> dict[str, Any]:
    """Settings that change what every rule makes of the history."""
    return {"type": "workspace_configured", "settings": rng.choice(cast.talk)}


def won_deal(rng: random.Random, cast: Cast) -> list[dict[str, Any]]:
    """A deal that a contact wins after most touches, so that a touch that comes late changes what it earned."""
    end = BASE + dt.timedelta(days=cast.days - rng.choice([0, 1]), minutes=rng.choice(cast.minutes))
    contact = rng.choice(cast.contacts)
    deal_id = rng.choice(cast.deals)
    return [
        {"type": "deal_created", "deal_id": deal_id, "amount": "1000.01", "contacts": [contact],
         "occurred_at": "2024-03-01T11:00:00Z"},
        {"type": "deal_closed", "deal_id": deal_id, "won": True, "occurred_at": end.isoformat()},
    ]  # fmt: skip


EXPORTS = [f"2024-06-0{day}T12:00:00{zone}" for day in (1, 2, 3) for zone in ("Z", "+02:00")]


def other_versions(rng: random.Random, cast: Cast, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Other versions of events of a world: of the same or other content, or of what was sent before, as of several exports.

    Some say no instant, so that they occurred at their `as_of`; some say no `as_of`, so that any other version is newer.
    """
    out: list[dict[str, Any]] = []
    for event in rng.sample(events, min(len(events), rng.choice([1, 2, 4, 8]))):
        versions, timeless = [event], rng.random() < 0.25
        for _ in range(rng.choice([1, 1, 2, 3])):
            make = rng.choices([touch, catalog, person, deal], cast.weights)[0]
            other = make(rng, cast) if rng.random() < 0.6 else {**event, "occurred_at": instant(rng, cast)}
            if rng.random() < 0.1:
                other = {"type": "event_retracted", "event_id": rng.choice(events)["id"]}
            versions.append({"occurred_at": instant(rng, cast), **other, "id": event["id"]})
        for _ in range(rng.choice([1, 2, 3, 5])):
            again = dict(rng.choice(versions))
            if timeless or rng.random() < 0.9:
                again["as_of"] = rng.choice(EXPORTS)
                if timeless or rng.random() < 0.1:
                    del again["occurred_at"]
            out.append(again)
    return out


def mailing(rng: random.Random, cast: Cast) -> list[dict[str, Any]]:
    """A mail that comes and is clicked on within seconds, by a scanner or a person: some of its events, at hard instants."""
    began = BASE + dt.timedelta(minutes=rng.choice(cast.minutes))
    asset, contacts = rng.choice(["mail", *cast.assets]), rng.sample(cast.contacts, min(2, len(cast.contacts)))
    seconds = rng.choice([[0, 1, 2], [0, 5, 10, 10.000001], [0, 10, 20, 30], [0, 50, 60, 60.000001, 70]])

    def event(type_: str, after_s: float, **fields: Any) -> dict[str, Any]:
        at = began + dt.timedelta(seconds=after_s)
        who = rng.choice(contacts) if rng.random() < 0.3 else contacts[0]
        return {"type": type_, "asset_id": asset, "contact": who, "occurred_at": at.isoformat()} | fields

    out = [
        event(rng.choice(["email_sent", "email_delivered"]), rng.choice([0, 0, 0, -1, 1, *seconds]))
        for _ in range(rng.choice([0, 1, 1, 2]))
    ]
    for _ in range(rng.choice([0, 0, 1])):
        out.append(event("email_opened", rng.choice([-1, *seconds, *seconds, 5])))
        if rng.random() < 0.4:
            out[-1]["user_agent"] = rng.choice(AGENTS)
        if rng.random() < 0.1:
            out[-1]["machine"] = True
    for _ in range(rng.choice([2, 3, 3, 4, 4, 5, 8])):
        out.append(event("email_clicked", rng.choice(seconds)))
        if rng.random() < 0.95:
            out[-1]["url"] = f"https://shop.example/{rng.randint(1, 5)}"
    return out


def members(rng: random.Random, cast: Cast) -> list[dict[str, Any]]:
    """A closed deal with a contact that stays, one that leaves and one that joins, each near the close or away from it."""
    staying, leaving, joining = rng.sample(cast.contacts, 3)
    deal_id, close = rng.choice(cast.deals), BASE + dt.timedelta(minutes=rng.choice([10, 30, 60]))

    def about(event: dict[str, Any], *minutes: int) -> dict[str, Any]:
        instant = close + dt.timedelta(minutes=rng.choice(minutes))
        return {"deal_id": deal_id} | event | {"occurred_at": instant.isoformat().replace("+00:00", "Z")}

    events = [
        about({"type": "deal_created", "contacts": rng.choice([[staying, leaving], [leaving], [staying]])}, -60),
        about({"type": "deal_contact_dissociated", "contact": leaving}, -30, -10, 0, 10),
        about({"type": "deal_contact_associated", "contact": joining}, -10, 0, 10, 30),
        about({"type": "deal_closed", "won": rng.random() < 0.9}, 0),
    ]
    for contact in rng.sample([staying, leaving, joining], rng.choice([1, 1, 2])):
        touched = {"type": "email_clicked", "asset_id": "mail", "contact": contact}
        events.append({k: v for k, v in about(touched, -30, -10, -1, 0, 10).items() if k != "deal_id"})
    return rng.sample(events, rng.choice([len(events), len(events), len(events) - 1]))


def world(rng: random.Random, size: int, days: int = 400) -> list[dict[str, Any]]:
    """A set of events as sent; ids collide now and then, and retractions name events of the set."""
    cast = Cast(rng, days)
    events: list[dict[str, Any]] = []
    if cast.registered:
        for n, asset in enumerate(cast.assets):
            event = {"type": "asset_registered", "asset_id": asset, "asset_type": ASSETS[asset]}
            events.append(event | {"id": f"a{n}", "occurred_at": "2024-03-01T11:00:00Z"})
    if cast.held:
        for n, asset in enumerate(cast.assets):
            event = {"type": "asset_associated", "asset_id": asset, "campaign_id": cast.campaigns[0]}
            events.append(event | {"id": f"h{n}", "occurred_at": "2024-03-01T11:00:00Z"})
    for n in range(min(size, cast.size_max)):
        make = rng.choices([touch, catalog, person, deal], cast.weights)[0]
        early = make is catalog and rng.random() < cast.early
        events.append(make(rng, cast) | {"id": f"e{n:02d}", "occurred_at": EARLY if early else instant(rng, cast)})
    if cast.held:
        events += [e | {"id": f"m{n}"} for n, e in enumerate(members(rng, cast))]
    elif rng.random() < 0.5:
        events += [e | {"id": f"s{n}"} for n, e in enumerate(won_deal(rng, cast))]
    for m in range(cast.mailings):
        events += [e | {"id": f"m{m}{n}"} for n, e in enumerate(mailing(rng, cast))]
    for n in range(cast.settings):
        events.append(configured(rng, cast) | {"id": f"w{n}", "occurred_at": instant(rng, cast)})
    for n in range(rng.choice([0, 0, 1, 3])):
        events.append(
            rng.choice(OWN_MODELS) | {"id": f"o{n}", "type": "model_defined", "occurred_at": instant(rng, cast)}
        )
    for n in range(cast.taken_back):
        target = rng.choice([*events, {"id": "unheard-of"}])["id"]
        events.append({"type": "event_retracted", "id": f"r{n}", "event_id": target, "occurred_at": instant(rng, cast)})
    if rng.random() < 0.15 and size > 1:
        rival = dict(rng.choice(events))
        if rival["type"] in ("page_visited", "form_submitted"):
            rival["url"] = url(rng, cast)
            rival["occurred_at"] = instant(rng, cast)
            events.append(rival)
    if rng.random() < 0.35:
        events += other_versions(rng, cast, events)
    return events


def received_with_forgetting(rng: random.Random, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The events of a world in an order of receipt, some twice, with requests between them to forget contacts. The last contact that is
    forgotten is told again after that.
    """
    received = events + [event for event in events if rng.random() < 0.1]
    rng.shuffle(received)
    named = [event["contact"] for event in events if "contact" in event] or CONTACTS
    for n in range(rng.choice([1, 1, 2, 4])):
        contact = rng.choice(rng.choice([named, named, CONTACTS]))
        request = {"type": "contact_forgotten", "id": f"f{n}", "contact": contact}
        request["occurred_at"] = rng.choice([EARLY, BASE.isoformat(), "2025-06-01T00:00:00Z"])
        place = rng.randint(0, len(received))
        received.insert(place, request)
    told = {"type": "contact_created", "id": "again", "contact": contact, "occurred_at": "2025-06-02T00:00:00Z"}
    received.insert(rng.randint(place + 1, len(received)), told)
    return received
