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
    type_ = rng.choice(
        ["page_visited"] * 8 + ["form_submitted"] * 3 + ["cta_clicked"] * 2 + ["cta_viewed", "email_sent", "email_opened"]
        + ["email_clicked"] * 2 + ["social_clicked", "social_interacted", "ad_viewed", "ad_clicked", "asset_interacted"]
        + ["list_joined"] * 2 + ["workflow_enrolled", "email_delivered", "email_bounced", "email_unsubscribed"]
    )  # fmt: skip
    event: dict[str, Any] = {"type": type_}
    if type_ == "page_visited":
        event |= {"visitor_id": rng.choice(cast.visitors), "url": url(rng, cast)}
        if (referrer := rng.choice(REFERRERS)) is not None:
            event["referrer"] = referrer
        if rng.random() < 0.1:
            event["asset_id"] = rng.choice(cast.assets)
        if rng.random() < 0.1:
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
        if rng.random() < 0.2:
            event["starts_on"] = "2024-03-02"
        if rng.random() < 0.2:
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
        + ["list_left", "salesforce_campaign_joined"]
    )  # fmt: skip
    event: dict[str, Any] = {"type": type_, "contact": rng.choice(cast.contacts)}
    if type_ == "contact_identified":
        event["visitor_id"] = rng.choice(cast.visitors)
    elif type_ == "contact_merged":
        event["into"] = rng.choice(cast.contacts)
    elif type_ == "list_left":
        event |= {"asset_id": "list", "list_type": "static"}
    elif type_ == "salesforce_campaign_joined":
        event |= {"salesforce_campaign_id": rng.choice(["701", "702"]), "source": "sync"}
    elif rng.random() < 0.5:
        event["properties"] = rng.choice(
            [{"city": "Oslo"}, {"salesforce_campaign_id": "701"}, {"salesforce_campaign_id": None, "city": "Bergen"}]
        )
    return event


def deal(rng: random.Random, cast: Cast) -> dict[str, Any]:
    type_ = rng.choice(
        ["deal_created"] * 3 + ["deal_updated"] + ["deal_contact_associated"] * 3 + ["deal_contact_dissociated"]
        + ["deal_closed"] * 4 + ["deal_reopened", "deal_deleted"]
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
        elif rng.random() < 0.1:
            event["amount"] = "7.125"  # which no currency here can express; only the deal's own says which it is
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


EXPORTS = [f"2024-06-0{day}T12:00:00{zone}" for day in (1, 2, 3) for zone in ("Z", "+02:00")]


def told_again(rng: random.Random, cast: Cast, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Other tellings of events of a world: of the same or other content, or of what was told before, as of several exports.

    Some say no instant, so that they occurred at their `as_of`; some say no `as_of`, so that any other telling is newer.
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


def world(rng: random.Random, size: int, days: int = 400) -> list[dict[str, Any]]:
    """A set of events as sent; ids collide now and then, and retractions name events of the set."""
    cast = Cast(rng, days)
    events: list[dict[str, Any]] = []
    if cast.registered:
        for n, asset in enumerate(cast.assets):
            told = {"type": "asset_registered", "asset_id": asset, "asset_type": ASSETS[asset]}
            events.append(told | {"id": f"a{n}", "occurred_at": "2024-03-01T11:00:00Z"})
    for n in range(min(size, cast.size_max)):
        make = rng.choices([touch, catalog, person, deal], cast.weights)[0]
        early = make is catalog and rng.random() < cast.early
        events.append(make(rng, cast) | {"id": f"e{n:02d}", "occurred_at": EARLY if early else instant(rng, cast)})
    if rng.random() < 0.5:
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
    if rng.random() < 0.35:
        events += told_again(rng, cast, events)
    return events
