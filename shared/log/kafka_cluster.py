"""Which Kafka is the log on? The settings that Kafka clients need; this file imports no client."""

from dataclasses import dataclass
from typing import Any

ANSWER_S = 5.0  # a broker that has not answered by then counts as unreachable


@dataclass(frozen=True, slots=True)
class KafkaCluster:
    """Which brokers and topic to use, and how to connect. Fields have the names of Kafka's settings."""

    bootstrap_servers: str
    topic: str = "touchline.events.v1"
    security_protocol: str = "PLAINTEXT"
    sasl_mechanism: str = "PLAIN"
    sasl_username: str | None = None
    sasl_password: str | None = None
    ssl_cafile: str | None = None
    ssl_certfile: str | None = None
    ssl_keyfile: str | None = None

    def client(self) -> dict[str, Any]:
        """The arguments of every aiokafka client. Raises `OSError` if a certificate cannot be read."""
        arguments: dict[str, Any] = {
            "bootstrap_servers": self.bootstrap_servers,
            "security_protocol": self.security_protocol,
            "request_timeout_ms": int(ANSWER_S * 1000),
            "retry_backoff_ms": 100,
            "metadata_max_age_ms": 60_000,
        }
        if self.security_protocol.startswith("SASL"):
            arguments |= {
                "sasl_mechanism": self.sasl_mechanism,
                "sasl_plain_username": self.sasl_username,
                "sasl_plain_password": self.sasl_password,
            }
        if self.security_protocol.endswith("SSL"):
            from aiokafka.helpers import (
                create_ssl_context,  # takes a fifth of a second, of which most commands have no need
            )

            arguments["ssl_context"] = create_ssl_context(
                cafile=self.ssl_cafile, certfile=self.ssl_certfile, keyfile=self.ssl_keyfile
            )
        return arguments
