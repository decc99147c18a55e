"""A real Apache Kafka for the tests: the one that TOUCHLINE_TEST_KAFKA names, or one of their own."""

import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.record.memory_records import MemoryRecords

from deploy.kafka.brokers import Cluster, NoKafka
from shared.log.kafka_cluster import KafkaCluster


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


async def bytes_in_files(cluster: KafkaCluster) -> bytes:
    """What the files of a topic hold on a broker of this machine: as it lies there, and every record decompressed, with its key and headers."""
    admin = AIOKafkaAdminClient(**cluster.client())
    await admin.start()
    try:
        described = await admin.describe_configs([ConfigResource(ConfigResourceType.BROKER, "1")])
    finally:
        await admin.close()
    result = {
        name: value
        for response in described
        for _, _, _, _, entries in response.resources
        for name, value, *_ in entries
    }
    files = [file for file in Path(result["log.dirs"]).glob(f"{cluster.topic}-*/*") if file.is_file()]
    if not any(file.suffix == ".log" for file in files):
        pytest.skip("the broker that TOUCHLINE_TEST_KAFKA names has its files elsewhere")
    held = [file.read_bytes() for file in files]
    for file, lying in zip(files, tuple(held), strict=True):
        batches = MemoryRecords(lying.rstrip(b"\0") if file.suffix == ".log" else b"")
        while (batch := batches.next_batch()) is not None:
            held += [
                part
                for record in batch
                for part in (record.key or b"", record.value or b"", repr(record.headers).encode())
            ]
    return b"\n".join(held)
