"""A real Apache Kafka for the tests: the one that TOUCHLINE_TEST_KAFKA names, or one of their own."""

import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.kafka.brokers import Cluster, NoKafka
from shared.log.kafka import KafkaCluster


def a_cluster(directory: Path, brokers: int = 1, secure: bool = False) -> Iterator[Cluster]:
    """Brokers of the test's own. Without Java and Maven the test is left out, but not in CI."""
    missing = [program for program in ("java", "mvn") if shutil.which(program) is None]
    if missing and os.environ.get("CI") != "true":
        pytest.skip(f"Kafka takes Java 17 and Maven; there is no {' and no '.join(missing)}")
    cluster = Cluster(directory, brokers, secure=secure)
    try:
        cluster.start()
        yield cluster
    except NoKafka as error:
        pytest.fail(str(error))
    finally:
        cluster.stop()


def new_topic(bootstrap_servers: str) -> KafkaCluster:
    """A topic that no other test has."""
    return KafkaCluster(bootstrap_servers, f"touchline.test.{uuid.uuid4().hex[:12]}")
