"""Which kind of program does a user agent name? The package `crawler-user-agents` lists crawlers; this file lists mail programs.

No package lists the security scanners of mail that name themselves in the user agent: `mail_scanners.json` does, with sources.

A look-up tries a thousand patterns (some 100 µs), so answers are cached.
"""

import json
from functools import lru_cache
from importlib.resources import files

from crawleruseragents import is_crawler

from shared.rules.excluded_traffic import AgentKinds

CACHED_AGENTS = 16_384  # about 5 MB; a busy site gets some thousands of different user agents a day
MAIL_IMAGE_PROXIES = ("googleimageproxy", "yahoomailproxy")  # fetch a mail's images when a person opens it
MAIL_PREFETCHERS = frozenset({"mozilla/5.0"})  # Apple Mail's privacy protection says no more than this
MAIL_SCANNERS: tuple[str, ...] = tuple(
    json.loads((files("shared.recognition") / "mail_scanners.json").read_text())["parts"]
)


@lru_cache(CACHED_AGENTS)
def known(user_agent: str) -> AgentKinds:
    """Which kinds of program a user agent belongs to, before any workspace's rules."""
    text = user_agent.strip().lower()
    proxy = any(name in text for name in MAIL_IMAGE_PROXIES)
    return AgentKinds(
        crawler=not proxy and is_crawler(user_agent),
        mail_prefetcher=text in MAIL_PREFETCHERS,
        mail_image_proxy=proxy,
        mail_scanner=any(part in text for part in MAIL_SCANNERS),
    )
