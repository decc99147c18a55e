"""Apache Kafka on this machine: one broker or three, in KRaft mode, in a directory of their own. For trying and testing.

`python deploy/kafka/brokers.py up|down` needs Java 17 and Maven, which fetches the broker once; see `pom.xml`.
"""

import argparse
import base64
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
JARS = HERE / "target" / "dependency"
HOST = "127.0.0.1"
HEAP = "-Xmx512m"
READY_S = 90
STOP_S = 60
USER, PASSWORD = "touchline", "a-password-for-tests"  # of the SASL listener
STORE_PASSWORD = "store-password"  # noqa: S105 - of a certificate that lives as long as the directory


class NoKafka(Exception):
    """A broker does not run on this machine; the message says what is missing."""


def fetch() -> None:
    """Fetch the broker's jars unless they are here. Raises `NoKafka`."""
    if JARS.is_dir():
        return
    for program in ("java", "mvn"):
        if shutil.which(program) is None:
            raise NoKafka(f"running Kafka takes Java 17 and Maven; there is no {program}")
    partial = HERE / "target" / "partial"
    command = ["mvn", "-q", "-B", "-f", str(HERE / "pom.xml"), "dependency:copy-dependencies"]
    done = subprocess.run([*command, f"-DoutputDirectory={partial}"], capture_output=True, text=True, check=False)
    if done.returncode:
        raise NoKafka(f"Maven cannot fetch the broker: {done.stdout[-2000:]}")
    partial.rename(JARS)


@dataclass
class Broker:
    """One node, broker and controller at once."""

    number: int
    directory: Path
    port: int
    controller_port: int
    secure_port: int
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def address(self) -> str:
        """Where clients reach it."""
        return f"{HOST}:{self.port}"


@dataclass
class Cluster:
    """Brokers that know each other. `start` makes them, `stop` ends them; their data lives in `directory`."""

    directory: Path
    count: int = 1
    port: int = 0
    secure: bool = False
    brokers: list[Broker] = field(default_factory=list)

    @property
    def bootstrap_servers(self) -> str:
        """For clients without encryption."""
        return ",".join(broker.address for broker in self.brokers)

    @property
    def secure_servers(self) -> str:
        """For clients with SASL over TLS; see `USER`, `PASSWORD` and `authority`."""
        return ",".join(f"{HOST}:{broker.secure_port}" for broker in self.brokers)

    @property
    def authority(self) -> Path:
        """The certificate, in PEM, that vouches for the secure listener."""
        return self.directory / "authority.pem"

    def start(self) -> None:
        """Format and start all brokers, and wait until they answer. Raises `NoKafka`."""
        fetch()
        self.directory.mkdir(parents=True, exist_ok=True)
        ports = iter(_free_ports(3 * self.count))
        self.brokers = [
            Broker(n, self.directory / f"broker{n}", self.port + n - 1 if self.port else next(ports), next(ports), next(ports))
            for n in range(1, self.count + 1)
        ]  # fmt: skip
        if self.secure:
            self._certify()
        cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "a")
        for broker in self.brokers:
            broker.directory.mkdir()
            (broker.directory / "server.properties").write_text(self._properties(broker))
            format_it = ["kafka.tools.StorageTool", "format", "-t", cluster_id, "-c", str(_config(broker))]
            done = subprocess.run(_java(*format_it), capture_output=True, text=True, check=False)
            if done.returncode:
                raise NoKafka(f"Kafka cannot format its directory: {done.stderr[-2000:]}")
        for broker in self.brokers:
            self.launch(broker)
        for broker in self.brokers:
            self.until_ready(broker)

    def launch(self, broker: Broker) -> None:
        """Start a broker, or start it again."""
        with (broker.directory / "out").open("ab") as out:
            broker.process = subprocess.Popen(
                _java("kafka.Kafka", str(_config(broker))), stdout=out, stderr=out, stdin=subprocess.DEVNULL,
                start_new_session=True,
            )  # fmt: skip
        (broker.directory / "pid").write_text(str(broker.process.pid))

    def until_ready(self, broker: Broker) -> None:
        """Wait until a broker takes connections on each of its listeners. Raises `NoKafka` if it does not."""
        deadline_s = time.monotonic() + READY_S
        waited_for = [broker.port, *([broker.secure_port] if self.secure else [])]
        while time.monotonic() < deadline_s:
            with suppress(OSError), socket.create_connection((HOST, waited_for[0]), 1):
                waited_for.pop(0)
                if not waited_for:
                    return
                continue
            if broker.process is None or broker.process.poll() is not None:
                break
            time.sleep(0.05)
        raise NoKafka(f"broker {broker.number} did not start: {(broker.directory / 'out').read_text()[-2000:]}")

    def end(self, broker: Broker, number: int = signal.SIGTERM) -> None:
        """Send a signal that ends a broker, and wait until it has."""
        if broker.process is None:
            return
        broker.process.send_signal(number)
        try:
            broker.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            broker.process.kill()
            broker.process.wait()
        broker.process = None

    def stop(self) -> None:
        """End all brokers at once; together they would wait for one another."""
        for broker in self.brokers:
            self.end(broker, signal.SIGKILL)

    def _properties(self, broker: Broker) -> str:
        voters = ",".join(f"{b.number}@{HOST}:{b.controller_port}" for b in self.brokers)
        listeners = [f"PLAINTEXT://{HOST}:{broker.port}"]
        if self.secure:
            listeners.append(f"SASL_SSL://{HOST}:{broker.secure_port}")
        lines = {
            "process.roles": "broker,controller",
            "node.id": broker.number,
            "controller.quorum.voters": voters,
            "listeners": ",".join([*listeners, f"CONTROLLER://{HOST}:{broker.controller_port}"]),
            "advertised.listeners": ",".join(listeners),
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL",
            "log.dirs": broker.directory / "data",
            "auto.create.topics.enable": "false",
            "offsets.topic.num.partitions": 4,
            "offsets.topic.replication.factor": min(3, self.count),
            "transaction.state.log.replication.factor": min(3, self.count),
            "share.coordinator.state.topic.replication.factor": min(3, self.count),
            "group.initial.rebalance.delay.ms": 0,
            "group.min.session.timeout.ms": 1000,
            "broker.session.timeout.ms": 6000,
        }
        if self.secure:
            module = "org.apache.kafka.common.security.plain.PlainLoginModule"
            lines |= {
                "sasl.enabled.mechanisms": "PLAIN",
                "listener.name.sasl_ssl.plain.sasl.jaas.config": f'{module} required user_{USER}="{PASSWORD}";',
                "ssl.keystore.location": self.directory / "keys.p12",
                "ssl.keystore.password": STORE_PASSWORD,
                "ssl.keystore.type": "PKCS12",
            }
        return "".join(f"{name}={value}\n" for name, value in lines.items())

    def _certify(self) -> None:
        store = ["-keystore", str(self.directory / "keys.p12"), "-storepass", STORE_PASSWORD, "-alias", "broker"]
        make = [
            "-genkeypair",
            "-keyalg",
            "RSA",
            "-dname",
            "CN=broker",
            "-ext",
            f"san=ip:{HOST}",
            "-storetype",
            "PKCS12",
        ]
        for arguments in ([*make, *store], ["-exportcert", "-rfc", "-file", str(self.authority), *store]):
            subprocess.run(["keytool", *arguments], check=True, capture_output=True)


def _config(broker: Broker) -> Path:
    return broker.directory / "server.properties"


def _java(*arguments: str) -> list[str]:
    return ["java", HEAP, "-Dlog4j2.level=WARN", "-cp", f"{JARS}/*", *arguments]


def _running(directory: Path) -> list[int]:
    """The brokers that another process has started there."""
    pids = [path.read_text() for path in sorted(directory.glob("broker*/pid"))]
    answers = {pid: subprocess.run(["ps", "-o", "args=", "-p", pid], capture_output=True, check=False) for pid in pids}
    return [int(pid) for pid, answer in answers.items() if str(directory).encode() in answer.stdout]


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    try:
        for sock in sockets:
            sock.bind((HOST, 0))
        return [sock.getsockname()[1] for sock in sockets]
    finally:
        for sock in sockets:
            sock.close()


def main() -> int:
    """`up` and `down`."""
    parser = argparse.ArgumentParser(description="Apache Kafka on this machine, for trying and testing.")
    parser.add_argument("what", choices=("up", "down"))
    parser.add_argument("--directory", type=Path, default=Path(tempfile.gettempdir()) / "touchline-kafka")
    parser.add_argument("--brokers", type=int, default=1, help="1, or 3 for failover")
    parser.add_argument("--port", type=int, default=9092, help="of the first broker; the others take those that follow")
    given = parser.parse_args()
    if given.what == "down":
        for pid in _running(given.directory):
            os.kill(pid, signal.SIGKILL)
        shutil.rmtree(given.directory, ignore_errors=True)
        print("Kafka is down; its data is gone.")
        return 0
    if _running(given.directory):
        print(f"Kafka is up already, in {given.directory}", file=sys.stderr)
        return 1
    shutil.rmtree(given.directory, ignore_errors=True)
    cluster = Cluster(given.directory, given.brokers, given.port)
    try:
        cluster.start()
    except NoKafka as error:
        cluster.stop()
        print(error, file=sys.stderr)
        return 1
    print(f"export TOUCHLINE_KAFKA_BOOTSTRAP_SERVERS={cluster.bootstrap_servers}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
