"""How much may come at an ingest process? The numbers, for the configuration and for `limits`, which heeds them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Rates:
    """How much may come. A rate of 0 means no limit. `…_a_day` are distinct values of a collect key, since midnight UTC.

    The rates are those of all processes together, of which there are `processes`, among which requests are spread evenly. What is counted for a day is
    that of each process: a value that comes again and again reaches all of them, so parts of a bound would be met by values that all know.
    """

    key_events_per_s: int = 10_000  # 860 million a day
    address_requests_per_s: int = 100  # an office behind one address, or a phone company's gateway
    visitors_a_day: int = 1_000_000
    contacts_a_day: int = 1_000_000  # a site may identify everybody who visits it
    assets_a_day: int = 10_000
    pages_a_day: int = 500_000  # a site that has a page for each product, or for each person
    utm_values_a_day: int = 10_000
    processes: int = 1

    def share(self, per_s: int) -> int:
        """What one process takes of a rate: 0 for no limit, else at least 1 a second."""
        return -(-per_s // self.processes)
