"""The invented company of the demo: its campaigns, its assets, and the people who visit it."""

import datetime as dt
import random
import re
from dataclasses import dataclass, field

COMPANY = "Nordlys Software"
SITE = "https://www.nordlys.example"
CURRENCIES = ["EUR"] * 8 + ["NOK", "SEK"]

NAMES = [
    "Spring Launch", "Always-on Brand Search", "Customer Stories", "Partner Webinar Series", "Onboarding Nurture",
    "Nordic Expo", "Pricing Page Test", "State of Cold Chain Report", "Cold-chain Buyer's Guide", "Developer Week",
    "Newsletter", "Autumn Release", "Retail Playbook", "CFO Breakfast Oslo", "Green Freight Pledge", "Black Week Offer",
    "Analyst Briefing", "Public Sector Tender Guide", "Switch in a Month", "Always-on LinkedIn", "Logistics Summer School",
    "Year in Review", "Data Quality Checklist", "Port Operations Days", "Fleet Insights Beta", "Warehouse Tour Gothenburg",
    "Last Mile Podcast", "Customs Rules Explained", "Product Tour Videos", "Driver Safety Month", "Route Planner Free Tier",
    "Seafood Export Summit", "Pharma Transport Audit", "Carbon Report Template", "Returns Without Tears",
    "Integration Partners Launch", "Peak Season Readiness", "Referral Programme", "Baltic Roadshow",
    "Win-back of Lapsed Trials", "Inventory Forecast Workshop", "Copenhagen User Day", "Security Whitepaper",
    "Pallet Tracking Launch", "Food Waste Calculator", "Fuel Cost Benchmark", "Help Centre Search", "Review Site Push",
    "Hiring Drivers Survey", "New Year Planning Kit",
]  # fmt: skip
"""One of each campaign of the standard mix; those at places 1, 10, 19 and so on, counted from 0, run all the time."""
TOPICS = [
    "cold chain", "route planning", "customs", "driver safety", "forecasting", "returns", "last mile", "pallets",
    "inventory", "carbon", "integration", "dashboards", "alerts", "onboarding", "pricing", "security", "uptime",
]  # fmt: skip
TITLES = {
    "landing_page": ["{} in practice", "Try {} free", "{}: book a demo"], "site_page": ["{} overview", "{} features", "Inside {}"],
    "blog_post": ["Five mistakes in {}", "The cost of {}", "{} after the new rules", "A year of {}"], "case_study": ["How {firm} improved {}", "{firm} on {}"],
    "form": ["{} guide download", "{} newsletter sign-up", "Ask about {}"], "cta": ["See {} live", "Get the {} guide", "Talk to us about {}"],
    "marketing_email": ["{} digest", "Invitation: {} webinar", "New in {}"], "social_post": ["{} in one chart", "Customer quote on {}", "{} poll"],
    "tracking_url": ["Partner link, {}", "Banner, {}"], "ad_campaign": ["{} ads, LinkedIn", "{} ads, display"], "paid_search": ["Search ads, {}"],
    "workflow": ["Nurture: {}"], "list": ["Interested in {}"], "video": ["{} in two minutes"], "document": ["{} checklist"],
}  # fmt: skip
"""By type of asset, how its name is made of a topic, and of a customer if it is about one."""
FIRST = [
    "Kari",
    "Ola",
    "Ingrid",
    "Lars",
    "Nora",
    "Emil",
    "Sofie",
    "Jonas",
    "Maja",
    "Erik",
    "Tuva",
    "Henrik",
    "Sara",
    "Nils",
]
LAST = ["Solheim", "Berg", "Dahl", "Lund", "Moen", "Strand", "Vik", "Haugen", "Nygård", "Holm", "Bakke", "Sunde"]
FIRMS = [
    "Fjordline",
    "Havnor",
    "Polar",
    "Baltic",
    "Skagen",
    "Vestland",
    "Arctic",
    "Øresund",
    "Lofoten",
    "Malmö",
    "Tromsø",
]
TRADES = ["Logistics", "Seafood", "Freight", "Cold Stores", "Shipping", "Foods", "Retail", "Energy", "Timber", "Pharma"]

# Kinds of assets in a campaign of the standard mix, and how many of each in a hundred.
ASSET_SHARE = {
    "landing_page": 10, "site_page": 9, "blog_post": 16, "case_study": 4, "form": 8, "cta": 12, "marketing_email": 14,
    "social_post": 14, "tracking_url": 4, "ad_campaign": 2, "paid_search": 2, "workflow": 1, "list": 2, "video": 1,
    "document": 1,
}  # fmt: skip
ALWAYS_WEIGHT_MAX = 1.0  # what runs all the time would else have touched nearly every contact
ALWAYS_REACH, REACH = 0.2, 0.05  # the part of all people whom a campaign reaches: always running, and by weight
WEIGHT_MAX = 5.0  # the largest campaign has five times the assets and traffic of the smallest
PAGE_TYPES = ("landing_page", "site_page", "blog_post", "case_study")


@dataclass
class Asset:
    """A page, an e-mail, a form or another asset that people visit, open or fill in."""

    id: str
    type: str
    name: str
    url: str | None = None
    campaign: "Campaign | None" = None


@dataclass
class Campaign:
    """A campaign with its assets by type. `utm` is the value of `utm_campaign` in its links; it reaches the part `reach` of all people."""

    id: str
    name: str
    utm: str
    begins: dt.datetime
    ends: dt.datetime
    weight: float
    reach: float
    assets: dict[str, list[Asset]] = field(default_factory=dict)

    def pick(self, rng: random.Random, *types: str) -> Asset | None:
        """A random one of its assets of these types; None if it has none."""
        found = [asset for type_ in types for asset in self.assets.get(type_, ())]
        return rng.choice(found) if found else None


@dataclass
class Person:
    """A visitor. `email` is the address by which it has identified itself, `id` its id in the CRM; None if it is not known."""

    visitor: str
    email: str | None = None
    id: str | None = None


def campaigns(rng: random.Random, count: int, begin: dt.datetime, end: dt.datetime) -> list[Campaign]:
    """Make campaigns between `begin` and `end`: a few run all the time, most for some weeks."""
    out = []
    for n in range(count):
        always = n % 9 == 1
        starts = begin if always else begin + (end - begin) * rng.uniform(0, 0.95)
        stops = end + dt.timedelta(days=400) if always else starts + dt.timedelta(days=rng.randint(21, 120))
        name = NAMES[n % len(NAMES)] + (f" {1 + n // len(NAMES)}" if n >= len(NAMES) else "")
        slug = "-".join(re.findall("[a-z0-9]+", name.lower().replace("'", "")))
        weight = min(WEIGHT_MAX, rng.paretovariate(1.3))
        mine = min(weight, ALWAYS_WEIGHT_MAX) if always else weight
        out.append(Campaign(slug, name, slug, starts, stops, mine, ALWAYS_REACH if always else REACH * weight))
    return out


def assets(rng: random.Random, count: int, among: list[Campaign]) -> list[Asset]:
    """Make assets. A campaign with a greater weight gets more of them."""
    types = rng.choices(list(ASSET_SHARE), list(ASSET_SHARE.values()), k=count)
    weights = [campaign.weight for campaign in among]
    out = []
    for n, type_ in enumerate(types):
        campaign = rng.choices(among, weights)[0] if n >= 4 * len(among) else among[n % len(among)]
        topic = rng.choice(TOPICS)
        title = rng.choice(TITLES[type_]).format(topic, firm=f"{rng.choice(FIRMS)} {rng.choice(TRADES)}")
        name = title[:1].upper() + title[1:]
        url = f"{SITE}/{type_.replace('_', '-')}/{topic.replace(' ', '-')}-{n}" if type_ in PAGE_TYPES else None
        asset = Asset(f"{type_}-{n}", type_, name, url, campaign)
        campaign.assets.setdefault(type_, []).append(asset)
        out.append(asset)
    return out


ASCII = str.maketrans({"å": "aa", "ø": "o", "ö": "o"})


def in_address(name: str) -> str:
    """A name as it is written in an e-mail address: in lower case, in ASCII, without spaces."""
    return name.lower().replace(" ", "").translate(ASCII)


LAST_NAMES = {in_address(name): name for name in LAST}
"""Last names as people write them, by how addresses write them."""


def named(email: str) -> dict[str, str]:
    """First and last name as properties of a contact, of an address that `email_of` made."""
    first, last = email.partition("@")[0].rstrip("0123456789").split(".")
    return {"first_name": first.capitalize(), "last_name": LAST_NAMES[last]}


COMPANIES = {f"{in_address(firm)}-{in_address(trade)}": f"{firm} {trade}" for firm in FIRMS for trade in TRADES}
"""The companies of people, by the first part of the domain of their addresses."""


def company_of(email: str) -> str:
    """The company of an address that `email_of` made."""
    return COMPANIES[email.partition("@")[2].partition(".")[0]]


def email_of(rng: random.Random, n: int) -> str:
    """An e-mail address that cannot exist: its domain ends in `.example`."""
    firm = in_address(rng.choice(FIRMS)) + "-" + in_address(rng.choice(TRADES))
    return f"{in_address(rng.choice(FIRST))}.{in_address(rng.choice(LAST))}{n}@{firm}.example"
