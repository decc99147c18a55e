"""The invented company of the demo: its campaigns, its assets, and the people who visit it."""

import datetime as dt
import random
from dataclasses import dataclass, field

COMPANY = "Nordlys Software"
SITE = "https://www.nordlys.example"
CURRENCIES = ["EUR"] * 8 + ["NOK", "SEK"]

THEMES = [
    "Spring Launch", "Brand Always-on", "Customer Stories", "Partner Webinars", "Onboarding Nurture", "Nordic Expo",
    "Pricing Experiment", "Security Report", "Cold-chain Guide", "Developer Week", "Autumn Release", "Retail Playbook",
    "Finance Roadshow", "Green Logistics", "Winter Offer", "Analyst Briefing", "Public Sector", "Migration Month",
    "Summer School", "Year in Review", "Data Quality", "Port Operations", "Fleet Insights", "Warehouse Tour", "Podcast",
]  # fmt: skip
TOPICS = [
    "cold chain", "route planning", "customs", "driver safety", "forecasting", "returns", "last mile", "pallets",
    "inventory", "carbon", "integration", "dashboards", "alerts", "onboarding", "pricing", "security", "uptime",
]  # fmt: skip
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
LAST = ["Solheim", "Berg", "Dahl", "Lund", "Moen", "Strand", "Vik", "Haugen", "Nygaard", "Holm", "Bakke", "Sunde"]
FIRMS = [
    "Fjordline",
    "Havnor",
    "Polar",
    "Baltic",
    "Skagen",
    "Vestland",
    "Arctic",
    "Oresund",
    "Lofoten",
    "Malmo",
    "Tromso",
]
TRADES = ["Logistics", "Seafood", "Freight", "Cold Stores", "Shipping", "Foods", "Retail", "Energy", "Timber", "Pharma"]

# Kinds of assets in a campaign of the standard mix, and how many of each in a hundred.
ASSET_SHARE = {
    "landing_page": 10, "site_page": 9, "blog_post": 16, "case_study": 4, "form": 8, "cta": 12, "marketing_email": 14,
    "social_post": 14, "tracking_url": 4, "ad_campaign": 2, "paid_search": 2, "workflow": 1, "list": 2, "video": 1,
    "document": 1,
}  # fmt: skip
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
    """A campaign with its assets by type. `utm` is the value of `utm_campaign` in its links."""

    id: str
    name: str
    utm: str
    begins: dt.datetime
    ends: dt.datetime
    weight: float
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
        theme = THEMES[n % len(THEMES)]
        always = n % 9 == 1
        starts = begin if always else begin + (end - begin) * rng.uniform(0, 0.95)
        stops = end + dt.timedelta(days=400) if always else starts + dt.timedelta(days=rng.randint(21, 120))
        name = theme if n < len(THEMES) else f"{theme} {2 + n // len(THEMES)}"
        slug = name.lower().replace(" ", "-")
        out.append(Campaign(slug, name, slug, starts, stops, min(WEIGHT_MAX, rng.paretovariate(1.3))))
    return out


def assets(rng: random.Random, count: int, among: list[Campaign]) -> list[Asset]:
    """Make assets. A campaign with a greater weight gets more of them."""
    types = rng.choices(list(ASSET_SHARE), list(ASSET_SHARE.values()), k=count)
    weights = [campaign.weight for campaign in among]
    out = []
    for n, type_ in enumerate(types):
        campaign = rng.choices(among, weights)[0] if n >= 4 * len(among) else among[n % len(among)]
        topic = rng.choice(TOPICS)
        name = f"{topic.capitalize()} {type_.replace('_', ' ')} {n}"
        url = f"{SITE}/{type_.replace('_', '-')}/{topic.replace(' ', '-')}-{n}" if type_ in PAGE_TYPES else None
        asset = Asset(f"{type_}-{n}", type_, name, url, campaign)
        campaign.assets.setdefault(type_, []).append(asset)
        out.append(asset)
    return out


def email_of(rng: random.Random, n: int) -> str:
    """An e-mail address that cannot exist: its domain ends in `.example`."""
    firm = rng.choice(FIRMS).lower() + "-" + rng.choice(TRADES).lower().replace(" ", "")
    return f"{rng.choice(FIRST).lower()}.{rng.choice(LAST).lower()}{n}@{firm}.example"
