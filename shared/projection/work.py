"""What does one batch of one workspace carry from step to step?"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from shared.projection.admission import SetChange
from shared.projection.rows import IdentifierMention, Prepared, TouchRow
from shared.projection.sql import Connection
from shared.rules.association import SOCIAL_POSTS_MAX
from shared.rules.order import Order
from shared.rules.settings import Settings


@dataclass
class VisitorChange:
    """What happens to one visitor in a batch: touches to give a session, and whether it is only more of the same."""

    earliest: Order
    latest: Order
    touches: list[TouchRow] = field(default_factory=list)
    identified_as: list[int] = field(default_factory=list)
    loses: bool = False


async def apply_at_once(_: "Work", __: Settings, told: Settings) -> Settings:
    """Apply settings in the batch that tells them."""
    return told


@dataclass
class Work:
    """The batch, and which entities must be derived anew because of it.

    `owned_anew` are persons whose touches may have passed to, or from, the workspace's own people. `has_internal`: the
    settings name, or have named until now, domains of these people. `regrouped` are contacts that have gained or lost
    identifiers that were others'. `all_clicks`: the machine rules have changed, so any click may be a mail scanner's now. `heed` decides
    which settings apply where the batch tells others (`shared.projection.reprojection`).
    """

    connection: Connection
    ws: int
    change: SetChange
    settings: Settings
    social_posts_max: int = SOCIAL_POSTS_MAX
    touches: list[TouchRow] = field(default_factory=list)
    left_touches: list[TouchRow] = field(default_factory=list)
    named: list[tuple[Prepared, IdentifierMention, bool]] = field(default_factory=list)
    visitors: dict[int, VisitorChange] = field(default_factory=dict)
    owned_anew: set[int] = field(default_factory=set)
    identifiers: set[int] = field(default_factory=set)
    contacts: set[int] = field(default_factory=set)
    deals: set[int] = field(default_factory=set)
    all_deals: bool = False
    assets: set[int] = field(default_factory=set)
    campaigns: set[int] = field(default_factory=set)
    values: set[int] = field(default_factory=set)
    settings_told: bool = False
    has_internal: bool = False
    regrouped: set[int] = field(default_factory=set)
    all_clicks: bool = False
    heed: Callable[["Work", Settings, Settings], Awaitable[Settings]] = apply_at_once
