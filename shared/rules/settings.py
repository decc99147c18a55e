"""What has the workspace set? Settings hold for all of its history; the latest told of each counts."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from shared.events.emails import normalised_host
from shared.events.instants import MINUTE_US
from shared.events.nobody import folded
from shared.events.types import SettingsField
from shared.rules.excluded_traffic import MachineRules
from shared.rules.order import Order


@dataclass(frozen=True, slots=True)
class Settings:
    """A workspace's settings, with the defaults of a new one."""

    time_zone: str = "UTC"
    currency: str = "EUR"
    session_gap_minutes: int = 30
    lookback_days: int | None = None
    machine_rules: MachineRules = field(default_factory=MachineRules)
    internal_domains: frozenset[str] = frozenset()
    nobody: tuple[str, ...] = ()
    """Words that name nobody, beside the published ones, as `folded` gives them, in order. Ingest refuses them."""

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
            machine_rules=_machine_rules(current.machine_rules, change),
            internal_domains=_domains(current.internal_domains, change),
            nobody=current.nobody if change.nobody is None else tuple(sorted({folded(word) for word in change.nobody})),
        )
    return current


def _machine_rules(current: MachineRules, change: SettingsField) -> MachineRules:
    told = change.machine_rules
    if told is None:
        return current
    return MachineRules(
        crawlers=current.crawlers if told.crawlers is None else told.crawlers,
        mail_prefetchers=current.mail_prefetchers if told.mail_prefetchers is None else told.mail_prefetchers,
        always=current.always if told.always is None else told.always,
        mail_scanners=current.mail_scanners if told.mail_scanners is None else told.mail_scanners,
        never=current.never if told.never is None else told.never,
    )


def _domains(current: frozenset[str], change: SettingsField) -> frozenset[str]:
    if change.internal_domains is None:
        return current
    return frozenset(normalised_host(domain.strip().removeprefix("@")) for domain in change.internal_domains)
