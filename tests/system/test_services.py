"""Each service a process of its own, on a database and a broker that come and go."""

import asyncio
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiokafka.admin import AIOKafkaAdminClient

from deploy.kafka.brokers import Cluster
from shared.log.kafka_cluster import KafkaCluster
from shared.projection.tables import shape
from tests.kafka import a_cluster, new_topic
from tests.services import Service, command, environment, fails
from touchline.embedded import Embedded

SOON_S = 60
SESSION_MS = 30_000  # longer than a busy machine takes to start a process, which keeps its partitions for so long


@dataclass
class Deployment:
    embedded: Embedded
    cluster: Cluster
    env: dict[str, str]
    keys: dict[str, str]
    ingest: Service
    projectors: list[Service]
    api: Service

    def send(self, *events: dict[str, Any], key: str = "server") -> httpx.Response:
        with self.ingest.client(self.keys[key]) as client:
            return client.post("/v1/events", json=list(events))

    def views(self, position: str | None = None) -> httpx.Response:
        after = {} if position is None else {"after": position}
        with self.api.client(self.keys["read"]) as client:
            return client.get("/v1/campaigns/c/overview", params=after)

    def ready(self, service: Service) -> tuple[int, dict[str, Any]]:
        with service.client() as client:
            answer = client.get("/readyz")
        return answer.status_code, answer.json()


def events_of(projectors: list[Service]) -> float:
    """How many events these projectors say that they have projected."""
    return sum(projector.metric("touchline_projector_events_total") for projector in projectors)


def soon(holds: Callable[[], Any], within_s: float = SOON_S) -> Any:
    """What `holds` answers, as soon as that is true."""
    until_s = time.monotonic() + within_s
    while not (answer := holds()):
        assert time.monotonic() < until_s, f"not within {within_s} s"
        time.sleep(0.1)
    return answer


def settled(number: Callable[[], float]) -> float:
    """A number, as soon as it is the same twice, half a second apart."""
    last, now = None, number()
    while now != last:
        time.sleep(0.5)
        last, now = now, number()
    return now


def visits(name: str, count: int) -> list[dict[str, Any]]:
    return [
        {"type": "page_visited", "id": f"{name}-{n}", "visitor_id": f"v{n}", "url": "https://x.example/?utm_campaign=c"}
        for n in range(count)
    ]


CAMPAIGN = {"type": "campaign_created", "id": "c", "campaign_id": "c", "utm_campaign": "c",
            "occurred_at": "2020-01-01T00:00:00Z"}  # fmt: skip


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    directory = tmp_path_factory.mktemp("deployment")
    embedded = Embedded(directory / "data")
    for cluster in a_cluster(directory / "kafka"):
        topic = KafkaCluster(cluster.bootstrap_servers)
        env = environment(embedded.start(), topic, KAFKA_PARTITIONS="4", KAFKA_SESSION_TIMEOUT_MS=str(SESSION_MS))
        keys = command(env, "keys", "create")["keys"]
        steady = env | {"TOUCHLINE_KAFKA_GROUP_INSTANCE_ID": "steady"}
        services = [
            Service("ingest", env, directory / "ingest.log"), Service("projector", env, directory / "projector.log"),
            Service("projector", steady, directory / "steady.log"), Service("api", env, directory / "api.log"),
        ]  # fmt: skip
        try:
            for service in services:
                service.launch()
            for service in services:
                service.until_ready()
            ingest, *projectors, api = services
            yield Deployment(embedded, cluster, env, keys, ingest, projectors, api)
        finally:
            for service in services:
                if service.process is not None:
                    assert service.end() == 0, service.errors.read_text()[-3000:]
            embedded.stop()


@pytest.fixture(scope="module", autouse=True)
def campaign(deployment: Deployment) -> None:
    position = deployment.send(CAMPAIGN).json()["position"]
    assert soon(lambda: deployment.views(position).status_code == 200)


def counted(deployment: Deployment, position: str) -> int:
    answer = soon(lambda: (a := deployment.views(position)).status_code == 200 and a)
    return int(answer.json()["metrics"]["page_views"])


def test_what_one_process_accepts_another_projects_and_a_third_answers(deployment: Deployment) -> None:
    before = counted(deployment, deployment.send(*visits("first", 1)).json()["position"])
    position = deployment.send(*visits("a", 50)).json()["position"]
    assert counted(deployment, position) == before + 50


def dealt(deployment: Deployment) -> set[str]:
    """The partitions that the projectors have, once all projectors are ready; a busy machine deals them one after another."""
    answers = [deployment.ready(projector) for projector in deployment.projectors]
    return (
        {partition for _, ready in answers for partition in ready["lag"]}
        if all(s == 200 for s, _ in answers)
        else set()
    )


def test_every_service_says_how_it_is(deployment: Deployment) -> None:
    assert deployment.ready(deployment.ingest) == (200, {"status": "ready", "log": "ok", "store": "ok"})
    assert deployment.ready(deployment.api) == (
        200,
        {"status": "ready", "log": "ok", "store": "ok", "generation": "g1"},
    )
    soon(lambda: dealt(deployment) == {"0", "1", "2", "3"})
    for service in (deployment.ingest, *deployment.projectors, deployment.api):
        with service.client() as client:
            assert client.get("/healthz").json() == {"status": "ok"}


def test_metrics_show_rates_latencies_and_lag(deployment: Deployment) -> None:
    ingest = deployment.ingest
    before = ingest.metric("touchline_ingest_events_total"), ingest.metric("touchline_ingest_dead_letters_total")
    projected = settled(lambda: events_of(deployment.projectors))
    answer = deployment.send(*visits("m", 5), {"type": "page_visited"})
    assert (answer.status_code, answer.json()["accepted"]) == (202, 5)
    counted(deployment, answer.json()["position"])
    after = ingest.metric("touchline_ingest_events_total"), ingest.metric("touchline_ingest_dead_letters_total")
    assert (after[0] - before[0], after[1] - before[1]) == (6, 1)
    assert ingest.metric("touchline_log_append_seconds_count") > 0
    soon(lambda: ingest.metric("touchline_log_pending_bytes") == 0)
    soon(lambda: events_of(deployment.projectors) >= projected + 5)  # a batch is counted after its commit
    assert events_of(deployment.projectors) == projected + 5
    assert sum(p.metric("touchline_projector_batch_events_count") for p in deployment.projectors) > 0
    with ingest.client() as client:
        lines = client.get("/metrics").text
    assert 'touchline_http_request_seconds_count{method="POST",route="/v1/events",status="202"}' in lines
    for projector in deployment.projectors:
        soon(lambda p=projector: "touchline_projector_lag_seconds{" in httpx.get(f"{p.url}/metrics", timeout=30).text)
        soon(lambda p=projector: p.metric("touchline_projector_lag_events") == 0)


def test_the_groups_offsets_follow_for_the_usual_tools(deployment: Deployment) -> None:
    position = deployment.send(*visits("offsets", 20)).json()["position"]
    counted(deployment, position)
    partition, offset = (int(part) for part in position.removeprefix("p").split("-"))

    async def committed_offset() -> int:
        admin = AIOKafkaAdminClient(bootstrap_servers=deployment.cluster.bootstrap_servers)
        await admin.start()
        offsets = await admin.list_consumer_group_offsets(f"{deployment.env['TOUCHLINE_KAFKA_GROUP']}.{shape()}")
        await admin.close()
        return max((each.offset for at, each in offsets.items() if at.partition == partition), default=0)

    assert soon(lambda: asyncio.run(committed_offset()) == offset)


def test_a_steady_projector_comes_back_to_its_partitions_without_a_rebalance(deployment: Deployment) -> None:
    other, steady = deployment.projectors
    held = soon(lambda: dealt(deployment) == {"0", "1", "2", "3"} and set(deployment.ready(steady)[1]["lag"]))
    before = other.metric("touchline_projector_rebalances_total")
    assert steady.end() == 0
    steady.start()
    soon(lambda: set(deployment.ready(steady)[1].get("lag", ())) == held)
    assert other.metric("touchline_projector_rebalances_total") == before


def test_without_the_database_known_keys_send_on_and_reads_are_reported_to_come_again(deployment: Deployment) -> None:
    before = counted(deployment, deployment.send(*visits("known", 1)).json()["position"])
    deployment.embedded.stop()
    try:
        time.sleep(6)  # what is known of the key is asked for again
        positions = [deployment.send(*visits("meanwhile", 10)).json()["position"]]
        refused = deployment.send(*visits("unknown", 1), key="collect")
        assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
        assert int(refused.headers["retry-after"]) >= 1
        read = deployment.views()
        assert (read.status_code, read.json()["code"]) == (503, "unavailable")
        status, state = deployment.ready(deployment.ingest)
        assert (status, state["status"], state["log"]) == (200, "ready", "ok")
        assert state["store"].startswith("unavailable")
        status, state = deployment.ready(deployment.api)
        assert (status, state["log"]) == (503, "ok")
        assert soon(lambda: sum(p.metric("touchline_projector_retries_total") for p in deployment.projectors) > 0)
    finally:
        deployment.embedded.start()
    assert counted(deployment, positions[-1]) == before + 10
    assert soon(lambda: deployment.ready(deployment.api)[0] == 200)


def test_without_the_broker_nothing_is_accepted_and_all_else_is_answered(deployment: Deployment) -> None:
    before = counted(deployment, deployment.send(*visits("there", 1)).json()["position"])
    (broker,) = deployment.cluster.brokers
    deployment.cluster.end(broker, signal.SIGKILL)
    try:
        refused = deployment.send(*visits("later", 10))
        assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
        assert int(refused.headers["retry-after"]) >= 1
        answer = deployment.views()
        assert answer.status_code == 200, answer.text
        assert answer.json()["metrics"]["page_views"] == before
        with deployment.api.client(deployment.keys["read"]) as client:
            shown = client.get("/v1/status").json()
        assert (shown["log_end_offset"], shown["lag_events"]) == (None, None)
        status, state = deployment.ready(deployment.ingest)
        assert (status, state["status"], state["store"]) == (503, "unavailable", "ok")
        assert state["log"].startswith("unavailable")
    finally:
        deployment.cluster.launch(broker)
        deployment.cluster.until_ready(broker)
    answer = soon(lambda: (a := deployment.send(*visits("later", 10))).status_code == 202 and a)
    assert counted(deployment, answer.json()["position"]) == before + 10
    assert soon(lambda: deployment.ready(deployment.ingest)[0] == 200)


def test_a_service_waits_for_what_is_not_there_yet(deployment: Deployment, tmp_path: Path) -> None:
    deployment.embedded.stop()
    late = Service("api", deployment.env, tmp_path / "late.log")
    late.launch()
    soon(lambda: "cannot start yet" in late.errors.read_text())
    deployment.embedded.start()
    late.until_ready()
    assert deployment.ready(late)[0] == 200
    assert late.end() == 0


def test_the_status_command_shows_every_partition(deployment: Deployment) -> None:
    counted(deployment, deployment.send(*visits("status", 3)).json()["position"])
    state = command(deployment.env, "status")
    assert state["log"].startswith("kafka:")
    assert {p["lag"] for p in state["partitions"].values()} == {0}
    assert sum(p["projected"] for p in state["partitions"].values()) >= 3


def test_keys_are_made_listed_and_revoked(deployment: Deployment) -> None:
    made = command(deployment.env, "keys", "create", "--workspace", "other", "--scope", "server")
    key = made["keys"]["server"]
    with deployment.ingest.client(key) as client:
        assert client.post("/v1/events", json=CAMPAIGN).status_code == 202
    listed = command(deployment.env, "keys", "list", "--workspace", "other")["keys"]
    assert [(k["scope"], k["revoked_at"]) for k in listed] == [("server", None)]
    assert command(deployment.env, "keys", "revoke", listed[0]["hint"], "--workspace", "other") == {"revoked": 1}
    assert "no keys in force" in fails(deployment.env, "keys", "revoke", key, "--workspace", "other")
    with deployment.ingest.client(key) as client:
        assert soon(lambda: client.post("/v1/events", json=CAMPAIGN).status_code == 401)


def test_a_database_of_another_log_is_refused_in_one_line(deployment: Deployment) -> None:
    elsewhere = deployment.env | {"TOUCHLINE_KAFKA_TOPIC": new_topic("").topic}
    assert "is a projection of kafka:" in fails(elsewhere, "projector", "--port", "0")


def test_without_kafka_one_projector_works_and_another_stands_by(tmp_path: Path) -> None:
    embedded = Embedded(tmp_path / "data")
    env = environment(embedded.start(), None)
    keys = command(env, "keys", "create")["keys"]
    services = [
        Service(role, env, tmp_path / f"{n}.log") for n, role in enumerate(["ingest", "projector", "projector", "api"])
    ]
    try:
        ingest, *projectors, api = [service.start() for service in services]
        deployment = Deployment(embedded, Cluster(tmp_path), env, keys, ingest, projectors, api)
        assert counted(deployment, deployment.send(CAMPAIGN, *visits("a", 5)).json()["position"]) == 5
        soon(lambda: events_of(projectors) >= 6)  # a batch is counted after its commit
        worked = [events_of([projector]) for projector in projectors]
        assert sorted(worked) == [0, 6]
        projectors[worked.index(6)].end(signal.SIGKILL)
        assert counted(deployment, deployment.send(*visits("b", 5)).json()["position"]) == 10
    finally:
        for service in services:
            if service.process is not None:
                assert service.end() == 0
        embedded.stop()
