"""Random sets of events: few names, instants close together or equal, so that every rule is provoked.

Each world has a cast and a temper of its own: how many visitors, contacts, campaigns and assets it knows, and what happens
in it most. Wide casts alone would merge all contacts into one and spread sessions too thin to meet.
"""

import datetime as dt
import random
from typing import Any

VISITORS = ["v1", "v2", "v3"]
CONTACTS = [
    {"id": "7"}, {"id": "8"}, {"id": "9"}, {"email": "kari@example.no"}, {"email": " OLA@ours.example"},
    {"id": "7", "email": "kari@example.no"}, {"id": "8", "email": "ola@Ours.example "}, {"email": "kari@example.no "},
]  # fmt: skip
CAMPAIGNS = ["spring", "autumn", "brand"]
ASSETS = {
    "lp": "landing_page", "blog": "blog_post", "form": "form", "cta": "cta", "mail": "marketing_email",
    "post": "social_post", "post2": "social_post", "post3": "social_post", "search": "paid_search", "flow": "workflow", "list": "list", "tu": "tracking_url", "ad": "ad_campaign",
}  # fmt: skip
URLS = [
    "https://shop.example/lp",
    "http://www.shop.example/lp/",
    "https://shop.example/blog#x",
    "https://shop.example/",
]
UTM = ["Spring", "spring ", "AUTUMN", "brand", ""]
REFERRERS = [None, None, None, "https://google.com/", "https://www.shop.example/x", "https://news.example/",
             "https://m.facebook.com/"]  # fmt: skip
AGENTS = ["Mozilla/5.0 (X11; Linux x86_64) Firefox/130.0", "Googlebot/2.1", "curl/8.5.0", "OurMonitor/1.0",
          "Mozilla/5.0 (via ggpht.com GoogleImageProxy)"]  # fmt: skip
TOUCHES = (
    ["page_visited"] * 8 + ["form_submitted"] * 3 + ["cta_clicked"] * 2 + ["cta_viewed", "email_sent", "email_opened"]
    + ["email_clicked"] * 2 + ["social_clicked", "social_interacted", "ad_viewed", "ad_clicked", "asset_interacted"]
    + ["list_joined"] * 2 + ["workflow_enrolled", "email_delivered", "email_bounced", "email_unsubscribed"]
)  # fmt: skip
CATALOG = [
    *["asset_associated"] * 8, *["asset_dissociated"] * 2, *["campaign_created"] * 3, *["campaign_updated"] * 2,
    "campaign_deleted", "asset_published", "asset_unpublished", "spend_recorded", *["asset_registered"] * 4,
]  # fmt: skip
DOMAINS: list[dict[str, Any]] = [
    {"internal_domains": ["ours.example"]}, {"internal_domains": []}, {"internal_domains": ["@Example.no", "ours.example"]},
]  # fmt: skip
MACHINES: list[dict[str, Any]] = [
    {"machine_rules": {"crawlers": False}}, {"machine_rules": {"crawlers": True, "always": ["ourmonitor"]}},
    {"machine_rules": {"never": ["CURL"], "mail_prefetchers": False}}, {"machine_rules": {"always": [], "never": []}},
]  # fmt: skip
SETTINGS: list[dict[str, Any]] = [
    *DOMAINS, *MACHINES, {"session_gap_minutes": 31}, {"session_gap_minutes": 30}, {"currency": "NOK"},
    {"lookback_days": 1}, {"lookback_days": None}, {"time_zone": "Asia/Tokyo"},
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
        self.minutes = rng.choice([MINUTES, list(range(0, 200, 5)), [0, 30, 60, 90], [0, 30, 60, 90]])
        self.weights = rng.choice(
            [[10, 5, 3, 3], [20, 2, 2, 2], [10, 10, 1, 1], [10, 2, 6, 1], [10, 3, 2, 8], [20, 2, 2, 6], [30, 1, 3, 0]]
        )
        self.settings = rng.choice([0, 0, 0, 1, 2, 4])
        self.taken_back = rng.choice([0, 0, 1, 2, 4])
        self.talk, self.catalog, self.registered, self.size_max = SETTINGS, CATALOG, False, 1000
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
        elif mood < 0.36:  # who is a machine changes by settings
            self.agents, self.settings, self.talk = True, rng.choice([2, 4, 6]), MACHINES
            self.weights, self.utm, self.campaigns = [12, 4, 4, 1], 0.9, ["spring", "autumn"]
        elif mood < 0.46:  # CTAs, and what is told of them on a workflow, change hands with gaps between
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


def instant(rng: random.Random, cast: Cast) -> str:
    day = rng.randrange(cast.days)
    at = BASE + dt.timedelta(days=day, minutes=rng.choice(cast.minutes), microseconds=rng.choice([0, 0, 0, 0, -1, 1]))
    return at.isoformat().replace("+00:00", "Z")


def url(rng: random.Random, cast: Cast) -> str:
    parts = []
    if rng.random() < cast.utm:
        parts.append("utm_campaign=" + rng.choice(UTM).replace(" ", "+"))
    if rng.random() < 0.15:
        parts.append("UTM_Source=" + rng.choice(["x", "y", "google", "facebook", "linkedin"]))
    if rng.random() < 0.1:
        parts.append("utm_medium=" + rng.choice(["cpc", "email", "x"]))
    if rng.random() < 0.05:
        parts.append("gclid=1")
    if rng.random() < 0.1:
        parts.append("tl_via=" + rng.choice(["tu", "ad", *cast.assets]))
    base, _, fragment = rng.choice(cast.urls).partition("#")
    return base + ("?" + "&".join(parts) if parts else "") + ("#" + fragment if fragment else "")


def touch(rng: random.Random, cast: Cast) -> dict[str, Any]:
    type_ = rng.choice(cast.touches)
    event: dict[str, Any] = {"type": type_}
    if type_ == "page_visited":
        event |= {"visitor_id": rng.choice(cast.visitors), "url": url(rng, cast)}
        if (referrer := rng.choice(REFERRERS)) is not None:
            event["referrer"] = referrer
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
        event["asset_id"] = rng.choice(["form", "cta", "post", *cast.assets, *cast.assets])
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


def catalog(rng: random.Random, cast: Cast) -> dict[str, Any]:
    type_ = rng.choice(cast.catalog)
    campaign = {"campaign_id": rng.choice(cast.campaigns)}
    asset = rng.choice(cast.assets)
    if type_ in ("asset_associated", "asset_dissociated"):
        return {"type": type_, "asset_id": asset} | campaign
    if type_ in ("campaign_created", "campaign_updated"):
        event: dict[str, Any] = {"type": type_} | campaign
        if rng.random() < 0.6:
            event["utm_campaign"] = rng.choice(UTM)
        if rng.random() < cast.dated:
            event["starts_on"] = "2024-03-02"
        if rng.random() < cast.dated:
            event["ends_on"] = "2024-03-03"
        return event
    if type_ == "campaign_deleted":
        return {"type": type_} | campaign
    if type_ == "spend_recorded":
        return {"type": type_, "amount": "10.00", "currency": "EUR", "on": "2024-03-01"} | campaign
    if type_ == "asset_registered":
        told = {"type": type_, "asset_id": asset, "asset_type": ASSETS[asset]}
        if rng.random() < 0.1:
            told["asset_type"] = rng.choice(["site_page", "workflow", "form"])
        if rng.random() < 0.6:
            told["url"] = rng.choice(cast.urls)
        return told
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
    if type_ in ("deal_contact_associated", "deal_contact_dissociated"):
        event["contact"] = rng.choice(cast.contacts)
    if type_ in ("deal_created", "deal_updated", "deal_closed") and rng.random() < 0.7:
        event["amount"] = rng.choice(["100", "1000.01", "0.07", "0", "33.33"])
        if rng.random() < 0.5:
            event["currency"] = rng.choice(["EUR", "NOK"])
    if type_ == "deal_closed":
        event["won"] = rng.random() < 0.85
    return event


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
            told = {"type": "asset_registered", "asset_id": asset, "asset_type": ASSETS[asset]}
            events.append(told | {"id": f"a{n}", "occurred_at": "2024-03-01T11:00:00Z"})
    if cast.held:
        for n, asset in enumerate(cast.assets):
            told = {"type": "asset_associated", "asset_id": asset, "campaign_id": cast.campaigns[0]}
            events.append(told | {"id": f"h{n}", "occurred_at": "2024-03-01T11:00:00Z"})
    for n in range(min(size, cast.size_max)):
        make = rng.choices([touch, catalog, person, deal], cast.weights)[0]
        early = make is catalog and rng.random() < cast.early
        events.append(make(rng, cast) | {"id": f"e{n:02d}", "occurred_at": EARLY if early else instant(rng, cast)})
    if cast.held:
        events += [e | {"id": f"m{n}"} for n, e in enumerate(members(rng, cast))]
    elif rng.random() < 0.5:
        events += [e | {"id": f"s{n}"} for n, e in enumerate(won_deal(rng, cast))]
    for n in range(cast.settings):
        events.append(configured(rng, cast) | {"id": f"w{n}", "occurred_at": instant(rng, cast)})
    for n in range(cast.taken_back):
        target = rng.choice([*events, {"id": "unheard-of"}])["id"]
        events.append({"type": "event_retracted", "id": f"r{n}", "event_id": target, "occurred_at": instant(rng, cast)})
    if rng.random() < 0.15 and size > 1:
        rival = dict(rng.choice(events))
        if rival["type"] in ("page_visited", "form_submitted"):
            rival["url"] = url(rng, cast)
            rival["occurred_at"] = instant(rng, cast)
            events.append(rival)
    return events
