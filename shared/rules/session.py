"""Rule **session**: does this event begin a session or continue one?"""

from typing import NamedTuple

from shared.events.registry import check_known
from shared.rules.keys import session_key, source_key
from shared.rules.page import PageUrl
from shared.rules.referrer import NONE_ADDED, ReferrerRules, source_host

SESSION_TYPES = frozenset(
    check_known(
        ("page_visited", "form_submitted", "cta_viewed", "cta_clicked"), "shared/rules/session.py", stage="sessions"
    )
)


class Session(NamedTuple):
    """A visitor's session so far. `source` is the source of its first event; None if that has none."""

    key: int
    started_at_us: int
    is_new: bool
    last_at_us: int
    source: int | None


def named_source(page: PageUrl, referrer: str | None, rules: ReferrerRules = NONE_ADDED) -> int | None:
    """The key of a page visit's source: its utm, else its referrer's host (rule **referrer**); None if it has neither."""
    if not page.overrides:
        return None
    if page.campaign or any(page.utm):
        return source_key(("utm", page.campaign, *page.utm[1:]))
    if referrer and (host := source_host(page.host, referrer, rules)) is not None:
        return source_key(("referrer", host))
    return None


def after(session: Session | None, at_us: int, event_id: str, source: int | None, gap_us: int) -> Session:
    """The session of a visitor's next event, given that of the one before (None: it is the visitor's first).

    `source` is a page visit's source, None for other events. A gap of exactly `gap_us` begins a new session.
    """
    if session is not None and at_us - session.last_at_us < gap_us and (source is None or source == session.source):
        return Session(session.key, session.started_at_us, session.is_new, at_us, session.source)
    return Session(session_key(event_id), at_us, session is None, at_us, source)
