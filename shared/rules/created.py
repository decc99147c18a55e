"""Rule **created credit**: which touches get credit for a deal or a contact that was created, and how much?

Each deal and each contact is worth 1, in millionths, so that the parts add up to it exactly.
"""

from collections.abc import Iterable, Sequence

from shared.rules import exact
from shared.rules.credit import Lead, Step, roles
from shared.rules.model_defined import parts_within_lookback
from shared.rules.models import Model, Role

ONE = 1_000_000
"""What one deal or contact is worth, in the units in which it is divided."""


def roles_of_deal(journey: Sequence[Step], leads: Iterable[Lead], created_us: int) -> dict[Role, int]:
    """The key interactions of a deal's creation: of the touches at or before it, in order."""
    return roles(journey, leads, created_us)


def roles_of_contact(journey: Sequence[Step], lead: Lead) -> dict[Role, int]:
    """The key interactions of a contact's creation: of its touches up to its conversion, in order. None of them created a deal."""
    found = roles(journey, [lead], lead.created.at_us)
    found.pop(Role.DEAL_CREATION, None)
    return found


def units(model: Model, found: dict[Role, int], ages_us: Sequence[int]) -> list[int] | None:
    """The part of each touch in millionths of 1; None if no touch is within the model's lookback. Ages are before the creation."""
    parts = parts_within_lookback(model, found, ages_us) if ages_us else None
    return None if parts is None else exact.shares(ONE, parts)
