"""What can be set from outside? `TOUCHLINE_*` in the environment."""

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.log.kafka import KafkaCluster


def _address(told: str) -> str:
    """An address that a path can be put behind. Raises `ValueError`."""
    parts = urlsplit(told)
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.query or parts.fragment:
        raise ValueError("an address such as https://events.shop.example is expected, with a path or without")
    return told.rstrip("/")


class Settings(BaseSettings):
    """The environment's say. `TOUCHLINE_KAFKA_*` bear the names that Kafka's own clients use."""

    model_config = SettingsConfigDict(env_prefix="TOUCHLINE_", extra="ignore")

    database_url: str | None = None
    """`postgresql://…` of a PostgreSQL 15 or later; without it, the data directory holds one of its own."""

    public_url: Annotated[str, AfterValidator(_address)] | None = None
    """The address by which producers call ingest, such as `https://events.shop.example`: signatures are made of it."""

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] | None = None
    """What is told on standard error; INFO for a service, WARNING for other commands."""
    log_format: Literal["console", "json"] = "console"

    kafka_bootstrap_servers: str | None = None
    """`host:port,…` of Apache Kafka; without it, the log is a table of the database."""
    kafka_topic: str = "touchline.events.v1"
    kafka_partitions: int | None = None
    """Of a new topic, 32 if unset; of one that is there, checked."""
    kafka_replication_factor: int | None = None
    """Of a new topic; 3 if unset and there are as many brokers."""
    kafka_group: str = "touchline.projector"
    kafka_group_instance_id: str | None = None
    """A name that this projector keeps over restarts; its partitions then wait for it as long as its session lasts."""
    kafka_session_timeout_ms: int = 10_000
    """How long a projector may be silent before its partitions go to others."""
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "PLAIN"
    kafka_sasl_username: str | None = None
    kafka_sasl_password: str | None = None
    kafka_ssl_cafile: str | None = None
    kafka_ssl_certfile: str | None = None
    kafka_ssl_keyfile: str | None = None

    @property
    def kafka(self) -> KafkaCluster | None:
        """Where Kafka is, if it is used."""
        if self.kafka_bootstrap_servers is None:
            return None
        return KafkaCluster(
            self.kafka_bootstrap_servers, self.kafka_topic, self.kafka_security_protocol, self.kafka_sasl_mechanism,
            self.kafka_sasl_username, self.kafka_sasl_password, self.kafka_ssl_cafile, self.kafka_ssl_certfile,
            self.kafka_ssl_keyfile,
        )  # fmt: skip
