"""What is known of a user agent? Crawlers by the list of the package `crawler-user-agents`; mail programs by our own words.

A look-up goes through a thousand patterns (some 100 µs), so answers are remembered.
"""

from functools import lru_cache

from crawleruseragents import is_crawler

from shared.rules.excluded_traffic import Known

CACHED_AGENTS = 16_384  # about 5 MB; a busy site sees some thousands a day
MAIL_IMAGE_PROXIES = ("googleimageproxy", "yahoomailproxy")  # fetch a mail's images when a person opens it
MAIL_PREFETCHERS = frozenset({"mozilla/5.0"})  # Apple Mail's privacy protection says no more than this


@lru_cache(CACHED_AGENTS)
def known(user_agent: str) -> Known:
    """What is known of a user agent, whatever a workspace makes of it."""
    text = user_agent.strip().lower()
    proxy = any(name in text for name in MAIL_IMAGE_PROXIES)
    return Known(
        crawler=not proxy and is_crawler(user_agent),
        mail_prefetcher=text in MAIL_PREFETCHERS,
        mail_image_proxy=proxy,
    )
