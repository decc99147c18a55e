"""The services on a sealed store, in this process."""

import base64
import os
from dataclasses import dataclass

from shared.database import open_pool
from shared.log.postgres import PARTITIONS
from shared.sealing.keys import MasterKey
from shared.sealing.store import BEGIN
from shared.store.migrate import migrate
from touchline.compose import Running, compose
from touchline.configuration import Configuration


@dataclass
class Sealed:
    """The services, and the master key of their store in base64."""

    running: Running
    master_key: str


async def sealed_store(database_url: str, kafka: str | None = None, topic: str = "sealed") -> Sealed:
    """The services on an empty database, whose store is sealed with a new key."""
    secret = os.urandom(32)
    await migrate(database_url, PARTITIONS)
    pool = await open_pool(database_url, 1)
    await pool.execute(BEGIN, MasterKey(secret).check)
    await pool.close()
    key = base64.b64encode(secret).decode()
    configuration = Configuration(
        kafka_bootstrap_servers=kafka, kafka_topic=topic, kafka_partitions=4, kafka_replication_factor=1, master_key=key
    )
    return Sealed(await compose(database_url, configuration), key)
