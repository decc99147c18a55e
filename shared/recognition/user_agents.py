"""What is known of a user agent? Crawlers by the list of the package `crawler-user-agents`; mail programs by our own words.

What scans mail for dangers, and says so, is in no package: `mail_scanners.json` lists it, with its sources.

A look-up goes through a thousand patterns (some 100 µs), so answers are remembered.
"""

import json
from functools import lru_cache
from importlib.resources import files

from crawleruseragents import is_crawler

from shared.rules.excluded_traffic import Known

CACHED_AGENTS = 16_384  # about 5 MB; a busy site sees some thousands a day
MAIL_IMAGE_PROXIES = ("googleimageproxy", "yahoomailproxy")  # fetch a mail's images when a person opens it
MAIL_PREFETCHERS = frozenset({"mozilla/5.0"})  # Apple Mail's privacy protection says no more than this
MAIL_SCANNERS: tuple[str, ...] = tuple(
    json.loads((files("shared.recognition") / "mail_scanners.json").read_text())["parts"]
)


@lru_cache(CACHED_AGENTS)
def known(user_agent: str) -> Known:
    """What is known of a user agent, whatever a workspace makes of it."""
    text = user_agent.strip().lower()
    proxy = any(name in text for name in MAIL_IMAGE_PROXIES)
    return Known(
        crawler=not proxy and is_crawler(user_agent),
        mail_prefetcher=text in MAIL_PREFETCHERS,
        mail_image_proxy=proxy,
        mail_scanner=any(part in text for part in MAIL_SCANNERS),
    )
