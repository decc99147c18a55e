"""Is this host a search engine or a social network?

By the list that the package `pyreferrer` publishes, and a few of our own that are younger than it. Of the package only the
list is read: its code would ask the network which suffixes are public.
"""

import json
from functools import cache, lru_cache
from importlib.metadata import distribution
from pathlib import Path

from shared.rules.channel import Site

CACHED_HOSTS = 16_384  # about 2 MB
LIST = "pyreferrer/data/referrers.json"
SINCE = {
    Site.SOCIAL: (
        "x.com", "threads.net", "threads.com", "bsky.app", "mastodon.social", "whatsapp.com", "web.whatsapp.com", "wa.me",
        "telegram.org", "t.me", "discord.com", "snapchat.com", "quora.com", "glassdoor.com", "kununu.com", "lemmy.world",
    ),
    Site.SEARCH: (
        "search.brave.com", "qwant.com", "startpage.com", "kagi.com", "mojeek.com", "swisscows.com", "presearch.com",
        "karmasearch.org", "you.com", "petalsearch.com",
    ),
}  # fmt: skip


@cache
def _sites() -> dict[str, Site]:
    """Every listed host, and the name of each listed site, as what they are."""
    listed = json.loads(Path(str(distribution("pyreferrer").locate_file(LIST))).read_text("utf-8"))
    out: dict[str, Site] = {}
    for kind, site in (("email", Site.OTHER), ("search", Site.SEARCH), ("social", Site.SOCIAL)):
        for name, told in listed[kind].items():
            out |= dict.fromkeys((host.lower().removeprefix("www.") for host in told["domains"]), site)
            out[name.lower()] = site
    for site, hosts in SINCE.items():
        out |= dict.fromkeys(hosts, site)
    return out


@lru_cache(CACHED_HOSTS)
def site(source: str) -> Site:
    """What a host (`m.facebook.com`), or the name that a `utm_source` gives (`facebook`), is."""
    text = source.strip().lower().removeprefix("www.")
    sites = _sites()
    labels = text.split(".")
    for begin in range(len(labels)):
        if begin and begin + 1 == len(labels):
            break  # a suffix alone is no host
        found = sites.get(".".join(labels[begin:]))
        if found is not None:
            return found
    return Site.OTHER
