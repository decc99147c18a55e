"""Is this event accepted? Runs the codec's checks, and checks the values that the rules read from its URLs like sent values.

A tracking URL's asset id or a utm value in a query string is percent-decoded, so it may hold what the URL does not show:
a U+0000, which no table can store, or an id that is longer than allowed.
"""

import re
from functools import partial

from shared.events import codec
from shared.events.codec import COLLECT_PREFIX, KeyClass
from shared.events.limits import ID_CHARACTERS_MAX, TEXT_CHARACTERS_MAX
from shared.events.mapped import bad_mapping
from shared.events.registry import EVENT_TYPES
from shared.events.types import Event, WorkspaceConfigured
from shared.rules.page import PageUrl, parse

URLS = {
    cls: tuple(name for name in ("url", "referrer", "target_url") if name in cls.__struct_fields__)
    for cls in EVENT_TYPES.values()
}
_HIDDEN_NUL = re.compile(r"%(?:25)*00")  # however often it was encoded


def check_sent(event: Event, _: bytes, key: KeyClass) -> tuple[str | None, str] | None:
    """The checks of ingest beside those of the codec; see `shared.events.codec.Check`."""
    if key == "server" and event.id is not None and event.id.startswith(COLLECT_PREFIX):
        return "id", f"ids that begin with {COLLECT_PREFIX!r} are those of events sent with a collect key"
    if type(event) is WorkspaceConfigured and (problem := _bad_settings(event)):
        return problem
    return bad_url(event)


def _bad_settings(event: WorkspaceConfigured) -> tuple[str, str] | None:
    """The setting that is not valid, and why; None if all are."""
    producers = event.settings.producers
    if producers is None or producers.segment is None or (problem := bad_mapping(producers.segment)) is None:
        return None
    return f"settings.producers.segment.{problem[0]}", problem[1]


def check_restored(event: Event, _: bytes, __: KeyClass) -> tuple[str | None, str] | None:
    """Like `check_sent`, for an event of an export, which may have the ids that a collect key's events get in the log."""
    if type(event) is WorkspaceConfigured and (problem := _bad_settings(event)):
        return problem
    return bad_url(event)


accept = partial(codec.accept, check=check_sent)
"""Decode and check one event as ingest does; see `shared.events.codec.accept`."""

accept_restored = partial(codec.accept, check=check_restored)
"""The same for an event of an export."""


def bad_url(event: Event) -> tuple[str, str] | None:
    """The field whose URL holds a value that cannot be stored, and why; None if there is none."""
    for field in URLS[type(event)]:
        url: str | None = getattr(event, field)
        # values in a URL are no longer than the URL, so this quick check is enough for nearly all
        looks_odd = url is not None and (len(url) > ID_CHARACTERS_MAX or ("%" in url and _HIDDEN_NUL.search(url)))
        if url is not None and looks_odd and (problem := _unfit(parse(url, ""))):
            return field, problem
    return None


def _unfit(page: PageUrl) -> str | None:
    """Why a value read from a URL cannot be stored; None if all can."""
    values = (*page.utm, *page.every_utm, page.source)
    texts = (page.address, page.host, page.via_asset_id or "", *values)
    if any("\0" in text for text in texts):
        return "its query holds a text with the character U+0000, which is not allowed"
    if page.via_asset_id is not None and len(page.via_asset_id) > ID_CHARACTERS_MAX:
        return f"`tl_via` has {len(page.via_asset_id)} characters; an id has {ID_CHARACTERS_MAX} at most"
    if (longest := max(map(len, values))) > TEXT_CHARACTERS_MAX:
        return f"a utm value has {longest} characters; a text has {TEXT_CHARACTERS_MAX} at most"
    return None
