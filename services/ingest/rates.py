"""How much may come at an ingest process? The numbers, for the configuration and for `limits`, which heeds them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Rates:
    """How much may come. A rate of 0 means no limit. `…_a_day` are distinct values of a collect key, since midnight UTC."""

    key_events_per_s: int = 10_000  # 860 million a day
    address_requests_per_s: int = 100  # an office behind one address, or a phone company's gateway
    visitors_a_day: int = 1_000_000
    contacts_a_day: int = 1_000_000  # a site may identify everybody who visits it
    assets_a_day: int = 10_000
    pages_a_day: int = 500_000  # a site that has a page for each product, or for each person
    utm_values_a_day: int = 10_000
