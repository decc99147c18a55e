"""`touchline up` as its user meets it: started, stopped, killed, started again."""

import random
import signal
import stat
import threading
import time
from pathlib import Path

import httpx
import psutil
import pytest

from tests.processes import Up, ended, launch, start, until_projected

KILLS = 10
GONE_S = 30.0  # a process may be there for a moment after its files are gone


def visits(name: str, count: int) -> list[dict[str, str]]:
    return [
        {
            "type": "page_visited",
            "id": f"{name}-{n}",
            "visitor_id": f"v{n % 50}",
            "url": "https://shop.example/?utm_campaign=c",
        }
        for n in range(count)
    ]


def campaign(up: Up) -> None:
    event = {
        "type": "campaign_created",
        "id": "c",
        "campaign_id": "c",
        "utm_campaign": "c",
        "occurred_at": "2020-01-01T00:00:00Z",
    }
    with up.client("server") as client:
        assert client.post("/v1/events", json=event).status_code == 202


def page_views(up: Up, position: str) -> int:
    with up.client("read") as client:
        until_projected(client, position)
        response = client.get("/v1/campaigns/c/overview")
        assert response.status_code == 200, response.text
        return int(response.json()["metrics"]["page_views"])


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


def test_keys_are_printed_once_and_kept_in_a_private_file(data: Path) -> None:
    up = start(data)
    assert set(up.keys) == {"collect", "server", "read", "admin"}
    assert stat.S_IMODE((data / "keys.json").stat().st_mode) == 0o600
    assert up.stop() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_cleanly_and_a_restart_continues(data: Path, number: int) -> None:
    up = start(data)
    campaign(up)
    with up.client("server") as client:
        position = client.post("/v1/events", json=visits("a", 7)).json()["position"]
    assert up.stop(number) == 0
    until_s = time.monotonic() + GONE_S
    while [p for p in psutil.process_iter(["cmdline"]) if str(data) in " ".join(p.info["cmdline"] or [])]:
        assert time.monotonic() < until_s
        time.sleep(0.05)
    again = start(data)
    assert page_views(again, position) == 7
    again.stop()


def has_ended(process: psutil.Process) -> bool:
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def test_a_postgresql_left_over_is_adopted(data: Path) -> None:
    up = start(data)
    up.kill_group()
    postmaster = int((data / "postgres" / "postmaster.pid").read_text().split()[0])
    server = psutil.Process(postmaster)
    again = start(data)
    assert int((data / "postgres" / "postmaster.pid").read_text().split()[0]) == postmaster
    assert again.stop() == 0
    until_s = time.monotonic() + GONE_S
    while not has_ended(server):
        assert time.monotonic() < until_s
        time.sleep(0.05)


def test_a_second_up_on_a_directory_in_use_says_so(data: Path) -> None:
    up = start(data)
    second = launch(data)
    code, output = ended(second)
    assert code == 1
    assert f"in use by process {up.process.pid}" in output
    up.stop()


def test_a_taken_port_is_said_in_one_line(data: Path, tmp_path: Path) -> None:
    up = start(data)
    second = launch(tmp_path / "other", int(up.url.rsplit(":", 1)[1]))
    code, output = ended(second)
    assert code == 1
    assert "cannot listen" in output
    assert "`--port` names another port" in output
    up.stop()


class Sender(threading.Thread):
    """A producer that sends the same numbered batches again until they are accepted."""

    def __init__(self, name: str) -> None:
        super().__init__(daemon=True)
        self.name, self.position, self.accepted = name, "", 0
        self.up: Up | None = None
        self.over = threading.Event()

    def run(self) -> None:
        batch = 0
        while not self.over.is_set():
            up = self.up
            if up is None:
                time.sleep(0.01)
                continue
            try:
                with up.client("server") as client:
                    response = client.post("/v1/events", json=visits(f"{self.name}-{batch}", 40))
            except httpx.HTTPError:
                continue  # killed before it answered: the same batch again
            if response.status_code == 202:
                self.position = response.json()["position"]
                self.accepted += 40
                batch += 1


def test_what_was_accepted_is_counted_once_however_often_it_is_killed(data: Path) -> None:
    seed = random.randrange(2**32)
    rng = random.Random(seed)
    up = start(data)
    campaign(up)
    senders = [Sender(f"s{n}") for n in range(3)]
    for sender in senders:
        sender.up = up
        sender.start()
    for _ in range(KILLS):
        time.sleep(rng.uniform(0.05, 1.2))
        up.kill_group()
        up = start(data)
        for sender in senders:
            sender.up = up
    until_s = time.monotonic() + 120
    while sum(sender.accepted for sender in senders) <= 1_000 or not all(sender.position for sender in senders):
        assert time.monotonic() < until_s, f"seed {seed}"
        time.sleep(0.05)
    for sender in senders:
        sender.over.set()
    for sender in senders:
        sender.join(60)
    last = max((s.position for s in senders), key=lambda p: int(p.split("-")[1]))
    accepted = sum(s.accepted for s in senders)
    counted = page_views(up, last)
    print(f"seed {seed}: {KILLS} kills, {accepted} accepted, {counted} counted")
    assert accepted <= counted <= accepted + 40 * len(senders), f"seed {seed}"  # one batch a sender may lack its answer
    with up.client("server") as client:
        for sender in senders:  # send the batch whose answer is unknown once more: now all are accounted for
            batch = sender.accepted // 40
            last = client.post("/v1/events", json=visits(f"{sender.name}-{batch}", 40)).json()["position"]
    assert page_views(up, last) == accepted + 40 * len(senders), f"seed {seed}"
    up.stop()
