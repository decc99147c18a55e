"""Real `touchline ingest`, `projector` and `api` processes on a real database and a real Kafka."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from shared.log.kafka_cluster import KafkaCluster
from touchline.embedded import Embedded

STOP_S = 60


def environment(database_url: str, kafka: KafkaCluster | None, **more: str) -> dict[str, str]:
    """The environment variables of the services' processes."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("TOUCHLINE_")}
    env |= {"TOUCHLINE_DATABASE_URL": database_url, "TOUCHLINE_LOG_FORMAT": "json"}
    if kafka is not None:
        env |= {"TOUCHLINE_KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers, "TOUCHLINE_KAFKA_TOPIC": kafka.topic,
                "TOUCHLINE_KAFKA_GROUP": f"{kafka.topic}.projector"}  # fmt: skip
    return env | {f"TOUCHLINE_{name}": value for name, value in more.items()}


def command(env: dict[str, str], *arguments: str, folder: Path | None = None) -> Any:
    """Run a command of `touchline` to its end; answers its JSON. `folder` holds another release than this one."""
    done = subprocess.run(
        [sys.executable, "-m", "touchline", *arguments, "--json"], env=env, cwd=folder, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def fails(env: dict[str, str], *arguments: str) -> str:
    """Run a command of `touchline` that must fail in good order; answers what it says, which is no traceback."""
    done = subprocess.run(
        [sys.executable, "-m", "touchline", *arguments],
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 1, done
    assert "Traceback" not in done.stderr
    return done.stderr


def restart(embedded: Embedded, mode: str) -> None:
    """Restart PostgreSQL; `mode` is pg_ctl's: `fast` ends connections, `immediate` makes it recover."""
    assert embedded._server is not None
    embedded._pg_ctl(embedded._server, "-m", mode, "-l", str(embedded.data / "postgres" / "log"), "restart")


@dataclass
class Service:
    """One process. `errors` is the file of its standard error; `folder` holds another release than this one."""

    role: str
    env: dict[str, str]
    errors: Path
    url: str = ""
    port: int = 0
    folder: Path | None = None
    process: "subprocess.Popen[str] | None" = field(default=None, repr=False)

    def launch(self) -> None:
        """Start it; on the port that it had, if it is started again."""
        with self.errors.open("a") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "touchline", self.role, "--port", str(self.port), "--json"],
                stdout=subprocess.PIPE, stderr=file, text=True, env=self.env, cwd=self.folder,
                start_new_session=True,
            )  # fmt: skip

    def until_ready(self) -> None:
        """Wait until it says where it is."""
        assert self.process is not None
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(f"{self.role} ended with {self.process.wait()}: {self.errors.read_text()[-3000:]}")
        self.url = json.loads(line)["url"]
        self.port = int(self.url.rsplit(":", 1)[1])

    def start(self) -> "Service":
        self.launch()
        self.until_ready()
        return self

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send it a signal and wait for its end."""
        assert self.process is not None
        self.process.send_signal(number)
        try:
            code = self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.process = None
        return code

    def send_signal(self, number: int) -> None:
        """A signal that it lives on after."""
        assert self.process is not None
        self.process.send_signal(number)

    def client(self, key: str = "", timeout_s: float = 30) -> httpx.Client:
        return httpx.Client(base_url=self.url, headers={"Authorization": f"Bearer {key or 'none'}"}, timeout=timeout_s)

    def metric(self, name: str) -> float:
        """A metric, summed over its labels."""
        with self.client() as client:
            lines = client.get("/metrics").text.splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith((f"{name} ", f"{name}{{")))
