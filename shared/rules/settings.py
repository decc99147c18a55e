"""Which settings has a workspace? They apply to all of its history; the latest value of each counts."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import msgspec

from shared.events.emails import normalised_host
from shared.events.instants import MINUTE_US
from shared.events.mapped import folded_name
from shared.events.nobody import folded
from shared.events.types import HubSpotField, MailField, MappedEvent, ProducersField, SettingsField
from shared.rules.excluded_traffic import MachineRules
from shared.rules.order import Order
from shared.rules.page import AddressRules
from shared.rules.referrer import ReferrerRules, host_of_setting


class UrlRules(NamedTuple):
    """How a workspace reads URLs: which parts belong to an address, and which referrers are not a source."""

    addresses: AddressRules
    referrers: ReferrerRules


@dataclass(frozen=True, slots=True)
class Producers:
    """How messages of outside producers are read. Ingest and imports use it when they read a message; no stored row depends on it."""

    won_stages: tuple[str, ...] = ("closedwon",)
    lost_stages: tuple[str, ...] = ("closedlost",)
    """HubSpot's deal stages, by internal name; the defaults are those of its first pipeline."""
    mail_asset_from: tuple[str, ...] = ("category",)
    """Where a mail sender's message names the marketing email, as `MailField.asset_from` has it."""
    segment_events: Mapping[str, tuple[MappedEvent, ...]] = field(default_factory=dict)
    """The events that Segment's track events become, by `folded_name`, where the workspace has set them."""


@dataclass(frozen=True, slots=True)
class Settings:
    """A workspace's settings, with the defaults of a new one."""

    time_zone: str = "UTC"
    currency: str = "EUR"
    session_gap_minutes: int = 30
    lookback_days: int | None = None
    machine_rules: MachineRules = field(default_factory=MachineRules)
    internal_domains: frozenset[str] = frozenset()
    own_hosts: frozenset[str] = frozenset()
    ignored_referrers: frozenset[str] = frozenset()
    page_parameters: tuple[str, ...] = ()
    page_fragments: bool = False
    nobody: tuple[str, ...] = ()
    """Words that identify nobody, beside the published ones, as `folded` returns them, in order. Ingest refuses them."""

    producers: Producers = field(default_factory=Producers)

    @property
    def of_history(self) -> "Settings":
        """Only the settings that stored rows depend on; the others, which are used when events are accepted or read, have their defaults."""
        return replace(self, time_zone="UTC", nobody=(), producers=Producers())

    @property
    def session_gap_us(self) -> int:
        """A pause of this length begins a new session."""
        return self.session_gap_minutes * MINUTE_US

    @property
    def urls(self) -> UrlRules:
        """The settings that decide how URLs are read: if they change, the keys of stored visits change."""
        return UrlRules(self.addresses, self.referrers)

    @property
    def referrers(self) -> ReferrerRules:
        """Which referrers are not a source, besides the published ones."""
        return ReferrerRules(self.own_hosts, self.ignored_referrers)

    @property
    def addresses(self) -> AddressRules:
        """Which parts of a URL belong to a page's address besides its host and path."""
        return AddressRules(self.page_parameters, self.page_fragments)


NOTHING_SET = Settings().urls


def settings(changes: Iterable[tuple[Order, SettingsField]]) -> Settings:
    """Apply `workspace_configured` events in order."""
    current = Settings()
    for _, change in sorted(changes, key=lambda t: t[0]):
        current = Settings(
            time_zone=change.time_zone or current.time_zone,
            currency=change.currency or current.currency,
            session_gap_minutes=change.session_gap_minutes or current.session_gap_minutes,
            lookback_days=current.lookback_days if change.lookback_days is msgspec.UNSET else change.lookback_days,
            machine_rules=_machine_rules(current.machine_rules, change),
            internal_domains=_domains(current.internal_domains, change),
            own_hosts=_hosts(current.own_hosts, change.own_hosts),
            ignored_referrers=_hosts(current.ignored_referrers, change.ignored_referrers),
            page_parameters=_names(current.page_parameters, change.page_parameters),
            page_fragments=current.page_fragments if change.page_fragments is None else change.page_fragments,
            nobody=current.nobody if change.nobody is None else tuple(sorted({folded(word) for word in change.nobody})),
            producers=_producers(current.producers, change.producers),
        )
    return current


def _producers(current: Producers, change: ProducersField | None) -> Producers:
    hubspot = HubSpotField() if change is None or change.hubspot is None else change.hubspot
    mail = MailField() if change is None or change.mail is None else change.mail
    return Producers(
        won_stages=current.won_stages if hubspot.won_stages is None else hubspot.won_stages,
        lost_stages=current.lost_stages if hubspot.lost_stages is None else hubspot.lost_stages,
        mail_asset_from=current.mail_asset_from if mail.asset_from is None else mail.asset_from,
        segment_events=_segment_events(current.segment_events, change),
    )


def _segment_events(
    current: Mapping[str, tuple[MappedEvent, ...]], change: ProducersField | None
) -> Mapping[str, tuple[MappedEvent, ...]]:
    """The workspace's own table of Segment's events; a later entry for a name replaces the earlier one."""
    if change is None or change.segment is None or change.segment.events is None:
        return current
    added = {folded_name(name): events for name, events in change.segment.events.items()}
    merged = {**current, **added}
    return {name: events for name, events in sorted(merged.items()) if events is not None}


def _machine_rules(current: MachineRules, change: SettingsField) -> MachineRules:
    rules = change.machine_rules
    if rules is None:
        return current
    return MachineRules(
        crawlers=current.crawlers if rules.crawlers is None else rules.crawlers,
        mail_prefetchers=current.mail_prefetchers if rules.mail_prefetchers is None else rules.mail_prefetchers,
        always=current.always if rules.always is None else rules.always,
        mail_scanners=current.mail_scanners if rules.mail_scanners is None else rules.mail_scanners,
        never=current.never if rules.never is None else rules.never,
    )


def _domains(current: frozenset[str], change: SettingsField) -> frozenset[str]:
    if change.internal_domains is None:
        return current
    return frozenset(normalised_host(domain.strip().removeprefix("@")) for domain in change.internal_domains)


def _hosts(current: frozenset[str], given: Iterable[str] | None) -> frozenset[str]:
    return current if given is None else frozenset(map(host_of_setting, given))


def _names(current: tuple[str, ...], given: Iterable[str] | None) -> tuple[str, ...]:
    """Names of parameters, sorted, so that their order in the setting does not change an address."""
    return current if given is None else tuple(sorted({name.lower() for name in given}))
