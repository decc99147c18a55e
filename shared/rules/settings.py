"""What has the workspace set? Settings hold for all of its history; the latest told of each counts."""

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from shared.events.instants import MINUTE_US
from shared.events.types import SettingsField
from shared.rules.order import Order


class Settings(NamedTuple):
    """A workspace's settings, with the defaults of a new one."""

    time_zone: str = "UTC"
    currency: str = "EUR"
    session_gap_minutes: int = 30
    lookback_days: int | None = None

    @property
    def session_gap_us(self) -> int:
        """A pause of this length begins a new session."""
        return self.session_gap_minutes * MINUTE_US


def settings(told: Iterable[tuple[Order, SettingsField]]) -> Settings:
    """Apply `workspace_configured` events in order."""
    current = Settings()
    for _, change in sorted(told, key=lambda t: t[0]):
        current = Settings(
            time_zone=change.time_zone or current.time_zone,
            currency=change.currency or current.currency,
            session_gap_minutes=change.session_gap_minutes or current.session_gap_minutes,
            lookback_days=current.lookback_days if change.lookback_days is msgspec.UNSET else change.lookback_days,
        )
    return current
