"""The configuration of a process: the environment variables `TOUCHLINE_*`.

What a workspace sets is an event (`workspace_configured`).
"""

from typing import Annotated, Literal
from urllib.parse import urlsplit

from annotated_types import Ge
from pydantic import AfterValidator
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.ingest.limit_settings import Rates
from shared.log.kafka_cluster import KafkaCluster


def _address(given: str) -> str:
    """A web address without a slash at its end, so that a path can be appended. Raises `ValueError` if it is none."""
    parts = urlsplit(given)
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.query or parts.fragment:
        raise ValueError("an address such as https://events.shop.example is expected, with a path or without")
    return given.rstrip("/")


class Configuration(BaseSettings):
    """One field for each variable `TOUCHLINE_<FIELD>`. The names of `TOUCHLINE_KAFKA_*` are those of Kafka's own clients.

    Raises `pydantic.ValidationError` if a variable has a value that its field cannot have.
    """

    model_config = SettingsConfigDict(env_prefix="TOUCHLINE_", extra="ignore")

    database_url: str | None = None
    """The URL `postgresql://…` of a PostgreSQL server, version 15 or later. None: Touchline runs one in the data directory."""

    public_url: Annotated[str, AfterValidator(_address)] | None = None
    """The address by which producers call the ingest service, such as `https://events.shop.example`.

    HubSpot and other producers sign this address together with the body, so a wrong one makes every signature wrong.
    """

    trusted_proxies: str = "127.0.0.1,::1"
    """The addresses or networks (`10.0.0.0/8`), with commas between, of proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed.

    From every other sender the address of the connection counts.
    """
    ingest_processes: Annotated[int, Ge(1)] = Rates.processes
    """Among how many ingest processes requests are spread: each takes its part of the two rates below."""
    key_events_per_s: Annotated[int, Ge(0)] = Rates.key_events_per_s
    """How many events a second are taken of one collect key; ten times as many at once. 0: no limit."""
    address_requests_per_s: Annotated[int, Ge(0)] = Rates.address_requests_per_s
    """How many requests a second are taken of one address, without a server key; ten times as many at once. 0: no limit."""
    key_visitors_a_day: Annotated[int, Ge(0)] = Rates.visitors_a_day
    """How many different visitors one collect key may send from midnight to midnight UTC. 0: no limit."""
    key_contacts_a_day: Annotated[int, Ge(0)] = Rates.contacts_a_day
    """The same of contacts, by their e-mail addresses."""
    key_assets_a_day: Annotated[int, Ge(0)] = Rates.assets_a_day
    """The same of assets."""
    key_pages_a_day: Annotated[int, Ge(0)] = Rates.pages_a_day
    """The same of visited pages, by their addresses."""
    key_utm_values_a_day: Annotated[int, Ge(0)] = Rates.utm_values_a_day
    """The same of utm values."""
    master_key: str | None = None
    """The key of a sealed store: 32 bytes in base64. None: the file `master.key` in the data directory of an embedded store."""

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] | None = None
    """The least level that is written to standard error. None: INFO for a service, WARNING for other commands."""
    log_format: Literal["console", "json"] = "console"
    """`console`: lines for people. `json`: one JSON object a line."""

    kafka_bootstrap_servers: str | None = None
    """`host:port,…` of Apache Kafka, which then is the log. None: the log is a table of the database."""
    kafka_topic: str = "touchline.events.v1"
    kafka_partitions: int | None = None
    """How many partitions a new topic gets (None: 32). A topic that exists must have this number, if one is given."""
    kafka_replication_factor: int | None = None
    """How many replicas a new topic gets (None: 3, or the number of brokers if there are fewer)."""
    kafka_group: str = "touchline.projector"
    """The consumer group of the projectors, which share the partitions among them."""
    kafka_group_instance_id: str | None = None
    """A fixed name of this projector. When it restarts within the session timeout, it gets the same partitions back."""
    kafka_session_timeout_ms: int = 10_000
    """Milliseconds without a heartbeat after which Kafka gives a projector's partitions to others."""
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "PLAIN"
    kafka_sasl_username: str | None = None
    kafka_sasl_password: str | None = None
    kafka_ssl_cafile: str | None = None
    kafka_ssl_certfile: str | None = None
    kafka_ssl_keyfile: str | None = None

    @property
    def rates(self) -> Rates:
        """How much public keys and single addresses may send."""
        return Rates(
            self.key_events_per_s, self.address_requests_per_s, self.key_visitors_a_day, self.key_contacts_a_day,
            self.key_assets_a_day, self.key_pages_a_day, self.key_utm_values_a_day, self.ingest_processes,
        )  # fmt: skip

    @property
    def kafka(self) -> KafkaCluster | None:
        """How Kafka is reached; None where the log is a table of the database."""
        if self.kafka_bootstrap_servers is None:
            return None
        return KafkaCluster(
            self.kafka_bootstrap_servers, self.kafka_topic, self.kafka_security_protocol, self.kafka_sasl_mechanism,
            self.kafka_sasl_username, self.kafka_sasl_password, self.kafka_ssl_cafile, self.kafka_ssl_certfile,
            self.kafka_ssl_keyfile,
        )  # fmt: skip
